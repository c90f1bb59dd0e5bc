/**
 * Where a mapping goes: hints, the highest gap, huge-page alignment, stack guard gaps.
 *
 * Invariant   an address given back is page aligned, at or above the lower limit, and [addr, addr+len) is free
 * Cost        O(log n) for a search; a GROWSDOWN vma above the gap costs another search
 * Linux       arch/x86/kernel/sys_x86_64.c, mm/vma.c: unmapped_area_topdown; mm/huge_memory.c: thp_get_unmapped_area; spec/vma.md 2
 * Left out    the legacy bottom-up layout as a process property; colouring of AMD family 15h
 */
import { EINVAL, ENOMEM, EPERM } from '../abi/errno.ts';
import {
  type Addr,
  ceilTo,
  floorTo,
  isPageAligned,
  PAGE_SIZE,
  PMD_SIZE,
  pageFloor,
  TASK_SIZE,
} from '../base/units.ts';
import type { Mm } from './mm.ts';
import { refused, type SysResult } from './result.ts';
import type { FileObject, Vma } from './vma.ts';
import { VM_GROWSDOWN } from './vmFlags.ts';

/** What a search for room is about; `object` is the file, or null for private anonymous memory. */
export interface PlaceRequest {
  readonly hint: Addr;
  readonly len: number;
  readonly fixed: boolean;
  readonly shared: boolean;
  readonly object: FileObject | null;
  /** Offset into the file in bytes: huge-page alignment follows it. */
  readonly offset: number;
  readonly low32: boolean;
  readonly above4G: boolean;
}

/** Returns the lowest address that must stay free below `vma`. Linux: vm_start_gap(). */
export const startGap = (mm: Mm, vma: Vma): Addr =>
  vma.flags & VM_GROWSDOWN ? Math.max(0, vma.start - mm.kernel.config.stackGuardGap) : vma.start;

/** Rounds a hint down and raises it to the lower limit; 0 stays "no hint". */
export function roundHint(mm: Mm, hint: Addr): Addr {
  const addr = pageFloor(hint);
  const lowest = mm.kernel.config.mmapMinAddr;
  return addr !== 0 && addr < lowest ? lowest : addr;
}

/** Finds the highest free range of `len` below `high`, leaving guard gaps. Returns its start, or null. */
function searchDown(mm: Mm, low: Addr, high: Addr, len: number): Addr | null {
  for (let limit = high; ; ) {
    const end = mm.vmas.highestGapEnd(low, limit, len);
    if (end === null) return null;
    const above = mm.vmas.firstEndingAbove(end);
    if (above === null || startGap(mm, above) >= end) return end - len;
    limit = startGap(mm, above);
  }
}

/** Finds the lowest free range of `len` at or above `low`. Returns its start, or null. */
function searchUp(mm: Mm, low: Addr, high: Addr, len: number): Addr | null {
  for (let limit = low; ; ) {
    const start = mm.vmas.lowestGapStart(limit, high, len);
    if (start === null) return null;
    const above = mm.vmas.firstEndingAbove(start + len - 1);
    if (above === null || startGap(mm, above) >= start + len) return start;
    limit = above.end;
  }
}

function search(mm: Mm, request: PlaceRequest, len: number): Addr | null {
  if (request.low32) return searchUp(mm, 0x4000_0000, 0x8000_0000, len);
  const low = request.above4G ? 2 ** 32 : Math.max(PAGE_SIZE, mm.kernel.config.mmapMinAddr);
  return (
    searchDown(mm, low, mm.mmapBase, len) ?? searchUp(mm, floorTo(TASK_SIZE / 3, PAGE_SIZE), TASK_SIZE, len)
  );
}

/** Tells whether the file aligns its mappings for huge pages by itself; a shared mapping of /dev/zero is shared memory instead. */
const alignsItself = ({ object, shared }: PlaceRequest): boolean =>
  object?.alignsHuge === true && !(object.kind === 'zero' && shared);

/** Tells whether the kernel tries to align such a request for huge pages. */
function isHugeAligned(mm: Mm, request: PlaceRequest): boolean {
  const { object, shared, len } = request;
  if (alignsItself(request)) return true;
  if (object !== null || shared) return mm.kernel.config.shmemHuge && len >= PMD_SIZE;
  return request.hint === 0 && len % PMD_SIZE === 0;
}

/** Places with 2 MiB alignment of address minus offset. Returns null when that is no use or there is no such room. */
function searchHuge(mm: Mm, request: PlaceRequest): Addr | null {
  const { len, offset } = request;
  const offsetEnd = offset + len;
  const offsetAligned = ceilTo(offset, PMD_SIZE);
  if (offsetEnd <= offsetAligned || offsetEnd - offsetAligned < PMD_SIZE) return null;
  const base = search(mm, request, len + PMD_SIZE);
  if (base === null) return null;
  const shift = (((offset - base) % PMD_SIZE) + PMD_SIZE) % PMD_SIZE;
  return base + (shift === 0 ? PMD_SIZE : shift);
}

/** Tells whether the hint can be taken as it is. spec/vma.md 2, step 2. */
function isHintFree(mm: Mm, hint: Addr, len: number): boolean {
  if (hint > TASK_SIZE - len) return false;
  const next = mm.vmas.firstEndingAbove(hint);
  return next === null || hint + len <= startGap(mm, next);
}

/**
 * Chooses the address of a mapping.
 *
 * @param request  hint in bytes (for MAP_FIXED the address itself), len a multiple of the page size
 * @returns        the address, or ENOMEM no-gap · ENOMEM beyond-task-size · EINVAL unaligned · EPERM below-mmap-min-addr
 * Source          spec/vma.md 2
 */
export function getUnmappedArea(mm: Mm, request: PlaceRequest): Addr | SysResult {
  const { hint, len, fixed } = request;
  if (len > TASK_SIZE) return refused(ENOMEM, 'beyond-task-size');
  const addr = fixed ? hint : choose(mm, request);
  if (addr === null) return refused(ENOMEM, 'no-gap');
  if (addr > TASK_SIZE - len) return refused(ENOMEM, 'beyond-task-size');
  if (!isPageAligned(addr)) return refused(EINVAL, 'unaligned');
  if (addr < mm.kernel.config.sysctlMmapMinAddr && !mm.privileged)
    return refused(EPERM, 'below-mmap-min-addr');
  return addr;
}

/** Tells whether nothing is mapped in [addr, addr+len). */
export function isFree(mm: Mm, addr: Addr, len: number): boolean {
  const above = mm.vmas.firstEndingAbove(addr);
  return above === null || above.start >= addr + len;
}

function choose(mm: Mm, request: PlaceRequest): Addr | null {
  const { len } = request;
  const hint = pageFloor(request.hint);
  const canAlign = isHugeAligned(mm, request);
  if (alignsItself(request)) {
    // Such files look for the padded length first, and that is what a hint is held against (thp_get_unmapped_area).
    const place = searchHuge(mm, request);
    if (place !== null) return hint !== 0 && isHintFree(mm, hint, len + PMD_SIZE) ? hint : place;
  }
  if (hint !== 0 && isHintFree(mm, hint, len)) return hint;
  return (canAlign ? searchHuge(mm, request) : null) ?? search(mm, request, len);
}
