/**
 * SysV shared memory: segments, attaching, detaching.
 *
 * An attachment is a shared mapping of the segment's object whose vmas have a close callback, so merges never remove one.
 * Linux   ipc/shm.c; spec/vma.md 14.1, 18 (SYSV)
 * Left out   permissions, shmctl beyond removal
 */
import { EAGAIN, EINVAL, ENOMEM } from '../abi/errno.ts';
import { type Addr, floorTo, isPageAligned, PAGE_SIZE, pageCeil } from '../base/units.ts';
import { type Mm, mayLockMore } from './mm.ts';
import { mapRegion } from './mmap.ts';
import { unmapRange } from './munmap.ts';
import { settlePlacement } from './placement.ts';
import { populateRange } from './populate.ts';
import { OK, refused, type SysResult } from './result.ts';
import { getUnmappedArea } from './unmappedArea.ts';
import type { FileObject, Vma } from './vma.ts';
import {
  VM_EXEC,
  VM_LOCKED,
  VM_MAY_ALL,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_READ,
  VM_SHARED,
  VM_WRITE,
} from './vmFlags.ts';

const SHM_RDONLY = 0o10000;
const SHM_RND = 0o20000;
const SHM_REMAP = 0o40000;
const SHM_EXEC = 0o100000;

/**
 * shmat(2).
 * @param request  addr 0 lets the kernel choose; flags SHM_*
 * @returns        the address
 * Refusals        EINVAL unaligned, exists · EAGAIN locked-limit · ENOMEM map-count …
 */
export function shmat(
  mm: Mm,
  segment: FileObject,
  request: { readonly addr: Addr; readonly flags: number; readonly chosen: Addr | null },
): SysResult {
  let { addr } = request;
  const { flags } = request;
  const size = pageCeil(segment.size ?? 0);
  // An address that SHM_RND rounds down to 0 is still one.
  const fixed = addr !== 0;
  if (addr !== 0 && !isPageAligned(addr)) {
    if ((flags & SHM_RND) === 0) return refused(EINVAL, 'unaligned');
    addr = floorTo(addr, PAGE_SIZE);
  }
  if (addr === 0 && flags & SHM_REMAP) return refused(EINVAL, 'unaligned');
  if (addr !== 0 && (flags & SHM_REMAP) === 0) {
    const inTheWay = mm.vmas.firstEndingAbove(addr);
    if (inTheWay !== null && inTheWay.start < addr + size) return refused(EINVAL, 'exists');
  }
  if (mm.mapCount > mm.maxMapCount) return refused(ENOMEM, 'map-count');
  const place = getUnmappedArea(mm, {
    hint: addr,
    len: size,
    fixed,
    shared: true,
    object: segment,
    offset: 0,
    low32: false,
    above4G: false,
  });
  if (typeof place !== 'number') return place;
  const readOnly = (flags & SHM_RDONLY) !== 0;
  const file = mm.kernel.openFile(segment, { readable: true, writable: !readOnly });
  const access = VM_READ | (readOnly ? 0 : VM_WRITE) | (flags & SHM_EXEC ? VM_EXEC : 0);
  const may = readOnly ? (VM_MAY_ALL & ~VM_MAYWRITE) | VM_MAYSHARE : VM_MAY_ALL | VM_MAYSHARE | VM_SHARED;
  const start = fixed ? place : settlePlacement(mm, { predicted: place, chosen: request.chosen, len: size });
  const vmFlags = access | may | mm.defFlags;
  if (!mayLockMore(mm, vmFlags, size)) return refused(EAGAIN, 'locked-limit');
  const mapped = mapRegion(mm, { start, len: size, vmFlags, file, pgoff: 0 });
  if (mapped.why === 'ok' && vmFlags & VM_LOCKED)
    populateRange(mm, start, start + size, { ignoreErrors: true });
  return mapped;
}

/**
 * shmdt(2): removes every vma of the attachment that begins at `addr`.
 * Refusals   EINVAL unaligned, no-such-segment
 */
export function shmdt(mm: Mm, addr: Addr): SysResult {
  if (!isPageAligned(addr)) return refused(EINVAL, 'unaligned');
  const isPart = (vma: Vma): boolean =>
    vma.file?.object.kind === 'sysv' && (vma.start - addr) / PAGE_SIZE === vma.pgoff;
  let vma = mm.vmas.firstEndingAbove(addr);
  while (vma !== null && !isPart(vma)) vma = vma.next;
  if (vma === null) return refused(EINVAL, 'no-such-segment');
  const { file } = vma;
  const end = addr + pageCeil(file?.object.size ?? 0);
  // The first part goes whatever its length: mremap may have made it longer than the segment.
  const parts: { start: Addr; end: Addr }[] = [{ start: vma.start, end: vma.end }];
  for (vma = vma.next; vma !== null && vma.end <= end; vma = vma.next)
    if (isPart(vma) && vma.file === file) parts.push({ start: vma.start, end: vma.end });
  for (const part of parts) unmapRange(mm, part.start, part.end, 'shm');
  return OK;
}
