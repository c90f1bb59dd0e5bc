import { describe, expect, it } from 'vitest';
import { EINVAL, ENOMEM, EPERM } from '../abi/errno.ts';
import { PAGE_SIZE, PMD_SIZE, TASK_SIZE } from '../base/units.ts';
import { Kernel, type KernelConfig } from './kernel.ts';
import { linkVma, Mm } from './mm.ts';
import { getUnmappedArea, type PlaceRequest, roundHint } from './unmappedArea.ts';
import { Vma } from './vma.ts';
import { VM_GROWSDOWN, VM_READ, VM_WRITE } from './vmFlags.ts';

const TOP = 0x7000_0000_0000;
const GUARD = 256 * PAGE_SIZE;
const MIB = 2 ** 20;

function empty(config: Partial<KernelConfig> = {}, mmapBase = TOP): Mm {
  const mm = new Mm(new Kernel(undefined, config));
  mm.mmapBase = mmapBase;
  return mm;
}

/** Puts a vma at [start, end). */
function put(mm: Mm, start: number, end: number, flags = VM_READ | VM_WRITE): void {
  linkVma(mm, new Vma(mm.kernel.nextVmaId(), { start, end, flags, pgoff: 0, file: null }), 'initial');
}

const request = (len: number, rest: Partial<PlaceRequest> = {}): PlaceRequest => ({
  hint: 0,
  len,
  fixed: false,
  shared: false,
  object: null,
  offset: 0,
  low32: false,
  above4G: false,
  ...rest,
});

const place = (mm: Mm, len: number, rest: Partial<PlaceRequest> = {}): unknown => {
  const found = getUnmappedArea(mm, request(len, rest));
  return typeof found === 'number' ? found : [-found.ret, found.why];
};

describe('without a hint', () => {
  it('takes the end of the highest gap that is large enough', () => {
    const mm = empty();
    expect(place(mm, PAGE_SIZE)).toBe(TOP - PAGE_SIZE);
    put(mm, TOP - 4 * PAGE_SIZE, TOP - PAGE_SIZE);
    expect(place(mm, PAGE_SIZE)).toBe(TOP - PAGE_SIZE);
    expect(place(mm, 2 * PAGE_SIZE)).toBe(TOP - 6 * PAGE_SIZE);
  });
  it('has no cursor: a hole higher up is the next choice', () => {
    const mm = empty();
    put(mm, TOP - 10 * PAGE_SIZE, TOP - 4 * PAGE_SIZE);
    put(mm, TOP - 3 * PAGE_SIZE, TOP);
    expect(place(mm, PAGE_SIZE)).toBe(TOP - 4 * PAGE_SIZE);
  });
  it('keeps the guard gap below a stack free, and looks on below it', () => {
    const mm = empty();
    put(mm, TOP - PAGE_SIZE, TOP, VM_GROWSDOWN | VM_READ);
    expect(place(mm, PAGE_SIZE)).toBe(TOP - PAGE_SIZE - GUARD - PAGE_SIZE);
    put(mm, TOP - GUARD - 3 * PAGE_SIZE, TOP - GUARD - 2 * PAGE_SIZE);
    expect(place(mm, PAGE_SIZE)).toBe(TOP - GUARD - 2 * PAGE_SIZE);
    expect(place(mm, 2 * PAGE_SIZE)).toBe(TOP - GUARD - 5 * PAGE_SIZE);
  });
  it('goes up from a third of the address space when there is nothing below the base', () => {
    const base = 64 * PAGE_SIZE;
    const mm = empty({}, base);
    const third = Math.floor(TASK_SIZE / 3 / PAGE_SIZE) * PAGE_SIZE;
    expect(place(mm, base)).toBe(third);
    put(mm, third, third + PAGE_SIZE);
    put(mm, third + GUARD + 2 * PAGE_SIZE, third + GUARD + 3 * PAGE_SIZE, VM_GROWSDOWN | VM_READ);
    expect(place(mm, base)).toBe(third + GUARD + 3 * PAGE_SIZE);
  });
  it('gives up when nothing is left', () => {
    const mm = empty();
    put(mm, PAGE_SIZE, TASK_SIZE);
    expect(place(mm, PAGE_SIZE)).toEqual([ENOMEM, 'no-gap']);
    expect(place(mm, TASK_SIZE + PAGE_SIZE)).toEqual([ENOMEM, 'beyond-task-size']);
  });
  it('looks low for MAP_32BIT and above 4 GiB for MAP_ABOVE4G', () => {
    const mm = empty();
    expect(place(mm, PAGE_SIZE, { low32: true })).toBe(0x4000_0000);
    put(mm, 0x4000_0000, 0x4000_2000);
    expect(place(mm, PAGE_SIZE, { low32: true })).toBe(0x4000_2000);
    put(mm, 0x4000_2000, 0x8000_0000);
    expect(place(mm, PAGE_SIZE, { low32: true })).toEqual([ENOMEM, 'no-gap']);
    const low = empty({}, 2 ** 32 + PAGE_SIZE);
    expect(place(low, PAGE_SIZE, { above4G: true })).toBe(2 ** 32);
    expect(place(low, 2 * PAGE_SIZE)).toBe(2 ** 32 - PAGE_SIZE);
  });
});

describe('a hint', () => {
  const B = 0x1000_0000_0000;
  it('is rounded down and raised to the lower limit', () => {
    const mm = empty();
    expect([0, 1, 4095, 4096, 65535, 65536, 65537].map((hint) => roundHint(mm, hint))).toEqual([
      0, 0, 0, 65536, 65536, 65536, 65536,
    ]);
    expect(place(mm, PAGE_SIZE, { hint: B + 100 })).toBe(B);
  });
  it('is taken when the range is free; no gap is wanted above the vma below', () => {
    const mm = empty();
    put(mm, B, B + PAGE_SIZE);
    put(mm, B + 3 * PAGE_SIZE, B + 4 * PAGE_SIZE);
    expect(place(mm, 2 * PAGE_SIZE, { hint: B + PAGE_SIZE })).toBe(B + PAGE_SIZE);
    expect(place(mm, 3 * PAGE_SIZE, { hint: B + PAGE_SIZE })).toBe(TOP - 3 * PAGE_SIZE);
    expect(place(mm, PAGE_SIZE, { hint: B })).toBe(TOP - PAGE_SIZE);
  });
  it('may not reach into the guard gap of a stack', () => {
    const mm = empty();
    put(mm, B + GUARD + PAGE_SIZE, B + GUARD + 2 * PAGE_SIZE, VM_GROWSDOWN | VM_READ);
    expect(place(mm, PAGE_SIZE, { hint: B })).toBe(B);
    expect(place(mm, 2 * PAGE_SIZE, { hint: B })).toBe(TOP - 2 * PAGE_SIZE);
  });
  it('beyond the end of the address space is dropped', () => {
    expect(place(empty(), 2 * PAGE_SIZE, { hint: TASK_SIZE - PAGE_SIZE })).toBe(TOP - 2 * PAGE_SIZE);
  });
  it('that is dropped turns off the alignment of anonymous memory', () => {
    const mm = empty({}, TOP + 5 * PAGE_SIZE);
    put(mm, B, B + PAGE_SIZE);
    expect(place(mm, PMD_SIZE)).toBe(TOP - PMD_SIZE);
    expect(place(mm, PMD_SIZE, { hint: B })).toBe(TOP + 5 * PAGE_SIZE - PMD_SIZE);
  });
});

describe('alignment to 2 MiB', () => {
  const odd = TOP + 5 * PAGE_SIZE;
  it('is for anonymous memory of a multiple of 2 MiB', () => {
    const mm = empty({}, odd);
    expect(place(mm, 2 * PMD_SIZE)).toBe(TOP - 2 * PMD_SIZE);
    for (const pages of [511, 513]) expect(place(mm, pages * PAGE_SIZE)).toBe(odd - pages * PAGE_SIZE);
  });
  it('is given up where only the exact length fits', () => {
    const mm = empty({}, odd);
    put(mm, odd - PMD_SIZE - PAGE_SIZE, odd - PMD_SIZE);
    put(mm, PAGE_SIZE, odd - PMD_SIZE - PAGE_SIZE);
    put(mm, odd, TASK_SIZE);
    expect(place(mm, PMD_SIZE)).toBe(odd - PMD_SIZE);
  });
  it('is for shared memory only where that has huge pages', () => {
    const shared = { shared: true };
    expect(place(empty({}, odd), PMD_SIZE, shared)).toBe(odd - PMD_SIZE);
    expect(place(empty({ shmemHuge: true }, odd), PMD_SIZE, shared)).toBe(TOP - PMD_SIZE);
  });

  const fileIn = (mm: Mm): Partial<PlaceRequest> => ({
    object: mm.kernel.newFileObject({ path: '/f', kind: 'regular' }),
  });
  it('of a file follows its offset', () => {
    const mm = empty({}, odd);
    const addr = place(mm, 3 * PMD_SIZE, { ...fileIn(mm), offset: 7 * PAGE_SIZE });
    expect([typeof addr, (Number(addr) - 7 * PAGE_SIZE) % PMD_SIZE]).toEqual(['number', 0]);
    expect(Number(addr) + 3 * PMD_SIZE).toBeLessThanOrEqual(odd);
  });
  it('of a file is left out where no whole 2 MiB of it are mapped', () => {
    const mm = empty({}, odd);
    for (const [len, offset] of [
      [PMD_SIZE, PAGE_SIZE],
      [PMD_SIZE - PAGE_SIZE, 0],
      [PMD_SIZE + 3 * PAGE_SIZE, 4 * PAGE_SIZE],
    ] as const)
      expect(place(mm, len, { ...fileIn(mm), offset })).toBe(odd - len);
  });
  it('of a file wants 2 MiB more than its length free at a hint (measured on 6.18)', () => {
    const mm = empty({}, odd);
    const hint = 0x1000_0020_0000;
    put(mm, hint + 6 * MIB, hint + 6 * MIB + PAGE_SIZE);
    expect(place(mm, 4 * MIB, { ...fileIn(mm), hint })).toBe(hint);
    expect(place(mm, 4 * MIB + PAGE_SIZE, { ...fileIn(mm), hint })).not.toBe(hint);
    expect(place(mm, MIB, { ...fileIn(mm), hint: hint + 5 * MIB })).toBe(hint + 5 * MIB);
    expect(place(mm, 4 * MIB + PAGE_SIZE, { hint })).toBe(hint);
  });
});

describe('a fixed address', () => {
  const fixed = (mm: Mm, addr: number, len = PAGE_SIZE): unknown =>
    place(mm, len, { hint: addr, fixed: true });
  it('is taken as it is, inside a guard gap and over other mappings too', () => {
    const mm = empty();
    put(mm, 0x10_0000, 0x10_1000, VM_GROWSDOWN | VM_READ);
    expect([fixed(mm, 0x0f_f000), fixed(mm, 0x10_0000)]).toEqual([0x0f_f000, 0x10_0000]);
  });
  it('must be aligned and lie within the address space', () => {
    const mm = empty();
    expect(fixed(mm, 0x10_0001)).toEqual([EINVAL, 'unaligned']);
    expect(fixed(mm, TASK_SIZE - PAGE_SIZE)).toBe(TASK_SIZE - PAGE_SIZE);
    expect(fixed(mm, TASK_SIZE)).toEqual([ENOMEM, 'beyond-task-size']);
    expect(fixed(mm, PAGE_SIZE, TASK_SIZE)).toEqual([ENOMEM, 'beyond-task-size']);
  });
  it('below the sysctl is for root, whatever limit holds for hints', () => {
    const mm = empty();
    expect([fixed(mm, 0), fixed(mm, PAGE_SIZE)]).toEqual([0, PAGE_SIZE]);
    mm.privileged = false;
    expect([fixed(mm, 0), fixed(mm, PAGE_SIZE)]).toEqual([[EPERM, 'below-mmap-min-addr'], PAGE_SIZE]);
  });
});
