/**
 * The errors that each call of the model can return: the errnos of a coverage count.
 *
 * test/fuzz/callErrors.test.ts walks the sources from each call to every refusal that it can reach, so a new errno has to be entered here.
 * Accesses are no calls of the program: they end in signals; only those that the kernel makes for a call return EFAULT.
 */
import type { OpName } from '../machine/index.ts';

/** Errors by call, each once. Calls that are not listed never fail. */
export const CALL_ERRORS: Readonly<Partial<Record<OpName, readonly string[]>>> = {
  mmap: [
    'EACCES',
    'EAGAIN',
    'EBADF',
    'EEXIST',
    'EINVAL',
    'ENODEV',
    'ENOMEM',
    'EOPNOTSUPP',
    'EOVERFLOW',
    'EPERM',
  ],
  munmap: ['EINVAL', 'ENOMEM', 'EPERM'],
  mprotect: ['EACCES', 'EINVAL', 'ENOMEM', 'EPERM'],
  mremap: ['EAGAIN', 'EFAULT', 'EINVAL', 'ENOMEM', 'EPERM'],
  madvise: ['EACCES', 'EAGAIN', 'EFAULT', 'EINVAL', 'ENOMEM', 'EOPNOTSUPP', 'EPERM'],
  process_madvise: ['EACCES', 'EAGAIN', 'EFAULT', 'EINVAL', 'ENOMEM', 'EOPNOTSUPP', 'EPERM', 'ESRCH'],
  process_vm: ['EFAULT', 'EPERM'],
  mlock: ['ENOMEM', 'EINVAL', 'EPERM'],
  mlock2: ['ENOMEM', 'EINVAL', 'EPERM'],
  munlock: ['EINVAL', 'ENOMEM'],
  mlockall: ['EINVAL', 'ENOMEM', 'EPERM'],
  mincore: ['EINVAL', 'ENOMEM'],
  msync: ['EBUSY', 'EINVAL', 'ENOMEM'],
  mseal: ['EINVAL', 'ENOMEM'],
  mbind: ['EFAULT', 'EINVAL', 'ENOMEM'],
  set_vma_name: ['EBADF', 'EINVAL', 'ENOMEM'],
  touch: ['EFAULT'],
  clone: ['ENOMEM'],
  close: ['EBADF'],
  close_range: ['EINVAL'],
  ftruncate: ['EBADF', 'EFBIG', 'EINVAL', 'EPERM'],
  fallocate: ['EBADF', 'EFBIG', 'EINVAL', 'EOPNOTSUPP', 'EPERM'],
  add_seals: ['EBADF', 'EBUSY', 'EINVAL', 'EPERM'],
  shmget: ['EEXIST', 'EINVAL', 'ENOENT'],
  shmat: ['EACCES', 'EAGAIN', 'EINVAL', 'ENOMEM', 'EPERM'],
  shmdt: ['EINVAL'],
  uffd_register: ['EBADF', 'EBUSY', 'EINVAL', 'ENOMEM', 'ENOTTY', 'EPERM'],
  uffd_unregister: ['EBADF', 'EINVAL', 'ENOMEM', 'ENOTTY'],
  io_setup: ['ENOMEM'],
  memfd_create: ['EINVAL'],
  write_file: ['EBADF', 'EINVAL', 'EPERM'],
  set_mdwe: ['EINVAL', 'EPERM'],
  set_thp_disable: ['EINVAL'],
  setrlimit: ['EINVAL'],
  set_uid: ['EPERM'],
  fill_maps: ['ENOMEM'],
  overcommit: ['EINVAL'],
};
