/**
 * What happens to pages when memory is asked back, row by row: calls for opsrun in a memory cgroup, and what the kernel shows at their end.
 */
/** Where the window begins. */
export const W = 0x2000_0000_0000;
/** Pages of the swap device. */
export const SWAP = 1 << 18;

/** Returns the address of a page of the window. */
export const at = (page: number): string => `0x${(W + page * 4096).toString(16)}`;
/** Returns the first two arguments of a call. */
export const range = (page: number, pages: number): string => `${at(page)}, ${pages * 4096}`;
/** Returns a call that maps anonymous memory to read and write. */
export const map = (page: number, pages: number, how = 'MAP_PRIVATE'): string =>
  `mmap(${range(page, pages)}, PROT_READ|PROT_WRITE, ${how}|MAP_FIXED|MAP_ANONYMOUS, -1, 0)`;
/** Asks for more than there is. */
export const ALL_BACK = `memory.reclaim(${2 ** 30})`;

/** Makes a sequence of calls with a snapshot at its end. */
export function sequence(calls: readonly string[], swapPages: number): string[] {
  const head = `# opfuzz format 1 seed 0 ops ${calls.length} window ${at(0)}-${at(16384)} mode 0`;
  return [
    swapPages === 0 ? head : `${head} swap ${swapPages}`,
    ...calls.map((call, i) => `${i + 1} ${call}`),
    `snapshot ${calls.length}`,
  ];
}

/** One sequence. */
export interface Row {
  readonly name: string;
  readonly calls: readonly string[];
  /** 0: the machine has no swap. */
  readonly swapPages: number;
  /** Figures of the kernel's last snapshot of the first process, kB. */
  readonly shows: Readonly<Record<string, number>>;
  /** Results of the kernel, by line. */
  readonly answers: Readonly<Record<number, string>>;
}

const write = (page: number, pages: number): string => `touch_write(${range(page, pages)})`;
const read = (page: number, pages: number): string => `touch_read(${range(page, pages)})`;
const advise = (page: number, pages: number, advice: string): string =>
  `madvise(${range(page, pages)}, ${advice})`;
const PAGES = 64;
const mapped = (how?: string): readonly string[] => [map(0, PAGES, how)];
/** 64 pages, written. */
const written = (how?: string): readonly string[] => [...mapped(how), write(0, PAGES)];
const freed = (): readonly string[] => [...written(), advise(0, PAGES, 'MADV_FREE')];
const fromFile = (): readonly string[] => [
  'open(f0, 64) = 0',
  `mmap(${range(0, PAGES)}, PROT_READ, MAP_PRIVATE|MAP_FIXED, f0, 0)`,
  read(0, PAGES),
];
const FORK = 'fork() = child 0';

type Shows = Row['shows'];
const row = (name: string, calls: readonly string[], shows: Shows, answers: Row['answers'] = {}): Row => ({
  name,
  calls,
  shows,
  answers,
  swapPages: SWAP,
});
const swapless = (name: string, calls: readonly string[], shows: Shows): Row => ({
  ...row(name, calls, shows),
  swapPages: 0,
});

/** Written and read pages of one process. */
const PLAIN: readonly Row[] = [
  row('written pages go to swap', [...written(), ALL_BACK], { Rss: 0, Swap: 256 }),
  row(
    'and come back, each by a fault',
    [...written(), ALL_BACK, read(0, PAGES)],
    { Rss: 256, Swap: 0 },
    { 4: '0 <flt 64>' },
  ),
  row(
    'pages that were used again and again go too, when all is asked back',
    [...written(), ALL_BACK, ...Array(4).fill(read(0, PAGES)), ALL_BACK, read(0, 8), ALL_BACK],
    { Rss: 0, Swap: 256 },
  ),
  row(
    'active pages go too',
    [
      ...mapped('MAP_SHARED'),
      advise(0, PAGES, 'MADV_POPULATE_WRITE'),
      write(0, PAGES),
      read(0, PAGES),
      ALL_BACK,
    ],
    { Rss: 0, Swap: 256 },
  ),
  row('pages of zeros have nothing to give back', [...mapped(), read(0, PAGES), ALL_BACK], { Swap: 0 }),
  row(
    'PAGEOUT of what is left afterwards has nothing to do',
    [...written(), ALL_BACK, advise(0, PAGES, 'MADV_PAGEOUT')],
    { Rss: 0, Swap: 256 },
  ),
  row(
    'guards stay, and what is beside them goes',
    [...written(), advise(8, 16, 'MADV_GUARD_INSTALL'), ALL_BACK, read(8, 1)],
    { Rss: 0, Swap: 192 },
    { 5: '-1 SIGSEGV {si_code=SEGV_MAPERR, si_addr=0x200000008000} <flt 0>' },
  ),
  swapless('without swap written pages stay', [...written(), ALL_BACK], { Rss: 256 }),
];

/** Pages that somebody has locked in memory. */
const LOCKED: readonly Row[] = [
  row('locked pages stay', [...written(), `mlock(${range(8, 16)})`, ALL_BACK], { Rss: 64, Swap: 192 }),
  row(
    'pages that a child has locked stay',
    [...written(), FORK, `@0 mlock2(${range(8, 16)}, MLOCK_ONFAULT)`, ALL_BACK],
    { Rss: 64, Swap: 192 },
  ),
  row(
    'unlocked pages go',
    [...written(), `mlock(${range(8, 16)})`, ALL_BACK, `munlock(${range(8, 16)})`, ALL_BACK],
    { Rss: 0, Swap: 256 },
  ),
  row(
    'pages go that only a child had locked, which is gone',
    [...written(), FORK, `@0 mlock2(${range(8, 16)}, MLOCK_ONFAULT)`, ALL_BACK, 'child_exit(0)', ALL_BACK],
    { Rss: 0, Swap: 256 },
  ),
];

/** Pages that were freed lazily, and droppable ones. */
const LAZY: readonly Row[] = [
  row('lazily freed pages are dropped, with swap too', [...freed(), ALL_BACK], { Rss: 0, Swap: 0 }),
  row('but those written since go to swap', [...freed(), write(0, 16), ALL_BACK], { Rss: 0, Swap: 64 }),
  row('those read since are dropped', [...freed(), read(0, 16), ALL_BACK, read(0, PAGES)], {
    Anonymous: 0,
    Swap: 0,
  }),
  row('those of two processes are dropped from both', [...freed(), FORK, ALL_BACK, '@0 ' + read(0, PAGES)], {
    Anonymous: 0,
    Swap: 0,
  }),
  swapless('without swap lazily freed pages go', [...freed(), write(0, 16), ALL_BACK], { Rss: 64 }),
  swapless('droppable pages go though they were written', [...written('MAP_DROPPABLE'), ALL_BACK], {
    Rss: 0,
  }),
];

/** Pages of several processes, of shared memory, of files, huge ones. */
const OTHERS: readonly Row[] = [
  row('pages of two processes go from both', [...written(), FORK, ALL_BACK], {
    Rss: 0,
    Swap: 256,
    SwapPss: 128,
  }),
  row(
    'PAGEOUT takes what only one process has, a limit what both have',
    [...written(), FORK, advise(0, PAGES, 'MADV_PAGEOUT')],
    { Rss: 256, Swap: 0 },
  ),
  row(
    'a page that one of two has written since is in swap twice',
    [...written(), FORK, `@0 ${write(0, 16)}`, ALL_BACK],
    { Rss: 0, Swap: 256, SwapPss: 160 },
  ),
  row('shared memory goes to swap', [...written('MAP_SHARED'), ALL_BACK], { Rss: 0, Swap: 256 }),
  row(
    'shared memory that was only read has nothing to save',
    [...mapped('MAP_SHARED'), read(0, PAGES), ALL_BACK],
    { Rss: 0, Swap: 0 },
  ),
  row(
    'shared memory that nothing maps any more goes to swap too',
    [...written('MAP_SHARED'), advise(0, PAGES, 'MADV_DONTNEED'), ALL_BACK],
    { Rss: 0, Swap: 256 },
  ),
  row(
    'and where guards are in its place',
    [...written('MAP_SHARED'), advise(0, PAGES, 'MADV_GUARD_INSTALL'), ALL_BACK],
    { Rss: 0, Swap: 256 },
  ),
  row('pages of a file that was read are dropped', [...fromFile(), ALL_BACK], { Rss: 0, Swap: 0 }),
  row('and read again', [...fromFile(), ALL_BACK, read(0, PAGES)], { Rss: 256, Swap: 0 }),
  row('a huge page goes whole', [map(0, 1024), advise(0, 1024, 'MADV_HUGEPAGE'), write(0, 1), ALL_BACK], {
    Rss: 0,
    Swap: 2048,
  }),
];

/** All of them. */
export const ROWS: readonly Row[] = [...PLAIN, ...LOCKED, ...LAZY, ...OTHERS];
