/**
 * The probe `bloat`: a census of page tables while the input is played. It only looks.
 *
 * Tables of the process the input is about, and how many of them hold nothing. A few dozen moments are kept: when there are too many, every other one is
 * dropped and the next ones are taken half as often.
 *
 * Cost   a look at two counters an operation; one visit of all tables for each moment
 */
import { PAGE_SIZE, TASK_SIZE } from '../../base/units.ts';
import type { Outcome, Process } from '../../machine/index.ts';
import type { Mm } from '../../mm/index.ts';
import { KIND_MASK, TABLE } from '../../mm/pte.ts';
import type { ReplayOp } from '../../replay/index.ts';
import type { Act, ActReport, Stage } from './act.ts';

const KB = PAGE_SIZE / 1024;
const MOMENTS = 24;
const NS_PER_MS = 1e6;

/** One moment: as it is printed. */
type Moment = readonly [
  op: number,
  ms: number,
  tables: number,
  empty: number,
  used: number,
  resident: number,
];

const TITLES = ['op', 'ms', 'tables kB', 'empty kB', 'entries used %', 'resident kB'];
/** Without times. */
const UNTIMED = TITLES.filter((title) => title !== 'ms');

/** Counts page tables over time. */
export class Bloat implements Act {
  #process: Process | null = null;
  #mm: Mm | null = null;
  #moments: Moment[] = [];
  #stride = 64;
  #toGo = 0;
  #peak = 0;
  #emptyPeak = 0;
  #isTimed = false;

  begin(process: Process, stage: Stage): void {
    this.#isTimed = stage.machine.tableReclaim.clock !== null;
    this.#process = process;
    this.#mm = process.mm;
  }

  done(_item: ReplayOp, _outcome: Outcome, stage: Stage): void {
    const mm = this.#process?.mm ?? null;
    if (mm === null) return;
    this.#mm = mm;
    this.#peak = Math.max(this.#peak, mm.pages.bytes);
    this.#emptyPeak = Math.max(this.#emptyPeak, mm.pages.nrEmpty);
    if (this.#toGo-- > 0) return;
    this.#toGo = this.#stride - 1;
    this.#moments.push(momentOf(mm, stage));
    if (this.#moments.length < MOMENTS * 2) return;
    this.#moments = this.#moments.filter((_moment, i) => i % 2 === 0);
    this.#stride *= 2;
  }

  end(stage: Stage): void {
    const mm = this.#process?.mm ?? null;
    if (mm !== null && this.#moments.at(-1)?.[0] !== stage.nr) this.#moments.push(momentOf(mm, stage));
  }

  report(): ActReport {
    const [, , tables = 0, empty = 0, used = 0] = this.#moments.at(-1) ?? [];
    const isGone = this.#mm?.gone === true;
    return {
      name: 'probe bloat',
      applied: 0,
      left: {},
      figures: {
        'tables at the peak, kB': this.#peak / 1024,
        'empty at the peak, kB': this.#emptyPeak * KB,
        [`tables at the ${isGone ? 'last look' : 'end'}, kB`]: tables,
        'of them empty, kB': empty,
        'entries used, %': used,
      },
      remarks: ['looks only: nothing else changes'],
      series: {
        titles: this.#isTimed ? TITLES : UNTIMED,
        rows: thinned(this.#moments).map((row) => (this.#isTimed ? row : row.filter((_value, i) => i !== 1))),
      },
    };
  }
}

/** At most MOMENTS of them, the first and the last among them. */
function thinned(moments: readonly Moment[]): Moment[] {
  const step = Math.ceil(moments.length / MOMENTS);
  return moments.filter((_moment, i) => i % step === 0 || i === moments.length - 1);
}

function momentOf(mm: Mm, stage: Stage): Moment {
  const { pages } = mm;
  const resident = (mm.rssAnon + mm.rssFile + mm.rssShmem) * KB;
  const percent = pages.nrPtes === 0 ? 0 : Math.round((1000 * usedEntries(mm)) / (512 * pages.nrPtes)) / 10;
  const ms = Math.round(stage.now / (NS_PER_MS / 10)) / 10;
  return [stage.nr, ms, pages.bytes / 1024, pages.nrEmpty * KB, percent, resident];
}

/** Returns how many entries of the lowest level are not none. */
function usedEntries(mm: Mm): number {
  let used = 0;
  mm.pages.forEachSlot(0, TASK_SIZE, (base, pmd) => {
    if ((pmd & KIND_MASK) === TABLE) used += mm.pages.nrUsed(base);
  });
  return used;
}
