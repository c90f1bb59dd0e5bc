/** The numbered cases of spec/volatile-ranges.md 10 that are about memory; each `it` begins with its numbers. No kernel has the call. */
// Long because: the numbered cases of one chapter stand together.
import { describe, expect, it } from 'vitest';
import { BASE, Machine, type Memory, RW } from '../../test/support/memory.ts';
import { EFAULT, EINVAL, ENOMEM, ENOSYS } from '../abi/errno.ts';
import {
  MADV_DONTNEED,
  MADV_FREE,
  MADV_NONVOLATILE,
  MADV_PAGEOUT,
  MADV_VOLATILE,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
} from '../abi/mman.ts';
import { VRANGE_FULL, VRANGE_NOVOLATILE, VRANGE_PARTIAL, VRANGE_VOLATILE } from '../abi/vrange.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { accessPage } from './fault.ts';
import type { Features } from './features.ts';
import { madvise } from './madvise.ts';
import { mlock, munlock } from './mlock.ts';
import { mremap } from './mremap.ts';
import { processVm } from './processVm.ts';
import { scanTables } from './ptScan.ts';
import { vrange } from './vrange.ts';
import { vrangeBytes } from './vrangeForms.ts';
import { purgeVolatile } from './vrangePurge.ts';
import { vrangesText } from './vrangesText.ts';
import { FACT, type FactName } from './work.ts';

const WRITTEN = 0x5a00;

/** A process with 64 written pages, or so many. */
function heap(pages = 64, swapPages = 0, features: Partial<Features> = {}): Memory {
  const memory = new Machine(swapPages, { vrange: 'on', ...features }).spawn();
  memory.map(0, pages);
  memory.touch(0, 'write', { pages, stamp: WRITTEN });
  return memory;
}

const call = (memory: Memory, page: number, pages: number, mode: number, behavior = VRANGE_FULL): number => {
  const { ret } = vrange(memory.mm, {
    addr: memory.addr(page),
    len: pages * PAGE_SIZE,
    mode,
    behavior,
  });
  memory.machine.verify();
  return ret;
};
const V = (memory: Memory, page: number, pages: number, behavior = VRANGE_FULL): number =>
  call(memory, page, pages, VRANGE_VOLATILE, behavior);
const N = (memory: Memory, page: number, pages: number): number =>
  call(memory, page, pages, VRANGE_NOVOLATILE);
const purge = ({ machine }: Memory, wanted = Number.POSITIVE_INFINITY): number => {
  const purged = purgeVolatile(machine.kernel, wanted);
  machine.verify();
  return purged;
};
const fact = ({ machine }: Memory, name: FactName): number => machine.kernel.work.facts[FACT[name]] as number;
/** The volatile ranges in pages, as `start-end`, and the partial ones with a `p`. */
const tree = ({ mm }: Memory): string[] =>
  [...(mm.vranges ?? [])].map(
    ({ start, end, behavior }) =>
      `${(start - BASE) / PAGE_SIZE}-${(end - BASE) / PAGE_SIZE}${behavior === 'partial' ? 'p' : ''}`,
  );
const lock = (memory: Memory, page: number, pages: number): number =>
  mlock(memory.mm, memory.addr(page), pages * PAGE_SIZE).ret;

describe('marking and taking back', () => {
  it('1, 2: leaves pages, contents and tables alone', () => {
    const memory = heap();
    const faults = memory.mm.minFlt;
    expect([V(memory, 0, 16), tree(memory)]).toEqual([0, ['0-16']]);
    expect(memory.touch(0, 'read', { pages: 16 })).toEqual(Array(16).fill('hit'));
    expect([memory.holds(3), memory.mm.minFlt - faults, memory.resident[0]]).toEqual([WRITTEN + 3, 0, 64]);
    expect([N(memory, 0, 16), tree(memory), fact(memory, 'vrangePagesWalked')]).toEqual([0, [], 0]);
  });
  it('7, 8: joins what overlaps, and not what touches', () => {
    const memory = heap();
    V(memory, 0, 16);
    V(memory, 8, 16);
    expect(tree(memory)).toEqual(['0-24']);
    V(memory, 24, 8);
    expect(tree(memory)).toEqual(['0-24', '24-32']);
    const other = heap();
    V(other, 4, 4);
    V(other, 10, 2);
    V(other, 0, 16);
    expect(tree(other)).toEqual(['0-16']);
  });
  it('8: what lies in a range already changes nothing, not even its turn', () => {
    const memory = heap();
    V(memory, 0, 32);
    V(memory, 40, 8);
    V(memory, 4, 4);
    expect([tree(memory), purge(memory, 1)]).toEqual([['0-32', '40-48'], 32]);
    expect(memory.kinds(40, 8)).toEqual(['anonymous']);
  });
  it('9: cuts on the left, on the right, in the middle, or takes all', () => {
    const memory = heap();
    expect(N(memory, 0, 64)).toBe(0);
    V(memory, 0, 16);
    N(memory, 0, 4);
    expect(tree(memory)).toEqual(['4-16']);
    N(memory, 12, 4);
    expect(tree(memory)).toEqual(['4-12']);
    N(memory, 6, 2);
    expect(tree(memory)).toEqual(['4-6', '8-12']);
    N(memory, 0, 64);
    expect(tree(memory)).toEqual([]);
  });
  it('10: the other behavior cuts', () => {
    const memory = heap();
    V(memory, 0, 16);
    V(memory, 8, 16, VRANGE_PARTIAL);
    expect(tree(memory)).toEqual(['0-8', '8-24p']);
  });
  it('18, 19: refuses holes, files, shared memory and bad arguments, and changes nothing', () => {
    const memory = heap();
    memory.unmap(8, 1);
    memory.map(70, 2, { object: memory.machine.file(2) });
    memory.map(72, 2, { shared: true });
    expect([V(memory, 0, 16), V(memory, 70, 1), V(memory, 72, 1), N(memory, 72, 1)]).toEqual([
      -ENOMEM,
      -EINVAL,
      -EINVAL,
      -EINVAL,
    ]);
    const raw = (addr: number, len: number, mode: number, behavior = 0): number =>
      vrange(memory.mm, { addr, len, mode, behavior }).ret;
    const a = memory.addr(0);
    expect([raw(a + 1, 4096, 0), raw(a, 0, 0), raw(a, 4097, 0), raw(a, 4096, 7), raw(a, 4096, 0, 2)]).toEqual(
      Array(5).fill(-EINVAL),
    );
    expect([raw(a, 2 ** 64 - 4096, 0), tree(memory)]).toEqual([-EINVAL, []]);
  });
  it('is not there unless the switch is on', () => {
    expect(V(heap(4, 0, { vrange: 'off' }), 0, 4)).toBe(-ENOSYS);
  });
});

describe('purging', () => {
  it('3, 4: takes the pages, raises SIGBUS, and is reported once', () => {
    const memory = heap();
    V(memory, 0, 16);
    expect([purge(memory), memory.resident[0], fact(memory, 'pagesPurged')]).toEqual([16, 48, 16]);
    expect([memory.read(0), memory.write(0), memory.read(16), memory.holds(16)]).toEqual([
      'BUS_ADRERR',
      'BUS_ADRERR',
      'hit',
      WRITTEN + 16,
    ]);
    expect([N(memory, 0, 16), memory.read(0), memory.holds(0), N(memory, 0, 16)]).toEqual([
      1,
      'zero-page',
      0,
      0,
    ]);
  });
  it('5: a part can be taken back', () => {
    const memory = heap();
    V(memory, 0, 16);
    purge(memory);
    expect([N(memory, 4, 4), tree(memory)]).toEqual([1, ['0-4', '8-16']]);
    expect([memory.read(4), memory.read(3), memory.read(8)]).toEqual([
      'zero-page',
      'BUS_ADRERR',
      'BUS_ADRERR',
    ]);
  });
  it('6: tells of the pages of the call, not of the range', () => {
    const memory = heap();
    V(memory, 0, 32);
    expect([lock(memory, 0, 16), purge(memory)]).toEqual([0, 16]);
    expect([N(memory, 0, 16), fact(memory, 'vrangeFalseHintWalks'), N(memory, 16, 16)]).toEqual([0, 1, 1]);
  });
  it('11: a hint outlives joining', () => {
    const memory = heap();
    V(memory, 0, 8);
    purge(memory);
    V(memory, 4, 12);
    expect([tree(memory), N(memory, 8, 8), fact(memory, 'vrangePagesWalked')]).toEqual([['0-16'], 0, 8]);
    expect(N(memory, 4, 4)).toBe(1);
  });
  it('what was purged under the other behavior is still reported', () => {
    const memory = heap();
    V(memory, 0, 8);
    purge(memory);
    V(memory, 0, 8, VRANGE_PARTIAL);
    expect([tree(memory), N(memory, 0, 8)]).toEqual([['0-8p'], 1]);
  });
  it('12: writing does not cancel, other than after MADV_FREE', () => {
    const memory = heap();
    V(memory, 0, 4);
    expect([memory.write(1, 7), memory.holds(1), purge(memory), memory.read(1)]).toEqual([
      'hit',
      7,
      4,
      'BUS_ADRERR',
    ]);
  });
  it('13: what was never touched is zeros, and nothing to report', () => {
    const memory = heap();
    memory.map(64, 4);
    V(memory, 60, 8);
    expect([purge(memory), memory.read(65), memory.write(66), N(memory, 64, 4)]).toEqual([
      4,
      'zero-page',
      'anon',
      0,
    ]);
  });
  it('14: the oldest goes whole', () => {
    const memory = heap();
    V(memory, 0, 8);
    V(memory, 16, 8);
    V(memory, 32, 8);
    expect([purge(memory, 1), fact(memory, 'vrangeOvershoot')]).toEqual([8, 7]);
    expect([memory.kinds(0, 8), memory.kinds(16, 8), memory.kinds(32, 8)]).toEqual([
      ['purged'],
      ['anonymous'],
      ['anonymous'],
    ]);
  });
  it('15: partial ranges give 32 pages in turn', () => {
    const memory = heap(192);
    for (const at of [0, 64, 128]) V(memory, at, 64, VRANGE_PARTIAL);
    const left = (): number[] =>
      [0, 64, 128].map(
        (at) =>
          Array.from({ length: 64 }, (_, i) => memory.at(at + i)).filter(({ kind }) => kind === 'purged')
            .length,
      );
    expect([purge(memory, 48), left()]).toEqual([48, [32, 16, 0]]);
    expect([purge(memory, 48), left()]).toEqual([48, [48, 16, 32]]);
  });
  it('16, 17: locked memory stays, and what was purged cannot be locked', () => {
    const memory = heap();
    lock(memory, 0, 8);
    expect([V(memory, 0, 8), tree(memory)]).toEqual([-EINVAL, []]);
    munlock(memory.mm, memory.addr(0), 8 * PAGE_SIZE);
    V(memory, 0, 8);
    lock(memory, 0, 8);
    expect([purge(memory), fact(memory, 'purgeSkippedLocked')]).toEqual([0, 8]);
    munlock(memory.mm, memory.addr(0), 8 * PAGE_SIZE);
    expect([purge(memory), lock(memory, 0, 8)]).toEqual([8, -ENOMEM]);
    expect(memory.vma(0).flags & 0x2000).toBe(0x2000);
  });
  it('28: a copy in swap goes too, nothing is written', () => {
    const memory = heap(16, 64);
    memory.advise(0, 16, MADV_PAGEOUT);
    V(memory, 0, 16);
    const written = fact(memory, 'pagesSwappedOut');
    expect([purge(memory), memory.resident[3], memory.machine.kernel.swap.nrUsed]).toEqual([16, 0, 0]);
    expect([fact(memory, 'pagesSwappedOut') - written, memory.read(3)]).toEqual([0, 'BUS_ADRERR']);
  });
  it('28: without swap it goes as well, and other memory stays', () => {
    const memory = heap(16);
    V(memory, 0, 8);
    expect([purge(memory), memory.kinds(0, 8), memory.kinds(8, 8)]).toEqual([8, ['purged'], ['anonymous']]);
  });
  it('30: a huge page is broken up first', () => {
    const memory = new Machine(0, { vrange: 'on' }).spawn();
    memory.mapHuge(0, 1024);
    memory.touch(0, 'write', { pages: 1024, stamp: WRITTEN });
    V(memory, 0, 512);
    V(memory, 512, 256);
    expect([purge(memory), memory.resident[0], memory.kib]).toEqual([768, 256, 4 * 4]);
    expect([memory.kinds(0, 512), memory.kinds(512, 256), memory.kinds(768, 256)]).toEqual([
      ['purged'],
      ['purged'],
      ['anonymous'],
    ]);
    expect(memory.holds(800)).toBe(WRITTEN + 800);
  });
  it('MADV_PAGEOUT purges instead of writing out', () => {
    const memory = heap(16, 64);
    V(memory, 0, 8);
    memory.advise(0, 16, MADV_PAGEOUT);
    expect([memory.kinds(0, 8), memory.kinds(8, 8), memory.resident[3]]).toEqual([['purged'], ['swap'], 8]);
  });
  it.each<[string, number, (memory: Memory) => unknown]>([
    ['reclaim', 1, (memory) => purge(memory)],
    ['MADV_PAGEOUT, which flushes itself', 2, (memory) => memory.advise(0, 16, MADV_PAGEOUT)],
  ])('flushes once for a range: %s', (_who, flushes, act) => {
    const memory = heap();
    V(memory, 0, 16);
    const before = fact(memory, 'tlbFlushes');
    act(memory);
    expect([fact(memory, 'tlbFlushes') - before, fact(memory, 'pagesPurged')]).toEqual([flushes, 16]);
  });
  it('MADV_PAGEOUT purges a lazily freed huge page, and does not drop it', () => {
    const memory = new Machine(0, { vrange: 'on' }).spawn();
    memory.mapHuge(0, 512);
    memory.touch(0, 'write', { pages: 512, stamp: WRITTEN });
    V(memory, 0, 512);
    memory.advise(0, 512, MADV_FREE);
    memory.advise(0, 512, MADV_PAGEOUT);
    expect([memory.kinds(0, 512), memory.read(7), N(memory, 0, 512)]).toEqual([['purged'], 'BUS_ADRERR', 1]);
  });
});

describe('other calls', () => {
  it('20: what is unmapped, and mapped anew, is not volatile', () => {
    const memory = heap();
    V(memory, 0, 32);
    memory.unmap(8, 8);
    expect(tree(memory)).toEqual(['0-8', '16-32']);
    memory.map(8, 8);
    memory.touch(8, 'write', { pages: 8 });
    expect([purge(memory), memory.kinds(8, 8)]).toEqual([24, ['anonymous']]);
    memory.map(0, 4);
    expect([tree(memory), memory.read(0)]).toEqual([['4-8', '16-32'], 'zero-page']);
  });
  it('21: volatility moves with the pages, markers too; growth is not volatile', () => {
    const memory = heap();
    V(memory, 0, 32);
    V(memory, 2, 1, VRANGE_PARTIAL);
    purge(memory, 1);
    memory.move(0, 100, 16);
    expect(tree(memory)).toEqual(['16-32', '100-102', '102-103p', '103-116']);
    memory.move(16, 200, 8);
    mremap(memory.mm, {
      addr: memory.addr(200),
      oldLen: 8 * PAGE_SIZE,
      newLen: 12 * PAGE_SIZE,
      flags: MREMAP_MAYMOVE,
      newAddr: 0,
      chosen: null,
    });
    memory.machine.verify();
    expect(tree(memory).at(-1)).toBe('200-208');
  });
  it('21: a page that was purged is so where it went', () => {
    const memory = heap();
    V(memory, 2, 1);
    purge(memory);
    V(memory, 0, 32);
    memory.move(0, 100, 16);
    expect([memory.read(102), N(memory, 100, 16), tree(memory)]).toEqual(['BUS_ADRERR', 1, ['16-32']]);
  });
  it('22: MREMAP_DONTUNMAP leaves nothing volatile behind', () => {
    const memory = heap();
    V(memory, 0, 64);
    memory.move(0, 100, 64, true);
    expect([tree(memory), memory.read(3)]).toEqual([['100-164'], 'zero-page']);
  });
  it('23: access comes first, and mprotect leaves the tree alone', () => {
    const memory = heap();
    V(memory, 0, 8);
    purge(memory);
    memory.protect(0, 4, PROT_NONE);
    expect([memory.read(0), memory.read(4), tree(memory), memory.mm.mapCount]).toEqual([
      'SEGV_ACCERR',
      'BUS_ADRERR',
      ['0-8'],
      2,
    ]);
    memory.protect(0, 4, RW);
    expect([memory.read(0), memory.mm.mapCount]).toEqual(['BUS_ADRERR', 1]);
    memory.protect(0, 4, PROT_READ);
    expect(memory.write(0)).toBe('SEGV_ACCERR');
  });
  it('24, 25: MADV_DONTNEED and MADV_FREE drop pages and markers, the range stays', () => {
    const memory = heap();
    V(memory, 0, 16);
    memory.advise(0, 16, MADV_DONTNEED);
    expect([purge(memory), N(memory, 0, 16), memory.read(0)]).toEqual([0, 0, 'zero-page']);
    const other = heap();
    V(other, 0, 16);
    purge(other);
    other.advise(0, 8, MADV_DONTNEED);
    other.advise(8, 8, MADV_FREE);
    expect([other.read(0), other.read(8), tree(other), N(other, 0, 16)]).toEqual([
      'zero-page',
      'zero-page',
      ['0-16'],
      0,
    ]);
  });
  it('lazily freed pages are purged with a marker', () => {
    const memory = heap();
    V(memory, 0, 8);
    memory.advise(0, 8, MADV_FREE);
    expect([purge(memory), memory.read(0)]).toEqual([8, 'BUS_ADRERR']);
  });
  it('26: shared after fork, a page goes only if it is volatile for both', () => {
    const parent = heap();
    V(parent, 0, 8);
    const child = parent.fork();
    expect([tree(child), purge(parent), parent.read(0), child.read(0)]).toEqual([
      ['0-8'],
      8,
      'BUS_ADRERR',
      'BUS_ADRERR',
    ]);
    expect([N(child, 0, 8), parent.read(1), child.read(1)]).toEqual([1, 'BUS_ADRERR', 'zero-page']);
    const other = heap();
    V(other, 0, 8);
    const twin = other.fork();
    N(twin, 0, 8);
    expect([purge(other), fact(other, 'purgeSkippedShared'), other.holds(0), twin.holds(0)]).toEqual([
      0,
      8,
      WRITTEN,
      WRITTEN,
    ]);
  });
  it('26: the same of pages in swap, and of a page that one has in memory and the other in swap', () => {
    const parent = heap(8, 64);
    parent.advise(0, 8, MADV_PAGEOUT);
    V(parent, 0, 8);
    const child = parent.fork();
    child.read(2);
    N(child, 0, 4);
    expect([purge(parent), parent.kinds(0, 2), parent.kinds(4, 4), child.kinds(4, 4)]).toEqual([
      4,
      ['swap'],
      ['purged'],
      ['purged'],
    ]);
  });
  it('27: nothing is left after exit, and execve begins without', () => {
    const memory = heap();
    V(memory, 0, 16);
    const { machine } = memory;
    memory.exit();
    expect([machine.kernel.vrangeLru.size, machine.kernel.frames.nrUsed]).toEqual([0, 0]);
    expect([machine.kernel.work.nrVranges, machine.kernel.work.peakVranges]).toEqual([0, 1]);
  });
  it('29: calls that copy from a purged page get EFAULT, from inside and outside, and no signal', () => {
    const memory = heap();
    const other = memory.machine.spawn();
    V(memory, 0, 4);
    purge(memory);
    const copied = accessPage(memory.mm, { addr: memory.addr(0), access: 'read', stamp: null, by: 'copy' });
    expect([copied.kind, fact(memory, 'purgedCopied'), fact(memory, 'purgedTouched')]).toEqual([
      'signal',
      1,
      0,
    ]);
    const peek = (first: number, pages: number): number =>
      processVm(other.mm, memory.mm, {
        ranges: [{ addr: memory.addr(first), len: pages * PAGE_SIZE }],
        max: pages * PAGE_SIZE,
        write: false,
        stamp: null,
      }).ret;
    expect([peek(0, 1), peek(4, 1)]).toEqual([-EFAULT, PAGE_SIZE]);
    V(memory, 6, 1);
    purge(memory);
    expect(peek(4, 4)).toBe(2 * PAGE_SIZE);
  });
  it('pages that the kernel holds stay', () => {
    const memory = heap();
    V(memory, 0, 4);
    memory.machine.kernel.frames.pin(memory.pfn(2));
    expect([purge(memory), fact(memory, 'purgeSkippedPinned'), memory.holds(2)]).toEqual([3, 1, WRITTEN + 2]);
    memory.machine.kernel.frames.unpin(memory.pfn(2));
    expect(purge(memory)).toBe(1);
  });
  it('33: what was purged keeps its table, taking it back empties it', () => {
    const memory = heap(512, 0, { ptReclaim: 'async' });
    V(memory, 0, 512);
    const tables = memory.kib;
    expect([purge(memory), memory.kib, scanTables(memory.mm).freed]).toEqual([512, tables, 0]);
    expect([N(memory, 0, 512), memory.mm.pages.nrUsed(memory.addr(0)), memory.kib]).toEqual([1, 0, tables]);
    expect(scanTables(memory.mm).freed).toBe(1);
  });
});

describe('no pressure', () => {
  it.each<[Features['vrangeLock'], number]>([
    ['none', 0],
    ['read', 0],
    ['write', 2],
  ])('31: marking and taking back touches no page, vrangeLock=%s', (vrangeLock, perPair) => {
    const memory = heap(64, 0, { vrangeLock });
    const before = memory.machine.kernel.work.facts.slice();
    const { minFlt } = memory.mm;
    const pairs = 5000;
    for (let i = 0; i < pairs; i++) {
      const range = { addr: memory.addr(16 * (i % 4)), len: 8 * PAGE_SIZE };
      vrange(memory.mm, { ...range, mode: VRANGE_VOLATILE });
      vrange(memory.mm, { ...range, mode: VRANGE_NOVOLATILE });
    }
    memory.machine.verify();
    const since = (name: FactName): number => fact(memory, name) - (before[FACT[name]] as number);
    expect(memory.mm.minFlt - minFlt).toBe(0);
    expect([since('anonPtesZapped'), since('tlbFlushes'), since('vrangePagesWalked')]).toEqual([0, 0, 0]);
    // Each marking splits a vma, each taking back merges it again.
    expect((since('vmasSplit') + since('vmasMerged')) / pairs >= perPair).toBe(true);
    if (vrangeLock !== 'write') expect(since('vmasSplit') + since('vmasMerged')).toBe(0);
    expect([since('vrangeVolatileCalls'), since('vrangeNovolatileCalls'), tree(memory)]).toEqual([
      pairs,
      pairs,
      [],
    ]);
  });
});

describe('the later forms', () => {
  it('v8 to v10 answer with bytes, and tell of losses beside them', () => {
    const memory = heap();
    const range = { addr: memory.addr(0), len: 8 * PAGE_SIZE };
    expect(vrangeBytes(memory.mm, range, 'volatile')).toMatchObject({ ret: 8 * PAGE_SIZE, purged: 0 });
    purge(memory);
    expect(vrangeBytes(memory.mm, range, 'novolatile')).toMatchObject({ ret: 8 * PAGE_SIZE, purged: 1 });
    expect(vrangeBytes(memory.mm, { addr: memory.addr(60), len: 8 * PAGE_SIZE }, 'volatile')).toMatchObject({
      ret: -ENOMEM,
      purged: 0,
    });
  });
  it('v14 is advice, which is unknown unless the switch is on', () => {
    const memory = heap();
    const advise = (advice: number, first: number, len: number): number =>
      madvise(memory.mm, memory.addr(first), len, advice).ret;
    expect([advise(MADV_VOLATILE, 0, 100), tree(memory)]).toEqual([0, ['0-1']]);
    expect([purge(memory), advise(MADV_NONVOLATILE, 0, 64 * PAGE_SIZE), tree(memory)]).toEqual([1, 1, []]);
    expect([advise(MADV_VOLATILE, 60, 8 * PAGE_SIZE), tree(memory)]).toEqual([-ENOMEM, []]);
    const off = heap(4, 0, { vrange: 'off' });
    expect(madvise(off.mm, off.addr(0), PAGE_SIZE, MADV_VOLATILE).ret).toBe(-EINVAL);
  });
});

describe('as text', () => {
  it('a line for each range, with what there is of it, and its turn', () => {
    const memory = heap(16, 8);
    memory.map(16, 4);
    V(memory, 12, 8, VRANGE_PARTIAL);
    V(memory, 0, 8);
    memory.advise(2, 1, MADV_PAGEOUT);
    expect(vrangesText(memory.mm)).toBe(
      '6f0000000000-6f0000008000 full size_kb=32 rss_kb=28 swap_kb=0 purged_kb=4 turn=2\n' +
        '6f000000c000-6f0000014000 partial size_kb=32 rss_kb=16 swap_kb=0 purged_kb=0 turn=1\n',
    );
    expect(vrangesText(memory.mm, ({ start }) => start > BASE)).toMatch(/^6f000000c000/);
    expect(vrangesText(heap(4).mm)).toBe('');
  });
});

describe('vrangeLock=write', () => {
  it('32: marks vmas, which are split and merged', () => {
    const flavour = heap(64, 0, { vrangeLock: 'write' });
    V(flavour, 16, 8);
    expect(flavour.mm.mapCount).toBe(3);
    N(flavour, 16, 8);
    expect(flavour.mm.mapCount).toBe(1);
    const tree = heap();
    V(tree, 16, 8);
    expect(tree.mm.mapCount).toBe(1);
  });
  it('refuses what would make too many vmas, and leaves none', () => {
    const memory = heap(64, 0, { vrangeLock: 'write' });
    memory.mm.ownMapLimit = 2;
    expect([V(memory, 16, 8), memory.mm.mapCount, V(memory, 0, 8), memory.mm.mapCount]).toEqual([
      -ENOMEM,
      1,
      0,
      2,
    ]);
  });
});
