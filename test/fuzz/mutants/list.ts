/**
 * Models that are wrong in one thing each: the fuzzer has to find all of them.
 *
 * A mutant is a replacement in one source file; what it replaces stands there once (mutants.test.ts). It is named after what is lost. The mode is
 * the one that a person would look for such a bug with, not the one that finds it soonest. docs/mutants.md tells how to add one.
 */
// Long because: it is one table of mutants.
import { type Mutant, mutant } from './mutant.ts';
import { PRESSURE } from './pressure.ts';
import { PTRECLAIM } from './tableList.ts';
import { SWAP, UFFD } from './waitingList.ts';

export type { Mutant } from './mutant.ts';

const VMA: readonly Mutant[] = [
  mutant('vma', 'anon-vma-order', 'A first write asks the vma below for its anon_vma before the one above.', [
    'mm/anonVma.ts',
    'const { next, prev } = vma;',
    `const { next, prev } = vma;
  if (prev?.anonVma && prev.chain.length === 1 && isAnonVmaCompatible(prev, vma)) return prev;`,
  ]),
  mutant('vma', 'anon-vma-never-shared', 'A first write never takes the anon_vma of a neighbour.', [
    'mm/anonVma.ts',
    'const { next, prev } = vma;',
    'const { next, prev } = { next: null as Vma | null, prev: null as Vma | null };',
  ]),
  mutant('vma', 'anon-vma-differs', 'Vmas with different anon_vmas merge.', [
    'mm/mergeVerdict.ts',
    `if (on.mergeAcrossAnonVma === 'off') return 'anon-vma-differs';
  // Growth`,
    '// Growth',
  ]),
  mutant('vma', 'both-sides', 'A range joins both neighbours although their anon_vmas differ.', [
    'mm/mergeVerdict.ts',
    `if (on.mergeAcrossAnonVma === 'off') return 'anon-vma-differs';
  return isIncomingShared(merge, next.anonVma, next, on)`,
    'return isIncomingShared(merge, next.anonVma, next, on)',
  ]),
  mutant(
    'vma',
    'pgoff-of-unfaulted-move',
    'A vma that was never written keeps its page offset when it moves.',
    ['mm/moveVma.ts', "const fresh = update === 'unfaulted' || ", 'const fresh = '],
  ),
  mutant('vma', 'pgoff-of-faulted-move', 'A vma that was written gets the page offset of its new address.', [
    'mm/moveVma.ts',
    "if (on.mergePgoffOnMove === 'off') return 'kept';",
    "if (on.mergePgoffOnMove === 'off') return 'updated';",
  ]),
  mutant('vma', 'pgoff-of-predecessor', 'The vma below takes a range whatever the page offsets are.', [
    'mm/mergeVerdict.ts',
    "return prev.pgoff + nrPagesOf(prev) === merge.pgoff ? anonVmaVerdict(merge, prev) : 'pgoff-gap';",
    'return anonVmaVerdict(merge, prev);',
  ]),
  mutant('vma', 'pgoff-of-successor', 'The vma above takes a range whatever the page offsets are.', [
    'mm/mergeVerdict.ts',
    'return merge.pgoff + nrPagesIn(merge.end - merge.start) === next.pgoff',
    'return next !== null',
  ]),
  mutant('vma', 'pgoff-of-split', 'The upper part of a split keeps the page offset of the whole.', [
    'mm/vmaMerge.ts',
    'else other.pgoff = vma.pgoff + pages;',
    '',
  ]),
  mutant('vma', 'merge-sticky', 'A merge looks at flags that do not hinder one.', [
    'mm/mergeVerdict.ts',
    'if ((merge.flags ^ vma.flags) & ~VM_STICKY ||',
    'if (merge.flags ^ vma.flags ||',
  ]),
  mutant('vma', 'sticky-lost', 'A merge loses the flag that says that there may be guard pages.', [
    'mm/vmaMerge.ts',
    'vma.flags |= flags & VM_STICKY;',
    '',
  ]),
  mutant('vma', 'resize-absorbs-next', 'Growth in place stops short of joining the vma that it reaches.', [
    'mm/mremap.ts',
    'leftOnly: !canAbsorbNext(mm),',
    'leftOnly: true,',
  ]),
  mutant('vma', 'resize-populates', 'Growth of locked memory brings no pages.', [
    'mm/mremap.ts',
    'const grows = remap.newLen > remap.oldLen &&',
    'const grows = remap.newLen < remap.oldLen &&',
  ]),
  mutant('vma', 'dontunmap-lock', 'What MREMAP_DONTUNMAP leaves behind stays locked.', [
    'mm/moveVma.ts',
    `vma.flags &= ~VM_LOCKED_MASK;
  const whole`,
    'const whole',
  ]),
  mutant('vma', 'dontunmap-anon-vma', 'What MREMAP_DONTUNMAP leaves behind keeps its anon_vma.', [
    'mm/moveVma.ts',
    'if (vma !== moved && whole) unlinkAnonVmas(mm.kernel, vma);',
    '',
  ]),
  mutant('vma', 'accounted-forever', 'Memory that loses write access goes on being promised.', [
    'mm/mprotect.ts',
    'isAnonymousVma(vma) && vma.anonVma === null) flags &= ~VM_ACCOUNT;',
    'isAnonymousVma(vma)) flags &= ~VM_ACCOUNT;',
  ]),
  mutant('vma', 'seal-mprotect', 'mprotect changes sealed memory.', [
    'mm/mprotect.ts',
    "if (old & VM_SEALED) return refused(EPERM, 'sealed');",
    '',
  ]),
  mutant('vma', 'seal-discard', 'Advice that discards is allowed on sealed memory that may not be written.', [
    'mm/madvise.ts',
    '(vma.flags & VM_SEALED) === 0 ||',
    'true ||',
  ]),
  mutant('vma', 'hole-order', 'Advice over a hole that is refused behind it says that there is a hole.', [
    'mm/madvise.ts',
    "if ('why' in covered) return covered;",
    "if ('why' in covered) return this.#hasGap ? refused(ENOMEM, 'hole') : covered;",
  ]),
  mutant('vma', 'hole-stops', 'Advice stops at the first hole.', [
    'mm/madvise.ts',
    `this.#hasGap = true;
        this.#from`,
    `return refused(ENOMEM, 'hole');
        this.#from`,
  ]),
  mutant('vma', 'overlap-order', 'mremap looks for the vma before it compares the two ranges.', [
    'mm/mremap.ts',
    "if ((addr + oldLen) % 2 ** 64 > newAddr && newAddr + newLen > addr) return refused(EINVAL, 'overlap');",
    `if (mm.vmas.at(addr) === null) return refused(EFAULT, 'not-mapped');
  if ((addr + oldLen) % 2 ** 64 > newAddr && newAddr + newLen > addr) return refused(EINVAL, 'overlap');`,
  ]),
  mutant('vma', 'alignment-order', 'mprotect of nothing succeeds at an address that is not aligned.', [
    'mm/mprotect.ts',
    `if (!isPageAligned(addr)) return refused(EINVAL, 'unaligned');
  if (len === 0) return OK;`,
    `if (len === 0) return OK;
  if (!isPageAligned(addr)) return refused(EINVAL, 'unaligned');`,
  ]),
  mutant('vma', 'mdwe-exec', 'MDWE lets memory become executable that was not.', [
    'mm/mmap.ts',
    '((flags & VM_WRITE) !== 0 || (old & VM_EXEC) === 0);',
    '(flags & VM_WRITE) !== 0;',
  ]),
  mutant('vma', 'ksm-shared', 'MADV_MERGEABLE marks shared memory too.', [
    'mm/ksm.ts',
    '(flags & NO_KSM ? flags : flags | VM_MERGEABLE);',
    'flags | VM_MERGEABLE;',
  ]),
  mutant('vma', 'name-configured', 'Anonymous memory can be named.', [
    'mm/vmaName.ts',
    "if (!isNamingConfigured(mm)) return refused(EINVAL, 'not-configured');",
    '',
  ]),
  mutant('vma', 'droppable-wiped', 'A child of fork has the pages of droppable memory.', [
    'mm/mmap.ts',
    'VM_DROPPABLE | VM_NORESERVE | VM_WIPEONFORK | VM_DONTDUMP',
    'VM_DROPPABLE | VM_NORESERVE | VM_DONTDUMP',
  ]),
];

const FAULT: readonly Mutant[] = [
  mutant('fault', 'zero-page', 'A load of untouched memory gets a page of its own.', [
    'mm/fault.ts',
    "if (request.access !== 'write') {",
    "if (request.access === 'exec') {",
  ]),
  mutant('fault', 'table-free', 'MADV_DONTNEED keeps the tables that it leaves empty.', [
    'mm/zap.ts',
    'options.reclaimTables && slotIsWhole',
    'options.reclaimTables && options.dropMarkers && slotIsWhole',
  ]),
  mutant('fault', 'munmap-floor', 'munmap keeps a table that begins in a gap below the range.', [
    'mm/munmap.ts',
    'const floor = first.prev?.end ?? 0;',
    'const floor = first.start;',
  ]),
  mutant('fault', 'move-table', 'mremap makes no table where nothing is to be moved.', [
    'mm/movePages.ts',
    'pages.makeTable(to);',
    'if (!pages.isBlank(from, from + len)) pages.makeTable(to);',
  ]),
  mutant('fault', 'guard-dontneed', 'MADV_DONTNEED takes guard pages away.', [
    'mm/zap.ts',
    'return marker === MARKER_GUARD || !isAnonymousVma(vma);',
    'return !isAnonymousVma(vma);',
  ]),
  mutant('fault', 'locked-dontneed', 'MADV_DONTNEED works on locked memory.', [
    'mm/madvise.ts',
    'if (flags & VM_PFNMAP || (advice === MADV_DONTNEED && flags & VM_LOCKED))',
    'if (flags & VM_PFNMAP)',
  ]),
  mutant('fault', 'mlock-reads', 'mlock brings the zero page into memory that may be written.', [
    'mm/populate.ts',
    "return (vma.flags & (VM_WRITE | VM_SHARED)) === VM_WRITE ? 'write' : 'read';",
    "return 'read';",
  ]),
  mutant('fault', 'lock-on-fault', 'MLOCK_ONFAULT brings pages at once.', [
    'mm/populate.ts',
    'if (vma.flags & VM_LOCKONFAULT) return true;',
    '',
  ]),
  mutant('fault', 'populate-none', 'MADV_POPULATE on memory without access is a bad address.', [
    'mm/populate.ts',
    "if ((vma.flags & needed) === 0) return refused(EINVAL, 'no-access');",
    "if ((vma.flags & needed) === 0) return refused(EFAULT, 'no-access');",
  ]),
  mutant('fault', 'free-shared', 'MADV_FREE of shared memory is accepted.', [
    'mm/madvise.ts',
    "(isAnonymousVma(vma) ? lazyFreeRange(mm, range) : refused(EINVAL, 'not-anonymous'))",
    '(isAnonymousVma(vma) ? lazyFreeRange(mm, range) : OK)',
  ]),
  mutant('fault', 'fault-around', 'A load of shared memory brings 8 pages along instead of 16.', [
    'mm/fileFault.ts',
    'const FAULT_AROUND = 16;',
    'const FAULT_AROUND = 8;',
  ]),
  mutant('fault', 'writable-again', 'Write access that comes back leaves every page to a fault.', [
    'mm/protectPages.ts',
    'return (low & EXCLUSIVE) !== 0 && mm.kernel.frames.isAnon(high);',
    'return false;',
  ]),
];

const FORK: readonly Mutant[] = [
  mutant('fork', 'multi-chain', 'A first write takes the anon_vma of a neighbour that came by fork.', [
    'mm/anonVma.ts',
    'if (next?.anonVma && next.chain.length === 1 && isAnonVmaCompatible(vma, next)) return next;',
    'if (next?.anonVma && isAnonVmaCompatible(vma, next)) return next;',
  ]),
  mutant('fork', 'fork-child', 'Unwritten memory merges with memory that came by fork.', [
    'mm/mergeVerdict.ts',
    "if (incoming === null) return isForkChild(vma) ? 'fork-child' : 'join-null';",
    "if (incoming === null) return 'join-null';",
  ]),
  mutant('fork', 'exclusive', 'The parent goes on holding its pages as its own after fork.', [
    'mm/copyPages.ts',
    'return (low & ~(WRITE | EXCLUSIVE)) | ',
    'return (low & ~WRITE) | ',
  ]),
  mutant('fork', 'write-protected', 'fork leaves the entries of the parent writable.', [
    'mm/copyPages.ts',
    'return (low & ~(WRITE | EXCLUSIVE)) | ',
    'return low | ',
  ]),
  mutant('fork', 'tables-of-files', 'fork copies the tables of memory that a fault can bring back.', [
    'mm/fork.ts',
    'vma.anonVma !== null ||',
    'vma.start > 0 ||',
  ]),
  mutant('fork', 'empty-tables', 'fork copies no upper tables where nothing of a vma is.', [
    'mm/copyPages.ts',
    'copyUpperLevels(parent, child, vma);',
    'if (!parent.pages.isBlank(vma.start, vma.end)) copyUpperLevels(parent, child, vma);',
  ]),
  mutant('fork', 'guards-copied', 'A child has no guard pages.', [
    'mm/copyPages.ts',
    'return high === MARKER_UFFD_WP && !what.keepsWp ? low : low | (MARKER << COPY);',
    'return low;',
  ]),
  mutant('fork', 'wipe-on-fork', 'A child has the pages of memory with MADV_WIPEONFORK.', [
    'mm/fork.ts',
    'const wiped = (vma.flags & VM_WIPEONFORK) !== 0;',
    'const wiped = false;',
  ]),
  mutant('fork', 'dont-fork', 'A child has memory with MADV_DONTFORK.', [
    'mm/fork.ts',
    'if (vma.flags & VM_DONTCOPY) continue;',
    '',
  ]),
  mutant('fork', 'locks-inherited', 'Memory of a child is locked as it was.', [
    'mm/fork.ts',
    'copy.flags &= ~VM_LOCKED_MASK;',
    '',
  ]),
  mutant('fork', 'shared-reused', 'A page that two processes have is written in place.', [
    'mm/writeFault.ts',
    'return frames.mapcount(pfn) === 1 &&',
    'return frames.mapcount(pfn) >= 1 &&',
  ]),
];

const THP: readonly Mutant[] = [
  mutant('thp', 'deposit', 'A huge page comes without a table put aside for breaking it.', [
    'mm/hugeMemory.ts',
    'mm.pages.setHuge(base, PRESENT | bits, head);',
    'mm.pages.setHuge(base, PRESENT | bits | NO_DEPOSIT, head);',
  ]),
  mutant('thp', 'huge-zero', 'A load in huge memory gets a page of its own.', [
    'mm/hugeMemory.ts',
    'if (!write && mayMapHugeZero(mm)) {',
    "if (request.access === 'exec' && mayMapHugeZero(mm)) {",
  ]),
  mutant('thp', 'huge-border', 'No huge page comes at the end of a vma.', [
    'mm/hugeMemory.ts',
    'return base >= vma.start && base + PMD_SIZE <= vma.end;',
    'return base >= vma.start && base + PMD_SIZE < vma.end;',
  ]),
  mutant('thp', 'huge-part', 'Discarding a part of a huge page discards all of it.', [
    'mm/zap.ts',
    'const whole = to - from === PMD_SIZE;',
    'const whole = to - from === PMD_SIZE || (pmd & HUGE) !== 0;',
  ]),
  mutant('thp', 'huge-moved', 'mremap breaks huge mappings that it could move whole.', [
    'mm/movePages.ts',
    'if (whole && (pmd & HUGE || allTables) && pages.movePmd(from, to)) {',
    'if (whole && (pmd & HUGE) === 0 && allTables && pages.movePmd(from, to)) {',
  ]),
  mutant('thp', 'collapse-guard', 'MADV_COLLAPSE makes a huge page over guard pages.', [
    'mm/collapse.ts',
    'const guard = firstGuard(mm, base);',
    'const guard = null as Addr | null;',
  ]),
  mutant('thp', 'huge-reuse', 'A huge page that only one process has left is broken by a store.', [
    'mm/hugeMemory.ts',
    '(pmd & EXCLUSIVE || frames.refcount(head) === 1)',
    '(pmd & EXCLUSIVE) !== 0',
  ]),
];

const LIMITS: readonly Mutant[] = [
  mutant('limits', 'map-count-mmap', 'mmap stops one mapping early.', [
    'mm/mmap.ts',
    "if (mm.mapCount > mm.maxMapCount) return refused(ENOMEM, 'map-count');",
    "if (mm.mapCount >= mm.maxMapCount) return refused(ENOMEM, 'map-count');",
  ]),
  mutant('limits', 'map-count-split', 'A split may make one mapping too many.', [
    'mm/vmaMerge.ts',
    'mm.mapCount < mm.maxMapCount;',
    'mm.mapCount <= mm.maxMapCount;',
  ]),
  mutant('limits', 'map-count-mremap', 'A move is refused one mapping early.', [
    'mm/moveVma.ts',
    'if (mm.mapCount >= mm.maxMapCount - 3)',
    'if (mm.mapCount >= mm.maxMapCount - 4)',
  ]),
  mutant('limits', 'map-count-fixed', 'A move to a fixed place is tried one mapping too late.', [
    'mm/mremap.ts',
    'mm.mapCount + 2 >= mm.maxMapCount - 3',
    'mm.mapCount + 2 > mm.maxMapCount - 3',
  ]),
  mutant('limits', 'limit-as', 'RLIMIT_AS may not be reached.', [
    'mm/mm.ts',
    'if (mm.totalVm + pages > Math.floor(as.soft / PAGE_SIZE))',
    'if (mm.totalVm + pages >= Math.floor(as.soft / PAGE_SIZE))',
  ]),
  mutant('limits', 'limit-data', 'RLIMIT_DATA may not be reached.', [
    'mm/mm.ts',
    'mm.dataVm + pages <= Math.floor(data.soft / PAGE_SIZE)) return null;',
    'mm.dataVm + pages < Math.floor(data.soft / PAGE_SIZE)) return null;',
  ]),
  mutant('limits', 'limit-data-shared', 'RLIMIT_DATA counts memory that may not be written.', [
    'mm/mm.ts',
    '(flags & (VM_WRITE | VM_SHARED | VM_GROWSDOWN)) === VM_WRITE;',
    '(flags & (VM_SHARED | VM_GROWSDOWN)) === 0;',
  ]),
  mutant('limits', 'limit-locked', 'RLIMIT_MEMLOCK may not be reached by mlock.', [
    'mm/mlock.ts',
    "if (wanted > limit && !mm.privileged) return refused(ENOMEM, 'locked-limit');",
    "if (wanted >= limit && !mm.privileged) return refused(ENOMEM, 'locked-limit');",
  ]),
  mutant('limits', 'limit-locked-again', 'mlock counts pages twice that are locked already.', [
    'mm/mlock.ts',
    'if (wanted > limit && !mm.privileged) wanted -= countLocked(mm, start, end);',
    '',
  ]),
  mutant('limits', 'dontunmap-limit', 'MREMAP_DONTUNMAP asks for no room under RLIMIT_AS.', [
    'mm/mremap.ts',
    `if (remap.flags & MREMAP_DONTUNMAP) {
    const limit`,
    `if (remap.flags < 0) {
    const limit`,
  ]),
];

const FILES: readonly Mutant[] = [
  mutant('files', 'offset-of-split', 'The upper part of a split has the file offset of the whole.', [
    'mm/vmaMerge.ts',
    'else other.pgoff = vma.pgoff + pages;',
    'else other.pgoff = vma.file === null ? vma.pgoff + pages : vma.pgoff;',
  ]),
  mutant('files', 'beyond-end', 'The first page beyond the end of a file can be read.', [
    'mm/fileFault.ts',
    'object.size !== null && pgoff * PAGE_SIZE >= object.size;',
    'object.size !== null && pgoff * PAGE_SIZE > object.size;',
  ]),
  mutant('files', 'private-copies-dropped', 'Punching a hole takes the copies of private mappings away.', [
    'mm/zap.ts',
    'if (keepAnon && flags & FRAME_ANON) return low;',
    '',
  ]),
  mutant('files', 'same-file', 'Mappings of different openings of files merge.', [
    'mm/mergeVerdict.ts',
    "if (merge.file !== vma.file) return 'file-differs';",
    "if ((merge.file === null) !== (vma.file === null)) return 'file-differs';",
  ]),
  mutant('files', 'duplicate', 'mremap of no bytes is refused for shared memory too.', [
    'mm/mremap.ts',
    'if (oldLen === 0 && (vma.flags & (VM_SHARED | VM_MAYSHARE)) === 0)',
    'if (oldLen === 0)',
  ]),
  mutant('files', 'sysv-overwritten', 'shmat puts a segment over what is mapped.', [
    'mm/shm.ts',
    "if (inTheWay !== null && inTheWay.start < addr + size) return refused(EINVAL, 'exists');",
    '',
  ]),
  mutant('files', 'sysv-merged', 'Parts of a System V segment are merged again.', [
    'mm/vmaMerge.ts',
    'const blocked = (left || right) && removesMiddle && middle.file?.object.hasClose === true;',
    'const blocked = false;',
  ]),
  mutant('files', 'remove-private', 'MADV_REMOVE punches a hole through a private mapping.', [
    'mm/madvise.ts',
    'if ((vma.flags & (VM_SHARED | VM_MAYWRITE)) !== (VM_SHARED | VM_MAYWRITE))',
    'if ((vma.flags & VM_MAYWRITE) === 0)',
  ]),
];

/** All of them; names are unique. */
export const MUTANTS: readonly Mutant[] = [
  ...VMA,
  ...FAULT,
  ...FORK,
  ...THP,
  ...LIMITS,
  ...FILES,
  ...SWAP,
  ...UFFD,
  ...PTRECLAIM,
  ...PRESSURE,
];
