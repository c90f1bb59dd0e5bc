/**
 * The ways to make one operation of a sequence, or the whole of it, simpler.
 *
 * An operation is what has one number: a call, and sometimes a second one that uses its result. Texts are without the number. Every way
 * makes something smaller (a number, a set of flags, the count of calls, of children), so that trying them comes to an end.
 */
import { hex, PAGE_SIZE } from '../base/units.ts';
import { WINDOW } from './scene.ts';

/** The calls of one number, as they stand behind it. */
export type Step = readonly string[];

/** A call taken apart: `@0 `, its name, its arguments, what stands behind them. */
interface CallParts {
  readonly who: string;
  readonly name: string;
  /** Without the names of the fields of a structure, which are in `wraps`: what stands before and behind each. */
  readonly args: readonly string[];
  readonly wraps: readonly (readonly [before: string, behind: string])[];
  readonly rest: string;
}

const FIELD = /^(\{?\w+=)(.*?)(\}?)$/;

const CALL = /^(@\d+ )?(\w+)\((.*)\)( = child \d+)?$/;
const END_OF_WINDOW = WINDOW + 2 ** 26;

function partsOf(call: string): CallParts | null {
  const match = CALL.exec(call);
  if (match === null) return null;
  const [, who = '', name = '', args = '', rest = ''] = match;
  const texts = args === '' ? [] : args.split(', ');
  const fields = texts.map((text) => FIELD.exec(text) ?? ['', '', text, '']);
  const wraps = fields.map(([, before = '', , behind = '']) => [before, behind] as const);
  return { who, name, args: fields.map(([, , value = '']) => value), wraps, rest };
}
const textOf = ({ who, name, args, wraps, rest }: CallParts): string =>
  `${who}${name}(${args.map((arg, i) => `${wraps[i]?.[0] ?? ''}${arg}${wraps[i]?.[1] ?? ''}`).join(', ')})${rest}`;

const isInWindow = (arg: string): boolean => /^0x2[0-9a-f]{11}$/.test(arg) && Number(arg) < END_OF_WINDOW;
const isBytes = (arg: string): boolean => /^\d+$/.test(arg) && Number(arg) > PAGE_SIZE;

/** Returns smaller values for an argument. */
function smallerArgs(arg: string): string[] {
  if (arg.includes('|')) {
    const flags = arg.split('|');
    return flags.map((_, i) => flags.toSpliced(i, 1).join('|'));
  }
  if (isInWindow(arg)) {
    const page = Math.floor((Number(arg) - WINDOW) / PAGE_SIZE);
    const pages = [0, page - (page % 512), page >> 1, page - 1].filter((p) => p >= 0 && p < page);
    const odd = Number(arg) % PAGE_SIZE;
    const aligned = odd === 0 ? [] : [hex(Number(arg) - odd)];
    return [...aligned, ...pages.map((p) => hex(WINDOW + p * PAGE_SIZE + odd))];
  }
  if (isBytes(arg)) {
    const bytes = Number(arg);
    const pages = Math.ceil(bytes / PAGE_SIZE);
    const aligned = bytes % PAGE_SIZE === 0 ? [] : [pages * PAGE_SIZE];
    const fewer = [1, pages >> 1, pages - (pages >> 2), pages - 1].filter((p) => p > 0 && p < pages);
    return [...aligned, ...fewer.map((p) => p * PAGE_SIZE)].map(String);
  }
  if (/^0x[0-9a-f]{1,6}$/.test(arg) && arg !== '0x0') return smallerBits(Number(arg));
  const over = /^now\+(\d+)$/.exec(arg);
  if (over !== null && over[1] !== '0') return ['now+0', `now+${Number(over[1]) >> 1}`];
  return [];
}

/** Returns a word of flags without each of its bits. */
function smallerBits(bits: number): string[] {
  const set = Array.from({ length: 24 }, (_, i) => 1 << i).filter((bit) => bits & bit);
  return [0, ...set.map((bit) => bits & ~bit)].map(hex);
}

/** Returns an operation made simpler, once for each way there is; the most promising first. */
export function simplerSteps(step: Step): Step[] {
  const found: Step[] = [];
  if (step.length > 1) found.push(step.slice(0, 1));
  for (const [i, call] of step.entries()) {
    const parts = partsOf(call);
    if (parts === null) continue;
    if (parts.who !== '') found.push(step.with(i, textOf({ ...parts, who: '' })));
    for (const [at, arg] of parts.args.entries())
      for (const smaller of smallerArgs(arg)) {
        // The same number twice is the same thing, most often: old and new length, or of both calls.
        if (isBytes(arg)) {
          const everywhere = step.map((text) => {
            const p = partsOf(text);
            return p === null ? text : textOf({ ...p, args: p.args.map((a) => (a === arg ? smaller : a)) });
          });
          if (
            everywhere.join() !==
            step.with(i, textOf({ ...parts, args: parts.args.with(at, smaller) })).join()
          )
            found.push(everywhere);
        }
        found.push(step.with(i, textOf({ ...parts, args: parts.args.with(at, smaller) })));
      }
  }
  return found.filter(staysInPlace);
}

/** Tells whether a second call takes no more than the first placed: behind that lies memory of the executor. */
function staysInPlace([first = '', second]: Step): boolean {
  const [made, used] = [partsOf(first), partsOf(second ?? '')];
  if (made === null || used === null || used.args[0] !== 'placed') return true;
  const placed = Number(made.args[made.name === 'mremap' ? 2 : 1]);
  return used.args
    .slice(1, 3)
    .every((arg) => !isBytes(arg) || Number(arg) <= Math.ceil(placed / PAGE_SIZE) * PAGE_SIZE);
}

/** Where an operation has addresses of the window: each with the numbers of bytes that begin there. */
function* rangesIn(parts: CallParts): Generator<{ at: number; lengths: readonly number[] }> {
  const { name, args } = parts;
  for (const [at, arg] of args.entries()) {
    if (!isInWindow(arg)) continue;
    if (args[1] === 'UFFDIO_COPY' || args[1] === 'UFFDIO_MOVE') yield { at, lengths: [4] };
    else if (name === 'mremap') yield { at, lengths: at === 0 ? [1, 2] : at === 4 ? [2] : [] };
    else yield { at, lengths: /^\d+$/.test(args[at + 1] ?? '') ? [at + 1] : [] };
  }
}

const floorPage = (addr: number): number => Math.floor((addr - WINDOW) / PAGE_SIZE);

/** Returns the pages at which ranges begin or end anywhere in a sequence, ascending, with 0. */
function bordersIn(steps: readonly Step[]): number[] {
  const borders = new Set([0]);
  for (const call of steps.flat()) {
    const parts = partsOf(call);
    if (parts === null) continue;
    for (const { at, lengths } of rangesIn(parts)) {
      const start = floorPage(Number(parts.args[at]));
      borders.add(start);
      for (const i of lengths) borders.add(start + Math.ceil(Number(parts.args[i]) / PAGE_SIZE));
    }
  }
  return [...borders].sort((a, b) => a - b);
}

/** Moves every border of a sequence to where `to` has it, so that what began or ended together still does. */
function moveBorders(steps: readonly Step[], to: ReadonlyMap<number, number>): Step[] {
  const moved = (page: number): number => to.get(page) ?? page;
  return steps.map((step) => {
    const lengths = new Map<string, string>();
    const calls = step.map((call) => {
      const parts = partsOf(call);
      if (parts === null) return call;
      const args = [...parts.args];
      for (const range of rangesIn(parts)) {
        const addr = Number(parts.args[range.at]);
        const start = floorPage(addr);
        args[range.at] = hex(WINDOW + moved(start) * PAGE_SIZE + (addr % PAGE_SIZE));
        for (const i of range.lengths) {
          const old = parts.args[i] as string;
          const pages = Math.ceil(Number(old) / PAGE_SIZE);
          const odd = pages * PAGE_SIZE - Number(old);
          const fresh = lengths.get(old) ?? String((moved(start + pages) - moved(start)) * PAGE_SIZE - odd);
          lengths.set(old, fresh);
          args[i] = fresh;
        }
      }
      return textOf({ ...parts, args });
    });
    // The second call has the length of the first.
    return calls.map((call) =>
      call.includes('placed') ? call.replaceAll(/\b\d{4,}\b/g, (n) => lengths.get(n) ?? n) : call,
    );
  });
}

/** Tells whether a range has become empty, which is something else than a small one. */
const hasEmptyRange = (steps: readonly Step[]): boolean =>
  steps.some((step) => step.some((call) => /0x2[0-9a-f]{11}, 0[,)]/.test(call)));

/** Returns the sequence with smaller gaps between its borders: all of them, then each alone. */
export function closerSteps(steps: readonly Step[]): Step[][] {
  const borders = bordersIn(steps);
  const gaps = borders.slice(1).map((border, i) => border - (borders[i] as number));
  const withGaps = (fresh: readonly number[]): Step[] => {
    let at = 0;
    const to = new Map([[0, 0]]);
    for (const [i, gap] of fresh.entries()) {
      at += gap;
      to.set(borders[i + 1] as number, at);
    }
    return moveBorders(steps, to);
  };
  const wide = gaps.flatMap((gap, i) => (gap > 1 ? [i] : []));
  if (wide.length === 0) return [];
  const found = [withGaps(gaps.map(() => 1)), withGaps(gaps.map((gap) => Math.ceil(gap / 2)))];
  for (const i of wide)
    for (const less of [0, 1, (gaps[i] as number) >> 1])
      if (less < (gaps[i] as number)) found.push(withGaps(gaps.with(i, less)));
  return found.filter((fresh) => !hasEmptyRange(fresh));
}

/** Leaves out the calls of children that do not live, and what is about them: nobody would carry them out. */
export function livingSteps(steps: readonly Step[]): Step[] {
  const living = new Set<string>();
  const isPossible = (call: string): boolean => {
    const who = /^@(\d+) /.exec(call)?.[1];
    const about = /^(?:@\d+ )?(?:child_\w+\(|process_\w+\(child )(\d+)/.exec(call)?.[1];
    if ((who !== undefined && !living.has(who)) || (about !== undefined && !living.has(about))) return false;
    const born = / = child (\d+)$/.exec(call)?.[1];
    if (born !== undefined) living.add(born);
    if (call.startsWith('child_exit(')) living.delete(about ?? '');
    return true;
  };
  return steps.map((step) => step.filter(isPossible)).filter((step) => step.length > 0);
}

/** Returns the sequence without one of its children, for each: without what the child does, and with the process itself doing it. */
export function fewerChildren(steps: readonly Step[]): Step[][] {
  const children = new Set(steps.flat().flatMap((call) => / = child (\d+)$/.exec(call)?.[1] ?? []));
  return [...children].flatMap((child) => {
    const rest = steps.filter(
      (step) => !step.some((call) => call.endsWith(` = child ${child}`) || call === `child_exit(${child})`),
    );
    return [
      rest.filter((step) => !step.some((call) => call.startsWith(`@${child} `))),
      rest.map((step) => step.map((call) => call.replace(`@${child} `, ''))),
    ];
  });
}

/** Returns the sequence without one of its userfaultfds, for each: those made after it are renamed. */
export function fewerContexts(steps: readonly Step[]): Step[][] {
  const makers = steps.flatMap((step, i) => (step[0]?.startsWith('userfaultfd(') ? [i] : []));
  return makers.map((maker, context) =>
    steps
      .filter((step, i) => i !== maker && !step.some((call) => call.includes(`(u${context},`)))
      .map((step) =>
        step.map((call) =>
          call.replace(/\(u(\d+)\b/, (all, n: string) => (Number(n) > context ? `(u${Number(n) - 1}` : all)),
        ),
      ),
  );
}

/** Returns the sequence with its children numbered from 0. */
export function renumbered(steps: readonly Step[]): Step[] {
  const numbers = new Map<string, number>();
  for (const call of steps.flat()) {
    const child = / = child (\d+)$/.exec(call)?.[1];
    if (child !== undefined && !numbers.has(child)) numbers.set(child, numbers.size);
  }
  const fresh = (child: string): string => String(numbers.get(child) ?? child);
  return steps.map((step) =>
    step.map((call) =>
      call
        .replace(/^@(\d+) /, (_, child: string) => `@${fresh(child)} `)
        .replace(/\bchild (\d+)/, (_, child: string) => `child ${fresh(child)}`)
        .replace(/^child_(\w+)\((\d+)/, (_, name: string, child: string) => `child_${name}(${fresh(child)}`),
    ),
  );
}
