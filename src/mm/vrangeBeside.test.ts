/** Volatile ranges beside the rest of the memory manager: userfaultfd, pagemap, mincore, huge pages, brk. spec/volatile-ranges.md 3.5 */
import { describe, expect, it } from 'vitest';
import { Machine, type Memory } from '../../test/support/memory.ts';
import { EEXIST, EINVAL } from '../abi/errno.ts';
import { MADV_COLLAPSE } from '../abi/mman.ts';
import { VRANGE_NOVOLATILE, VRANGE_VOLATILE } from '../abi/vrange.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { brk } from './brk.ts';
import { madvise } from './madvise.ts';
import { mincore } from './mincore.ts';
import { pagemapWord } from './pagemap.ts';
import { UffdContext } from './uffdContext.ts';
import { UffdFill } from './uffdFill.ts';
import { uffdWriteProtect } from './uffdProtect.ts';
import { uffdRegister } from './userfaultfd.ts';
import { vrange } from './vrange.ts';
import { purgeVolatile } from './vrangePurge.ts';

const WRITTEN = 0x5a00;
const MISSING = 1;
const WP = 2;

/** A process with written pages, of which the first `lost` are volatile and purged. */
function withLost(pages: number, lost: number): Memory {
  const memory = new Machine(0, { vrange: 'on' }).spawn();
  memory.map(0, pages);
  memory.touch(0, 'write', { pages, stamp: WRITTEN });
  if (lost > 0) mark(memory, 0, lost, VRANGE_VOLATILE);
  expect(purgeVolatile(memory.machine.kernel, Number.POSITIVE_INFINITY)).toBe(lost);
  memory.machine.verify();
  return memory;
}
const mark = (memory: Memory, page: number, pages: number, mode: number): number =>
  vrange(memory.mm, { addr: memory.addr(page), len: pages * PAGE_SIZE, mode }).ret;

function registered(memory: Memory, pages: number, mode: number): UffdContext {
  const context = new UffdContext(memory.mm, 0, 0);
  uffdRegister(context, { start: memory.addr(0), len: pages * PAGE_SIZE, mode });
  return context;
}

describe('userfaultfd', () => {
  it('is not asked for a page that was purged', () => {
    const memory = withLost(8, 4);
    registered(memory, 8, MISSING);
    expect([memory.read(0), memory.write(1)]).toEqual(['BUS_ADRERR', 'BUS_ADRERR']);
  });
  it('copies over it, and puts no zero page there', () => {
    const memory = withLost(8, 4);
    const context = registered(memory, 8, MISSING);
    const at = (page: number) => ({ start: memory.addr(page), len: PAGE_SIZE, mode: 0 });
    const zero = new UffdFill(context, 'zeropage', at(0), { mm: memory.mm }).step();
    expect(zero).toMatchObject({ ret: -EEXIST });
    const copy = new UffdFill(
      context,
      'copy',
      { ...at(0), source: memory.addr(6) },
      { mm: memory.mm },
    ).step();
    expect(copy).toMatchObject({ ret: 0 });
    memory.machine.verify();
    expect([memory.holds(0), mark(memory, 0, 1, VRANGE_NOVOLATILE)]).toEqual([WRITTEN + 6, 0]);
    expect(mark(memory, 1, 3, VRANGE_NOVOLATILE)).toBe(1);
  });
  it('protects pages of a volatile range, which go all the same, and leaves markers', () => {
    const memory = withLost(8, 4);
    mark(memory, 4, 4, VRANGE_VOLATILE);
    const context = registered(memory, 8, WP);
    uffdWriteProtect(context, { start: memory.addr(0), len: 8 * PAGE_SIZE, mode: 1 });
    memory.machine.verify();
    expect([memory.read(1), memory.at(6).kind]).toEqual(['BUS_ADRERR', 'anonymous']);
    expect(purgeVolatile(memory.machine.kernel, Number.POSITIVE_INFINITY)).toBe(4);
    memory.machine.verify();
    expect([memory.read(6), mark(memory, 0, 8, VRANGE_NOVOLATILE)]).toEqual(['BUS_ADRERR', 1]);
  });
});

describe('views', () => {
  it('pagemap shows a purged page as one in swap, mincore as one that is not there', () => {
    const memory = withLost(4, 2);
    const bit = (page: number, nr: bigint): bigint =>
      (BigInt(pagemapWord(memory.mm, memory.addr(page))) >> nr) & 1n;
    expect([0, 3].map((page) => [bit(page, 63n), bit(page, 62n)])).toEqual([
      [0n, 1n],
      [1n, 0n],
    ]);
    expect(mincore(memory.mm, memory.addr(0), 4 * PAGE_SIZE).resident).toEqual([false, false, true, true]);
  });
});

describe('huge pages', () => {
  it('are not made of memory of which a page was purged', () => {
    const memory = withLost(512, 1);
    expect(madvise(memory.mm, memory.addr(0), 512 * PAGE_SIZE, MADV_COLLAPSE).ret).toBe(-EINVAL);
    expect([mark(memory, 0, 1, VRANGE_NOVOLATILE), memory.advise(0, 512, MADV_COLLAPSE)]).toEqual([1, 'ok']);
    memory.machine.verify();
  });
  it('are made of volatile memory that is there, and go as a whole', () => {
    const memory = withLost(512, 0);
    mark(memory, 0, 512, VRANGE_VOLATILE);
    expect(memory.advise(0, 512, MADV_COLLAPSE)).toBe('ok');
    expect(purgeVolatile(memory.machine.kernel, 1)).toBe(512);
    memory.machine.verify();
  });
});

describe('the heap', () => {
  it('that shrinks is not volatile any more', () => {
    const memory = new Machine(0, { vrange: 'on' }).spawn();
    const { mm } = memory;
    mm.startBrk = memory.addr(0);
    mm.brk = memory.addr(0);
    brk(mm, memory.addr(8));
    mark(memory, 2, 6, VRANGE_VOLATILE);
    brk(mm, memory.addr(4));
    memory.machine.verify();
    expect([...(mm.vranges ?? [])].map(({ start, end }) => [start, end])).toEqual([
      [memory.addr(2), memory.addr(4)],
    ]);
    brk(mm, memory.addr(8));
    expect(mm.vranges?.at(memory.addr(6))).toBeNull();
  });
});
