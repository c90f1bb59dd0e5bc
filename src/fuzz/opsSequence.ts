/**
 * Random sequences of operations in the format of `.ops` files, without the kernel's answers: what oracle/opsrun carries out.
 *
 * A seed, a mode and a number of operations are the whole sequence; the model has no part in it. Operations of the main process, of
 * children that it forks, and requests for a snapshot. Where the kernel may place a mapping outside the window, a second line
 * of the same number brings it back or unmaps it; `placed` stands for its address.
 */
import { Prng } from '../base/prng.ts';
import { hex, PAGE_SIZE } from '../base/units.ts';
import {
  ADVICE,
  CALLS,
  HUGE_ADVICE,
  PROTECTIONS,
  RARE_ADVICE,
  REMAPS,
  TASTES,
  type Weights,
} from './opsTastes.ts';
import { OpsWindow, type PageAccess, type PageRange, type RangeTaste } from './opsWindow.ts';

/** 0: 96 pages and small ranges; 1: 8 MiB; 2: 8 MiB with whole 2 MiB and MADV_HUGEPAGE. */
export type OpsMode = 0 | 1 | 2;

/** What a sequence is. */
export interface OpsOptions {
  readonly seed: number;
  readonly mode: OpsMode;
  /** Operations; 200 if not given. */
  readonly ops?: number;
  /** A snapshot follows each operation whose number this divides; 25 if not given. */
  readonly every?: number;
  /** Calls that are drawn this many times as often, by name of the call or of the advice. */
  readonly more?: Readonly<Record<string, number>>;
  /** Children that may live at the same time; 2 if not given. */
  readonly children?: number;
  /** Also draws advice and flags that are rare in programs. */
  readonly wide?: boolean;
}

const WINDOW = 0x2000_0000_0000;

/** How often a wide sequence has odd arguments. */
const ODD = 0.04;

/** What an operation needs to do something. */
const NEEDED: Readonly<Record<string, PageAccess>> = {
  touch_read: 'read',
  touch_write: 'write',
  mlock: 'read',
};

function accessOf(prot: string): PageAccess {
  if (prot.includes('PROT_WRITE')) return 'write';
  return prot === 'PROT_NONE' ? 'mapped' : 'read';
}

class Sequence {
  readonly #random: Prng;
  readonly #window: OpsWindow;
  readonly #options: OpsOptions;
  readonly #calls: Weights;
  readonly #advice: Weights;
  readonly #living: number[] = [];
  #forked = 0;
  #number = 0;
  readonly lines: string[] = [];

  constructor(options: OpsOptions) {
    const { seed, mode } = options;
    const taste = TASTES[mode] as RangeTaste;
    this.#random = new Prng(seed * 3 + mode);
    this.#window = new OpsWindow(WINDOW, taste, this.#random);
    this.#options = options;
    const advice = mode === 2 ? HUGE_ADVICE : ADVICE;
    this.#calls = this.#weighted(CALLS);
    this.#advice = this.#weighted(options.wide ? { ...advice, ...RARE_ADVICE } : advice);
    const end = this.#window.at(taste.pages);
    this.lines.push(
      `# opfuzz format 1 seed ${seed} ops ${options.ops ?? 200} window ${hex(WINDOW)}-${hex(end)} mode ${mode}`,
    );
  }

  /** Draws all of it. */
  make(): readonly string[] {
    const { ops = 200, every = 25, mode } = this.#options;
    const isMapped = this.#random.unit() < 0.7;
    if (isMapped) {
      const whole = { first: 0, end: this.#window.pages };
      const huge = mode === 2 && this.#chance(0.5);
      this.#add(this.#map(whole, 'PROT_READ|PROT_WRITE', 'MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS', huge));
    }
    this.lines.push('snapshot 0');
    for (this.#number = 1; this.#number <= ops; this.#number++) {
      this.#add(this.#operation());
      if (this.#number % every === 0) this.lines.push(`snapshot ${this.#number}`);
    }
    return this.lines;
  }

  #weighted(weights: Weights): Weights {
    const { more = {} } = this.#options;
    return Object.fromEntries(
      Object.entries(weights).map(([name, weight]) => [name, weight * (more[name] ?? 1)]),
    );
  }
  #chance(likelihood: number): boolean {
    return this.#random.unit() < likelihood;
  }
  #pick(weights: Weights): string {
    let sum = 0;
    for (const weight of Object.values(weights)) sum += weight;
    let roll = this.#random.unit() * sum;
    for (const [name, weight] of Object.entries(weights)) {
      roll -= weight;
      if (roll < 0) return name;
    }
    return Object.keys(weights).at(-1) ?? '';
  }
  #add(calls: readonly string[]): void {
    for (const call of calls) this.lines.push(`${this.#number} ${call}`);
  }
  #text({ first, end }: PageRange): string {
    return `${hex(this.#window.at(first))}, ${(end - first) * PAGE_SIZE}`;
  }

  /** Returns the first two arguments of a call; in a wide sequence now and then some that are refused or rounded. */
  #args(range: PageRange): string {
    if (!this.#options.wide || !this.#chance(ODD)) return this.#text(range);
    const start = this.#window.at(range.first);
    const bytes = (range.end - range.first) * PAGE_SIZE;
    return this.#random.pick([
      `${hex(start)}, ${bytes - 100}`,
      `${hex(start + 2048)}, ${bytes}`,
      `${hex(start)}, 0`,
      `${hex(start)}, 0xfffffffffffff000`,
    ]);
  }

  /** Draws an operation; two calls where the second belongs to the first. */
  #operation(): readonly string[] {
    const call = this.#pick(this.#calls);
    switch (call) {
      case 'mmap':
        return this.#mmap();
      case 'mremap':
        return this.#mremap();
      case 'fork':
      case 'child_exit':
      case 'child_touch_read':
      case 'child_touch_write':
        return [this.#ofChild(call)];
      case 'nop':
        return ['nop()'];
    }
    const range = this.#window.mappedRange(NEEDED[call]);
    const text = call.startsWith('touch') ? this.#text(range) : this.#args(range);
    switch (call) {
      case 'munmap':
        this.#window.unmap(range);
        return [`munmap(${text})`];
      case 'madvise':
        return [`madvise(${text}, ${this.#pick(this.#advice)})`];
      case 'mprotect': {
        const prot = this.#pick(PROTECTIONS);
        this.#window.protect(range, accessOf(prot));
        return [`mprotect(${text}, ${prot})`];
      }
      case 'mlock2':
        return [`mlock2(${text}, ${this.#chance(0.1) ? '0' : 'MLOCK_ONFAULT'})`];
      case 'prctl': {
        const name = this.#random.pick(['"a"', '"b"', 'NULL']);
        return [`prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, ${text}, ${name})`];
      }
      default:
        return [`${call}(${text})`];
    }
  }

  #ofChild(call: string): string {
    const isFull = this.#living.length >= (this.#options.children ?? 2);
    const isEmpty = this.#living.length === 0;
    if (isEmpty ? call === 'child_exit' : call === 'fork' && !isFull) return this.#fork();
    if (call === 'fork' && isEmpty) return this.#fork();
    // Without a child the process itself does it.
    if (isEmpty) return `${call.slice('child_'.length)}(${this.#text(this.#window.mappedRange())})`;
    const child = this.#random.pick(this.#living);
    if (call.startsWith('child_touch')) return `${call}(${child}, ${this.#text(this.#window.mappedRange())})`;
    this.#living.splice(this.#living.indexOf(child), 1);
    return `child_exit(${child})`;
  }
  #fork(): string {
    this.#living.push(this.#forked);
    return `fork() = child ${this.#forked++}`;
  }

  #map(range: PageRange, prot: string, flags: string, huge: boolean): readonly string[] {
    this.#window.map(range, accessOf(prot));
    const text = this.#text(range);
    const call = `mmap(${text}, ${prot}, ${flags}, -1, 0)`;
    return huge ? [call, `madvise(${text}, MADV_HUGEPAGE)`] : [call];
  }

  #mmap(): readonly string[] {
    const range = this.#window.range();
    const kind = this.#chance(0.07) ? 'MAP_SHARED' : 'MAP_PRIVATE';
    const populate = this.#chance(0.11) ? '|MAP_POPULATE' : '';
    const reserve = this.#chance(0.1) ? '|MAP_NORESERVE' : '';
    const rare =
      this.#options.wide && this.#chance(0.05) ? this.#random.pick(['|MAP_LOCKED', '|MAP_STACK']) : '';
    const extra = `${populate}${reserve}${rare}`;
    const place = this.#random.unit();
    const prot = this.#pick(PROTECTIONS);
    const huge = this.#options.mode === 2 && this.#chance(0.45);
    if (place < 0.77) return this.#map(range, prot, `${kind}|MAP_FIXED|MAP_ANONYMOUS${extra}`, huge);
    const call = `mmap(${this.#args(range)}, ${prot}, ${kind}|MAP_ANONYMOUS${extra}`;
    if (place < 0.9) return [`${call}|MAP_FIXED_NOREPLACE, -1, 0)`];
    return [`${call}, -1, 0)`, `munmap(placed, ${(range.end - range.first) * PAGE_SIZE})`];
  }

  #mremap(): readonly string[] {
    const range = this.#window.mappedRange();
    const old = range.end - range.first;
    const flags = this.#pick(REMAPS);
    const same = flags === '0' ? 0.2 : flags === 'MREMAP_MAYMOVE' ? 0.3 : 0.85;
    const isSame = flags.includes('DONTUNMAP') || this.#chance(same);
    const fresh = isSame ? old : this.#otherLength(old);
    const text = `mremap(${this.#args(range)}, ${fresh * PAGE_SIZE}, ${flags}`;
    if (flags === '0') return [`${text})`];
    const to = this.#window.place(Math.max(fresh, old));
    const target = hex(this.#window.at(to));
    if (flags.includes('FIXED')) {
      this.#window.move(range, to, fresh, flags.includes('DONTUNMAP'));
      return [`${text}, ${target})`];
    }
    const bytes = fresh * PAGE_SIZE;
    const back = `mremap(placed, ${bytes}, ${bytes}, MREMAP_MAYMOVE|MREMAP_FIXED, ${target})`;
    return [flags.includes('DONTUNMAP') ? `${text}, NULL)` : `${text})`, back];
  }

  /** Draws a new length for a range of `old` pages: a little more or less, much more, half. */
  #otherLength(old: number): number {
    const fresh = this.#random.pick([
      old + 1 + this.#random.below(16),
      old - 1 - this.#random.below(old),
      old + 1 + this.#random.below(old),
      old >> 1,
    ]);
    return Math.max(1, Math.min(fresh, this.#window.pages));
  }
}

/** Draws a sequence. @returns its lines, without newlines, the first line with seed and mode */
export const opsSequence = (options: OpsOptions): readonly string[] => new Sequence(options).make();
