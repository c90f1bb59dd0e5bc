/**
 * The faults of a recording, kept as numbers once they are read for the second time: where many orders of its calls are tried, the long
 * file is not unzipped and parsed each time. Most recordings are read once, and then nothing is kept.
 *
 * Cost   48 bytes a fault; of a recording with more than MAX_KEPT faults nothing is kept, so that memory stays bounded
 */
import { accessOf, type Fault, type FaultSource, NO_FAULT } from './perf.ts';

const MAX_KEPT = 1 << 19;
const NUMBERS = 6;

/** What remembers the faults of one input. */
export class KeptFaults {
  #numbers: number[] = [];
  #nrOpened = 0;
  /** Lines of the file once it was kept to its end; null before. */
  #nrLines: number | null = null;

  /** Returns the faults: from memory if they are all there, else from `read`, remembering them on the way. */
  open(read: () => FaultSource): FaultSource {
    if (this.#nrLines !== null) return new Remembered(this.#numbers, this.#nrLines);
    this.#nrOpened++;
    if (this.#nrOpened === 1) return read();
    this.#numbers = [];
    return new Remembering(read(), this.#numbers, (nrLines) => {
      this.#nrLines = nrLines;
    });
  }
}

/** Reads on and takes notes. */
class Remembering implements FaultSource {
  readonly #source: FaultSource;
  readonly #numbers: number[];
  readonly #whole: (nrLines: number) => void;
  #isTooMuch = false;

  constructor(source: FaultSource, numbers: number[], whole: (nrLines: number) => void) {
    this.#source = source;
    this.#numbers = numbers;
    this.#whole = whole;
  }

  get nrLines(): number {
    return this.#source.nrLines;
  }

  next(): Fault | null {
    const fault = this.#source.next();
    if (this.#isTooMuch) return fault;
    if (fault === null) this.#whole(this.nrLines);
    else if (this.#numbers.length >= MAX_KEPT * NUMBERS) {
      this.#isTooMuch = true;
      this.#numbers.length = 0;
    } else {
      const how = 2 * fault.errorCode + (fault.by === 'kernel' ? 1 : 0);
      this.#numbers.push(fault.pid, fault.tid, fault.time, fault.addr, fault.line, how);
    }
    return fault;
  }
}

/** Tells what was noted; the object is reused, as that of the reader is. */
class Remembered implements FaultSource {
  readonly #numbers: readonly number[];
  readonly nrLines: number;
  readonly #fault: Fault = { ...NO_FAULT };
  #at = 0;

  constructor(numbers: readonly number[], nrLines: number) {
    this.#numbers = numbers;
    this.nrLines = nrLines;
  }

  next(): Fault | null {
    const numbers = this.#numbers;
    const at = this.#at;
    if (at >= numbers.length) return null;
    const fault = this.#fault;
    const how = numbers[at + 5] as number;
    fault.pid = numbers[at] as number;
    fault.tid = numbers[at + 1] as number;
    fault.time = numbers[at + 2] as number;
    fault.addr = numbers[at + 3] as number;
    fault.line = numbers[at + 4] as number;
    fault.errorCode = how >>> 1;
    fault.access = accessOf(fault.errorCode);
    fault.by = how & 1 ? 'kernel' : 'user';
    this.#at = at + NUMBERS;
    return fault;
  }
}
