import { describe, expect, it } from 'vitest';
import { firstInstruction, instructionPointer, parseAuxv } from './entryPoint.ts';

function auxv(...pairs: readonly (readonly [number, bigint])[]): Buffer {
  const words = BigUint64Array.from(pairs.flatMap(([type, value]) => [BigInt(type), value]));
  return Buffer.from(words.buffer);
}

describe('the first instruction of a process', () => {
  it('is the entry point of a program without a loader', () => {
    expect(firstInstruction(auxv([7, 0n], [9, 0x401000n]), '')).toBe(0x401000n);
  });
  it('is unknown if the file of the loader is not in maps', () => {
    expect(
      firstInstruction(auxv([3, 1n], [7, 0x7f00n], [9, 0x401000n]), '400000-401000 r--p 0 00:00 0\n'),
    ).toBe(null);
  });
  it('is compared with the last word of /proc/PID/syscall', () => {
    expect(instructionPointer('59 0x0 0x0 0x0 0x0 0x0 0x0 0x7ffe477d5080 0x7f513ad92b70\n')).toBe(
      0x7f513ad92b70n,
    );
    expect(instructionPointer('running\n')).toBe(null);
  });
});

it('an auxiliary vector is read as pairs', () => {
  expect(parseAuxv(auxv([33, 0xffffffffffffffffn], [0, 0n]))).toEqual([
    [33, 0xffffffffffffffffn],
    [0, 0n],
  ]);
});
