import { expect, it } from 'vitest';
import { textLines } from './textLines.ts';

/** Cuts the bytes of a text into chunks of `size`. */
function chunks(text: string, size: number): Uint8Array[] {
  const bytes = Buffer.from(text, 'utf8');
  const found: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) found.push(bytes.subarray(at, at + size));
  return found;
}

it('lines are the same wherever the chunks are cut', () => {
  const lines = ['mmap(NULL) = 0', '', '5</tmp/größe-測試>', 'x'.repeat(50_000), '\ttab', 'last'];
  for (const end of ['', '\n'])
    for (const size of [3, 7, 1000, 1 << 20])
      expect([...textLines(chunks(lines.join('\n') + end, size), 'f')]).toEqual(lines);
});

it('lines may end in CR LF, and blank lines count', () => {
  expect([...textLines(chunks('a\r\n\r\nb\rc\r\n', 2), 'f')]).toEqual(['a', '', 'b\rc']);
});

it('no bytes are no lines', () => {
  expect([...textLines([], 'f')]).toEqual([]);
});

it('bytes that are no UTF-8 do not stop anything', () => {
  expect([...textLines([Buffer.from([0x61, 0xff, 0x0a, 0x62])], 'f')]).toEqual(['a�', 'b']);
});

it('a line without an end is refused before it fills the memory', () => {
  function* endless(): Generator<Uint8Array> {
    yield Buffer.from('first\n');
    for (;;) yield Buffer.alloc(65_536, 0x61);
  }
  expect(() => [...textLines(endless(), 'f')]).toThrow('a line of more than 16 MiB');
});
