/**
 * Rows of seed 003 about allocators: VmPTE at the peak and after everything, or all but one block in 16, was freed, with one trace for all; and what each policy
 * makes of the allocator that gives back at each free.
 */
import type { Features } from '../mm/index.ts';
import { numberParam } from '../workloads/index.ts';
import { BEFORE_KIB, type BloatRun, runBloat } from './bloatRun.ts';
import type { ExperimentInput } from './experiment.ts';
import { type Row, rowOf } from './row.ts';

/** Blocks that are allocated, written and freed. */
interface Load {
  readonly name: string;
  readonly blocks: number;
  readonly size: number;
  readonly keep: number;
}
const KIB = 1024;
const LOADS: readonly Load[] = [
  { name: '64 KiB, all', blocks: 20_000, size: 64 * KIB, keep: 0 },
  { name: '64 KiB, 1/16 kept', blocks: 20_000, size: 64 * KIB, keep: 16 },
  { name: '4 KiB, all', blocks: 200_000, size: 4 * KIB, keep: 0 },
  { name: '1.8 MiB, all', blocks: 600, size: Math.floor(1.8 * KIB * KIB), keep: 0 },
];

type Pair = readonly [peak: number, after: number];
interface Allocator {
  readonly name: string;
  readonly recipe: 'glibc' | 'je-small' | 'je-decay';
  readonly params: Readonly<Record<string, number>>;
  /** VmPTE measured on Linux 6.18, KiB, by load. */
  readonly measured: readonly Pair[];
  /** Why what is left after a load is not what was measured, by its name. */
  readonly known?: Readonly<Record<string, string>>;
}

const PIECES =
  'ours gives all of it back in one piece when its time has come; there some went earlier, in smaller pieces, and its own records take tables';

// biome-ignore format: a table
const ALLOCATORS: readonly Allocator[] = [
  { name: 'glibc', recipe: 'glibc', params: {}, measured: [[2544, 40], [2548, 2544], [1612, 40], [2228, 44]] },
  { name: 'jemalloc', recipe: 'je-decay', params: { dirty: 10_000, wait: 0 }, measured: [[2744, 928], [2740, 2740], [1696, 1696], [2508, 812]] },
  { name: 'jemalloc, dirty 100 ms', recipe: 'je-decay', params: { dirty: 100, wait: 200 }, measured: [[2744, 796], [2740, 2740], [1692, 416], [2512, 816]], known: { '4 KiB, all': PIECES } },
  { name: 'jemalloc, dirty 0', recipe: 'je-small', params: {}, measured: [[2744, 2744], [2752, 2752], [1684, 1684], [2508, 2420]] },
];

const FULL_BLOCKS = 20_000;
/** A program has a heap by brk, and its tables, before it allocates anything: a table and two above it. */
const HEAP_KIB = 12;
/** Tells whether blocks come from that heap; large ones are mapped. */
const usesHeap = ({ recipe }: Allocator, { size }: Load): boolean => recipe === 'glibc' && size < 128 * KIB;

function play(input: ExperimentInput, allocator: Allocator, load: Load, more: Policy = {}): BloatRun {
  const share = numberParam(input.params, 'blocks') / FULL_BLOCKS;
  const { size, keep } = load;
  const params = {
    ...allocator.params,
    blocks: Math.max(1, Math.round(load.blocks * share)),
    size,
    keep,
    ...more.params,
  };
  const { calibration } = input.costs;
  return runBloat({ calibration, recipe: allocator.recipe, params, features: more.features ?? {} });
}

interface Policy {
  readonly params?: Readonly<Record<string, string | number>>;
  readonly features?: Partial<Features>;
}

/** The table. */
export function allocatorRows(input: ExperimentInput): Row[] {
  const isMeasured = numberParam(input.params, 'blocks') === FULL_BLOCKS;
  return ALLOCATORS.flatMap((allocator) => {
    input.progress(allocator.name);
    return LOADS.flatMap((load, i) => {
      const run = play(input, allocator, load);
      const [peak, after] = allocator.measured[i] as Pair;
      const row = (what: string, measured: number, modelledKib: number, known?: string): Row =>
        rowOf({
          name: `${allocator.name}, ${load.name}: VmPTE ${what}`,
          measured: isMeasured ? measured : null,
          modelled: BEFORE_KIB - (usesHeap(allocator, load) ? HEAP_KIB : 0) + modelledKib,
          unit: 'KiB',
          tolerance: 0.25,
          note: 'the allocators are models of ours; 40 KiB are the program before',
          known: known ?? null,
        });
      const known = allocator.known?.[load.name];
      return [row('at the peak', peak, run.mostKib), row('after', after, run.endKib, known)];
    });
  });
}

const POLICIES: Readonly<Record<string, Policy>> = {
  'sync (6.14)': { features: { ptReclaim: 'sync' } },
  'scanned for': { features: { ptReclaim: 'async' }, params: { settle: 1200 } },
  'MADV_PT_RECLAIM at the end': { params: { advise: 'end' } },
  'entries counted': { features: { ptReclaim: 'refcount' } },
};

/** What each policy leaves of the allocator that gives back at each free. */
export function policyRows(input: ExperimentInput): Row[] {
  const allocator = ALLOCATORS[3] as Allocator;
  const load = LOADS[0] as Load;
  const off = play(input, allocator, load, { features: { ptReclaim: 'off' } });
  return Object.entries(POLICIES).map(([name, policy]) => {
    input.progress(`${allocator.name}, ${name}`);
    const run = play(input, allocator, load, policy);
    const isSync = name.startsWith('sync');
    return rowOf({
      name: `${allocator.name}, ${load.name}: empty tables that go, ${name}`,
      modelled: 1 - run.emptyKib / off.emptyKib,
      unit: 'share',
      within: isSync ? [0, 0.05] : [0.95, 1],
      note: 'pieces that are smaller than a table: the rule of 6.14 frees none',
    });
  });
}
