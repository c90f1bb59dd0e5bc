/**
 * A case, run step by step on something that behaves like a kernel, with its answers put into the notation of the case file.
 *
 * The target makes the calls and says what they return, as numbers; labels (a1, p1: by first appearance within the case), addresses
 * relative to B and the words of the notation are made here. The kernel's oracle does the same in C (oracle/observe.c, steps.c).
 */
import { Prng } from '../../src/base/prng.ts';
import type { Case } from './caseFile.ts';
import {
  type AccessOp,
  type CaseAddress,
  PAGE,
  type Step,
  type VmaStep,
  WINDOW,
  WINDOW_END,
} from './caseStep.ts';
import type { Expectation, ExpectedTrap, ExpectedVma } from './expectation.ts';
import { isPageStep } from './pageStep.ts';
import { observePages, type PageTarget } from './pageTarget.ts';

/** What a call returned: a number, or an error by name. */
export type CallResult = { readonly ret: number } | { readonly errno: string };
/** What a load found: the first byte of the page, or the signal it got. */
export type Loaded =
  | { readonly value: number }
  | { readonly signal: 'SIGSEGV' | 'SIGBUS'; readonly code: number };
/** What is mapped at a page: `frame` tells pages apart, `once` that it is mapped exactly once. */
export type PageState = 'none' | 'guard' | 'swap' | { readonly frame: number; readonly once: boolean };

/** A vma as the target holds it. Ids only tell whether two are the same. */
export interface TargetVma {
  readonly start: number;
  readonly end: number;
  readonly perms: string;
  readonly pgoff: number;
  readonly anonVma: { readonly id: number; readonly root: number } | null;
  readonly chain: number;
  /** Two-letter codes; those of access and MAY bits may be among them. */
  readonly flags: readonly string[];
  readonly file: boolean;
}

/** Steps that are one call, whose result is a number or an error. */
export type CallStep = Exclude<
  VmaStep,
  {
    op:
      | 'touch'
      | 'read'
      | 'touchto'
      | 'readto'
      | 'val'
      | 'pfn'
      | 'slots'
      | 'tables'
      | 'mincore'
      | 'brk'
      | 'fill'
      | 'count'
      | 'comm'
      | 'commit'
      | 'gather'
      | 'fork'
      | 'forkhold'
      | 'forkdrop'
      | 'endchild'
      | 'exited'
      | 'at'
      | 'drop'
      | 'vmas'
      | 'vmacount'
      | 'smaps'
      | 'fd'
      | 'fillfd'
      | 'file'
      | 'dir'
      | 'devnull'
      | 'devzero';
  }
>;
/** Steps that make files, and answer nothing. */
export type FileStep = Extract<Step, { op: 'fd' | 'fillfd' | 'file' | 'dir' | 'devnull' | 'devzero' }>;

/** Something a case can run on: one current process, which fork replaces by its child until the child exits. */
export interface CaseTarget {
  /** What the steps of pages.cases are asked. */
  readonly pages: PageTarget;
  /** Makes one call. `at` turns the addresses of the step into numbers. */
  call(step: CallStep, at: (a: CaseAddress) => number): CallResult;
  makeFile(step: FileStep): void;
  store(addr: number, value: number): Loaded;
  load(addr: number): Loaded;
  page(addr: number): PageState;
  /** Tells whether the 2 MiB around `addr` have a page table, or a huge page. */
  hasTable(addr: number): boolean;
  /** Tells whether the page that had this number was freed since, so that the number may stand for another. */
  isFreed(frame: number): boolean;
  mincore(addr: number, len: number): CallResult | readonly boolean[];
  brk(addr: number): number;
  /** The vmas that start in the window, ascending. */
  windowVmas(): readonly TargetVma[];
  lockedVm(): number;
  /** map_count, and what it may not exceed. */
  mapCount(): { readonly now: number; readonly max: number };
  committedPages(): number;
  /** Makes far-away vmas that do not merge. */
  fill(nrVmas: number): void;
  /** Continues in a child. */
  fork(): void;
  /** Leaves a living child behind. */
  forkHold(): void;
  /** Continues in the process that was the `number`th to be left behind, or in the first of the case (0). */
  switchTo(number: number): void;
  /** Ends a process that was left behind. */
  drop(number: number): void;
  /** Takes the window away from the parent of the current process. */
  dropParent(): void;
  /** Ends the current process and continues in its parent. */
  exit(): void;
  /** Called after each step: checks the target's own invariants, throws when one is broken. */
  verify(): void;
}

/** Numbers things by first appearance. */
class Labels {
  readonly #seen: (number | null)[] = [];
  of(id: number): number {
    const at = this.#seen.indexOf(id);
    return at >= 0 ? at + 1 : this.#seen.push(id);
  }
  /** Forgets the ids that `isGone`: the next thing with such an id is another. */
  retire(isGone: (id: number) => boolean): void {
    for (const [i, id] of this.#seen.entries()) if (id !== null && isGone(id)) this.#seen[i] = null;
  }
}

/** Bits of a pagemap word: that it is swapped; the device, which markers have the last of; device and place. */
const SWAP_ENTRY = 1n << 62n;
const TYPE_OF_SWAP = 31n;
const PLACE = (1n << 55n) - 1n;

const B = Number(WINDOW);
const PG = Number(PAGE);
const PMD = 512 * PG;
const ACCESS_CODES: ReadonlySet<string> = new Set(['rd', 'wr', 'ex', 'mr', 'mw', 'me', 'ms']);
const GIB = 2 ** 30;

/** One run of one case, step by step. */
export class Run {
  readonly #target: CaseTarget;
  readonly #anonVmas = new Labels();
  readonly #pages = new Labels();
  readonly #slots = new Labels();
  #brk0: number | null = null;
  #last = 0;
  #committed = 0;

  /** @param target  what the case runs on, as a case finds it */
  constructor(target: CaseTarget) {
    this.#target = target;
  }

  readonly #at = (a: CaseAddress): number => {
    const from = { zero: 0, brk0: a.from === 'brk0' ? this.#firstBrk() : 0, last: this.#last }[a.from];
    return Number(a.bytes) + from;
  };

  #firstBrk(): number {
    this.#brk0 ??= this.#target.brk(0);
    return this.#brk0;
  }

  /** Makes one step; returns what was observed, in the notation of the case file. */
  step(step: Step): Expectation {
    const seen = this.#observe(step);
    this.#target.verify();
    this.#pages.retire((frame) => this.#target.isFreed(frame));
    return seen;
  }

  #observe(step: Step): Expectation {
    if (isPageStep(step))
      return observePages(step, this.#target.pages, this.#at, (addr) => this.#target.load(addr));
    switch (step.op) {
      case 'touch':
      case 'read':
      case 'touchto':
      case 'readto':
        return { kind: 'traps', traps: this.#touch(step) };
      case 'val':
        return answer(this.#eachPage(step, (addr) => this.#value(addr)));
      case 'pfn':
        return answer(this.#eachPage(step, (addr) => this.#page(this.#target.page(addr))));
      case 'slots':
        return answer(this.#eachPage(step, (addr) => this.#slot(this.#target.pages.word(addr))));
      case 'tables':
        return answer(this.#tables(step));
      case 'mincore':
        return answer(this.#mincore(step));
      case 'brk':
        return answer(this.#brk(step.arg));
      case 'fill':
        return answer(this.#fill(step.arg));
      case 'count':
        return answer(this.#count('map_count = max'));
      case 'comm':
        return this.#comm(step.arg / 2);
      case 'commit':
      case 'gather':
        return this.#macro(step);
      case 'vmas':
        return { kind: 'vmas', vmas: this.#vmas(), lockedVm: this.#target.lockedVm() };
      case 'vmacount':
        return answer(String(this.#target.windowVmas().length));
      case 'fork':
      case 'forkhold':
      case 'forkdrop':
      case 'exited':
        return this.#process(step.op);
      case 'at':
        this.#target.switchTo(step.arg);
        return { kind: 'nothing' };
      case 'drop':
        this.#target.drop(step.arg);
        return { kind: 'nothing' };
      case 'endchild':
      case 'smaps':
        return { kind: 'nothing' };
      case 'fd':
      case 'fillfd':
      case 'file':
      case 'dir':
      case 'devnull':
      case 'devzero':
        this.#target.makeFile(step);
        return { kind: 'nothing' };
      default:
        return answer(this.#call(step));
    }
  }

  #call(step: CallStep): string {
    const result = this.#target.call(step, this.#at);
    if ('errno' in result) return `-${result.errno}`;
    const { ret } = result;
    if (step.op === 'map' || step.op === 'shmat') return this.#address(ret, this.#at(step.addr));
    if (step.op === 'remap') return this.#address(ret, this.#at(step.newAddr));
    return ret === 0 ? '0' : `0x${ret.toString(16)}`;
  }

  #address(addr: number, wanted: number): string {
    if (addr === 0) return '0';
    if (addr >= B && addr < Number(WINDOW_END) && addr % PG === 0) return `B+${(addr - B) / PG}`;
    if (this.#brk0 !== null && addr >= this.#brk0 && addr < this.#brk0 + GIB)
      return `brk0+${addr - this.#brk0}`;
    if (addr === wanted || addr < 2 ** 20) return `0x${addr.toString(16)}`;
    this.#last = addr;
    return addr % (512 * PG) === 0 ? 'elsewhere(2M-aligned)' : 'elsewhere';
  }

  #touch(step: Extract<VmaStep, { op: AccessOp }>): ExpectedTrap[] {
    const traps: ExpectedTrap[] = [];
    const stores = step.op === 'touch' || step.op === 'touchto';
    const most = step.op === 'touchto' || step.op === 'readto' ? 1 : Number.POSITIVE_INFINITY;
    for (let page = 0; page < step.nrPages && traps.length < most; page++) {
      const addr = this.#at(step.addr) + page * Number(step.stride ?? PAGE);
      const got = stores ? this.#target.store(addr, (page + 1) % 256) : this.#target.load(addr);
      if ('signal' in got) traps.push({ page, ...got });
    }
    return traps;
  }

  #eachPage(step: { addr: CaseAddress; nrPages: number }, word: (addr: number) => string): string {
    return Array.from({ length: step.nrPages }, (_, i) => word(this.#at(step.addr) + i * PG)).join(' ');
  }
  #value(addr: number): string {
    const got = this.#target.load(addr);
    return 'value' in got ? String(got.value % 256) : got.signal === 'SIGSEGV' ? 'SIG11' : 'SIG7';
  }
  #page(state: PageState): string {
    if (typeof state === 'string') return state === 'none' ? '-' : state;
    return `p${this.#pages.of(state.frame)}${state.once ? '!' : ''}`;
  }

  /** Places in swap by their first appearance, from the word of pagemap; markers have none. */
  #slot(word: bigint): string {
    const isSwap = (word & SWAP_ENTRY) !== 0n && (word & TYPE_OF_SWAP) !== TYPE_OF_SWAP;
    return isSwap ? `s${this.#slots.of(Number(word & PLACE))}` : '-';
  }

  /** One letter for each 2 MiB: `-` where nothing is mapped. */
  #tables(step: { addr: CaseAddress; nrPages: number }): string {
    const start = Math.floor(this.#at(step.addr) / PMD) * PMD;
    const nr = Math.ceil((this.#at(step.addr) + step.nrPages * PG - start) / PMD);
    const vmas = this.#target.windowVmas();
    const letters = Array.from({ length: nr }, (_, i) => {
      const base = start + i * PMD;
      const isMapped = vmas.some((v) => v.end > base && v.start < base + PMD);
      return isMapped ? Number(this.#target.hasTable(base)) : '-';
    });
    return letters.join('');
  }

  #mincore(step: { addr: CaseAddress; len: bigint }): string {
    const got = this.#target.mincore(this.#at(step.addr), Number(step.len));
    if ('errno' in got) return `-${got.errno}`;
    return 'ret' in got ? '' : got.map((resident) => (resident ? '1' : '0')).join('');
  }

  #brk(delta: number): string {
    const base = this.#firstBrk();
    const moved = this.#target.brk(base + delta) - base;
    return `brk0${moved < 0 ? '' : '+'}${moved} (b0%4096=${base % PG})`;
  }

  #count(words: string): string {
    const { now, max } = this.#target.mapCount();
    return `${words}${now < max ? '' : '+'}${now - max}`;
  }
  #fill(below: number): string {
    const { now, max } = this.#target.mapCount();
    this.#target.fill(max - below - now);
    return this.#count('map_count now max');
  }

  #comm(unit: number): Expectation {
    const now = this.#target.committedPages();
    const change = now - this.#committed;
    this.#committed = now;
    if (unit === 0) return { kind: 'nothing' };
    const rounded = Math.round(change / unit) * unit;
    return answer(rounded > 0 ? `+${rounded}` : `${rounded}`);
  }

  /** Many small calls, which must all work. */
  #macro(step: Extract<Step, { op: 'commit' | 'gather' }>): Expectation {
    for (const small of smallSteps(step)) {
      const seen = small.op === 'touch' ? this.#touch(small).map(() => 'a trap') : [this.#call(small)];
      const failed = seen.find((text) => !/^(0|B\+\d+)$/.test(text));
      if (failed !== undefined) return answer(failed);
    }
    return { kind: 'nothing' };
  }

  #vmas(): ExpectedVma[] {
    return this.#target.windowVmas().map((v): ExpectedVma => {
      const root = v.anonVma === null ? 0 : this.#anonVmas.of(v.anonVma.root);
      const label = v.anonVma === null ? 0 : this.#anonVmas.of(v.anonVma.id);
      const inWindow = v.pgoff * PG >= B && v.pgoff * PG < Number(WINDOW_END);
      return {
        start: (v.start - B) / PG,
        end: (v.end - B) / PG,
        perms: v.perms,
        pgoff: inWindow ? `B+${v.pgoff - B / PG}` : String(v.pgoff),
        anon: v.anonVma === null ? 'unf' : { label: `a${label}`, root: `a${root}`, chain: v.chain },
        flags: v.flags.filter((code) => !ACCESS_CODES.has(code)).sort(),
        file: v.file,
      };
    });
  }

  #process(op: 'fork' | 'forkhold' | 'forkdrop' | 'exited'): Expectation {
    switch (op) {
      case 'fork':
        this.#target.fork();
        return answer('{child}');
      case 'forkhold':
        this.#target.forkHold();
        return answer('{child alive}');
      case 'forkdrop':
        this.#target.fork();
        this.#target.dropParent();
        return answer('[in child, parent dropped the range]');
      case 'exited':
        this.#target.exit();
        return answer('{child exited}');
    }
  }
}

const answer = (text: string): Expectation => ({ kind: 'answer', text });

/** The calls that `commit` and `gather` stand for: oracle and model get the same ones. */
export function smallSteps(
  step: Extract<Step, { op: 'commit' | 'gather' }>,
): Extract<Step, { op: 'prot' | 'touch' | 'remap' }>[] {
  const page = (i: number): CaseAddress => ({ ...step.addr, bytes: step.addr.bytes + BigInt(i) * PAGE });
  const numbers = Array.from({ length: step.nrPages }, (_, i) => i);
  if (step.op === 'gather') {
    return numbers.slice(1).map((i) => ({
      op: 'remap',
      addr: page(2 * i),
      oldLen: PAGE,
      newLen: PAGE,
      flags: 3,
      newAddr: page(i),
    }));
  }
  return new Prng(step.seed)
    .shuffle(numbers)
    .slice(0, step.first)
    .flatMap((i) => [
      { op: 'prot', addr: page(i), len: PAGE, arg: 3 },
      { op: 'touch', addr: page(i), nrPages: 1 },
    ]);
}

/** Runs a case on `target`; returns one observation a step. Throws what the target throws. */
export function runCase(c: Case, target: CaseTarget): Expectation[] {
  const run = new Run(target);
  return c.steps.map(({ step }) => run.step(step));
}
