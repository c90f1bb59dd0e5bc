/**
 * A fuzzing run: keeps all threads busy with batches until time or operations are over, counts what comes back, sees to differences.
 *
 * It ends in good order whatever ends it: no batch is begun any more, those under way are counted, and state and results are written.
 */
import { Piscina } from 'piscina';
import type { Batch, BatchResult, Differing, Mode, Setup } from './batch.ts';
import { Findings } from './findings.ts';
import { REACHABLE } from './fuzzReport.ts';
import type { MachineFacts } from './machineFacts.ts';
import { Plan } from './plan.ts';
import type { Standing } from './progress.ts';
import { drawsMark, RESULT_FORMAT, type RunFiles, type RunState } from './runFiles.ts';
import { addSums, ModeTotals, NO_SUMS, type Sums } from './totals.ts';

/** What is to be done. */
export interface CampaignOptions {
  readonly setup: Setup;
  readonly facts: MachineFacts;
  readonly version: string;
  /** What --mode was, and the modes of it that run here. */
  readonly asked: string;
  readonly modes: readonly Mode[];
  readonly seed: number;
  readonly every: number;
  readonly jobs: number;
  /** When it ends; null: not by this. */
  readonly seconds: number | null;
  readonly ops: number | null;
  readonly untilDifference: boolean;
  /** Where an earlier part of the run ended; null: this is the first. */
  readonly before: RunState | null;
  readonly files: RunFiles;
}

/** Is told of each difference that came again: its file, and whether the sequence is short. */
export type OnFound = (differing: Differing, path: string, isShort: boolean) => void;

/** Batches under way in a thread: one at the kernel, one at the model. */
const LANES_PER_JOB = 2;
const STATE_EVERY_MS = 3000;
/** A timer takes no more: 24 days. */
const MAX_MS = 2 ** 31 - 1;
const REACHABLE_KEYS: ReadonlySet<string> = new Set(REACHABLE.map(({ key }) => key));

/** One run. */
export class Campaign {
  readonly #options: CampaignOptions;
  readonly #plan: Plan;
  readonly #totals: ReadonlyMap<Mode, ModeTotals>;
  readonly #draws: ReadonlyMap<Mode, string>;
  readonly #findings: Findings;
  readonly #pool: Piscina<Batch, BatchResult>;
  readonly #reached: Set<string>;
  readonly #began = performance.now();
  readonly #cpuAtStart = process.cpuUsage();
  #endedAt: number | null = null;
  #kernelMs = 0;
  /** What has come back, counted or not. */
  #ops = 0;
  #differences = 0;
  #unsteady = 0;
  #isStopping = false;
  #stateWrittenAt = 0;

  constructor(options: CampaignOptions, onFound: OnFound) {
    const { setup, modes, every, ops, jobs, before, seed, files } = options;
    this.#options = options;
    const lanes = jobs * LANES_PER_JOB;
    const seedOf = (mode: Mode): number => before?.modes[mode]?.next ?? seed;
    this.#plan = new Plan({ setup, modes, every, ops, lanes, seedOf });
    this.#totals = new Map(modes.map((mode) => [mode, new ModeTotals(seedOf(mode))]));
    this.#draws = new Map(modes.map((mode) => [mode, drawsMark(mode)]));
    this.#reached = new Set(modes.flatMap((mode) => before?.modes[mode]?.sums.coverage ?? []));
    this.#pool = new Piscina({
      filename: new URL('./worker.js', import.meta.url).href,
      minThreads: jobs,
      maxThreads: jobs,
      concurrentTasksPerWorker: LANES_PER_JOB,
      // A thread that sleeps until its next batch would not hear what the kernel says about the one before.
      atomics: 'disabled',
    });
    this.#findings = new Findings(setup, files, every, {
      found: (differing, path, isShort) => {
        this.#differences++;
        onFound(differing, path, isShort);
      },
      unsteady: (differing) => {
        this.#unsteady++;
        this.#totals.get(differing.mode)?.demote(differing.seed);
      },
    });
  }

  /** Runs to the end. What a thread throws is thrown, after everything was written. */
  async run(): Promise<void> {
    const { jobs, seconds } = this.#options;
    const timer = seconds === null ? null : setTimeout(() => this.stop(), Math.min(MAX_MS, seconds * 1000));
    const ended = await Promise.allSettled(Array.from({ length: jobs * LANES_PER_JOB }, () => this.#lane()));
    if (timer !== null) clearTimeout(timer);
    this.#endedAt = performance.now();
    await this.#pool.destroy();
    ended.push(...(await Promise.allSettled([this.#findings.settle()])));
    this.#writeState();
    this.#writeResults();
    for (const each of ended) if (each.status === 'rejected') throw each.reason;
  }

  /** Begins no batch any more. */
  stop(): void {
    this.#isStopping = true;
  }

  /** The same, and nothing is shrunk any more. */
  async interrupt(): Promise<void> {
    this.stop();
    await this.#findings.giveUp();
  }

  /** How it goes. */
  get standing(): Standing {
    return {
      seconds: ((this.#endedAt ?? performance.now()) - this.#began) / 1000,
      ops: this.#ops,
      cpuSeconds: this.#cpuSeconds,
      reached: this.#reached.size,
      universe: REACHABLE.length,
      differences: this.#differences,
      unsteady: this.#unsteady,
    };
  }

  /** The sums of each mode, those of earlier parts of the run included; and the times of all parts. */
  get state(): RunState {
    const { before, asked, seed, every, modes } = this.#options;
    return {
      format: RESULT_FORMAT,
      mode: asked,
      seed,
      every,
      seconds: (before?.seconds ?? 0) + this.standing.seconds,
      cpuSeconds: (before?.cpuSeconds ?? 0) + this.#cpuSeconds,
      modes: Object.fromEntries(
        modes.map((mode) => [
          mode,
          {
            draws: this.#draws.get(mode) ?? '',
            next: this.#totals.get(mode)?.next ?? seed,
            sums: addSums(before?.modes[mode]?.sums ?? NO_SUMS, this.#part(mode)),
          },
        ]),
      ),
    };
  }

  get #cpuSeconds(): number {
    const { user, system } = process.cpuUsage(this.#cpuAtStart);
    return (user + system) / 1e6 + this.#kernelMs / 1000;
  }

  /** What this part of the run has done in a mode. */
  #part(mode: Mode): Sums {
    return this.#totals.get(mode)?.sums ?? NO_SUMS;
  }

  async #lane(): Promise<void> {
    try {
      for (;;) {
        const batch = this.#isStopping ? null : this.#plan.next();
        if (batch === null) return;
        this.#count(batch, await this.#pool.run(batch, { name: 'runBatch' }));
      }
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  #count(batch: Batch, result: BatchResult): void {
    this.#totals.get(batch.mode)?.add(batch, result);
    this.#ops += result.ops;
    this.#kernelMs += result.kernelMs;
    this.#unsteady += result.unsteady.length;
    for (const key of result.coverage) if (REACHABLE_KEYS.has(key)) this.#reached.add(key);
    for (const differing of result.differing) {
      this.#findings.add(differing);
      if (this.#options.untilDifference) this.stop();
    }
    if (performance.now() - this.#stateWrittenAt > STATE_EVERY_MS) this.#writeState();
  }

  #writeState(): void {
    this.#stateWrittenAt = performance.now();
    this.#options.files.writeState(this.state);
  }

  /** Adds a line for each mode of what this part of the run has done. */
  #writeResults(): void {
    const { files, facts, version, modes, every } = this.#options;
    const lines = modes.flatMap((mode) => {
      const part = this.#part(mode);
      const totals = this.#totals.get(mode);
      if (totals === undefined || part.sequences === 0) return [];
      const seed = totals.next - part.sequences;
      const draws = this.#draws.get(mode) ?? '';
      return [{ format: RESULT_FORMAT, faultline: version, ...facts, mode, draws, seed, every, ...part }];
    });
    files.addResults(lines);
  }
}
