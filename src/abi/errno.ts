/**
 * Error numbers of x86-64 Linux, by name and back, with the texts strace prints.
 *
 * Source: errno(3), the numbers of the generic and x86-64 tables.
 */

/** The error numbers that memory management returns. */
export const EPERM = 1;
export const ENOENT = 2;
export const ESRCH = 3;
export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const E2BIG = 7;
export const EBADF = 9;
export const ECHILD = 10;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EACCES = 13;
export const EFAULT = 14;
export const EBUSY = 16;
export const EEXIST = 17;
export const ENODEV = 19;
export const ENOTDIR = 20;
export const EISDIR = 21;
export const EINVAL = 22;
export const ENFILE = 23;
export const EMFILE = 24;
export const ENOTTY = 25;
export const ETXTBSY = 26;
export const EFBIG = 27;
export const ENOSPC = 28;
export const ENOSYS = 38;
export const EOVERFLOW = 75;
export const EOPNOTSUPP = 95;
export const EHWPOISON = 133;

const ERRNO: Readonly<Record<string, number>> = {
  EPERM,
  ENOENT,
  ESRCH,
  EINTR,
  EIO,
  ENXIO,
  E2BIG,
  EBADF,
  ECHILD,
  EAGAIN,
  ENOMEM,
  EACCES,
  EFAULT,
  EBUSY,
  EEXIST,
  ENODEV,
  ENOTDIR,
  EISDIR,
  EINVAL,
  ENFILE,
  EMFILE,
  ENOTTY,
  ETXTBSY,
  EFBIG,
  ENOSPC,
  ENOSYS,
  EOVERFLOW,
  EOPNOTSUPP,
  EHWPOISON,
};
const NAME = new Map(Object.entries(ERRNO).map(([name, value]) => [value, name]));

/** Returns the number of an error named as in errno.h (`ENOMEM`), or null when we do not know the name. */
export const errnoByName = (name: string): number | null =>
  Object.hasOwn(ERRNO, name) ? (ERRNO[name] ?? null) : null;

/** Returns the name of a positive error number, `E12` style for one we do not know. */
export const errnoName = (errno: number): string => NAME.get(errno) ?? `E${errno}`;
