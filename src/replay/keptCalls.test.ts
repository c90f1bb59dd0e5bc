import { describe, expect, it } from 'vitest';
import { type CallSource, KeptCalls, type OpenCalls } from './keptCalls.ts';
import { StraceReader } from './straceReader.ts';

const LINES = [
  '10 1000.000000000 mmap(NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0 <unfinished ...>',
  '11 1000.000000100 getpid() = 10 <0.000001>',
  '10 1000.000000200 <... mmap resumed>) = 0x7f0000000000 <0.000002>',
  '11 1000.000000300 unheard_of(1) = 0 <0.000001>',
];

const read: OpenCalls = (warnings) =>
  new StraceReader(LINES, { file: 'x', clock: 'ns', strict: true, warnings });

function all(source: CallSource): unknown[] {
  const found: unknown[] = [];
  for (let event = source.next(); event !== null; event = source.next()) found.push(event);
  return [...found, source.nrLines, [...source.skipped], source.warnings.items()];
}

describe('calls that are kept', () => {
  it('are the same the second time, with all that was said about them, and nothing is read', () => {
    const kept = new KeptCalls();
    const first = all(kept.open(read));
    expect(JSON.stringify(first)).toContain('unheard_of is not known here');
    const again = kept.open(() => {
      throw new Error('read again');
    });
    expect(all(again)).toEqual(first);
  });

  it('are read again when the first pass did not come to the end', () => {
    const kept = new KeptCalls();
    kept.open(read).next();
    expect(all(kept.open(read))).toEqual(all(new KeptCalls().open(read)));
  });
});
