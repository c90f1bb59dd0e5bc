/**
 * Random operations with userfaultfd, swap and markers, answered by Linux 6.18, against the model: no difference; and every kind of change to such a
 * file is found where it was made.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filesInMemory, opsItems, recordingItems } from '../src/replay/index.ts';
import { type CheckReport, checkInput } from '../src/replay/play/check.ts';
import { openFile, openRecording } from './support/recordings.ts';

const HERE = 'test/recordings/opfuzz-uffd';
/** More of them lie beside a checkout where the project's shared data is. */
const MORE = '../shared/traces/opfuzz-uffd-examples';

const told = (report: CheckReport): string[] =>
  report.differences
    .slice(0, 3)
    .map(({ file, line, what, kernel, ours }) => `${file}:${line} ${what}: kernel ${kernel}, ours ${ours}`);

for (const folder of [HERE, MORE].filter((each) => existsSync(each)))
  describe(`${folder}: operations with userfaultfd give the kernel’s results, messages and snapshots`, () => {
    for (const name of readdirSync(folder).sort())
      it(`${name} has no difference`, () => {
        const files = openFile(join(folder, name));
        const report = checkInput(name, () => opsItems(files), { verify: 'every' });
        expect(told(report)).toEqual([]);
        expect(report.compared.results).toBeGreaterThan(100);
      });
  });

/** A file, the first line of it that matches, and what of it becomes what. */
type Change = readonly [what: string, file: string, pattern: RegExp, replacement: string];

const CHANGES: readonly Change[] = [
  ['a result', '11', /^(\d+ mremap.*) = 0x\w+ /, '$1 = 0x200000005000 '],
  ['an errno', '15', /^(\d+ .*) = -1 EINVAL/, '$1 = -1 ENOENT'],
  ['a field that was written', '12', /\{copy=4096\}/, '{copy=8192}'],
  ['a field that was not written', '6', /\{walk_end=0x\w+\}/, '{walk_end=untouched}'],
  ['what REGISTER offers', '11', /\{ioctls=0x13c\}/, '{ioctls=0x17c}'],
  ['what API offers', '11', /features=0x1ffff/, 'features=0x1fffe'],
  ['the number of a userfaultfd', '12', /= u1 /, '= u2 '],
  ['the flags of a message', '15', /PAGEFAULT flags=WRITE /, 'PAGEFAULT flags=0 '],
  ['the address of a message', '15', /(PAGEFAULT flags=\S+ addr=0x\w+)\w{3} /, '$1fff '],
  ['the thread of a message', '15', /ptid=w0/, 'ptid=w1'],
  ['the error after messages', '12', /\} EAGAIN$/, '}'],
  ['the range of an event', '11', /(\{UNMAP start=0x\w+ end=0x\w+)000\}/, '$1100}'],
  ['the context of a fork', '12', /\{FORK ufd=u2\}/, '{FORK ufd=u3}'],
  ['a worker that sleeps', '15', /= blocked 0$/, '= blocked 1'],
  ['a call that slept', '15', /= blocked 0$/, '= 0 <flt 1>'],
  [
    'the answer of a call that slept',
    '15',
    /^(\d+ join\(\d\)) = .*/,
    '$1 = -1 ENOMEM (Cannot allocate memory) <flt 0>',
  ],
  ['the faults of a call that slept', '17', /^(\d+ join\(\d\) = .*<flt )\d+/, '$177'],
  ['who went on', '15', /^(\d+) join\(0\)/, '$1 join(2)'],
  ['a fault count', '12', /^(\d+ touch_write.*)<flt \d+/, '$1<flt 99'],
  ['a signal', '11', /SIGSEGV \{si_code=SEGV_MAPERR/, 'SIGSEGV {si_code=SEGV_ACCERR'],
  ['the place of a vma', '6', /^vma 200000000000-2000000(\w)/, 'vma 200000000000-2000001$1'],
  ['a flag of a vma', '12', / um ac$/, ' ac'],
  ['a figure of smaps', '15', /Rss=\d+/, 'Rss=3'],
  ['the swap of a vma', '15', / Swap=\d+/, ' Swap=400'],
  ['the swap of the process', '15', /swap_kb=[1-9]\d*/, 'swap_kb=0'],
  ['the state of pages', '15', /P--X------ /, 'P--------- '],
  ['a marker', '6', /-S------Ww/, '-S------Wp'],
  ['a bit of write-protection', '6', /P--X----W-/, 'P--X------'],
  ['a stamp', '15', / v=[1-9]\d*$/, ' v=1'],
  ['a category', '12', /^(cat \S+ WRITTEN\|PRESENT)$/, '$1|FILE'],
  ['the range of a category', '12', /^cat (\w+)-(\w+)000 WRITTEN$/, 'cat $1-$2100 WRITTEN'],
  ['unread faults', '15', /pending=0 total=[1-9]/, 'pending=1 total=1'],
  ['sleeping faults', '15', /total=[1-9]/, 'total=0'],
  ['the features of a context', '12', /API=aa:80/, 'API=aa:c0'],
  ['the size of the memfd', '15', /^memfd m0 size=65536/, 'memfd m0 size=61440'],
  ['the blocks of the memfd', '12', /blocks_kb=[1-9]\d*/, 'blocks_kb=1'],
  ['what the memfd holds', '12', / data=(\w+)-/, ' data=$1000-'],
  ['who sleeps', '15', /^blocked 0 op (\d+)$/, 'blocked 1 op $1'],
  ['where somebody sleeps', '15', /^blocked 0 op \d+$/, 'blocked 0 op 1'],
];

describe('a changed copy is rejected at the changed line', () => {
  for (const [what, file, pattern, replacement] of CHANGES)
    it(what, () => {
      const lines = [...openFile(join(HERE, `${file}.ops.gz`)).lines('')];
      const at = lines.findIndex((line, i) => i > 0 && pattern.test(line));
      expect(at).toBeGreaterThan(0);
      lines[at] = (lines[at] as string).replace(pattern, replacement);
      const files = filesInMemory('changed', { '': lines.join('\n') });
      const report = checkInput('changed', () => opsItems(files));
      const [first] = report.differences;
      expect(first?.line).toBe(at + 1);
    });

  it('a line that was taken away', () => {
    for (const pattern of [/^\d+ join\(/, /^blocked 0/, /^uffd u0/, /^cat /, /^pg /]) {
      const lines = [...openFile(join(HERE, '15.ops.gz')).lines('')];
      const at = lines.findIndex((line) => pattern.test(line));
      lines.splice(at, 1);
      const files = filesInMemory('changed', { '': lines.join('\n') });
      expect(checkInput('changed', () => opsItems(files)).ok).toBe(false);
    }
  });
});

/** A recorded program whose threads sleep in userfaultfd and wake each other (recordings/userfaultfd.c). */
const PROGRAM = 'test/recordings/userfaultfd';
const CALLS = 'syscalls.strace';

/** Checks the recording with one line of its calls changed. */
function changedProgram(pattern: RegExp, replacement: string): CheckReport {
  const files = openRecording(PROGRAM);
  const lines = [...files.lines(CALLS)];
  const at = lines.findIndex((line) => pattern.test(line));
  expect(at).toBeGreaterThan(0);
  lines[at] = (lines[at] as string).replace(pattern, replacement);
  const changed = { ...files, lines: (name: string) => (name === CALLS ? lines : files.lines(name)) };
  return checkInput(PROGRAM, (placements) => recordingItems(changed, { placements }));
}

describe('of a recorded program', () => {
  it('a thread that nobody wakes, though it goes on, differs', () => {
    const page = /(UFFDIO_ZEROPAGE, \{range=\{start=0x7f71bfd2a000, .*, mode=)0,/;
    const { differences } = changedProgram(page, '$1UFFDIO_ZEROPAGE_MODE_DONTWAKE,');
    expect(differences.map(({ what, kernel, ours }) => [what, kernel, ours])).toContainEqual([
      'write access at 0x7f71bfd2a000',
      'served',
      'sleeps in userfaultfd',
    ]);
  });
  it('misses that are told of in another way differ', () => {
    const { differences } = changedProgram(/features=UFFD_FEATURE_SIGBUS =>/, 'features=0 =>');
    expect(differences.map(({ what }) => what)).toContainEqual(expect.stringMatching(/^signal of thread/));
  });
  it('an ioctl whose structure was not printed is told, and not followed', () => {
    const { warnings } = changedProgram(/(UFFDIO_WAKE, )\{[^}]*\}/, '$10x7ffe00001000');
    expect(warnings.map(({ text }) => text)).toContain(
      'ioctl: strace did not print the structure of UFFDIO_WAKE',
    );
  });
});
