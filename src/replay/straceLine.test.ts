/**
 * What stands before and around a call, for each combination of strace's options.
 */
import { describe, expect, it } from 'vitest';
import { Scanner } from './scanner.ts';
import { StraceLine } from './straceLine.ts';

/** Returns the parts of a line, those that are not there left out. */
function partsOf(text: string): string {
  const at = new Scanner('x');
  const line = new StraceLine();
  at.start(text, 1);
  line.read(at);
  const time =
    line.clock === 'none'
      ? ''
      : ` ${line.clock} ${line.seconds}.${String(line.nanoseconds).padStart(9, '0')}`;
  const body =
    line.kind === 'other' || line.kind === 'note' || line.kind === 'exited' || line.kind === 'superseded'
      ? ''
      : ` ${line.name}|${at.text.slice(line.bodyFrom, line.bodyTo)}`;
  return `${line.kind} tid ${line.tid}${time}${body}${line.otherTid === 0 ? '' : ` other ${line.otherTid}`}`;
}

describe('the parts of a line', () => {
  const rows: readonly (readonly [options: string, text: string, parts: string])[] = [
    [
      'none',
      'brk(NULL)                       = 0x5565',
      'call tid 0 brk|NULL)                       = 0x5565',
    ],
    ['-f -o', '7      brk(NULL) = 0x1', 'call tid 7 brk|NULL) = 0x1'],
    ['-f -Y', '77<a b> brk(NULL) = 0x1', 'call tid 77 brk|NULL) = 0x1'],
    ['-f', '[pid    77] brk(NULL) = 0x1', 'call tid 77 brk|NULL) = 0x1'],
    ['-f -Y on a terminal', '[pid    77<t>] brk(NULL) = 0x1', 'call tid 77 brk|NULL) = 0x1'],
    ['-t', '12:00:01 brk(NULL) = 0x1', 'call tid 0 day 43201.000000000 brk|NULL) = 0x1'],
    ['-f -tt', '77 12:00:01.000002 brk(NULL) = 0x1', 'call tid 77 day 43201.000002000 brk|NULL) = 0x1'],
    ['-ttt', '1795171146.945064 brk(NULL) = 0x1', 'call tid 0 epoch 1795171146.945064000 brk|NULL) = 0x1'],
    [
      'unix,ns',
      '77 1795171146.945064389 brk(NULL) = 0x1',
      'call tid 77 epoch 1795171146.945064389 brk|NULL) = 0x1',
    ],
    ['unix', '77 1795171146 brk(NULL) = 0x1', 'call tid 77 epoch 1795171146.000000000 brk|NULL) = 0x1'],
    ['-r', '     0.000123 brk(NULL) = 0x1', 'call tid 0 since-last 0.000123000 brk|NULL) = 0x1'],
    ['-f -r', '77        0.000123 brk(NULL) = 0x1', 'call tid 77 since-last 0.000123000 brk|NULL) = 0x1'],
    ['-r -t', '12:00:01 (+     0.000123) brk(NULL) = 0x1', 'call tid 0 day 43201.000000000 brk|NULL) = 0x1'],
    [
      '-n -i',
      '77 12:00:01 [   9] [00007f2f47b46ad7] brk(NULL) = 0x1',
      'call tid 77 day 43201.000000000 brk|NULL) = 0x1',
    ],
    ['unfinished', '77 mmap(NULL, 4096 <unfinished ...>', 'unfinished tid 77 mmap|NULL, 4096'],
    ['unfinished with a comma', '77 wait4(-1,  <unfinished ...>', 'unfinished tid 77 wait4|-1, '],
    ['detached', '77 mmap(NULL, 4096 <detached ...>', 'unfinished tid 77 mmap|NULL, 4096'],
    ['exec of a thread', '77 execve("/x" <pid changed to 70 ...>', 'unfinished tid 77 execve|"/x" other 70'],
    ['resumed', '77 <... mmap resumed>) = 0x7f <0.000010>', 'resumed tid 77 mmap|) = 0x7f <0.000010>'],
    ['resumed by an old strace', '77 <... mmap resumed> ) = 0x7f', 'resumed tid 77 mmap| ) = 0x7f'],
    [
      'a path at the end is not unfinished',
      '77 open("/x", O_RDONLY) = 3</x>',
      'call tid 77 open|"/x", O_RDONLY) = 3</x>',
    ],
    ['signal', '77 --- SIGSEGV {si_signo=SIGSEGV} ---', 'signal tid 77 SIGSEGV| {si_signo=SIGSEGV} ---'],
    ['stop', '77 --- stopped by SIGSTOP ---', 'stopped tid 77 stopped| by SIGSTOP ---'],
    ['exit', '77 +++ exited with 0 +++', 'exited tid 77'],
    ['killed', '77 [????????????????] +++ killed by SIGSEGV +++', 'exited tid 77'],
    ['superseded', '70 +++ superseded by execve in pid 77 +++', 'superseded tid 70 other 77'],
    ['stack', ' > /usr/lib/libc.so.6(mmap+0x13) [0x1019b3]', 'note tid 0'],
    ['message', 'strace: Process 77 attached', 'note tid 0'],
    ['output of the program', 'Hello (world', 'other tid 0'],
    [
      'summary',
      '  6.36    0.000245         245         1           clone',
      'other tid 0 since-last 6.360000000',
    ],
  ];
  for (const [options, text, parts] of rows) it(options, () => expect(partsOf(text)).toBe(parts));
});
