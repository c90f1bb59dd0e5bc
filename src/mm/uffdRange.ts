/**
 * Ranges as the ioctls of userfaultfd take them.
 *
 * Linux   fs/userfaultfd.c: validate_range, validate_unaligned_range. There is no test of vm.mmap_min_addr
 */
import { type Addr, isPageAligned, TASK_SIZE } from '../base/units.ts';

/** A range as an ioctl gives it, bytes. */
export interface UffdRange {
  readonly start: Addr;
  readonly len: number;
}

/** Tells whether a range is one that can be copied from: it may begin anywhere. */
export const isValidSource = ({ start, len }: UffdRange): boolean =>
  len > 0 && isPageAligned(len) && start < TASK_SIZE && len <= TASK_SIZE - start;
/** Tells whether a range is one that the ioctls take. */
export const isValidRange = (range: UffdRange): boolean => isPageAligned(range.start) && isValidSource(range);
