import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { ByteSource } from './byteSource.ts';
import { plainChunks } from './unzip.ts';

/** A source that gives `bytes` in chunks of `size`; one that calls itself large is unzipped in pieces. */
function source(bytes: Uint8Array, size: number, isLarge: boolean): ByteSource {
  return {
    name: 'x.gz',
    size: isLarge ? 2 ** 30 : bytes.length,
    *chunks() {
      // Each chunk in the same buffer, as files are read.
      const buffer = Buffer.alloc(size);
      for (let at = 0; at < bytes.length; at += size) {
        const length = buffer.write(Buffer.from(bytes.subarray(at, at + size)).toString('latin1'), 'latin1');
        yield buffer.subarray(0, length);
      }
    },
  };
}

function plain(bytes: Uint8Array, size = 1000, isLarge = true): string {
  const found: Buffer[] = [];
  for (const chunk of plainChunks(source(bytes, size, isLarge), () => {})) found.push(Buffer.from(chunk));
  return Buffer.concat(found).toString();
}

/** Text that compresses badly, so that a stream has many chunks. */
const text = Array.from({ length: 8000 }, (_, i) => (Math.imul(i, 2654435761) >>> 0).toString(36)).join('\n');
const zipped = gzipSync(text);

describe('bytes that are gzip', () => {
  for (const isLarge of [true, false])
    it(`are unzipped ${isLarge ? 'in pieces' : 'at once'}, one file or several behind each other`, () => {
      for (const size of [700, 16_384]) {
        expect(plain(zipped, size, isLarge)).toBe(text);
        const several = Buffer.concat([gzipSync('a\n'), gzipSync(''), zipped, gzipSync('z\n')]);
        expect(plain(several, size, isLarge)).toBe(`a\n${text}z\n`);
      }
    });

  it('are not unzipped when they are plain text', () => {
    expect(plain(Buffer.from(text), 7)).toBe(text);
    expect(plain(Buffer.from(''), 7, false)).toBe('');
  });

  it('tell how much of the file was read', () => {
    for (const isLarge of [true, false]) {
      let read = 0;
      const given = source(zipped, 1000, isLarge);
      const chunks = plainChunks(given, (bytes) => {
        read += bytes;
      });
      expect([...chunks].length).toBeGreaterThan(0);
      expect(read).toBe(zipped.length);
    }
  });
});

describe('a damaged file', () => {
  const damage: readonly (readonly [name: string, bytes: Uint8Array, how: string])[] = [
    ['cut in the header', zipped.subarray(0, 12), 'it ends inside the header'],
    ['cut in the stream', zipped.subarray(0, 9000), 'it ends after 9000 bytes, in the middle of the stream'],
    ['cut before its end', zipped.subarray(0, -12), 'in the middle of the stream'],
    ['cut in the checksum', zipped.subarray(0, -5), 'the checksum at its end is not that of the text'],
    [
      'with garbage behind it',
      Buffer.concat([zipped, Buffer.from('garbage'.repeat(9))]),
      'invalid gzip data',
    ],
    [
      'with another length',
      Buffer.concat([zipped.subarray(0, -1), Buffer.from([77])]),
      'the length at its end',
    ],
  ];
  for (const [name, bytes, how] of damage)
    it(`${name} is refused`, () => {
      expect(() => plain(bytes)).toThrow(how);
    });

  it('of a small size is refused with the same words', () => {
    expect(() => plain(zipped.subarray(0, 9000), 1000, false)).toThrow('it ends after 9000 bytes');
  });
});
