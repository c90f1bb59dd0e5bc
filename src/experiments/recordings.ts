/**
 * What seed 004 does to a recording: its blocked pairs on the baseline, with each half of the proposal and with both, the kernel's own
 * count of them, and how many merges fail because of sharing.
 *
 * Cost   the recording is read once, its calls twice (to settle the order of those that overlap); four machines
 */
import { type Features, LINUX_6_18, type MmEvent } from '../mm/index.ts';
import type { ReplayItem } from '../replay/index.ts';
import { type Pass, playInSettledOrder } from '../replay/play/settledOrder.ts';
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

/** One pass over a recording. */
class RecordingPass implements Pass {
  readonly #lanes: Lanes;
  kernel: KernelPairs | null = null;

  constructor(config: Recording['input']['config']) {
    this.#lanes = lanesOf(config);
  }

  lead(item: ReplayItem): boolean {
    if (item.kind === 'end' && item.isMain) this.kernel = kernelPairs(item);
    const { lane } = this.#lanes.baseline;
    lane.feed(item);
    return lane.isMisplaced;
  }

  follow(item: ReplayItem): void {
    for (const half of ['patch4', 'patch5', 'both'] as const) this.#lanes[half].lane.feed(item);
  }

  /** Returns what the configurations came to. */
  ends(): Record<Half, HalfEnd> {
    return ends(this.#lanes);
  }
}

/** Plays a recording under every configuration. */
export function playRecording({ name, input }: Recording): RecordingFigures {
  const { config } = input;
  const pass = playInSettledOrder(input, { config }, () => new RecordingPass(config));
  return { name, kernel: pass.kernel, halves: pass.ends() };
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
