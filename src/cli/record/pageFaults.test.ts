import { describe, expect, it } from 'vitest';
import { faultLine, parseLosses, secondsText } from './pageFaults.ts';

describe('a line of perf script', () => {
  const offset = 1_795_177_303_840_508_676n;
  const user =
    ' 7393/7394   1318.208010123: exceptions:page_fault_user: address=0x55c9ff5aa068 ip=0x1 error_code=0x6';
  for (const [what, line, expected] of [
    [
      'becomes a fault on the clock of strace',
      user,
      '7393/7394 1795178622.048518799: exceptions:page_fault_user: address=0x55c9ff5aa068 ip=0x1 error_code=0x6',
    ],
    [
      'keeps the symbol of a kernel address',
      '7/7 0.000000001: exceptions:page_fault_kernel: address=0x1 ip=copy error_code=0x2',
      '7/7 1795177303.840508677: exceptions:page_fault_kernel: address=0x1 ip=copy error_code=0x2',
    ],
    ['is nothing if it is another event', '7/7 0.000000001: sched:sched_switch: x', null],
    [
      'is nothing if it is from before the beginning',
      '7/7 0.000000000: exceptions:page_fault_user: address=0x1 ip=0x1 error_code=0x2',
      null,
    ],
    ['is nothing if it is empty', '', null],
  ] as const)
    it(what, () => expect(faultLine(line, 1n, offset)).toBe(expected));

  it('has nine digits behind the point', () => expect(secondsText(5_000_000_042n)).toBe('5.000000042'));
});

describe('the losses perf reports', () => {
  it('are added up by kind', () => {
    const text =
      '           SAMPLE events:        120\n             LOST events:          2  ( 1.0%)\n     LOST_SAMPLES events:          3\n         THROTTLE events:          4\n       UNTHROTTLE events:          9\n';
    expect(parseLosses(text)).toEqual({ lost: 5, throttled: 4 });
  });
  it('are none if it names none', () =>
    expect(parseLosses('Aggregated stats:\n')).toEqual({ lost: 0, throttled: 0 }));
});
