import { describe, expect, it } from 'vitest';
import { pageFlags, rangesOf } from './pagemapRuns.ts';

describe('the letters of a page', () => {
  // The upper half of a pagemap word; the bits are those of Linux's Documentation/admin-guide/mm/pagemap.rst.
  for (const [high, letters] of [
    [0x80000000, 'P---'],
    [0x81000000, 'P--X'],
    [0xa0800000, 'P-F-'],
    [0x40000000, '-S--'],
    [0x42000000, '-S--W'],
    [0xe1000000, 'PSFX'],
  ] as const)
    it(`of ${high.toString(16)} are ${letters}`, () => expect(pageFlags(high | 0)).toBe(letters));
});

describe('the VMAs of an smaps text', () => {
  it('are ranges that know whether anything is in them; the gate page is none', () => {
    const text = [
      '10000-12000 rw-p 00000000 00:00 0 ',
      'Rss:                   0 kB',
      'Swap:                  0 kB',
      '7f0000000000-7f0000001000 rw-p 00000000 00:00 0 ',
      'Rss:                   0 kB',
      'Swap:                  4 kB',
      'ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]',
      'Rss:                   0 kB',
    ].join('\n');
    expect(rangesOf(text)).toEqual([
      { start: 0x10000, end: 0x12000, empty: true },
      { start: 0x7f0000000000, end: 0x7f0000001000, empty: false },
    ]);
  });
});
