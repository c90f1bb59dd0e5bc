/**
 * bloat/jvm-like: the field case that every posting of seed 003 quotes: 55 TiB virtual, 590 GiB resident, 110 GiB of page tables.
 *
 * The address space was used all over: in each 2 MiB something was written once and given back, in pieces smaller than a table, many pieces a
 * call. What is resident is dense, at the beginning. Scaled down 1:1000 unless told.
 *
 * Cost   at full size 28.8 million tables, most of them empty, which take no storage, and 154.7 million pages
 */
import { MADV_DONTNEED, MADV_POPULATE_WRITE } from '../../abi/mman.ts';
import { type Addr, PAGE_SIZE, PMD_SIZE } from '../../base/units.ts';
import type { Op, Running, Thread } from '../../machine/index.ts';
import type { ThreadedWorkload } from '../threaded.ts';
import { numberParam } from '../workload.ts';
import { AREA, type Bloat, bloatOf, reserve } from './recipe.ts';

/** Virtual and resident, in tables. */
const TABLES = (55 * 2 ** 40) / PMD_SIZE;
const DENSE_TABLES = (590 * 2 ** 30) / PMD_SIZE;
/** Ranges of one process_madvise: UIO_MAXIOV. */
const VECTOR = 1024;
/** So many tables are looked at afterwards. */
const LOOKED_AT = 64;

/** Writes a page of each 2 MiB of [start, end) and gives them back, page by page, 1,024 a call. */
function* churn(t: Thread, bloat: Bloat, start: Addr, end: Addr): Running<void> {
  const ranges: { addr: Addr; len: number }[] = [];
  for (let i = 0; i < VECTOR; i++) ranges.push({ addr: 0, len: PAGE_SIZE });
  const vector: Op = { call: 'process_madvise', target: 'self', ranges, advice: MADV_DONTNEED, flags: 0 };
  let used = 0;
  for (let at = start; at < end; at += PMD_SIZE) {
    // None of them is there: no store is tried first.
    yield* t.write(at, 1);
    (ranges[used] as { addr: Addr }).addr = at;
    if (++used < VECTOR && at + PMD_SIZE < end) continue;
    ranges.length = used;
    yield* t.call(vector);
    bloat.look();
    used = 0;
  }
}

/** Writes all pages of [start, end), which stay. */
function* fill(t: Thread, start: Addr, end: Addr): Running<void> {
  const step = 2 ** 30;
  for (let at = start; at < end; at += step)
    yield* t.madvise(at, Math.min(step, end - at), MADV_POPULATE_WRITE);
}

/** The workload `bloat/jvm-like`. */
export const JVM_LIKE: ThreadedWorkload = bloatOf({
  name: 'jvm-like',
  title: 'the field case: 55 TiB virtual, 590 GiB resident, 110 GiB of page tables; 1:1000 unless told',
  text: 'A program that used its address space all over and gave nearly all of it back, in pieces smaller than a table, by vectors of process_madvise; what is resident is dense. Needed would be 1.2 GiB of the 110 GiB of tables. With --full at the size of the field.',
  params: {
    scale: { default: 1000, unit: '', text: 'how much smaller than the field case', min: 1, max: 100_000 },
  },
  full: { scale: 1 },
  *load(t, bloat, params) {
    const scale = numberParam(params, 'scale');
    const end = AREA + Math.floor(TABLES / scale) * PMD_SIZE;
    const dense = AREA + Math.floor(DENSE_TABLES / scale) * PMD_SIZE;
    yield* reserve(t, end - AREA);
    yield* churn(t, bloat, dense, end);
    yield* fill(t, AREA, dense);
    const step = Math.ceil((end - AREA) / PMD_SIZE / LOOKED_AT) * PMD_SIZE;
    for (let at = AREA; at < dense; at += step) {
      yield* t.write(at, at / PAGE_SIZE);
      bloat.keep(at, at / PAGE_SIZE);
    }
    for (let at = dense; at < end; at += step) bloat.gone(at);
    bloat.advise(AREA, end);
    bloat.own['virtual, MiB'] = (end - AREA) / 2 ** 20;
  },
});
