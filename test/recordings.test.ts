/**
 * Recordings of real programs and of random operations, taken on Linux 6.18, against the model: no difference in maps, flags, internals, results.
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

describe('recordings replay to the kernel’s own maps', () => {
  for (const directory of FOLDERS.flatMap(recordingsIn)) {
    it(`${directory} has no difference`, { timeout: 120_000 }, () => {
      const files = openRecording(directory);
      const report = checkInput(directory, (placements) => recordingItems(files, { placements }));
      expect(told(report)).toEqual([]);
      expect(report.compared.vmas).toBeGreaterThan(50);
      expect(report.compared.results).toBeGreaterThan(30);
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

describe('a changed copy is rejected at the changed place', () => {
  const directory = 'examples/recordings/redis';
  const changes: readonly [what: string, file: string, pattern: RegExp, replacement: string][] = [
    ['the end of a vma', 'maps.end', /^([0-9a-f]+)-7f([0-9a-f]{9})0 /, '$1-7f$21 '],
    ['a permission', 'maps.end', / r-xp /, ' r--p '],
    ['an inode', 'maps.end', / (fe:00) (\d+)5( +\/usr)/, ' $1 $26$3'],
    ['a flag', 'smaps.end', /^VmFlags: rd wr mr mw me ac $/, 'VmFlags: rd wr mr mw me nr '],
    ['a result', 'syscalls.strace', /(madvise\(.*\)) += 0 /, '$1 = -1 EINVAL (Invalid argument) '],
    ['a page offset', 'vmas.end', / pgoff=7f/, ' pgoff=7e'],
  ];
  for (const [what, file, pattern, replacement] of changes) {
    const source = file === 'vmas.end' ? 'examples/recordings/beam' : directory;
    it(`finds ${what} changed in ${file}`, { timeout: 120_000 }, () => {
      const files = openRecording(source);
      const lines = [...files.lines(file)];
      const at = lines.findIndex((line) => pattern.test(line));
      expect(at).toBeGreaterThanOrEqual(0);
      lines[at] = (lines[at] ?? '').replace(pattern, replacement);
      const changed = { ...files, lines: (name: string) => (name === file ? lines : files.lines(name)) };
      const { differences } = checkInput(source, (placements) => recordingItems(changed, { placements }));
      expect(differences[0]?.file.endsWith(file)).toBe(true);
      expect(differences[0]?.line).toBe(at + 1);
    });
  }
});
