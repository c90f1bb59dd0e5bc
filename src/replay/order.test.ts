/**
 * The order of overlapping calls and faults. Each case is a small recording: times in ns after one second, threads 1 and 2 of one process.
 *
 *   call    TID ENTRY-EXIT text          one line, or two if something of another thread lies between
 *   touch   TID TIME read|write|kernel address
 */
import { describe, expect, it } from 'vitest';
import { filesInMemory } from './input.ts';
import type { ReplayItem, ReplayOp } from './item.ts';
import type { OrderOptions } from './reading.ts';
import { recordingItems } from './recording.ts';

interface Call {
  readonly tid: number;
  readonly entry: number;
  readonly exit: number;
  readonly text: string;
  readonly result: string;
}

/** A call of thread `tid` from `entry` to `exit`; `text` is `name(args) = result`. */
function call(tid: number, entry: number, exit: number, text: string): Call {
  const close = text.lastIndexOf(') = ');
  return { tid, entry, exit, text: text.slice(0, close), result: text.slice(close) };
}

const stamp = (time: number): string => `1000000001.${String(time).padStart(9, '0')}`;

/** Writes calls as strace would: cut in two where a line of another thread comes between entry and exit. */
function straceText(
  calls: readonly Call[],
  others: readonly (readonly [time: number, line: string])[],
): string {
  const points = calls.flatMap((each) => [
    { time: each.entry, each, isEntry: true },
    { time: each.exit, each, isEntry: false },
  ]);
  const lines: [number, string][] = others.map(([time, line]) => [time, line]);
  for (const each of calls) {
    const head = `${each.tid} ${stamp(each.entry)} ${each.text}`;
    const duration = `<0.${String(each.exit - each.entry).padStart(9, '0')}>`;
    const isCut = [
      ...points.filter((point) => point.each !== each).map((point) => point.time),
      ...others.map(([time]) => time),
    ].some((time) => time > each.entry && time < each.exit);
    const name = each.text.slice(0, each.text.indexOf('('));
    if (isCut) {
      lines.push([each.entry, `${head} <unfinished ...>`]);
      lines.push([
        each.exit,
        `${each.tid} ${stamp(each.exit)} <... ${name} resumed>${each.result} ${duration}`,
      ]);
    } else lines.push([each.entry, `${head}${each.result} ${duration}`]);
  }
  return lines
    .sort(([a], [b]) => a - b)
    .map(([, line]) => line)
    .join('\n');
}

const touch = (tid: number, time: number, how: 'read' | 'write' | 'kernel', addr = 0x1000): string =>
  `1/${tid} ${stamp(time)}: exceptions:page_fault_${how === 'kernel' ? 'kernel' : 'user'}: address=0x${addr.toString(16)} ip=0x1 error_code=0x${how === 'read' ? 4 : 2}`;

/** Thread 2 exists from the start. */
const THREAD_2 = call(1, 10, 20, 'clone(child_stack=0x9000, flags=CLONE_VM|CLONE_THREAD) = 2');

interface Case {
  readonly calls: readonly Call[];
  readonly touches?: readonly string[];
  readonly others?: readonly (readonly [time: number, line: string])[];
  readonly options?: OrderOptions;
}

function items({ calls, touches = [], others = [], options = {} }: Case): readonly ReplayItem[] {
  const files = filesInMemory('r', {
    'maps.start': '00400000-00401000 r--p 00000000 00:00 0 \n',
    'syscalls.strace': straceText([THREAD_2, ...calls], others),
    'faults.perf.txt': touches.join('\n'),
  });
  return [...recordingItems(files, options)];
}

/** `munmap 1*` is thread 1's munmap, which overlaps something. The clone that makes thread 2 is left out. */
const label = (item: ReplayOp): string => `${item.op.call} ${item.task}${item.overlaps ? '*' : ''}`;
const orderOf = (input: Case): string =>
  items(input)
    .filter((item): item is ReplayOp => item.kind === 'op')
    .slice(1)
    .map(label)
    .join(', ');

const MAP = 'mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000001000';

describe('one thread', () => {
  it('keeps calls and faults in the order of their times', () => {
    const calls = [call(1, 100, 200, MAP), call(1, 300, 400, 'munmap(0x7f0000001000, 4096) = 0')];
    expect(
      orderOf({ calls, touches: [touch(1, 50, 'read'), touch(1, 250, 'write'), touch(1, 450, 'read')] }),
    ).toBe('touch 1, mmap 1, touch 1, munmap 1, touch 1');
  });

  it('puts a fault the kernel takes inside a call before its effect', () => {
    expect(orderOf({ calls: [call(1, 100, 200, MAP)], touches: [touch(1, 150, 'kernel')] })).toBe(
      'touch 1, mmap 1',
    );
  });
});

describe('calls of two threads that overlap', () => {
  it('take away at their entry and add at their return', () => {
    const calls = [call(1, 100, 400, 'munmap(0x7f0000001000, 4096) = 0'), call(2, 200, 300, MAP)];
    expect(orderOf({ calls })).toBe('munmap 1*, mmap 2*');
  });

  it('add at their return even when they were entered first', () => {
    const calls = [call(1, 100, 400, MAP), call(2, 200, 300, 'munmap(0x7f0000001000, 4096) = 0')];
    expect(orderOf({ calls })).toBe('munmap 2*, mmap 1*');
  });

  it('grow in place after the tail was cut off by another', () => {
    const calls = [
      call(1, 100, 400, 'mremap(0x7f0000002000, 8192, 4096, MREMAP_MAYMOVE) = 0x7f0000002000'),
      call(2, 200, 300, 'mremap(0x7f0000001000, 4096, 8192, MREMAP_MAYMOVE) = 0x7f0000001000'),
    ];
    expect(orderOf({ calls })).toBe('mremap 1*, mremap 2*');
    expect(
      items({ calls })
        .filter((item) => item.kind === 'op')
        .map((item) => item.line),
    ).toEqual([1, 2, 3]);
  });

  it('move only after another call has freed the place they move to, though that was entered later', () => {
    const calls = [
      call(1, 100, 400, 'mremap(0x7f0000001000, 4096, 8192, MREMAP_MAYMOVE) = 0x7f0000009000'),
      call(2, 200, 300, 'munmap(0x7f0000009000, 8192) = 0'),
    ];
    expect(orderOf({ calls })).toBe('munmap 2*, mremap 1*');
  });

  it('move after a call that is still going on and has freed the place', () => {
    const calls = [
      call(1, 100, 300, 'mremap(0x7f0000001000, 4096, 8192, MREMAP_MAYMOVE) = 0x7f0000009000'),
      call(2, 200, 400, 'munmap(0x7f0000009000, 8192) = 0'),
    ];
    expect(orderOf({ calls })).toBe('munmap 2*, mremap 1*');
  });

  it('move at their entry when what the others free lies elsewhere', () => {
    const calls = [
      call(1, 100, 400, 'mremap(0x7f0000001000, 4096, 8192, MREMAP_MAYMOVE) = 0x7f0000009000'),
      call(2, 200, 300, 'munmap(0x7f000000b000, 8192) = 0'),
    ];
    expect(orderOf({ calls })).toBe('mremap 1*, munmap 2*');
  });

  it('shrink brk at their entry and grow it at their return', () => {
    const calls = [
      call(1, 30, 40, 'brk(NULL) = 0x5000'),
      call(1, 100, 200, 'brk(0x9000) = 0x9000'),
      call(2, 110, 190, MAP),
      call(1, 300, 400, 'brk(0x6000) = 0x6000'),
      call(2, 310, 390, MAP),
    ];
    expect(orderOf({ calls })).toBe('brk 1, mmap 2*, brk 1*, brk 1*, mmap 2*');
  });

  it('discard at their entry and advise at their return', () => {
    const calls = [
      call(1, 100, 200, 'madvise(0x7f0000001000, 4096, MADV_DONTNEED) = 0'),
      call(2, 110, 190, 'madvise(0x7f0000001000, 4096, MADV_HUGEPAGE) = 0'),
    ];
    expect(orderOf({ calls })).toBe('madvise 1*, madvise 2*');
    const [first, second] = items({ calls })
      .filter((item): item is ReplayOp => item.kind === 'op')
      .slice(1);
    expect([first?.at, second?.at]).toEqual([100, 190]);
  });
});

describe('faults of one thread inside a call of the other', () => {
  it('are at their own time, and both say that the order is not determined', () => {
    expect(orderOf({ calls: [call(1, 100, 200, MAP)], touches: [touch(2, 150, 'read')] })).toBe(
      'touch 2*, mmap 1*',
    );
    expect(
      orderOf({ calls: [call(1, 100, 200, 'munmap(0x1000, 4096) = 0')], touches: [touch(2, 150, 'read')] }),
    ).toBe('munmap 1*, touch 2*');
  });

  it('of another process determine nothing', () => {
    const fork = call(1, 30, 40, 'clone(child_stack=NULL, flags=SIGCHLD) = 9');
    expect(orderOf({ calls: [fork, call(1, 100, 200, MAP)], touches: [touch(9, 150, 'read')] })).toBe(
      'clone 1, touch 9, mmap 1',
    );
  });
});

describe('other permitted orders', () => {
  const calls = [call(1, 100, 400, 'munmap(0x7f0000001000, 4096) = 0'), call(2, 200, 300, MAP)];
  const touches = [touch(2, 150, 'read')];
  it('puts the call of a line where it is asked to', () => {
    expect(orderOf({ calls, touches })).toBe('munmap 1*, touch 2*, mmap 2*');
    expect(orderOf({ calls, touches, options: { placements: new Map([[2, 150.5]]) } })).toBe(
      'touch 2*, munmap 1*, mmap 2*',
    );
    expect(orderOf({ calls, touches, options: { placements: new Map([[2, 400]]) } })).toBe(
      'touch 2*, mmap 2*, munmap 1*',
    );
  });

  it('never puts it before its entry or after its return', () => {
    const late = items({
      calls,
      touches,
      options: {
        placements: new Map([
          [2, 9e9],
          [3, 0],
        ]),
      },
    });
    expect(
      late
        .filter((item): item is ReplayOp => item.kind === 'op')
        .slice(1)
        .map((item) => `${label(item)} ${item.at}`),
    ).toEqual(['touch 2* 150', 'mmap 2* 200', 'munmap 1* 400']);
  });
});

describe('a new thread or process', () => {
  const FORK = 'clone(child_stack=NULL, flags=SIGCHLD) = 9';
  it('is made at the return of the call', () => {
    const [, fork] = items({ calls: [call(1, 100, 200, FORK)] }).filter(
      (item): item is ReplayOp => item.kind === 'op',
    );
    expect(fork?.at).toBe(200);
  });

  it('is made before its first fault, though its parent has not returned', () => {
    expect(
      orderOf({
        calls: [call(1, 100, 400, FORK)],
        touches: [touch(9, 150, 'write'), touch(1, 140, 'kernel')],
      }),
    ).toBe('clone 1, touch 1, touch 9');
  });

  it('is made before its first line, though its parent has not returned', () => {
    const others = [[150, `9 ${stamp(150)} set_robust_list(0x7f, 24) = 0 <0.000000010>`]] as const;
    expect(orderOf({ calls: [call(1, 100, 400, FORK), call(9, 200, 210, MAP)], others })).toBe(
      'clone 1, mmap 9',
    );
    const [, fork] = items({ calls: [call(1, 100, 400, FORK)], others }).filter(
      (item): item is ReplayOp => item.kind === 'op',
    );
    expect(fork?.at).toBe(149.5);
  });

  it('runs in the memory of its parent until it calls execve, and is left out afterwards', () => {
    const calls = [
      call(1, 100, 500, 'vfork() = 9'),
      call(9, 150, 160, MAP),
      call(9, 200, 300, 'execve("/bin/true", ["true"], 0x7f) = 0'),
      call(9, 600, 610, MAP),
    ];
    expect(orderOf({ calls, touches: [touch(9, 250, 'kernel')] })).toBe('clone 1, mmap 9, execve 9');
    expect(
      items({ calls }).find((item) => item.kind === 'warning' && item.what === 'after-exec'),
    ).toMatchObject({ count: 1 });
  });

  it('ends, and what strace says of it later is left out', () => {
    const others = [
      [300, `2 ${stamp(300)} +++ exited with 0 +++`],
      [310, `2 ${stamp(310)} --- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=NULL} ---`],
    ] as const;
    expect(orderOf({ calls: [], others })).toBe('exit 2');
    expect(
      items({ calls: [], others }).find((item) => item.kind === 'warning' && item.what === 'after-exit'),
    ).toMatchObject({ count: 1 });
  });

  it('that nobody announced is taken for a thread of the first process', () => {
    expect(orderOf({ calls: [call(5, 100, 200, MAP)] })).toBe('clone 1, mmap 5');
  });
});

describe('numbers', () => {
  it('count operations in the order they are applied', () => {
    const calls = [call(1, 100, 400, MAP), call(2, 200, 300, 'munmap(0x7f0000001000, 4096) = 0')];
    expect(
      items({ calls })
        .filter((item) => item.kind === 'op')
        .map((item) => `${item.nr}:${item.line}`),
    ).toEqual(['1:1', '2:3', '3:2']);
  });
});
