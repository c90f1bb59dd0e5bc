/**
 * What is drawn: calls on the pages of the window, weighted so that vmas get a history.
 */
import fc from 'fast-check';
import * as mman from '../../src/abi/mman.ts';
import type { Op } from '../../src/machine/index.ts';
import { Call } from './commands.ts';
import { KNOWN_ADVICE } from './pageAdvice.ts';
import { PAGE } from './pageModel.ts';
import { FD, HEAP, WINDOW, WINDOW_PAGES } from './world.ts';

const page = fc.integer({ min: 0, max: WINDOW_PAGES - 4 });
const nrPages = fc.constantFrom(1, 1, 1, 2, 2, 3, 4, 6);
const bytes = (pages: number): number => pages * PAGE;
const at = (pageNr: number): number => bytes(WINDOW + pageNr);
const range = fc.record({ addr: page.map(at), len: nrPages.map(bytes) });
const prot = fc.constantFrom(3, 3, 3, 1, 0, 5, 7);
const process = fc.constantFrom(0, 0, 0, 1, 2);

const MAPPINGS: readonly { readonly flags: number; readonly fd: number }[] = [
  { flags: mman.MAP_PRIVATE | mman.MAP_ANONYMOUS, fd: -1 },
  { flags: mman.MAP_PRIVATE | mman.MAP_ANONYMOUS, fd: -1 },
  { flags: mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_NORESERVE, fd: -1 },
  { flags: mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_NORESERVE, fd: -1 },
  { flags: mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_STACK, fd: -1 },
  { flags: mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_LOCKED, fd: -1 },
  { flags: mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_POPULATE, fd: -1 },
  { flags: mman.MAP_SHARED | mman.MAP_ANONYMOUS, fd: -1 },
  { flags: mman.MAP_DROPPABLE | mman.MAP_ANONYMOUS, fd: -1 },
  { flags: mman.MAP_SHARED, fd: FD.memfd },
  { flags: mman.MAP_PRIVATE, fd: FD.file },
  { flags: mman.MAP_SHARED, fd: FD.readOnly },
];

const mapping = fc.record({
  range: fc.record({ addr: page.map(at), len: fc.integer({ min: 1, max: 10 }).map(bytes) }),
  prot,
  what: fc.constantFrom(...MAPPINGS),
  where: fc.constantFrom(mman.MAP_FIXED, mman.MAP_FIXED, mman.MAP_FIXED, mman.MAP_FIXED_NOREPLACE, 0),
  anywhere: fc.boolean(),
  offset: fc.integer({ min: 0, max: 3 }),
});

const mmapOp = mapping.map(({ range, prot, what, where, anywhere, offset }): Op => {
  const addr = where === 0 && anywhere ? 0 : range.addr;
  const { flags, fd } = what;
  return {
    call: 'mmap',
    addr,
    len: range.len,
    prot,
    flags: flags | where,
    fd,
    offset: fd < 0 ? 0 : bytes(offset),
  };
});

const { MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP } = mman;
const mremapOp = fc
  .record({
    addr: page.map(at),
    newAddr: page.map(at),
    oldLen: fc.oneof({ weight: 9, arbitrary: nrPages }, { weight: 1, arbitrary: fc.constant(0) }).map(bytes),
    newLen: nrPages.map(bytes),
    isSameSize: fc.boolean(),
    flags: fc.constantFrom(
      0,
      MREMAP_MAYMOVE,
      MREMAP_MAYMOVE | MREMAP_FIXED,
      MREMAP_MAYMOVE | MREMAP_FIXED,
      MREMAP_MAYMOVE | MREMAP_FIXED,
      MREMAP_MAYMOVE | MREMAP_DONTUNMAP,
      MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
    ),
  })
  .map(({ isSameSize, newLen, ...rest }): Op => {
    const same = isSameSize || (rest.flags & MREMAP_DONTUNMAP) !== 0;
    return { call: 'mremap', ...rest, newLen: same ? Math.max(rest.oldLen, PAGE) : newLen };
  });

/** Drawn more often than the rest: they leave marks. */
const OFTEN = Array<number>(8).fill(mman.MADV_GUARD_INSTALL);
const touchOp = fc.record({
  range,
  access: fc.constantFrom('write', 'write', 'write', 'write', 'read', 'read', 'exec'),
});

/** Draws one call. The weights favour what gives vmas a history. */
const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 12, arbitrary: mmapOp },
  { weight: 4, arbitrary: range.map((r): Op => ({ call: 'munmap', ...r })) },
  {
    weight: 9,
    arbitrary: fc
      .record({ range, prot })
      .map(({ range, prot }): Op => ({ call: 'mprotect', ...range, prot })),
  },
  { weight: 12, arbitrary: mremapOp },
  {
    weight: 14,
    arbitrary: touchOp.map(
      ({ range, access }): Op => ({ call: 'touch', ...range, access: access as 'write', by: 'user' }),
    ),
  },
  {
    weight: 9,
    arbitrary: fc
      .record({ range, advice: fc.constantFrom(...KNOWN_ADVICE, ...OFTEN) })
      .map(({ range, advice }): Op => ({ call: 'madvise', ...range, advice })),
  },
  {
    weight: 3,
    arbitrary: fc
      .record({ range, flags: fc.constantFrom(0, 0, 1) })
      .map(({ range, flags }): Op => ({ call: 'mlock2', ...range, flags })),
  },
  { weight: 2, arbitrary: range.map((r): Op => ({ call: 'munlock', ...r })) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 7 }).map((flags): Op => ({ call: 'mlockall', flags })) },
  { weight: 1, arbitrary: fc.constant<Op>({ call: 'munlockall' }) },
  {
    weight: 1,
    arbitrary: fc
      .record({ addr: page.map(at) })
      .map(({ addr }): Op => ({ call: 'mseal', addr, len: PAGE, flags: 0 })),
  },
  {
    weight: 4,
    arbitrary: fc
      .integer({ min: -2, max: 9 * 4 })
      .map((quarters): Op => ({ call: 'brk', addr: bytes(HEAP) + quarters * (PAGE / 4) })),
  },
  {
    weight: 1,
    arbitrary: fc
      .integer({ min: 0, max: 8 })
      .map((size): Op => ({ call: 'ftruncate', fd: FD.memfd, size: bytes(size) })),
  },
  { weight: 3, arbitrary: fc.constant<Op>({ call: 'clone', flags: 17, child: 0 }) },
  { weight: 3, arbitrary: fc.constant<Op>({ call: 'exit_group' }) },
);

/** Draws one command. */
export const command = fc.tuple(process, op).map(([index, one]) => new Call(index, one));
