/**
 * The closed lists of what work.ts counts: facts, each of them one thing done to a page, an entry, a table or a vma, and the ways in which a fault is served.
 * A name is what output calls it. What paths are priced is listed in workPaths.ts.
 */

/** Things that are counted, and what one of them is. */
export const FACT_NAMES = [
  // Pages, 4 KiB each: a huge page is 512.
  'pagesAllocated',
  'pagesZeroed',
  'pagesCopied',
  'pagesFreed',
  'hugePagesAllocated',
  'hugePagesFreed',
  // Entries of the lowest level.
  'ptesSet',
  // Emptied, or replaced by a copy. Shared: those of the anonymous ones whose page lives on, mapped elsewhere or as a part of a huge page.
  'anonPtesZapped',
  'sharedPtesZapped',
  // Of these, parts of a huge page that lives on.
  'hugePartsZapped',
  'zeroPtesZapped',
  'filePtesZapped',
  'swapPtesZapped',
  'markersZapped',
  'markersSet',
  // Those that were there when userfaultfd came to put them.
  'markersKept',
  // Markers for 2 MiB at once, without a table.
  'pmdMarkersSet',
  'pmdMarkersZapped',
  'ptesMoved',
  // Of these, entries that are in swap.
  'swapPtesMoved',
  // fork: entries copied into the child, and those write-protected in the parent on the way.
  'ptesCopied',
  'ptesWriteProtected',
  // mprotect: entries rewritten.
  'ptesReprotected',
  // Entries that map 2 MiB.
  'pmdsSet',
  'pmdsZapped',
  'pmdsMoved',
  'pmdsCopied',
  'pmdsReprotected',
  'pmdsSplit',
  'foliosSplit',
  'foliosDeferred',
  'windowsCollapsed',
  // Tables: of the lowest level, of the levels above, and lowest ones that changed their place as a whole.
  'pteTablesAllocated',
  'pteTablesFreed',
  'upperTablesAllocated',
  'upperTablesFreed',
  'tablesMoved',
  // Vmas: made for new memory, grown into room beside them, split in two, merged away, unmapped, moved by mremap, copied by fork. Written ones
  // have an anon_vma; where they are split and merged, those of files count with them, for a tree leads to them as well.
  'vmasCreated',
  'vmasGrown',
  'vmasSplit',
  'writtenVmasSplit',
  'vmasMerged',
  'writtenVmasMerged',
  // A part of a vma was handed to the vma beside it.
  'bordersMoved',
  'vmasRemoved',
  'writtenVmasRemoved',
  'vmasMoved',
  'vmasCopied',
  'writtenVmasCopied',
  // Pages that an operation walked over, and what it did with them. Locked: those that were there when mlock came.
  'pagesLazyFreed',
  'pagesDeactivated',
  'pagesLocked',
  'pagesUnlocked',
  'pagesSwappedOut',
  // Of them, known to hold zeros alone: not written to the device.
  'zerosSwappedOut',
  'pagesSwappedIn',
  'pagesFoundResident',
  'pagesPunched',
  'pagesCopiedByKernel',
  'pagesLookedUp',
  // PAGEMAP_SCAN: entries looked at, pages passed over because there is no table, and pages that were what was asked for.
  'entriesScanned',
  'absentScanned',
  'pagesScanned',
  // Empty page tables (seed 003): scans, what they and MADV_PT_RECLAIM looked at (entries; those read without a lock), and tables freed by whom.
  'ptScans',
  'ptScanVmas',
  'ptScanTables',
  'ptScanEntries',
  'ptScanUnlocked',
  'ptScanSlots',
  // Scans that were due while somebody changed vmas.
  'ptScanTrylockFailed',
  'ptFreedSync',
  // Of these, by looking again under both locks, after the first one had been given up.
  'ptFreedSlow',
  'ptFreedAsync',
  'ptFreedAdvised',
  'ptFreedCounted',
  // Where no vma needs them any more.
  'ptFreedUnmapped',
  // Pages of the level above that held nothing and were freed for it.
  'pmdPagesReclaimed',
  // Tables found empty that were not when they were looked at again; faults that found the table gone for which they had waited.
  'ptRaceKept',
  'ptMapRetries',
  // Tables that became the deposit of a huge page; made for a child, those of them that held nothing, and such pages of the level above.
  'ptDeposited',
  'ptCopiedByFork',
  'ptCopiedEmptyByFork',
  'pmdPagesCopiedEmptyByFork',
  // Freed for being empty, and made again, or covered by a huge page, within a second.
  'ptReallocated',
  'hugeAfterPtFree',
  // Flushes because of a table.
  'ptFlushes',
  // Volatile ranges (seed 002): calls, ranges met on the way through trees and made one or two of, entries looked at by NOVOLATILE, looks in vain; pages
  // purged and looked at for it, those that were in the way, those that went beside what was asked for, and accesses to what was gone, by the program and for it.
  'vrangeVolatileCalls',
  'vrangeNovolatileCalls',
  'vrangeTreeSteps',
  'vrangesMerged',
  'vrangesSplit',
  'vrangePagesWalked',
  'vrangeFalseHintWalks',
  'vrangeOvershoot',
  'pagesPurged',
  'purgePagesScanned',
  'purgeSkippedLocked',
  'purgeSkippedShared',
  'purgeSkippedPinned',
  'purgedTouched',
  'purgedCopied',
  // Reclaim (docs/reclaim.md): pages looked at; of these those that stayed, became active, or inactive; lazily freed ones that were dropped; pages of files
  // dropped, and written back first; what went because somebody needed memory, and beforehand; pages read ahead from swap, and those used then.
  'lruScanned',
  'lruRotated',
  'lruActivated',
  'lruDeactivated',
  'lruDiscarded',
  'fileEvicted',
  'fileWrittenBack',
  'reclaimedDirect',
  'reclaimedKswapd',
  'readAheadPages',
  'readAheadHits',
  // Times a limit was met, and processes killed because nothing could be got back.
  'limitsMet',
  'oomKills',
  // Flushes of the TLB: calls, pages in them, and those that drop everything.
  'tlbFlushes',
  'tlbPagesFlushed',
  'tlbFullFlushes',
  // Seed 004: pages asked whether somebody shares them, pages given a new index or anon_vma, and what is locked for it.
  'pagesAskedForSharing',
  'indexesRewritten',
  'anonVmasRewritten',
  'pageLocksTaken',
  'rmapLocksTaken',
  'migrationsWaitedFor',
] as const;

/** How a fault was served. */
export const FAULT_NAMES = [
  'anon',
  'zero-page',
  'zero-to-write',
  'huge',
  'huge-zero',
  'huge-zero-to-write',
  'cow',
  'reuse',
  'shmem-new',
  'shmem-cached',
  'shmem-around',
  'shmem-cow',
  'file',
  'file-cow',
  'swap-in',
  /** In swap, and read back already by another process that has it. */
  'swap-cached',
  /** Nothing was left to do. */
  'spurious',
  'guard',
  /** SIGSEGV or SIGBUS but for a guard marker. */
  'signal',
] as const;
