/**
 * What a mutant is: a replacement in one source file.
 */
import type { FuzzModeName } from '../../../src/fuzz/index.ts';

/** One wrong model. */
export interface Mutant {
  readonly name: string;
  /** What the mutated model does, as a sentence. */
  readonly breaks: string;
  readonly mode: FuzzModeName;
  /** The file, from src/. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

type Change = readonly [file: string, find: string, replace: string];

/** Makes one. */
export const mutant = (
  mode: FuzzModeName,
  name: string,
  breaks: string,
  [file, find, replace]: Change,
): Mutant => ({ name, breaks, mode, file, find, replace });
