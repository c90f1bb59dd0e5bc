/**
 * Constants of the memory-management system calls, x86-64 Linux 6.18.
 *
 * Source: mmap(2), mremap(2), madvise(2), mlock(2), msync(2), prctl(2), clone(2); include/uapi/asm-generic/mman*.h.
 */

/** Protections of mmap and mprotect. */
export const PROT_NONE = 0;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const PROT_EXEC = 4;
export const PROT_SEM = 8;
export const PROT_GROWSDOWN = 0x0100_0000;
export const PROT_GROWSUP = 0x0200_0000;

/** The type field of the flags of mmap. */
export const MAP_TYPE = 0x0f;
export const MAP_SHARED = 1;
export const MAP_PRIVATE = 2;
export const MAP_SHARED_VALIDATE = 3;
export const MAP_DROPPABLE = 8;
/** The flags of mmap. */
export const MAP_FIXED = 0x10;
export const MAP_ANONYMOUS = 0x20;
export const MAP_32BIT = 0x40;
export const MAP_ABOVE4G = 0x80;
export const MAP_GROWSDOWN = 0x100;
export const MAP_DENYWRITE = 0x800;
export const MAP_EXECUTABLE = 0x1000;
export const MAP_LOCKED = 0x2000;
export const MAP_NORESERVE = 0x4000;
export const MAP_POPULATE = 0x8000;
export const MAP_NONBLOCK = 0x1_0000;
export const MAP_STACK = 0x2_0000;
export const MAP_HUGETLB = 0x4_0000;
export const MAP_SYNC = 0x8_0000;
export const MAP_FIXED_NOREPLACE = 0x10_0000;
export const MAP_UNINITIALIZED = 0x400_0000;

/** The flags of mremap; the last four are of proposals (the successor of seed 004, seed 000 option B), which 6.18 does not have. */
export const MREMAP_MAYMOVE = 1;
export const MREMAP_FIXED = 2;
export const MREMAP_DONTUNMAP = 4;
export const MREMAP_RELOCATE_ANON = 8;
export const MREMAP_MUST_RELOCATE_ANON = 16;
export const MREMAP_ONLYPAGES = 32;
export const MREMAP_ONLYPAGES_HOLES = 64;

/** The advice of madvise and process_madvise. */
export const MADV_NORMAL = 0;
export const MADV_RANDOM = 1;
export const MADV_SEQUENTIAL = 2;
export const MADV_WILLNEED = 3;
export const MADV_DONTNEED = 4;
export const MADV_FREE = 8;
export const MADV_REMOVE = 9;
export const MADV_DONTFORK = 10;
export const MADV_DOFORK = 11;
export const MADV_MERGEABLE = 12;
export const MADV_UNMERGEABLE = 13;
export const MADV_HUGEPAGE = 14;
export const MADV_NOHUGEPAGE = 15;
export const MADV_DONTDUMP = 16;
export const MADV_DODUMP = 17;
export const MADV_WIPEONFORK = 18;
export const MADV_KEEPONFORK = 19;
export const MADV_COLD = 20;
export const MADV_PAGEOUT = 21;
export const MADV_POPULATE_READ = 22;
export const MADV_POPULATE_WRITE = 23;
export const MADV_DONTNEED_LOCKED = 24;
export const MADV_COLLAPSE = 25;
export const MADV_HWPOISON = 100;
export const MADV_SOFT_OFFLINE = 101;
export const MADV_GUARD_INSTALL = 102;
export const MADV_GUARD_REMOVE = 103;
/** Of seed 003, with numbers of our own: free empty page tables of the range now; let the scan visit it, or not. */
export const MADV_PT_RECLAIM = 104;
export const MADV_PT_RECLAIM_MARK = 105;
export const MADV_PT_RECLAIM_UNMARK = 106;
/** Seed 002 as posted in 2014 (v14). Its numbers, 18 and 19, are MADV_WIPEONFORK and MADV_KEEPONFORK today; these are ours. */
export const MADV_VOLATILE = 107;
export const MADV_NONVOLATILE = 108;

/** Flags of mlockall and mlock2. */
export const MCL_CURRENT = 1;
export const MCL_FUTURE = 2;
export const MCL_ONFAULT = 4;
export const MLOCK_ONFAULT = 1;

/** Flags of msync. */
export const MS_ASYNC = 1;
export const MS_INVALIDATE = 2;
export const MS_SYNC = 4;

/** Resources of setrlimit that memory management tests. */
export const RLIMIT_DATA = 2;
export const RLIMIT_STACK = 3;
export const RLIMIT_MEMLOCK = 8;
export const RLIMIT_AS = 9;
/** "No limit": every comparison with it passes. */
export const RLIM_INFINITY = Number.POSITIVE_INFINITY;

/** Flags of clone that decide what a child shares. */
export const CLONE_VM = 0x100;
export const CLONE_FILES = 0x400;
export const CLONE_VFORK = 0x4000;
export const CLONE_THREAD = 0x1_0000;

/** Signal codes of faults: the address is not mapped, access is refused, no such page of the object. */
export const SEGV_MAPERR = 1;
export const SEGV_ACCERR = 2;
export const BUS_ADRERR = 2;
/** Sent by the kernel, for no access. include/uapi/asm-generic/siginfo.h */
export const SI_KERNEL = 128;

const ADVICE: Readonly<Record<string, number>> = {
  MADV_NORMAL,
  MADV_RANDOM,
  MADV_SEQUENTIAL,
  MADV_WILLNEED,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_REMOVE,
  MADV_DONTFORK,
  MADV_DOFORK,
  MADV_MERGEABLE,
  MADV_UNMERGEABLE,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_DONTDUMP,
  MADV_DODUMP,
  MADV_WIPEONFORK,
  MADV_KEEPONFORK,
  MADV_COLD,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_DONTNEED_LOCKED,
  MADV_COLLAPSE,
  MADV_HWPOISON,
  MADV_SOFT_OFFLINE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_PT_RECLAIM,
  MADV_PT_RECLAIM_MARK,
  MADV_PT_RECLAIM_UNMARK,
  MADV_VOLATILE,
  MADV_NONVOLATILE,
};
const FLAG: Readonly<Record<string, number>> = {
  ...ADVICE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
  PROT_EXEC,
  PROT_SEM,
  PROT_GROWSDOWN,
  PROT_GROWSUP,
  MAP_SHARED,
  MAP_PRIVATE,
  MAP_SHARED_VALIDATE,
  MAP_DROPPABLE,
  MAP_FIXED,
  MAP_ANONYMOUS,
  MAP_32BIT,
  MAP_ABOVE4G,
  MAP_GROWSDOWN,
  MAP_DENYWRITE,
  MAP_EXECUTABLE,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_NONBLOCK,
  MAP_STACK,
  MAP_HUGETLB,
  MAP_SYNC,
  MAP_FIXED_NOREPLACE,
  MAP_UNINITIALIZED,
  MREMAP_MAYMOVE,
  MREMAP_FIXED,
  MREMAP_DONTUNMAP,
  MREMAP_RELOCATE_ANON,
  MREMAP_MUST_RELOCATE_ANON,
  MREMAP_ONLYPAGES,
  MREMAP_ONLYPAGES_HOLES,
  MCL_CURRENT,
  MCL_FUTURE,
  MCL_ONFAULT,
  MLOCK_ONFAULT,
  MS_ASYNC,
  MS_INVALIDATE,
  MS_SYNC,
  CLONE_VM,
  CLONE_FILES,
  CLONE_VFORK,
  CLONE_THREAD,
};

/** Returns the value of a constant of this file by its name, or null. For parsers and people. */
export const mmanConstant = (name: string): number | null =>
  Object.hasOwn(FLAG, name) ? (FLAG[name] ?? null) : null;

const ADVICE_NAME = new Map(Object.entries(ADVICE).map(([name, value]) => [value, name]));

/** Returns the name of an advice, or its number as text when there is none. */
export const adviceName = (advice: number): string => ADVICE_NAME.get(advice) ?? String(advice);
