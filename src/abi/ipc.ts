/**
 * Constants of System V shared memory, memory policies, and registration with userfaultfd.
 *
 * Source: shmget(2), shmat(2), mbind(2), ioctl_userfaultfd(2).
 */

/** The key that always makes a new segment. */
export const IPC_PRIVATE = 0;
/** Flags of shmget. */
export const IPC_CREAT = 0o1000;
export const IPC_EXCL = 0o2000;
/** Flags of shmat. */
export const SHM_RDONLY = 0o10000;
export const SHM_RND = 0o20000;
export const SHM_REMAP = 0o40000;
export const SHM_EXEC = 0o100000;

const CONSTANT: Readonly<Record<string, number>> = {
  IPC_PRIVATE,
  IPC_CREAT,
  IPC_EXCL,
  SHM_HUGETLB: 0o4000,
  SHM_NORESERVE: 0o10000,
  SHM_RDONLY,
  SHM_RND,
  SHM_REMAP,
  SHM_EXEC,
  MPOL_DEFAULT: 0,
  MPOL_PREFERRED: 1,
  MPOL_BIND: 2,
  MPOL_INTERLEAVE: 3,
  MPOL_LOCAL: 4,
  MPOL_PREFERRED_MANY: 5,
  MPOL_WEIGHTED_INTERLEAVE: 6,
  MPOL_F_STATIC_NODES: 0x8000,
  MPOL_F_RELATIVE_NODES: 0x4000,
  MPOL_F_NUMA_BALANCING: 0x2000,
  MPOL_MF_STRICT: 1,
  MPOL_MF_MOVE: 2,
  MPOL_MF_MOVE_ALL: 4,
};

/** Returns the value of a constant of these calls by its name, or null. */
export const ipcConstant = (name: string): number | null =>
  Object.hasOwn(CONSTANT, name) ? (CONSTANT[name] ?? null) : null;
