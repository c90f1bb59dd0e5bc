import { describe, expect, it } from 'vitest';
import { fcntlConstant } from './fcntl.ts';
import { ipcConstant } from './ipc.ts';
import * as mman from './mman.ts';
import { adviceName, mmanConstant } from './mman.ts';
import { processConstant } from './prctl.ts';

const exported = Object.entries(mman).filter(
  (entry): entry is [string, number] => typeof entry[1] === 'number',
);
/** Exported for the model alone: strace and people write them elsewhere. */
const NOT_LOOKED_UP = /^(MAP_TYPE|MS_|RLIMIT_|RLIM_|SEGV_|BUS_|SI_)/;

describe('constants of memory management', () => {
  it.each(exported.filter(([name]) => !NOT_LOOKED_UP.test(name)))(
    '%s is found by its name',
    (name, value) => {
      expect(mmanConstant(name)).toBe(value);
    },
  );
  it('has every advice under one name', () => {
    const advice = exported.filter(([name]) => name.startsWith('MADV_'));
    expect(new Set(advice.map(([, value]) => value)).size).toBe(advice.length);
    for (const [name, value] of advice) expect(adviceName(value)).toBe(name);
    expect(adviceName(77)).toBe('77');
  });
  it('has flags of mmap and mremap that do not overlap', () => {
    for (const prefix of ['MAP_', 'MREMAP_', 'CLONE_', 'MS_', 'MCL_']) {
      const flags = exported.filter(
        ([name]) => name.startsWith(prefix) && !/MAP_(TYPE|SHARED|PRIVATE|DROPPABLE)/.test(name),
      );
      const all = flags.map(([, value]) => value);
      expect(
        all.reduce((sum, flag) => sum + flag, 0),
        prefix,
      ).toBe(all.reduce((sum, flag) => sum | flag, 0));
    }
  });
  //   the values a wrong digit would be hard to see in
  it.each([
    ['MAP_FIXED_NOREPLACE', 0x10_0000],
    ['MAP_STACK', 0x2_0000],
    ['MAP_NORESERVE', 0x4000],
    ['MAP_POPULATE', 0x8000],
    ['MADV_COLLAPSE', 25],
    ['MADV_GUARD_INSTALL', 102],
    ['PROT_GROWSDOWN', 0x100_0000],
    ['MREMAP_DONTUNMAP', 4],
  ])('%s', (name, value) => {
    expect(mmanConstant(name)).toBe(value);
  });
});

describe('look-ups by name', () => {
  it.each([
    ['fcntl', fcntlConstant, 'O_CLOEXEC', 0o2000000],
    ['fcntl', fcntlConstant, 'FALLOC_FL_PUNCH_HOLE', 2],
    ['ipc', ipcConstant, 'SHM_REMAP', 0o40000],
    ['ipc', ipcConstant, 'MPOL_BIND', 2],
    ['prctl', processConstant, 'PR_SET_VMA', 0x53564d41],
    ['prctl', processConstant, 'CLONE_THREAD', mman.CLONE_THREAD],
    ['prctl', processConstant, 'CLONE_VM', mman.CLONE_VM],
    ['prctl', processConstant, 'RLIMIT_AS', mman.RLIMIT_AS],
  ] as const)('%s: %# %s', (_file, lookUp, name, value) => {
    expect(lookUp(name)).toBe(value);
  });
  it('give null for anything else', () => {
    for (const lookUp of [mmanConstant, fcntlConstant, ipcConstant, processConstant])
      for (const name of ['', 'MAP_WHAT', 'constructor', 'toString']) expect(lookUp(name)).toBeNull();
  });
});
