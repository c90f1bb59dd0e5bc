/**
 * Exit statuses, and what is said when a command fails.
 */
import { CommanderError } from 'commander';
import { ModelBug, Unmodelled, UsageError } from '../base/assert.ts';

/** Everything was done and found as it should be. */
export const DONE = 0;
/** A difference from the kernel, or a bug of the model, was found. */
export const FOUND = 1;
/** Arguments or input are wrong, or ask for what is not modelled. */
export const WRONG_INPUT = 2;
/** Ended by Ctrl-C; what was finished is there. */
export const INTERRUPTED = 130;

/** Ends the command with a status. Nothing happens for DONE: the command goes on and returns. */
export function finish(status: number): void {
  if (status !== DONE) throw new CommanderError(status, 'faultline.status', '');
}

/** A failure as it is told. */
export interface Failure {
  readonly kind: 'usage' | 'unmodelled' | 'bug';
  readonly status: number;
  /** One sentence without its place. */
  readonly message: string;
  /** What would be right; null where nothing can be said. */
  readonly wanted: string | null;
  /** Where, null for arguments. Line and column are 0 where they mean nothing. */
  readonly place: { readonly file: string; readonly line: number; readonly column: number } | null;
}

/** Describes an error that a command may end with; null for one that nobody expected. */
export function failureOf(error: unknown): Failure | null {
  if (is(error, UsageError)) {
    const { message, wanted, place } = error;
    return { kind: 'usage', status: WRONG_INPUT, message, wanted, place };
  }
  if (is(error, Unmodelled))
    return {
      kind: 'unmodelled',
      status: WRONG_INPUT,
      message: error.message,
      wanted: null,
      place: error.place,
    };
  if (is(error, ModelBug))
    return { kind: 'bug', status: FOUND, message: `ModelBug ${error.message}`, wanted: null, place: null };
  return null;
}

/** A module of the user's has its own copy of our classes, so an error is known by its name as well. */
const is = <T extends Error>(error: unknown, kind: { new (...args: never[]): T }): error is T =>
  error instanceof kind || (error instanceof Error && error.name === kind.name);

/** Returns the text of a failure: `file:line:column: problem`, then `wanted: …`. */
export function failureText(failure: Failure): string {
  const { place, message, wanted, kind } = failure;
  const problem = `${placeText(place)}: ${message}`;
  if (kind === 'bug')
    return `${problem}\nThis is a bug of the model, not of the input. Please report it with the input.`;
  return wanted === null ? problem : `${problem}\nwanted: ${wanted}`;
}

/** Returns a failure as it stands in JSON. */
export const failureJson = ({ kind, message, wanted, place }: Failure): object => ({
  kind,
  message,
  wanted,
  ...place,
});

function placeText(place: Failure['place']): string {
  if (place === null) return 'faultline';
  const { file, line, column } = place;
  if (line === 0) return file;
  return column === 0 ? `${file}:${line}` : `${file}:${line}:${column}`;
}
