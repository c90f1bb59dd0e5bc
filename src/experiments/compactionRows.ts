/**
 * Rows of seed 000 about one compaction of a heap: times of the strategies by who asks for pages, and what each allocates, copies and gives back.
 */
import type { Param } from '../workloads/index.ts';
import { numberParam } from '../workloads/index.ts';
import {
  type Access,
  type Compaction,
  compact,
  type MeasuredCompaction,
  MODES,
  type Mode,
} from './compaction.ts';
import type { ExperimentInput } from './experiment.ts';
import { type Row, rowOf } from './row.ts';

/** Parameters of the compaction. */
export const COMPACTION_PARAMS: Readonly<Record<string, Param>> = {
  heap: { default: 256, unit: 'MiB', text: 'size of the heap that is compacted', min: 2, max: 4096 },
  batch: { default: 64, unit: 'pages', text: 'pages that a collector produces at a time', min: 1, max: 64 },
  threads: { default: 1, unit: 'threads', text: 'collector threads, each on a CPU', min: 1, max: 16 },
};

interface Scene {
  readonly name: string;
  readonly access: Access;
  readonly batch: number;
  readonly threads: number;
}

type ByMode = Readonly<Record<Mode, number>>;
/** What was measured of one scene, on 256 MiB. Times in milliseconds; pages allocated in the whole machine where that was looked at. */
interface Measured {
  readonly totalMs: ByMode;
  readonly minorFaults: ByMode;
  readonly allocated?: ByMode;
}

const MEASURED_PAGES = 65536;
const FAULTED: ByMode = { protnone: 32_768, copy: 0, continue: 16_384, move: 0 };
const COLLECTED: ByMode = { protnone: 16_384, copy: 0, continue: 16_384, move: 0 };

// biome-ignore format: a table
const MEASURED: Readonly<Record<string, Measured>> = {
  'random':      { totalMs: { protnone: 507, copy: 336, continue: 332, move: 311 }, minorFaults: FAULTED,
                   allocated: { protnone: 17_850, copy: 98_430, continue: 16_670, move: 49_270 } },
  'random-read': { totalMs: { protnone: 536, copy: 325, continue: 367, move: 276 }, minorFaults: FAULTED,
                   allocated: { protnone: 17_800, copy: 49_270, continue: 16_670, move: 117 } },
  'sequential':  { totalMs: { protnone: 343, copy: 342, continue: 318, move: 301 }, minorFaults: FAULTED,
                   allocated: { protnone: 16_450, copy: 98_430, continue: 16_670, move: 49_269 } },
  'collector 1': { totalMs: { protnone: 185, copy: 136, continue: 154, move: 83.7 }, minorFaults: COLLECTED,
                   allocated: { protnone: 20_050, copy: 51_120, continue: 19_380, move: 117 } },
  'collector 64': { totalMs: { protnone: 110, copy: 99.1, continue: 115, move: 30.3 }, minorFaults: COLLECTED,
                    allocated: { protnone: 17_400, copy: 50_750, continue: 16_580, move: 117 } },
};
const MEASURED_GIVEN_BACK: ByMode = { protnone: 32_768, copy: 65_536, continue: 65_536, move: 16_384 };
/** Vmas at the most, less the 27 from before. */
const MEASURED_MORE_VMAS = 24_462 - 27;

const totalMs = ({ armNs, runNs, finishNs }: MeasuredCompaction): number => (armNs + runNs + finishNs) / 1e6;
const allocated = ({ pagesAllocated, tablesAllocated }: Compaction): number =>
  pagesAllocated + tablesAllocated;

/** Times nearer than this share are a tie. */
const TIE = 0.02;

/** Of the pairs of strategies that are no tie, how many are in the order of `reference`. */
function pairsLike(reference: ByMode, values: ByMode): { pairs: number; alike: number } {
  let pairs = 0;
  let alike = 0;
  MODES.forEach((a, i) => {
    for (const b of MODES.slice(i + 1)) {
      const [one, other] = [reference[a], reference[b]];
      if (Math.abs(one - other) < TIE * Math.max(one, other)) continue;
      pairs++;
      if (one < other === values[a] < values[b]) alike++;
    }
  });
  return { pairs, alike };
}

const nameOf = ({ access, batch, threads }: Scene): string => {
  if (access !== 'collector') return `application, ${access}`;
  const who = threads === 1 ? 'collector' : `${threads} collectors`;
  return `${who}, ${batch} ${batch === 1 ? 'page' : 'pages'} at a time`;
};

function scenesOf(input: ExperimentInput): Scene[] {
  const batch = numberParam(input.params, 'batch');
  const threads = numberParam(input.params, 'threads');
  const scene = (access: Access, each: number): Scene => ({
    name: access === 'collector' ? `collector ${each}` : access,
    access,
    batch: each,
    threads: access === 'collector' ? threads : 1,
  });
  const accesses = ['random', 'random-read', 'sequential'] as const;
  return [
    ...accesses.map((access) => scene(access, 1)),
    scene('collector', 1),
    ...(batch === 1 ? [] : [scene('collector', batch)]),
  ];
}

const byMode = (each: (mode: Mode) => number): ByMode => ({
  protnone: each('protnone'),
  copy: each('copy'),
  continue: each('continue'),
  move: each('move'),
});

/** What is known of a scene: of the running kernel, if it is asked, else what was measured before. */
function measuredOf({ kernel }: ExperimentInput, scene: Scene, pages: number): Measured | null {
  const { access, batch, threads } = scene;
  if (kernel === null)
    return pages === MEASURED_PAGES && threads === 1 ? (MEASURED[scene.name] ?? null) : null;
  const runs = new Map(
    MODES.map((mode) => [mode, kernel.compaction({ mode, access, pages, batch, threads })]),
  );
  const of = (mode: Mode): MeasuredCompaction => runs.get(mode) as MeasuredCompaction;
  return {
    totalMs: byMode((mode) => totalMs(of(mode))),
    minorFaults: byMode((mode) => of(mode).minorFaults),
  };
}

function sceneRows(input: ExperimentInput, scene: Scene, pages: number): Row[] {
  const label = `${(pages * 4) / 1024} MiB, ${nameOf(scene)}`;
  input.progress(label);
  const { access, batch, threads } = scene;
  const { calibration } = input.costs;
  const runs = new Map(
    MODES.map((mode) => [mode, compact({ calibration, mode, access, pages, batch, threads })]),
  );
  const of = (mode: Mode): Compaction => runs.get(mode) as Compaction;
  const known = measuredOf(input, scene, pages);
  const modelled = byMode((mode) => totalMs(of(mode)));
  const times = MODES.map((mode) => {
    const beside = known === null ? '' : `, measured ${known.totalMs[mode].toFixed(1)} ms`;
    return `${mode} ${modelled[mode].toFixed(1)} ms${beside}`;
  }).join('; ');
  const note = `modelled: ${times}`;
  const rows: Row[] = [];
  if (known !== null) {
    const { pairs, alike } = pairsLike(known.totalMs, modelled);
    rows.push(
      rowOf({
        name: `${label}: pairs in the measured order`,
        measured: pairs,
        modelled: alike,
        unit: 'pairs',
        note: 'pairs of strategies whose measured times are more than 2 % apart',
      }),
    );
  }
  for (const mode of ['protnone', 'copy', 'continue'] as const)
    rows.push(
      rowOf({
        name: `${label}: ${mode} / move`,
        measured: known === null ? null : known.totalMs[mode] / known.totalMs.move,
        modelled: modelled[mode] / modelled.move,
        unit: 'times',
        tolerance: 0.25,
        note,
      }),
    );
  for (const mode of MODES) rows.push(...countRows({ label, scene, mode, run: of(mode), known, pages }));
  return rows;
}

function countRows(of: {
  label: string;
  scene: Scene;
  mode: Mode;
  run: Compaction;
  known: Measured | null;
  pages: number;
}): Row[] {
  const { label, scene, mode, run, known, pages } = of;
  const targets = (pages * 3) / 4;
  const only = (value: number): { within: readonly [number, number] } => ({ within: [value, value] });
  const isWrite = scene.access === 'random' || scene.access === 'sequential';
  // Shared memory gets a page for each gathered one; MOVE takes none, but what a store takes in vain before it asks.
  const inVain = isWrite && (mode === 'copy' || mode === 'move') ? targets : 0;
  const needed = mode === 'copy' ? targets : mode === 'move' ? 0 : pages / 4;
  return [
    rowOf({
      name: `${label}, ${mode}: minor faults`,
      measured: known?.minorFaults[mode] ?? null,
      modelled: run.minorFaults,
      unit: 'faults',
    }),
    rowOf({
      name: `${label}, ${mode}: pages allocated`,
      modelled: run.pagesAllocated,
      unit: 'pages',
      ...only(needed + inVain),
      note: `and ${run.tablesAllocated} page tables${known?.allocated === undefined ? '' : `; measured: ${known.allocated[mode]} pages of all kinds in the whole machine (${allocated(run)} modelled), which counts what the kernel keeps vmas in, too`}`,
    }),
    rowOf({
      name: `${label}, ${mode}: pages copied by the kernel`,
      modelled: run.pagesCopied,
      unit: 'pages',
      ...only(mode === 'copy' ? targets : 0),
    }),
  ];
}

function shapeRows(input: ExperimentInput, pages: number): Row[] {
  const { calibration } = input.costs;
  const { kernel } = input;
  const isMeasured = kernel === null && pages === MEASURED_PAGES;
  const measure = (mode: Mode, access: Access): MeasuredCompaction | null =>
    kernel?.compaction({ mode, access, pages, batch: 1, threads: 1 }) ?? null;
  const label = `${(pages * 4) / 1024} MiB`;
  const run = (mode: Mode, access: Access): Compaction =>
    compact({ calibration, mode, access, pages, batch: 1, threads: 1 });
  return [
    rowOf({
      name: `${label}, application, random, protnone: vmas more at the most`,
      measured: isMeasured ? MEASURED_MORE_VMAS : (measure('protnone', 'random')?.moreVmas ?? null),
      modelled: run('protnone', 'random').moreVmas,
      unit: 'vmas',
      note: 'looked at 32 times on the way, after the same accesses in the same order; the other strategies make none',
    }),
    ...MODES.map((mode) =>
      rowOf({
        name: `${label}, ${mode}: pages given back by madvise`,
        measured: isMeasured
          ? MEASURED_GIVEN_BACK[mode]
          : (measure(mode, 'collector')?.pagesGivenBack ?? null),
        modelled: run(mode, 'collector').pagesGivenBack,
        unit: 'pages',
        tolerance: mode === 'move' ? 0.001 : 0,
        note:
          mode === 'move' ? 'a page that the collector had before is used up instead of one of these' : null,
      }),
    ),
  ];
}

/** All rows about compaction. */
export function compactionRows(input: ExperimentInput): Row[] {
  const pages = numberParam(input.params, 'heap') * 256;
  return [...scenesOf(input).flatMap((scene) => sceneRows(input, scene, pages)), ...shapeRows(input, pages)];
}
