/**
 * Rewrites of how memory is given back: MADV_DONTNEED, MADV_FREE, a volatile range, or not at all.
 *
 * Only calls on private anonymous memory from end to end are changed: elsewhere the other call would do something else, or be refused.
 *
 *   dontneed=free, dontneed=none     the pages stay: every access after MADV_DONTNEED was a page fault, so each of them is in the recording and finds its page now
 *   dontneed=vrange, free=vrange     VOLATILE; the next recorded access to the range is preceded by NOVOLATILE of all of it
 *   free=dontneed                    the pages go, and accesses that found them left no mark: at least the recorded ones fault, at most
 *                                    each page once to be read and once to be written
 *
 * With free=vrange no access marks the end of volatility either: the least is no call of NOVOLATILE but before recorded accesses, the most one for each VOLATILE.
 *
 * Cost   a call that is changed looks at the pages of its range
 */
import { MADV_DONTNEED, MADV_FREE } from '../../abi/mman.ts';
import { pageCeil, pageFloor } from '../../base/units.ts';
import type { Op, Outcome } from '../../machine/index.ts';
import type { Mm } from '../../mm/index.ts';
import type { ReplayOp } from '../../replay/index.ts';
import { grouped } from '../../report/index.ts';
import type { Act, ActReport, ActSetting, Bound, Living, Stage, Turn } from './act.ts';
import { GivenBack, PossibleAccesses, pagesIn, presentRuns, type Range, unfitFor } from './memory.ts';

/** How memory is given back. */
export type Giving = 'dontneed' | 'free' | 'vrange' | 'none';

/** The advice that is changed, by the word it is called by. */
const ADVICE = { dontneed: MADV_DONTNEED, free: MADV_FREE } as const;
const NAMES = { dontneed: 'MADV_DONTNEED', free: 'MADV_FREE' } as const;

/** Which rewrite. */
export interface GiveBackRule {
  readonly from: keyof typeof ADVICE;
  readonly to: Giving;
}

type Advice = Extract<Op, { call: 'madvise' }>;

/** Changes how memory is given back. */
export class GiveBack implements Act {
  readonly #rule: GiveBackRule;
  readonly #setting: ActSetting;
  readonly #bound: Bound;
  #applied = 0;
  #bytes = 0;
  #pages = 0;
  readonly #left = new Map<string, number>();
  readonly #given = new GivenBack();
  #takenBack = 0;
  #foundPurged = 0;
  /** Pages that are to be accessed behind the call at hand. */
  #dropped: Range[] = [];
  readonly #possible = new PossibleAccesses();
  #marked: Range | null = null;
  /** Pages that went, by address space; and how many of them a child of a later fork may have read besides. */
  readonly #gone = new Map<Mm, number>();
  #inChildren = 0;

  constructor(rule: GiveBackRule, setting: ActSetting) {
    this.#rule = rule;
    this.#setting = setting;
    this.#bound = setting.isComplete ? null : setting.bound;
  }

  turn(item: ReplayOp, { mm }: Living, stage: Stage): Turn | null {
    const { op } = item;
    if (op.call === 'touch') {
      if (this.#rule.to === 'vrange') this.#takeBack(mm, op, stage);
      this.#given.access(mm, op);
      return null;
    }
    if (op.call === 'process_madvise' && op.advice === ADVICE[this.#rule.from])
      this.#leave('process_madvise');
    if (op.call !== 'madvise' || op.advice !== ADVICE[this.#rule.from]) return null;
    const unfit = unfitFor(mm, op.addr, op.len);
    if (unfit === null) return this.#change(op, mm);
    this.#leave(unfit);
    return null;
  }

  #leave(why: string): void {
    this.#left.set(why, (this.#left.get(why) ?? 0) + 1);
  }

  #change(op: Advice, mm: Mm): Turn {
    const len = pageCeil(op.len);
    const range = { start: op.addr, end: op.addr + len };
    const runs = presentRuns(mm, range.start, range.end);
    this.#applied++;
    this.#bytes += len;
    this.#pages += pagesIn(runs);
    const { to } = this.#rule;
    if (this.#rule.from === 'dontneed') this.#given.add(mm, runs);
    if (to === 'none') return { op: null };
    if (to === 'vrange') {
      if (this.#bound === 'most') this.#marked = range;
      return { op: { call: 'vrange', addr: op.addr, len, mode: 'volatile', behavior: 'partial' } };
    }
    if (this.#bound === 'most' && to === 'dontneed') {
      this.#dropped = runs;
      this.#gone.set(mm, (this.#gone.get(mm) ?? 0) + pagesIn(runs));
    }
    return { op: { ...op, advice: ADVICE[to] } };
  }

  /** Ends the volatility of every range that is about to be accessed, of each as a whole. */
  #takeBack(mm: Mm, { addr, len }: Extract<Op, { call: 'touch' }>, stage: Stage): void {
    const { vranges } = mm;
    if (vranges === null || vranges.size === 0) return;
    const range = { start: pageFloor(addr), end: pageCeil(addr + len) };
    const nodes = [...vranges.overlapping(range)].map(({ start, end }) => ({ start, end }));
    for (const node of nodes) this.#novolatile(node, stage);
  }
  #novolatile({ start, end }: Range, stage: Stage): void {
    const came = stage.inject({
      call: 'vrange',
      addr: start,
      len: end - start,
      mode: 'novolatile',
      behavior: 'partial',
    });
    this.#takenBack++;
    if (came.kind === 'value' && came.value === 1) this.#foundPurged++;
  }

  done(item: ReplayOp, outcome: Outcome, stage: Stage): void {
    const marked = this.#marked;
    if (marked !== null) {
      this.#marked = null;
      this.#novolatile(marked, stage);
    }
    const mm = stage.machine.processOf(item.task)?.mm ?? null;
    if (mm === null || this.#bound !== 'most') return;
    if (item.op.call === 'clone' && outcome.kind === 'value')
      this.#forked(mm, stage.machine.processOf(outcome.value)?.mm ?? mm);
    if (this.#dropped.length > 0) {
      this.#possible.make(mm, this.#dropped, stage);
      this.#dropped = [];
    } else if (item.op.call === 'mprotect') this.#possible.again(mm, stage);
  }

  /** A page that its parent did not access before the fork is missing in the child, too, where a read would have found it. */
  #forked(parent: Mm, child: Mm): void {
    const gone = this.#gone.get(parent) ?? 0;
    if (child === parent || gone === 0) return;
    this.#gone.set(child, gone);
    this.#inChildren += gone;
  }

  report(): ActReport {
    const { from, to } = this.#rule;
    const { found, foundByRead } = this.#given;
    const keeps = from === 'dontneed';
    return {
      name: `as ${from}=${to}`,
      applied: this.#applied,
      left: Object.fromEntries(this.#left),
      figures: {
        'kB in these calls': this.#bytes / 1024,
        'pages in these calls that were there': this.#pages,
        ...(to === 'vrange'
          ? { 'calls of NOVOLATILE': this.#takenBack, 'of them, found something purged': this.#foundPurged }
          : {}),
        ...(keeps ? { 'accesses that find their page': found, 'of them, to read': foundByRead } : {}),
      },
      remarks: [...this.#certainty(), ...this.#meaning(foundByRead)],
    };
  }

  #certainty(): string[] {
    const { from, to } = this.#rule;
    if (this.#setting.isComplete) return ['certain: the input tells every access'];
    if (this.#setting.bound === 'some')
      return ['with the recorded accesses alone: those to what is reclaimed besides left no mark'];
    if (from === 'dontneed')
      return [
        `certain: after ${NAMES[from]} the first access to a page is a fault, so the recording has every access that matters`,
      ];
    if (this.#bound === 'most')
      return [
        to === 'vrange'
          ? 'the most: NOVOLATILE behind each VOLATILE'
          : 'the most: each page that goes is read and then written, two faults, before it goes again',
        ...(this.#inChildren === 0
          ? []
          : [
              `to the most come reads by children of later forks of what their parent had not accessed before: ${grouped(this.#inChildren)} faults if all did`,
            ]),
      ];
    return [
      to === 'vrange'
        ? 'the least: the recording does not tell when a page was used again after MADV_FREE, so NOVOLATILE is counted only before recorded faults'
        : 'the least: an access that found its page after MADV_FREE left no mark, and would fault now',
    ];
  }

  #meaning(foundByRead: number): string[] {
    const { from, to } = this.#rule;
    if (from !== 'dontneed' || foundByRead === 0) return [];
    const rest =
      to === 'vrange' ? 'unless it was purged' : to === 'free' ? 'unless the page was dropped' : 'always';
    return [
      `${grouped(foundByRead)} of these pages are read before they are written: the program may expect zeros there, and sees what was there before (${rest})`,
    ];
  }
}
