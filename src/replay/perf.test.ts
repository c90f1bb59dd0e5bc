import { describe, expect, it } from 'vitest';
import { UsageError } from '../base/assert.ts';
import { filesInMemory } from './input.ts';
import { PerfReader } from './perf.ts';
import { EncodedLines } from './rawLines.ts';
import { perfItems } from './singleFiles.ts';

function faultOf(text: string): string {
  const fault = new PerfReader(new EncodedLines([text]), 'x', 1000).next();
  return fault === null
    ? 'none'
    : `${fault.pid}/${fault.tid} ${fault.time} ${fault.addr.toString(16)} ${fault.access} ${fault.by}`;
}

describe('page faults of perf script', () => {
  const rows: readonly (readonly [name: string, text: string, fault: string])[] = [
    [
      'a recording',
      '16605/16606 1001.000000389: exceptions:page_fault_user: address=0x7f4078a2ab70 ip=0x7f4078a2ab70 error_code=0x14',
      '16605/16606 1000000389 7f4078a2ab70 exec user',
    ],
    [
      'write',
      '1/1 1001.5: exceptions:page_fault_user: address=0x1000 ip=0x1 error_code=0x6',
      '1/1 1500000000 1000 write user',
    ],
    [
      'kernel, ip by name',
      '1/1 1000.000000001: exceptions:page_fault_kernel: address=0x7f40 ip=_copy_to_iter+0x10 error_code=0x2',
      '1/1 1 7f40 write kernel',
    ],
    [
      'default output',
      'redis-server 16605 [001]  1001.342517: exceptions:page_fault_user: address=0x7f40 ip=0x7f41 error_code=0x4',
      '16605/16605 1342517000 7f40 read user',
    ],
    [
      'blanks and digits in the command',
      'Web Content 12 77/78 [001] 1001.342517: exceptions:page_fault_user: address=0x7f40 ip=0x7f41 error_code=0x4',
      '77/78 1342517000 7f40 read user',
    ],
    [
      'a command that is a number',
      '123 77 [001] 1001.342517: exceptions:page_fault_user: address=0x7f40 ip=0x7f41 error_code=0x4',
      '77/77 1342517000 7f40 read user',
    ],
    [
      'padding',
      '  python3  77/78   1001.342517:   exceptions:page_fault_user: address=0x7f40 ip=0x7f41 error_code=0x4',
      '77/78 1342517000 7f40 read user',
    ],
    [
      'event without its subsystem',
      'x 77 1001.342517: page_fault_user: address=0x7f40 ip=0x7f41 error_code=0x4',
      '77/77 1342517000 7f40 read user',
    ],
    ['comment', '# captured on: x', 'none'],
  ];
  for (const [name, text, fault] of rows) it(name, () => expect(faultOf(text)).toBe(fault));

  it('says what is wrong with a line', () => {
    const bad: readonly (readonly [text: string, column: number])[] = [
      ['1/1 1001.5: page-faults: 1', 13],
      ['hello', 1],
      ['1/1 1001.5: exceptions:page_fault_user: address=zz ip=0x1 error_code=0x6', 49],
      ['1/1 1001.5: exceptions:page_fault_user: address=0x1 ip=0x1', 56],
    ];
    for (const [text, column] of bad) {
      try {
        faultOf(text);
        expect.unreachable(text);
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError);
        expect((error as UsageError).place).toEqual({ file: 'x', line: 1, column });
      }
    }
  });

  it('alone give touches and a warning that nothing is mapped', () => {
    const line = '1/2 1001.5: exceptions:page_fault_user: address=0x1000 ip=0x1 error_code=0x6';
    const kinds = [...perfItems(filesInMemory('x', { '': `${line}\n${line}\n` }))].map((item) => item.kind);
    expect(kinds).toEqual(['start', 'op', 'op', 'warning', 'summary']);
  });
});
