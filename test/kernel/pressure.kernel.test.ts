/**
 * Memory that gets short on the running kernel, in a memory cgroup of its own that the executor makes and removes: what can go and what stays, what a later
 * access finds, who is killed. Everything the kernel shows is held against the model; below that, what a row is about is said of the kernel's answer itself.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkLog } from '../../src/fuzz/index.ts';
import type { Outcome } from '../../src/machine/index.ts';
import { opsKernel } from '../random/opsKernel.ts';
import { leaveOut } from './leftOut.ts';
import { buildOpsrun, whyNoOracle } from './oracle.ts';

const CGROUPS = ['/sys/fs/cgroup/memory', '/sys/fs/cgroup'];
/** The device of another run, which takes it away before it lets us run. */
const OF_A_RUN = /^\/dev\/zram\d+ +\S+\s+1048572\s/;
const hasSwap = (): boolean =>
  readFileSync('/proc/swaps', 'utf8')
    .trimEnd()
    .split('\n')
    .slice(1)
    .some((line) => !OF_A_RUN.test(line));

function whyNot(): string | null {
  const why = whyNoOracle();
  if (why !== null) return why;
  if (hasSwap()) return 'needs a machine without swap space of its own';
  if (!existsSync('/sys/class/zram-control/hot_add')) return 'needs the module zram';
  return existsSync(`${CGROUPS[0]}/memory.usage_in_bytes`) || existsSync(`${CGROUPS[1]}/cgroup.controllers`)
    ? null
    : 'needs the memory controller of cgroups';
}
const why = whyNot();

const W = 0x2000_0000_0000;
const at = (page: number): string => `0x${(W + page * 4096).toString(16)}`;
const range = (page: number, pages: number): string => `${at(page)}, ${pages * 4096}`;
const map = (page: number, pages: number, how = 'MAP_PRIVATE'): string =>
  `mmap(${range(page, pages)}, PROT_READ|PROT_WRITE, ${how}|MAP_FIXED|MAP_ANONYMOUS, -1, 0)`;
const ALL_BACK = `memory.reclaim(${2 ** 30})`;

/** Makes a sequence of calls with a snapshot at its end. */
function sequence(calls: readonly string[], swapPages: number): string[] {
  const head = `# opfuzz format 1 seed 0 ops ${calls.length} window ${at(0)}-${at(16384)} mode 0`;
  return [
    swapPages === 0 ? head : `${head} swap ${swapPages}`,
    ...calls.map((call, i) => `${i + 1} ${call}`),
    `snapshot ${calls.length}`,
  ];
}

/** A figure of smaps in kB, summed over the mappings of the first process of the last snapshot. */
function figure(log: string, name: string): number {
  const own = log.slice(log.lastIndexOf('\nself ')).split(/\n(?:child \d|end)/)[0] ?? '';
  return [...own.matchAll(new RegExp(` ${name}=(\\d+)`, 'g'))].reduce((sum, [, kB]) => sum + Number(kB), 0);
}

interface Row {
  readonly name: string;
  readonly calls: readonly string[];
  readonly swapPages?: number;
  /** Figures of the kernel's last snapshot, kB. */
  readonly shows: Readonly<Record<string, number>>;
}

const SWAP = 1 << 18;
const ROWS: readonly Row[] = [
  {
    name: 'written pages go to swap',
    calls: [map(0, 64), `touch_write(${range(0, 64)})`, ALL_BACK],
    swapPages: SWAP,
    shows: { Rss: 0, Swap: 256 },
  },
  {
    name: 'and come back, each by a fault',
    calls: [map(0, 64), `touch_write(${range(0, 64)})`, ALL_BACK, `touch_read(${range(0, 64)})`],
    swapPages: SWAP,
    shows: { Rss: 256, Swap: 0 },
  },
  {
    name: 'locked pages stay',
    calls: [map(0, 64), `touch_write(${range(0, 64)})`, `mlock(${range(8, 16)})`, ALL_BACK],
    swapPages: SWAP,
    shows: { Rss: 64, Swap: 192 },
  },
  {
    name: 'pages that a child has locked stay',
    calls: [
      map(0, 64),
      `touch_write(${range(0, 64)})`,
      'fork() = child 0',
      `@0 mlock2(${range(8, 16)}, MLOCK_ONFAULT)`,
      ALL_BACK,
    ],
    swapPages: SWAP,
    shows: { Rss: 64, Swap: 192 },
  },
  {
    name: 'unlocked pages go',
    calls: [
      map(0, 64),
      `touch_write(${range(0, 64)})`,
      `mlock(${range(8, 16)})`,
      ALL_BACK,
      `munlock(${range(8, 16)})`,
      ALL_BACK,
    ],
    swapPages: SWAP,
    shows: { Rss: 0, Swap: 256 },
  },
  {
    name: 'lazily freed pages are dropped, with swap too',
    calls: [map(0, 64), `touch_write(${range(0, 64)})`, `madvise(${range(0, 64)}, MADV_FREE)`, ALL_BACK],
    swapPages: SWAP,
    shows: { Rss: 0, Swap: 0 },
  },
  {
    name: 'but those written since go to swap',
    calls: [
      map(0, 64),
      `touch_write(${range(0, 64)})`,
      `madvise(${range(0, 64)}, MADV_FREE)`,
      `touch_write(${range(0, 16)})`,
      ALL_BACK,
    ],
    swapPages: SWAP,
    shows: { Rss: 0, Swap: 64 },
  },
  {
    name: 'those read since are dropped',
    calls: [
      map(0, 64),
      `touch_write(${range(0, 64)})`,
      `madvise(${range(0, 64)}, MADV_FREE)`,
      `touch_read(${range(0, 16)})`,
      ALL_BACK,
      `touch_read(${range(0, 64)})`,
    ],
    swapPages: SWAP,
    shows: { Anonymous: 0, Swap: 0 },
  },
  {
    name: 'without swap written pages stay',
    calls: [map(0, 64), `touch_write(${range(0, 64)})`, ALL_BACK],
    shows: { Rss: 256 },
  },
  {
    name: 'without swap lazily freed pages go',
    calls: [
      map(0, 64),
      `touch_write(${range(0, 64)})`,
      `madvise(${range(0, 64)}, MADV_FREE)`,
      `touch_write(${range(0, 16)})`,
      ALL_BACK,
    ],
    shows: { Rss: 64 },
  },
  {
    name: 'droppable pages go though they were written',
    calls: [map(0, 64, 'MAP_DROPPABLE'), `touch_write(${range(0, 64)})`, ALL_BACK],
    shows: { Rss: 0 },
  },
  {
    name: 'pages of zeros have nothing to give back',
    calls: [map(0, 64), `touch_read(${range(0, 64)})`, ALL_BACK],
    swapPages: SWAP,
    shows: { Swap: 0 },
  },
  {
    name: 'pages of two processes go from both',
    calls: [map(0, 64), `touch_write(${range(0, 64)})`, 'fork() = child 0', ALL_BACK],
    swapPages: SWAP,
    shows: { Rss: 0, Swap: 256, SwapPss: 128 },
  },
  {
    name: 'shared memory goes to swap',
    calls: [map(0, 64, 'MAP_SHARED'), `touch_write(${range(0, 64)})`, ALL_BACK],
    swapPages: SWAP,
    shows: { Rss: 0, Swap: 256 },
  },
  {
    name: 'shared memory that was only read has nothing to save',
    calls: [map(0, 64, 'MAP_SHARED'), `touch_read(${range(0, 64)})`, ALL_BACK],
    swapPages: SWAP,
    shows: { Rss: 0, Swap: 0 },
  },
  {
    name: 'a huge page goes whole',
    calls: [
      map(0, 1024),
      `madvise(${range(0, 1024)}, MADV_HUGEPAGE)`,
      `touch_write(${range(0, 1)})`,
      ALL_BACK,
    ],
    swapPages: SWAP,
    shows: { Rss: 0, Swap: 2048 },
  },
  {
    name: 'PAGEOUT of what is left afterwards has nothing to do',
    calls: [map(0, 64), `touch_write(${range(0, 64)})`, ALL_BACK, `madvise(${range(0, 64)}, MADV_PAGEOUT)`],
    swapPages: SWAP,
    shows: { Rss: 0, Swap: 256 },
  },
  {
    name: 'PAGEOUT takes what only one process has, a limit what both have',
    calls: [
      map(0, 64),
      `touch_write(${range(0, 64)})`,
      'fork() = child 0',
      `madvise(${range(0, 64)}, MADV_PAGEOUT)`,
    ],
    swapPages: SWAP,
    shows: { Rss: 256, Swap: 0 },
  },
];

const BIG = 4096;
const LIMIT = BIG * 2048;

/** What the model makes of the calls: the outcome of each. */
function modelled(lines: readonly string[]): Outcome[] {
  const outcomes: Outcome[] = [];
  checkLog(lines.join('\n').replace(/\nsnapshot \d+/g, ''), {
    outcomes: (_op, outcome) => outcomes.push(outcome),
  });
  return outcomes;
}

describe.runIf(why === null)('when memory gets short', () => {
  const run = opsKernel(why === null ? buildOpsrun() : '');

  it.each(ROWS.map((row) => [row.name, row] as const))('%s', (_name, { calls, swapPages = 0, shows }) => {
    const [log = ''] = run([sequence(calls, swapPages)]);
    expect(checkLog(log)).toBeNull();
    for (const [name, kB] of Object.entries(shows)) expect([name, figure(log, name)]).toEqual([name, kB]);
  });

  it('a limit with swap: nothing is lost of twice as much as it allows', () => {
    const calls = [
      map(0, BIG),
      `memory.max(${LIMIT})`,
      `touch_write(${range(0, BIG)})`,
      'memory.max(max)',
      `touch_read(${range(0, BIG)})`,
    ];
    const [log = ''] = run([sequence(calls, SWAP)]);
    // How many pages had to be read back depends on which went; that they hold what was written does not.
    const answers = log.slice(0, log.indexOf('\nsnapshot')).replaceAll(/(touch_read\(.*) <flt \d+>/g, '$1');
    expect(checkLog(answers)).toBeNull();
    const end = (W + BIG * 4096).toString(16);
    expect(/^pg .*$/m.exec(log)?.[0]).toBe(`pg ${W.toString(16)}-${end} P--X---- v=3`);
    expect(figure(log, 'Rss')).toBe(BIG * 4);
    const readBack = Number(/touch_read\(.* <flt (\d+)>/.exec(log)?.[1]);
    expect(readBack).toBeGreaterThanOrEqual(BIG / 2);
  });

  it('a limit without swap: the process is killed; when the limit is gone, or all is freed lazily, it is not', () => {
    const touched = `touch_write(${range(0, BIG)})`;
    const calls = [map(0, BIG), `memory.max(${LIMIT})`, touched];
    const [log = ''] = run([sequence(calls, 0)]);
    expect(log).toContain('died with status 0x9');
    expect(modelled(sequence(calls, 0)).at(-1)).toMatchObject({ kind: 'signal', signal: 'SIGKILL' });
    const half = [1, 2, 3, 4].flatMap((i) => [
      `touch_write(${range(0, BIG / 4)})`,
      `madvise(${range(0, BIG / 4)}, MADV_FREE)`,
      `mremap(${range(0, BIG / 4)}, ${BIG * 1024}, MREMAP_MAYMOVE|MREMAP_FIXED, ${at(i * 2048)})`,
      map(0, BIG / 4),
    ]);
    const lazily = sequence([map(0, BIG), `memory.max(${LIMIT})`, ...half], 0);
    const [lived = ''] = run([lazily]);
    expect(lived).not.toContain('died');
    expect(modelled(lazily).every(({ kind }) => kind === 'value')).toBe(true);
  });

  it('leaves nothing behind', () => {
    run([sequence(['nop()', ALL_BACK], 0)]);
    const left = CGROUPS.filter((folder) => existsSync(folder)).flatMap((folder) =>
      readdirSync(folder).filter((name) => /^faultline-ops-/.test(name)),
    );
    // Others may be at it.
    expect(left.filter((name) => !existsSync(`/proc/${name.slice('faultline-ops-'.length)}`))).toEqual([]);
    expect(hasSwap()).toBe(false);
  });
});

it('is Linux 6.18 with root, zram and memory cgroups', (context) => {
  if (why !== null) leaveOut(context, `memory that gets short on the running kernel: ${why}`);
  expect(why).toBeNull();
});
