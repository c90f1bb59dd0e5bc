import { expect, it } from 'vitest';
import type { RawLines } from '../../replay/index.ts';
import { EncodedLines } from '../../replay/rawLines.ts';
import { ChunkLines } from './rawLines.ts';

/** Cuts the bytes of a text into chunks of `size`, each of which is written over by the next. */
function* chunks(text: string, size: number): Generator<Uint8Array> {
  const bytes = Buffer.from(text, 'utf8');
  const buffer = Buffer.alloc(size);
  for (let at = 0; at < bytes.length; at += size) {
    const length = bytes.copy(buffer, 0, at, at + size);
    yield buffer.subarray(0, length);
  }
}

function all(lines: RawLines): string[] {
  const found: string[] = [];
  while (lines.next()) {
    expect(lines.to - lines.from).toBe(Buffer.byteLength(lines.text()));
    found.push(lines.text());
  }
  expect(lines.next()).toBe(false);
  return found;
}

it('lines are the same wherever the chunks are cut', () => {
  const lines = ['mmap(NULL) = 0', '', '5</tmp/größe-測試>', 'x'.repeat(50_000), '\ttab', 'last'];
  for (const end of ['', '\n'])
    for (const size of [3, 7, 1000, 1 << 20])
      expect(all(new ChunkLines(chunks(lines.join('\n') + end, size), 'f'))).toEqual(lines);
});

it('lines may end in CR LF, and blank lines count', () => {
  expect(all(new ChunkLines(chunks('a\r\n\r\nb\rc\r\n', 2), 'f'))).toEqual(['a', '', 'b\rc']);
});

it('no bytes are no lines', () => {
  expect(all(new ChunkLines([], 'f'))).toEqual([]);
});

it('a line without an end is refused before it fills the memory', () => {
  function* endless(): Generator<Uint8Array> {
    yield Buffer.from('first\n');
    for (;;) yield Buffer.alloc(65_536, 0x61);
  }
  expect(() => all(new ChunkLines(endless(), 'f'))).toThrow('a line of more than 16 MiB');
});

it('texts have the bytes of their ASCII characters', () => {
  const lines = new EncodedLines(['a1', '', 'ä測2']);
  const bytes: number[][] = [];
  while (lines.next()) bytes.push([...lines.bytes.subarray(lines.from, lines.to)]);
  expect(bytes).toEqual([[97, 49], [], [0xe4, 0xff, 50]]);
});
