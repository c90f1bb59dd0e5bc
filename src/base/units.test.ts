import { describe, expect, it } from 'vitest';
import {
  addrOf,
  anonymousPgoff,
  ceilTo,
  floorTo,
  hex,
  hexRange,
  isPageAligned,
  nrPagesIn,
  PMD_SIZE,
  pageCeil,
  pageFloor,
  parseSize,
  TASK_SIZE,
  U64,
  vpnOf,
} from './units.ts';

describe('rounding', () => {
  //     address          down             up               aligned
  it.each([
    [0, 0, 0, true],
    [1, 0, 4096, false],
    [4095, 0, 4096, false],
    [4096, 4096, 4096, true],
    [0x8000_0fff, 0x8000_0000, 0x8000_1000, false],
    [0xffff_f001, 0xffff_f000, 0x1_0000_0000, false],
    [2 ** 47 - 1, TASK_SIZE, 2 ** 47, false],
    [TASK_SIZE, TASK_SIZE, TASK_SIZE, true],
    [2 ** 47, 2 ** 47, 2 ** 47, true],
    [2 ** 52 + 1, 2 ** 52, 2 ** 52 + 4096, false],
  ])('%d to pages', (addr, down, up, aligned) => {
    expect([pageFloor(addr), pageCeil(addr), isPageAligned(addr)]).toEqual([down, up, aligned]);
  });
  it('reaches 2^64 for every length a register holds above the last page, which is where the kernel wraps to 0', () => {
    // As doubles all of these are 2^64 itself.
    for (const length of [U64, Number(2n ** 64n - 1n)]) expect(pageCeil(length)).toBe(U64);
    expect(pageCeil(Number(2n ** 64n - 4096n))).toBe(2 ** 64 - 4096);
  });
  it('goes to any power of two', () => {
    expect([floorTo(TASK_SIZE, PMD_SIZE), ceilTo(TASK_SIZE, PMD_SIZE)]).toEqual([
      2 ** 47 - PMD_SIZE,
      2 ** 47,
    ]);
    expect([floorTo(PMD_SIZE, PMD_SIZE), ceilTo(PMD_SIZE, PMD_SIZE)]).toEqual([PMD_SIZE, PMD_SIZE]);
    expect([floorTo(1, PMD_SIZE), ceilTo(1, PMD_SIZE)]).toEqual([0, PMD_SIZE]);
  });
  it('finds the page of an address and back, near 2^47 too', () => {
    expect(vpnOf(2 ** 47 - 1)).toBe(2 ** 35 - 1);
    expect(addrOf(2 ** 35 - 1)).toBe(TASK_SIZE);
    expect(anonymousPgoff(TASK_SIZE)).toBe(2 ** 35 - 1);
    expect(nrPagesIn(TASK_SIZE)).toBe(2 ** 35 - 1);
  });
});

describe('printing', () => {
  it('writes numbers as strace does', () => {
    expect([hex(0), hex(255), hex(TASK_SIZE)]).toEqual(['0x0', '0xff', '0x7ffffffff000']);
    for (let bits = 0; bits < 66; bits++)
      for (const n of [2 ** bits - 1, 2 ** bits, 2 ** bits + 1, 3 * 2 ** bits, -(2 ** bits)])
        expect(hex(n)).toBe(`0x${n.toString(16)}`);
    expect([hex(0.5), hex(2 ** 40 + 0.5)]).toEqual(['0x0.8', '0x10000000000.8']);
  });
  it('writes ranges as /proc/PID/maps does', () => {
    expect(hexRange(0, 4096)).toBe('00000000-00001000');
    expect(hexRange(0x40_0000, 0x40_1000)).toBe('00400000-00401000');
    expect(hexRange(0x7fff_f7ff_f000, TASK_SIZE)).toBe('7ffff7fff000-7ffffffff000');
  });
});

describe('parseSize', () => {
  it.each([
    ['0', 0],
    ['4096', 4096],
    ['64K', 65536],
    ['64k', 65536],
    ['2M', 2 * 2 ** 20],
    ['2MB', 2 * 2 ** 20],
    ['2MiB', 2 * 2 ** 20],
    ['1.5G', 1.5 * 2 ** 30],
    ['1T', 2 ** 40],
    ['10B', 10],
    ['0x1000', 4096],
    ['0XfF', 255],
  ])('reads %s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });
  it.each([
    '',
    'K',
    '-1',
    '+1',
    '1e3',
    '0x',
    '0xg',
    '1 K',
    ' 1K',
    '1KK',
    '1P',
    '1.',
    '.5K',
    '1i',
    '1.3',
    '0.3K',
    'NaN',
  ])('refuses "%s"', (text) => {
    expect(parseSize(text)).toBeNull();
  });
});
