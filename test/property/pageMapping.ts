/**
 * mmap and mremap of the stupid model: pages appear and move.
 *
 * Where the kernel chooses an address it is taken from the answer under test, and must be free (and the hint, if that was free).
 */
import {
  MAP_ANONYMOUS,
  MAP_DROPPABLE,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_SHARED,
  MAP_STACK,
  MAP_TYPE,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
} from '../../src/abi/mman.ts';
import {
  VM_DONTDUMP,
  VM_DROPPABLE,
  VM_EXEC,
  VM_LOCKED,
  VM_LOCKED_MASK,
  VM_MAY_ALL,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_NOHUGEPAGE,
  VM_NORESERVE,
  VM_READ,
  VM_SEALED,
  VM_SHARED,
  VM_WIPEONFORK,
  VM_WRITE,
} from '../../src/mm/vmFlags.ts';
import {
  type Answer,
  error,
  hasSeal,
  isFree,
  isPrivate,
  type ModelObject,
  type OpOf,
  PAGE,
  type Page,
  type PageProcess,
  unmapPages,
  value,
  vpns,
} from './pageModel.ts';

/** An open file of the model. */
export interface ModelFile {
  readonly object: ModelObject;
  readonly writable: boolean;
}

/** What the driver knows and pages do not tell. */
export interface Told {
  /** Where the answer under test says the mapping went, or null. */
  readonly place: number | null;
  /** The source of an mremap that wants one vma crosses a border. */
  readonly crosses: boolean;
  /** mremap may move several vmas. */
  readonly many: boolean;
}

const up = (len: number): number => Math.ceil(len / PAGE) * PAGE;

/** Returns the flags of a new mapping, or null for a combination that is refused. */
function mappingFlags(op: OpOf<'mmap'>, file: ModelFile | null, p: PageProcess): number | null {
  let flags = VM_MAY_ALL | p.defFlags;
  if (op.prot & 1) flags |= VM_READ;
  if (op.prot & 2) flags |= VM_WRITE;
  if (op.prot & 4) flags |= VM_EXEC;
  if (op.flags & MAP_LOCKED) flags |= VM_LOCKED;
  if (op.flags & MAP_STACK) flags |= VM_NOHUGEPAGE;
  if (op.flags & MAP_NORESERVE) flags |= VM_NORESERVE;
  switch (op.flags & MAP_TYPE) {
    case MAP_SHARED:
      flags |= VM_SHARED | VM_MAYSHARE;
      if (file !== null && !file.writable) {
        if (op.prot & 2) return null;
        flags &= ~(VM_SHARED | VM_MAYWRITE);
      }
      break;
    case MAP_DROPPABLE:
      if (op.flags & MAP_LOCKED) return null;
      flags = (flags & ~VM_LOCKED_MASK) | VM_DROPPABLE | VM_NORESERVE | VM_WIPEONFORK | VM_DONTDUMP;
      break;
  }
  return flags;
}

/** Returns the page of a mapping of `object` (null: private anonymous). */
function mappedPage(flags: number, object: ModelObject | null, pgoff: number): Page {
  const own = object === null ? 0 : null;
  return { flags, object, pgoff, own, guard: false, wasGuard: false };
}

/** mmap(2). `makeShared` gives the object of a new shared anonymous mapping of so many pages. */
export function mapPages(
  p: PageProcess,
  op: OpOf<'mmap'>,
  from: { file: ModelFile | null; makeShared: (nrPages: number) => ModelObject },
  told: Told,
): Answer {
  const len = up(op.len);
  if (len === 0) return error('EINVAL');
  const isFixed = (op.flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
  if (isFixed && op.addr % PAGE !== 0) return error('EINVAL');
  if (op.flags & MAP_FIXED_NOREPLACE && !isFree(p, op.addr, len)) return error('EEXIST');
  const flags = mappingFlags(op, from.file, p);
  if (flags === null) return error(from.file === null ? 'EINVAL' : 'EACCES');
  const addr = isFixed ? op.addr : chosenPlace(p, op.addr, len, told.place);
  if (addr === null) return error('a free place');
  if (op.flags & MAP_FIXED && !unmapPages(p, addr, len)) return error('EPERM');
  const anonymous = (op.flags & MAP_ANONYMOUS) !== 0;
  const shared = (flags & VM_MAYSHARE) !== 0;
  const object = anonymous ? (shared ? from.makeShared(len / PAGE) : null) : (from.file?.object ?? null);
  let pgoff = object === null ? addr / PAGE : anonymous ? 0 : op.offset / PAGE;
  for (const vpn of vpns(addr, len)) p.pages.set(vpn, mappedPage(flags, object, pgoff++));
  return value(addr);
}

/** Returns the place that was chosen, or null when it is not one that may be. */
function chosenPlace(p: PageProcess, hint: number, len: number, place: number | null): number | null {
  const wanted = hint - (hint % PAGE);
  if (wanted !== 0 && isFree(p, wanted, len)) return wanted;
  return place !== null && isFree(p, place, len) ? place : null;
}

/** mremap(2). */
export function remapPages(p: PageProcess, op: OpOf<'mremap'>, told: Told): Answer {
  const [oldLen, newLen] = [up(op.oldLen), up(op.newLen)];
  const [fixed, dontUnmap] = [(op.flags & MREMAP_FIXED) !== 0, (op.flags & MREMAP_DONTUNMAP) !== 0];
  if (op.addr % PAGE !== 0 || newLen === 0) return error('EINVAL');
  if (fixed || dontUnmap) {
    if (op.newAddr % PAGE !== 0 || (op.flags & MREMAP_MAYMOVE) === 0) return error('EINVAL');
    if (dontUnmap && oldLen !== newLen) return error('EINVAL');
    if (op.addr + oldLen > op.newAddr && op.newAddr + newLen > op.addr) return error('EINVAL');
    if (fixed && oldLen === newLen) {
      if (told.many) return moveMany(p, op, oldLen);
      if (told.crosses) return error('EFAULT');
    }
  }
  const first = p.pages.get(op.addr / PAGE);
  if (first === undefined) return error('EFAULT');
  if (first.flags & VM_SEALED) return error('EPERM');
  const grows = newLen > oldLen;
  if (grows || fixed || dontUnmap) {
    if (oldLen === 0 && isPrivate(first)) return error('EINVAL');
    if (told.crosses) return error('EFAULT');
  }
  if (fixed || dontUnmap) return moveTo(p, op, { oldLen, newLen, place: told.place });
  if (!grows) return unmapPages(p, op.addr + newLen, oldLen - newLen) ? value(op.addr) : error('EPERM');
  const end = op.addr + oldLen;
  if (oldLen > 0 && isFree(p, end, newLen - oldLen)) {
    extendPages(p, end, newLen - oldLen);
    return value(op.addr);
  }
  return op.flags & MREMAP_MAYMOVE ? moveTo(p, op, { oldLen, newLen, place: told.place }) : error('ENOMEM');
}

/** FIXED with equal sizes: page by page, keeping the gaps, until one refuses. */
function moveMany(p: PageProcess, op: OpOf<'mremap'>, len: number): Answer {
  if (!p.pages.has(op.addr / PAGE)) return error('EFAULT');
  // Where the target is sealed the source is one vma (isTargetSealed keeps other calls away), and a vma moves whole or not at all.
  if (isTargetSealed(p, op)) return error('EPERM');
  for (const vpn of vpns(op.addr, len)) {
    const page = p.pages.get(vpn);
    if (page === undefined) continue;
    if (page.flags & VM_SEALED) return error('EPERM');
    const to = op.newAddr + (vpn * PAGE - op.addr);
    if (!unmapPages(p, to, PAGE)) return error('EPERM');
    movePage(p, vpn, to / PAGE, (op.flags & MREMAP_DONTUNMAP) !== 0);
  }
  return value(op.newAddr);
}

function movePage(p: PageProcess, from: number, to: number, stays: boolean): void {
  const page = p.pages.get(from) as Page;
  p.pages.set(to, { ...page });
  if (!stays) p.pages.delete(from);
  else p.pages.set(from, { ...page, own: page.object === null ? 0 : null, guard: false });
}

/** One piece moves whole, and may shrink or grow on the way. */
function moveTo(
  p: PageProcess,
  op: OpOf<'mremap'>,
  how: { oldLen: number; newLen: number; place: number | null },
): Answer {
  const { oldLen, newLen, place } = how;
  const fixed = (op.flags & MREMAP_FIXED) !== 0;
  const hint = op.flags & (MREMAP_DONTUNMAP | MREMAP_FIXED) ? op.newAddr : 0;
  if (fixed && !unmapPages(p, op.newAddr, newLen)) return error('EPERM');
  if (fixed && newLen < oldLen && !unmapPages(p, op.addr + newLen, oldLen - newLen)) return error('EPERM');
  const to = fixed ? op.newAddr : chosenPlace(p, hint, newLen, place);
  if (to === null) return error('a free place');
  const moved = Math.min(oldLen, newLen);
  if (moved === 0) {
    const source = p.pages.get(op.addr / PAGE);
    if (source === undefined) return error('EFAULT');
    let pgoff = source.pgoff;
    for (const vpn of vpns(to, newLen))
      p.pages.set(vpn, { ...mappedPage(source.flags, source.object, pgoff++), wasGuard: source.wasGuard });
    return value(to);
  }
  for (const vpn of vpns(op.addr, moved))
    movePage(p, vpn, vpn + (to - op.addr) / PAGE, (op.flags & MREMAP_DONTUNMAP) !== 0);
  extendPages(p, to + moved, newLen - moved);
  return value(to);
}

/** Adds pages like the one below `end`. */
function extendPages(p: PageProcess, end: number, len: number): void {
  const below = p.pages.get(end / PAGE - 1) as Page;
  let { pgoff } = below;
  for (const vpn of vpns(end, len)) p.pages.set(vpn, mappedPage(below.flags, below.object, ++pgoff));
}

/** Tells whether a seal in the target of a move makes the answer depend on where vmas begin. */
export const isTargetSealed = (p: PageProcess, op: OpOf<'mremap'>): boolean =>
  (op.flags & MREMAP_FIXED) !== 0 && hasSeal(p, op.newAddr, up(op.newLen));
