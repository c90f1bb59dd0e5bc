/**
 * How many page faults each process was charged, against the counters that /proc/PID/stat shows.
 *
 * A process is charged for a fault that was served, by whomever: its own accesses, one a line of the recording, and the pages that its calls
 * populate, which leave no line. One that ended in a signal is not charged. The sum of minor and major faults is compared: which of
 * them had to wait for a disk, only the disk knows.
 *
 * Where a call populates pages of a regular file (or of a memfd, which write(2) may have filled), fault-around brings several at a time, as far as
 * they are cached: from one fault a call up to one a page. So that part of the sum is a range.
 */
import type { Op, OpName, Process } from '../../machine/index.ts';
import { FAULTED, type FaultName, type Kernel, type Mm } from '../../mm/index.ts';
import type { FaultCounters } from '../item.ts';

/** Faults of one process: the most there can have been, and how many of them may not have been. */
export interface Charged {
  most: number;
  open: number;
}

/** Totals that differ, in words. */
export interface FaultCountDifference {
  readonly kernel: string;
  readonly ours: string;
}

/** Counters of one kernel, by the kinds that matter here. */
interface Served {
  readonly file: number;
  readonly shared: number;
  readonly all: number;
}

function servedBy({ work }: Kernel): Served {
  const of = (name: FaultName): number => work.faults[FAULTED[name]] as number;
  return {
    file: of('file'),
    shared: of('shmem-new') + of('shmem-cached') + of('shmem-around'),
    all: work.faults.reduce((sum, faults) => sum + faults, 0) - of('guard') - of('signal'),
  };
}

const NOTHING: Served = { file: 0, shared: 0, all: 0 };

const mapsMemfd = (mm: Mm): boolean => {
  for (const vma of mm.vmas) if (vma.file?.object.kind === 'memfd') return true;
  return false;
};

const totalOf = ({ minflt, majflt }: FaultCounters): number => minflt + majflt;

/** Counts the faults of the processes of one run. */
export class FaultCounts {
  readonly #charged = new Map<Process, Charged>();
  #before = NOTHING;

  /** Counts `faults` of `process`. @param open  how many of them may not have been */
  add(process: Process, faults: number, open = 0): void {
    const charged = this.#charged.get(process);
    if (charged === undefined) this.#charged.set(process, { most: faults, open });
    else {
      charged.most += faults;
      charged.open += open;
    }
  }

  /** Is told before a call of a recording is carried out. */
  beforeCall(op: Op, kernel: Kernel): void {
    if (mayPopulate(op)) this.#before = servedBy(kernel);
  }

  /** Counts the faults of a call of `process`: what it populated. */
  addCall(process: Process, op: Op, mm: Mm): void {
    if (!mayPopulate(op)) return;
    const now = servedBy(mm.kernel);
    const { file, shared, all } = this.#before;
    if (now.all === all) return;
    const open = now.file - file + (now.shared > shared && mapsMemfd(mm) ? now.shared - shared : 0);
    this.add(process, now.all - all, open);
  }

  /** Returns how many faults the counters of a process at the end have more than we know of; arguments as for `compare`. */
  more(process: Process, end: FaultCounters, start: FaultCounters | null): number {
    const { most } = this.#charged.get(process) ?? { most: 0 };
    return Math.max(0, totalOf(end) - (start === null ? 0 : totalOf(start)) - most);
  }

  /**
   * Compares the counters of a process at the end.
   * @param start  what they were at the start; null: the process began within the recording
   * @returns      what differs, or null
   */
  compare(process: Process, end: FaultCounters, start: FaultCounters | null): FaultCountDifference | null {
    const { most, open } = this.#charged.get(process) ?? { most: 0, open: 0 };
    const kernel = totalOf(end) - (start === null ? 0 : totalOf(start));
    if (kernel >= most - open && kernel <= most) return null;
    return { kernel: String(kernel), ours: open === 0 ? String(most) : `${most - open} to ${most}` };
  }
}

/** Tells whether pages may come in by the call itself. */
const mayPopulate = ({ call }: Op): boolean => POPULATES.has(call);
const POPULATES: ReadonlySet<OpName> = new Set([
  'mmap',
  'mremap',
  'brk',
  'madvise',
  'mlock',
  'mlock2',
  'mlockall',
  'process_vm',
  'io_setup',
  'shmat',
]);
