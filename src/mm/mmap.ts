/**
 * mmap(2): checks, place, room, merge or a new vma.
 *
 * The order of the checks is the kernel's, because the first failure wins; the numbers in comments are those of spec/vma.md 3.1. A refusal
 * after the range was gathered leaves the splits of MAP_FIXED behind.
 *
 * Linux   mm/mmap.c: do_mmap; mm/vma.c: __mmap_region; spec/vma.md 3
 * Left out   MAP_HUGETLB, MAP_SYNC, drivers (docs/scope.md)
 */
import {
  EACCES,
  EAGAIN,
  EBADF,
  EEXIST,
  EINVAL,
  ENODEV,
  ENOMEM,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
} from '../abi/errno.ts';
import { F_SEAL_FUTURE_WRITE, F_SEAL_WRITE } from '../abi/fcntl.ts';
import {
  MAP_32BIT,
  MAP_ABOVE4G,
  MAP_ANONYMOUS,
  MAP_DROPPABLE,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_GROWSDOWN,
  MAP_HUGETLB,
  MAP_LOCKED,
  MAP_NONBLOCK,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_SHARED_VALIDATE,
  MAP_STACK,
  MAP_TYPE,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from '../abi/mman.ts';
import { Unmodelled } from '../base/assert.ts';
import {
  type Addr,
  anonymousPgoff,
  ceilTo,
  isPageAligned,
  nrPagesIn,
  type Pgoff,
  pageCeil,
  TASK_SIZE,
} from '../base/units.ts';
import { mergeableFlags } from './ksm.ts';
import { accountVm, exceededLimit, type Mm, mayCommit, mayLock, mayLockMore } from './mm.ts';
import { gatherVmas, removeVmas, unmapRange } from './munmap.ts';
import { settlePlacement } from './placement.ts';
import { populateRange } from './populate.ts';
import { ok, refused, type SysResult } from './result.ts';
import { softDirtyFlag } from './storeBits.ts';
import { getUnmappedArea, roundHint } from './unmappedArea.ts';
import { type MappedFile, Vma } from './vma.ts';
import { insertVma, mergeNewRange, newRangeMerge } from './vmaMerge.ts';
import {
  VM_ACCOUNT,
  VM_DONTDUMP,
  VM_DROPPABLE,
  VM_EXEC,
  VM_GROWSDOWN,
  VM_LOCKED,
  VM_LOCKED_MASK,
  VM_MAY_ALL,
  VM_MAYEXEC,
  VM_MAYSHARE,
  VM_MAYWRITE,
  VM_NOHUGEPAGE,
  VM_NORESERVE,
  VM_READ,
  VM_SHARED,
  VM_WIPEONFORK,
  VM_WRITE,
} from './vmFlags.ts';

/** The arguments of mmap as the program gave them, with the descriptor looked up. */
export interface MmapRequest {
  readonly addr: Addr;
  readonly len: number;
  readonly prot: number;
  readonly flags: number;
  /** The open file; null for MAP_ANONYMOUS or a descriptor that is not open. */
  readonly file: MappedFile | null;
  readonly offset: number;
  /** Where the kernel put it, when that is known from a recording; our own choice is still made and reported. */
  readonly chosen: Addr | null;
}

/** Seals under which no new shared mapping may write. */
const WRITE_SEALS = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
/** Largest file offset that regular files take, in bytes (ext4 with 4 KiB blocks and shmem alike come close). */
const MAX_FILE_OFFSET = 2 ** 63;
const LEGACY_FLAGS = 0x3_f93f | MAP_FIXED_NOREPLACE | MAP_HUGETLB | 0x400_0000;

/** Returns the access bits of vm_flags that `prot` asks for. */
export const protFlags = (prot: number): number =>
  (prot & PROT_READ ? VM_READ : 0) | (prot & PROT_WRITE ? VM_WRITE : 0) | (prot & PROT_EXEC ? VM_EXEC : 0);

/** Returns the vm_flags that the flag argument of mmap stands for. */
const flagFlags = (flags: number): number =>
  (flags & MAP_GROWSDOWN ? VM_GROWSDOWN : 0) |
  (flags & MAP_LOCKED ? VM_LOCKED : 0) |
  (flags & MAP_STACK ? VM_NOHUGEPAGE : 0);

/** Tells whether a mapping with `flags` is promised memory. Linux: accountable_mapping(). */
export const isAccountable = (flags: number): boolean =>
  (flags & (VM_NORESERVE | VM_SHARED | VM_WRITE)) === VM_WRITE;

/** Tells whether MDWE forbids `flags` (which were `old` before). Linux: map_deny_write_exec(). */
export const isDeniedWriteExec = (mm: Mm, old: number, flags: number): boolean =>
  mm.mdwe && (flags & VM_EXEC) !== 0 && ((flags & VM_WRITE) !== 0 || (old & VM_EXEC) === 0);

/** Checks 12 to 16: a file. Returns the type bits of vm_flags. */
function fileFlags(request: MmapRequest, file: MappedFile, len: number): number | SysResult {
  const { flags, prot, offset } = request;
  const type = flags & MAP_TYPE;
  if (offset + len > MAX_FILE_OFFSET - 2 ** 40) return refused(EOVERFLOW, 'offset-beyond-limit');
  if (type === MAP_SHARED_VALIDATE && flags & ~LEGACY_FLAGS) return refused(EOPNOTSUPP, 'bad-flags');
  let vmFlags = VM_MAY_ALL;
  if (type === MAP_SHARED || type === MAP_SHARED_VALIDATE) {
    if (prot & PROT_WRITE && !file.writable) return refused(EACCES, 'no-access');
    vmFlags |= VM_SHARED | VM_MAYSHARE;
    if (!file.writable) vmFlags &= ~(VM_MAYWRITE | VM_SHARED);
  } else if (type !== MAP_PRIVATE) return refused(EINVAL, 'bad-type');
  if (!file.readable) return refused(EACCES, 'no-access');
  if (file.object.noExec) {
    if (prot & PROT_EXEC) return refused(EPERM, 'no-access');
    vmFlags &= ~VM_MAYEXEC;
  }
  if (file.object.kind === 'directory' || file.object.kind === 'other')
    return refused(ENODEV, 'not-mappable');
  if (flags & MAP_GROWSDOWN) return refused(EINVAL, 'bad-flags');
  if (file.object.seals & WRITE_SEALS && vmFlags & VM_SHARED) {
    if (prot & PROT_WRITE) return refused(EPERM, 'sealed');
    vmFlags &= ~VM_MAYWRITE;
  }
  return vmFlags;
}

/** Check 17: the type of an anonymous mapping. Returns the type bits of vm_flags. */
function anonymousFlags(flags: number, vmFlags: number): number | SysResult {
  switch (flags & MAP_TYPE) {
    case MAP_SHARED:
      return vmFlags & VM_GROWSDOWN ? refused(EINVAL, 'bad-flags') : VM_MAY_ALL | VM_SHARED | VM_MAYSHARE;
    case MAP_PRIVATE:
      return VM_MAY_ALL;
    case MAP_DROPPABLE:
      // Only MAP_LOCKED itself is refused: the lock of mlockall(MCL_FUTURE) is dropped when the vma is there.
      if (flags & MAP_LOCKED || vmFlags & VM_GROWSDOWN) return refused(EINVAL, 'bad-flags');
      return VM_MAY_ALL | VM_DROPPABLE | VM_NORESERVE | VM_WIPEONFORK | VM_DONTDUMP;
    default:
      return refused(EINVAL, 'bad-type');
  }
}

/** Checks 1 to 11. Returns the address and the flags so far, or the refusal. */
function placeMapping(
  mm: Mm,
  request: MmapRequest,
  len: number,
): { addr: Addr; vmFlags: number } | SysResult {
  const { flags, prot } = request;
  const file = flags & MAP_ANONYMOUS ? null : request.file;
  const fixed = (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
  if (mm.mapCount > mm.maxMapCount) return refused(ENOMEM, 'map-count');
  const vmFlags = protFlags(prot) | flagFlags(flags) | mm.defFlags;
  const predicted = getUnmappedArea(mm, {
    hint: fixed ? request.addr : roundHint(mm, request.addr),
    len,
    fixed,
    shared: (flags & MAP_TYPE) === MAP_SHARED || (flags & MAP_TYPE) === MAP_SHARED_VALIDATE,
    object: file?.object ?? null,
    offset: file === null ? 0 : request.offset,
    low32: (flags & MAP_32BIT) !== 0,
    above4G: (flags & MAP_ABOVE4G) !== 0,
  });
  if (typeof predicted !== 'number') return predicted;
  const addr = fixed ? predicted : settlePlacement(mm, { predicted, chosen: request.chosen, len });
  if (flags & MAP_FIXED_NOREPLACE) {
    const inTheWay = mm.vmas.firstEndingAbove(addr);
    if (inTheWay !== null && inTheWay.start < addr + len) return refused(EEXIST, 'exists');
  }
  if (flags & MAP_LOCKED && !mayLock(mm)) return refused(EPERM, 'may-not-lock');
  if (!mayLockMore(mm, vmFlags, len)) return refused(EAGAIN, 'locked-limit');
  return { addr, vmFlags };
}

const HUGE_SHIFT = 26;
/** Sizes of huge pages that x86-64 knows, as the logarithm in the flags; 0 is the default size. */
const HUGE_SIZES = new Set([0, 21, 30]);

/**
 * Answers a request for hugetlb pages: none are reserved, and by the time that is known what MAP_FIXED would replace is gone. A request that
 * does without reservation would succeed, and is not modelled.
 */
function mmapHugetlb(mm: Mm, request: MmapRequest): SysResult {
  const { flags, addr } = request;
  const log = (flags >>> HUGE_SHIFT) & 63;
  const size = 2 ** (log === 0 ? 21 : log);
  const len = ceilTo(request.len, size);
  if ((flags & MAP_ANONYMOUS) === 0) return refused(EINVAL, 'bad-flags');
  if (!HUGE_SIZES.has(log) || len === 0 || len >= 2 ** 64) return refused(EINVAL, 'bad-length');
  if (flags & MAP_NORESERVE) throw new Unmodelled('MAP_HUGETLB with MAP_NORESERVE', 'docs/scope.md#hugetlb');
  if ((flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) === 0) return refused(ENOMEM, 'no-huge-page');
  if (addr % size !== 0 && len <= TASK_SIZE) return refused(EINVAL, 'unaligned');
  const placed = placeMapping(mm, request, len);
  if ('why' in placed) return placed;
  const type = flags & MAP_TYPE;
  if (type !== MAP_SHARED && type !== MAP_PRIVATE && type !== MAP_SHARED_VALIDATE)
    return refused(EINVAL, 'bad-type');
  if (flags & MAP_GROWSDOWN) return refused(EINVAL, 'bad-flags');
  const cleared = unmapRange(mm, addr, addr + len, 'mmap');
  return cleared.why === 'ok' ? refused(ENOMEM, 'no-huge-page') : cleared;
}

/**
 * mmap(2).
 *
 * @param request  addr and len in bytes; offset in bytes; flags and prot as in abi/mman.ts
 * @returns        the address
 * Refusals        in the order of spec/vma.md 3.1
 * Cost            O(log n) plus what MAP_FIXED removes, plus populated pages
 * Events          placement, vmaMerge, vmaCreate, vmaSplit, vmaRemove
 */
export function mmap(mm: Mm, request: MmapRequest): SysResult {
  const { result, populate } = mapWithoutPages(mm, request);
  if (populate !== null) populateRange(mm, populate.start, populate.end, { ignoreErrors: true });
  return result;
}

/** A mapping that was made, and what is to be populated of it. */
export interface NewMapping {
  readonly result: SysResult;
  readonly populate: { readonly start: Addr; readonly end: Addr } | null;
}

/** Does what `mmap` does but for populating, which may have to wait. */
export function mapWithoutPages(mm: Mm, request: MmapRequest): NewMapping {
  const mapped = mapNow(mm, request);
  return 'result' in mapped ? mapped : { result: mapped, populate: null };
}

/** Tells whether new anonymous vmas all begin at page offset 0 (seed 000). */
const isPgoffZero = (mm: Mm): boolean => mm.kernel.features.anonPgoffZero === 'on';
const newPgoff = (mm: Mm, addr: Addr): Pgoff => (isPgoffZero(mm) ? 0 : anonymousPgoff(addr));

function mapNow(mm: Mm, request: MmapRequest): SysResult | NewMapping {
  const { flags, file } = request;
  if (!isPageAligned(request.offset)) return refused(EINVAL, 'bad-offset');
  const anonymous = (flags & MAP_ANONYMOUS) !== 0;
  if (!anonymous && file === null) return refused(EBADF, 'bad-fd');
  if (flags & MAP_HUGETLB) return mmapHugetlb(mm, request);
  if (request.len === 0) return refused(EINVAL, 'bad-length');
  const len = pageCeil(request.len);
  if (len >= 2 ** 64) return refused(ENOMEM, 'wraps');
  const placed = placeMapping(mm, request, len);
  if ('why' in placed) return placed;
  const type =
    anonymous || file === null ? anonymousFlags(flags, placed.vmFlags) : fileFlags(request, file, len);
  if (typeof type !== 'number') return type;
  let vmFlags = placed.vmFlags | type;
  if (flags & MAP_NORESERVE && mm.kernel.config.overcommit !== 2) vmFlags |= VM_NORESERVE;
  const mapped = mapRegion(mm, {
    start: placed.addr,
    len,
    vmFlags,
    file: anonymous ? null : file,
    pgoff: anonymous ? newPgoff(mm, placed.addr) : nrPagesIn(request.offset),
  });
  // MAP_POPULATE or a lock; failures do not matter to mmap. Whether a lock waits for faults is asked of the vma itself.
  const isPopulated = (flags & (MAP_POPULATE | MAP_NONBLOCK)) === MAP_POPULATE || (vmFlags & VM_LOCKED) !== 0;
  if (mapped.why !== 'ok' || !isPopulated) return mapped;
  return { result: mapped, populate: { start: placed.addr, end: placed.addr + len } };
}

/** What mapRegion needs. */
interface Region {
  readonly start: Addr;
  readonly len: number;
  readonly vmFlags: number;
  readonly file: MappedFile | null;
  readonly pgoff: number;
}

/** Steps 18 to 22 and the mapping itself. Linux: mmap_region(). */
export function mapRegion(mm: Mm, region: Region): SysResult {
  const { start, len, file } = region;
  const end = start + len;
  const pages = nrPagesIn(len);
  let flags = region.vmFlags;
  if (isDeniedWriteExec(mm, flags, flags)) return refused(EACCES, 'write-exec');
  const gathered = gatherVmas(mm, start, end, 'mmap');
  if ('why' in gathered) return gathered;
  const limit = exceededLimit(mm, flags, pages - gathered.nrPages);
  if (limit !== null) return refused(ENOMEM, limit);
  if (isAccountable(flags)) {
    const charge = pages - gathered.nrAccounted;
    if (charge !== 0 && !mayCommit(mm, charge)) return refused(ENOMEM, 'overcommit');
    mm.kernel.commit(charge);
    flags |= VM_ACCOUNT;
  }
  const shared = (flags & VM_MAYSHARE) !== 0;
  const nameless = file === null || (shared && file.object.kind === 'zero');
  const ownCharge = nameless && shared && (flags & VM_NORESERVE) === 0 ? pages : 0;
  removeVmas(mm, gathered, { cause: 'mmap', uncommit: (flags & VM_ACCOUNT) === 0 });
  if (ownCharge > 0 && !mayCommit(mm, ownCharge)) return refused(ENOMEM, 'overcommit');
  const newFile = nameless && shared ? sharedAnonymousFile(mm, len, ownCharge) : file;
  if (mm.memoryMerge) flags = mergeableFlags(flags);
  const pgoff = file === null && shared ? 0 : region.pgoff;
  const range = { start, end, flags, pgoff, file: newFile };
  const vma =
    mergeNewRange(newRangeMerge(mm, range, 'mmap')) ??
    insertVma(mm, new Vma(mm.kernel.nextVmaId(), range), 'mmap');
  // All of it counts as written, also what it was merged with. Linux: __mmap_complete()
  vma.flags |= softDirtyFlag(mm.kernel);
  accountVm(mm, flags, pages);
  // Droppable memory is never locked, but it was looked at for a merge (and is populated) as if it were.
  if (flags & VM_DROPPABLE) vma.flags &= ~VM_LOCKED_MASK;
  else if (flags & VM_LOCKED) mm.lockedVm += pages;
  return ok(start);
}

/** Makes the object behind a MAP_SHARED|MAP_ANONYMOUS mapping: every such mmap has its own. */
function sharedAnonymousFile(mm: Mm, len: number, chargedPages: number): MappedFile {
  const object = mm.kernel.newFileObject({
    path: '/dev/zero (deleted)',
    kind: 'shmem',
    size: len,
    dev: '00:01',
    chargedPages,
  });
  mm.kernel.commit(chargedPages);
  return mm.kernel.openFile(object, { readable: true, writable: true });
}
