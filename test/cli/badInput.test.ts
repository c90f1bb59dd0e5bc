/**
 * Bad input: each kind gives one clear error with its place and what would be right, and does not keep other inputs from being checked.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { FIXTURES, faultline, jsonLines, ROOT } from './program.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'faultline-bad-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const ops = readFileSync(join(ROOT, FIXTURES, 'small.ops'), 'utf8');
const zipped = gzipSync(ops);

/** Text that does not compress: a small generator is enough. */
function noise(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let state = 12345;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

const withByte = (bytes: Buffer, at: number): Buffer => {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 0x55;
  return copy;
};

/** A copy of the recording with one file changed. */
function recordingWith(name: string, file: string, change: (text: string) => string): void {
  const path = join(folder, name);
  cpSync(join(ROOT, FIXTURES, 'true'), path, { recursive: true });
  writeFileSync(join(path, file), change(readFileSync(join(path, file), 'utf8')));
}

interface Kind {
  /** Name of the input in the folder. */
  readonly name: string;
  readonly make: () => void;
  /** What is printed, `DIR` being the folder. */
  readonly problem: string;
  readonly wanted: string;
}

const file = (name: string, content: string | Buffer) => (): void =>
  writeFileSync(join(folder, name), content);
const FORMATS =
  'a recording directory, or a file of strace, perf script (page faults), /proc/PID/maps or smaps, ops or our bpftrace script, plain or gzip';

const KINDS: readonly Kind[] = [
  {
    name: 'missing',
    make: () => {},
    problem: 'DIR/missing: this cannot be read: there is no such file or directory',
    wanted:
      'a recording directory, a file of strace, perf script, /proc/PID/maps, ops or bpftrace, - or workload:NAME',
  },
  {
    name: 'directory',
    make: () => mkdirSync(join(folder, 'directory')),
    problem: 'DIR/directory: this directory has no syscalls.strace',
    wanted:
      'a recording directory with syscalls.strace (or syscalls.strace.gz) and maps.start, as faultline record makes one',
  },
  { name: 'empty', make: file('empty', ''), problem: 'DIR/empty:1:1: the file is empty', wanted: FORMATS },
  {
    name: 'letter.txt',
    make: file('letter.txt', 'Dear kernel,\nplease merge.\n'),
    problem: 'DIR/letter.txt:1:1: this is no format that can be read: text that begins with "Dear kernel,"',
    wanted: FORMATS,
  },
  {
    name: 'rubbish',
    make: file('rubbish', noise(5000)),
    problem: 'DIR/rubbish:1:1: this is no format that can be read: binary data that begins with the bytes ',
    wanted: FORMATS,
  },
  {
    name: 'perf.data',
    make: file('perf.data', Buffer.concat([Buffer.from('PERFILE2'), noise(100)])),
    problem: 'DIR/perf.data:1:1: this is no format that can be read: the data file of perf',
    wanted: 'its text: perf script -i FILE',
  },
  {
    name: 'cut.ops.gz',
    make: file('cut.ops.gz', zipped.subarray(0, 1000)),
    problem:
      'DIR/cut.ops.gz:LINE:COLUMN: the gzip file is damaged: it ends after 1000 bytes, in the middle of the stream',
    wanted: 'a file that zcat reads without complaint',
  },
  {
    name: 'flipped.ops.gz',
    make: file('flipped.ops.gz', withByte(zipped, zipped.length - 6)),
    problem: 'DIR/flipped.ops.gz: the gzip file is damaged: the checksum at its end is not that of the text',
    wanted: 'a file that zcat reads without complaint',
  },
  {
    name: 'header.ops',
    make: file('header.ops', ops.replace('window', 'widow')),
    problem: 'DIR/header.ops:1:',
    wanted: '',
  },
  {
    name: 'call.ops',
    make: file('call.ops', ops.replace('7 madvise(', '7 advise(')),
    problem: 'DIR/call.ops:13:3: "advise" is no operation of an ops file',
    wanted: 'mmap, munmap, mprotect, ',
  },
  {
    name: 'half.ops',
    make: file('half.ops', ops.slice(0, ops.indexOf('\nend', 500))),
    problem: 'DIR/half.ops:50:',
    wanted: 'a line "end"',
  },
  {
    name: 'summary.strace',
    make: file('summary.strace', '% time     seconds  usecs/call     calls    errors syscall\n------\n'),
    problem: 'DIR/summary.strace:1:1: this is a summary of strace -c, which lists no calls',
    wanted: 'strace without -c',
  },
  {
    name: 'calls',
    make: () =>
      recordingWith('calls', 'syscalls.strace', (text) =>
        text.replace('munmap(0x7f807a9ff000', 'munmap 0x7f807a9ff000'),
      ),
    problem: 'DIR/calls/syscalls.strace:26:',
    wanted: '',
  },
  {
    name: 'maps',
    make: () => recordingWith('maps', 'maps.end', (text) => text.replace('7f807aa08000-', '7f807aa08000 ')),
    problem: 'DIR/maps/maps.end:13:',
    wanted: '',
  },
  {
    name: 'meta',
    make: () => recordingWith('meta', 'meta.json', (text) => text.slice(0, 200)),
    problem: 'DIR/meta/meta.json:',
    wanted: '',
  },
  {
    name: 'uffd.ops',
    make: file('uffd.ops', '# opfuzz-uffd format 1 seed 1 ops 1 window 0x1000-0x2000 mode 0\n'),
    problem: 'DIR/uffd.ops:1:64: the line ends here',
    wanted: '" profile " and a number',
  },
  {
    name: 'poison.ops',
    make: file('poison.ops', ops.replace('MADV_DONTFORK', 'MADV_HWPOISON')),
    problem:
      'DIR/poison.ops:13: MADV_HWPOISON (op 8 madvise(addr=0x200000170000, len=53248, advice=100)) is not modelled; see docs/scope.md#hwpoison',
    wanted: '',
  },
];

interface Line {
  readonly input: string;
  readonly ok: boolean;
  readonly error?: { readonly message: string; readonly file?: string; readonly line?: number };
}

it('each kind is named with its place and what would be right, and the others are checked', () => {
  for (const { make } of KINDS) make();
  const inputs = KINDS.map(({ name }) => join(folder, name));
  const good = `${FIXTURES}/small.ops`;
  const { status, stdout } = faultline(['check', ...inputs, good]);
  // How far the text of a cut file goes is the library's affair.
  const shown = stdout.replaceAll(folder, 'DIR').replace(/(cut\.ops\.gz):\d+:\d+:/, '$1:LINE:COLUMN:');
  for (const { name, problem, wanted } of KINDS) {
    const row = new RegExp(`^DIR/${name} .* error\\n    (.*)\\n(?:    wanted: (.*)\\n)?`, 'm').exec(shown);
    expect([name, row?.[1]?.slice(0, problem.length)]).toEqual([name, problem]);
    expect([name, row?.[2]?.slice(0, wanted.length) ?? '']).toEqual([name, wanted]);
  }
  expect(shown).toMatch(/^test\/fixtures\/cli\/small\.ops .* 0$/m);
  expect(shown).toContain(`1 input agrees with the kernel, ${KINDS.length} could not be checked\n`);
  expect(status).toBe(2);
});

it('each kind has a line in JSON with the error and its place', () => {
  const inputs = KINDS.map(({ name }) => join(folder, name));
  const { status, stdout } = faultline(['check', '--json', ...inputs]);
  const lines = jsonLines<Line>(stdout);
  expect(lines.map(({ input, ok }) => [input, ok])).toEqual(inputs.map((input) => [input, false]));
  for (const { error } of lines) expect(error?.message).toMatch(/\S/);
  expect(lines[9]?.error).toMatchObject({
    kind: 'usage',
    file: join(folder, 'call.ops'),
    line: 13,
    column: 3,
  });
  expect(status).toBe(2);
});

it('what is not modelled is told with its place, too', () => {
  const strace = join(folder, 'remap.strace');
  recordingWith('remap', 'syscalls.strace', (text) =>
    text.replace(/^(\S+ \S+) munmap\(.*\)( += 0)/m, '$1 remap_file_pages(0x7f807a9ff000, 4096, 0, 0, 0)$2'),
  );
  writeFileSync(strace, 'execve("/x", ["x"], []) = 0\nremap_file_pages(0x7f00, 4096, 0, 0, 0) = 0\n');
  const { stdout } = faultline([
    'check',
    '--json',
    strace,
    join(folder, 'remap'),
    join(folder, 'poison.ops'),
  ]);
  expect(jsonLines<Line>(stdout).map(({ error }) => error)).toMatchObject([
    { kind: 'unmodelled', file: strace, line: 2 },
    { kind: 'unmodelled', file: join(folder, 'remap/syscalls.strace') },
    { kind: 'unmodelled', file: join(folder, 'poison.ops'), line: 13 },
  ]);
  const run = faultline(['run', '--json', join(folder, 'poison.ops')]);
  expect(JSON.parse(run.stdout)).toMatchObject({
    input: join(folder, 'poison.ops'),
    error: { kind: 'unmodelled', file: join(folder, 'poison.ops'), line: 13 },
  });
  expect(run.stderr).toContain('poison.ops:13: MADV_HWPOISON (op 8 ');
  expect(run.status).toBe(2);
});

it('other commands end with the same message', () => {
  const { status, stdout, stderr } = faultline(['run', join(folder, 'call.ops')]);
  expect(stderr.replaceAll(folder, 'DIR')).toMatch(
    /^DIR\/call\.ops:13:3: "advise" is no operation of an ops file\nwanted: mmap, /,
  );
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
});
