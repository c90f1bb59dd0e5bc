/**
 * What the recipes of bloat/* have in common: a program that makes page tables and leaves them without entries, what it is asked at the end, and what
 * it tells.
 *
 * A recipe does its load; then it may ask for its tables to be freed (`advise`), or run on for a while so that whoever scans comes by (`settle`). Figures
 * are VmPTE before and after, what of it is needed, and who freed the rest. Last it looks at its memory: what it kept holds what it wrote, what it gave
 * back reads as zeros.
 *
 * Cost   the check maps the pages that it looks at, after the figures were taken
 */
import { MADV_DONTNEED, MADV_PT_RECLAIM, MAP_NORESERVE } from '../../abi/mman.ts';
import { must } from '../../base/assert.ts';
import type { Prng } from '../../base/prng.ts';
import { type Addr, PAGE_SIZE, PMD_SIZE } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import { FACT, type FactName, type Mm } from '../../mm/index.ts';
import type { Figures, MachineNeeds, ThreadedWorkload } from '../threaded.ts';
import { numberParam, type Param, type Params, type ParamValue } from '../workload.ts';

/** A table in KiB, and what of a page is looked at where there is much of it. */
const KIB_A_TABLE = PAGE_SIZE / 1024;
const MOST_LOOKED_AT = 64;

/** Where memory of a recipe lies: a multiple of 1 GiB, with room for 64 TiB above it. */
export const AREA: Addr = 0x1000_4000_0000;
/** Room apart from it, in other GiB. */
export const ASIDE: Addr = 0x7000_0000_0000;

const COUNTED: Readonly<Record<string, FactName>> = {
  'tables freed by MADV_DONTNEED': 'ptFreedSync',
  'tables freed by scans': 'ptFreedAsync',
  'tables freed by MADV_PT_RECLAIM': 'ptFreedAdvised',
  'tables freed with their last entry': 'ptFreedCounted',
  scans: 'ptScans',
  'tables that scans looked at': 'ptScanTables',
};

/** What a recipe notes on its way. */
export class Bloat {
  readonly mm: Mm;
  /** Tables of the program before its load. */
  readonly #before: number;
  #most = 0;
  #advised: { readonly start: Addr; readonly end: Addr } | null = null;
  readonly #kept: { readonly addr: Addr; readonly word: number }[] = [];
  readonly #gone: Addr[] = [];
  /** Figures of this recipe alone. */
  readonly own: Record<string, number> = {};

  constructor(t: Thread) {
    this.mm = must(t.mm, '[task-state] a thread that runs has memory');
    this.#before = this.mm.pages.bytes;
  }

  /** Looks at how many tables there are now; recipes do when there are many. */
  look(): void {
    this.#most = Math.max(this.#most, this.mm.pages.bytes);
  }
  /** MADV_PT_RECLAIM is to be asked for that, if it is asked for. */
  advise(start: Addr, end: Addr): void {
    this.#advised = { start, end };
  }
  get advised(): { readonly start: Addr; readonly end: Addr } | null {
    return this.#advised;
  }
  /** The word at `addr` has to be `word` at the end. */
  keep(addr: Addr, word: number): void {
    this.#kept.push({ addr, word });
  }
  /** The page at `addr` was given back. */
  gone(addr: Addr): void {
    this.#gone.push(addr);
  }

  /** KiB of VmPTE that the load made. */
  get kib(): number {
    return (this.mm.pages.bytes - this.#before) / 1024;
  }
  get mostKib(): number {
    return (Math.max(this.#most, this.mm.pages.bytes) - this.#before) / 1024;
  }

  /** Looks at some of what was kept and of what was given back. */
  *check(t: Thread): Running<void> {
    for (const { addr, word } of sampled(this.#kept)) yield* t.expect(addr, word);
    for (const addr of sampled(this.#gone)) yield* t.expect(addr, 0);
  }
}

/** At most so many of `list`, evenly. */
function sampled<T>(list: readonly T[]): T[] {
  const step = Math.max(1, Math.ceil(list.length / MOST_LOOKED_AT));
  return list.filter((_, i) => i % step === 0);
}

/** A recipe without what all have in common. */
export interface Recipe {
  readonly name: string;
  readonly title: string;
  readonly text: string;
  readonly params: Readonly<Record<string, Param>>;
  readonly needs?: MachineNeeds;
  /** What `--full` sets. */
  readonly full?: Readonly<Record<string, ParamValue>>;
  load(t: Thread, bloat: Bloat, params: Params, prng: Prng): Running<void>;
}

const COMMON: Readonly<Record<string, Param>> = {
  advise: {
    default: 'no',
    unit: '',
    text: 'what is asked for all of the memory at the end: its empty tables (MADV_PT_RECLAIM), or MADV_DONTNEED',
    choices: ['no', 'end', 'dontneed'],
  },
  settle: {
    default: 0,
    unit: 'ms',
    text: 'how long the program runs on, so that scans come by',
    max: 1_000_000,
  },
};

/** Makes a workload of a recipe. */
export function bloatOf(recipe: Recipe): ThreadedWorkload {
  const { name, title, text, params, needs, full, load } = recipe;
  return {
    name: `bloat/${name}`,
    title,
    text,
    params: { ...params, ...COMMON },
    ...(full === undefined ? {} : { full }),
    machine: (settled) => ({
      cpus: 1,
      contents: 'fingerprint',
      ...needs,
      features: { ...needs?.features, ...(settled['advise'] === 'end' ? { madvPtReclaim: 'on' } : {}) },
    }),
    *main(t, settled, prng) {
      // A program has memory already, and with it the tables above those of the area.
      yield* t.mmap(PAGE_SIZE, { at: AREA - PAGE_SIZE });
      yield* t.touch(AREA - PAGE_SIZE);
      const bloat = new Bloat(t);
      yield* load(t, bloat, settled, prng);
      const loaded = bloat.kib;
      bloat.look();
      yield* ask(t, bloat, settled);
      yield* runOn(t, numberParam(settled, 'settle'));
      const figures = figuresOf(t, bloat, loaded);
      yield* bloat.check(t);
      return figures;
    },
  };
}

function* ask(t: Thread, { advised }: Bloat, params: Params): Running<void> {
  if (params['advise'] === 'no' || advised === null) return;
  const { start, end } = advised;
  const advice = params['advise'] === 'end' ? MADV_PT_RECLAIM : MADV_DONTNEED;
  // A range with holes is gone through, and refused at its end.
  yield* t.attempt({ call: 'madvise', addr: start, len: end - start, advice });
}

const NS_PER_MS = 1e6;

/** The program computes, and makes a call now and then. */
function* runOn(t: Thread, ms: number): Running<void> {
  for (let i = 0; i < ms; i++) {
    yield* t.work(NS_PER_MS);
    yield* t.call({ call: 'nop' });
  }
}

function figuresOf(t: Thread, bloat: Bloat, loadedKib: number): Figures {
  const { pages, rssAnon, rssFile, rssShmem, nrSwap } = bloat.mm;
  const { facts } = t.simulation.kernel.work;
  const entries = rssAnon + rssFile + rssShmem + nrSwap;
  const counted = Object.entries(COUNTED).map(([name, fact]) => [name, facts[FACT[fact]] as number] as const);
  return {
    'VmPTE at the most, KiB': bloat.mostKib,
    'VmPTE after the load, KiB': loadedKib,
    'VmPTE at the end, KiB': bloat.kib,
    'of it tables without entries, KiB': pages.empties.nr * KIB_A_TABLE,
    'pages held by 1000 tables': pages.nrPtes === 0 ? 0 : Math.round((1000 * entries) / pages.nrPtes),
    'resident at the end, KiB': (rssAnon + rssFile + rssShmem) * KIB_A_TABLE,
    ...Object.fromEntries(counted),
    ...bloat.own,
  };
}

/** Reserves `len` bytes of a recipe's area, from `at`. */
export function* reserve(t: Thread, len: number, at: Addr = AREA): Running<Addr> {
  return yield* t.mmap(len, { at, flags: MAP_NORESERVE });
}

/** Gives [addr, addr+len) back. */
export const giveBack = (t: Thread, addr: Addr, len: number): Running<void> =>
  t.madvise(addr, len, MADV_DONTNEED);

/** The parameter for how many tables there are. */
export const tablesParam = (tables: number): Param => ({
  default: tables,
  unit: 'tables',
  text: 'page tables that are made: 2 MiB of addresses each',
  min: 1,
  max: 2 ** 25,
});

/** Bytes of addresses of the tables asked for. */
export const bytesOf = (params: Params): number => numberParam(params, 'tables') * PMD_SIZE;

/** The parameter for how many pages are written. @param pages  unless told; @param text  of what */
export const writtenParam = (pages: number, text: string, max = 512): Param => ({
  default: pages,
  unit: 'pages',
  text,
  min: 1,
  max,
});

/** The load of most recipes: reserves as many tables as asked for, does `each` for every 2 MiB of them, and then `last`; MADV_PT_RECLAIM is for all of it. */
export function* forEachTable(
  t: Thread,
  bloat: Bloat,
  params: Params,
  of: { each(base: Addr): Running<void>; last?(bytes: number): Running<void> },
): Running<void> {
  const bytes = bytesOf(params);
  yield* reserve(t, bytes);
  for (let base = AREA; base < AREA + bytes; base += PMD_SIZE) yield* of.each(base);
  if (of.last !== undefined) yield* of.last(bytes);
  bloat.advise(AREA, AREA + bytes);
}
