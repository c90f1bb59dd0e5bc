/**
 * Strategies whose heap is private anonymous memory. The pause moves all of it to another range by one mremap with MREMAP_DONTUNMAP, which moves page
 * tables; the heap is empty then, and registered, so that a mutator's access asks for the page.
 *
 *   uffd-copy          pages are made in place, or in a buffer, and copied into the heap; all of the old heap is given back at the end
 *   uffd-move          pages are made in place, or in a page of the old heap that is not needed any more, and moved into the heap
 *   mremap-onlypages   the same with the call that the thread proposes as its second way
 *   mremap             the same with what there was: a page becomes a vma of its own
 *
 * All three of the latter recycle pages: once all live objects were taken out of a page of the old heap, the next ones go into it.
 */
import {
  MADV_DONTNEED,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  MREMAP_ONLYPAGES,
  PROT_NONE,
} from '../../abi/mman.ts';
import { UsageError } from '../../base/assert.ts';
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import { DONE, type Outcome, type Running, type Thread } from '../../machine/index.ts';
import { PagePool } from './pagePool.ts';
import { type Plan, SLID } from './plan.ts';
import { Registration } from './registration.ts';
import { countPages, giveBackRange, type Room, refuse, reserve, Strategy } from './strategy.ts';

const MISSING = 1;

/** The heap, the range that it is moved to in the pause, and its userfaultfd. */
export abstract class Anonymous extends Strategy {
  readonly copiesCold: boolean = false;
  readonly registration = new Registration(this.options, MISSING);
  protected from: Addr = 0;

  *setUp(t: Thread): Running<void> {
    const { pages, bytes } = this.heap;
    this.heap.base = yield* t.mmap(bytes, { at: yield* reserve(t, pages) });
    this.from = yield* t.mmap(bytes, { at: yield* reserve(t, pages), prot: PROT_NONE });
    yield* this.registration.open(t);
  }
  *flip(t: Thread, plan: Plan): Running<void> {
    this.plan = plan;
    const outcome = yield* this.moveAway(t, this.heap.base, this.heap.bytes);
    if (outcome.kind === 'errno' && outcome.errno === 'ENOMEM')
      throw new UsageError(
        'compacting-gc: moving the heap away needs more vmas than vm.max_map_count allows: it has as many as it was handed over in',
        'a larger maps, or another strategy',
      );
    if (outcome.kind !== 'value')
      refuse('mremap of the heap', outcome.kind === 'errno' ? outcome.errno : outcome.kind);
    yield* this.registration.arm(t, this.leavesVmas);
  }
  /** Parts of the heap have become mappings that are not registered. */
  protected readonly leavesVmas: boolean = false;
  /** Moves a part of the heap to where the old heap is. */
  protected *moveAway(t: Thread, addr: Addr, len: number): Running<Outcome> {
    this.tally.callsInPauses++;
    const flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
    const newAddr = this.from + (addr - this.heap.base);
    return yield* t.attempt({ call: 'mremap', addr, oldLen: len, newLen: len, flags, newAddr });
  }
  sourceOf(page: number): Addr {
    return this.from + page * PAGE_SIZE;
  }
  *fresh(t: Thread, page: number): Running<void> {
    yield* this.registration.fill(t, 'zeropage', { start: this.heap.addressOf(page), len: PAGE_SIZE });
  }
  *giveBack(t: Thread): Running<void> {
    yield* this.registration.disarm(t);
    yield* this.giveBackOld(t);
    this.plan = null;
  }
  protected *giveBackOld(t: Thread): Running<void> {
    yield* giveBackRange(t, this.tally, { at: this.from, len: this.heap.bytes, advice: MADV_DONTNEED });
  }
}

/** UFFDIO_COPY. */
export class UffdCopy extends Anonymous {
  readonly #buffers = new Map<Thread, Addr>();

  *room(t: Thread, _first: number, pages: number): Running<Room> {
    let at = this.#buffers.get(t);
    if (at === undefined) {
      at = yield* t.mmap(this.options.batch * PAGE_SIZE);
      this.#buffers.set(t, at);
    }
    return { at, pages: Math.min(pages, this.options.batch) };
  }
  *place(t: Thread, first: number, pages: number, at: Addr): Running<boolean> {
    const start = this.heap.addressOf(first);
    yield* this.registration.fill(t, 'copy', { start, len: pages * PAGE_SIZE, source: at });
    return true;
  }
}

/** What the strategies share that recycle pages. */
abstract class Recycling extends Anonymous {
  readonly #pool = new PagePool();
  #spare: Addr = 0;
  #nextSpare = 0;

  override *flip(t: Thread, plan: Plan): Running<void> {
    yield* super.flip(t, plan);
    this.#pool.clear();
    // Pages with garbage only are free from the start.
    for (let page = 0; page < this.heap.pages; page++)
      if (plan.regionOf(page) === SLID && this.heap.inUse[page] === 1 && plan.unconsumed[page] === 0)
        this.freed(page);
  }
  override freed(page: number): void {
    this.#pool.put(this.sourceOf(page));
  }
  *room(t: Thread, _first: number, pages: number): Running<Room> {
    return this.#pool.take(pages) ?? (yield* this.spareRoom(t, pages));
  }
  /** Before pages come free there are some besides; they are used in turn, and are new again when they were handed over. */
  protected *spareRoom(t: Thread, pages: number): Running<Room> {
    const size = this.options.batch;
    if (this.#spare === 0) this.#spare = yield* t.mmap(NR_SPARES * size * PAGE_SIZE);
    const at = this.#spare + (this.#nextSpare++ % NR_SPARES) * size * PAGE_SIZE;
    return { at, pages: Math.min(pages, size) };
  }
  *place(t: Thread, first: number, pages: number, at: Addr): Running<boolean> {
    yield* this.handOver(t, this.heap.addressOf(first), pages * PAGE_SIZE, at);
    return true;
  }
  protected abstract handOver(t: Thread, start: Addr, len: number, at: Addr): Running<void>;
}

const NR_SPARES = 64;

/** UFFDIO_MOVE. */
export class UffdMove extends Recycling {
  protected *handOver(t: Thread, start: Addr, len: number, at: Addr): Running<void> {
    yield* this.registration.move(t, { start, len, source: at });
  }
}

/** mremap with MREMAP_ONLYPAGES. */
export class OnlyPages extends Recycling {
  protected *handOver(t: Thread, start: Addr, len: number, at: Addr): Running<void> {
    const flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_ONLYPAGES;
    yield* t.call({ call: 'mremap', addr: at, oldLen: len, newLen: len, flags, newAddr: start });
    // The call knows nothing of who waits.
    if (!this.options.sigbus) yield* this.registration.uffd.wake(t, start, len);
  }
}

/** mremap as it is. */
export class Mremap extends Recycling {
  protected override readonly leavesVmas = true;
  /** What was handed over is not mapped there any more. */
  protected override *spareRoom(t: Thread, pages: number): Running<Room> {
    return { at: yield* t.mmap(pages * PAGE_SIZE), pages };
  }
  /** The heap may have become many vmas; a call for all of them is refused where some are registered, and before 6.17. */
  protected override *moveAway(t: Thread, addr: Addr, len: number): Running<Outcome> {
    const outcome = yield* super.moveAway(t, addr, len);
    if (outcome.kind !== 'errno' || outcome.errno !== 'EFAULT') return outcome;
    this.tally.remapsRefused++;
    let last: Outcome = DONE;
    for (const vma of yield* this.#readMaps(t)) {
      // What the refused call had moved already holds nothing any more, and must not be moved over its own pages.
      if (countPages(t.mm, vma.start, vma.end) === 0) continue;
      last = yield* super.moveAway(t, vma.start, vma.end - vma.start);
      if (last.kind !== 'value') return last;
    }
    return last;
  }
  /** Reads from /proc/self/maps which vmas the heap has: it pays for all of the process. */
  *#readMaps(t: Thread): Running<readonly { start: Addr; end: Addr }[]> {
    const { base, bytes } = this.heap;
    const all = t.mm === null ? [] : [...t.mm.vmas];
    yield* t.owe(all.length * this.procMapsNs);
    return all
      .filter(({ start, end }) => end > base && start < base + bytes)
      .map(({ start, end }) => ({ start: Math.max(start, base), end: Math.min(end, base + bytes) }));
  }
  /** Reading one line of maps, nanoseconds. */
  procMapsNs = 0;

  protected *handOver(t: Thread, start: Addr, len: number, at: Addr): Running<void> {
    for (let done = 0; done < len; ) {
      const piece = this.#inOneVma(t, at + done, len - done);
      const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
      const newAddr = start + done;
      const outcome = yield* t.attempt({
        call: 'mremap',
        addr: at + done,
        oldLen: piece,
        newLen: piece,
        flags,
        newAddr,
      });
      if (outcome.kind === 'errno' && outcome.errno === 'ENOMEM') {
        // No vma more: the page is copied instead, and its place is armed still.
        this.tally.mapLimitHits++;
        yield* this.registration.fill(t, 'copy', { start: newAddr, len: piece, source: at + done });
      } else if (outcome.kind !== 'value')
        refuse('mremap of a page', outcome.kind === 'errno' ? outcome.errno : outcome.kind);
      done += piece;
    }
    if (!this.options.sigbus) yield* this.registration.uffd.wake(t, start, len);
  }
  /** What of a range one vma holds: the old heap has the vmas that the heap had. */
  #inOneVma({ mm }: Thread, at: Addr, len: number): number {
    const vma = mm?.vmas.at(at) ?? null;
    return vma === null ? len : Math.min(len, vma.end - at);
  }
  protected override *giveBackOld(t: Thread): Running<void> {
    this.tally.pagesGivenBack += countPages(t.mm, this.from, this.from + this.heap.bytes);
    this.tally.giveBackCalls++;
    // A new mapping over what is left of it keeps its place.
    yield* t.mmap(this.heap.bytes, { at: this.from, prot: PROT_NONE });
  }
}
