/**
 * What a recording, an ops file or a trace is turned into: a sequence of items, in the order in which they are to be applied.
 *
 * `start` comes first (one per address space that is known or begins in the input), then operations, signals and snapshots mixed,
 * then `end` states, then warnings and one summary. Items are plain data and independent of each other; none is kept by the parser.
 */

import type { Addr, Pgoff } from '../base/units.ts';
import type { OpRecord, Recorded } from '../machine/op.ts';
import type { Limit } from './limits.ts';
import type { MapsLine } from './maps.ts';
import type { PageRun } from './pagemapRle.ts';
import type { SmapsEntry } from './smaps.ts';
import type { ProcStat } from './stat.ts';
import type { VmaInternals } from './vmasEnd.ts';

/** Anything a parser yields. */
export type ReplayItem = Start | ReplayOp | Completion | SignalItem | Snapshot | EndState | Warning | Summary;

/** The formats that can be told apart by their first lines, and the recording directory. */
export type InputFormat =
  | 'recording'
  | 'strace'
  | 'opfuzz'
  | 'opfuzz-uffd'
  | 'perf'
  | 'maps'
  | 'smaps'
  | 'bpftrace';

/** An address space begins. */
export interface Start {
  readonly kind: 'start';
  /** The first thread of the process. */
  readonly task: number;
  readonly format: InputFormat;
  /** What is known of it; null: nothing, it is to be built from the calls alone. */
  readonly state: StartState | null;
  /** Path of the program, where known. */
  readonly program: string | null;
  /** Pages of the machine's swap devices, where the input tells them. */
  readonly swapPages?: number;
  /** Only in ops files with sleeping threads: bytes of the memfd that is there, empty. */
  readonly memfdBytes?: number;
}

/** One vma at the start. */
export interface StartVma extends MapsLine {
  /** Codes of smaps' VmFlags line, null where there is no smaps. */
  readonly vmFlags: readonly string[] | null;
  /** kB of anonymous pages (smaps), null where there is no smaps: more than 0 means that the vma has an anon_vma. */
  readonly anonymousKb: number | null;
  /** kB resident, null where there is no smaps. */
  readonly rssKb: number | null;
}

/** What /proc said when the program had not run an instruction yet. A part is null where its file is missing. */
export interface StartState {
  readonly vmas: readonly StartVma[];
  /** Start of the heap and of the other parts; null without a stat file. */
  readonly stat: ProcStat | null;
  /** By RLIMIT number; null without a limits file. */
  readonly limits: ReadonlyMap<number, Limit> | null;
  /** By AT_ type. */
  readonly auxv: ReadonlyMap<number, number> | null;
  /** Fields of /proc/PID/status; null without that file. */
  readonly status: ReadonlyMap<string, string> | null;
  readonly meta: Meta | null;
  /** The part of the address space the input speaks about; null: all of it. An ops file has a window. */
  readonly window: { readonly start: Addr; readonly end: Addr } | null;
  /** Files by the names that maps prints at the start or at any end, with device and inode: strace does not show them. */
  readonly files: readonly FileIdentity[];
}

/** Device and inode of a name in maps. */
export interface FileIdentity {
  readonly name: string;
  readonly dev: string;
  readonly inode: number | string;
}

/** meta.json of a recording. */
export interface Meta {
  readonly pid: number;
  readonly otherPids: readonly number[];
  readonly argv: readonly string[];
  readonly mode: string;
  /** Whether address-space randomisation was on. */
  readonly aslr: boolean;
  /** Whether every thread was seen to stop at the end. */
  readonly quiescent: boolean;
  readonly kernel: string;
  readonly sysctl: ReadonlyMap<string, number>;
  /** The switch that is set: `always`, `madvise`, `never`. */
  readonly thpEnabled: string | null;
  readonly shmemEnabled: string | null;
  /** perf lost page faults, or did not look at all of them. */
  readonly faultsLost: number;
  /** Page faults that were written down; null where a recorder left the number out. */
  readonly faultLines: number | null;
  /** The counters of the process at the start and at the end; null where a recorder left them out. */
  readonly faultCounters: { readonly start: FaultCounters; readonly end: FaultCounters } | null;
  /** There was a swap device. */
  readonly hasSwap: boolean;
}

/** Page faults a process was charged, as /proc/PID/stat counts them. */
export interface FaultCounters {
  readonly minflt: number;
  readonly majflt: number;
}

/** An operation with its place in time. */
export interface ReplayOp extends OpRecord {
  readonly kind: 'op';
  /** When the call was entered and when it returned: ns since the first line of the recording; lines of the file where no clock is used. Equal for touches. */
  readonly entry: number;
  readonly exit: number;
  /** The moment between the two at which it is applied; order.ts says why there. */
  readonly at: number;
  /** Something of another thread of the same process lies inside [entry, exit], or this lies inside another thread's call: the order is not determined. */
  readonly overlaps: boolean;
  /** Only accesses of a recording: the bits the processor told of the fault; 0x1: the page was there, and did not allow the access. */
  readonly errorCode?: number;
  /** Only in ops files: the number the file gives the operation, and the page faults it was charged. */
  readonly number?: number;
  readonly faults?: number | null;
  /** Only in ops files with sleeping threads: the call as it is written. */
  readonly text?: string;
  /** Only in ops files: the address stands for what the line before returned, if that lies outside the window. */
  readonly placed?: true;
}

/** A thread of an ops file that can sleep: one of the workers of the process, or a child. */
export interface Sleeper {
  readonly kind: 'worker' | 'child';
  readonly number: number;
}

/** Only in ops files with sleeping threads: a call in which a thread slept is over. */
export interface Completion {
  readonly kind: 'completion';
  /** Number of the operation that released it. */
  readonly number: number;
  readonly who: Sleeper;
  readonly recorded: Recorded;
  /** Page faults charged for the whole call, null where none are told. */
  readonly faults: number | null;
  readonly file: string;
  readonly line: number;
}

/** A signal that a thread received for an access (SIGSEGV, SIGBUS); its touch, if faults were recorded, is the item of that thread before it. */
export interface SignalItem {
  readonly kind: 'signal';
  readonly task: number;
  readonly signal: string;
  /** `SEGV_MAPERR`, `SEGV_ACCERR`, `BUS_ADRERR` … */
  readonly code: string;
  readonly addr: Addr;
  readonly file: string;
  readonly line: number;
}

/** A vma of a snapshot in an ops file: a maps line without device and inode, the figures of smaps that are not 0, VmFlags. */
export interface SnapshotVma {
  readonly start: Addr;
  readonly end: Addr;
  readonly perms: string;
  readonly offset: number;
  readonly name: string;
  readonly figures: ReadonlyMap<string, number>;
  readonly vmFlags: readonly string[];
  readonly line: number;
}

/** Pages of one state in a snapshot of an ops file. */
export interface SnapshotPages {
  readonly start: Addr;
  readonly end: Addr;
  /** Eight columns: P S F X D G Z H, or dashes; where threads sleep two more: W, and w p g for the kind of a marker. */
  readonly flags: string;
  /** The first 8 bytes of each page, null for pages that are not present. */
  readonly stamp: number | null;
  readonly line: number;
}

/** What the kernel's own structures say of a vma in a snapshot; anon_vmas are numbered from 1, 0 is none. */
export interface SnapshotInternals {
  readonly start: Addr;
  readonly end: Addr;
  readonly pgoff: Pgoff;
  readonly anonVma: number;
  readonly root: number;
  readonly parent: number;
  /** `num_children` and `num_active_vmas` of the anon_vma, length of the vma's chain. */
  readonly children: number;
  readonly vmas: number;
  readonly chain: number;
  readonly line: number;
}

/** Pages for which PAGEMAP_SCAN tells the same categories. */
export interface SnapshotCategories {
  readonly start: Addr;
  readonly end: Addr;
  /** PAGE_IS_ bits. */
  readonly categories: number;
  readonly line: number;
}

/** A userfaultfd in a snapshot, as its fdinfo shows it. */
export interface SnapshotContext {
  readonly number: number;
  readonly pending: number;
  readonly total: number;
  /** The line `API:` of fdinfo. */
  readonly api: string;
  readonly line: number;
}

/** The memfd in a snapshot. */
export interface SnapshotMemfd {
  readonly size: number;
  readonly blocksKb: number;
  /** Bytes that are in the page cache or in swap. */
  readonly data: readonly { readonly start: number; readonly end: number }[];
  readonly line: number;
}

/** Who sleeps at a snapshot, in which operation. */
export interface SnapshotSleeper {
  readonly who: Sleeper;
  readonly number: number;
  readonly line: number;
}

/** What a snapshot tells besides processes where threads sleep. */
export interface SnapshotUffd {
  readonly contexts: readonly SnapshotContext[];
  readonly memfd: SnapshotMemfd;
  readonly sleepers: readonly SnapshotSleeper[];
}

/** One process in a snapshot. */
export interface SnapshotProcess {
  readonly task: number;
  /** kB of page tables of the whole process; only differences between snapshots mean something. */
  readonly pageTablesKb: number;
  /** kB that are in swap (VmSwap); null where that is not told. */
  readonly swapKb: number | null;
  readonly vmas: readonly SnapshotVma[];
  readonly pages: readonly SnapshotPages[];
  /** Only where threads sleep. */
  readonly categories: readonly SnapshotCategories[];
  /** Null where they were not to be had. */
  readonly internals: readonly SnapshotInternals[] | null;
  readonly line: number;
}

/** The lines between `snapshot` and `end`, each with its newline, in a text. */
export interface SnapshotText {
  readonly text: string;
  readonly from: number;
  readonly to: number;
}

/** What the kernel showed between two operations of an ops file. */
export interface Snapshot {
  readonly kind: 'snapshot';
  /** Number of the operation it follows. */
  readonly number: number;
  readonly processes: readonly SnapshotProcess[];
  /** Null in files without userfaultfd. */
  readonly uffd: SnapshotUffd | null;
  /** Where it is written, if it was not read yet: whoever asks for `processes` has it read. */
  readonly unread?: SnapshotText;
  readonly file: string;
  readonly line: number;
}

/** What the kernel showed of one process at the end of a recording. A part is null where its file is missing. */
export interface EndState {
  readonly kind: 'end';
  /** The pid, which is also the first thread. */
  readonly task: number;
  /** The recorded process itself, not one of its children. */
  readonly isMain: boolean;
  /** It called execve after the start, so its address space was never seen to begin: not to be compared. */
  readonly afterExec: boolean;
  /** Names of the files, for messages. */
  readonly files: {
    readonly maps: string;
    readonly smaps: string;
    readonly vmas: string;
    readonly pagemap: string;
    readonly status: string;
    readonly stat: string;
  };
  readonly maps: readonly MapsLine[];
  readonly smaps: readonly SmapsEntry[] | null;
  readonly vmas: readonly VmaInternals[] | null;
  readonly status: ReadonlyMap<string, string> | null;
  readonly stat: ProcStat | null;
  /** There are page states. */
  readonly hasPages: boolean;
  /** Reads the page states, which may be many, again at each call. */
  pages(): Iterable<PageRun>;
}

/** Why a line, a call or a file was not used. One item per kind, with a count. */
export type WarningKind =
  | 'no-start'
  | 'no-execve'
  | 'no-faults'
  | 'no-end'
  | 'not-quiescent'
  | 'faults-lost'
  | 'truncated'
  | 'not-strace'
  | 'unknown-call'
  | 'not-followed'
  | 'unfinished-call'
  | 'resumed-without-call'
  | 'unknown-thread'
  | 'clone-flags-unknown'
  | 'path-unknown'
  | 'after-exec'
  | 'after-exit'
  | 'late'
  | 'events-lost'
  | 'moving-start'
  | 'not-mapped'
  | 'window-full';

/** Something that does not matter, or matters and could not be helped. */
export interface Warning {
  readonly kind: 'warning';
  readonly what: WarningKind;
  /** One sentence for people. */
  readonly text: string;
  readonly count: number;
  /** The first place. */
  readonly file: string;
  readonly line: number;
}

/** The last item: what the input held. */
export interface Summary {
  readonly kind: 'summary';
  readonly format: InputFormat;
  readonly lines: number;
  /** Operations yielded that are system calls, and touches. */
  readonly calls: number;
  readonly touches: number;
  /** Calls that cannot change an address space, by name. */
  readonly skipped: ReadonlyMap<string, number>;
  /** Lines of page faults, in a recording that has any. */
  readonly faultLines?: number;
  /** Operations that overlap something of another thread. */
  readonly overlapping: number;
}
