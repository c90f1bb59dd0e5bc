/** Slots by themselves, and pages that go out and come back. */
import { describe, expect, it } from 'vitest';
import { Machine, type Memory, oneProcess } from '../../test/support/memory.ts';
import { MADV_DONTNEED, MADV_PAGEOUT, MADV_REMOVE, MADV_WILLNEED, PROT_READ } from '../abi/mman.ts';
import { FRAME_ANON, FRAME_DIRTY, FRAME_SWAPBACKED, Frames } from './frames.ts';
import { Swap } from './swap.ts';

describe('slots', () => {
  it('are given out until the device is full, and again when they are free', () => {
    const [swap, frames] = [new Swap(2), new Frames()];
    const slots = [swap.allocate(5), swap.allocate(6)];
    expect([swap.allocate(7), swap.nrUsed, new Set(slots).size]).toEqual([null, 2, 2]);
    swap.drop(frames, slots[0] ?? 0);
    expect([swap.nrUsed, swap.allocate(8), swap.allocate(9)]).toEqual([1, slots[0], null]);
    expect([swap.stamp(slots[0] ?? 0), swap.stamp(slots[1] ?? 0)]).toEqual([8, 6]);
  });
  it('are none without a device', () => {
    expect(new Swap(0).allocate(1)).toBe(null);
  });
  it('live as long as an entry holds them', () => {
    const [swap, frames] = [new Swap(2), new Frames()];
    const slot = swap.allocate(5) ?? 0;
    swap.dup(slot);
    expect(swap.count(slot)).toBe(2);
    swap.drop(frames, slot);
    expect([swap.count(slot), swap.stamp(slot), swap.nrUsed]).toEqual([1, 5, 1]);
    swap.drop(frames, slot);
    expect([swap.count(slot), swap.nrUsed, [...swap.counts()]]).toEqual([0, 0, []]);
  });
  it('and the frame they were read into know each other until one of them goes', () => {
    const [swap, frames] = [new Swap(2), new Frames()];
    const slot = swap.allocate(5) ?? 0;
    const pfn = frames.allocate(FRAME_ANON | FRAME_SWAPBACKED, 1, 0);
    frames.addPte(pfn, 1);
    swap.cache(frames, slot, pfn);
    expect([swap.cached(slot), swap.slotOf(pfn), frames.refcount(pfn)]).toEqual([pfn, slot, 2]);
    swap.forget(frames, pfn);
    expect([swap.cached(slot), swap.slotOf(pfn), frames.refcount(pfn)]).toEqual([0, null, 1]);
    expect(swap.count(slot)).toBe(1);
  });
  it('stay while the page is mapped, though nobody refers to them; the page is dirty when it leaves', () => {
    const { swap, frames, slot, pfn } = cachedSlot();
    expect(swap.release(frames, pfn)).toBe(false);
    swap.drop(frames, slot);
    expect([swap.nrUsed, swap.slotOf(pfn), frames.flags(pfn) & FRAME_DIRTY]).toEqual([1, slot, 0]);
    expect([swap.release(frames, pfn), swap.nrUsed, swap.slotOf(pfn)]).toEqual([true, 0, null]);
    expect([frames.refcount(pfn), frames.flags(pfn) & FRAME_DIRTY]).toEqual([1, FRAME_DIRTY]);
  });
  it('keep a page that nothing maps while somebody refers to them', () => {
    const { swap, frames, slot, pfn } = cachedSlot();
    expect([frames.dropPte(pfn, 1), swap.unmapped(frames, pfn), frames.isUsed(pfn)]).toEqual([
      0,
      false,
      true,
    ]);
    swap.drop(frames, slot);
    expect([frames.isUsed(pfn), swap.nrUsed]).toEqual([false, 0]);
  });
  it('follow a page to another frame', () => {
    const { swap, slot, pfn } = cachedSlot();
    swap.migrate(pfn, 99);
    expect([swap.slotOf(pfn), swap.slotOf(99), swap.cached(slot)]).toEqual([null, slot, 99]);
  });
});

/** A slot that somebody refers to, and the page that was read from it, mapped once. */
function cachedSlot(): { swap: Swap; frames: Frames; slot: number; pfn: number } {
  const [swap, frames] = [new Swap(2), new Frames()];
  const slot = swap.allocate(5) ?? 0;
  const pfn = frames.allocate(FRAME_ANON | FRAME_SWAPBACKED, 1, 0);
  frames.addPte(pfn, 1);
  swap.cache(frames, slot, pfn);
  return { swap, frames, slot, pfn };
}

const out = (pages = 4, slots = 16): Memory => {
  const memory = oneProcess(slots);
  memory.map(0, pages);
  memory.touch(0, 'write', { pages, stamp: 10 });
  memory.advise(0, pages, MADV_PAGEOUT);
  return memory;
};

describe('pages that were paged out', () => {
  it('leave their frames and keep what they hold', () => {
    const memory = out();
    const { kernel } = memory.machine;
    expect([memory.kinds(0, 4), memory.resident, kernel.frames.nrUsed, kernel.swap.nrUsed]).toEqual([
      ['swap'],
      [0, 0, 0, 4],
      0,
      4,
    ]);
    expect(memory.holds(2)).toBe(12);
  });
  it('come back by a load, writable and clean, as a major fault', () => {
    const memory = out();
    const { minFlt } = memory.mm;
    expect([memory.read(2), memory.holds(2), memory.bits(2)]).toEqual(['swap-in', 12, 'wye']);
    expect([memory.mm.majFlt, memory.mm.minFlt, memory.resident]).toEqual([1, minFlt, [1, 0, 0, 3]]);
    expect([memory.write(2, 5), memory.holds(2)]).toEqual(['hit', 5]);
  });
  it('come back by a store, dirty', () => {
    const memory = out();
    expect([memory.write(2, 5), memory.bits(2), memory.holds(2)]).toEqual(['swap-in', 'wdye', 5]);
  });
  it('come back without write access where there is none', () => {
    const memory = out();
    memory.protect(0, 4, PROT_READ);
    expect([memory.read(2), memory.bits(2)]).toEqual(['swap-in', 'ye']);
  });
  it('free their slot when they are discarded, unmapped, or the process ends', () => {
    const memory = out();
    const { swap } = memory.machine.kernel;
    memory.advise(0, 1, MADV_DONTNEED);
    expect(swap.nrUsed).toBe(3);
    memory.unmap(1, 1);
    expect(swap.nrUsed).toBe(2);
    memory.exit();
    expect(swap.nrUsed).toBe(0);
  });
  it('stay where they are when there is no room', () => {
    const memory = out(4, 3);
    expect([memory.resident, memory.kinds(0, 4)]).toEqual([
      [1, 0, 0, 3],
      ['swap', 'anonymous'],
    ]);
  });
  it('are none of those that two processes map', () => {
    const memory = oneProcess(8);
    memory.map(0, 2);
    memory.touch(0, 'write', { pages: 2 });
    const child = memory.fork();
    memory.write(0);
    child.advise(0, 2, MADV_PAGEOUT);
    // Page 0 is the child's alone since the parent copied it.
    expect([child.kinds(0, 1), child.kinds(1, 1)]).toEqual([['swap'], ['anonymous']]);
  });
});

describe('a slot that two processes hold', () => {
  it('is read once; both find the same page, and who writes first copies it', () => {
    const memory = out(1);
    const child = memory.fork();
    expect([memory.read(0), child.read(0), child.pfn(0)]).toEqual(['swap-in', 'swap-cached', memory.pfn(0)]);
    expect([memory.holds(0), child.holds(0), memory.machine.kernel.frames.nrUsed]).toEqual([10, 10, 1]);
    expect([child.write(0, 6), memory.holds(0), child.holds(0)]).toEqual(['cow', 10, 6]);
  });
  it('gives a store of one its own copy', () => {
    const memory = out(1);
    const child = memory.fork();
    child.write(0, 6);
    expect([memory.at(0).kind, memory.holds(0), child.holds(0), child.bits(0)]).toEqual([
      'swap',
      10,
      6,
      'wdye',
    ]);
    expect([memory.read(0), memory.holds(0)]).toEqual(['swap-cached', 10]);
  });
  it('is exclusive again when the other is gone', () => {
    const memory = out(1);
    memory.fork().exit();
    expect([memory.write(0, 6), memory.bits(0), memory.holds(0)]).toEqual(['swap-in', 'wdye', 6]);
  });
  it('is freed when both are gone', () => {
    const memory = out(1);
    const child = memory.fork();
    const { swap } = memory.machine.kernel;
    memory.unmap(0, 1);
    expect(swap.nrUsed).toBe(1);
    child.exit();
    expect(swap.nrUsed).toBe(0);
  });
});

describe('what is read ahead', () => {
  it('is in the swap cache, and comes from there by a minor fault', () => {
    const memory = out(2);
    memory.advise(0, 1, MADV_WILLNEED);
    const { frames } = memory.machine.kernel;
    expect([memory.kinds(0, 2), memory.resident, frames.nrUsed]).toEqual([['swap'], [0, 0, 0, 2], 1]);
    expect([memory.read(0), memory.read(1), memory.holds(0)]).toEqual(['swap-cached', 'swap-in', 10]);
  });
  it('goes with the last entry', () => {
    const memory = out(2);
    memory.advise(0, 2, MADV_WILLNEED);
    memory.unmap(0, 2);
    const { frames, swap } = memory.machine.kernel;
    expect([frames.nrUsed, swap.nrUsed]).toEqual([0, 0]);
  });
});

describe('shared memory that is paged out', () => {
  const shared = (): { machine: Machine; memory: Memory } => {
    const machine = new Machine(16);
    const memory = machine.spawn();
    memory.map(0, 4, { object: machine.memfd(4), shared: true });
    memory.touch(0, 'write', { pages: 4, stamp: 10 });
    memory.advise(0, 4, MADV_PAGEOUT);
    return { machine, memory };
  };
  it('leaves the table and the file, and comes back by a major fault', () => {
    const { machine, memory } = shared();
    const { frames, swap } = machine.kernel;
    expect([memory.kinds(0, 4), frames.nrUsed, swap.nrUsed]).toEqual([['none'], 0, 4]);
    expect([memory.read(2), memory.holds(2), frames.nrUsed, swap.nrUsed]).toEqual(['swap-in', 12, 1, 3]);
  });
  it('is read ahead into the swap cache', () => {
    const { machine, memory } = shared();
    memory.advise(0, 4, MADV_WILLNEED);
    expect([machine.kernel.frames.nrUsed, memory.read(2), memory.holds(2)]).toEqual([4, 'shmem-cached', 12]);
  });
  it('goes with the hole', () => {
    const { machine, memory } = shared();
    memory.advise(0, 2, MADV_REMOVE);
    expect(machine.kernel.swap.nrUsed).toBe(2);
    expect([memory.read(0), memory.holds(0)]).toEqual(['shmem-new', 0]);
  });
});

describe('pages of files', () => {
  it('stay; copies of them go to swap', () => {
    const machine = new Machine(16);
    const memory = machine.spawn();
    memory.map(0, 4, { object: machine.file(4) });
    memory.read(0);
    memory.write(1);
    memory.advise(0, 4, MADV_PAGEOUT);
    expect([memory.at(0).kind, memory.at(1).kind]).toEqual(['file', 'swap']);
  });
});
