/**
 * Faults that user space serves: the message is queued, and the task that faulted waits.
 *
 * Who cannot wait, or whose context asked for SIGBUS, gets a signal instead (EFAULT, when the kernel made the access). The message says where, by page or to
 * the byte, and what for: a page that is missing, one that is in the file and only not mapped (minor), or a store to a protected one.
 *
 * Linux   fs/userfaultfd.c: handle_userfault, userfault_msg; spec/userfaultfd.md 8
 */
import {
  UFFD_FEATURE_EXACT_ADDRESS,
  UFFD_FEATURE_SIGBUS,
  UFFD_FEATURE_THREAD_ID,
  UFFD_PAGEFAULT_FLAG_MINOR,
  UFFD_PAGEFAULT_FLAG_WP,
  UFFD_PAGEFAULT_FLAG_WRITE,
} from '../abi/userfaultfd.ts';
import { pageFloor } from '../base/units.ts';
import type { AccessRequest } from './fault.ts';
import type { UffdWait } from './uffdContext.ts';
import type { Vma } from './vma.ts';

/** What user space is asked for. */
export type UffdReason = 'missing' | 'minor' | 'wp';

const FLAG: Readonly<Record<UffdReason, number>> = {
  missing: 0,
  minor: UFFD_PAGEFAULT_FLAG_MINOR,
  wp: UFFD_PAGEFAULT_FLAG_WP,
};

/** Begins to wait for user space. Returns null if the access gets SIGBUS instead. */
export function handleUserfault(vma: Vma, request: AccessRequest, reason: UffdReason): UffdWait | null {
  const context = vma.uffd;
  if (context === null || context.has(UFFD_FEATURE_SIGBUS) || request.cannotWait === true) return null;
  const byKernel = request.by === 'copy' || request.by === 'gup';
  if (byKernel && context.userModeOnly) return null;
  const write = request.access === 'write' ? UFFD_PAGEFAULT_FLAG_WRITE : 0;
  return context.queueFault({
    event: 'pagefault',
    flags: FLAG[reason] | write,
    addr: context.has(UFFD_FEATURE_EXACT_ADDRESS) ? request.addr : pageFloor(request.addr),
    tid: context.has(UFFD_FEATURE_THREAD_ID) ? (request.tid ?? 0) : 0,
  });
}
