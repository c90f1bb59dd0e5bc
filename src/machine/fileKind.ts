/**
 * What a path says about the object behind it: whether and how it can be mapped.
 *
 * A recording shows paths, not inodes; the rules are the conventions of /dev and of what strace and /proc print for nameless files.
 */
import type { FileKind } from './op.ts';

/** Devices that have no mmap: the call fails with ENODEV. */
const UNMAPPABLE = /^\/dev\/(null|full|u?random|tty|pts|console|ptmx|stdin|stdout|stderr)/;

/** Returns what kind of object `path` is, as strace prints it with option -y. */
export function fileKindOf(path: string): FileKind {
  if (path === '/dev/zero') return 'zero';
  if (path.startsWith('/dev/shm/')) return 'regular';
  if (UNMAPPABLE.test(path)) return 'other';
  if (path.startsWith('/dev/')) return 'device';
  if (path.startsWith('/memfd:')) return 'memfd';
  if (path.startsWith('pipe:')) return 'pipe';
  return path.startsWith('/') || !path.includes(':[') ? 'regular' : 'other';
}
