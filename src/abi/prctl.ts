/**
 * Options of prctl that change an address space, limits, the flags of clone, and those of personality that are about memory.
 *
 * Source: prctl(2), getrlimit(2), clone(2), personality(2).
 */

/** Options of prctl. */
export const PR_SET_THP_DISABLE = 41;
export const PR_SET_MDWE = 65;
export const PR_SET_MEMORY_MERGE = 67;
export const PR_SET_VMA = 0x5356_4d41;
/** Of seed 003, with a number of our own: whether the page tables of this process are scanned for empty ones, by the values below it. */
export const PR_SET_PT_RECLAIM = 0x5054_5243;
export const PR_PT_RECLAIM_NEVER = 0;
export const PR_PT_RECLAIM_MADVISE = 1;
export const PR_PT_RECLAIM_ALWAYS = 2;
/** The only operation of PR_SET_VMA. */
export const PR_SET_VMA_ANON_NAME = 0;

/** Makes readable memory executable from then on. */
const READ_IMPLIES_EXEC = 0x40_0000;
/** These decide about memory at once or in a program that is executed later; that of randomisation is seen in its addresses. */
const MMAP_PAGE_ZERO = 0x10_0000;
const ADDR_COMPAT_LAYOUT = 0x20_0000;
const ADDR_LIMIT_32BIT = 0x80_0000;
const ADDR_LIMIT_3GB = 0x800_0000;
/** All of them. */
export const PERSONALITY_OF_MEMORY =
  READ_IMPLIES_EXEC | MMAP_PAGE_ZERO | ADDR_COMPAT_LAYOUT | ADDR_LIMIT_32BIT | ADDR_LIMIT_3GB;
/** The argument that only asks. */
export const PERSONALITY_QUERY = 0xffff_ffff;

const CONSTANT: Readonly<Record<string, number>> = {
  PR_SET_THP_DISABLE,
  PR_SET_MDWE,
  PR_SET_MEMORY_MERGE,
  PR_SET_VMA,
  PR_SET_VMA_ANON_NAME,
  PR_SET_PT_RECLAIM,
  PR_PT_RECLAIM_NEVER,
  PR_PT_RECLAIM_MADVISE,
  PR_PT_RECLAIM_ALWAYS,
  PR_MDWE_REFUSE_EXEC_GAIN: 1,
  PR_MDWE_NO_INHERIT: 2,
  PR_THP_DISABLE_EXCEPT_ADVISED: 2,
  READ_IMPLIES_EXEC,
  MMAP_PAGE_ZERO,
  ADDR_COMPAT_LAYOUT,
  ADDR_LIMIT_32BIT,
  ADDR_LIMIT_3GB,
  RLIMIT_CPU: 0,
  RLIMIT_FSIZE: 1,
  RLIMIT_DATA: 2,
  RLIMIT_STACK: 3,
  RLIMIT_CORE: 4,
  RLIMIT_RSS: 5,
  RLIMIT_NPROC: 6,
  RLIMIT_NOFILE: 7,
  RLIMIT_MEMLOCK: 8,
  RLIMIT_AS: 9,
  RLIMIT_LOCKS: 10,
  RLIMIT_SIGPENDING: 11,
  RLIMIT_MSGQUEUE: 12,
  RLIMIT_NICE: 13,
  RLIMIT_RTPRIO: 14,
  RLIMIT_RTTIME: 15,
  RLIM_INFINITY: Number.POSITIVE_INFINITY,
  RLIM64_INFINITY: Number.POSITIVE_INFINITY,
  CSIGNAL: 0xff,
  CLONE_VM: 0x100,
  CLONE_FS: 0x200,
  CLONE_FILES: 0x400,
  CLONE_SIGHAND: 0x800,
  CLONE_PIDFD: 0x1000,
  CLONE_PTRACE: 0x2000,
  CLONE_VFORK: 0x4000,
  CLONE_PARENT: 0x8000,
  CLONE_THREAD: 0x1_0000,
  CLONE_NEWNS: 0x2_0000,
  CLONE_SYSVSEM: 0x4_0000,
  CLONE_SETTLS: 0x8_0000,
  CLONE_PARENT_SETTID: 0x10_0000,
  CLONE_CHILD_CLEARTID: 0x20_0000,
  CLONE_DETACHED: 0x40_0000,
  CLONE_UNTRACED: 0x80_0000,
  CLONE_CHILD_SETTID: 0x100_0000,
  CLONE_NEWCGROUP: 0x200_0000,
  CLONE_NEWUTS: 0x400_0000,
  CLONE_NEWIPC: 0x800_0000,
  CLONE_NEWUSER: 0x1000_0000,
  CLONE_NEWPID: 0x2000_0000,
  CLONE_NEWNET: 0x4000_0000,
  CLONE_IO: 0x8000_0000,
  CLONE_CLEAR_SIGHAND: 2 ** 32,
  CLONE_INTO_CGROUP: 2 ** 33,
  CLONE_NEWTIME: 0x80,
  SIGHUP: 1,
  SIGKILL: 9,
  SIGUSR1: 10,
  SIGUSR2: 12,
  SIGTERM: 15,
  SIGCHLD: 17,
};

/** Returns the value of a constant of prctl, limits, clone or personality by its name, or null. */
export const processConstant = (name: string): number | null =>
  Object.hasOwn(CONSTANT, name) ? (CONSTANT[name] ?? null) : null;
