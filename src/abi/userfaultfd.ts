/**
 * Constants of userfaultfd: features, modes, ioctls, messages.
 *
 * Source: include/uapi/linux/userfaultfd.h; ioctl_userfaultfd(2); spec/userfaultfd.md 1.
 */

/** The only version of the interface. */
export const UFFD_API = 0xaa;

/** Flag of userfaultfd(2): only faults of the program are reported, not those of the kernel on its behalf. */
export const UFFD_USER_MODE_ONLY = 1;

/** Features: what a context may ask for in UFFDIO_API. */
export const UFFD_FEATURE_PAGEFAULT_FLAG_WP = 1;
export const UFFD_FEATURE_EVENT_FORK = 1 << 1;
export const UFFD_FEATURE_EVENT_REMAP = 1 << 2;
export const UFFD_FEATURE_EVENT_REMOVE = 1 << 3;
export const UFFD_FEATURE_MISSING_HUGETLBFS = 1 << 4;
export const UFFD_FEATURE_MISSING_SHMEM = 1 << 5;
export const UFFD_FEATURE_EVENT_UNMAP = 1 << 6;
export const UFFD_FEATURE_SIGBUS = 1 << 7;
export const UFFD_FEATURE_THREAD_ID = 1 << 8;
export const UFFD_FEATURE_MINOR_HUGETLBFS = 1 << 9;
export const UFFD_FEATURE_MINOR_SHMEM = 1 << 10;
export const UFFD_FEATURE_EXACT_ADDRESS = 1 << 11;
export const UFFD_FEATURE_WP_HUGETLBFS_SHMEM = 1 << 12;
export const UFFD_FEATURE_WP_UNPOPULATED = 1 << 13;
export const UFFD_FEATURE_POISON = 1 << 14;
export const UFFD_FEATURE_WP_ASYNC = 1 << 15;
export const UFFD_FEATURE_MOVE = 1 << 16;
/** All of them. */
export const UFFD_API_FEATURES = 0x1_ffff;

/** Modes of UFFDIO_REGISTER. */
export const UFFDIO_REGISTER_MODE_MISSING = 1;
export const UFFDIO_REGISTER_MODE_WP = 2;
export const UFFDIO_REGISTER_MODE_MINOR = 4;

/** Modes of the ioctls that fill ranges. Two of them have WP in the same place. */
export const UFFDIO_MODE_DONTWAKE = 1;
export const UFFDIO_COPY_MODE_WP = 2;
export const UFFDIO_CONTINUE_MODE_WP = 2;
export const UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES = 2;
/** Modes of UFFDIO_WRITEPROTECT, where DONTWAKE has another place. */
export const UFFDIO_WRITEPROTECT_MODE_WP = 1;
export const UFFDIO_WRITEPROTECT_MODE_DONTWAKE = 2;

/** What UFFDIO_REGISTER says can be done in the range: a bit for each ioctl, by its number. */
export const UFFD_RANGE_IOCTLS = 0x13c;
export const UFFD_IOCTL_MOVE = 1 << 5;
export const UFFD_IOCTL_WRITEPROTECT = 1 << 6;
export const UFFD_IOCTL_CONTINUE = 1 << 7;
/** What UFFDIO_API says: API, UNREGISTER, REGISTER. */
export const UFFD_API_IOCTLS = 0x8000_0000_0000_0003n;

/** Flags of a page fault message. */
export const UFFD_PAGEFAULT_FLAG_WRITE = 1;
export const UFFD_PAGEFAULT_FLAG_WP = 2;
export const UFFD_PAGEFAULT_FLAG_MINOR = 4;

/** Bytes of a message. */
export const UFFD_MSG_SIZE = 32;

const FEATURES: readonly string[] = [
  'PAGEFAULT_FLAG_WP',
  'EVENT_FORK',
  'EVENT_REMAP',
  'EVENT_REMOVE',
  'MISSING_HUGETLBFS',
  'MISSING_SHMEM',
  'EVENT_UNMAP',
  'SIGBUS',
  'THREAD_ID',
  'MINOR_HUGETLBFS',
  'MINOR_SHMEM',
  'EXACT_ADDRESS',
  'WP_HUGETLBFS_SHMEM',
  'WP_UNPOPULATED',
  'POISON',
  'WP_ASYNC',
  'MOVE',
];
const CONSTANTS: ReadonlyMap<string, number> = new Map([
  ['UFFD_USER_MODE_ONLY', UFFD_USER_MODE_ONLY],
  ...FEATURES.map((name, bit) => [`UFFD_FEATURE_${name}`, 1 << bit] as const),
  ['UFFDIO_REGISTER_MODE_MISSING', UFFDIO_REGISTER_MODE_MISSING],
  ['UFFDIO_REGISTER_MODE_WP', UFFDIO_REGISTER_MODE_WP],
  ['UFFDIO_REGISTER_MODE_MINOR', UFFDIO_REGISTER_MODE_MINOR],
  ...['COPY', 'ZEROPAGE', 'CONTINUE', 'POISON', 'MOVE'].map(
    (name) => [`UFFDIO_${name}_MODE_DONTWAKE`, UFFDIO_MODE_DONTWAKE] as const,
  ),
  ['UFFDIO_COPY_MODE_WP', UFFDIO_COPY_MODE_WP],
  ['UFFDIO_CONTINUE_MODE_WP', UFFDIO_CONTINUE_MODE_WP],
  ['UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES', UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES],
  ['UFFDIO_WRITEPROTECT_MODE_WP', UFFDIO_WRITEPROTECT_MODE_WP],
  ['UFFDIO_WRITEPROTECT_MODE_DONTWAKE', UFFDIO_WRITEPROTECT_MODE_DONTWAKE],
]);

/** Returns the value of a constant of userfaultfd by its name in the kernel's headers, or null. For parsers. */
export const uffdConstant = (name: string): number | null => CONSTANTS.get(name) ?? null;
