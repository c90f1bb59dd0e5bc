/**
 * What seed 004 does to a recording: its blocked pairs on the baseline, with each half of the proposal and with both, the kernel's own
 * count of them, and how many merges fail because of sharing.
 *
 * Cost   the recording is read once (again while the kernel's choice of addresses shows another order of overlapping calls); four machines
 */
import { type Features, LINUX_6_18, type MmEvent } from '../mm/index.ts';
import { PlacementOrder } from '../replay/play/placementOrder.ts';
import { Lane, type LaneEnd } from '../whatif/lane.ts';
import { type ProgramRun, ProgramSteps, programOf } from '../whatif/runInput.ts';
import type { Recording } from './experiment.ts';
import { type FailedCounts, FailedMerges } from './failedMerges.ts';
import { type KernelPairs, kernelPairs } from './kernelPairs.ts';

/** The configurations in the order in which they are reported. */
export const HALVES: Readonly<Record<'baseline' | 'patch4' | 'patch5' | 'both', Partial<Features>>> = {
  baseline: {},
  patch4: { mergePgoffOnMove: 'on' },
  patch5: { mergeAcrossAnonVma: 'on' },
  both: { mergePgoffOnMove: 'on', mergeAcrossAnonVma: 'on' },
};

/** A name of a configuration. */
export type Half = keyof typeof HALVES;

/** One configuration at the end of an input. */
export interface HalfEnd {
  readonly end: LaneEnd;
  readonly failed: FailedCounts;
}

/** What a recording came to. */
export interface RecordingFigures {
  readonly name: string;
  readonly kernel: KernelPairs | null;
  readonly halves: Readonly<Record<Half, HalfEnd>>;
}

/** A lane that counts failed merges, too. */
class CountingLane {
  readonly lane: Lane;
  readonly #failed = new FailedMerges();

  constructor(label: Half, config: Recording['input']['config'] = {}) {
    const features = { ...LINUX_6_18, ...HALVES[label] };
    const events = (event: MmEvent): void => this.#failed.add(event);
    this.lane = new Lane({ label, features, changes: [], rewrites: [], params: {} }, { config, events });
  }
  end(): HalfEnd {
    return { end: this.lane.end('end'), failed: this.#failed.counts };
  }
}

type Lanes = Readonly<Record<Half, CountingLane>>;

const lanesOf = (config?: Recording['input']['config']): Lanes => ({
  baseline: new CountingLane('baseline', config),
  patch4: new CountingLane('patch4', config),
  patch5: new CountingLane('patch5', config),
  both: new CountingLane('both', config),
});

const ends = (lanes: Lanes): Record<Half, HalfEnd> => ({
  baseline: lanes.baseline.end(),
  patch4: lanes.patch4.end(),
  patch5: lanes.patch5.end(),
  both: lanes.both.end(),
});

/** More passes than this are not made to find the order of calls. */
const MAX_PASSES = 4;

/** Plays a recording under every configuration. */
export function playRecording({ name, input }: Recording): RecordingFigures {
  let placements: ReadonlyMap<number, number> = new Map();
  for (let pass = 1; ; pass++) {
    const lanes = lanesOf(input.config);
    const order = new PlacementOrder(placements);
    const isSearching = pass < MAX_PASSES;
    let kernel: KernelPairs | null = null;
    for (const item of input.items(placements)) {
      if (item.kind === 'end' && item.isMain) kernel = kernelPairs(item);
      lanes.baseline.lane.feed(item);
      if (item.kind === 'op' && isSearching) order.took(item, lanes.baseline.lane.isMisplaced);
      // Another order was found, so this pass counts for nothing but finding the rest.
      if (isSearching && order.nrFound > 0) continue;
      for (const half of ['patch4', 'patch5', 'both'] as const) lanes[half].lane.feed(item);
    }
    if (!isSearching || order.nrFound === 0) return { name, kernel, halves: ends(lanes) };
    ({ placements } = order);
  }
}

/** Runs a workload under every configuration. */
export function playWorkload(run: ProgramRun): Record<Half, HalfEnd> {
  const lanes = lanesOf();
  for (const { lane } of Object.values(lanes)) {
    const program = new ProgramSteps(programOf(run));
    lane.startProgram();
    for (let item = program.next(); item !== null; item = program.next()) {
      lane.feed(item);
      if (lane.outcome !== null) program.took(lane.outcome);
    }
  }
  return ends(lanes);
}

/** Returns the vmas of the main process at the end. */
export const vmasAtEnd = ({ end }: HalfEnd): number => mainOf(end)?.vmas.end ?? 0;

/** Returns the process the input began with. */
export const mainOf = (end: LaneEnd): LaneEnd['processes'][number] | undefined =>
  end.processes.find(({ isMain }) => isMain);
