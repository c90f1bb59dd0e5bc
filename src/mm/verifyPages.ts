/**
 * The invariants of pages: entries, frames, counters and reverse mapping recounted from the tables.
 *
 * One walk over all entries of all address spaces collects who maps what; each invariant is then a comparison. docs/invariants.md has a paragraph
 * for each, verify.test.ts breaks each on purpose.
 * Cost   every entry once, every frame once; a huge mapping counts as one entry, its frames are looked at
 */
import { type Addr, hex, PAGE_SIZE, TASK_SIZE } from '../base/units.ts';
import { FRAME_SWAPCACHE, HUGE_PAGES, type Pfn } from './frames.ts';
import type { Kernel } from './kernel.ts';
import type { Mm } from './mm.ts';
import {
  EXCLUSIVE,
  HUGE,
  holdsFrame,
  KIND_MASK,
  kindName,
  MARKER,
  MIGRATION,
  PRESENT,
  SWAP,
  UFFD_WP,
  WRITE,
  ZERO_PAGE,
} from './pte.ts';
import { linearIndex } from './rmap.ts';
import { isInverted, isStoreAwaited } from './storeBits.ts';
import type { Vma } from './vma.ts';

/** One invariant: `broken` returns null, or a sentence with the values. */
interface Invariant<T> {
  readonly name: string;
  readonly broken: (what: T) => string | null;
}

/** An entry with the vma around it (null: none). One record is used for all entries of a walk. */
interface FoundEntry {
  readonly mm: Mm;
  vma: Vma | null;
  addr: Addr;
  low: number;
  high: number;
}

/** Returns the first invariant of entries that is broken, with a sentence, or null. */
export function firstBrokenEntry(mm: Mm): { readonly name: string; readonly sentence: string } | null {
  let found: { name: string; sentence: string } | null = null;
  let vma = mm.vmas.first;
  const entry: FoundEntry = { mm, vma, addr: 0, low: 0, high: 0 };
  mm.pages.forEach(0, TASK_SIZE, (addr, low, high) => {
    if (found !== null) return;
    while (vma !== null && vma.end <= addr) vma = vma.next;
    entry.vma = vma !== null && vma.start <= addr ? vma : null;
    entry.addr = addr;
    entry.low = low;
    entry.high = high;
    for (let i = 0; i < ENTRY_INVARIANTS.length && found === null; i++) {
      const { name, broken } = ENTRY_INVARIANTS[i] as Invariant<FoundEntry>;
      const wrong = broken(entry);
      if (wrong !== null) found = { name, sentence: `${wrong} (${kindName(low)} entry at ${hex(addr)})` };
    }
  });
  return found;
}

const notHeld = ({ mm, low, high }: FoundEntry): string | null => {
  const { frames, swap } = mm.kernel;
  switch (low & KIND_MASK) {
    case PRESENT:
    case MIGRATION:
      return high > 0 && frames.isUsed(high) && frames.mapcount(high) > 0
        ? null
        : `frame ${high} is not in use, or counts no mapping`;
    case ZERO_PAGE:
      return high === 0 ? null : `it holds frame ${high} and should hold none`;
    case SWAP:
      return swap.count(high) > 0 ? null : `slot ${high} counts no entry`;
    case MARKER:
      return high > 0 ? null : 'a marker that marks nothing';
    default:
      return 'no kind that a page has';
  }
};

const withoutAnonVma = ({ mm, vma, low, high }: FoundEntry): string | null =>
  holdsFrame(low) && mm.kernel.frames.isAnon(high) && vma?.anonVma === null
    ? 'its vma has no anon_vma'
    : null;

const crossesVma = ({ vma, addr, low }: FoundEntry): string | null =>
  low & HUGE && vma !== null && addr + HUGE_PAGES * PAGE_SIZE > vma.end ? 'it reaches beyond its vma' : null;

const notReached = ({ mm, vma, addr, low, high }: FoundEntry): string | null => {
  if (!holdsFrame(low) || vma === null) return null;
  const { frames, anonVmas, objects } = mm.kernel;
  // The kernel's own mappings show pages that no object leads to.
  if (vma.special !== null && !frames.isAnon(high)) return null;
  const owner = frames.owner(high);
  const reached = frames.isAnon(high) ? anonVmas.get(owner)?.attached : objects.get(owner)?.vmas;
  if (reached?.has(vma) !== true)
    return `frame ${high} belongs to ${owner}, which does not lead to vma ${vma.id}`;
  const index = linearIndex(vma, addr);
  return frames.index(high) === index
    ? null
    : `frame ${high} is at ${frames.index(high)}, its place is ${index}`;
};

/** Exclusive pages are mapped once, and written through that one entry. */
const notExclusive = ({ mm, low, high }: FoundEntry): string | null => {
  if ((low & EXCLUSIVE) === 0) return null;
  const { frames, swap } = mm.kernel;
  if ((low & KIND_MASK) === SWAP)
    return swap.count(high) === 1 ? null : `slot ${high} is held more than once`;
  if (!frames.isAnon(high)) return `frame ${high} is not anonymous`;
  return frames.mapcount(high) === 1 ? null : `frame ${high} is mapped ${frames.mapcount(high)} times`;
};

/** Where writes are noted, an entry that lets stores through has been noted. */
const unnoted = ({ vma, low }: FoundEntry): string | null =>
  low & WRITE && vma !== null && isStoreAwaited(vma, low) ? 'a store to it would not be noted' : null;
const unmarked = ({ vma, low }: FoundEntry): string | null =>
  low & WRITE && vma !== null && isInverted(vma) && (low & UFFD_WP) === 0
    ? 'a store to it would not be noted by userfaultfd'
    : null;

/** Pages that entries of an address space hold, by the counter they belong to. */
function wrongRss(mm: Mm): string | null {
  const { frames } = mm.kernel;
  const is = { rssAnon: 0, rssFile: 0, rssShmem: 0, nrSwap: 0 };
  mm.pages.forEach(0, TASK_SIZE, (_addr, low, high) => {
    if ((low & KIND_MASK) === SWAP) is.nrSwap++;
    if (holdsFrame(low)) is[frames.counterOf(high)] += low & HUGE ? HUGE_PAGES : 1;
  });
  for (const [name, count] of Object.entries(is))
    if (mm[name as keyof typeof is] !== count)
      return `${name} says ${mm[name as keyof typeof is]}, the entries say ${count}`;
  return null;
}

/** The invariants of single entries. */
export const ENTRY_INVARIANTS: readonly Invariant<FoundEntry>[] = [
  { name: 'pte-in-vma', broken: (entry) => (entry.vma === null ? 'it lies in no vma' : crossesVma(entry)) },
  { name: 'pte-frame', broken: notHeld },
  { name: 'fault-anon', broken: withoutAnonVma },
  { name: 'rmap-reach', broken: notReached },
  { name: 'frame-exclusive', broken: notExclusive },
  { name: 'soft-dirty', broken: unnoted },
  { name: 'uffd-inverted', broken: unmarked },
];

/** The invariants of the tables of one address space. */
export const TABLE_INVARIANTS: readonly Invariant<Mm>[] = [
  { name: 'table-used', broken: (mm) => mm.pages.verify() },
  { name: 'rss', broken: wrongRss },
];

/** Who maps what, over all address spaces. */
interface Holders {
  readonly kernel: Kernel;
  readonly mappings: Int32Array;
  readonly slots: ReadonlyMap<number, number>;
}

/** Counts the entries of all address spaces that hold each frame and each slot. */
export function countHolders(kernel: Kernel, mms: readonly Mm[]): Holders {
  const mappings = new Int32Array(kernel.frames.limit);
  const slots = new Map<number, number>();
  for (const mm of mms)
    mm.pages.forEach(0, TASK_SIZE, (_addr, low, high) => {
      if ((low & KIND_MASK) === SWAP) slots.set(high, (slots.get(high) ?? 0) + 1);
      if (!holdsFrame(low)) return;
      const pages = low & HUGE ? HUGE_PAGES : 1;
      for (let i = 0; i < pages; i++) mappings[high + i] = (mappings[high + i] as number) + 1;
    });
  for (const slot of kernel.sharedSwap.all()) slots.set(slot, (slots.get(slot) ?? 0) + 1);
  return { kernel, mappings, slots };
}

function wrongMapcount({ kernel, mappings }: Holders): string | null {
  for (let pfn: Pfn = 1; pfn < mappings.length; pfn++) {
    const has = kernel.frames.isUsed(pfn) ? kernel.frames.mapcount(pfn) : 0;
    if (has !== mappings[pfn]) return `frame ${pfn} counts ${has} mappings, the tables hold ${mappings[pfn]}`;
  }
  return null;
}

function lostFrames({ kernel, mappings }: Holders): string | null {
  const { frames } = kernel;
  const cached = new Set(kernel.cache.allFrames());
  let used = 0;
  for (let pfn: Pfn = 1; pfn < mappings.length; pfn++) {
    if (!frames.isUsed(pfn)) continue;
    used++;
    const isHeld =
      (mappings[pfn] as number) > 0 ||
      cached.has(pfn) ||
      kernel.swap.slotOf(pfn) !== null ||
      frames.isPinned(pfn) ||
      (frames.isLarge(pfn) && frames.isMappedFolio(pfn));
    if (!isHeld) return `frame ${pfn} is in use and nothing holds it`;
  }
  return used === frames.nrUsed ? null : `${frames.nrUsed} frames are counted as used, ${used} are`;
}

function wrongSlots({ kernel, slots }: Holders): string | null {
  for (const [slot, count] of kernel.swap.counts())
    if (count !== (slots.get(slot) ?? 0))
      return `slot ${slot} counts ${count} who refer to it, there are ${slots.get(slot) ?? 0}`;
  for (const slot of slots.keys()) if (kernel.swap.count(slot) === 0) return `slot ${slot} is held and free`;
  return null;
}

/** Slots and the frames in the swap cache know each other; one of both is held by somebody. */
function wrongSwapCache({ kernel, mappings }: Holders): string | null {
  const { frames, swap } = kernel;
  let cached = 0;
  for (const [slot, count, pfn] of swap.counts()) {
    if (pfn === 0) {
      if (count === 0) return `slot ${slot} is in use and nobody refers to it`;
      continue;
    }
    cached++;
    if (!frames.isUsed(pfn) || (frames.flags(pfn) & FRAME_SWAPCACHE) === 0)
      return `slot ${slot} is in step with frame ${pfn}, which is not in the swap cache`;
    if (swap.slotOf(pfn) !== slot)
      return `frame ${pfn} is in step with slot ${swap.slotOf(pfn)}, not ${slot}`;
    if (count === 0 && mappings[pfn] === 0) return `nothing maps frame ${pfn}, nobody refers to slot ${slot}`;
  }
  for (let pfn: Pfn = 1; pfn < mappings.length; pfn++)
    if (frames.isUsed(pfn) && frames.flags(pfn) & FRAME_SWAPCACHE) cached--;
  return cached === 0 ? null : `${-cached} frames more say that they are in the swap cache than slots do`;
}

/** The invariants of one kernel and all its address spaces. */
export const FRAME_INVARIANTS: readonly Invariant<Holders>[] = [
  { name: 'frame-mapcount', broken: wrongMapcount },
  { name: 'frame-used', broken: lostFrames },
  { name: 'swap-count', broken: wrongSlots },
  { name: 'swap-cache', broken: wrongSwapCache },
];
