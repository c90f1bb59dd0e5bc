import { describe, expect, it } from 'vitest';
import { filesInMemory } from './input.ts';
import { KeptFaults } from './keptFaults.ts';
import { type FaultSource, PerfReader } from './perf.ts';
import { EncodedLines } from './rawLines.ts';
import { recordingItems } from './recording.ts';

const LINES = [
  '10/11 1001.000000389: exceptions:page_fault_user: address=0x7f4078a2ab70 ip=0x7f4078a2ab70 error_code=0x14',
  '# a comment',
  '10/10 1001.000000500: exceptions:page_fault_kernel: address=0x7fff00001000 ip=copy_from_user error_code=0x2',
  'my prog 12 [001] 1002.5: page_fault_user: address=0x1000 ip=0x2000 error_code=0x4',
];

function all(source: FaultSource): string[] {
  const found: string[] = [];
  for (let fault = source.next(); fault !== null; fault = source.next()) found.push(JSON.stringify(fault));
  return [...found, `${source.nrLines} lines`];
}

describe('faults that are kept', () => {
  const read = () => new PerfReader(new EncodedLines(LINES), 'x', 1000);

  it('are the same the third time, and nothing is read', () => {
    const kept = new KeptFaults();
    const first = all(kept.open(read));
    expect(first).toEqual(all(read()));
    expect(all(kept.open(read))).toEqual(first);
    expect(
      all(
        kept.open(() => {
          throw new Error('read again');
        }),
      ),
    ).toEqual(first);
  });

  it('are read again when the second pass did not come to the end', () => {
    const kept = new KeptFaults();
    all(kept.open(read));
    kept.open(read).next();
    expect(all(kept.open(read))).toEqual(all(read()));
  });

  it('give the items of a recording', () => {
    const files = filesInMemory('x', {
      'syscalls.strace': '10 1000.000000000 brk(NULL) = 0x55550000 <0.000001>\n',
      'faults.perf.txt': `${LINES.slice(0, 3).join('\n')}\n`,
    });
    const keptFaults = new KeptFaults();
    const pass = () => JSON.stringify([...recordingItems(files, { keptFaults })]);
    const first = pass();
    expect(pass()).toBe(first);
    expect(pass()).toBe(first);
    expect(pass()).toContain('"call":"touch"');
  });
});
