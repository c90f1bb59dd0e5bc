/**
 * Views of /proc, byte for byte: the same calls in a process of the running kernel and in the model must print the same smaps, pagemap, status,
 * statm and rollup; of VmHWM only that it lies between VmRSS and our peak.
 *
 * smaps and pagemap are compared as they are. The others are sums over the whole process: what the program of the oracle had before is added to ours.
 */
import { describe, expect, it } from 'vitest';
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_HUGEPAGE,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_WIPEONFORK,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_LOCKED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  MLOCK_ONFAULT,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_EXEC,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/abi/mman.ts';
import { leaveOut } from './leftOut.ts';
import { buildViews, whyNoOracle } from './oracle.ts';
import { type Step, shifted, viewsOfKernel, viewsOfModel } from './views.ts';

const PAGE = 4096;
const B = 0x1000_0000_0000;
const RW = PROT_READ | PROT_WRITE;

const at = (page: number): number => B + page * PAGE;
const map = (
  page: number,
  pages: number,
  more: { prot?: number; flags?: number; fd?: number } = {},
): Step => {
  const { prot = RW, flags = MAP_PRIVATE | MAP_ANONYMOUS, fd = -1 } = more;
  return {
    op: { call: 'mmap', addr: at(page), len: pages * PAGE, prot, flags: flags | MAP_FIXED, fd, offset: 0 },
  };
};
const write = (page: number, pages: number, child?: number): Step => ({
  touch: 'w',
  at: at(page),
  pages,
  ...(child === undefined ? {} : { child }),
});
const read = (page: number, pages: number): Step => ({ touch: 'r', at: at(page), pages });
const advise = (page: number, pages: number, advice: number): Step => ({
  op: { call: 'madvise', addr: at(page), len: pages * PAGE, advice },
});
const protect = (page: number, pages: number, prot: number): Step => ({
  op: { call: 'mprotect', addr: at(page), len: pages * PAGE, prot },
});
const unmap = (page: number, pages: number): Step => ({
  op: { call: 'munmap', addr: at(page), len: pages * PAGE },
});
const lock = (page: number, pages: number): Step => ({
  op: { call: 'mlock', addr: at(page), len: pages * PAGE },
});
const move = (from: number, pages: number, to: number, flags = MREMAP_MAYMOVE | MREMAP_FIXED): Step => ({
  op: { call: 'mremap', addr: at(from), oldLen: pages * PAGE, newLen: pages * PAGE, flags, newAddr: at(to) },
});
const fork: Step = { fork: true };
const SHARED = MAP_SHARED | MAP_ANONYMOUS;

const SCENES: Readonly<Record<string, readonly Step[]>> = {
  'anonymous memory, written and read in part': [
    map(0, 64),
    write(0, 10),
    read(20, 10),
    write(25, 2),
    protect(4, 3, PROT_READ),
    protect(40, 8, PROT_NONE),
    unmap(8, 1),
    map(100, 16, { prot: PROT_READ | PROT_EXEC }),
    map(200, 8, { flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE }),
    read(200, 8),
  ],
  'pages shared by fork, and copied': [
    map(0, 32),
    write(0, 16),
    read(16, 4),
    fork,
    write(0, 4, 0),
    write(8, 3),
    fork,
    write(2, 4),
    write(12, 2, 1),
    advise(28, 2, MADV_WIPEONFORK),
  ],
  'huge pages, whole and broken up': [
    map(0, 4 * 512),
    advise(0, 4 * 512, MADV_HUGEPAGE),
    write(0, 1),
    read(512, 1),
    write(1024, 1),
    write(1536, 1),
    advise(1024 + 8, 8, MADV_DONTNEED),
    protect(1536 + 100, 4, PROT_READ),
    map(4096, 100),
    advise(4096, 100, MADV_HUGEPAGE),
    write(4096, 3),
  ],
  'huge pages shared by fork': [
    map(0, 3 * 512),
    advise(0, 3 * 512, MADV_HUGEPAGE),
    write(0, 1),
    write(512, 1),
    write(1024, 1),
    fork,
    write(0, 1, 0),
    write(512 + 7, 1, 0),
    write(1024, 2),
  ],
  'a collapsed range': [map(0, 512), write(0, 100), advise(0, 512, MADV_COLLAPSE), write(5, 1)],
  'locked memory': [
    map(0, 32),
    write(0, 4),
    lock(2, 6),
    { op: { call: 'mlock2', addr: at(20), len: 4 * PAGE, flags: MLOCK_ONFAULT } },
    write(21, 1),
    map(64, 8, { flags: MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED }),
    fork,
    write(0, 3),
    { op: { call: 'munlock', addr: at(3), len: 2 * PAGE } },
  ],
  'shared memory and files of memory': [
    map(0, 32, { flags: SHARED }),
    write(0, 8),
    read(8, 4),
    { memfd: 64 * PAGE, fd: 100 },
    map(64, 32, { flags: MAP_SHARED, fd: 100 }),
    write(64, 4),
    read(80, 2),
    map(128, 32, { flags: MAP_PRIVATE, fd: 100 }),
    read(128, 6),
    write(130, 3),
    map(192, 16, { flags: MAP_SHARED, fd: 100, prot: PROT_READ }),
    read(192, 1),
    fork,
    write(0, 2, 0),
    write(131, 1, 0),
  ],
  'guard regions, cold and lazily freed pages': [
    map(0, 32),
    write(0, 32),
    advise(4, 3, MADV_GUARD_INSTALL),
    advise(8, 8, MADV_COLD),
    advise(16, 8, MADV_FREE),
    // Locking anything makes the kernel settle what it keeps in batches.
    map(64, 1),
    lock(64, 1),
    write(20, 2),
    read(9, 1),
  ],
  'populated pages': [
    map(0, 32),
    advise(0, 8, MADV_POPULATE_READ),
    advise(6, 8, MADV_POPULATE_WRITE),
    map(64, 16, { flags: SHARED }),
    advise(64, 8, MADV_POPULATE_READ),
  ],
  'moves, and the most that was mapped': [
    map(0, 1024),
    write(0, 600),
    move(0, 512, 4096),
    move(512, 88, 8000, MREMAP_MAYMOVE | MREMAP_FIXED),
    unmap(600, 424),
    map(10_000, 64),
    write(10_000, 10),
    move(10_000, 64, 11_000, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP),
    map(12_000, 2000),
    unmap(12_000, 2000),
  ],
};

const SWAPPED: Readonly<Record<string, readonly Step[]>> = {
  'swapped memory': [
    map(0, 32),
    write(0, 24),
    advise(0, 16, MADV_PAGEOUT),
    read(2, 2),
    write(6, 2),
    advise(12, 2, MADV_DONTNEED),
  ],
  'swapped memory shared by fork': [
    map(0, 16),
    write(0, 8),
    advise(0, 6, MADV_PAGEOUT),
    fork,
    write(0, 1, 0),
    fork,
    read(3, 1),
  ],
};

/** Lines of the rollup in which pages outside the window count otherwise once a child shares them. */
const COUNTS_SHARING = /^(?:Pss\w*|Shared_\w+|Private_\w+|Referenced): /;

/** The kernel notes the most that was resident from counters that lag behind on each CPU: it may have missed a little of the peak. */
const withoutPeak = (status: string): string => status.replace(/^(VmHWM:\t) +\d+( kB)$/m, '$1$2');
const kB = (text: string, name: string): number =>
  Number(new RegExp(`^${name}:\\t +(\\d+) kB$`, 'm').exec(text)?.[1]);

const linesOf = (text: string): string[] => text.split(/(?<=\n)/);

describe.each([
  ['', SCENES],
  ['with swap space, ', SWAPPED],
])('%sthe views of a process', (_, scenes) => {
  const reason = whyNoOracle();
  for (const [name, steps] of Object.entries(scenes)) {
    it(`are the kernel’s: ${name}`, { timeout: 60_000 }, (context) => {
      if (reason !== null) leaveOut(context, reason);
      const swap = scenes === SWAPPED;
      const views = buildViews();
      let kernel = viewsOfKernel(views, steps, swap);
      let model = viewsOfModel(steps, swap, kernel);
      // The collapser of huge pages may come by; not twice at once.
      if (model.after.smaps !== kernel.after.smaps) {
        kernel = viewsOfKernel(views, steps, swap);
        model = viewsOfModel(steps, swap, kernel);
      }
      expect(model.after.smaps).toBe(kernel.after.smaps);
      expect(model.after.pagemap).toBe(kernel.after.pagemap);
      const status = shifted(model.after.status, model.before.status, kernel.before.status);
      expect(withoutPeak(status)).toBe(withoutPeak(kernel.after.status));
      expect(kB(kernel.after.status, 'VmHWM')).toBeGreaterThanOrEqual(kB(kernel.after.status, 'VmRSS'));
      expect(kB(kernel.after.status, 'VmHWM')).toBeLessThanOrEqual(kB(status, 'VmHWM'));
      expect(shifted(model.after.statm, model.before.statm, kernel.before.statm)).toBe(kernel.after.statm);
      // Who sees to swap space is a child too.
      const isShared = swap || steps.some((step) => 'fork' in step);
      const [head, ...lines] = [kernel.after.rollup, kernel.before.rollup, model.after.rollup].map(linesOf);
      expect(head?.[0]).toMatch(/^[0-9a-f]+-[0-9a-f]+ ---p 00000000 00:00 0 +\[rollup\]\n$/);
      const figures = (text: readonly string[] = []): string =>
        text
          .slice(1)
          .filter((line) => !isShared || !COUNTS_SHARING.test(line))
          .join('');
      expect(shifted(figures(lines[1]), '', figures(lines[0]))).toBe(figures(head));
    });
  }
});
