/**
 * The priced paths, by name: what charges say how often it was taken (work.ts), and machine/costTable.ts has a price for.
 */

/** Taking entries away whose page is not freed with them, or that are not pages, and breaking up what only a part of is meant. */
export const ZAP_PATHS = [
  'zap-file',
  'zap-zero',
  'zap-swap',
  'zap-shared',
  'zap-huge-parts',
  'zap-huge',
  'zap-huge-freed',
  'pmd-split',
  'folio-split',
] as const;

/** Priced paths. What each is worth, and from which figures of a calibration, is the table in machine/costTable.ts. */
export const PATH_NAMES = [
  'syscall',
  // Faults of the program. Hot: the page was freed a moment ago and is in the cache.
  'fault-anon-hot',
  'fault-anon-cold',
  'fault-zero-page',
  /** In a table that was made a moment ago. */
  'fault-zero-new-table',
  'fault-zero-to-write',
  'fault-huge',
  'fault-huge-hot',
  'fault-huge-zero',
  'fault-huge-zero-to-write',
  'fault-huge-zero-to-write-hot',
  'fault-cow',
  'fault-reuse',
  'fault-shmem-new',
  'fault-shmem-cached',
  'fault-shmem-around',
  'fault-shmem-cow',
  'fault-file',
  'fault-file-cow',
  'fault-swap-in',
  'fault-swap-in-zero',
  'fault-spurious',
  'fault-signal',
  /** A page table that a fault had to make first. */
  'fault-table',
  /** A page that was not given back a moment ago, more than one that was; where the path has no figure for it. */
  'fault-cold-page',
  /** A page of a file whose record is not in the cache, where very many pages are in use. */
  'cold-record',
  /** No fault: the processor marks an entry dirty that was clean. */
  'mark-dirty',
  // Pages that the kernel brings in by itself: MADV_POPULATE, MAP_POPULATE, mlock.
  'populate-read',
  'populate-write-hot',
  'populate-write-cold',
  'populate-huge-zero',
  'populate-huge',
  'populate-huge-hot',
  'populate-resident',
  'mlock-absent',
  'mmap-new',
  'mmap-new-placed',
  'mmap-merge',
  'mmap-merge-both',
  'brk-grow',
  'munmap-whole',
  'munmap-trim',
  'munmap-split',
  'munmap-more-vmas',
  'munmap-more-written-vmas',
  'munmap-pages',
  /** What every call pays that changes attributes of vmas: mprotect, advice, locks, names. */
  'vma-attributes',
  'mprotect-read-only',
  'mprotect-writable',
  // Splits and merges of vmas, one each, and what they cost more where there is an anon_vma.
  'split',
  'split-written',
  'merge',
  'merge-written',
  /** A part of a vma goes to the vma beside it, both stay. */
  'border',
  'dontneed',
  'dontneed-large',
  'dontneed-empty',
  'dontneed-tables',
  ...ZAP_PATHS,
  'madv-free',
  'madv-cold',
  'madv-pageout',
  'madv-pageout-zero',
  'madv-remove',
  'madv-collapse',
  'guard-install',
  'guard-remove',
  'mlock-resident',
  'munlock',
  'mremap-grow',
  'mremap-shrink',
  'mremap-move-empty',
  'mremap-move-entries',
  'mremap-move-tables',
  'mremap-split',
  'mremap-dontunmap',
  /** Seed 000: pages change their place and no vma does. */
  'mremap-only-pages',
  'fork',
  'fork-vmas',
  'fork-written-vmas',
  'fork-pages',
  'fork-huge-pages',
  'exit',
  'exit-vmas',
  'exit-written-vmas',
  'exit-pages',
  /** Soft-dirty: entries that lose write access and the bit. */
  'clear-refs',
  'mincore',
  // vrange (seed 002): under a lock of its own, under mmap_lock for reading; a page that is purged; SIGBUS for one that was, besides the signal.
  'vrange',
  'vrange-read',
  'purge',
  'purged-signal',
  'kernel-copy',
  // userfaultfd. A fault that asks user space (besides the fault that it is when it comes back), the page that it takes in vain before it asks, and the
  // part of one that gets SIGBUS that is not the signal.
  'uffd-fault',
  'uffd-fault-page',
  'uffd-fault-huge-page',
  'uffd-signal',
  'uffd-read',
  /** A store to a marker that is let through: what its two faults are more than those of a new page and of one that may be written. */
  'uffd-marker-store',
  'uffd-copy',
  /** Its source was not there: the copy that was tried under the locks first, and beginning again without them. */
  'uffd-copy-again',
  'uffd-copy-file',
  'uffd-zeropage',
  'uffd-continue',
  'uffd-poison',
  'uffd-move',
  /** Nothing but entries that are in swap: no translation of theirs is dropped. */
  'uffd-move-swapped',
  'uffd-move-huge',
  // Write-protection: of what is there, by a marker, where one is already; and back.
  'uffd-protect',
  'uffd-protect-large',
  'uffd-mark',
  'uffd-mark-again',
  'uffd-unprotect',
  'uffd-unprotect-large',
  'uffd-unmark',
  'pagemap-read',
  // PAGEMAP_SCAN: entries; memory without tables; pages that were asked for, and those protected then; regions reported.
  'pagemap-scan',
  'pagemap-scan-absent',
  'pagemap-scan-found',
  'pagemap-scan-protect',
  'pagemap-scan-regions',
  /** A page from swap that is written at once: what that is more than reading it. */
  'swap-in-write',
  // Seed 003: reading an entry of a table; a slot where there is none; nanoseconds that a tunable says; a table that fork makes for an empty one.
  'pt-scan',
  'pt-scan-absent',
  'pt-given',
  'fork-empty-tables',
  // Seed 004: asking a page whether it is shared, and rewriting where it belongs.
  'sharing-check',
  'rehome',
] as const;
