/**
 * What becomes of a sequence in which model and kernel differ: it is written at once as it is, made short aside, written again, and told.
 *
 * One sequence is shrunk at a time, in a thread of its own, so that the run goes on. A model that is wrong in one common thing differs
 * everywhere: from a certain number on, sequences are written as they are.
 */
import { Piscina } from 'piscina';
import { type FuzzOptions, specRow } from '../../fuzz/index.ts';
import type { Differing, Setup, ShrinkTask } from './batch.ts';
import type { RunFiles } from './runFiles.ts';

/** Who is told. */
export interface FindingsListener {
  /** The difference is there; `path` is its file, `isShort` whether it was shrunk. */
  found(differing: Differing, path: string, isShort: boolean): void;
  /** The kernel did not repeat it. */
  unsteady(differing: Differing): void;
}

/** So many are shrunk in a run, each for so many seconds at most. */
const MAX_SHRUNK = 10;
const SHRINK_SECONDS = 60;

/** Takes differing sequences and sees to them. */
export class Findings {
  readonly #setup: Setup;
  readonly #files: RunFiles;
  readonly #every: number;
  readonly #listener: FindingsListener;
  #pool: Piscina<ShrinkTask, Differing | null> | null = null;
  /** Those that are being shrunk. */
  readonly #pending: Promise<void>[] = [];
  #isGivenUp = false;
  /** What shrinking threw. */
  #failure: unknown = null;

  /** @param every  how many operations lie between two snapshots of the run */
  constructor(setup: Setup, files: RunFiles, every: number, listener: FindingsListener) {
    this.#setup = setup;
    this.#files = files;
    this.#every = every;
    this.#listener = listener;
  }

  /** Takes a sequence. */
  add(differing: Differing): void {
    this.#write(differing);
    if (this.#pending.length >= MAX_SHRUNK) this.#listener.found(differing, this.#write(differing), false);
    else this.#pending.push(this.#shrink(differing));
  }

  /** Waits until all that were taken are told. Throws what went wrong with one of them. */
  async settle(): Promise<void> {
    await Promise.all(this.#pending);
    await this.#pool?.destroy();
    if (this.#failure !== null) throw this.#failure;
  }

  /** Has what is not short yet told as it is. */
  async giveUp(): Promise<void> {
    this.#isGivenUp = true;
    await this.#pool?.destroy();
    await Promise.all(this.#pending);
  }

  async #shrink(differing: Differing): Promise<void> {
    this.#pool ??= new Piscina({
      filename: new URL('./worker.js', import.meta.url).href,
      maxThreads: 1,
      atomics: 'disabled',
    });
    const task: ShrinkTask = { setup: this.#setup, differing, seconds: SHRINK_SECONDS };
    let shrunk: Differing | null = null;
    try {
      shrunk = await this.#pool.run(task, { name: 'shrink' });
    } catch (error) {
      if (!this.#isGivenUp) this.#failure ??= error;
      this.#listener.found(differing, this.#write(differing), false);
      return;
    }
    if (shrunk !== null) {
      this.#listener.found(shrunk, this.#write(shrunk), true);
      return;
    }
    this.#files.removeDifference(differing.mode, differing.seed);
    this.#listener.unsteady(differing);
  }

  #write(differing: Differing): string {
    const { mode, seed, ops } = differing;
    const from: FuzzOptions = { mode, seed, ops, every: this.#every };
    return this.#files.writeDifference(mode, seed, specRow(differing, from));
  }
}
