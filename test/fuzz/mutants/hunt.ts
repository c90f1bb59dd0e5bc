/**
 * Hunts a mutant as `faultline fuzz` would: draws sequences, has the kernel run them, holds the mutated model against the log until it
 * differs, and makes that sequence short.
 *
 * What the model as it is gets wrong too does not count: neither is it found, nor is a sequence made short to it.
 */
import { type FuzzModeName, fuzzSequence, type RunOps } from '../../../src/fuzz/index.ts';
import type { BuiltModel } from './build.ts';

/** What came of a hunt. */
export interface Catch {
  /** Seed of the sequence that differed; null: none did in time. */
  readonly seed: number | null;
  readonly findSeconds: number;
  readonly shrinkSeconds: number;
  /** The sequence made short, operations only. */
  readonly lines: readonly string[];
  /** How it differs. */
  readonly what: string;
}

/** What is hunted, and with what. */
export interface Hunt {
  /** Draws the sequence of a seed. */
  readonly draw: (seed: number) => readonly string[];
  readonly mutated: BuiltModel;
  readonly model: BuiltModel;
  readonly run: RunOps;
  /** For how long it is looked for. */
  readonly seconds: number;
}

/** Operations of a sequence, and how often it is looked at. At the limits few: there each run of the kernel makes 65,530 vmas, which takes 0.2 s. */
const OPS = 200;
const OPS_AT_LIMITS = 40;
const EVERY = 25;
/** The most operations that a short sequence has. Where userfaultfd is watched, memory, a context, its handshake and a registration come first. */
export const SHORT = 6;
const SHORT_WATCHED = 10;

/** Returns the most operations that a short sequence of a mode has. */
export const shortFor = (mode: FuzzModeName): number => (mode === 'uffd' ? SHORT_WATCHED : SHORT);

/** Returns what draws the sequences of a mode. */
export const drawFor =
  (mode: FuzzModeName) =>
  (seed: number): readonly string[] =>
    fuzzSequence({ mode, seed, ops: mode === 'limits' ? OPS_AT_LIMITS : OPS, every: EVERY });

/** Sequences that the kernel runs at once: few at first, since most mutants are found at once. */
const BATCHES = [2, 4, 8, 16];

const isOperation = (line: string): boolean => /^\d/.test(line);
const secondsSince = (start: number): number => (performance.now() - start) / 1000;

/** Hunts. */
export function hunt({ draw, mutated, model, run, seconds }: Hunt): Catch {
  const start = performance.now();
  const check = (log: string) => {
    const difference = mutated.checkLog(log);
    return difference === null || model.checkLog(log) !== null ? null : difference;
  };
  const nothing = { seed: null, shrinkSeconds: 0, lines: [], what: '' };
  for (let seed = 1, batch = 0; secondsSince(start) < seconds; batch++) {
    const number = BATCHES[Math.min(batch, BATCHES.length - 1)] as number;
    const sequences = Array.from({ length: number }, (_, i) => draw(seed + i));
    for (const [i, log] of run(sequences).entries()) {
      if (check(log) === null) continue;
      const findSeconds = secondsSince(start);
      const shrunk = mutated.shrinkOps(sequences[i] ?? [], run, { check });
      // What does not come again was the kernel's.
      if (shrunk === null) continue;
      return {
        seed: seed + i,
        findSeconds,
        shrinkSeconds: secondsSince(start) - findSeconds,
        lines: shrunk.lines.filter(isOperation),
        what: shrunk.difference.what,
      };
    }
    seed += number;
  }
  return { ...nothing, findSeconds: secondsSince(start) };
}
