/**
 * The ways in which a run can end early: a bug of ours, something we do not model, wrong input.
 *
 * What the modelled kernel refuses is none of these: that is a value (see mm/result.ts). Texts of assertions are constant, because
 * they are built even when the check passes.
 */

/** An invariant of the model is broken: a bug of ours. Nobody catches it but the edge, which prints the state. */
export class ModelBug extends Error {
  override readonly name = 'ModelBug';
}

/** A place in an input: file name as the user gave it, line and column from 1 (0 where there is none). */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Something we do not model was asked for. Names it and points to docs/scope.md; never ignored in silence. */
export class Unmodelled extends Error {
  override readonly name = 'Unmodelled';
  readonly what: string;
  readonly where: string;
  readonly place: Place | null;
  /**
   * @param what   what was asked for, as the user wrote it (`MAP_HUGETLB`)
   * @param where  the paragraph that says why it is left out (`docs/scope.md#hugetlb`)
   * @param place  where in the input, or null where that is not known (yet)
   */
  constructor(what: string, where: string, place: Place | null = null) {
    super(`${what} is not modelled; see ${where}`);
    this.what = what;
    this.where = where;
    this.place = place;
  }
}

/** Wrong arguments or input. The edge prints the place, what is wrong and what would be right, and exits with 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly place: Place | null;
  readonly wanted: string;
  /**
   * @param problem  what is wrong, with the offending text
   * @param wanted   what would be right
   * @param place    where, or null for arguments
   */
  constructor(problem: string, wanted: string, place: Place | null = null) {
    super(problem);
    this.place = place;
    this.wanted = wanted;
  }
}

/** Throws ModelBug with `text` unless `holds`. `text` is the invariant's name and a sentence, constant. */
export function assert(holds: boolean, text: string): asserts holds {
  if (!holds) throw new ModelBug(text);
}

/** Returns `value`, which the caller knows to be there; throws ModelBug with `text` if it is null or undefined. */
export function must<T>(value: T | null | undefined, text: string): T {
  if (value === null || value === undefined) throw new ModelBug(text);
  return value;
}
