import { describe, expect, it } from 'vitest';
import { UsageError } from '../base/assert.ts';
import { filesInMemory } from './input.ts';
import type { ReplayItem } from './item.ts';
import { opsItems } from './ops.ts';
import { CHILD, SELF } from './opsSnapshot.ts';

const HEADER = '# opfuzz format 1 seed 1 ops 200 window 0x200000000000-0x200000800000 mode 1';
const itemsOf = (...lines: readonly string[]): readonly ReplayItem[] => [
  ...opsItems(filesInMemory('1.ops', { '': [HEADER, ...lines].join('\n') })),
];

function complaint(...lines: readonly string[]): string {
  try {
    itemsOf(...lines);
  } catch (error) {
    if (error instanceof UsageError)
      return `${error.place?.line}:${error.place?.column}: ${error.message} | ${error.wanted}`;
    throw error;
  }
  return 'accepted';
}

describe('the header', () => {
  it('gives the window', () => {
    expect(itemsOf()[0]).toMatchObject({
      kind: 'start',
      task: SELF,
      format: 'opfuzz',
      state: { window: { start: 0x200000000000, end: 0x200000800000 } },
    });
  });
});

describe('operations', () => {
  const rows: readonly (readonly [line: string, record: object])[] = [
    [
      '3 mmap(0x20000063f000, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x20000063f000 <flt 0>',
      {
        number: 3,
        faults: 0,
        task: SELF,
        op: { call: 'mmap', prot: 3, flags: 0x22, fd: -1 },
        chosen: { addr: 0x20000063f000 },
        recorded: { kind: 'value', value: 0x20000063f000 },
      },
    ],
    [
      '25 mremap(0x200000000000, 36864, 49152, 0) = -1 ENOMEM (Cannot allocate memory) <flt 0>',
      { op: { call: 'mremap' }, recorded: { kind: 'errno', errno: 'ENOMEM' }, chosen: {} },
    ],
    [
      '33 mremap(0x200000000000, 4096, 4096, MREMAP_MAYMOVE|MREMAP_DONTUNMAP, NULL) = 0x7ffff7bd7000 <flt 0>',
      { op: { call: 'mremap', newAddr: 0 }, chosen: { addr: 0x7ffff7bd7000 } },
    ],
    [
      '1 touch_write(0x200000025000, 872448) = 0 <flt 213>',
      {
        faults: 213,
        op: { call: 'touch', addr: 0x200000025000, len: 872448, access: 'write', stamp: 1, by: 'user' },
      },
    ],
    [
      '2 touch_read(0x200000025000, 4096) = -1 SIGSEGV {si_code=SEGV_MAPERR, si_addr=0x200000025000} <flt 1>',
      {
        op: { call: 'touch', access: 'read' },
        recorded: { kind: 'signal', signal: 'SIGSEGV', code: 'SEGV_MAPERR', addr: 0x200000025000 },
      },
    ],
    [
      '2 touch_read(0x200000025000, 4096) = -1 SIGBUS {si_code=BUS, si_addr=0x200000025000} <flt 1>',
      { recorded: { kind: 'signal', signal: 'SIGBUS', code: 'BUS', addr: 0x200000025000 } },
    ],
    [
      '11 child_touch_write(2, 0x200000600000, 24576) = 0',
      { task: CHILD + 2, faults: null, op: { call: 'touch', access: 'write', stamp: 11 + 0x100000 } },
    ],
    [
      '9 fork() = child 3',
      {
        op: { call: 'clone', flags: 17, child: CHILD + 3 },
        chosen: { handle: CHILD + 3 },
        recorded: { kind: 'none' },
      },
    ],
    ['29 child_exit(3)', { task: CHILD + 3, op: { call: 'exit_group' }, recorded: { kind: 'none' } }],
    ['30 nop()', { op: { call: 'nop' } }],
    [
      '31 prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, 0x200000237000, 4096, "b") = -1 EINVAL (Invalid argument) <flt 0>',
      { op: { call: 'set_vma_name', name: 'b' }, recorded: { kind: 'errno', errno: 'EINVAL' } },
    ],
    ['32 madvise(0x200000237000, 4096, MADV_GUARD_INSTALL) = 0 <flt 0 maj 0>', {}],
  ];
  for (const [line, record] of rows.slice(0, -1))
    it(line.slice(0, 80), () =>
      expect(itemsOf(line)[1]).toMatchObject({ kind: 'op', nr: 1, line: 2, ...record }),
    );

  it('may have two lines of one number', () => {
    const items = itemsOf(
      '14 munmap(0x200000000000, 4096) = 0 <flt 0>',
      '14 munmap(0x200000001000, 4096) = 0 <flt 0>',
    );
    expect(items.flatMap((item) => (item.kind === 'op' ? [[item.nr, item.number]] : []))).toEqual([
      [1, 14],
      [2, 14],
    ]);
  });
});

describe('a snapshot', () => {
  it('shows the window of every process', () => {
    const items = itemsOf(
      'snapshot 25',
      'self pgtables_kb=140',
      'vma 200000000000-200000600000 rw-s 00001000 /dev/zero (deleted) Rss=4096 Private_Dirty=4096 flags=rd wr sh',
      'pg 200000025000-2000000fa000 P--X---H v=23',
      'pg 200000100000-200000101000 -S---G--',
      'child 0 pgtables_kb=68',
      'end',
    );
    expect(items[1]).toEqual({
      kind: 'snapshot',
      number: 25,
      file: '1.ops',
      line: 2,
      processes: [
        {
          task: SELF,
          pageTablesKb: 140,
          line: 3,
          vmas: [
            {
              start: 0x200000000000,
              end: 0x200000600000,
              perms: 'rw-s',
              offset: 4096,
              name: '/dev/zero (deleted)',
              figures: new Map([
                ['Rss', 4096],
                ['Private_Dirty', 4096],
              ]),
              vmFlags: ['rd', 'wr', 'sh'],
              line: 4,
            },
          ],
          pages: [
            { start: 0x200000025000, end: 0x2000000fa000, flags: 'P--X---H', stamp: 23, line: 5 },
            { start: 0x200000100000, end: 0x200000101000, flags: '-S---G--', stamp: null, line: 6 },
          ],
        },
        { task: CHILD, pageTablesKb: 68, vmas: [], pages: [], line: 7 },
      ],
    });
  });
});

describe('a bad line is told where and what would be right', () => {
  const rows: readonly (readonly [name: string, lines: readonly string[], says: string])[] = [
    [
      'no number',
      ['munmap(0x1000, 4096) = 0'],
      '2:1: found "munmap(0x1000, 4096) = 0" | the number of an operation, or "snapshot"',
    ],
    [
      'unknown call',
      ['1 flurb(1) = 0'],
      '2:3: "flurb" is no operation of an ops file | mmap, munmap, mprotect, mremap, madvise, mlock, mlock2, munlock, prctl, touch_read, touch_write, fork, child_…, migrate_start, migrate_end or nop',
    ],
    [
      'constant',
      ['1 madvise(0x1000, 4096, MADV_NEEDED) = 0'],
      '2:25: "MADV_NEEDED" is no constant of madvise | a number or a constant by name',
    ],
    [
      'error name',
      ['1 munmap(0x1000, 4096) = -1 Oops'],
      '2:29: "Oops" is no error and no signal | a name such as ENOMEM, SIGSEGV or SIGBUS',
    ],
    ['rest', ['1 munmap(0x1000, 4096) = 0 <flt 0> x'], '2:36: found "x" | the end of the line'],
    [
      'cut off',
      ['1 munmap(0x1000, 40'],
      '2:20: the line ends inside the arguments | ")" and the result of munmap',
    ],
    [
      'vma without process',
      ['snapshot 0', 'vma 1000-2000 rw-p 00000000 flags=rd'],
      '3:1: there is no process yet | "self" or "child K" before the first vma',
    ],
    [
      'page flags',
      ['snapshot 0', 'self pgtables_kb=1', 'pg 1000-2000 PSFX'],
      '4:14: "PSFX" are no page flags | P S F X D G Z H or - in eight columns',
    ],
    [
      'open snapshot',
      ['snapshot 0', 'self pgtables_kb=1'],
      '3:19: the file ends inside a snapshot | a line "end"',
    ],
  ];
  for (const [name, lines, says] of rows) it(name, () => expect(complaint(...lines)).toBe(says));

  it('also a bad header, and files of opfuzz-uffd', () => {
    const first =
      (text: string): (() => unknown) =>
      () => [...opsItems(filesInMemory('x', { '': text }))];
    expect(first('hello')).toThrow('found "hello"');
    expect(first('')).toThrow('the file is empty');
    expect(first('# opfuzz-uffd format 1 seed 1')).toThrow(
      'files of opfuzz-uffd (userfaultfd) cannot be read yet',
    );
  });
});
