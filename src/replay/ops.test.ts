// Long because: every form of a line has a row here.
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
        op: { call: 'clone', flags: 0x411, child: CHILD + 3 },
        chosen: { handle: CHILD + 3 },
        recorded: { kind: 'value', value: CHILD + 3 },
      },
    ],
    ['29 child_exit(3)', { task: CHILD + 3, op: { call: 'exit_group' }, recorded: { kind: 'none' } }],
    ['30 nop()', { op: { call: 'nop' } }],
    [
      '30 vrange(0x200000000000, 65536, VRANGE_VOLATILE, VRANGE_PARTIAL) = 0 <flt 0>',
      { op: { call: 'vrange', addr: 0x200000000000, len: 65536, mode: 'volatile', behavior: 'partial' } },
    ],
    ['30 vrange(0x200000000000, 4096, 1, 0)', { op: { mode: 'novolatile', behavior: 'full' } }],
    ['30 vrange(0x200000000000, 4096, 7, 2)', { op: { mode: 7, behavior: 2 } }],
    [
      '31 prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, 0x200000237000, 4096, "b") = -1 EINVAL (Invalid argument) <flt 0>',
      { op: { call: 'set_vma_name', name: 'b' }, recorded: { kind: 'errno', errno: 'EINVAL' } },
    ],
    [
      '32 @1 mmap(0x200000000000, 8192, PROT_READ, MAP_SHARED|MAP_FIXED, m2, 4096) = 0x200000000000 <flt 0>',
      { task: CHILD + 1, op: { call: 'mmap', fd: 902, offset: 4096 }, faults: 0 },
    ],
    [
      '33 @4 touch_write(0x200000000000, 4096) = 0 <flt 1>',
      { task: CHILD + 4, op: { stamp: 33 + 0x100000 } },
    ],
    ['34 @0 fork() = child 5', { task: CHILD, op: { call: 'clone', child: CHILD + 5 } }],
    ['35 munmap(placed, 4096) = 0 <flt 0>', { placed: true, op: { call: 'munmap', addr: 0 } }],
    [
      '36 mincore(0x200000000000, 8192) = 0 vec=10 <flt 0>',
      { op: { call: 'mincore' }, recorded: { kind: 'value', value: 0, resident: '10' }, faults: 0 },
    ],
    [
      '37 process_vm_writev(child 2, 0x200000000000, 8192) = 4096 <flt 1>',
      {
        op: {
          call: 'process_vm',
          target: CHILD + 2,
          ranges: [{ addr: 0x200000000000, len: 8192 }],
          max: 8192,
          write: true,
          stamp: 37 + 0x400000,
        },
        recorded: { kind: 'value', value: 4096 },
      },
    ],
    [
      '38 process_madvise(self, 0x200000000000, 4096, MADV_COLD) = 4096',
      { op: { call: 'process_madvise', target: 'self', advice: 20, flags: 0 } },
    ],
    [
      '39 memfd_create(m0, MFD_CLOEXEC|MFD_ALLOW_SEALING) = 0 <flt 0>',
      {
        op: { call: 'memfd_create', name: 'm0', flags: 3 },
        chosen: { handle: 900 },
        recorded: { kind: 'value', value: 900 },
      },
    ],
    [
      '40 open(f1, 3) = 0',
      {
        op: { call: 'open', size: 12288, inMemory: true },
        chosen: { handle: 905 },
        recorded: { value: 905 },
      },
    ],
    ['41 ftruncate(f1, 100) = 0', { op: { call: 'ftruncate', fd: 905, size: 100 } }],
    [
      '42 fallocate(m0, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 0, 4096) = -1 EPERM (Operation not permitted)',
      { op: { call: 'fallocate', fd: 900, mode: 3 }, recorded: { kind: 'errno', errno: 'EPERM' } },
    ],
    [
      '43 file_write(m0, 4096, 8192) = 8192',
      { op: { call: 'write_file', fd: 900, offset: 4096, len: 8192, stamp: 43 + 0x800000 } },
    ],
    ['44 add_seals(m0, F_SEAL_GROW|F_SEAL_SEAL) = 0', { op: { call: 'add_seals', fd: 900, seals: 5 } }],
    [
      '45 shmget(s3, 5000) = 0',
      { op: { call: 'shmget', key: 0x46000003, size: 5000 }, chosen: { handle: 0 }, recorded: { value: 0 } },
    ],
    ['46 shmat(s3, NULL, SHM_RDONLY) = -1 EINVAL (Invalid argument)', { op: { call: 'shmat', id: -1 } }],
    ['47 shmdt(0x200000000000) = 0', { op: { call: 'shmdt', addr: 0x200000000000 } }],
    [
      '48 setrlimit(RLIMIT_AS, now+40960) = 0',
      { op: { call: 'setrlimit', resource: 9, soft: 40960, hard: null, aboveUse: true } },
    ],
    [
      '49 setrlimit(RLIMIT_STACK, 65536) = 0',
      { op: { call: 'setrlimit', resource: 3, soft: 65536, hard: null } },
    ],
    ['50 setuid(65534) = 0', { op: { call: 'set_uid', uid: 65534 } }],
    ['51 fill(7) = 0', { op: { call: 'fill_maps', room: 7 } }],
    ['52 overcommit(2) = 0', { op: { call: 'overcommit', mode: 2 } }],
    ['58 memory.max(1048576) = 0', { op: { call: 'set_memory_limit', bytes: 2 ** 20 } }],
    ['59 memory.max(max) = 0', { op: { call: 'set_memory_limit', bytes: Number.POSITIVE_INFINITY } }],
    ['60 memory.reclaim(4096) = 0', { op: { call: 'reclaim', bytes: 4096 } }],
    ['53 mlockall(MCL_CURRENT|MCL_FUTURE) = 0 <flt 12>', { op: { call: 'mlockall', flags: 3 } }],
    ['54 msync(0x200000000000, 4096, MS_ASYNC) = 0 <flt 0>', { op: { call: 'msync', flags: 1 } }],
    ['55 mseal(0x200000000000, 4096, 0) = 0 <flt 0>', { op: { call: 'mseal' } }],
    [
      '56 prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN|PR_MDWE_NO_INHERIT, 0, 0, 0) = 0',
      { op: { call: 'set_mdwe', flags: 3 } },
    ],
    [
      '57 prctl(PR_SET_THP_DISABLE, 1, PR_THP_DISABLE_EXCEPT_ADVISED, 0, 0) = 0',
      { op: { call: 'set_thp_disable', on: true, flags: 2 } },
    ],
    [
      '58 madvise(0x200000000000, 2097152, MADV_PT_RECLAIM) = -1 EINVAL (Invalid argument)',
      { op: { call: 'madvise', advice: 104 }, recorded: { errno: 'EINVAL' } },
    ],
    ['59 madvise(0x200000000000, 4096, MADV_PT_RECLAIM_MARK)', { op: { advice: 105 } }],
    ['60 madvise(0x200000000000, 4096, MADV_PT_RECLAIM_UNMARK)', { op: { advice: 106 } }],
    [
      '61 prctl(PR_SET_PT_RECLAIM, PR_PT_RECLAIM_ALWAYS, 0, 0, 0) = 0',
      { op: { call: 'prctl_pt_reclaim', mode: 2 } },
    ],
    ['62 prctl(PR_SET_PT_RECLAIM, 0, 0, 0, 0) = 0', { op: { call: 'prctl_pt_reclaim', mode: 0 } }],
    [
      '63 pt_scan(interval=50, size=64M) = 0',
      { op: { call: 'pt_scan_write', settings: 'interval=50 size=64M' } },
    ],
  ];
  for (const [line, record] of rows)
    it(line.slice(0, 80), () =>
      expect(itemsOf(line)[1]).toMatchObject({ kind: 'op', nr: 1, line: 2, ...record }),
    );

  it('may be a request without answers and views', () => {
    const items = itemsOf(
      'snapshot 0',
      '1 munmap(0x1000, 4096)',
      'snapshot 1',
      'snapshot 2',
      '2 nop()',
      'snapshot 3',
      'end of sequence',
    );
    expect(items.map(({ kind }) => kind)).toEqual(['start', 'op', 'op', 'summary']);
  });

  it('number segments and children as they come', () => {
    const items = itemsOf(
      '1 shmget(s0, 1)',
      '2 shmget(s0, 1)',
      '3 shmat(s0, NULL, 0)',
      '4 fork()',
      '5 fork()',
    );
    const ops = items.flatMap((item) => (item.kind === 'op' ? [item] : []));
    expect(ops.map(({ chosen }) => chosen.handle)).toEqual([0, 1, undefined, CHILD, CHILD + 1]);
    expect(ops[2]?.op).toMatchObject({ id: 1 });
  });

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

const EMPTY_CHILD = {
  task: CHILD,
  pageTablesKb: 68,
  swapKb: null,
  vmas: [],
  pages: [],
  categories: [],
  internals: null,
  line: 8,
};

describe('a snapshot', () => {
  it('shows the window of every process', () => {
    const items = itemsOf(
      'snapshot 25',
      'self pgtables_kb=140',
      'vma 200000000000-200000600000 rw-s 00001000 /dev/zero (deleted) Rss=4096 Private_Dirty=4096 flags=rd wr sh',
      'internal 200000000000-200000600000 pgoff=1 anon=2 root=1 parent=1 children=0 vmas=3 chain=2',
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
      uffd: null,
      processes: [
        {
          task: SELF,
          pageTablesKb: 140,
          swapKb: null,
          categories: [],
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
            { start: 0x200000025000, end: 0x2000000fa000, flags: 'P--X---H', stamp: 23, line: 6 },
            { start: 0x200000100000, end: 0x200000101000, flags: '-S---G--', stamp: null, line: 7 },
          ],
          internals: [
            {
              start: 0x200000000000,
              end: 0x200000600000,
              pgoff: 1,
              anonVma: 2,
              root: 1,
              parent: 1,
              children: 0,
              vmas: 3,
              chain: 2,
              line: 5,
            },
          ],
        },
        EMPTY_CHILD,
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
      '2:3: "flurb" is no operation of an ops file | mmap, munmap, mprotect, mremap, madvise, mlock, mlock2, munlock, mlockall, munlockall, mincore, msync, mseal, vrange, prctl, touch_read, touch_write, process_vm_readv, process_vm_writev, process_madvise, memfd_create, open, ftruncate, fallocate, file_write, add_seals, shmget, shmat, shmdt, setrlimit, setuid, fill, overcommit, memory.max, memory.reclaim, memory.size, pt_scan, swapon, fork, child_exit, child_touch_read, child_touch_write, userfaultfd, close, uffd_read, ioctl, migrate_start, migrate_end, nop',
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
    [
      'child',
      ['1 @x munmap(0x1000, 4096)'],
      '2:4: found "x munmap(0x1000, 4096)" | the number of the child that makes the call',
    ],
    ['file', ['1 ftruncate(m4, 0)'], '2:13: argument 1 of ftruncate is "m4" | m0 to m3 or f0 to f3'],
    ['file of another kind', ['1 open(m0, 1)'], '2:8: argument 1 of open is "m0" | f0, f1, f2 or f3'],
    ['segment', ['1 shmat(m0, NULL, 0)'], '2:9: argument 1 of shmat is "m0" | s0, s1, s2 or s3'],
    [
      'process',
      ['1 process_vm_readv(2, 0x1000, 4096)'],
      '2:20: argument 1 of process_vm_readv is "2" | self, or "child " and a number',
    ],
    ['file as an address', ['1 munmap(m0, 4096)'], '2:10: argument 1 of munmap is "m0" | a number'],
    ['placed elsewhere', ['1 munmap(0x1000, placed)'], '2:18: argument 2 of munmap is "placed" | a number'],
    ['too few', ['1 munmap(0x1000)'], '2:3: munmap has 1 arguments here | 2 arguments'],
    ['too many', ['1 mremap(1, 2, 3, 4, 5, 6)'], '2:3: mremap has 6 arguments here | 4 or 5 arguments'],
    [
      'limit',
      ['1 setrlimit(RLIMIT_AS, now+x)'],
      '2:24: argument 2 of setrlimit is "now+x" | now+ and a number of bytes',
    ],
    [
      'limit that is not used up',
      ['1 setrlimit(RLIMIT_STACK, now+1)'],
      '2:27: argument 2 of setrlimit is "now+1" | a number of bytes: now+BYTES is for RLIMIT_AS, RLIMIT_DATA and RLIMIT_MEMLOCK',
    ],
    [
      'prctl',
      ['1 prctl(PR_SET_NAME, 1, 0, 0, 0)'],
      '2:9: argument 1 of prctl is "PR_SET_NAME" | PR_SET_VMA, PR_SET_MDWE, PR_SET_MEMORY_MERGE, PR_SET_PT_RECLAIM or PR_SET_THP_DISABLE',
    ],
    ['pages', ['1 mincore(0x1000, 4096) = 0 vec=2'], '2:33: "2" are no pages | 0 or 1 for each page'],
    [
      'internals',
      ['snapshot 0', 'self pgtables_kb=1', 'internal 1000-2000 pgoff=1 anon=x'],
      '4:33: found "x" | anon as a number',
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

  it('also a bad header', () => {
    const first =
      (text: string): (() => unknown) =>
      () => [...opsItems(filesInMemory('x', { '': text }))];
    expect(first('hello')).toThrow('found "hello"');
    expect(first('')).toThrow('the file is empty');
    expect(first('# opfuzz-uffd format 1 seed 1')).toThrow('the line ends here');
  });
});
