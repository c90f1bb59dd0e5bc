/**
 * A difference between the kernel's answer and ours, and the comparison of answers.
 */
import { categoriesText } from '../../abi/pagemapScan.ts';
import {
  UFFD_PAGEFAULT_FLAG_MINOR,
  UFFD_PAGEFAULT_FLAG_WP,
  UFFD_PAGEFAULT_FLAG_WRITE,
} from '../../abi/userfaultfd.ts';
import { hex, hexRange } from '../../base/units.ts';
import type { IoctlOutput, OpName, Outcome, ReadMessage, Recorded } from '../../machine/index.ts';
import type { ReplayOp } from '../item.ts';
import { CHILD, UFFD_FD, WORKER } from '../opsSnapshot.ts';
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

/** Prints what an ioctl wrote, as an ops file does. */
function outputText(output: IoctlOutput): string {
  switch (output.what) {
    case 'api':
      return `{api=${hex(output.api)}, features=${hex(output.features)}, ioctls=0x${output.ioctls.toString(16)}}`;
    case 'register':
      return `{ioctls=${hex(output.ioctls)}}`;
    case 'done':
      return `{${output.field}=${output.done ?? 'untouched'}}`;
    case 'scan': {
      const walkEnd = output.walkEnd === null ? 'untouched' : hex(output.walkEnd);
      const regions = output.regions.map(
        ({ start, end, categories }) => `${hexRange(start, end)} ${categoriesText(categories)}`,
      );
      return `{walk_end=${walkEnd}${regions.length === 0 ? '' : `, regions=[${regions.join(', ')}]`}}`;
    }
  }
}

const FAULT_FLAGS = [
  ['WRITE', UFFD_PAGEFAULT_FLAG_WRITE],
  ['WP', UFFD_PAGEFAULT_FLAG_WP],
  ['MINOR', UFFD_PAGEFAULT_FLAG_MINOR],
] as const;

/** Prints a thread as messages name it. */
function threadText(tid: number): string {
  if (tid === 0) return '0';
  return tid >= WORKER ? `w${tid - WORKER}` : `child${tid - CHILD}`;
}

function messageText(message: ReadMessage): string {
  switch (message.event) {
    case 'pagefault': {
      const names = FAULT_FLAGS.flatMap(([name, bit]) => (message.flags & bit ? [name] : []));
      const flags = names.length === 0 ? '0' : names.join('|');
      return `{PAGEFAULT flags=${flags} addr=${hex(message.addr)} ptid=${threadText(message.tid)}}`;
    }
    case 'fork':
      return `{FORK ufd=u${message.fd - UFFD_FD}}`;
    case 'remap':
      return `{REMAP from=${hex(message.from)} to=${hex(message.to)} len=${message.len}}`;
    case 'remove':
    case 'unmap':
      return `{${message.event.toUpperCase()} start=${hex(message.start)} end=${hex(message.end)}}`;
  }
}

const messagesText = ({ messages, error }: Extract<Outcome, { kind: 'messages' }>): string =>
  [...messages.map(messageText), ...(error === null ? [] : [error.errno])].join(' ');

const blockedText = (worker: number | null): string => `blocked${worker === null ? '' : ` ${worker}`}`;

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
    case 'ioctl':
      return `${outcomeText(outcome.result)}${outcome.output === null ? '' : ` ${outputText(outcome.output)}`}`;
    case 'messages':
      return messagesText(outcome);
    case 'blocked':
      return blockedText(outcome.worker);
    case 'unknown-memory':
      return 'not followed';
  }
}

/** Prints a recorded answer. */
export function recordedText(recorded: Recorded): string {
  switch (recorded.kind) {
    case 'ioctl':
      return `${recordedText(recorded.result)}${recorded.output === null ? '' : ` ${recorded.output}`}`;
    case 'messages':
      return recorded.text;
    case 'blocked':
      return blockedText(recorded.worker);
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

/** Tells whether an outcome is the recorded answer. Of what an ioctl wrote a recording of system calls says nothing. */
export function agrees(outcome: Outcome, recorded: Recorded): boolean {
  if (outcome.kind === 'ioctl' && recorded.kind !== 'ioctl') return agrees(outcome.result, recorded);
  switch (recorded.kind) {
    case 'ioctl': {
      if (outcome.kind !== 'ioctl') return recorded.output === null && agrees(outcome, recorded.result);
      const output = outcome.output === null ? null : outputText(outcome.output);
      return agrees(outcome.result, recorded.result) && output === recorded.output;
    }
    case 'messages':
      return outcome.kind === 'messages' && messagesText(outcome) === recorded.text;
    case 'blocked':
      return outcome.kind === 'blocked' && outcome.worker === recorded.worker;
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

/** Tells whether the answer to this operation is held against the recording; of an ops file, any. Who sleeps has no answer yet. */
export const isCompared = (item: ReplayOp, outcome: Outcome): boolean =>
  item.recorded.kind !== 'none' &&
  outcome.kind !== 'unknown-memory' &&
  (outcome.kind !== 'blocked' || item.number !== undefined) &&
  (item.number !== undefined || !NOT_COMPARED.has(item.op.call));

/** Compares the answer of the model with the recorded one. Returns the difference or null. */
export function compareResult(item: ReplayOp, outcome: Outcome): Difference | null {
  if (agrees(outcome, item.recorded)) return null;
  return {
    file: item.file,
    line: item.line,
    op: item.nr,
    kind: 'result',
    what: item.text ?? describeOp(item.op),
    kernel: recordedText(item.recorded),
    ours: outcomeText(outcome),
  };
}
