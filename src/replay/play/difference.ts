/**
 * A difference between the kernel's answer and ours, and the comparison of answers.
 */
import { hex } from '../../base/units.ts';
import type { OpName, Outcome, Recorded } from '../../machine/index.ts';
import type { ReplayOp } from '../item.ts';
import { describeOp } from './player.ts';

/** What was compared. */
export type ComparedKind = 'result' | 'vma' | 'flags' | 'internals' | 'page' | 'count';

/** One difference, with its place in the input. */
export interface Difference {
  readonly file: string;
  readonly line: number;
  /** Number of the operation, or null for something in an end state. */
  readonly op: number | null;
  /** Its time on the clock of the input, for an access: what was in progress then may be put elsewhere. */
  readonly at?: number;
  readonly kind: ComparedKind;
  /** What differs, in a few words. */
  readonly what: string;
  readonly kernel: string;
  readonly ours: string;
  /** Objects of the model it is about, so that another order of overlapping calls is tried near their history first. */
  readonly about?: { readonly vmas: readonly number[]; readonly anonVmas: readonly number[] };
}

/** Calls whose result says nothing about the model: numbers that the kernel hands out, files that only the file system knows. */
const NOT_COMPARED = new Set<OpName>([
  'open',
  'memfd_create',
  'close',
  'close_range',
  'dup',
  'ftruncate',
  'fallocate',
  'shmget',
  'userfaultfd',
  'clone',
  'execve',
  'exit',
  'exit_group',
  'io_setup',
  'setrlimit',
  'set_uid',
]);

/** Prints which pages are resident as an ops file does. */
const residentText = (pages: readonly boolean[]): string =>
  pages.map((isResident) => (isResident ? '1' : '0')).join('');

/** Prints an outcome as strace prints a result. */
export function outcomeText(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'value':
      return outcome.value > 4096 ? hex(outcome.value) : String(outcome.value);
    case 'errno':
      return `-1 ${outcome.errno} (${outcome.why})`;
    case 'signal':
      return `${outcome.signal} {si_code=${outcome.code}, si_addr=${hex(outcome.addr)}}`;
    case 'resident':
      return `0 vec=${residentText(outcome.pages)}`;
    case 'unknown-memory':
      return 'not followed';
  }
}

function recordedText(recorded: Recorded): string {
  switch (recorded.kind) {
    case 'value':
      if (recorded.resident !== undefined) return `${recorded.value} vec=${recorded.resident}`;
      return recorded.value > 4096 ? hex(recorded.value) : String(recorded.value);
    case 'errno':
      return `-1 ${recorded.errno}`;
    case 'signal':
      return `${recorded.signal} {si_code=${recorded.code}, si_addr=${hex(recorded.addr)}}`;
    case 'none':
      return 'nothing';
  }
}

/** Ops files print the code of a SIGBUS as `BUS`: there is only one that memory accesses give. */
const isSameCode = (ours: string, kernel: string): boolean =>
  ours === kernel || (kernel === 'BUS' && ours === 'BUS_ADRERR');

function agrees(outcome: Outcome, recorded: Recorded): boolean {
  switch (recorded.kind) {
    case 'none':
      return true;
    case 'value':
      return outcome.kind === 'resident'
        ? recorded.value === 0 &&
            (recorded.resident ?? residentText(outcome.pages)) === residentText(outcome.pages)
        : outcome.kind === 'value' && outcome.value === recorded.value;
    case 'errno':
      return outcome.kind === 'errno' && outcome.errno === recorded.errno;
    case 'signal':
      return (
        outcome.kind === 'signal' &&
        outcome.signal === recorded.signal &&
        isSameCode(outcome.code, recorded.code) &&
        outcome.addr === recorded.addr
      );
  }
}

/** Tells whether the answer to this operation is held against the recording; of an ops file, any. */
export const isCompared = (item: ReplayOp, outcome: Outcome): boolean =>
  item.recorded.kind !== 'none' &&
  outcome.kind !== 'unknown-memory' &&
  (item.number !== undefined || !NOT_COMPARED.has(item.op.call));

/** Compares the answer of the model with the recorded one. Returns the difference or null. */
export function compareResult(item: ReplayOp, outcome: Outcome): Difference | null {
  if (agrees(outcome, item.recorded)) return null;
  return {
    file: item.file,
    line: item.line,
    op: item.nr,
    kind: 'result',
    what: describeOp(item.op),
    kernel: recordedText(item.recorded),
    ours: outcomeText(outcome),
  };
}
