/**
 * Recipes in which an allocator leaves page tables behind, driven by one trace of malloc and free: how long it waits before it gives memory back, and how
 * much it has joined until then, decides whether a call ever covers a table.
 */
import type { Prng } from '../../base/prng.ts';
import { PAGE_SIZE, PMD_SIZE } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import type { Allocator } from '../allocators/allocator.ts';
import { GlibcAllocator } from '../allocators/glibc.ts';
import { JemallocAllocator } from '../allocators/jemalloc.ts';
import { churn, fillAndFree, type TraceEvent, TracePlayer } from '../allocators/trace.ts';
import type { ThreadedWorkload } from '../threaded.ts';
import { numberParam, type Param, type Params } from '../workload.ts';
import { AREA, type Bloat, bloatOf, bytesOf, giveBack, reserve, tablesParam } from './recipe.ts';

const KIB = 1024;

const TRACE_PARAMS: Readonly<Record<string, Param>> = {
  trace: {
    default: 'fill',
    unit: '',
    text: 'blocks of one size, all freed but one in keep; or blocks of random sizes and lives',
    choices: ['fill', 'churn'],
  },
  blocks: { default: 4000, unit: 'blocks', text: 'blocks in all', min: 1, max: 10_000_000 },
  size: {
    default: 64 * KIB,
    unit: 'bytes',
    text: 'size of a block of fill, largest one of churn',
    min: PAGE_SIZE,
  },
  keep: { default: 0, unit: 'blocks', text: 'one block of fill in so many stays; 0: none', max: 2 ** 20 },
  alive: {
    default: 400,
    unit: 'blocks',
    text: 'blocks of churn that live at a time',
    min: 1,
    max: 1_000_000,
  },
};

function eventsOf(params: Params, prng: Prng): Iterable<TraceEvent> {
  const blocks = numberParam(params, 'blocks');
  const size = numberParam(params, 'size');
  if (params['trace'] === 'fill') return fillAndFree(blocks, size, numberParam(params, 'keep'));
  return churn(
    { blocks, alive: numberParam(params, 'alive'), least: Math.min(size, 16 * KIB), most: size },
    prng,
  );
}

/** Milliseconds between two looks at the clock while the program has nothing to do. */
const IDLE_MS = 1;

/** Plays the trace and waits, so that what decays does. */
function* play(
  t: Thread,
  bloat: Bloat,
  of: {
    readonly allocator: Allocator;
    readonly params: Params;
    readonly waitMs: number;
    readonly prng: Prng;
  },
): Running<void> {
  const { allocator, params, waitMs, prng } = of;
  const player = new TracePlayer(allocator);
  yield* player.play(t, eventsOf(params, prng), () => bloat.look());
  for (let ms = 0; ms < waitMs; ms += IDLE_MS) {
    yield* t.sleep(IDLE_MS * 1e6);
    yield* allocator.idle(t);
  }
  yield* player.checkAll(t);
  bloat.own['blocks that live, KiB'] = Math.round(player.liveBytes / KIB);
  for (const vma of bloat.mm.vmas) {
    if (vma.start < AREA) continue;
    const to = bloat.advised === null ? vma.end : Math.max(bloat.advised.end, vma.end);
    bloat.advise(bloat.advised?.start ?? vma.start, to);
  }
}

const JE_SMALL = bloatOf({
  name: 'je-small',
  title: 'jemalloc that gives back at each free (dirty:0): frames go, tables stay',
  text: 'An allocator like jemalloc with dirty_decay_ms:0 gives each freed block back by itself and keeps its addresses. No call covers 2 MiB, so the rule of Linux 6.14 frees no table; a scan, or MADV_PT_RECLAIM, does.',
  params: TRACE_PARAMS,
  load: (t, bloat, params, prng) =>
    play(t, bloat, { allocator: new JemallocAllocator({ dirtyMs: 0 }), params, waitMs: 0, prng }),
});

const JE_DECAY = bloatOf({
  name: 'je-decay',
  title: 'jemalloc that waits: what it gives back has been joined, and covers tables',
  text: 'As bloat/je-small, with decay: freed blocks are joined while they wait, and what is given back is large enough to cover some tables, not those at its edges.',
  params: {
    ...TRACE_PARAMS,
    dirty: { default: 100, unit: 'ms', text: 'dirty_decay_ms', max: 1_000_000 },
    muzzy: { default: 0, unit: 'ms', text: 'muzzy_decay_ms', max: 1_000_000 },
    wait: { default: 200, unit: 'ms', text: 'how long the program waits at the end', max: 1_000_000 },
  },
  load(t, bloat, params, prng) {
    const dirtyMs = numberParam(params, 'dirty');
    const allocator = new JemallocAllocator({ dirtyMs, muzzyMs: numberParam(params, 'muzzy') });
    return play(t, bloat, { allocator, params, waitMs: numberParam(params, 'wait'), prng });
  },
});

const GLIBC = bloatOf({
  name: 'glibc',
  title: 'glibc: the top of the heap is cut off, holes below it stay, large blocks are unmapped',
  text: 'The same trace with an allocator like glibc: the heap grows by brk and is cut off at the top; a block that lives near the top keeps all pages and tables below it.',
  params: TRACE_PARAMS,
  load: (t, bloat, params, prng) =>
    play(t, bloat, { allocator: new GlibcAllocator(), params, waitMs: 0, prng }),
});

/** A span of tcmalloc: a page of it. */
const SPAN = 2 * PAGE_SIZE;

const TC_SPAN = bloatOf({
  name: 'tc-span',
  title: 'spans of 8 KiB are released one by one from a large heap, oldest first',
  text: 'A heap of tcmalloc that is released slowly: spans of 8 KiB, each by a MADV_DONTNEED of its own, in the order in which they were allocated. All frames go, all tables stay.',
  params: { tables: tablesParam(512) },
  *load(t, bloat, params) {
    const bytes = bytesOf(params);
    yield* reserve(t, bytes);
    yield* t.touch(AREA, bytes, 'write', 1);
    bloat.look();
    for (let at = AREA; at < AREA + bytes; at += SPAN) {
      yield* giveBack(t, at, SPAN);
      if (at % PMD_SIZE === 0) bloat.gone(at);
    }
    bloat.advise(AREA, AREA + bytes);
  },
});

/** The recipes of this file, in the order in which they are listed. */
export const HEAPS: readonly ThreadedWorkload[] = [JE_SMALL, JE_DECAY, GLIBC, TC_SPAN];
