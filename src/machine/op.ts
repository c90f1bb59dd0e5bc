/**
 * An Op: one thing a program does to its address space, as data. Everything the model is fed is an Op: the lines of a recording,
 * the steps of an `.ops` file, what a workload yields.
 *
 * Arguments are those of the system call, in its order and units (bytes, never pages), undecoded: flags are the numbers of abi/mman.ts, an
 * argument that a 64-bit register holds may be up to 2^64 as a double. Nothing in an Op comes from the kernel's answer except
 * `Chosen`, the choices that are the kernel's to make.
 *
 * The union is closed: a new operation is a new member here, and every switch over `call` then fails to compile until it handles it.
 */
import type { Addr } from '../base/units.ts';
import type { VrangeBehavior, VrangeMode } from '../mm/vrangeTree.ts';
import type { UffdOp } from './uffdOp.ts';

/** How memory is touched: a load, a store or an instruction fetch. */
export type Access = 'read' | 'write' | 'exec';

/** What an open call may do with the file; `path` (O_PATH) can do neither. */
export type OpenMode = 'read' | 'write' | 'read-write' | 'path';

/** What kind of object an open file is, as far as mapping it is concerned. */
export type FileKind = 'regular' | 'directory' | 'device' | 'memfd' | 'zero' | 'pipe' | 'other';

/** What a new userfaultfd, timerfd, socket … is to us: a descriptor that cannot be mapped is `other`. */
export type Op =
  | UffdOp
  | {
      readonly call: 'mmap';
      readonly addr: Addr;
      readonly len: number;
      readonly prot: number;
      readonly flags: number;
      readonly fd: number;
      readonly offset: number;
    }
  | { readonly call: 'munmap'; readonly addr: Addr; readonly len: number }
  | {
      readonly call: 'mprotect';
      readonly addr: Addr;
      readonly len: number;
      readonly prot: number;
      readonly pkey?: number;
    }
  | {
      readonly call: 'mremap';
      readonly addr: Addr;
      readonly oldLen: number;
      readonly newLen: number;
      readonly flags: number;
      readonly newAddr: Addr;
    }
  | { readonly call: 'brk'; readonly addr: Addr }
  | { readonly call: 'madvise'; readonly addr: Addr; readonly len: number; readonly advice: number }
  | {
      readonly call: 'process_madvise';
      readonly target: 'self' | number;
      readonly ranges: readonly { readonly addr: Addr; readonly len: number }[];
      readonly advice: number;
      readonly flags: number;
    }
  /** process_vm_readv and process_vm_writev: `max` is what the local buffers hold, `stamp` what a write leaves in the first word of a page, and with `fills` everywhere. */
  | {
      readonly call: 'process_vm';
      readonly target: 'self' | number;
      readonly ranges: readonly { readonly addr: Addr; readonly len: number }[];
      readonly max: number;
      readonly write: boolean;
      readonly stamp?: number;
      readonly fills?: boolean;
    }
  /** vrange of seed 002, arguments by name; a number stands for a mode or a behavior that there is not. */
  | {
      readonly call: 'vrange';
      readonly addr: Addr;
      readonly len: number;
      readonly mode: VrangeMode | number;
      readonly behavior: VrangeBehavior | number;
    }
  | { readonly call: 'mlock'; readonly addr: Addr; readonly len: number }
  | { readonly call: 'mlock2'; readonly addr: Addr; readonly len: number; readonly flags: number }
  | { readonly call: 'munlock'; readonly addr: Addr; readonly len: number }
  | { readonly call: 'mlockall'; readonly flags: number }
  | { readonly call: 'munlockall' }
  | { readonly call: 'mincore'; readonly addr: Addr; readonly len: number }
  | { readonly call: 'msync'; readonly addr: Addr; readonly len: number; readonly flags: number }
  | { readonly call: 'mseal'; readonly addr: Addr; readonly len: number; readonly flags: number }
  | {
      readonly call: 'mbind';
      readonly addr: Addr;
      readonly len: number;
      readonly mode: number;
      readonly nodes: string;
      readonly flags: number;
    }
  /** PR_SET_VMA with PR_SET_VMA_ANON_NAME; `name` null takes the name away. */
  | { readonly call: 'set_vma_name'; readonly addr: Addr; readonly len: number; readonly name: string | null }
  /** What is written to /proc/PID/clear_refs: 1 to 3 accessed bits, 4 soft-dirty bits, 5 the peak of resident memory. */
  | { readonly call: 'clear_refs'; readonly target: 'self' | number; readonly what: number }
  /** PR_SET_MEMORY_MERGE: new private vmas are VM_MERGEABLE. */
  | { readonly call: 'set_memory_merge'; readonly on: boolean }
  /** PR_SET_MDWE: no mapping may become both writable and executable. */
  | { readonly call: 'set_mdwe'; readonly flags: number }
  /** PR_SET_THP_DISABLE. */
  | { readonly call: 'set_thp_disable'; readonly on: boolean; readonly flags: number }
  /** PR_SET_PT_RECLAIM (seed 003): whether the page tables of the process are scanned for empty ones; 0 never, 1 where MADV_PT_RECLAIM_MARK asked, 2 always. */
  | { readonly call: 'prctl_pt_reclaim'; readonly mode: number }
  /** What is written to the file of that scan: `NAME=VALUE` of mm/ptScanTunables.ts, blanks between. */
  | { readonly call: 'pt_scan_write'; readonly settings: string }
  /** One access of `size` bytes at the start of each page of [addr, addr+len), ascending; addr itself need not be page aligned. */
  | {
      readonly call: 'touch';
      readonly addr: Addr;
      readonly len: number;
      readonly access: Access;
      readonly stamp?: number;
      readonly by: 'user' | 'kernel';
    }
  | {
      readonly call: 'setrlimit';
      readonly resource: number;
      readonly soft: number | null;
      readonly hard: number | null;
      /** `soft` is so many bytes more than what the process uses now (RLIMIT_AS, RLIMIT_DATA). */
      readonly aboveUse?: true;
    }
  /** No system call: other mappings take up the rest of vm.max_map_count, so that `room` more vmas are all the process may have. */
  | { readonly call: 'fill_maps'; readonly room: number }
  /** vm.overcommit_memory of the machine is set. */
  | { readonly call: 'overcommit'; readonly mode: number }
  /**
   * memory.max of the memory cgroup of the process, which is its own and that of all that it forks, and they fork; infinity: no limit. And a write to its
   * memory.reclaim: so many bytes are to be got back.
   */
  | { readonly call: 'set_memory_limit'; readonly bytes: number }
  | { readonly call: 'reclaim'; readonly bytes: number }
  /**
   * No system calls: the machine has so much memory (infinity: as much as it takes); it gets a swap device of so many bytes more. `readAtOnce`: pages that
   * are read at once from then on, at most; a power of two, 1 unless told (vm.page-cluster 3 is 8).
   */
  | { readonly call: 'set_memory_size'; readonly bytes: number }
  | { readonly call: 'swapon'; readonly bytes: number; readonly readAtOnce?: number }
  | { readonly call: 'set_uid'; readonly uid: number }
  /** A child with a copy of the address space (fork), or one that shares it (CLONE_VM); `flags` are those of clone. */
  | { readonly call: 'clone'; readonly flags: number; readonly child: number }
  | { readonly call: 'execve'; readonly path: string }
  /** The thread ends; the last thread of a process takes the address space with it. */
  | { readonly call: 'exit' }
  /** All threads of the process end. */
  | { readonly call: 'exit_group' }
  | {
      readonly call: 'open';
      readonly path: string;
      readonly mode: OpenMode;
      readonly kind: FileKind;
      readonly size: number | null;
      /** A file of its own without a name, all of which is in the page cache. */
      readonly inMemory?: true;
    }
  | { readonly call: 'memfd_create'; readonly name: string; readonly flags: number }
  | { readonly call: 'close'; readonly fd: number }
  | { readonly call: 'close_range'; readonly first: number; readonly last: number; readonly flags: number }
  | { readonly call: 'dup'; readonly fd: number; readonly newFd: number | null }
  | { readonly call: 'ftruncate'; readonly fd: number; readonly size: number }
  /** A pwrite of the word `stamp` every 4,096 bytes from `offset` on, as long as that is below `offset` + `len`. */
  | {
      readonly call: 'write_file';
      readonly fd: number;
      readonly offset: number;
      readonly len: number;
      readonly stamp: number;
      /** What it answers: the bytes that were written; left out: the part of `len` that was gone through. */
      readonly answers?: 'written';
    }
  /** fcntl(F_ADD_SEALS) of a memfd; `seals` are the F_SEAL_ bits. */
  | { readonly call: 'add_seals'; readonly fd: number; readonly seals: number }
  | {
      readonly call: 'fallocate';
      readonly fd: number;
      readonly mode: number;
      readonly offset: number;
      readonly len: number;
    }
  | { readonly call: 'shmget'; readonly key: number; readonly size: number; readonly flags: number }
  | { readonly call: 'shmat'; readonly id: number; readonly addr: Addr; readonly flags: number }
  | { readonly call: 'shmdt'; readonly addr: Addr }
  | { readonly call: 'userfaultfd'; readonly flags: number }
  /** io_setup: the kernel maps a ring whose address only the result shows. */
  | { readonly call: 'io_setup'; readonly nrEvents: number }
  /** No system call: the kernel starts, or ends, migrating the anonymous pages of a range (compaction, NUMA balancing). */
  | { readonly call: 'migrate'; readonly addr: Addr; readonly len: number; readonly step: 'start' | 'end' }
  | { readonly call: 'nop' };

/** The name of an operation. */
export type OpName = Op['call'];

/** What the kernel was free to choose; a replay takes these, and only these, from the recording. */
export interface Chosen {
  /** Where a mapping without MAP_FIXED landed (mmap, mremap, shmat, io_setup), or where brk starts. */
  readonly addr?: Addr;
  /** The descriptor, segment id or pid a call handed out. */
  readonly handle?: number;
  /** What a descriptor refers to by the recording, as maps would print it; needed where its open was not recorded. */
  readonly fdPath?: string;
}

/** The answer a recording has for an operation, to be compared with ours: a value, an errno by name, or a signal. */
export type Recorded =
  /** `resident`: of mincore, a digit for each page. */
  | { readonly kind: 'value'; readonly value: number; readonly resident?: string }
  | { readonly kind: 'errno'; readonly errno: string }
  | { readonly kind: 'signal'; readonly signal: string; readonly code: string; readonly addr: Addr }
  /** An ioctl: what it wrote into its structure as text (`{copy=4096}`), null where nothing is told. */
  | {
      readonly kind: 'ioctl';
      readonly result:
        | { readonly kind: 'value'; readonly value: number }
        | { readonly kind: 'errno'; readonly errno: string };
      readonly output: string | null;
    }
  /** Messages of a userfaultfd as text, one after the other, and the error that ended the reads. */
  | { readonly kind: 'messages'; readonly text: string }
  /** The thread sleeps; `worker` is null where that is a child, which has only one. */
  | { readonly kind: 'blocked'; readonly worker: number | null }
  | { readonly kind: 'none' };

/** An operation where it stands in an input. */
export interface OpRecord {
  readonly op: Op;
  /** Number of the operation within the input, from 1, in the order it is applied. */
  readonly nr: number;
  /** Line of the input from 1, and which of its files. */
  readonly line: number;
  readonly file: string;
  /** The thread that does it. */
  readonly task: number;
  readonly chosen: Chosen;
  readonly recorded: Recorded;
}
