/**
 * The table of prices: which figures of a calibration price which path. One row a path, with the reason where it is not the figure of the same name.
 *
 * Calibrations measure whole paths: a call with its entry and exit, the vmas it changes, the pages it goes over. Where a path here is a part of
 * a measured one (a split, a written vma), the row is the difference of two measured calls that differ in just that part.
 * Where nothing was measured, the row names the measured path that does most nearly the same, and says so.
 */
import type { PathName } from '../mm/work.ts';
import type { Figures } from './cost.ts';

/** Nanoseconds, from the figures of a calibration. */
type Formula = (from: Figures) => number;

/** What one path costs each time, and for each page; what is left out is 0. */
export interface PriceRow {
  readonly call?: Formula;
  readonly page?: Formula;
}

const figure =
  (name: string): Formula =>
  (from) =>
    from.figure(name);
const fixed =
  (line: string): Formula =>
  (from) =>
    from.fixed(line);
const perPage =
  (line: string): Formula =>
  (from) =>
    from.perPage(line);
const minus =
  (a: Formula, b: Formula): Formula =>
  (from) =>
    a(from) - b(from);
const plus =
  (a: Formula, b: Formula): Formula =>
  (from) =>
    a(from) + b(from);
const times =
  (n: number, a: Formula): Formula =>
  (from) =>
    a(from) * n;
/** A figure that calibrations need not have, and what is taken without it. */
const orElse =
  (name: string, other: Formula): Formula =>
  (from) =>
    from.hasFigure(name) ? from.figure(name) : other(from);
const half = (a: Formula): Formula => times(1 / 2, a);
/** The slope of the line through two figures of the same call over `few` and over `many` pages. */
const slope = (low: string, few: number, high: string, many: number): Formula =>
  times(1 / (many - few), minus(figure(high), figure(low)));
/** Where that line begins: what the call costs without pages. */
const intercept = (low: string, few: number, high: string, many: number): Formula =>
  minus(figure(low), times(few, slope(low, few, high, many)));

const HUGE = 512;
const MOVE_ENTRIES = ['mremap_move_1', 1, 'mremap_move_32768_unaligned', 32768] as const;
const MOVE_TABLES = ['mremap_move_512_pmd', 1, 'mremap_move_32768_pmd', 64] as const;
/** Two splits, and two merges, of memory that was never written. */
const SPLITS = minus(figure('mprotect_split'), figure('mprotect_whole_vma'));
const MERGES = minus(figure('mprotect_merge'), figure('mprotect_whole_vma'));
/** The same of written memory, without the one page that is there. */
const WRITTEN_SPLITS = minus(figure('mprotect_split_faulted'), figure('mprotect_ro_1'));
const WRITTEN_MERGES = minus(figure('mprotect_merge_faulted'), figure('mprotect_rw_1'));
/** From one task to another: one way of a round trip by futex is a wake-up, the waiting of who woke, and the switch. */
const SWITCH = minus(figure('switch_futex_same_cpu'), times(2, figure('futex_wake_nobody')));
/** A message through a descriptor: one way of a pipe is a write, the switch, and a read. */
const MESSAGE = half(minus(figure('switch_pipe_same_cpu'), SWITCH));
/** What is left of a round trip by CONTINUE without its two switches, the read, the ioctl, and the fault that finds its page in the end. */
const ASKING = [figure('uffd_continue_1'), times(2, SWITCH), MESSAGE, figure('fault_cow_reuse')].reduce(
  minus,
  figure('uffd_fault_continue_same_cpu'),
);
/** A page is taken, cleared and given back: what a write fault is more than one of the zero page, and what it costs to free a page. */
const PAGE_IN_VAIN = [minus(figure('fault_anon_read_zero'), perPage('madv_dontneed'))].reduce(
  minus,
  figure('fault_anon_write'),
);
/** A fault that finds no page and ends in SIGBUS, without the signal: one answered by COPY in the handler, less signal, ioctl, and the page that the write took in vain. */
const SIGBUS_FAULT = [figure('signal_self'), figure('uffd_copy_1'), PAGE_IN_VAIN].reduce(
  minus,
  figure('uffd_sigbus_copy'),
);
/** A page that somebody else maps is taken out of a table: the exit of a child that wrote nothing. */
const ZAP_SHARED = times(1 / 65536, minus(figure('fork_pages_65536_exit'), figure('fork_base_exit')));
const ZAP_HUGE = times(1 / 128, minus(figure('fork_thp_128_exit'), figure('fork_base_exit')));
const SCAN_CLEAN = figure('pagemap_scan_clean');
const SCAN_WRITTEN = figure('pagemap_scan_written');
const SCAN_PROTECT = figure('pagemap_scan_wp_written');
const MARKED = ['uffd_wp_on_marked_1', 1, 'uffd_wp_on_marked_512', 512] as const;
/** Calls so large that the tables are no longer in the cache. */
const PROTECT_LARGE = ['uffd_wp_on_512', 512, 'uffd_wp_on_65536', 65536] as const;
const UNPROTECT_LARGE = ['uffd_wp_off_512', 512, 'uffd_wp_off_65536', 65536] as const;
const UNMARK = ['uffd_wp_off_none_1', 1, 'uffd_wp_off_none_512', 512] as const;

/** Making a table of the lowest level. */
const TABLE = minus(figure('fault_zero_new_pt'), figure('fault_anon_read_zero'));

/** The prices of all paths. */
export const PRICES: Readonly<Record<PathName, PriceRow>> = {
  // A call that finds nothing to do, or is refused.
  syscall: { call: figure('syscall_null') },

  'fault-anon-hot': { call: figure('fault_anon_write') },
  // Has its page tables in it: one in 512 faults makes one.
  'fault-anon-cold': { call: figure('fault_anon_write_256m') },
  'fault-zero-page': { call: figure('fault_anon_read_zero') },
  // Reading through 256 MiB, of each 512 pages all but the first, which makes the table.
  'fault-zero-new-table': {
    call: times(1 / 511, minus(times(512, figure('fault_anon_read_256m')), figure('fault_zero_new_pt'))),
  },
  'fault-zero-to-write': { call: figure('fault_zero_to_write') },
  'fault-huge': { call: figure('fault_thp_write') },
  // The bundled calibration has only huge pages that come from memory, not out of the cache.
  'fault-huge-hot': { call: orElse('fault_thp_write_hot', figure('fault_thp_write')) },
  'fault-huge-zero': { call: figure('fault_thp_read_zero') },
  'fault-huge-zero-to-write': { call: figure('fault_thp_zero_to_write') },
  'fault-huge-zero-to-write-hot': {
    call: orElse('fault_thp_zero_to_write_hot', figure('fault_thp_zero_to_write')),
  },
  'fault-cow': { call: figure('fault_cow_copy') },
  'fault-reuse': { call: figure('fault_cow_reuse') },
  'fault-shmem-new': { call: figure('fault_shmem_write_new') },
  'fault-shmem-cached': { call: figure('fault_shmem_write_cached') },
  'fault-shmem-around': { call: figure('fault_shmem_read_around') },
  // The private mapping of a memfd.
  'fault-shmem-cow': { call: figure('fault_private_file_cow') },
  'fault-file': { call: figure('fault_file_read') },
  // The private mapping of a file on disk that is in the page cache.
  'fault-file-cow': { call: figure('fault_file_private_cow') },
  // From zram, contents that compress to half; the fault is in it.
  'fault-swap-in': { call: figure('swap_in_half') },
  // Nothing is read: the page is cleared.
  'fault-swap-in-zero': { call: figure('swap_in_zero') },
  // Entry, look-up and return, as in a fault that finds its page its own; nothing nearer was measured.
  'fault-spurious': { call: figure('fault_cow_reuse') },
  // The signal and an empty handler; the look-up that found no page comes on top and was not measured apart.
  'fault-signal': { call: figure('signal_self') },
  // The same fault with and without a new table.
  'fault-table': { call: TABLE },
  // First writes to many pages and to few, less the tables that the many make.
  // Giving back very many pages against few.
  'cold-record': { page: minus(perPage('madv_dontneed_large'), perPage('madv_dontneed')) },
  'fault-cold-page': {
    page: minus(minus(figure('fault_anon_write_256m'), figure('fault_anon_write')), times(1 / HUGE, TABLE)),
  },

  // A write after MADV_FREE, less the access itself.
  'mark-dirty': { call: minus(figure('write_after_madv_free'), figure('touch_resident')) },

  // Tables are in these figures, which are for each page.
  'populate-read': { call: figure('populate_read_65536') },
  'populate-write-hot': { call: figure('populate_write_512') },
  'populate-write-cold': { call: figure('populate_write_65536') },
  'populate-huge-zero': { call: times(HUGE, figure('populate_read_65536_thp')) },
  'populate-huge': { call: times(HUGE, figure('populate_write_65536_thp')) },
  'populate-huge-hot': {
    call: orElse('fault_thp_write_hot', times(HUGE, figure('populate_write_65536_thp'))),
  },
  'populate-resident': { page: figure('populate_write_resident') },
  'mlock-absent': { call: figure('mlock_absent_512') },

  'mmap-new': { call: figure('mmap_fixed_new_vma') },
  // With the search for room, among about a thousand vmas.
  'mmap-new-placed': { call: figure('mmap_at_1000_vmas') },
  'mmap-merge': { call: figure('mmap_fixed_merge_prev') },
  'mmap-merge-both': { call: figure('mmap_fixed_merge_both') },
  // Extends the heap as an mmap extends the vma below; brk itself was not measured.
  'brk-grow': { call: figure('mmap_fixed_merge_prev') },
  'munmap-whole': { call: figure('munmap_whole_vma') },
  'munmap-trim': { call: figure('munmap_trim') },
  'munmap-split': { call: figure('munmap_split') },
  'munmap-more-vmas': { page: figure('munmap_many_vmas_per_vma') },
  // The figure has one page of each vma in it.
  'munmap-more-written-vmas': { page: minus(figure('munmap_vmas_faulted_per_vma'), perPage('munmap')) },
  // What pages and their tables add to the call without them.
  'munmap-pages': { call: minus(fixed('munmap'), figure('munmap_whole_vma')), page: perPage('munmap') },

  // mprotect of memory without pages; for advice, locks and names, which were not measured, it stands in.
  'vma-attributes': { call: figure('mprotect_whole_vma') },
  'mprotect-read-only': {
    call: minus(fixed('mprotect_ro'), figure('mprotect_whole_vma')),
    page: perPage('mprotect_ro'),
  },
  'mprotect-writable': {
    call: minus(fixed('mprotect_rw'), figure('mprotect_whole_vma')),
    page: perPage('mprotect_rw'),
  },
  split: { page: half(SPLITS) },
  'split-written': { page: half(minus(WRITTEN_SPLITS, SPLITS)) },
  merge: { page: half(MERGES) },
  'merge-written': { page: half(minus(WRITTEN_MERGES, MERGES)) },
  // SIGSEGV whose handler gives access to page after page, less the signal and mprotect of one page.
  border: {
    page: [figure('signal_self'), figure('mprotect_rw_1')].reduce(minus, figure('sigsegv_mprotect_seq')),
  },

  dontneed: { call: fixed('madv_dontneed'), page: perPage('madv_dontneed') },
  // Calls so large that the records of the pages are no longer in the cache.
  'dontneed-large': { call: fixed('madv_dontneed_large'), page: perPage('madv_dontneed_large') },
  'dontneed-empty': { call: figure('madv_dontneed_511_none') },
  // One entry of the zero page and its table; the entry is in the figure.
  'dontneed-tables': { page: figure('madv_dontneed_pt_reclaim') },
  'zap-file': { page: figure('madv_dontneed_shmem_512') },
  // Nothing is freed and no count changes; an entry of shared memory is the nearest that was measured.
  'zap-zero': { page: figure('madv_dontneed_shmem_512') },
  'zap-swap': { page: figure('madv_dontneed_swapped') },
  // A page that somebody else maps: the exit of a child that wrote nothing.
  'zap-shared': { page: ZAP_SHARED },
  // Without a figure of its own, what any page costs that lives on.
  'zap-huge-parts': { page: orElse('madv_dontneed_thp_parts', ZAP_SHARED) },
  // The exit of a child that shares huge pages, and without a figure of its own what frees them, too.
  'zap-huge': { page: ZAP_HUGE },
  'zap-huge-freed': { page: orElse('madv_dontneed_thp', ZAP_HUGE) },
  // MADV_DONTNEED of one small page out of a huge one, against one of small pages.
  'pmd-split': { page: minus(figure('dontneed_1_thp_mapped'), figure('madv_dontneed_1')) },
  // MADV_FREE of one small page splits the huge page itself.
  'folio-split': { page: minus(figure('madv_free_1_thp_mapped'), figure('madv_free_1_small')) },
  'madv-free': { call: fixed('madv_free'), page: perPage('madv_free') },
  'madv-cold': { call: figure('syscall_null'), page: figure('madv_cold_512') },
  // To zram, contents that compress to half.
  'madv-pageout': { call: figure('syscall_null'), page: figure('swap_out_half') },
  // Nothing is written: the slot is marked.
  'madv-pageout-zero': { page: figure('swap_out_zero') },
  // Pages that are mapped twice.
  'madv-remove': { call: figure('syscall_null'), page: figure('madv_remove_per_page') },
  'madv-collapse': { call: figure('syscall_null'), page: figure('madv_collapse_2m') },
  // Guard markers were not measured; these are the markers of userfaultfd, which are put and taken in the same way.
  'guard-install': { call: fixed('uffd_wp_on_none'), page: perPage('uffd_wp_on_none') },
  'guard-remove': { call: intercept(...UNMARK), page: slope(...UNMARK) },
  'mlock-resident': { page: figure('mlock_resident_512') },
  munlock: { page: figure('munlock_512') },

  'mremap-grow': { call: figure('mremap_grow_in_place') },
  'mremap-shrink': { call: figure('mremap_shrink') },
  'mremap-move-empty': { call: figure('mremap_move_vma_untouched') },
  'mremap-move-entries': { call: intercept(...MOVE_ENTRIES), page: slope(...MOVE_ENTRIES) },
  'mremap-move-tables': { call: intercept(...MOVE_TABLES), page: slope(...MOVE_TABLES) },
  // One page out of the middle of a vma: two splits.
  'mremap-split': { page: half(minus(figure('mremap_move_split_1'), figure('mremap_move_1'))) },
  // The page that is moved is in the figure.
  'mremap-dontunmap': { call: minus(figure('mremap_dontunmap_1'), slope(...MOVE_ENTRIES)) },
  // UFFDIO_MOVE does the same to the same entries.
  'mremap-only-pages': { call: fixed('uffd_move'), page: perPage('uffd_move') },

  fork: { call: figure('fork_base') },
  'fork-vmas': { page: perPage('fork_vmas') },
  // The figure has one page of each vma in it.
  'fork-written-vmas': { page: minus(perPage('fork_vmas_faulted'), perPage('fork_pages')) },
  'fork-pages': { page: perPage('fork_pages') },
  'fork-huge-pages': { page: times(1 / 128, minus(figure('fork_thp_128'), figure('fork_base'))) },
  // Waking the child, its exit, and the wait for it.
  exit: { call: figure('fork_base_exit') },
  'exit-vmas': { page: times(1 / 1000, minus(figure('fork_vmas_1000_exit'), figure('fork_base_exit'))) },
  // The figure has one shared page of each vma in it.
  'exit-written-vmas': {
    page: minus(
      times(1 / 1000, minus(figure('fork_vmas_faulted_1000_exit'), figure('fork_base_exit'))),
      times(1 / 65536, minus(figure('fork_pages_65536_exit'), figure('fork_base_exit'))),
    ),
  },
  'exit-pages': { page: perPage('munmap') },

  // The reference kernel keeps no soft-dirty bits; mprotect takes write access from entries in the same way.
  'clear-refs': { call: figure('syscall_null'), page: perPage('mprotect_ro') },
  // The call takes a page to answer in. Without a figure of its own an empty one.
  mincore: {
    call: orElse('mincore_1', figure('syscall_null')),
    page: figure('mincore_resident'),
  },
  // A lock that nobody else wants and a tree of a few ranges: less than the entry. No kernel has the call.
  vrange: { call: figure('syscall_null') },
  // A call that looks a vma up under the lock, and a table without anything in it.
  'vrange-read': { call: figure('madv_dontneed_511_none') },
  // A page is taken out of its table, and freed.
  purge: { page: perPage('madv_dontneed') },
  'purged-signal': { call: SIGBUS_FAULT },
  // process_vm_readv and its like: the copy alone; finding the page was not measured.
  'kernel-copy': { call: figure('syscall_null'), page: figure('copy_4k_hot') },

  'uffd-fault': { call: ASKING },
  'uffd-fault-page': { call: PAGE_IN_VAIN },
  // Clearing is all but all of it.
  'uffd-fault-huge-page': { call: figure('clear_2m_cold') },
  'uffd-signal': { call: SIGBUS_FAULT },
  // What else passes a message through a descriptor.
  'uffd-read': { call: MESSAGE },
  // A store to a page that holds a marker, measured whole.
  'uffd-marker-store': {
    call: [figure('fault_anon_write'), figure('fault_cow_reuse')].reduce(
      minus,
      figure('fault_wp_async_marker'),
    ),
  },
  'uffd-copy': { call: fixed('uffd_copy'), page: perPage('uffd_copy') },
  // A fault that brings nothing, and another call without its entry; neither was measured here.
  'uffd-copy-again': {
    call: [figure('syscall_null')].reduce(minus, plus(figure('fault_anon_read_zero'), fixed('uffd_copy'))),
  },
  // One page an ioctl was measured.
  'uffd-copy-file': { page: minus(figure('uffd_copy_shmem_1'), fixed('uffd_copy')) },
  'uffd-zeropage': { call: fixed('uffd_zeropage'), page: perPage('uffd_zeropage') },
  'uffd-continue': { call: fixed('uffd_continue'), page: perPage('uffd_continue') },
  // Sets an entry that maps nothing, as ZEROPAGE does; it was not measured.
  'uffd-poison': { call: fixed('uffd_zeropage'), page: perPage('uffd_zeropage') },
  'uffd-move': { call: fixed('uffd_move'), page: perPage('uffd_move') },
  // Entries of the zero page are the nearest to a call that drops no translation.
  'uffd-move-swapped': { call: fixed('uffd_zeropage'), page: figure('uffd_move_swapped') },
  'uffd-move-huge': { page: minus(figure('uffd_move_thp_2m'), fixed('uffd_move')) },
  'uffd-protect': { call: fixed('uffd_wp_on'), page: perPage('uffd_wp_on') },
  'uffd-protect-large': { call: intercept(...PROTECT_LARGE), page: slope(...PROTECT_LARGE) },
  // Tables are in it.
  'uffd-mark': { call: fixed('uffd_wp_on_none'), page: perPage('uffd_wp_on_none') },
  'uffd-mark-again': { call: intercept(...MARKED), page: slope(...MARKED) },
  'uffd-unprotect': { call: fixed('uffd_wp_off'), page: perPage('uffd_wp_off') },
  'uffd-unprotect-large': { call: intercept(...UNPROTECT_LARGE), page: slope(...UNPROTECT_LARGE) },
  'uffd-unmark': { call: intercept(...UNMARK), page: slope(...UNMARK) },
  'pagemap-read': { call: figure('syscall_null'), page: figure('pagemap_read_resident') },
  // Only large scans were measured: what the call itself takes is taken for an empty one.
  'pagemap-scan': { call: figure('syscall_null'), page: SCAN_CLEAN },
  'pagemap-scan-absent': { page: figure('pagemap_scan_absent') },
  'pagemap-scan-found': { page: minus(SCAN_WRITTEN, SCAN_CLEAN) },
  'pagemap-scan-protect': { page: minus(SCAN_PROTECT, SCAN_WRITTEN) },
  // Every second page, each a region: two entries, of which one is found and protected, and the region.
  'pagemap-scan-regions': {
    page: minus(
      times(2, figure('pagemap_scan_wp_alternate')),
      (from) => SCAN_PROTECT(from) + SCAN_CLEAN(from),
    ),
  },
  'swap-in-write': { call: minus(figure('swap_in_half_write'), figure('swap_in_half')) },

  // The scan of seed 003 was never measured. It reads entries and does nothing with them, as PAGEMAP_SCAN does of which no page is asked for.
  'pt-scan': { page: SCAN_CLEAN },
  // So many pages have no table.
  'pt-scan-absent': { page: times(HUGE, figure('pagemap_scan_absent')) },
  // Of what no figure tells, a tunable says how many nanoseconds it takes (mm/ptScanTunables.ts).
  'pt-given': { page: () => 1 },
  // Many are made at once, out of memory that is in no cache, and those of the parent are read. Without figures as a fault makes one, which takes half of it.
  'fork-empty-tables': {
    page: (from) =>
      from.hasFigure('fork_empty_tables_16384')
        ? (from.figure('fork_empty_tables_16384') - from.figure('fork_base')) / 16384
        : TABLE(from) + HUGE * SCAN_CLEAN(from),
  },

  // A walk that looks at the record of every page. Reading pagemap does so, and asks how often a page is mapped.
  'sharing-check': { page: figure('pagemap_read_resident') },
  // A walk that changes the record of every page under a lock. MADV_COLD is the nearest that was measured.
  rehome: { page: figure('madv_cold_512') },
};

/** Paths that programs without userfaultfd, pagemap and swap do not take: a calibration need have their figures only for those that do. */
export const PRICED_IF_TAKEN: (path: PathName) => boolean = (path) =>
  path.startsWith('uffd-') ||
  path === 'purged-signal' ||
  path.startsWith('pagemap-') ||
  path.startsWith('pt-scan') ||
  path === 'fork-empty-tables' ||
  path === 'swap-in-write' ||
  path === 'fault-swap-in-zero' ||
  path === 'madv-pageout-zero';
