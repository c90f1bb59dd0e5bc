/**
 * Recipes in which something other than pages makes page tables, or keeps them: guard pages, markers of userfaultfd, memory that moved away, forks, a
 * guest whose memory is unplugged.
 */
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from '../../abi/fcntl.ts';
import { MADV_GUARD_INSTALL, MAP_SHARED, MREMAP_DONTUNMAP } from '../../abi/mman.ts';
import {
  UFFD_FEATURE_MOVE,
  UFFD_FEATURE_PAGEFAULT_FLAG_WP,
  UFFD_FEATURE_WP_UNPOPULATED,
  UFFDIO_REGISTER_MODE_MISSING,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../abi/userfaultfd.ts';
import { type Addr, PAGE_SIZE, PMD_SIZE } from '../../base/units.ts';
import { type Running, type Thread, Userfaultfd } from '../../machine/index.ts';
import type { ThreadedWorkload } from '../threaded.ts';
import { numberParam, type Params } from '../workload.ts';
import {
  AREA,
  ASIDE,
  type Bloat,
  bloatOf,
  bytesOf,
  forEachTable,
  giveBack,
  reserve,
  tablesParam,
  writtenParam,
} from './recipe.ts';

const GUARDS = bloatOf({
  name: 'guards',
  title: 'a guard page in every 2 MiB (stacks, arenas) keeps every table',
  text: 'Every 2 MiB begin with a guard page (MADV_GUARD_INSTALL), as stacks and arenas do. Their memory is written and given back whole; the guards stay, and with them all tables, under every policy.',
  params: {
    tables: tablesParam(2048),
    written: writtenParam(16, 'pages written behind each guard', 511),
  },
  load: (t, bloat, params) =>
    forEachTable(t, bloat, params, {
      *each(base) {
        yield* t.madvise(base, PAGE_SIZE, MADV_GUARD_INSTALL);
        yield* t.touch(base + PAGE_SIZE, numberParam(params, 'written') * PAGE_SIZE, 'write', 1);
        bloat.gone(base + PAGE_SIZE);
      },
      *last(bytes) {
        bloat.look();
        yield* giveBack(t, AREA, bytes);
      },
    }),
});

const UFFD_WP = bloatOf({
  name: 'uffd-wp',
  title: 'a snapshot protects memory that was never touched: its markers make tables, and leave them',
  text: 'A sparse area is write-protected by userfaultfd with WP_UNPOPULATED, as a snapshot does: a marker for each page, a table for each 2 MiB. Then the protection ends, the markers go, and the tables stay.',
  params: { tables: tablesParam(16_384) },
  *load(t, bloat, params) {
    const bytes = bytesOf(params);
    yield* reserve(t, bytes);
    const features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_UNPOPULATED;
    const uffd = yield* Userfaultfd.open(t, features);
    yield* uffd.register(t, AREA, bytes, UFFDIO_REGISTER_MODE_WP);
    yield* uffd.writeProtect(t, AREA, bytes, UFFDIO_WRITEPROTECT_MODE_WP);
    bloat.look();
    yield* uffd.writeProtect(t, AREA, bytes, 0);
    // The ioctl is over: whoever frees tables after operations comes by with the next call.
    yield* t.call({ call: 'nop' });
    bloat.gone(AREA);
    bloat.advise(AREA, AREA + bytes);
  },
});

/** How far spaces that pages leave lie off a whole table. */
const OFF = 5 * PAGE_SIZE;

/** One collection: all of a space is written, its pages are moved aside, every eighth is copied to the survivors, and what was moved goes. */
function* collect(
  t: Thread,
  of: {
    readonly from: Addr;
    readonly bytes: number;
    readonly survivors: Addr;
    readonly byUffd: Userfaultfd | null;
  },
): Running<number> {
  const { from, bytes, survivors, byUffd } = of;
  yield* t.touch(from, bytes, 'write', 1);
  const aside = ASIDE;
  if (byUffd === null) yield* t.mremap(from, bytes, bytes, aside, MREMAP_DONTUNMAP);
  else {
    yield* t.mmap(bytes, { at: aside });
    yield* byUffd.register(t, aside, bytes, UFFDIO_REGISTER_MODE_MISSING);
    yield* byUffd.move(t, { start: aside, source: from, len: bytes });
  }
  let copied = 0;
  for (let at = 0; at < bytes; at += 8 * PAGE_SIZE) {
    yield* t.copyBytes(survivors + copied, aside + at, PAGE_SIZE);
    copied += PAGE_SIZE;
  }
  yield* t.munmap(aside, bytes);
  return copied;
}

const MOVING_GC = bloatOf({
  name: 'moving-gc',
  title: 'a collector moves its from-space aside, off by some pages: the tables it leaves stay',
  text: 'Each cycle writes a new space that begins within a table, moves its pages aside (mremap with MREMAP_DONTUNMAP, or UFFDIO_MOVE), copies every eighth to the survivors and unmaps what was moved. The tables that the pages left are empty and stay, until somebody frees them.',
  params: {
    cycles: { default: 16, unit: 'cycles', text: 'collections, each of a new space', min: 1, max: 10_000 },
    space: { default: 64 * 2 ** 20, unit: 'bytes', text: 'size of a space', min: 4 * PMD_SIZE, max: 2 ** 32 },
    by: { default: 'mremap', unit: '', text: 'how pages are moved', choices: ['mremap', 'uffd-move'] },
  },
  *load(t, bloat, params) {
    const cycles = numberParam(params, 'cycles');
    const bytes = Math.floor(numberParam(params, 'space') / (8 * PAGE_SIZE)) * 8 * PAGE_SIZE;
    const survivors = AREA + 2 ** 41;
    yield* reserve(t, (cycles * bytes) / 8, survivors);
    const byUffd = params['by'] === 'uffd-move' ? yield* Userfaultfd.open(t, UFFD_FEATURE_MOVE) : null;
    // Spaces touch each other in the reservation, and begin within a table.
    const heap = yield* reserve(t, cycles * bytes + 2 * OFF);
    let kept = 0;
    for (let cycle = 0; cycle < cycles; cycle++) {
      const from = heap + OFF + cycle * bytes;
      const copied = yield* collect(t, { from, bytes, survivors: survivors + kept, byUffd });
      bloat.keep(survivors + kept, 1);
      bloat.gone(from);
      kept += copied;
      bloat.look();
    }
    bloat.advise(heap, heap + cycles * bytes + 2 * OFF);
  },
});

const FORK_SERVER = bloatOf({
  name: 'fork-server',
  title: 'a server with empty tables forks for each request: each fork copies them',
  text: 'A server leaves page tables without entries (a page of each 2 MiB, written and given back), then forks for each request. fork copies empty tables, too: time and memory of all children grow with what the parent once touched.',
  params: {
    tables: tablesParam(4096),
    requests: { default: 8, unit: 'forks', text: 'children, one after the other', min: 1, max: 100_000 },
    alive: { default: 2, unit: 'children', text: 'how many live at a time', min: 1, max: 1000 },
  },
  load: (t, bloat, params) =>
    forEachTable(t, bloat, params, {
      *each(base) {
        yield* t.touch(base, PAGE_SIZE, 'write', 1);
        yield* giveBack(t, base, PAGE_SIZE);
        bloat.gone(base);
      },
      *last() {
        // What the server keeps.
        yield* t.touch(AREA - PAGE_SIZE, PAGE_SIZE, 'write', 7);
        bloat.keep(AREA - PAGE_SIZE, 7);
        yield* serve(t, bloat, params);
      },
    }),
});

function* serve(t: Thread, bloat: Bloat, params: Params): Running<void> {
  const requests = numberParam(params, 'requests');
  const alive = numberParam(params, 'alive');
  const children: Thread[] = [];
  let forkNs = 0;
  let most = 0;
  for (let request = 0; request < requests; request++) {
    if (children.length >= alive) yield* t.join(children.shift() as Thread);
    const startNs = t.nowNs;
    const child = yield* t.fork(`child ${request}`, function* (c) {
      yield* c.expect(AREA - PAGE_SIZE, 7);
      yield* c.write(AREA - PAGE_SIZE, 8);
      yield* c.sleep(1_000_000);
      yield* c.exit();
    });
    yield* t.owe(0);
    forkNs += t.nowNs - startNs;
    children.push(child);
    const spaces = t.simulation.machine.addressSpaces;
    most = Math.max(
      most,
      spaces.reduce((sum, mm) => sum + mm.pages.bytes, 0),
    );
  }
  for (const child of children) yield* t.join(child);
  bloat.own['fork, us'] = Math.round(forkNs / requests / 1000);
  bloat.own['VmPTE of all processes at the most, KiB'] = most / 1024;
}

const VIRTIO_MEM = bloatOf({
  name: 'virtio-mem',
  title: 'a guest is unplugged most of its memory, block by block',
  text: 'The memory of a guest, all written, is unplugged by virtio-mem from the top down: the hypervisor gives each block back. Blocks of 2 MiB cover a table each; smaller ones, and holes punched into a memfd, leave every table.',
  params: {
    tables: tablesParam(1024),
    block: { default: PMD_SIZE, unit: 'bytes', text: 'what is unplugged at a time', min: PAGE_SIZE },
    keep: { default: 64, unit: 'tables', text: 'what the guest keeps', max: 2 ** 25 },
    backing: { default: 'anon', unit: '', text: 'memory of the guest', choices: ['anon', 'memfd'] },
    discard: {
      default: 'dontneed',
      unit: '',
      text: 'how a block is given back',
      choices: ['dontneed', 'punch'],
    },
  },
  *load(t, bloat, params) {
    const bytes = bytesOf(params);
    const block = numberParam(params, 'block');
    const kept = Math.min(bytes, numberParam(params, 'keep') * PMD_SIZE);
    const fd = params['backing'] === 'memfd' ? yield* t.memfd('guest', bytes) : -1;
    if (fd < 0) yield* reserve(t, bytes);
    else yield* t.mmap(bytes, { at: AREA, flags: MAP_SHARED, fd });
    yield* t.touch(AREA, bytes, 'write', 1);
    bloat.look();
    const isPunched = fd >= 0 && params['discard'] === 'punch';
    for (let at = bytes - block; at >= kept; at -= block) {
      if (isPunched) yield* t.call({ call: 'fallocate', fd, mode: PUNCH_HOLE, offset: at, len: block });
      else yield* giveBack(t, AREA + at, block);
      if (fd < 0 || isPunched) bloat.gone(AREA + at);
    }
    bloat.keep(AREA, 1);
    bloat.advise(AREA, AREA + bytes);
  },
});

const PUNCH_HOLE = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

/** The recipes of this file, in the order in which they are listed. */
export const PINNED: readonly ThreadedWorkload[] = [GUARDS, UFFD_WP, MOVING_GC, FORK_SERVER, VIRTIO_MEM];
