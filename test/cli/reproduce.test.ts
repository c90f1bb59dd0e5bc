/**
 * `faultline reproduce` and `faultline workloads`: what they print, and that every row of seed 004 holds.
 */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { leaveOut } from '../kernel/leftOut.ts';
import { expectGolden } from './golden.ts';
import { faultline, jsonLines } from './program.ts';

interface Row {
  readonly name: string;
  readonly published: number | null;
  readonly measured: number | null;
  readonly modelled: number;
  readonly unit: string;
  readonly tolerance: number;
  readonly holds: boolean;
}
interface Line {
  readonly seed: string;
  readonly rows: readonly Row[];
}

const params = (given: Readonly<Record<string, string | number>>): string[] =>
  Object.entries(given).flatMap(([key, value]) => ['--param', `${key}=${value}`]);
const BLOAT = [
  ...[
    'cover',
    'cover-split',
    'cover-page',
    'sliding-window',
    'holes',
    'free-lazy',
    'je-small',
    'je-decay',
    'glibc',
  ],
  ...['tc-span', 'guards', 'uffd-wp', 'moving-gc', 'fork-server', 'virtio-mem', 'jvm-like'],
];
const SMALL = { pages: 50, operations: 500, depth: 2 };

function rowsOf(...args: readonly string[]): Map<string, Row> {
  const { status, stdout, stderr } = faultline(['reproduce', '004', '--json', '--quiet', ...args]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const [line] = jsonLines<Line>(stdout);
  expect(line?.seed).toBe('004');
  expect(line?.rows.filter(({ holds }) => !holds)).toEqual([]);
  return new Map(line?.rows.map((row) => [row.name, row]));
}

describe('reproduce 004', () => {
  it('has the measured counts of every load, exactly', () => {
    const rows = rowsOf(...params({ recordings: 'none', depth: 4 }));
    const exact = [...rows.values()].filter(
      ({ measured, tolerance }) => measured !== null && tolerance === 0,
    );
    expect(exact.map(({ modelled }) => modelled)).toEqual([325, 346, 334, 901, 1707, 1699, 1000, 1000]);
    expect(rows.get('reserve-commit, 1000 pages, order 1, patch 5')?.modelled).toBe(1);
    expect(rows.get('slide, 1000 pages from one mapping, patch 4')?.modelled).toBe(1);
    expect(rows.get('decision table: cells that hold')).toMatchObject({ published: 376, modelled: 376 });
  });

  it("has the kernel's blocked pairs of every bundled recording, and what each half removes", () => {
    const rows = rowsOf(...params(SMALL));
    const pairs = (name: string): (number | null | undefined)[] =>
      ['blocked pairs', 'only the offset', 'only the anon_vma', 'offset and anon_vma'].map(
        (what) => rows.get(`${name}: ${what}`)?.measured,
      );
    const removed = (name: string): (number | undefined)[] =>
      ['patch 4', 'patch 5', 'both'].map((what) => rows.get(`${name}: removed by ${what}`)?.modelled);
    expect(pairs('beam')).toEqual([56, 6, 0, 50]);
    expect(removed('beam')).toEqual([27, 0, 56]);
    expect(pairs('ruby-mimalloc')).toEqual([12, 0, 12, 0]);
    expect(removed('ruby-mimalloc')).toEqual([0, 12, 12]);
    expect(pairs('cc1')).toEqual([1, null, null, null]);
    expect(removed('cc1')).toEqual([0, 1, 1]);
    expect(['redis', 'node-gc'].map((name) => rows.get(`${name}: blocked pairs`)?.measured)).toEqual([0, 0]);
    const share = (name: string): Row | undefined =>
      rows.get(`${name}: share of failed merges that sharing blocks`);
    expect(['redis', 'node-gc', 'cc1'].map((name) => share(name)?.published)).toEqual([0.027, 0, 0.012]);
    expect(share('fork-server')?.modelled).toBeGreaterThan(0.5);
  });

  it('prints a table for people, and as Markdown', () => {
    const args = ['reproduce', '004', '--quiet', ...params({ ...SMALL, recordings: 'cc1' })];
    expectGolden('reproduce.txt', faultline(args).stdout);
    const markdown = faultline([...args, '--markdown']).stdout;
    expect(markdown).toContain('| cc1: blocked pairs | – | 1 | 1 | pairs |  | yes |\n');
    expect(markdown).toMatch(/\*\*\d+ of \d+ rows hold\*\*\n$/);
  });

  it.each([
    ['000', { heap: 2, batch: 16, live: 64 }],
    ['001', { gib: 1, later: 4, tracked: 64 }],
    ['002', { cpus: 1 }],
    ['003', { tables: 1024, blocks: 4000, scale: 10_000 }],
  ])('prints the table of seed %s', (seed, small) => {
    const { status, stdout } = faultline(['reproduce', seed, '--quiet', ...params(small)]);
    expect(stdout).toMatch(/\n(\d+) of \1 rows hold\n$/);
    expect(status).toBe(0);
    expectGolden(`reproduce-${seed}.txt`, stdout);
  });

  it('prints the same each time, progress only to standard error', () => {
    const args = ['reproduce', '004', ...params({ ...SMALL, recordings: 'none' })];
    const [one, other] = [faultline(args), faultline([...args, '--quiet'])];
    expect(one.stdout).toBe(other.stdout);
    expect(one.stderr).toContain('seed 004: realloc\n');
    expect(other.stderr).toBe('');
  });

  it('asks this kernel, which agrees', (context) => {
    if (process.platform !== 'linux' || spawnSync('cc', ['--version']).status !== 0)
      leaveOut(context, 'reproduce --measure: needs Linux and a C compiler');
    const rows = rowsOf(
      '--measure',
      ...params({ pages: 300, operations: 5000, depth: 2, recordings: 'none' }),
    );
    const measured = [...rows.values()].filter((row) => row.measured !== null);
    expect(measured.map((row) => row.measured)).toEqual(measured.map((row) => row.modelled));
    expect(measured).toHaveLength(8);
  });

  it.each([
    [
      ['reproduce', '005'],
      "there is no experiment for seed '005'\nwanted: one of 000, 001, 002, 003, 004, or all\n",
    ],
    [['reproduce', '004', '--param', 'x=1'], "seed 004 has no parameter 'x'\nwanted: one of pages, "],
    [
      ['reproduce', '002', '--keep', 'x'],
      '--keep keeps what --measure measures\nwanted: --measure --keep FILE',
    ],
    [
      ['reproduce', '004', '--kept', 'x'],
      '--keep and --kept are about one seed that times loads\nwanted: one of 002, 003',
    ],
    [['reproduce', '002', '--kept', '/nowhere'], '/nowhere cannot be read: ENOENT'],
    [['reproduce', '004', '--param', 'pages'], '--param pages has no value\nwanted: pages=NUMBER'],
    [
      ['reproduce', '004', '--param', 'depth=99'],
      'depth=99 is not possible\nwanted: depth=NUMBER from 0 to 8',
    ],
    [['reproduce', '004', '--param', 'recordings=x'], "no bundled recording 'x'\nwanted: recordings=none"],
  ])('%j is a mistake', (args, message) => {
    const { status, stdout, stderr } = faultline(args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(message);
  });
});

describe('workloads', () => {
  it('lists every workload with its parameters', () => {
    expectGolden('workloads.txt', faultline(['workloads']).stdout);
    const [rows] = jsonLines<{ name: string; params: Record<string, { default: number | string }> }[]>(
      faultline(['workloads', '--json']).stdout,
    );
    expect(rows?.map(({ name }) => name)).toEqual([
      'reserve-commit',
      'realloc',
      'slide',
      'fork-server',
      'contention',
      'compacting-gc',
      'live-snapshot',
      'ebizzy',
      'cache',
      'managed-heap',
      'deep-stack',
      'swapless',
      ...BLOAT.map((name) => `bloat/${name}`),
    ]);
    expect(rows?.[0]?.params['pages']?.default).toBe(1000);
  });
});
