/**
 * Whole files: interrupted lines, terminals, ends of threads, breaks in the file.
 */
import { describe, expect, it } from 'vitest';
import { UsageError } from '../base/assert.ts';
import { filesInMemory } from './input.ts';
import type { ReplayItem } from './item.ts';
import { recordingItems } from './recording.ts';
import { straceItems } from './strace.ts';

const itemsOf = (text: string): readonly ReplayItem[] => [...straceItems(filesInMemory('x', { '': text }))];
/** Starts, operations and signals as `call task@line`. */
const sequence = (text: string): string =>
  itemsOf(text)
    .flatMap((item) => {
      if (item.kind === 'op') return [`${item.op.call} ${item.task}@${item.line}`];
      if (item.kind === 'start') return [`start ${item.task}`];
      return item.kind === 'signal' ? [`${item.signal} ${item.task}@${item.line}`] : [];
    })
    .join(', ');
/** Warnings that are not about a bare strace as such. */
const warnings = (text: string): readonly string[] =>
  itemsOf(text).flatMap((item) =>
    item.kind === 'warning' && !['no-start', 'no-faults'].includes(item.what)
      ? [`${item.what} ${item.count}`]
      : [],
  );

const EXEC = '7 execve("/x", ["x"], 0x7f /* 3 vars */) = 0';
const MAP = 'mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000001000';

describe('a bare strace', () => {
  it('starts an address space at each execve that succeeds', () => {
    const text = `7 execve("/y", ["y"], 0x7f) = -1 ENOENT (x)\n${EXEC}\n7 ${MAP}\n${EXEC}\n`;
    expect(sequence(text)).toBe('execve 7@2, start 7, mmap 7@3, execve 7@4, start 7');
    expect(warnings(text)).toEqual([]);
  });

  it('says so when it begins in the middle', () => {
    expect(sequence(`7 ${MAP}\n`)).toBe('start 7, mmap 7@1');
    expect(warnings(`7 ${MAP}\n`)).toEqual(['no-execve 1']);
  });

  it('takes the first answer of brk for the start of the heap, and later ones for nothing', () => {
    const text = `${EXEC}\n7 brk(NULL) = 0x5000\n7 brk(0x9000) = 0x9000\n`;
    expect(
      itemsOf(text).flatMap((item) => (item.kind === 'op' && item.op.call === 'brk' ? [item.chosen] : [])),
    ).toEqual([{ addr: 0x5000 }, {}]);
  });

  it('puts the halves of a call together', () => {
    const text = `${EXEC}\n7 clone(flags=CLONE_VM|CLONE_THREAD) = 8\n7 mmap(NULL, 4096, PROT_READ <unfinished ...>\n8 brk(NULL) = 0x5000\n7 <... mmap resumed>, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000001000\n`;
    expect(sequence(text)).toBe('execve 7@1, start 7, clone 7@2, brk 8@4, mmap 7@3');
  });

  it('reads carriage returns as ends of lines', () => {
    expect(sequence(`${EXEC}\r\n7 ${MAP}\r\n`)).toBe('execve 7@1, start 7, mmap 7@2');
  });

  it('follows a program alone on a terminal until it has company, and again afterwards', () => {
    const text = [
      'execve("/x", ["x"], 0x7f) = 0',
      'clone(child_stack=NULL, flags=CLONE_VM|CLONE_THREADstrace: Process 18 attached',
      ' <unfinished ...>',
      `[pid    18] ${MAP}`,
      '[pid    17] <... clone resumed>) = 18',
      `[pid    17] ${MAP}`,
      '[pid    18] +++ exited with 0 +++',
      MAP,
    ].join('\n');
    expect(sequence(text)).toBe('execve 1@1, start 1, clone 1@3, mmap 18@4, mmap 1@6, exit 18@7, mmap 1@8');
    expect(warnings(text)).toEqual([]);
  });

  it('passes over what is not of strace and counts it', () => {
    const text = `${EXEC}\nHello, world\n > /lib/libc.so.6(mmap+0x13) [0x1]\n7 ${MAP}\n12:30 is no time\n`;
    expect(sequence(text)).toBe('execve 7@1, start 7, mmap 7@4');
    expect(warnings(text)).toEqual(['not-strace 2']);
  });

  it('warns of calls that never returned, of returns that never began, of threads that were not followed', () => {
    expect(warnings(`${EXEC}\n7 munmap(0x7f0000001000, 4096 <unfinished ...>\n`)).toEqual([
      'unfinished-call 1',
    ]);
    expect(
      warnings(`${EXEC}\n7 munmap(0x7f0000001000, 4096 <unfinished ...>\n7 +++ killed by SIGKILL +++\n`),
    ).toEqual(['unfinished-call 1']);
    expect(warnings(`${EXEC}\n7 <... munmap resumed>) = 0\n`)).toEqual(['resumed-without-call 1']);
    expect(warnings(`${EXEC}\n7 fork() = 8\n`)).toEqual(['not-followed 1']);
  });

  it('follows a thread that calls execve and takes the number of its process', () => {
    const text = [
      EXEC,
      '7 clone(flags=CLONE_VM|CLONE_THREAD) = 8',
      '7 clone(flags=CLONE_VM|CLONE_THREAD) = 9',
      '7 pause( <unfinished ...>',
      '9 execve("/y", ["y"], 0x7f <unfinished ...>',
      '8 ???( <unfinished ...>',
      '7 <... pause resumed>) = ?',
      '8 <... ??? resumed>) = ?',
      '8 +++ exited with 0 +++',
      '7 +++ superseded by execve in pid 9 +++',
      '7 <... execve resumed>) = 0',
      `7 ${MAP}`,
    ].join('\n');
    expect(sequence(text)).toBe('execve 7@1, start 7, clone 7@2, clone 7@3, execve 7@5, start 7, mmap 7@12');
    expect(warnings(text)).toEqual([]);
  });

  it('yields signals for bad accesses and no others', () => {
    const text = `${EXEC}\n7 --- SIGSEGV {si_signo=11 /* SIGSEGV */, si_code=0x2 /* SEGV_ACCERR */, si_addr=0x7f58} ---\n7 --- SIGCHLD {si_signo=SIGCHLD, si_pid=8} ---\n7 --- SIGSEGV {si_signo=11, si_code=0x1, si_addr=NULL} ---\n`;
    expect(itemsOf(text).filter((item) => item.kind === 'signal')).toEqual([
      { kind: 'signal', task: 7, signal: 'SIGSEGV', code: 'SEGV_ACCERR', addr: 0x7f58, file: 'x', line: 2 },
      { kind: 'signal', task: 7, signal: 'SIGSEGV', code: 'SEGV_MAPERR', addr: 0, file: 'x', line: 4 },
    ]);
  });

  it('counts the calls it skips', () => {
    const summary = itemsOf(`${EXEC}\n7 getpid() = 7\n7 getpid() = 7\n7 prctl(PR_SET_NAME, "x") = 0\n`).at(
      -1,
    );
    expect(summary?.kind === 'summary' && [...summary.skipped]).toEqual([
      ['getpid', 2],
      ['prctl', 1],
    ]);
  });
});

describe('a last line that breaks off is a warning', () => {
  const whole = `7 ${MAP}`;
  it('wherever it breaks', () => {
    for (let length = 1; length < whole.length - 15; length++) {
      const text = `${EXEC}\n${whole.slice(0, length)}`;
      const told = warnings(text);
      expect(sequence(text), whole.slice(0, length)).toBe('execve 7@1, start 7');
      expect(['truncated 1', 'not-strace 1'], whole.slice(0, length)).toContain(told[0]);
    }
  });

  it('also where only the duration is missing that all others have', () => {
    const text = `${EXEC} <0.000010>\n7 ${MAP.slice(0, -3)}`;
    expect([sequence(text), warnings(text)]).toEqual(['execve 7@1, start 7', ['truncated 1']]);
  });
});

describe('in a recording every line must be of strace', () => {
  const complaintOf = (text: string): string => {
    try {
      const told = [...recordingItems(filesInMemory('r', { 'syscalls.strace': text }))].flatMap((item) =>
        item.kind === 'warning' && item.what === 'truncated' ? [item.text] : [],
      );
      return told[0] ?? 'accepted';
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      return `${error.place?.file}:${error.place?.line}:${error.place?.column}: ${error.message} | ${error.wanted}`;
    }
  };
  const good = `7 1000.1 ${MAP} <0.000010>`;
  const at = (time: string, rest: string): string => `7 1000000000.${time} ${rest} <0.000010>`;
  const rows: readonly (readonly [name: string, text: string, says: string])[] = [
    [
      'garbage',
      `${good}\nhello world\n${good}`,
      'r/syscalls.strace:2:1: "hello world" is no line of strace | TID TIME call(arguments) = result <duration>',
    ],
    [
      'no time',
      `7 ${MAP}\n7 ${MAP}`,
      'r/syscalls.strace:1:1: this line has no time | a time (strace -ttt, or --absolute-timestamps=unix,ns)',
    ],
    [
      'an argument',
      `${at('1', 'munmap(0x7f00, x) = 0')}\n${at('2', MAP)}`,
      'r/syscalls.strace:1:31: "x" is no constant of munmap | a number or a constant by name',
    ],
    [
      'a break in the middle',
      `7 1000000000.1 munmap(0x7f00,\n${at('2', MAP)}`,
      'r/syscalls.strace:1:30: the line ends inside the arguments | ")" and the result of munmap',
    ],
    [
      'a break at the end',
      `${at('1', MAP)}\n7 1000000000.2 munmap(0x7f00,`,
      'the last line breaks off and was not used',
    ],
    [
      'garbage at the end',
      `${at('1', MAP)}\n7 1000000000.2 munmap(0x7f00, 4096) + 0 <0.000010>`,
      'r/syscalls.strace:2:37: found "+ 0 <0.000010>" | " = " and the result of munmap',
    ],
  ];
  for (const [name, text, says] of rows) it(name, () => expect(complaintOf(text)).toBe(says));
});
