/**
 * The memory of a guest: one mapping, of which a part was written and the rest are holes.
 *
 *   anon    private anonymous memory
 *   shmem   a memfd, mapped shared
 *   file    a regular file, mapped private: a guest that was restored from its own snapshot; what it writes is its own
 *
 * `words` looks at what memory holds from outside: no page is faulted in, no time passes. It is what a snapshot is held against.
 */
import {
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_REMOVE,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
} from '../../abi/mman.ts';
import { must, UsageError } from '../../base/assert.ts';
import { type Addr, PAGE_SIZE, PMD_SIZE } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import { forEachWord, type Mm, pageAt } from '../../mm/index.ts';
import { PageWords } from './pageWords.ts';

/** What the memory of a guest is made of. */
export const BACKINGS = ['anon', 'shmem', 'file'] as const;
/** One of them. */
export type Backing = (typeof BACKINGS)[number];

/** How to map it. */
export interface MemoryShape {
  readonly nrPages: number;
  readonly backing: Backing;
  /** It is MADV_HUGEPAGE. */
  readonly hugepage: boolean;
}

/** Every page of a file that is in memory has an entry in the page cache. */
const FILE_LIMIT = 32 * 2 ** 30;

/** The mapped memory of a guest. */
export class GuestMemory {
  readonly at: Addr;
  readonly nrPages: number;
  readonly backing: Backing;

  private constructor(at: Addr, { nrPages, backing }: MemoryShape) {
    this.at = at;
    this.nrPages = nrPages;
    this.backing = backing;
  }

  /** Maps it, beginning at a multiple of 2 MiB. */
  static *map(t: Thread, shape: MemoryShape): Running<GuestMemory> {
    const len = shape.nrPages * PAGE_SIZE;
    // Room for the alignment, so that where it lies does not depend on what it is.
    const room = yield* t.mmap(len + PMD_SIZE, { prot: 0, flags: MAP_NORESERVE });
    const at = Math.ceil(room / PMD_SIZE) * PMD_SIZE;
    if (shape.backing === 'anon') yield* t.mmap(len, { at, flags: MAP_NORESERVE });
    else {
      const fd = yield* shape.backing === 'shmem' ? t.memfd('guest', len) : openFile(t, len);
      const kind = shape.backing === 'shmem' ? MAP_SHARED : MAP_PRIVATE;
      yield* t.mmap(len, { at, fd, flags: kind | MAP_NORESERVE });
    }
    yield* t.madvise(at, len, shape.hugepage ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    return new GuestMemory(at, shape);
  }

  get len(): number {
    return this.nrPages * PAGE_SIZE;
  }
  addrOf(page: number): Addr {
    return this.at + page * PAGE_SIZE;
  }
  pageOf(addr: Addr): number {
    return Math.floor((addr - this.at) / PAGE_SIZE);
  }

  /** Gives a page back, as a balloon does: it holds zero afterwards. */
  *discard(t: Thread, page: number): Running<void> {
    yield* t.madvise(this.addrOf(page), PAGE_SIZE, this.backing === 'shmem' ? MADV_REMOVE : MADV_DONTNEED);
  }

  /** Returns what memory holds now. @param known  of shared memory, the pages that may hold something: not all of them are mapped */
  words(mm: Mm, known: PageWords): PageWords {
    const words = new PageWords();
    forEachWord(mm, this.at, this.at + this.len, (addr, word) => words.set(this.pageOf(addr), word));
    // A page of a private file that is not mapped was never written: the file holds zero.
    if (this.backing !== 'shmem') return words;
    const file = must(mm.vmas.at(this.at)?.file ?? null, '[memory] the guest maps its memfd').object;
    for (const page of known.pages()) {
      if (page >= this.nrPages || isMapped(mm, this.addrOf(page))) continue;
      const pfn = mm.kernel.cache.find(file, page);
      if (pfn !== null) words.set(page, mm.kernel.frames.stamp(pfn));
    }
    return words;
  }
  /** Returns how many huge pages are mapped whole. */
  hugePages(mm: Mm): number {
    let nr = 0;
    mm.pages.forEachSlot(this.at, this.at + this.len, (base) => {
      const { isHuge, kind } = pageAt(mm, base);
      if (isHuge && kind !== 'zeroPage') nr++;
    });
    return nr;
  }
}

/** Tells whether a page of a file is in the page table itself, and not in the page cache alone. */
function isMapped(mm: Mm, addr: Addr): boolean {
  const { kind } = pageAt(mm, addr);
  return kind !== 'none' && kind !== 'uffdWp';
}

/** A file that was read a moment ago. */
function* openFile(t: Thread, size: number): Running<number> {
  if (size > FILE_LIMIT)
    throw new UsageError(
      'a file of more than 32 GiB is not kept page by page',
      'backing=file with size=32G or less',
    );
  const how = { path: '/guest/memory', mode: 'read-write', kind: 'regular', inMemory: true } as const;
  return yield* t.call({ call: 'open', ...how, size });
}
