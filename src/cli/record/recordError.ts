/**
 * What stops a recording: something the user can put right. The text says what happened and what to do; nothing of the
 * recording is kept. A bug of ours is an ordinary Error and shows its stack.
 */

/** A recording that could not be made; `message` is for the user. */
export class RecordError extends Error {
  /** True if the user ended it before there was anything to keep. */
  readonly interrupted: boolean;

  constructor(message: string, interrupted = false) {
    super(message);
    this.name = 'RecordError';
    this.interrupted = interrupted;
  }
}
