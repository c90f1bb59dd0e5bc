/**
 * Purging volatile ranges: what reclaim does before it looks at anything else, and MADV_PAGEOUT where it meets them.
 *
 * A page goes if everybody who has it has it in a volatile range, nobody has locked it and the kernel does not hold it; a copy in swap counts as the page. Its entries become markers, which raise SIGBUS
 * and tell NOVOLATILE. Nothing is written to swap. Ranges are taken in the order in which they were marked: of one that goes as a whole (`full`) all
 * that can go does, more than was asked for or not; of others 32 pages, the lowest first, then it is the next one's turn.
 *
 * Every range goes back into the queue, even if nothing is left of it: memory in it may be touched for the first time later, unlocked, or left by
 * the last one who needed it.
 *
 * Cost    linear in the touched entries of the ranges that are visited, for each page the vmas that may share it
 * Linux   never merged; seed 002 (v7: try_to_discard_one, discard_vrange), v10 for the order. spec/volatile-ranges.md 3.4
 * Left out   a lock that may be busy
 */
import { type Addr, floorTo, PAGE_SIZE, type Pgoff, PMD_SIZE } from '../base/units.ts';
import type { PurgeCause } from './events.ts';
import { FRAME_SWAPCACHE } from './frames.ts';
import { splitFolio, splitPmd } from './hugeMemory.ts';
import type { Kernel } from './kernel.ts';
import type { MemoryGroup } from './memoryGroup.ts';
import type { Mm } from './mm.ts';
import { HUGE, KIND_MASK, MARKER, MARKER_PURGED, PRESENT, SWAP } from './pte.ts';
import { linearIndex, releaseEntry } from './rmap.ts';
import { TlbGather } from './tlb.ts';
import { isAnonymousVma, type Vma } from './vma.ts';
import { VM_LOCKED } from './vmFlags.ts';
import type { VrangeNode } from './vrangeTree.ts';
import { FACT, PATH } from './work.ts';

/** Pages that are taken of a `partial` range at a time. Linux: SWAP_CLUSTER_MAX */
const CLUSTER = 32;

/** One entry that has the page, or its copy in swap. */
interface Holder {
  readonly mm: Mm;
  readonly vma: Vma;
  readonly addr: Addr;
}

/** Whether a page may go, or who is in the way. */
export type PurgeVerdict = 'purged' | 'not-volatile' | 'locked' | 'shared' | 'pinned' | 'nothing-there';

/** The flushes of one visit: one for each address space. */
class Batch {
  readonly #gathers = new Map<Mm, TlbGather>();

  /** An entry was taken away. */
  changed(mm: Mm, addr: Addr): void {
    const gather = this.#gathers.get(mm) ?? new TlbGather(mm);
    this.#gathers.set(mm, gather);
    gather.changed(addr, addr + PAGE_SIZE);
  }
  /** Flushes. */
  finish(): void {
    for (const gather of this.#gathers.values()) gather.finish();
  }
}

/**
 * Purges volatile pages of all address spaces, or of those of one group of processes.
 * @param wanted  pages that reclaim would like to have; infinity: all that may go
 * @param group   null: all address spaces
 * @returns       how many went: more than `wanted` where a range goes as a whole
 */
export function purgeVolatile(kernel: Kernel, wanted: number, group: MemoryGroup | null = null): number {
  let done = 0;
  for (let round = Number.POSITIVE_INFINITY; done < wanted && round > 0; ) {
    round = 0;
    for (let left = kernel.vrangeLru.size; left > 0 && done < wanted; left--) {
      const node = kernel.vrangeLru.oldest;
      if (node === null) break;
      const most = node.behavior === 'full' ? Number.POSITIVE_INFINITY : Math.min(CLUSTER, wanted - done);
      const purged = group === null || node.mm.memory === group ? purgeNode(node, most, 'reclaim') : 0;
      kernel.vrangeLru.rotate(node);
      // Of one that goes as a whole nothing is left to come back for.
      if (node.behavior === 'partial') round += purged;
      done += purged;
    }
  }
  if (done > wanted) kernel.work.count(FACT.vrangeOvershoot, done - wanted);
  return done;
}

/** Purges at most `most` pages of a node, the lowest first. */
function purgeNode(node: VrangeNode, most: number, why: PurgeCause): number {
  const { mm, start, end } = node;
  const addrs: Addr[] = [];
  mm.pages.forEach(node.start, node.end, (addr, low) => {
    const kind = low & KIND_MASK;
    if (kind !== PRESENT && kind !== SWAP) return;
    const from = Math.max(addr, node.start);
    const to = low & HUGE ? Math.min(addr + PMD_SIZE, node.end) : addr + PAGE_SIZE;
    for (let at = from; at < to; at += PAGE_SIZE) addrs.push(at);
  });
  const visit = new PurgeVisit(mm, { start, end }, why);
  for (const addr of addrs) {
    if (visit.purged >= most) break;
    visit.page(addr);
  }
  visit.finish();
  return visit.purged;
}

/** A visit to pages of one range: one flush for each address space, one event. */
export class PurgeVisit {
  readonly #mm: Mm;
  readonly #range: { readonly start: Addr; readonly end: Addr };
  readonly #why: PurgeCause;
  readonly #batch = new Batch();
  readonly #seen = { purged: 0, locked: 0, shared: 0, pinned: 0 };
  #looked = false;

  constructor(mm: Mm, range: { readonly start: Addr; readonly end: Addr }, why: PurgeCause) {
    this.#mm = mm;
    this.#range = range;
    this.#why = why;
  }

  /** Pages that went so far. */
  get purged(): number {
    return this.#seen.purged;
  }
  /**
   * Purges the page at `addr`, if it may go: from everybody who has it.
   * Facts   pagesPurged, purgeSkippedLocked, purgeSkippedShared, purgeSkippedPinned
   */
  page(addr: Addr): PurgeVerdict {
    this.#looked = true;
    const verdict = purgeInto(this.#mm, addr, this.#batch);
    if (verdict !== 'not-volatile' && verdict !== 'nothing-there') this.#seen[verdict]++;
    return verdict;
  }
  /** Flushes, and tells, if any page was looked at. Events: vrangePurge */
  finish(): void {
    if (!this.#looked) return;
    this.#batch.finish();
    const { kernel, id } = this.#mm;
    const { start, end } = this.#range;
    kernel.emit?.({
      kind: 'vrangePurge',
      op: kernel.opNr,
      mm: id,
      start,
      end,
      why: this.#why,
      ...this.#seen,
    });
  }
}

function purgeInto(mm: Mm, addr: Addr, batch: Batch): PurgeVerdict {
  const vma = mm.vmas.at(addr);
  if (vma === null || !isAnonymousVma(vma)) return 'nothing-there';
  const { work } = mm.kernel;
  work.count(FACT.purgePagesScanned);
  const verdict = purgeVerdict(mm, vma, addr);
  if (verdict === 'locked') work.count(FACT.purgeSkippedLocked);
  else if (verdict === 'shared') work.count(FACT.purgeSkippedShared);
  else if (verdict === 'pinned') work.count(FACT.purgeSkippedPinned);
  if (verdict !== 'purged') return verdict;
  breakHuge(mm, vma, addr);
  // The entries may be others now: a huge page of zeros becomes zero pages, which nobody needs to purge.
  const held = heldAt(mm, addr);
  if (held === null) return 'nothing-there';
  const holders = holdersOf(vma, addr, held);
  const isInSwap = holders.every((holder) => (holder.mm.pages.low(holder.addr) & KIND_MASK) === SWAP);
  for (const holder of holders) markPurged(holder, batch);
  work.count(FACT.pagesPurged);
  work.charge(isInSwap ? PATH['zap-swap'] : PATH.purge, 0, 1);
  if (holders.length > 1) work.charge(PATH['zap-shared'], 0, holders.length - 1);
  return 'purged';
}

/** Decides whether the page at `addr` goes. */
function purgeVerdict(mm: Mm, vma: Vma, addr: Addr): PurgeVerdict {
  const held = heldAt(mm, addr);
  if (held === null) return 'nothing-there';
  const holders = holdersOf(vma, addr, held);
  if (holders.some((holder) => holder.vma.flags & VM_LOCKED)) return 'locked';
  if (mm.kernel.frames.isPinned(held.pfn)) return 'pinned';
  const isFree = (holder: Holder): boolean => holder.mm.vranges?.at(holder.addr) != null;
  if (holders.every(isFree)) return 'purged';
  return isFree({ mm, vma, addr }) ? 'shared' : 'not-volatile';
}

/** The page at an address: its frame and its slot in swap, 0 for none of it. */
interface Held {
  readonly pfn: number;
  readonly slot: number;
}

function heldAt(mm: Mm, addr: Addr): Held | null {
  const { pages, kernel } = mm;
  const pmd = pages.pmd(addr);
  if (pmd & HUGE) {
    if ((pmd & KIND_MASK) !== PRESENT) return null;
    return { pfn: pages.pmdHigh(addr) + (addr % PMD_SIZE) / PAGE_SIZE, slot: 0 };
  }
  const kind = pages.low(addr) & KIND_MASK;
  const high = pages.high(addr);
  if (kind === SWAP) return { pfn: kernel.swap.cached(high), slot: high };
  if (kind !== PRESENT || !kernel.frames.isAnon(high)) return null;
  const isInSwapCache = (kernel.frames.flags(high) & FRAME_SWAPCACHE) !== 0;
  return { pfn: high, slot: isInSwapCache ? (kernel.swap.slotOf(high) ?? 0) : 0 };
}

const isSame = (a: Held | null, b: Held): boolean =>
  a !== null && ((b.pfn !== 0 && a.pfn === b.pfn) || (b.slot !== 0 && a.slot === b.slot));

/**
 * Returns everybody who has the page `held` at `addr` of `vma`, in memory or in swap. Who may have it hangs on one of the anon_vmas in the chain of `vma`, at the same page offset.
 */
function holdersOf(vma: Vma, addr: Addr, held: Held): Holder[] {
  const index: Pgoff = linearIndex(vma, addr);
  const candidates = new Set<Vma>([vma]);
  for (const anonVma of vma.chain) for (const attached of anonVma.attached) candidates.add(attached);
  const holders: Holder[] = [];
  for (const other of candidates) {
    const at = other.start + (index - other.pgoff) * PAGE_SIZE;
    if (other.mm === null || at < other.start || at >= other.end) continue;
    if (isSame(heldAt(other.mm, at), held)) holders.push({ mm: other.mm, vma: other, addr: at });
  }
  return holders;
}

/** Makes an entry of its own of a page that is part of 2 MiB mapped at once, or of a huge folio. */
function breakHuge(mm: Mm, vma: Vma, addr: Addr): void {
  const { pages, kernel } = mm;
  const pmd = pages.pmd(addr);
  if (pmd & HUGE) {
    splitPmd(mm, vma, floorTo(addr, PMD_SIZE));
    if (kernel.frames.isLarge(pages.high(addr))) splitFolio(mm, pages.high(addr));
  } else if ((pages.low(addr) & KIND_MASK) === PRESENT && kernel.frames.isLarge(pages.high(addr)))
    splitFolio(mm, pages.high(addr));
}

function markPurged({ mm, addr }: Holder, batch: Batch): void {
  const { pages, kernel } = mm;
  const low = pages.low(addr);
  if ((low & KIND_MASK) === PRESENT) batch.changed(mm, addr);
  releaseEntry(mm, low, pages.high(addr));
  pages.set(addr, MARKER, MARKER_PURGED);
  kernel.work.count(FACT.markersSet);
  const node = mm.vranges?.at(addr) ?? null;
  if (node !== null) node.hint = true;
}
