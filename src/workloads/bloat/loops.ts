/**
 * Recipes that touch memory and give it back in one way or another: the loop of every posting of seed 003, a window that slides, memory with holes,
 * memory that is lazily freed.
 */
import { MADV_FREE, MADV_PAGEOUT } from '../../abi/mman.ts';
import { type Addr, PAGE_SIZE, PMD_SIZE } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import type { ThreadedWorkload } from '../threaded.ts';
import { numberParam, type Params } from '../workload.ts';
import {
  AREA,
  type Bloat,
  bloatOf,
  bytesOf,
  forEachTable,
  giveBack,
  reserve,
  tablesParam,
  writtenParam,
} from './recipe.ts';

/** 50 GiB, as in the postings. */
const COVER_TABLES = 25_600;

/** Writes `len` bytes from `addr` on, page by page, as one operation: nothing else happens meanwhile. */
const writeAll = (t: Thread, addr: Addr, len: number): Running<number> =>
  t.call({ call: 'touch', addr, len, access: 'write', stamp: 1, by: 'user' });

const WRITTEN = writtenParam(512, 'pages that are written of each 2 MiB before they are given back');

/** Writes pages of each 2 MiB and gives the 2 MiB back at once, in `pieces` calls. */
const cover = (t: Thread, bloat: Bloat, params: Params, pieces: number): Running<void> =>
  forEachTable(t, bloat, params, {
    *each(base) {
      yield* writeAll(t, base, numberParam(params, 'written') * PAGE_SIZE);
      for (let piece = 0; piece < pieces; piece++)
        yield* giveBack(t, base + (piece * PMD_SIZE) / pieces, PMD_SIZE / pieces);
      bloat.look();
      bloat.gone(base);
    },
  });

const COVER = bloatOf({
  name: 'cover',
  title: 'the loop of the postings: write 2 MiB, give 2 MiB back, next',
  text: 'Maps 50 GiB, and for each 2 MiB of it writes all pages and gives them back by one MADV_DONTNEED. What seed 003 and all its followers quote: VmPTE 102,640 kB without reclaim of tables, 240 kB with it.',
  params: { tables: tablesParam(COVER_TABLES), written: WRITTEN },
  load: (t, bloat, params) => cover(t, bloat, params, 1),
});

const COVER_SPLIT = bloatOf({
  name: 'cover-split',
  title: 'the same, given back in two halves: no call covers a table',
  text: 'As bloat/cover, but each 2 MiB is given back by two calls of 1 MiB. No call covers a whole table, so the rule of Linux 6.14 frees none.',
  params: { tables: tablesParam(COVER_TABLES), written: WRITTEN },
  load: (t, bloat, params) => cover(t, bloat, params, 2),
});

const COVER_PAGE = bloatOf({
  name: 'cover-page',
  title: 'one page of each 2 MiB is written and given back: a table for each page',
  text: 'The fastest way to page tables: one page of every 2 MiB is written and given back by itself. 4 KiB of table stay for every 4 KiB ever touched.',
  params: { tables: tablesParam(COVER_TABLES) },
  load: (t, bloat, params) =>
    forEachTable(t, bloat, params, {
      *each(base) {
        yield* writeAll(t, base, PAGE_SIZE);
        yield* giveBack(t, base, PAGE_SIZE);
        bloat.look();
        bloat.gone(base);
      },
    }),
});

const SLIDING_WINDOW = bloatOf({
  name: 'sliding-window',
  title: 'a window slides over a large address space, given back behind it piece by piece',
  text: 'A log or a ring that always uses new addresses: a window of some size moves through a large mapping; what it leaves is given back in pieces of one size, shifted or not. Pieces that cover whole tables free them under ptReclaim=sync, all others leave all of them.',
  params: {
    tables: tablesParam(16_384),
    window: { default: 256 * 2 ** 20, unit: 'bytes', text: 'size of the window', min: PAGE_SIZE },
    piece: { default: 512 * 1024, unit: 'bytes', text: 'what is given back at a time', min: PAGE_SIZE },
    shift: { default: 0, unit: 'pages', text: 'how far pieces lie off their own size', max: 511 },
    written: { default: 1, unit: 'pages', text: 'pages written in each piece', min: 1, max: 2 ** 20 },
  },
  *load(t, bloat, params) {
    const bytes = bytesOf(params);
    const piece = numberParam(params, 'piece');
    const behind = numberParam(params, 'window');
    const shift = numberParam(params, 'shift') * PAGE_SIZE;
    const written = Math.min(piece, numberParam(params, 'written') * PAGE_SIZE);
    const start = AREA + shift;
    yield* reserve(t, bytes + PMD_SIZE);
    let back = start;
    for (let at = start; at + piece <= start + bytes; at += piece) {
      yield* t.touch(at, written, 'write', 1);
      bloat.look();
      for (; back + piece <= at - behind; back += piece) yield* giveBack(t, back, piece);
    }
    for (; back < start + bytes; back += piece) {
      yield* giveBack(t, back, piece);
      bloat.gone(back);
    }
    bloat.advise(AREA, AREA + bytes + PMD_SIZE);
  },
});

const HOLES = bloatOf({
  name: 'holes',
  title: 'everything is given back but one page in so many: tables in use, all but empty',
  text: 'Writes all pages and gives them back but for one in every `k`. With k=512 a table stays in use for each page: nothing can free it, which is where every policy ends.',
  params: {
    tables: tablesParam(1024),
    k: { default: 512, unit: 'pages', text: 'one page in so many stays', min: 2, max: 2 ** 20 },
  },
  *load(t, bloat, params) {
    const bytes = bytesOf(params);
    const step = numberParam(params, 'k') * PAGE_SIZE;
    yield* reserve(t, bytes);
    yield* t.touch(AREA, bytes, 'write', 1);
    bloat.look();
    for (let at = AREA; at < AREA + bytes; at += step) {
      bloat.keep(at, 1);
      const rest = Math.min(at + step, AREA + bytes) - at - PAGE_SIZE;
      if (rest <= 0) continue;
      yield* giveBack(t, at + PAGE_SIZE, rest);
      bloat.gone(at + PAGE_SIZE);
    }
    bloat.advise(AREA, AREA + bytes);
  },
});

const FREE_LAZY = bloatOf({
  name: 'free-lazy',
  title: 'memory is lazily freed, then memory gets short: all tables empty, none freed',
  text: 'Writes some pages of each table, frees all of them by MADV_FREE, and has the kernel take them (MADV_PAGEOUT stands for memory that gets short). No MADV_DONTNEED ever comes, so ptReclaim=sync frees no table.',
  params: { tables: tablesParam(2048), written: writtenParam(16, 'pages written in each table') },
  load: (t, bloat, params) =>
    forEachTable(t, bloat, params, {
      *each(base) {
        yield* t.touch(base, numberParam(params, 'written') * PAGE_SIZE, 'write', 1);
        bloat.gone(base);
      },
      *last(bytes) {
        yield* t.madvise(AREA, bytes, MADV_FREE);
        bloat.look();
        yield* t.madvise(AREA, bytes, MADV_PAGEOUT);
      },
    }),
});

/** The recipes of this file, in the order in which they are listed. */
export const LOOPS: readonly ThreadedWorkload[] = [
  COVER,
  COVER_SPLIT,
  COVER_PAGE,
  SLIDING_WINDOW,
  HOLES,
  FREE_LAZY,
];
