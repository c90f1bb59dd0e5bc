/**
 * Constants of open, fcntl, memfd_create and fallocate, x86-64 Linux.
 *
 * Source: open(2), fcntl(2), memfd_create(2), fallocate(2).
 */

/** The access mode of open and its mask. */
export const O_ACCMODE = 3;
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
/** Flags of open that decide what a descriptor can do. */
export const O_DIRECTORY = 0x1_0000;
export const O_PATH = 0x20_0000;
/** Flags of any descriptor. */
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o200_0000;

/** "Relative to the working directory". */
export const AT_FDCWD = -100;

/** Commands of fcntl that make descriptors or change what a file allows. */
export const F_DUPFD = 0;
export const F_DUPFD_CLOEXEC = 1030;
export const F_ADD_SEALS = 1033;
/** Seals of a memfd that change what may be mapped. */
export const F_SEAL_SEAL = 1;
export const F_SEAL_SHRINK = 2;
export const F_SEAL_GROW = 4;
export const F_SEAL_WRITE = 8;
export const F_SEAL_FUTURE_WRITE = 16;
export const F_SEAL_EXEC = 32;
/** Flags of memfd_create. */
export const MFD_ALLOW_SEALING = 2;
export const MFD_HUGETLB = 4;
export const MFD_NOEXEC_SEAL = 8;
export const MFD_EXEC = 16;
/** Modes of fallocate that change what a file holds or how long it is. */
export const FALLOC_FL_KEEP_SIZE = 1;
export const FALLOC_FL_PUNCH_HOLE = 2;

const CONSTANT: Readonly<Record<string, number>> = {
  O_RDONLY,
  O_WRONLY,
  O_RDWR,
  O_DIRECTORY,
  O_PATH,
  O_CREAT: 0o100,
  O_EXCL: 0o200,
  O_NOCTTY: 0o400,
  O_TRUNC: 0o1000,
  O_APPEND: 0o2000,
  O_NONBLOCK,
  O_DSYNC: 0o10000,
  O_SYNC: 0o4010000,
  O_DIRECT: 0o40000,
  O_LARGEFILE: 0o100000,
  O_NOFOLLOW: 0o400000,
  O_NOATIME: 0o1000000,
  O_CLOEXEC,
  O_TMPFILE: 0o20200000,
  AT_FDCWD,
  F_DUPFD,
  F_DUPFD_CLOEXEC,
  F_ADD_SEALS,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_GROW,
  F_SEAL_WRITE,
  F_SEAL_FUTURE_WRITE,
  F_SEAL_EXEC,
  MFD_CLOEXEC: 1,
  MFD_ALLOW_SEALING,
  MFD_HUGETLB,
  MFD_NOEXEC_SEAL,
  MFD_EXEC,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_NO_HIDE_STALE: 4,
  FALLOC_FL_COLLAPSE_RANGE: 8,
  FALLOC_FL_ZERO_RANGE: 16,
  FALLOC_FL_INSERT_RANGE: 32,
  FALLOC_FL_UNSHARE_RANGE: 64,
  CLOSE_RANGE_UNSHARE: 2,
  CLOSE_RANGE_CLOEXEC: 4,
};

/** Returns the value of a constant of these calls by its name, or null. */
export const fcntlConstant = (name: string): number | null =>
  Object.hasOwn(CONSTANT, name) ? (CONSTANT[name] ?? null) : null;
