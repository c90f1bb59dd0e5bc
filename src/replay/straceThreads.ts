/**
 * Who makes a call, from the thread numbers that strace prints or leaves out.
 *
 * On a terminal, and without -f, a program that is alone is not named. It is task LONE_TASK for good; when it gets company strace begins to
 * print its pid, which is the first one that was neither announced by a clone nor attached.
 */

/** The task of a program that strace does not name because it is alone. */
export const LONE_TASK = 1;

/** The threads of one file. */
export class StraceThreads {
  readonly #attached = new Set<number>();
  readonly #alive = new Set<number>();
  /** A line without a number has been seen. */
  #isLone = false;
  /** The pid of LONE_TASK, once a line has shown it; 0 before. */
  #lonePid = 0;
  #firstPrinted = 0;
  #hasOthers = false;

  /** Tells whether lines of more than one thread have been read. */
  get hasOthers(): boolean {
    return this.#hasOthers || (this.#isLone && this.#firstPrinted !== 0);
  }

  /** strace said that it follows a new thread. */
  attach(tid: number): void {
    this.#attached.add(tid);
  }

  /** A clone made a thread. */
  add(tid: number): void {
    this.#alive.add(tid);
  }

  /** A thread is gone. */
  remove(tid: number): void {
    this.#alive.delete(tid);
  }

  /** Returns the task of a printed number, 0 for none. */
  taskOf(printed: number): number {
    if (printed === 0) {
      const [only] = this.#alive;
      if (this.#alive.size === 1 && only !== undefined) return only;
      this.#isLone = true;
      this.#alive.add(LONE_TASK);
      return LONE_TASK;
    }
    if (printed === this.#lonePid) return LONE_TASK;
    if (this.#firstPrinted === 0) this.#firstPrinted = printed;
    else if (printed !== this.#firstPrinted) this.#hasOthers = true;
    const isKnown = this.#alive.has(printed) || this.#attached.has(printed);
    if (this.#isLone && this.#lonePid === 0 && !isKnown && this.#alive.has(LONE_TASK)) {
      this.#lonePid = printed;
      return LONE_TASK;
    }
    this.#alive.add(printed);
    return printed;
  }
}
