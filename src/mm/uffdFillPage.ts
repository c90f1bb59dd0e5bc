/**
 * One page of UFFDIO_COPY, ZEROPAGE, CONTINUE or POISON.
 *
 *                 may replace              what comes
 *   copy          nothing, any marker      a new page; of shared memory mapped shared, a new page of the file
 *   zeropage      nothing                  the zero page; of shared memory mapped shared, a new page of the file, also over markers
 *   continue      nothing, any marker      the page that is in the file
 *   poison        nothing                  a marker
 *
 * Linux   mm/userfaultfd.c: mfill_atomic_pte, mfill_atomic_install_pte, mfill_file_over_size; mm/shmem.c: shmem_mfill_atomic_pte
 */
import { EEXIST, EFAULT, EINVAL } from '../abi/errno.ts';
import { type Addr, PAGE_SIZE, pageOffset } from '../base/units.ts';
import type { Pfn } from './frames.ts';
import type { Mm } from './mm.ts';
import { pageAt } from './pageState.ts';
import {
  EXCLUSIVE,
  KIND_MASK,
  MARKER,
  MARKER_POISON,
  NONE,
  UFFD_WP,
  WRITE,
  YOUNG,
  ZERO_PAGE,
} from './pte.ts';
import { OK, refused, type SysResult } from './result.ts';
import { linearIndex, mapFrame, mapNewAnon } from './rmap.ts';
import { isInverted, storeBits } from './storeBits.ts';
import type { FillKind } from './uffdFill.ts';
import type { FileObject, Vma } from './vma.ts';
import { VM_SHARED, VM_WRITE } from './vmFlags.ts';
import { FACT } from './work.ts';

/**
 * What was read from the source of a copy: the frame (0: zeros) and from where in it, the frame behind it that the rest is in, and the first word;
 * or, of a source that is no memory of the model, the word that it is full of.
 */
export interface CopiedPage {
  readonly pfn: Pfn;
  readonly offset: number;
  readonly next: Pfn;
  readonly stamp: number;
  readonly isFull?: boolean;
  readonly hasFaulted: boolean;
}

/** Looks at what is at `source`. */
export function readPage(mm: Mm, source: Addr, hasFaulted: boolean): CopiedPage {
  const { kind, number, stamp } = pageAt(mm, source);
  const offset = pageOffset(source);
  const next = offset === 0 ? 0 : frameAt(mm, source + PAGE_SIZE);
  return { pfn: kind === 'anonymous' || kind === 'file' ? number : 0, offset, next, stamp, hasFaulted };
}

/** Returns the frame that holds what is at `addr`; 0 for zeros. */
function frameAt(mm: Mm, addr: Addr): Pfn {
  const { kind, number } = pageAt(mm, addr);
  return kind === 'anonymous' || kind === 'file' ? number : 0;
}

/** What is to be put into an entry. */
interface Filling {
  readonly kind: FillKind;
  readonly wp: boolean;
  readonly copied: CopiedPage | null;
}

/** Fills the page at `addr` of `vma`. Returns 0, or why it cannot be done. */
export function fillPage(mm: Mm, vma: Vma, addr: Addr, filling: Filling): SysResult {
  const object = vma.file?.object.kind === 'zero' ? undefined : vma.file?.object;
  const { kind } = filling;
  if (kind === 'continue')
    return object === undefined
      ? refused(EINVAL, 'not-anonymous')
      : mapCached(mm, vma, addr, { object, wp: filling.wp });
  if (kind !== 'poison' && object !== undefined && vma.flags & VM_SHARED)
    return addToFile(mm, vma, addr, { ...filling, object });
  if (isBeyondEnd(vma, addr)) return refused(EFAULT, 'no-page');
  const low = mm.pages.low(addr) & KIND_MASK;
  if (low !== NONE && !(kind === 'copy' && low === MARKER)) return refused(EEXIST, 'page-exists');
  const { work } = mm.kernel;
  if (kind === 'poison') {
    mm.pages.set(addr, MARKER, MARKER_POISON);
    work.count(FACT.markersSet);
  } else if (kind === 'zeropage') {
    mm.pages.set(addr, ZERO_PAGE | YOUNG, 0);
    work.count(FACT.ptesSet);
  } else {
    const pfn = mapNewAnon(mm, vma, addr, entryBits(mm, vma, filling.wp) | EXCLUSIVE);
    copyInto(mm, pfn, filling.copied);
  }
  return OK;
}

/** Tells whether `addr` lies beyond the end of the file, however it is mapped. */
const isBeyondEnd = (vma: Vma, addr: Addr): boolean => {
  const size = vma.file?.object.size ?? null;
  return size !== null && vma.file?.object.kind !== 'zero' && linearIndex(vma, addr) * PAGE_SIZE >= size;
};

/** The bits of an entry that maps a page of its own: the access of the vma, whatever may be done there now. */
function entryBits(mm: Mm, vma: Vma, wp: boolean): number {
  const bits = storeBits(mm, vma) | YOUNG;
  if (wp) return isInverted(vma) ? bits & ~UFFD_WP : bits | UFFD_WP;
  return vma.flags & VM_WRITE ? bits | WRITE : bits;
}

function copyInto(mm: Mm, pfn: Pfn, copied: CopiedPage | null): void {
  const { frames, work } = mm.kernel;
  if (copied === null) return;
  const { contents } = frames;
  const { offset } = copied;
  if (copied.isFull) contents.fillWords(pfn, copied.stamp);
  else if (offset !== 0) contents.copyAcross(copied, copied.next, pfn);
  else if (copied.pfn !== 0) contents.copy(copied.pfn, pfn);
  else frames.setStamp(pfn, copied.stamp);
  work.count(FACT.pagesCopied);
}

/** Tells whether a page of shared memory exists, in memory or in swap. */
export const isInFile = ({ kernel }: Mm, object: FileObject, pgoff: number): boolean =>
  kernel.cache.has(object, pgoff) || kernel.sharedSwap.slotOf(object, pgoff) !== null;

/** COPY and ZEROPAGE into shared memory that is mapped shared: the file gets a page. */
function addToFile(mm: Mm, vma: Vma, addr: Addr, what: Filling & { readonly object: FileObject }): SysResult {
  const { kernel, pages } = mm;
  const pgoff = linearIndex(vma, addr);
  if (isBeyondEnd(vma, addr)) return refused(EFAULT, 'no-page');
  if (isInFile(mm, what.object, pgoff)) return refused(EEXIST, 'page-exists');
  const low = pages.low(addr) & KIND_MASK;
  if (low !== NONE && low !== MARKER) return refused(EEXIST, 'page-exists');
  const pfn = kernel.cache.page(what.object, pgoff);
  if (what.kind === 'zeropage') kernel.work.count(FACT.pagesZeroed);
  else copyInto(mm, pfn, what.copied);
  mapFrame(mm, addr, entryBits(mm, vma, what.wp), pfn);
  return OK;
}

/** CONTINUE: maps the page that is in the file. A private mapping gets it read-only, for a copy at the first store. */
function mapCached(
  mm: Mm,
  vma: Vma,
  addr: Addr,
  what: { readonly object: FileObject; readonly wp: boolean },
): SysResult {
  const { kernel, pages } = mm;
  if (isBeyondEnd(vma, addr)) return refused(EINVAL, 'no-page');
  const pgoff = linearIndex(vma, addr);
  if (!isInFile(mm, what.object, pgoff)) return refused(EFAULT, 'no-page');
  // It is brought back from swap before anybody looks at what is mapped.
  const pfn = kernel.cache.page(what.object, pgoff);
  const low = pages.low(addr) & KIND_MASK;
  if (low !== NONE && low !== MARKER) return refused(EEXIST, 'page-exists');
  const bits = entryBits(mm, vma, what.wp);
  mapFrame(mm, addr, vma.flags & VM_SHARED ? bits : bits & ~WRITE, pfn);
  return OK;
}
