/**
 * Recordings of real programs and of random operations, taken on Linux 6.18, against the model: no difference in results, maps, flags, internals, pages, faults.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { opsItems, recordingItems } from '../src/replay/index.ts';
import { type CheckReport, checkInput } from '../src/replay/play/check.ts';
import { openFile, openRecording, recordingsIn } from './support/recordings.ts';

const FOLDERS = ['examples/recordings', 'test/recordings'];
const OPS = 'test/recordings/opfuzz';

const told = (report: CheckReport): string[] =>
  report.differences
    .slice(0, 3)
    .map(({ file, line, what, kernel, ours }) => `${file}:${line} ${what}: kernel ${kernel}, ours ${ours}`);

describe('recordings replay to the kernel’s own maps and pages', () => {
  for (const directory of FOLDERS.flatMap(recordingsIn)) {
    it(`${directory} has no difference`, { timeout: 120_000 }, () => {
      const files = openRecording(directory);
      const report = checkInput(directory, (placements) => recordingItems(files, { placements }));
      expect(told(report)).toEqual([]);
      expect(report.compared.vmas).toBeGreaterThan(50);
      expect(report.compared.results).toBeGreaterThan(30);
      expect(report.pagesUnknown).toBeNull();
      expect(report.compared.pages).toBeGreaterThan(100);
      expect(report.compared.counts).toBeGreaterThan(report.compared.touches / 2);
    });
  }
});

describe('random operations give the kernel’s results and vma lines', () => {
  for (const name of readdirSync(OPS).sort()) {
    it(`${name} has no difference`, () => {
      const files = openFile(join(OPS, name));
      const report = checkInput(name, () => opsItems(files), { verify: 'every' });
      expect(told(report)).toEqual([]);
      expect(report.compared.results).toBeGreaterThan(150);
    });
  }
});

/** Where to change a recording: the first line of a file that matches, and what it becomes. */
interface Change {
  readonly what: string;
  readonly file: string;
  readonly pattern: RegExp;
  readonly replacement: string;
  /** Which recording; redis if it is left out. */
  readonly of?: string;
}

describe('a changed copy is rejected at the changed place', () => {
  const changes: readonly Change[] = [
    {
      what: 'the end of a vma',
      file: 'maps.end',
      pattern: /^([0-9a-f]+)-7f([0-9a-f]{9})0 /,
      replacement: '$1-7f$21 ',
    },
    { what: 'a permission', file: 'maps.end', pattern: / r-xp /, replacement: ' r--p ' },
    {
      what: 'an inode',
      file: 'maps.end',
      pattern: / (fe:00) (\d+)5( +\/usr)/,
      replacement: ' $1 $26$3',
    },
    {
      what: 'a flag',
      file: 'smaps.end',
      pattern: /^VmFlags: rd wr mr mw me ac $/,
      replacement: 'VmFlags: rd wr mr mw me nr ',
    },
    {
      what: 'a result',
      file: 'syscalls.strace',
      pattern: /(madvise\(.*\)) += 0 /,
      replacement: '$1 = -1 EINVAL (Invalid argument) ',
    },
    {
      what: 'a page offset',
      file: 'vmas.end',
      pattern: / pgoff=7f/,
      replacement: ' pgoff=7e',
      of: 'test/recordings/cow-tree',
    },
    {
      what: 'how far an ioctl of userfaultfd came',
      file: 'syscalls.strace',
      pattern: /(UFFDIO_COPY,.*), copy=0x1000(\}\) = 0)/,
      replacement: '$1, copy=0x2000$2',
      of: 'test/recordings/userfaultfd',
    },
    {
      what: 'a page that is there',
      file: 'syscalls.strace',
      pattern: /(UFFDIO_COPY,.*) = -1 EEXIST \(File exists\)/,
      replacement: '$1 = -1 ENOENT (No such file or directory)',
      of: 'test/recordings/userfaultfd',
    },
    figure('Anonymous', '16', '20'),
    figure('AnonHugePages', '0', '2048'),
    figure('Locked', '0', '4'),
    figure('Swap', '0', '4'),
    figure('THPeligible', '0', '1', ''),
    { what: 'the state of a run', file: 'pagemap.end.rle', pattern: / P--X$/, replacement: ' P---' },
    { what: 'a shared run', file: 'pagemap.end.rle', pattern: / P---$/, replacement: ' P--X' },
    { what: 'a run in swap', file: 'pagemap.end.rle', pattern: / P--X$/, replacement: ' -S--' },
    {
      what: 'the end of a run',
      file: 'pagemap.end.rle',
      pattern: /^([0-9a-f]+-[0-9a-f]+)3000 P--X$/,
      replacement: '$12000 P--X',
    },
    {
      what: 'a run of a child',
      file: 'procs/17302/pagemap.end.rle',
      pattern: / P---$/,
      replacement: ' P--X',
    },
    {
      what: 'a fault on a page that was not there',
      file: 'faults.perf.txt',
      pattern: /(address=0x7f40788f7030 .*)error_code=0x7$/,
      replacement: '$1error_code=0x6',
    },
    {
      what: 'a fault on a page that is said to have been there',
      file: 'faults.perf.txt',
      pattern: /(address=0x7ff.*)error_code=0x6$/,
      replacement: '$1error_code=0x7',
    },
    {
      what: 'an error code',
      file: 'faults.perf.txt',
      pattern: /error_code=0x14$/,
      replacement: 'error_code=0x16',
    },
    { what: 'RssAnon', file: 'status.end', pattern: /^(RssAnon:.*)\d( kB)$/, replacement: '$19$2' },
    { what: 'VmPTE', file: 'status.end', pattern: /^(VmPTE:.*)\d( kB)$/, replacement: '$19$2' },
    {
      what: 'the number of faults',
      file: 'stat.end',
      pattern: /^(\d+ \(.*\) S?.(?: -?\d+){6} )\d/,
      replacement: '$19',
    },
    {
      what: 'the number of faults of a child',
      file: 'procs/17302/stat.end',
      pattern: /^(\d+ \(.*\) S?.(?: -?\d+){6} )\d/,
      replacement: '$19',
    },
  ];
  for (const { what, file, pattern, replacement, of = 'examples/recordings/redis' } of changes) {
    it(`finds ${what} changed in ${file}`, { timeout: 120_000 }, () => {
      const files = openRecording(of);
      const lines = [...files.lines(file)];
      const at = lines.findIndex((line) => pattern.test(line));
      expect(at).toBeGreaterThanOrEqual(0);
      expect((lines[at] ?? '').replace(pattern, replacement)).not.toBe(lines[at]);
      lines[at] = (lines[at] ?? '').replace(pattern, replacement);
      expect(firstDifference(of, file, lines)).toEqual({ file, line: at + 1 });
    });
  }

  it('finds the address of a fault changed to that of a page we hold', { timeout: 120_000 }, () => {
    const lines = [...openRecording('examples/recordings/redis').lines('faults.perf.txt')];
    const isWrite = (line: string): boolean => /address=0x7f\w+ .*error_code=0x6$/.test(line);
    const [first = 0, , third = 0] = lines.flatMap((line, i) => (isWrite(line) ? [i] : []));
    const address = /address=\S+/.exec(lines[first] ?? '')?.[0] ?? '';
    lines[third] = (lines[third] ?? '').replace(/address=\S+/, address);
    const found = firstDifference('examples/recordings/redis', 'faults.perf.txt', lines);
    expect(found).toEqual({ file: 'faults.perf.txt', line: third + 1 });
  });

  it.each([
    ['gone', 0],
    ['repeated', 2],
  ])('finds that a line of a fault is %s', { timeout: 120_000 }, (_what, times) => {
    const lines = [...openRecording('examples/recordings/redis').lines('faults.perf.txt')];
    const at = lines.length - 200;
    const changed = lines.flatMap((line, i) => (i === at ? Array(times).fill(line) : [line]));
    expect(firstDifference('examples/recordings/redis', 'faults.perf.txt', changed)).not.toBeNull();
  });
});

/** Changes a figure of the first block that has this value. */
function figure(name: string, from: string, to: string, unit = ' kB'): Change {
  return {
    what: name,
    file: 'smaps.end',
    pattern: new RegExp(`^(${name}: *) ${' '.repeat(Math.max(0, to.length - from.length))}${from}${unit}$`),
    replacement: `$1 ${to}${unit}`,
  };
}

/** Checks a recording of which one file was changed. Returns where the first difference is, or null. */
function firstDifference(
  directory: string,
  file: string,
  lines: string[],
): { readonly file: string; readonly line: number } | null {
  const files = openRecording(directory);
  const changed = { ...files, lines: (name: string) => (name === file ? lines : files.lines(name)) };
  const { differences } = checkInput(directory, (placements) => recordingItems(changed, { placements }));
  const [first] = differences;
  if (first === undefined) return null;
  return { file: first.file.replace(/^(?:redis|cow-tree|userfaultfd)\//, ''), line: first.line };
}
