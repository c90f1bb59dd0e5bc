/**
 * What record.bt prints: the example of docs/bpftrace-format.md, and the ways in which a file can be bad.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../base/assert.ts';
import { bpftraceItems } from './bpftrace.ts';
import { filesInMemory } from './input.ts';
import type { ReplayItem } from './item.ts';

const PAGE = readFileSync(fileURLToPath(new URL('../../docs/bpftrace-format.md', import.meta.url)), 'utf8');
/** The page cuts the stat line. */
const EXAMPLE = (/```\n(# faultline-bpftrace 1[^`]*)```/.exec(PAGE)?.[1] ?? '').replace(
  ' ...\n',
  ` ${Array.from({ length: 30 }, () => '7').join(' ')}\n`,
);

const itemsOf = (text: string): readonly ReplayItem[] => [...bpftraceItems(filesInMemory('x', { '': text }))];
const sequence = (text: string): string =>
  itemsOf(text)
    .flatMap((item) =>
      item.kind === 'op'
        ? [`${item.op.call} ${item.task}${item.recorded.kind === 'errno' ? ` ${item.recorded.errno}` : ''}`]
        : [],
    )
    .join(', ');
const HEAD =
  '# faultline-bpftrace 1 pid 7\nsnapshot start 1000 7\n00400000-00401000 rw-p 00000000 00:00 0 \nsnapshot done 1001 7\n';

describe('the example of the page', () => {
  it('is read from start to end', () => {
    const items = itemsOf(EXAMPLE);
    expect(items[0]).toMatchObject({
      kind: 'start',
      task: 26800,
      program: 'example',
      state: { stat: { pid: 26800 }, limits: null },
    });
    expect(items.find((item) => item.kind === 'end')).toMatchObject({
      task: 26800,
      isMain: true,
      afterExec: false,
      maps: [{ name: '/tmp/example' }],
    });
    expect(sequence(EXAMPLE)).toBe(
      'mmap 26800, touch 26800, mprotect 26800, mremap 26800, brk 26800, mmap 26800, mmap 26800 EBADF, munlockall 26800, clone 26800, touch 26838, exit 26838, clone 26800, touch 26839, exit 26839',
    );
  });

  it('names mapped files by their full path where a snapshot shows it', () => {
    const text = `${HEAD}call 2000 2001 7 7 mmap 0x0 0x1000 0x1 0x2 3 0x0 = 140223328747520 file fe:00 12 b c\ncall 2002 2003 7 7 mmap 0x0 0x1000 0x1 0x1 4 0x0 = 140223328743424 file 00:01 9 memfd:m\nsnapshot end 3000 7\n7f0000000000-7f0000001000 r--p 00000000 fe:00 12                       /a/b c\nsnapshot done 3001 7\n`;
    expect(itemsOf(text).flatMap((item) => (item.kind === 'op' ? [item.chosen.fdPath] : []))).toEqual([
      '/a/b c',
      '/memfd:m (deleted)',
    ]);
  });
});

describe('order', () => {
  it('is by time, whatever the order of the lines', () => {
    const text = `${HEAD}fault 2500 7 7 user 0x400000 0x1 0x6\ncall 2000 2400 7 7 munmap 0x1000 0x1000 = 0\nfault 1900 7 7 user 0x400000 0x1 0x4\n`;
    expect(sequence(text)).toBe('touch 7, munmap 7, touch 7');
  });

  it('leaves out what the start snapshot already shows, and what is later than the end', () => {
    const text = `${HEAD}call 900 950 7 7 brk 0x0 = 4096\ncall 990 1010 7 7 brk 0x0 = 8192\ncall 3001 3002 7 7 brk 0x0 = 4096\nsnapshot end 3000 7\nsnapshot done 3001 7\n`;
    expect(itemsOf(text).flatMap((item) => (item.kind === 'op' ? [item.recorded] : []))).toEqual([
      { kind: 'value', value: 8192 },
    ]);
  });

  it('leaves out children made before the start', () => {
    expect(
      sequence(`${HEAD}fork 900 7 7 8 0x11\nfork 2000 8 8 9 0x10100\nfault 2001 8 9 user 0x400000 0x1 0x6\n`),
    ).toBe('');
  });
});

describe('descriptors and programs', () => {
  it('closes a descriptor that shows another file than before', () => {
    const map = (time: number, inode: number): string =>
      `call ${time} ${time} 7 7 mmap 0x0 0x1000 0x1 0x2 3 0x0 = 140223328747520 file fe:00 ${inode} f${inode}\n`;
    expect(sequence(HEAD + map(2000, 1) + map(2001, 1) + map(2002, 2))).toBe(
      'mmap 7, mmap 7, close 7, mmap 7',
    );
  });

  it('takes the faults of loading a program out, and follows it no further', () => {
    const text = `${HEAD}fork 2000 7 7 8 0x11\nfault 2001 8 8 user 0x400000 0x1 0x6\nfault 2002 8 8 kernel 0x500000 0x1 0x2\nexec 2003 8 8 /bin/a b\nfault 2004 8 8 user 0x600000 0x1 0x4\n`;
    expect(sequence(text)).toBe('clone 7, touch 8, execve 8');
  });

  it('counts holes', () => {
    expect(
      itemsOf(`${HEAD}Lost 12 events\n`).find(
        (item) => item.kind === 'warning' && item.what === 'events-lost',
      ),
    ).toMatchObject({ count: 1, line: 5 });
  });
});

describe('a bad line is told where and what would be right', () => {
  const rows: readonly (readonly [name: string, text: string, says: string])[] = [
    ['no header', 'hello\n', '1:1: there is no line that names the format | # faultline-bpftrace 1 pid PID'],
    [
      'another version',
      '# faultline-bpftrace 2 pid 7\n',
      '1:22: this is version 2 of the format | version 1',
    ],
    [
      'unknown word',
      `${HEAD}jump 1\n`,
      '5:1: found "jump 1" | call, fault, fork, exec, exit, snapshot or Lost',
    ],
    [
      'unknown call',
      `${HEAD}call 2000 2001 7 7 flurb 0x1 = 0\n`,
      '5:20: flurb with 1 arguments is not known | a call of docs/bpftrace-format.md',
    ],
    [
      'arguments',
      `${HEAD}call 2000 2001 7 7 munmap 0x1 = 0\n`,
      '5:20: munmap with 1 arguments is not known | a call of docs/bpftrace-format.md',
    ],
    [
      'times',
      `${HEAD}call 2001 2000 7 7 munmap 0x1 0x1 = 0\n`,
      '5:6: the call returns before its entry | ENTRY, then RETURN',
    ],
    [
      'no end of a snapshot',
      '# faultline-bpftrace 1 pid 7\nsnapshot start 1000 7\n',
      '2:22: the file ends inside a snapshot | a line "snapshot done"',
    ],
    [
      'an error',
      '# faultline-bpftrace 1 pid 7\nerror: give the number of a process\n',
      '2:1: the recorder said: give the number of a process | a recording of record.bt PID',
    ],
  ];
  for (const [name, text, says] of rows) {
    it(name, () => {
      let told = 'accepted';
      try {
        itemsOf(text);
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
        told = `${error.place?.line}:${error.place?.column}: ${error.message} | ${error.wanted}`;
      }
      expect(told).toBe(says);
    });
  }
});
