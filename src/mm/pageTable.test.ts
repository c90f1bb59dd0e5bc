import { describe, expect, it } from 'vitest';
import { Prng } from '../base/prng.ts';
import { PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import { Frames } from './frames.ts';
import { PageTable, type PteKind } from './pageTable.ts';

const BASE = 0x7f00_0000_0000;
const PTES = PMD_SIZE / PAGE_SIZE;
const at = (page: number): number => BASE + page * PAGE_SIZE;

function small(): { frames: Frames; pages: PageTable } {
  const frames = new Frames();
  return { frames, pages: new PageTable(frames) };
}

describe('one entry', () => {
  it('is none until it is set', () => {
    const { pages } = small();
    expect([pages.kind(BASE), pages.hasTable(BASE), pages.nrUsed(BASE)]).toEqual(['none', false, 0]);
  });
  it('counts its frame, and lets go of it when it is overwritten', () => {
    const { frames, pages } = small();
    const [a, b] = [frames.allocate(1), frames.allocate(2)];
    pages.set(at(3), 'anon', a);
    expect([pages.kind(at(3)), pages.frame(at(3)), frames.mapcount(a)]).toEqual(['anon', a, 1]);
    pages.set(at(3), 'anon', b);
    expect([frames.mapcount(a), frames.mapcount(b), frames.nrUsed, pages.nrUsed(at(3))]).toEqual([
      0, 1, 1, 1,
    ]);
  });
  it('survives being set to the frame it has', () => {
    const { frames, pages } = small();
    const frame = frames.allocate(9);
    pages.set(at(0), 'anon', frame);
    pages.set(at(0), 'swap', frame);
    expect([pages.kind(at(0)), frames.mapcount(frame), frames.nrUsed]).toEqual(['swap', 1, 1]);
  });
  it('of a file leaves the frame to the page cache', () => {
    const { frames, pages } = small();
    const frame = frames.allocate(9);
    pages.set(at(0), 'file', frame);
    pages.zap(at(0), at(1), { keepGuards: false });
    expect([frames.mapcount(frame), frames.nrUsed]).toEqual([0, 1]);
  });
  it('goes to swap and comes back with its frame', () => {
    const { frames, pages } = small();
    const frame = frames.allocate(9);
    pages.set(at(0), 'anon', frame);
    pages.retype(at(0), 'swap');
    expect([pages.kind(at(0)), pages.frame(at(0))]).toEqual(['swap', frame]);
    pages.retype(at(0), 'anon');
    expect(pages.kind(at(0))).toBe('anon');
  });
});

describe('tables', () => {
  it('are freed when they are empty and lie whole within the bounds', () => {
    const { pages } = small();
    for (const page of [0, PTES, 2 * PTES]) pages.set(at(page), 'zero');
    pages.zap(at(0), at(3 * PTES), { keepGuards: false });
    pages.freeTables(at(0), at(3 * PTES), at(1), at(3 * PTES));
    expect([0, 1, 2].map((i) => pages.hasTable(at(i * PTES)))).toEqual([true, false, false]);
  });
  it('are kept while they hold something, a guard too', () => {
    const { pages } = small();
    pages.set(at(5), 'guard');
    pages.set(at(6), 'zero');
    pages.zap(at(0), at(PTES), { keepGuards: true });
    pages.freeTables(at(0), at(PTES), at(0), at(PTES));
    expect([pages.kind(at(5)), pages.kind(at(6)), pages.hasTable(at(0))]).toEqual(['guard', 'none', true]);
  });
  it('of a child are made even where nothing is copied', () => {
    const { frames, pages } = small();
    const child = new PageTable(frames);
    pages.populateTable(at(0));
    pages.copyTo(child, at(0), at(1));
    expect([child.hasTable(at(0)), child.nrUsed(at(0))]).toEqual([true, 0]);
  });
  it('of a child share frames and have their own markers', () => {
    const { frames, pages } = small();
    const child = new PageTable(frames);
    const frame = frames.allocate(4);
    pages.set(at(1), 'anon', frame);
    pages.set(at(2), 'guard');
    pages.copyTo(child, at(0), at(PTES));
    expect([child.kind(at(1)), child.frame(at(1)), child.kind(at(2))]).toEqual(['anon', frame, 'guard']);
    expect(frames.mapcount(frame)).toBe(2);
    pages.zap(at(0), at(PTES), { keepGuards: false });
    expect([child.kind(at(1)), child.kind(at(2)), frames.nrUsed]).toEqual(['anon', 'guard', 1]);
  });
  it('that are filled at once hold a frame a page', () => {
    const { frames, pages } = small();
    expect(pages.isBlank(at(PTES - 2), at(PTES + 3))).toBe(true);
    pages.fillBlank(at(PTES - 2), at(PTES + 3), 'anon');
    pages.fillBlank(at(4 * PTES), at(4 * PTES + 2), 'zero');
    expect([pages.nrUsed(at(0)), pages.nrUsed(at(PTES)), frames.nrUsed]).toEqual([2, 3, 5]);
    expect([pages.kind(at(4 * PTES)), pages.isBlank(at(PTES), at(PTES + 1))]).toEqual(['zero', false]);
    expect(pages.verify()).toBeNull();
  });
});

/** What the tables hold, as a map. */
type Entries = Map<number, { kind: PteKind; frame: number }>;

function entriesOf(pages: PageTable, start: number, end: number): Entries {
  const entries: Entries = new Map();
  let last = -1;
  pages.forEach(start, end, (addr, kind, frame) => {
    expect(addr).toBeGreaterThan(last);
    last = addr;
    entries.set((addr - BASE) / PAGE_SIZE, { kind, frame });
  });
  return entries;
}

/** One random change of the tables and of the map beside them. */
function change(prng: Prng, pages: PageTable, entries: Entries, frames: Frames): void {
  const span = 4 * PTES;
  const from = prng.pick([prng.below(span), prng.below(4) * PTES]);
  const nr = prng.pick([1, 2, PTES, prng.below(PTES) + 1]);
  switch (prng.below(4)) {
    case 0: {
      const kind = prng.pick(['anon', 'zero', 'guard', 'swap'] as const);
      const frame = kind === 'anon' || kind === 'swap' ? frames.allocate(from) : 0;
      pages.set(at(from), kind, frame);
      entries.set(from, { kind, frame });
      return;
    }
    case 1: {
      const keepGuards = prng.below(2) === 0;
      pages.zap(at(from), at(from + nr), { keepGuards });
      for (let page = from; page < from + nr; page++)
        if (!keepGuards || entries.get(page)?.kind !== 'guard') entries.delete(page);
      return;
    }
    case 2: {
      // To where nothing is and nothing of the source lies.
      const to = 8 * PTES + prng.pick([0, prng.below(PTES)]);
      pages.move(at(from), at(to), nr * PAGE_SIZE);
      pages.move(at(to), at(from), nr * PAGE_SIZE);
      return;
    }
    default:
      pages.freeTables(at(from), at(from + nr), at(0), at(span));
  }
}

describe('the tables against a map', () => {
  it.each([1, 2, 3, 4])('hold what was put there, seed %d', (seed) => {
    const prng = new Prng(seed);
    const { frames, pages } = small();
    const entries: Entries = new Map();
    for (let step = 0; step < 300; step++) {
      change(prng, pages, entries, frames);
      if (step % 10 !== 0) continue;
      const [from, to] = [prng.below(2 * PTES), 2 * PTES + prng.below(8 * PTES)];
      const inside = [...entries].filter(([page]) => page >= from && page < to).sort(([a], [b]) => a - b);
      expect([...entriesOf(pages, at(from), at(to))]).toEqual(inside);
      expect(pages.verify()).toBeNull();
    }
    expect(frames.nrUsed).toBe([...entries.values()].filter(({ frame }) => frame !== 0).length);
  });
});
