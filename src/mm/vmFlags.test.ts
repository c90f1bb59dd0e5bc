import { describe, expect, it } from 'vitest';
import * as flags from './vmFlags.ts';
import { kernelVmFlags, permsOf, vmFlagCodes, vmFlagsOfCodes } from './vmFlags.ts';

const single = Object.entries<unknown>(flags).filter(
  (entry): entry is [string, number] => typeof entry[1] === 'number' && isOneBit(entry[1]),
);
function isOneBit(word: number): boolean {
  return word !== 0 && (word & (word - 1)) === 0;
}
/** As smaps prints them: ascending by the kernel's bit, not by ours. */
const ALL = 'rd wr ex sh mr mw me ms gd um pf gu uw lo io sr rr dc de lf ac nr wf dd sd mm hg nh mg dp ui sl';

describe('codes', () => {
  it('has one for each flag', () => {
    expect(single.length).toBe(ALL.split(' ').length);
    expect(new Set(single.map(([, flag]) => flag)).size).toBe(single.length);
    expect(vmFlagCodes(single.reduce((word, [, flag]) => word | flag, 0))).toBe(ALL);
  });
  it.each(single)('%s comes back from its code', (_name, flag) => {
    expect(vmFlagCodes(flag)).toHaveLength(2);
    expect(vmFlagsOfCodes([vmFlagCodes(flag)])).toBe(flag);
  });
  it('come back for any two flags', () => {
    for (const [, a] of single)
      for (const [, b] of single) expect(vmFlagsOfCodes(vmFlagCodes(a | b).split(' '))).toBe(a | b);
  });
  it.each([
    ['private anonymous', 'rd wr mr mw me ac'],
    ['a stack', 'rd wr mr mw me gd ac'],
    ['droppable', 'rd wr mr mw me nr wf dd dp'],
    ['all advice', 'rd wr mr mw me dc ac wf dd nh mg'],
    ['shared with minor faults', 'rd wr sh mr mw me ms ui'],
    ['sealed', 'rd mr mw me sl'],
    ['nothing', ''],
  ])('print as the kernel printed them: %s', (_what, codes) => {
    const word = vmFlagsOfCodes(codes === '' ? [] : codes.split(' '));
    expect(typeof word === 'number' ? vmFlagCodes(word) : word).toBe(codes);
  });
  it('names the first code that is unknown', () => {
    expect(vmFlagsOfCodes(['rd', 'ht', 'zz'])).toBe('ht');
  });
});

describe("the kernel's word", () => {
  it.each([
    [flags.VM_READ, 0x1],
    [flags.VM_MAYSHARE, 0x80],
    [flags.VM_ACCOUNT, 0x10_0000],
    [flags.VM_NOHUGEPAGE, 0x4000_0000],
    [flags.VM_MERGEABLE, 0x8000_0000],
    [flags.VM_DROPPABLE, 2 ** 40],
    [flags.VM_UFFD_MINOR, 2 ** 41],
    [flags.VM_SEALED, 2 ** 42],
    [flags.VM_MERGEABLE | flags.VM_SEALED | flags.VM_READ, 2 ** 42 + 2 ** 31 + 1],
  ])('of %d', (ours, kernels) => {
    expect(kernelVmFlags(ours)).toBe(kernels);
  });
  it('has our bit where it has its own, for all others', () => {
    const moved = flags.VM_DROPPABLE | flags.VM_UFFD_MINOR | flags.VM_SEALED;
    for (const [, flag] of single) if ((flag & moved) === 0) expect(kernelVmFlags(flag)).toBe(flag >>> 0);
  });
});

describe('permissions', () => {
  it.each([
    [0, '---p'],
    [flags.VM_READ | flags.VM_WRITE, 'rw-p'],
    [flags.VM_READ | flags.VM_EXEC | flags.VM_MAYSHARE, 'r-xs'],
    // A shared mapping of a file opened for reading loses VM_SHARED and still prints as shared.
    [flags.VM_WRITE | flags.VM_SHARED, '-w-p'],
  ])('of %d are %s', (word, perms) => {
    expect(permsOf(word)).toBe(perms);
  });
});
