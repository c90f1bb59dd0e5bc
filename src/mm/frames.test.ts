import { describe, expect, it } from 'vitest';
import { BytesContents } from './frameContents.ts';
import {
  FRAME_ANON,
  FRAME_CACHED,
  FRAME_DIRTY,
  FRAME_LARGE,
  FRAME_SHMEM,
  FRAME_SWAPBACKED,
  FRAME_SWAPCACHE,
  Frames,
  HUGE_PAGES,
  headOf,
  ZERO_FRAME,
} from './frames.ts';

/** Who maps. */
const MM = 1;
const ANON = FRAME_ANON | FRAME_SWAPBACKED;
const CACHED = FRAME_CACHED | FRAME_SHMEM | FRAME_SWAPBACKED;

/** Frames with one anonymous page that `mappings` ptes map. */
function onePage(mappings: number): { frames: Frames; pfn: number } {
  const frames = new Frames();
  const pfn = frames.allocate(ANON, 7, 100);
  for (let i = 0; i < mappings; i++) frames.addPte(pfn, MM);
  return { frames, pfn };
}
/** Frames with one anonymous huge folio that `mappings` pmds map. */
function oneHuge(mappings: number): { frames: Frames; head: number } {
  const frames = new Frames();
  const head = frames.allocateLarge(ANON, 7, 100);
  for (let i = 0; i < mappings; i++) frames.addEntire(head, MM);
  return { frames, head };
}

describe('a frame', () => {
  it('is never the zero page', () => {
    const { frames, pfn } = onePage(0);
    expect(pfn).not.toBe(ZERO_FRAME);
    expect([frames.isUsed(ZERO_FRAME), frames.limit]).toEqual([false, pfn + 1]);
  });
  it('knows what it belongs to', () => {
    const { frames, pfn } = onePage(0);
    expect([frames.owner(pfn), frames.index(pfn), frames.isAnon(pfn), frames.isLarge(pfn)]).toEqual([
      7,
      100,
      true,
      false,
    ]);
    frames.setOwner(pfn, 9, 2 ** 40);
    expect([frames.owner(pfn), frames.index(pfn)]).toEqual([9, 2 ** 40]);
  });
  it.each([
    ['rssAnon', ANON],
    ['rssAnon', FRAME_ANON],
    ['rssShmem', CACHED],
    ['rssFile', FRAME_CACHED],
  ] as const)('is counted as %s', (name, flags) => {
    const frames = new Frames();
    expect(frames.counterOf(frames.allocate(flags, 1, 0))).toBe(name);
  });
  it('changes its bits', () => {
    const { frames, pfn } = onePage(1);
    frames.setFlags(pfn, FRAME_DIRTY, FRAME_SWAPBACKED);
    const { flags } = { flags: frames.flags(pfn) };
    expect([flags & FRAME_DIRTY, flags & FRAME_SWAPBACKED, flags & FRAME_ANON]).toEqual([
      FRAME_DIRTY,
      0,
      FRAME_ANON,
    ]);
    expect(frames.isUsed(pfn)).toBe(true);
  });
  it('is zero at first and holds what was written', () => {
    const { frames, pfn } = onePage(1);
    expect(frames.stamp(pfn)).toBe(0);
    frames.setStamp(pfn, 2 ** 52);
    expect(frames.stamp(pfn)).toBe(2 ** 52);
  });
});

describe('counts of mappings', () => {
  it('follow the ptes; the last one gives an anonymous page back', () => {
    const { frames, pfn } = onePage(2);
    expect([frames.mapcount(pfn), frames.folioMapcount(pfn), frames.refcount(pfn)]).toEqual([2, 2, 2]);
    expect([frames.dropPte(pfn, MM), frames.mapcount(pfn), frames.nrUsed]).toEqual([0, 1, 1]);
    expect([frames.dropPte(pfn, MM), frames.isUsed(pfn), frames.nrUsed]).toEqual([1, false, 0]);
  });
  it('do not give back what is in the page cache', () => {
    const frames = new Frames();
    const pfn = frames.allocate(CACHED, 3, 0);
    frames.addPte(pfn, MM);
    expect(frames.refcount(pfn)).toBe(2);
    expect([frames.dropPte(pfn, MM), frames.isUsed(pfn), frames.refcount(pfn)]).toEqual([0, true, 1]);
    frames.uncache(pfn);
    expect([frames.isUsed(pfn), frames.nrUsed]).toEqual([false, 0]);
  });
  it('keep a page that left the page cache until nothing maps it', () => {
    const frames = new Frames();
    const pfn = frames.allocate(CACHED, 3, 0);
    frames.addPte(pfn, MM);
    frames.uncache(pfn);
    expect([frames.isUsed(pfn), frames.refcount(pfn)]).toEqual([true, 1]);
    expect(frames.dropPte(pfn, MM)).toBe(1);
  });
  it('and the swap cache are references', () => {
    const { frames, pfn } = onePage(1);
    frames.setFlags(pfn, FRAME_SWAPCACHE);
    expect(frames.refcount(pfn)).toBe(2);
  });
});

describe('numbers', () => {
  it('are given out again, clean', () => {
    const { frames, pfn } = onePage(1);
    frames.setStamp(pfn, 5);
    frames.setFlags(pfn, FRAME_DIRTY);
    frames.dropPte(pfn, MM);
    const again = frames.allocate(FRAME_CACHED, 1, 2);
    expect(again).toBe(pfn);
    expect([frames.stamp(again), frames.mapcount(again), frames.owner(again), frames.index(again)]).toEqual([
      0, 0, 1, 2,
    ]);
    expect(frames.flags(again) & (FRAME_DIRTY | FRAME_ANON)).toBe(0);
  });
  it('are given out again latest first', () => {
    const frames = new Frames();
    const pfns = [0, 1, 2].map((i) => frames.allocate(ANON, 1, i));
    for (const pfn of pfns) {
      frames.addPte(pfn, MM);
      frames.dropPte(pfn, MM);
    }
    expect([0, 1, 2].map((i) => frames.allocate(ANON, 1, i))).toEqual(pfns.toReversed());
    expect(frames.limit).toBe(4);
  });
  it('stay different while there are more and more', () => {
    const frames = new Frames();
    const all = Array.from({ length: 5000 }, (_, i) => {
      const pfn = frames.allocate(ANON, i, 2 * i);
      frames.setStamp(pfn, i);
      frames.addPte(pfn, MM);
      return pfn;
    });
    expect(new Set(all).size).toBe(5000);
    for (const [i, pfn] of all.entries())
      expect([frames.stamp(pfn), frames.mapcount(pfn), frames.owner(pfn), frames.index(pfn)]).toEqual([
        i,
        1,
        i,
        2 * i,
      ]);
    expect([frames.nrUsed, Math.max(...all) < frames.limit]).toEqual([5000, true]);
  });
  it('of huge folios are aligned, and those skipped are used for single pages', () => {
    const { frames, pfn } = onePage(1);
    const head = frames.allocateLarge(ANON, 1, 0);
    expect([head % HUGE_PAGES, headOf(head + 511), headOf(head + 512)]).toEqual([0, head, head + 512]);
    const singles = Array.from({ length: HUGE_PAGES - 2 }, (_, i) => frames.allocate(ANON, 1, i));
    // All below the folio: none of the numbers is lost.
    expect([Math.max(...singles) < head, new Set([pfn, ...singles]).size]).toEqual([true, HUGE_PAGES - 1]);
    expect(frames.allocate(ANON, 1, 0)).toBe(head + HUGE_PAGES);
  });
});

describe('a huge folio', () => {
  it('is 512 zeroed frames with consecutive offsets', () => {
    const { frames, head } = oneHuge(1);
    expect(frames.nrUsed).toBe(HUGE_PAGES);
    for (const i of [0, 1, 511]) {
      expect([frames.owner(head + i), frames.index(head + i), frames.stamp(head + i)]).toEqual([
        7,
        100 + i,
        0,
      ]);
      expect([frames.isLarge(head + i), frames.isAnon(head + i)]).toEqual([true, true]);
    }
  });
  it('counts a pmd once for itself, and for each of its pages', () => {
    const { frames, head } = oneHuge(2);
    expect([frames.entireMapcount(head + 5), frames.folioMapcount(head + 5), frames.refcount(head)]).toEqual([
      2, 2, 2,
    ]);
    expect([0, 5, 511].map((i) => frames.mapcount(head + i))).toEqual([2, 2, 2]);
  });
  it('goes whole with its last mapping', () => {
    const { frames, head } = oneHuge(2);
    frames.setStamp(head + 3, 9);
    frames.dropEntire(head, MM);
    expect([frames.nrUsed, frames.stamp(head + 3)]).toEqual([HUGE_PAGES, 9]);
    frames.dropEntire(head, MM);
    expect([frames.nrUsed, frames.isUsed(head), frames.isUsed(head + 511)]).toEqual([0, false, false]);
    const again = frames.allocateLarge(ANON, 1, 0);
    expect([again, frames.stamp(again + 3), frames.mapcount(again)]).toEqual([head, 0, 0]);
  });
  it('mapped in parts: one pmd becomes 512 ptes, the others stay', () => {
    const { frames, head } = oneHuge(2);
    frames.splitEntire(head, MM);
    expect([frames.entireMapcount(head), frames.mapcount(head + 9), frames.folioMapcount(head)]).toEqual([
      1,
      2,
      1 + HUGE_PAGES,
    ]);
    expect(frames.isLarge(head)).toBe(true);
  });
  it('stays whole while one page of it is mapped', () => {
    const { frames, head } = oneHuge(1);
    frames.splitEntire(head, MM);
    for (let i = 0; i < HUGE_PAGES - 1; i++) expect(frames.dropPte(head + i, MM)).toBe(0);
    expect([frames.nrUsed, frames.mapcount(head), frames.mapcount(head + 511)]).toEqual([HUGE_PAGES, 0, 1]);
    expect([frames.isUsed(head), frames.isMappedFolio(head)]).toEqual([true, true]);
    expect([frames.dropPte(head + 511, MM), frames.nrUsed]).toEqual([HUGE_PAGES, 0]);
  });
  it('broken up gives back the pages that nothing maps', () => {
    const { frames, head } = oneHuge(1);
    frames.splitEntire(head, MM);
    frames.setStamp(head + 1, 11);
    for (let i = 0; i < HUGE_PAGES; i++) if (i !== 1 && i !== 200) frames.dropPte(head + i, MM);
    frames.splitFolio(head + 200);
    expect([frames.nrUsed, frames.isUsed(head), frames.isUsed(head + 1)]).toEqual([2, false, true]);
    expect([frames.isLarge(head + 1), frames.flags(head + 1) & FRAME_LARGE]).toEqual([false, 0]);
    expect([frames.mapcount(head + 1), frames.folioMapcount(head + 200), frames.stamp(head + 1)]).toEqual([
      1, 1, 11,
    ]);
    expect([frames.dropPte(head + 1, MM), frames.dropPte(head + 200, MM), frames.nrUsed]).toEqual([1, 1, 0]);
  });
  it('broken up gives single pages that may be mapped again by others', () => {
    const { frames, head } = oneHuge(1);
    frames.splitEntire(head, MM);
    frames.splitFolio(head);
    frames.addPte(head + 4, MM);
    expect([frames.mapcount(head + 4), frames.folioMapcount(head + 5), frames.nrUsed]).toEqual([
      2,
      1,
      HUGE_PAGES,
    ]);
  });
  it('of the page cache stays when it is unmapped', () => {
    const frames = new Frames();
    const head = frames.allocateLarge(CACHED, 3, 512);
    frames.addEntire(head, MM);
    frames.dropEntire(head, MM);
    expect([frames.nrUsed, frames.refcount(head)]).toEqual([HUGE_PAGES, 1]);
  });
});

describe('contents', () => {
  it('are kept by whatever keeps them', () => {
    const contents = new BytesContents();
    const frames = new Frames(contents);
    const pfn = frames.allocate(ANON, 1, 0);
    contents.words(pfn)[1023] = 7;
    frames.setStamp(pfn, 2 ** 33 + 1);
    expect([frames.stamp(pfn), ...contents.words(pfn).subarray(0, 2), contents.words(pfn)[1023]]).toEqual([
      2 ** 33 + 1,
      1,
      2,
      7,
    ]);
    frames.addPte(pfn, MM);
    frames.dropPte(pfn, MM);
    const again = frames.allocate(ANON, 1, 0);
    expect([again, frames.stamp(again), contents.words(again)[1023]]).toEqual([pfn, 0, 0]);
  });
  it('grow with the frames', () => {
    const frames = new Frames(new BytesContents());
    const all = Array.from({ length: 3000 }, (_, i) => frames.allocate(ANON, 1, i));
    const last = all[2999] as number;
    frames.setStamp(last, 1);
    frames.setStamp(1, 2);
    expect([frames.stamp(last), frames.stamp(1)]).toEqual([1, 2]);
  });
});
