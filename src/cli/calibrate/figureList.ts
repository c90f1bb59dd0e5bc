/**
 * Every figure of a calibration that can be measured: its name, unit, the group it is measured with, and what one sample of it is.
 *
 * The names are those of the bundled calibration, and those that composite loads showed missing there. The programs in oracle/cost/ measure them.
 */
// Long because: the closed list of all figures stands here, once.

/** Groups that are measured by a program of their own, in their order, and what they are about. */
export const GROUPS = {
  base: 'entering the kernel, moving data, switching threads',
  vmas: 'mmap, munmap and mprotect: making, cutting and joining VMAs',
  'many-vmas': 'the same among up to 60,000 VMAs',
  moves: 'mremap',
  faults: 'page faults of private memory, and after a fork',
  huge: 'huge pages: faults, splits, collapse',
  files: 'page faults of shared memory and files',
  zaps: 'giving memory back, populating, locking',
  inspection: 'mincore, pagemap, MADV_COLD',
  fork: 'fork and exit, by VMAs and pages',
  uffd: 'userfaultfd ioctls, write protection, PAGEMAP_SCAN',
  'uffd-faults': 'faults that another thread or a signal handler answers',
  signals: 'signals, SIGSEGV with mprotect',
  threads: 'flushes of the TLB and locks between two threads',
  swap: 'pages to compressed memory and back; needs root and zram',
} as const;

/** One of the groups. */
export type GroupName = keyof typeof GROUPS;

/** One figure. */
export interface FigureInfo {
  readonly name: string;
  readonly unit: string;
  readonly group: GroupName;
  /** What one sample is. */
  readonly how: string;
}

type Row = readonly [name: string, unit: string, how: string];
const of = (group: GroupName, rows: readonly Row[]): FigureInfo[] =>
  rows.map(([name, unit, how]) => ({ name, unit, group, how }));
/** The same for several sizes: `$` stands for each in the name and in the text. */
const sized = (sizes: readonly (number | string)[], name: string, unit: string, how: string): Row[] =>
  sizes.map((size) => [name.replace('$', String(size)), unit, how.replace('$', String(size))]);

const BATCHES = [1, 4, 16, 64, 512];
const SIZES = [1, 8, 64, 512, 4096, 32768, 262144];
const CROWDS = [10, 1000, 10000, 60000];

const BASE = of('base', [
  ['timer_read', 'ns', 'clock_gettime(CLOCK_MONOTONIC)'],
  ['syscall_null', 'ns', 'getppid, 1000 in a sample'],
  ['clear_4k_hot', 'ns', 'memset of one page that is in the cache'],
  ['clear_4k_cold', 'ns', 'memset of 64 pages in a row, further on in 128 MiB each time'],
  ['copy_4k_hot', 'ns', 'memcpy between two pages that are in the cache'],
  ['copy_4k_cold', 'ns', 'memcpy of 64 pages in a row, further on in 128 MiB each time'],
  ['clear_2m_cold', 'ns', 'memset of a huge page, the next of 64 each time'],
  ['futex_wake_nobody', 'ns', 'FUTEX_WAKE that nobody waits for'],
  ['switch_pipe_same_cpu', 'ns', 'one way: a write, a switch and a read, two threads on one CPU'],
  ['switch_pipe_cross_cpu', 'ns', 'one way, two threads on two CPUs'],
  ['switch_futex_same_cpu', 'ns', 'one way: FUTEX_WAKE, FUTEX_WAIT and a switch, two threads on one CPU'],
  ['switch_futex_cross_cpu', 'ns', 'one way, two threads on two CPUs'],
  ['wake_cross_cpu_call', 'ns', 'FUTEX_WAKE of a thread that sleeps on another CPU: the call alone'],
]);

const VMAS = of('vmas', [
  ['mmap_munmap_1p', 'ns', 'mmap and munmap of a page that is not touched'],
  ['mmap_touch_munmap_1p', 'ns', 'mmap, a write and munmap of a page'],
  ['mmap_fixed_new_vma', 'ns', 'mmap of a page with nothing beside it'],
  ['mmap_fixed_merge_both', 'ns', 'mmap of a page between two VMAs that it joins'],
  ['mmap_fixed_merge_prev', 'ns', 'mmap of a page above a VMA that it extends'],
  ['munmap_split', 'ns', 'munmap of an untouched page in the middle of a VMA'],
  ['munmap_whole_vma', 'ns', 'munmap of an untouched VMA of a page'],
  ['munmap_trim', 'ns', 'munmap of the last, untouched page of a VMA'],
  ['munmap_many_vmas_per_vma', 'ns', 'munmap of 96 untouched VMAs at once, for each'],
  [
    'mprotect_split_faulted',
    'ns',
    'mprotect to read only of a page that is there, in the middle of a written VMA',
  ],
  ['mprotect_merge_faulted', 'ns', 'mprotect of that page back: three VMAs become one'],
  ['munmap_split_faulted', 'ns', 'munmap of a page that is there, in the middle of a written VMA'],
  ['munmap_vmas_faulted_per_vma', 'ns', 'munmap of 97 VMAs with a page each at once, for each'],
  ['mprotect_split', 'ns', 'mprotect of an untouched page in the middle of a VMA'],
  ['mprotect_merge', 'ns', 'mprotect of that page back'],
  ['mprotect_whole_vma', 'ns', 'mprotect of a whole untouched VMA of 2 MiB'],
  ...sized(
    [1, 64, 512, 16384],
    'mprotect_ro_$',
    'ns/call',
    'mprotect to read only of a VMA with $ pages there',
  ),
  ...sized(
    [1, 64, 512, 16384],
    'mprotect_rw_$',
    'ns/call',
    'mprotect to writable of a VMA with $ pages there',
  ),
]);

const MANY_VMAS = of('many-vmas', [
  ...sized(CROWDS, 'mmap_at_$_vmas', 'ns', 'mmap of a page where the kernel likes, with $ VMAs around'),
  ...sized(CROWDS, 'munmap_at_$_vmas', 'ns', 'munmap of it, with $ VMAs around'),
  ...sized(CROWDS, 'munmap_all_$_per_vma', 'ns/vma', 'munmap of $ VMAs of an untouched page at once'),
  ...sized(CROWDS.slice(1), 'mprotect_at_$_vmas', 'ns', 'mprotect of any whole VMA of $'),
  ...sized(CROWDS.slice(1), 'fault_zero_at_$_vmas', 'ns', 'first read of a page in any VMA of $'),
  ...sized([1000, 10000], 'proc_maps_per_vma_$', 'ns/vma', 'reading /proc/self/maps, with $ VMAs'),
  ...sized([1000, 10000], 'proc_smaps_per_vma_$', 'ns/vma', 'reading /proc/self/smaps, with $ VMAs'),
  ...sized([1000, 10000], 'procmap_query_at_$_vmas', 'ns', 'PROCMAP_QUERY of any address, with $ VMAs'),
]);

const MOVES = of('moves', [
  ['mremap_move_vma_untouched', 'ns', 'mremap of a VMA of an untouched page to a free place'],
  ...sized([1, 64], 'mremap_move_$', 'ns/call', 'mremap of a VMA with $ pages there'),
  ...sized(
    [512, 32768],
    'mremap_move_$_unaligned',
    'ns/call',
    'mremap of a VMA with $ pages there, entry by entry',
  ),
  ...sized([512, 32768], 'mremap_move_$_pmd', 'ns/call', 'mremap of a VMA with $ pages there, by tables'),
  ['mremap_move_split_1', 'ns', 'mremap of a page that is there out of the middle of a VMA'],
  ['mremap_dontunmap_1', 'ns', 'mremap with MREMAP_DONTUNMAP of a page out of the middle of a VMA'],
  ['mremap_grow_in_place', 'ns', 'mremap of an untouched VMA, a page longer'],
  ['mremap_shrink', 'ns', 'mremap of an untouched VMA, a page shorter'],
]);

const FAULTS = of('faults', [
  ['fault_anon_write', 'ns', 'first write, 511 pages in a row that were given back just before'],
  ['fault_anon_read_zero', 'ns', 'first read, 511 pages in a row'],
  ['fault_zero_to_write', 'ns', 'write to a page that was read before'],
  ['touch_resident', 'ns', 'access to a page that is there, one a page'],
  [
    'fault_anon_copied',
    'ns/page',
    'copy of 512 KiB to where nothing is, out of 5 MiB at random: a fault a page, and the copy',
  ],
  ['copy_4k_among_5m', 'ns/page', 'such copies to where the pages are, one after the other'],
  ['copy_4k_among_256m', 'ns/page', 'the same out of 256 MiB'],
  ['fault_anon_write_256m', 'ns', 'first write of each page of 256 MiB, page tables included'],
  ['fault_anon_read_256m', 'ns', 'first read of each page of 256 MiB, page tables included'],
  ['fault_zero_new_pt', 'ns', 'first read of a page in each 2 MiB: a page table each'],
  ['fault_cow_copy', 'ns', 'write to a page that a child has, too'],
  ['fault_cow_reuse', 'ns', 'write to a page that a child had, which is gone'],
  ['write_after_mprotect_cycle', 'ns', 'write after mprotect to read only and back: no fault'],
  ...sized(
    [128, 2048, 4096, 16384],
    'fault_anon_write_reused_$',
    'ns',
    'first write, $ pages in a row that were given back just before, page tables there',
  ),
]);

const HUGE = of('huge', [
  ['fault_thp_write', 'ns', 'first write of 2 MiB under MADV_HUGEPAGE'],
  ['fault_thp_read_zero', 'ns', 'first read of 2 MiB under MADV_HUGEPAGE'],
  ['fault_thp_zero_to_write', 'ns', 'write to 2 MiB that were read before'],
  ['fault_thp_write_hot', 'ns', 'first write of 2 MiB under MADV_HUGEPAGE that were given back just before'],
  [
    'fault_thp_zero_to_write_hot',
    'ns',
    'write to 2 MiB that were read before, and given back just before that',
  ],
  [
    'madv_dontneed_thp_parts',
    'ns/page',
    'MADV_DONTNEED of the other 511 pages of a huge page of which one is gone',
  ],
  ['madv_dontneed_thp', 'ns', 'MADV_DONTNEED of a written huge page, 32 in a call'],
  ['madv_dontneed_huge_zero', 'ns', 'MADV_DONTNEED of a huge zero page, 32 in a call'],
  ['dontneed_1_thp_mapped', 'ns', 'MADV_DONTNEED of a page of a huge page'],
  ['dontneed_1_thp_pte_mapped', 'ns', 'MADV_DONTNEED of another page of the same'],
  ['madv_free_1_thp_mapped', 'ns', 'MADV_FREE of a page of a huge page: it is split'],
  ['madv_free_1_small', 'ns', 'MADV_FREE of another page of the same, small now'],
  ['madv_collapse_2m', 'ns', 'MADV_COLLAPSE of 512 pages that are there'],
]);

const FILES = of('files', [
  ['fault_shmem_write_new', 'ns', 'first write of a shared page that was a hole'],
  ['fault_shmem_write_cached', 'ns', 'write of a shared page that is cached and not mapped here'],
  ['fault_shmem_read_around', 'ns/fault', 'read of a shared page that is cached: 16 are mapped'],
  ['fault_private_file_cow', 'ns', 'write to a private mapping of a cached page of a memfd'],
  ['madv_remove_per_page', 'ns/page', 'MADV_REMOVE of 2048 pages of a memfd that are mapped'],
  ['madv_dontneed_shmem_512', 'ns/page', 'MADV_DONTNEED of 512 pages of a memfd'],
  ['fault_file_read', 'ns/fault', 'read of a cached file on disk, each 64 KiB, by faults that it took'],
  ['fault_file_private_cow', 'ns', 'write to a private mapping of a cached file on disk'],
]);

const ZAPS = of('zaps', [
  ...sized([...SIZES, 1048576], 'madv_dontneed_$', 'ns/call', 'MADV_DONTNEED of $ pages that are there'),
  ...sized(SIZES, 'madv_free_$', 'ns/call', 'MADV_FREE of $ pages that are there'),
  ...sized(SIZES, 'munmap_$', 'ns/call', 'munmap of $ pages that are there, page tables included'),
  ['write_after_madv_free', 'ns', 'write to a page after MADV_FREE: no fault'],
  ['madv_dontneed_1g_empty', 'ns/call', 'MADV_DONTNEED of 1 GiB without page tables'],
  ['madv_dontneed_511_none', 'ns/call', 'MADV_DONTNEED of 511 empty entries of a table'],
  ['madv_dontneed_pt_reclaim', 'ns/table', 'MADV_DONTNEED of 2 MiB with one entry: its table goes, too'],
  ...sized([512, 65536], 'populate_read_$', 'ns/page', 'MADV_POPULATE_READ of $ pages'),
  ...sized([512, 65536], 'populate_write_$', 'ns/page', 'MADV_POPULATE_WRITE of $ pages'),
  ['populate_read_65536_thp', 'ns/page', 'MADV_POPULATE_READ of 65536 pages under MADV_HUGEPAGE'],
  ['populate_write_65536_thp', 'ns/page', 'MADV_POPULATE_WRITE of 65536 pages under MADV_HUGEPAGE'],
  ['populate_write_resident', 'ns/page', 'MADV_POPULATE_WRITE of 512 pages that are there'],
  ['mlock_absent_512', 'ns/page', 'mlock of 512 pages that are not there'],
  ['mlock_resident_512', 'ns/page', 'mlock of 512 pages that are there'],
  ['munlock_512', 'ns/page', 'munlock of 512 pages'],
]);

const INSPECTION = of('inspection', [
  ['mincore_absent', 'ns/page', 'mincore of 65536 pages without page tables'],
  ['mincore_resident', 'ns/page', 'mincore of 65536 pages that are there'],
  ['mincore_1', 'ns/call', 'mincore of a page that is there'],
  ['pagemap_read_resident', 'ns/page', 'reading /proc/self/pagemap, 65536 pages that are there'],
  ['madv_cold_512', 'ns/page', 'MADV_COLD of 512 pages that are there'],
]);

const forks = (name: string, sizes: readonly number[], what: string): Row[] => [
  ...sized(sizes, `${name}_$`, 'ns/call', `fork with ${what}`),
  ...sized(sizes, `${name}_$_exit`, 'ns/call', `waking that child, its end and the wait for it: ${what}`),
];
const FORK = of('fork', [
  ['fork_base', 'ns/call', 'fork of the program that measures'],
  ['fork_base_exit', 'ns/call', 'waking that child, its end, and the wait for it'],
  ...forks('fork_empty_tables', [512, 16384], '$ page tables without entries more'),
  ...forks('fork_vmas', [100, 1000, 10000], '$ untouched VMAs of a page more'),
  ...forks('fork_vmas_faulted', [100, 1000, 10000], '$ written VMAs of a page more'),
  ...forks('fork_pages', [512, 4096, 65536, 262144], '$ pages in one VMA more'),
  ...forks('fork_thp', [128], '$ huge pages in one VMA more'),
]);

const UFFD = of('uffd', [
  ...sized(BATCHES, 'uffd_copy_$', 'ns/page', 'UFFDIO_COPY, $ pages in each of the ioctls for 512'),
  ...sized(BATCHES, 'uffd_zeropage_$', 'ns/page', 'UFFDIO_ZEROPAGE, $ pages in each of the ioctls for 512'),
  ...sized(BATCHES, 'uffd_move_$', 'ns/page', 'UFFDIO_MOVE, $ pages in each of the ioctls for 512'),
  ...sized(BATCHES, 'uffd_continue_$', 'ns/page', 'UFFDIO_CONTINUE, $ pages in each of the ioctls for 512'),
  ['uffd_move_1_reversed', 'ns/page', 'UFFDIO_MOVE of a page in each ioctl, in reversed order'],
  ['uffd_move_thp_2m', 'ns/call', 'UFFDIO_MOVE of a huge page'],
  ['uffd_copy_shmem_1', 'ns/page', 'UFFDIO_COPY of a page into a memfd'],
  ...sized([1, 64, 512, 65536], 'uffd_wp_on_$', 'ns/call', 'UFFDIO_WRITEPROTECT of $ pages that are there'),
  ...sized([1, 64, 512, 65536], 'uffd_wp_off_$', 'ns/call', 'the same off again, $ pages'),
  ...sized([1, 64, 512, 65536], 'uffd_wp_on_none_$', 'ns/call', 'UFFDIO_WRITEPROTECT of $ holes: markers'),
  ...sized([1, 64, 512, 65536], 'uffd_wp_on_marked_$', 'ns/call', 'the same again over $ markers'),
  ...sized([1, 64, 512, 65536], 'uffd_wp_off_none_$', 'ns/call', 'the same off, $ markers'),
  ['fault_wp_async', 'ns', 'write to a protected page that is there, asynchronous mode'],
  ['fault_wp_async_marker', 'ns', 'write to a marker, asynchronous mode'],
  ['pagemap_scan_absent', 'ns/page', 'PAGEMAP_SCAN of 65536 holes for written pages'],
  ['pagemap_scan_clean', 'ns/page', 'PAGEMAP_SCAN of 65536 pages, none written'],
  ['pagemap_scan_written', 'ns/page', 'PAGEMAP_SCAN of 65536 pages, all written'],
  ['pagemap_scan_wp_written', 'ns/page', 'the same, protecting them again'],
  ['pagemap_scan_wp_alternate', 'ns/page', 'the same, every second one written'],
]);

const UFFD_FAULTS = of('uffd-faults', [
  ...['copy', 'zeropage', 'continue', 'move', 'wp'].flatMap((way): Row[] => [
    [`uffd_fault_${way}_same_cpu`, 'ns/fault', `fault answered by ${way}, from a read on the same CPU`],
    [`uffd_fault_${way}_cross_cpu`, 'ns/fault', `fault answered by ${way}, from a read on the other CPU`],
    [
      `uffd_fault_${way}_spin`,
      'ns/fault',
      `fault answered by ${way}, by a thread that polls on the other CPU`,
    ],
  ]),
  ['uffd_sigbus_copy', 'ns/fault', 'fault answered by UFFDIO_COPY in a handler of SIGBUS'],
]);

const SIGNALS = of('signals', [
  ['signal_self', 'ns', 'tgkill to oneself, an empty handler, and the calls that find the ids'],
  ['sigsegv_mprotect_seq', 'ns', 'write to protected memory, its handler unprotects the page; ascending'],
  ['sigsegv_mprotect_split', 'ns', 'the same with every second page: VMAs split'],
]);

const MOODS = {
  alone: '',
  sleeping: ', a second thread asleep',
  spinning: ', a second thread spinning',
  reading: ', a second thread reading the mapping',
};
const pairOf = (name: string, how: string): Row[] => [
  [`${name}_a`, 'ns/op/thread', `${how}: the first`],
  [`${name}_b`, 'ns/op/thread', `${how}: the second`],
];
const THREADS = of('threads', [
  ...Object.entries(MOODS).flatMap(([mood, text]) => [
    ...sized([1, 16, 64, 512], `tlb_dontneed_$_${mood}`, 'ns/call', `MADV_DONTNEED of $ pages${text}`),
    ...sized([1, 16, 64, 512], `tlb_mprotect_$_${mood}`, 'ns/call', `mprotect of $ pages${text}`),
  ]),
  ['thr_fault_1', 'ns/op/thread', 'first writes and MADV_DONTNEED, by page'],
  ...pairOf('thr_fault_2', 'two threads that do so in two VMAs'),
  ...pairOf('thr_fault_2_same_vma', 'two threads that do so in one VMA'),
  ['thr_mmap_1', 'ns/op/thread', 'mmap and munmap of a page'],
  ...pairOf('thr_mmap_2', 'two threads that do so'),
  ['thr_mprotect_1', 'ns/op/thread', 'mprotect of the first page of a VMA, on and off'],
  ...pairOf('thr_mprotect_2', 'two threads that do so in two VMAs'),
  ...pairOf('thr_fault_vs_mmap', 'one writes and discards, the other maps and unmaps'),
  ...pairOf('thr_fault_vs_mprotect', 'one writes and discards, the other protects'),
]);

const CONTENTS = { zero: 'zeros', half: 'contents that compress to half', random: 'random contents' };
const SWAP = of('swap', [
  ...Object.entries(CONTENTS).flatMap(([kind, text]): Row[] => [
    [`swap_out_${kind}`, 'ns/page', `MADV_PAGEOUT of 2048 pages to zram, ${text}`],
    [`swap_in_${kind}`, 'ns/page', `reading them again in order, ${text}`],
  ]),
  ['swap_in_half_write', 'ns/page', 'writing them again in order, contents that compress to half'],
  ['madv_dontneed_swapped', 'ns/page', 'MADV_DONTNEED of 2048 pages in swap'],
  ['uffd_move_swapped', 'ns/page', 'UFFDIO_MOVE of 2048 pages in swap'],
]);

/** All figures. */
export const FIGURES: readonly FigureInfo[] = [
  ...BASE,
  ...VMAS,
  ...MANY_VMAS,
  ...MOVES,
  ...FAULTS,
  ...HUGE,
  ...FILES,
  ...ZAPS,
  ...INSPECTION,
  ...FORK,
  ...UFFD,
  ...UFFD_FAULTS,
  ...SIGNALS,
  ...THREADS,
  ...SWAP,
];

/** Straight lines through two figures: name, and each figure with how many pages (or VMAs) it is over. */
export const LINES: readonly (readonly [
  name: string,
  low: string,
  few: number,
  high: string,
  many: number,
])[] = [
  ['madv_dontneed', 'madv_dontneed_1', 1, 'madv_dontneed_512', 512],
  ['madv_dontneed_large', 'madv_dontneed_512', 512, 'madv_dontneed_262144', 262144],
  ['madv_free', 'madv_free_1', 1, 'madv_free_512', 512],
  ['munmap', 'munmap_1', 1, 'munmap_512', 512],
  ['mprotect_ro', 'mprotect_ro_1', 1, 'mprotect_ro_512', 512],
  ['mprotect_rw', 'mprotect_rw_1', 1, 'mprotect_rw_512', 512],
  ['uffd_wp_on', 'uffd_wp_on_1', 1, 'uffd_wp_on_512', 512],
  ['uffd_wp_off', 'uffd_wp_off_1', 1, 'uffd_wp_off_512', 512],
  ['uffd_wp_on_none', 'uffd_wp_on_none_1', 1, 'uffd_wp_on_none_512', 512],
  ['fork_pages', 'fork_pages_512', 512, 'fork_pages_65536', 65536],
  ['fork_vmas', 'fork_vmas_100', 100, 'fork_vmas_1000', 1000],
  ['fork_vmas_faulted', 'fork_vmas_faulted_100', 100, 'fork_vmas_faulted_1000', 1000],
  ['uffd_copy', 'uffd_copy_1', 1, 'uffd_copy_64', 64],
  ['uffd_zeropage', 'uffd_zeropage_1', 1, 'uffd_zeropage_64', 64],
  ['uffd_move', 'uffd_move_1', 1, 'uffd_move_64', 64],
  ['uffd_continue', 'uffd_continue_1', 1, 'uffd_continue_64', 64],
];
