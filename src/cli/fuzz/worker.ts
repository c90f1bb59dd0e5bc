/**
 * A thread of `faultline fuzz`: draws a batch of sequences, has the kernel carry them out, plays the logs on the model.
 *
 * Two batches are under way at a time: while the kernel is at one, this thread is at the other. Between two sequences it listens to
 * what the kernel has to say, so that opsrun never waits for a full pipe.
 */
import { availableParallelism, cpus } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { threadId } from 'node:worker_threads';
import { Coverage } from '../../fuzz/coverage.ts';
import { fuzzSequence, type LogCheck, type OpsDifference, playLog, shrinkOps } from '../../fuzz/index.ts';
import { LINUX_6_18, withSettings } from '../../mm/index.ts';
import type { Compared } from '../../replay/play/check.ts';
import type { PlayOptions } from '../../replay/play/player.ts';
import {
  addCompared,
  type Batch,
  type BatchResult,
  type Differing,
  type Mode,
  NOTHING_COMPARED,
  type Setup,
  type ShrinkTask,
} from './batch.ts';
import { OpsrunProcess, opsKernel, type Sequence } from './opsKernel.ts';

/** What this thread has reached so far, by mode, and what of it has been told. */
const reached = new Map<Mode, { readonly coverage: Coverage; readonly told: Set<string> }>();

/** The kernel's side of this thread, by program. */
const kernels = new Map<string, OpsrunProcess>();

/** Threads are on all CPUs alike, so what they have the kernel do is spread over them, too. */
function kernelOf({ opsrun }: Setup): OpsrunProcess {
  const nr = cpus().length;
  // Fewer: not all may be used, and nobody tells which.
  const cpu = availableParallelism() === nr ? Math.max(0, threadId - 1) % nr : null;
  const kernel = kernels.get(opsrun) ?? new OpsrunProcess(opsrun, cpu);
  kernels.set(opsrun, kernel);
  return kernel;
}

/** Carries out a batch. */
export async function runBatch(batch: Batch): Promise<BatchResult> {
  const run = new BatchRun(batch);
  await run.everything();
  return run.result();
}

interface Played {
  readonly difference: OpsDifference | null;
  readonly compared: Compared;
  readonly checker: LogCheck['checker'] | null;
}

class BatchRun {
  readonly #batch: Batch;
  readonly #coverage: Coverage;
  readonly #told: Set<string>;
  readonly #options: PlayOptions;
  readonly #differing: Differing[] = [];
  readonly #unsteady: number[] = [];
  #compared: Compared = NOTHING_COMPARED;
  #kernelMs = 0;
  #modelMs = 0;

  constructor(batch: Batch) {
    this.#batch = batch;
    const known = reached.get(batch.mode) ?? { coverage: new Coverage(), told: new Set() };
    reached.set(batch.mode, known);
    this.#coverage = known.coverage;
    this.#told = known.told;
    const { coverage } = known;
    this.#options = {
      ...playOptions(batch.setup),
      events: coverage.event,
      outcomes: (op, outcome) => coverage.outcome(op, outcome),
    };
  }

  async everything(): Promise<void> {
    const { sequences, mode, seed, every } = this.#batch;
    const drawn = this.#busy(() =>
      Array.from({ length: sequences }, (_, i) =>
        fuzzSequence({ mode, seed: seed + i, ops: this.#opsOf(i), every }),
      ),
    );
    const logs = await this.#kernel(drawn);
    for (const [i, lines] of drawn.entries()) {
      await nextTurn();
      const played = this.#busy(() => play(logs[i] ?? '', this.#options));
      if (played.checker !== null) this.#coverage.faults(played.checker.player.machine.kernel.work);
      this.#compared = addCompared(this.#compared, played.compared);
      if (played.difference !== null) await this.#again(lines, i);
    }
  }

  /** Returns the number of operations of a sequence. */
  #opsOf(i: number): number {
    const { sequences, ops, lastOps } = this.#batch;
    return i === sequences - 1 ? lastOps : ops;
  }

  /** Runs a sequence that differed once more. */
  async #again(lines: Sequence, i: number): Promise<void> {
    const { mode, seed: first } = this.#batch;
    const seed = first + i;
    const [log = ''] = await this.#kernel([lines]);
    const { difference } = this.#busy(() => play(log, playOptions(this.#batch.setup)));
    if (difference === null) this.#unsteady.push(seed);
    else this.#differing.push({ mode, seed, ops: this.#opsOf(i), lines, log, difference });
  }

  /** Sequences with a swap device come first: it takes long to make one and to take it away. */
  async #kernel(sequences: readonly Sequence[]): Promise<readonly string[]> {
    const order = [...sequences.keys()].sort((a, b) => hasNoSwap(sequences[a]) - hasNoSwap(sequences[b]));
    const inTurn = order.map((i) => sequences[i] as Sequence);
    const { logs, cpuMs } = await kernelOf(this.#batch.setup).run(inTurn);
    this.#kernelMs += cpuMs;
    const logOf = new Map(order.map((i, k) => [i, logs[k] ?? '']));
    return sequences.map((_lines, i) => logOf.get(i) ?? '');
  }

  #busy<T>(work: () => T): T {
    const began = performance.now();
    try {
      return work();
    } finally {
      this.#modelMs += performance.now() - began;
    }
  }

  result(): BatchResult {
    const { sequences, ops, lastOps } = this.#batch;
    const fresh = this.#coverage.keys().filter((key) => !this.#told.has(key));
    for (const key of fresh) this.#told.add(key);
    return {
      ops: (sequences - 1) * ops + lastOps,
      compared: this.#compared,
      differing: this.#differing,
      unsteady: this.#unsteady,
      coverage: fresh,
      kernelMs: this.#kernelMs,
      modelMs: this.#modelMs,
    };
  }
}

/** 1 for a sequence without a swap device, else 0. */
const hasNoSwap = (sequence: Sequence | undefined): number => (/ swap \d/.test(sequence?.[0] ?? '') ? 0 : 1);

const playOptions = ({ thp }: Setup): PlayOptions => ({
  features: withSettings(LINUX_6_18, [{ name: 'thp', value: thp }]),
});

/** Makes a sequence short, for a limited time. @returns what is left of it; null when its difference does not come again */
export function shrink({ setup, differing, seconds }: ShrinkTask): Differing | null {
  const end = performance.now() + seconds * 1000;
  const options = playOptions(setup);
  const shrunk = shrinkOps(differing.lines, opsKernel(setup.opsrun), {
    isOver: () => performance.now() > end,
    check: (log) => play(log, options).difference,
  });
  return shrunk === null ? null : { ...differing, ...shrunk };
}

/** Plays a log. Whatever is thrown on the way is a difference, too: hours of fuzzing must not end with it. */
function play(log: string, options: PlayOptions): Played {
  try {
    const { difference, compared, checker } = playLog(log, options);
    return { difference, compared, checker };
  } catch (error) {
    const ours = error instanceof Error ? stackTop(error) : String(error);
    return {
      difference: { what: 'an error that nobody foresaw', kernel: '', ours },
      compared: NOTHING_COMPARED,
      checker: null,
    };
  }
}

const STACK_LINES = 4;
const stackTop = (error: Error): string =>
  (error.stack ?? error.message).split('\n').slice(0, STACK_LINES).join('\n');
