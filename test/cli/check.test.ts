/**
 * `faultline check`: what agrees, what differs and where, what is said about both.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FIXTURES, faultline, jsonLines, ROOT } from './program.ts';

interface Found {
  readonly file: string;
  readonly line: number;
  readonly op: number | null;
  readonly what: string;
  readonly kernel: string;
  readonly ours: string;
}
interface Line {
  readonly input: string;
  readonly ok: boolean;
  readonly compared: {
    readonly results: number;
    readonly vmas: number;
    readonly touches: number;
    readonly pages: number;
    readonly counts: number;
    readonly total: number;
  };
  readonly differences: number;
  readonly first: Found | null;
  readonly list: readonly Found[];
  readonly notCompared: readonly string[];
  readonly error?: { readonly kind: string; readonly message: string };
}

const RECORDING = `${FIXTURES}/true`;
const OPS = `${FIXTURES}/small.ops`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'faultline-check-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const linesOf = (path: string): string[] => readFileSync(join(ROOT, path), 'utf8').split('\n');

/** Returns the number, from 1, of the only line of a file that `pattern` matches. */
function lineNumber(path: string, pattern: RegExp): number {
  const found = linesOf(path).flatMap((line, i) => (pattern.test(line) ? [i + 1] : []));
  expect(found, `lines of ${path} that match ${pattern}`).toHaveLength(1);
  return found[0] ?? 0;
}

/** Returns the text of a file with one line changed. */
function changed(path: string, line: number, change: (text: string) => string): string {
  const lines = linesOf(path);
  const before = lines[line - 1] ?? '';
  const after = change(before);
  expect(after).not.toBe(before);
  lines[line - 1] = after;
  return lines.join('\n');
}

/** Copies the recording with one line of one file changed. Returns its path and the line. */
function tampered(name: string, file: string, pattern: RegExp, change: (text: string) => string) {
  const path = join(folder, name);
  cpSync(join(ROOT, RECORDING), path, { recursive: true });
  const line = lineNumber(`${RECORDING}/${file}`, pattern);
  writeFileSync(join(path, file), changed(`${RECORDING}/${file}`, line, change));
  return { input: path, file: `${path}/${file}`, line };
}

/** Writes the ops file with one line changed. Returns its path and the line. */
function tamperedOps(name: string, line: number, change: (text: string) => string) {
  const input = join(folder, name);
  writeFileSync(input, changed(OPS, line, change));
  return { input, file: input, line };
}

describe('inputs that agree', () => {
  it('are told in a table, with what was not compared', () => {
    const { status, stdout, stderr } = faultline(['check', RECORDING, OPS]);
    expect(stderr).toBe('');
    expect(stdout).toBe(`\
input                        results  vma lines  touches    pages  placed alike  differences
test/fixtures/cli/true            13         73       46        0           4/4            0
test/fixtures/cli/small.ops       57         20       17    3,269           3/3            0

not compared in 1 input: runs of pages (there is no pagemap.end.rle), pages of files and of shared memory, which pages are dirty or were used, VmHWM
not compared in 1 input: LazyFree, and which pages are dirty after MADV_FREE
2 inputs agree with the kernel
`);
    expect(status).toBe(0);
  });

  it('are told in a line of JSON each, the same bytes each time', () => {
    const first = faultline(['check', '--json', RECORDING, OPS]);
    expect(faultline(['check', '--json', RECORDING, OPS])).toEqual(first);
    expect(first.status).toBe(0);
    const lines = jsonLines<Line>(first.stdout);
    expect(
      lines.map(({ input, ok, differences, first: found }) => ({ input, ok, differences, found })),
    ).toEqual([
      { input: RECORDING, ok: true, differences: 0, found: null },
      { input: OPS, ok: true, differences: 0, found: null },
    ]);
    expect(lines[0]?.compared).toEqual({
      results: 13,
      vmas: 73,
      touches: 46,
      pages: 0,
      counts: 120,
      total: 86,
    });
    expect(lines[1]?.compared.pages).toBe(3269);
    expect(lines[1]?.notCompared.join()).toContain('LazyFree');
  });

  it('may be zipped, piped, or lie anywhere in a directory', () => {
    const tree = join(folder, 'tree');
    cpSync(join(ROOT, RECORDING), join(tree, 'a/recording'), { recursive: true });
    for (const file of ['syscalls.strace', 'smaps.end', 'maps.start']) {
      const path = join(tree, 'a/recording', file);
      writeFileSync(`${path}.gz`, gzipSync(readFileSync(path)));
      rmSync(path);
    }
    const ops = readFileSync(join(ROOT, OPS));
    mkdirSync(join(tree, 'b'));
    writeFileSync(join(tree, 'b/10.ops.gz'), gzipSync(ops));
    writeFileSync(join(tree, 'b/2.ops'), ops);
    writeFileSync(join(tree, 'b/notes.txt'), 'nothing\n');
    const { status, stdout, stderr } = faultline(['check', '--json', tree, '-'], { stdin: gzipSync(ops) });
    const lines = jsonLines<Line>(stdout);
    expect(lines.map(({ input, ok }) => [input, ok])).toEqual([
      [`${tree}/a/recording`, true],
      [`${tree}/b/2.ops`, true],
      [`${tree}/b/10.ops.gz`, true],
      ['-', true],
    ]);
    expect(lines.map(({ compared }) => compared.total)).toEqual([86, 77, 77, 77]);
    expect(stderr).toBe(`${tree}: 1 recording, 2 ops files, 1 other file passed over\n`);
    expect(status).toBe(0);
  });
});

describe('inputs without anything to compare', () => {
  it('are played and named', () => {
    const strace = `${RECORDING}/syscalls.strace`;
    const inputs = [
      strace,
      `${RECORDING}/maps.end`,
      `${RECORDING}/faults.perf.txt`,
      'workload:slide,pages=4',
    ];
    const { status, stdout } = faultline(['check', ...inputs]);
    expect(stdout).toContain(
      'nothing to compare: a bare strace does not say what was mapped at first, so no answer can be held against it',
    );
    expect(stdout).toContain('nothing to compare: a maps text is one view: nothing leads to it');
    expect(stdout).toContain('nothing to compare: page faults alone do not say what is mapped');
    expect(stdout).toContain(
      'nothing to compare: a workload is a program of ours: no kernel has answered it',
    );
    expect(stdout).toContain('0 inputs agree with the kernel, 4 have nothing to compare');
    expect(status).toBe(0);
  });

  it('say why: a recording of a running process does not know its past', () => {
    const path = join(folder, 'web.bpftrace');
    const lines = [
      '# faultline-bpftrace 1 pid 7',
      'snapshot start 100 7',
      '55c19c028000-55c19c029000 rw-p 00001000 fe:00 1097897                    /tmp/example',
      'snapshot done 110 7',
      'fault 200 7 7 user 0x55c19c028010 0x55c19c028317 0x6',
      'fault 201 7 7 user 0x7f1111111000 0x55c19c028317 0x6',
      'fault 202 7 7 user 0x7f1111112000 0x55c19c028317 0x4',
    ];
    writeFileSync(path, `${lines.join('\n')}\n`);
    const hole = 'touches of memory that no recorded call maps: ';
    const check = faultline(['check', path]);
    expect(check.stdout).toContain('nothing to compare: it was recorded of a running process: ');
    expect(check.stdout).toMatch(new RegExp(`${hole}.* \\(2 times, first at ${path}:6\\)`));
    expect(check.status).toBe(0);
    const run = faultline(['run', path]);
    expect(run.stderr).toContain(hole);
    expect(run.stderr).toContain('the start snapshot was taken of a running process');
  });
});

describe('a tampered copy', () => {
  it('of a recording is rejected at the line that was changed', () => {
    const copies = [
      tampered('perms', 'maps.end', /^7f807aa08000/, (text) => text.replace('rw-p', 'r--p')),
      tampered('range', 'maps.end', /\[stack\]/, (text) => text.replace('7ffca56da000', '7ffca56db000')),
      tampered('inode', 'maps.end', /7f807aa13000-/, (text) => text.replace('338944', '338945')),
      tampered('offset', 'maps.end', /7f807aa13000-/, (text) => text.replace('00001000', '00002000')),
      tampered('errno', 'syscalls.strace', /mprotect\(0x561fab412000/, (text) =>
        text.replace('= 0 ', '= -1 ENOMEM (Cannot allocate memory) '),
      ),
      tampered('result', 'syscalls.strace', /munmap\(0x7f807a9ff000/, (text) =>
        text.replace('= 0 ', '= -1 EINVAL (Invalid argument) '),
      ),
    ];
    const { status, stdout } = faultline(['check', '--json', ...copies.map(({ input }) => input)]);
    const lines = jsonLines<Line>(stdout);
    expect(lines.map(({ input, first }) => [input, first?.file, first?.line])).toEqual(
      copies.map(({ input, file, line }) => [input, file, line]),
    );
    expect(lines.map(({ ok, differences }) => [ok, differences > 0])).toEqual(
      copies.map(() => [false, true]),
    );
    expect(lines[0]?.first).toMatchObject({
      op: null,
      what: 'permissions',
      kernel: expect.stringContaining(' r--p '),
    });
    expect(lines[4]?.first).toMatchObject({ kernel: '-1 ENOMEM', ours: '0' });
    expect(status).toBe(1);
  });

  it('is rejected for a flag in smaps', () => {
    const copy = join(folder, 'flag');
    cpSync(join(ROOT, RECORDING), copy, { recursive: true });
    const smaps = linesOf(`${RECORDING}/smaps.end`);
    const stack = smaps.findIndex((line) => line.endsWith('[stack]'));
    const line = smaps.findIndex((text, i) => i > stack && text.startsWith('VmFlags:')) + 1;
    writeFileSync(
      join(copy, 'smaps.end'),
      changed(`${RECORDING}/smaps.end`, line, (text) => text.replace(' ac', ' dd ac')),
    );
    const { status, stdout } = faultline(['check', '--json', copy]);
    const [found] = jsonLines<Line>(stdout);
    expect(found).toMatchObject({ ok: false, differences: 1 });
    expect(found?.first).toMatchObject({ file: `${copy}/smaps.end`, line, ours: 'rd wr mr mw me gd ac' });
    expect(status).toBe(1);
  });

  it('of an ops file is rejected at the line that was changed', () => {
    const copies = [
      tamperedOps('vma.ops', 38, (text) => text.replace('rw-p', 'r--p')),
      tamperedOps('flag.ops', 37, (text) => text.replace(' hg', '')),
      tamperedOps('errno.ops', 53, (text) =>
        text.replace('EFAULT (Bad address)', 'EINVAL (Invalid argument)'),
      ),
      tamperedOps('signal.ops', 17, (text) => text.replace('SEGV_ACCERR', 'SEGV_MAPERR')),
      tamperedOps('value.ops', 7, (text) => text.replace('= 0', '= -1 ENOMEM (Cannot allocate memory)')),
      tamperedOps(
        'gone.ops',
        39,
        () => 'vma 2000006e4000-2000006ed000 rw-p 00000000 flags=rd wr mr mw me ac',
      ),
    ];
    const { status, stdout } = faultline(['check', '--json', ...copies.map(({ input }) => input)]);
    const lines = jsonLines<Line>(stdout);
    expect(lines.map(({ first }) => [first?.file, first?.line])).toEqual(
      copies.map(({ file, line }) => [file, line]),
    );
    expect(lines[2]?.first?.what).toContain('mremap');
    expect(status).toBe(1);
  });

  it('is shown to people with both answers, and no more differences than asked for', () => {
    const { input, file } = tamperedOps('many.ops', 38, (text) => text.replace('rw-p', 'r--p'));
    const text = readFileSync(input, 'utf8').replaceAll('child 0 pgtables_kb', 'child 0 pgtables_kb');
    writeFileSync(input, text.replaceAll('EFAULT (Bad address)', 'EINVAL (Invalid argument)'));
    const { status, stdout } = faultline(['check', '--max-differences=1', OPS, input]);
    expect(stdout).toContain(
      `    ${file}:38 (op 25): vma line of process 1\n      kernel  200000600000-2000006e4000 r--p `,
    );
    expect(stdout).toContain('      ours    200000600000-2000006e4000 rw-p ');
    expect(stdout).toContain('    and 1 more difference\n');
    expect(stdout).toContain('1 input agrees with the kernel, 1 differs\n');
    expect(status).toBe(1);
  });
});

describe('switches', () => {
  it('change what is held against the kernel', () => {
    const { status, stdout } = faultline(['check', '--json', '--set', 'mremapManyVmas=off', OPS]);
    expect(jsonLines<Line>(stdout)[0]?.ok).toBe(false);
    expect(status).toBe(1);
  });
});
