import { describe, expect, it } from 'vitest';
import { COSTS, measured } from '../../test/support/calibration.ts';
import {
  MADV_DONTNEED,
  MADV_HUGEPAGE,
  MADV_PAGEOUT,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from '../abi/mman.ts';
import {
  UFFD_FEATURE_SIGBUS,
  UFFD_FEATURE_WP_ASYNC,
  UFFD_FEATURE_WP_UNPOPULATED,
} from '../abi/userfaultfd.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { FACT, Kernel, LINUX_6_18, type PathName, UffdContext } from '../mm/index.ts';
import { Machine } from './machine.ts';
import type { UffdRequest } from './uffdOp.ts';

const PAGES = 1024;
const LEN = PAGES * PAGE_SIZE;

interface Scene {
  readonly machine: Machine;
  readonly heap: number;
  readonly source: number;
  readonly fd: number;
}

/** One process with `PAGES` registered pages, as many others, and a userfaultfd. */
function scene(features: number, mode: number): Scene {
  const machine = new Machine(new Kernel(LINUX_6_18, { totalSwapPages: 4096 }));
  const { pid, mm, files } = machine.spawn();
  const map = (): number => {
    const prot = PROT_READ | PROT_WRITE;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const outcome = machine.apply(pid, {
      call: 'mmap',
      addr: 0,
      len: 4 * LEN,
      prot,
      flags,
      fd: -1,
      offset: 0,
    });
    const at = outcome.kind === 'value' ? outcome.value : 0;
    // Tables of their own.
    return Math.ceil(at / 2 ** 21) * 2 ** 21;
  };
  const [heap, source] = [map(), map()];
  if (mm === null) throw new Error('no memory');
  const context = new UffdContext(mm, 0, features);
  files.set(9, { kind: 'uffd', context });
  const at = { machine, heap, source, fd: 9 };
  ioctl(at, { name: 'UFFDIO_REGISTER', start: heap, len: LEN, mode });
  return at;
}

const PID = 1000;
function ioctl({ machine, fd }: Scene, request: UffdRequest): void {
  const outcome = machine.apply(PID, { call: 'uffd_ioctl', fd, name: request.name, request });
  expect(outcome).toMatchObject({ kind: 'ioctl', result: { kind: 'value' } });
}
const touch = ({ machine }: Scene, addr: number, len: number, access: 'read' | 'write' = 'write') =>
  machine.apply(PID, { call: 'touch', addr, len, access, by: 'user', stamp: 7 });

/** Returns nanoseconds that the charges of `act` come to, and which paths they are. */
function priced({ machine }: Scene, act: () => void): { ns: number; paths: PathName[] } {
  const { work } = machine.kernel;
  const before = { calls: work.calls.slice(), pages: work.pages.slice() };
  act();
  const { totalNs, paths } = COSTS.timeOf({
    calls: work.calls.map((n, i) => n - (before.calls[i] as number)),
    pages: work.pages.map((n, i) => n - (before.pages[i] as number)),
  });
  return { ns: totalNs, paths: paths.map(({ path }) => path) };
}

const near = (ns: number, figureNs: number, share = 0.02): void =>
  expect(Math.abs(ns / figureNs - 1)).toBeLessThan(share);

const [MISSING, WP] = [1, 2];

describe('an ioctl of userfaultfd costs what was measured', () => {
  it('COPY, of one page and of 64', () => {
    const s = scene(0, MISSING);
    touch(s, s.source, 2 * LEN);
    // Pages that were given back a moment ago, as when it was measured.
    s.machine.apply(PID, { call: 'madvise', addr: s.source + LEN, len: LEN, advice: MADV_DONTNEED });
    const copy = (page: number, pages: number): number =>
      priced(s, () =>
        ioctl(s, {
          name: 'UFFDIO_COPY',
          dst: s.heap + page * PAGE_SIZE,
          src: s.source,
          len: pages * PAGE_SIZE,
          mode: 0,
        }),
      ).ns;
    near(copy(0, 1), measured('uffd_copy_1'));
    near(copy(64, 64), 64 * measured('uffd_copy_64'));
    near(copy(512, 512), 512 * measured('uffd_copy_512'));
  });
  it('MOVE, of pages, of swap entries', () => {
    const s = scene(0, MISSING);
    touch(s, s.source, LEN);
    const move = (page: number, pages: number): number =>
      priced(s, () =>
        ioctl(s, {
          name: 'UFFDIO_MOVE',
          dst: s.heap + page * PAGE_SIZE,
          src: s.source + page * PAGE_SIZE,
          len: pages * PAGE_SIZE,
          mode: 0,
        }),
      ).ns;
    near(move(0, 1), measured('uffd_move_1'));
    near(move(64, 64), 64 * measured('uffd_move_64'));
    s.machine.apply(PID, { call: 'madvise', addr: s.source, len: LEN, advice: MADV_PAGEOUT });
    near(move(512, 512), 512 * measured('uffd_move_swapped'), 0.01);
  });
  it('WRITEPROTECT, of what is there, of nothing, of markers, and back', () => {
    const s = scene(UFFD_FEATURE_WP_UNPOPULATED, WP);
    const protect = (mode: number): number =>
      priced(s, () => ioctl(s, { name: 'UFFDIO_WRITEPROTECT', start: s.heap, len: 512 * PAGE_SIZE, mode }))
        .ns;
    near(protect(1), measured('uffd_wp_on_none_512'));
    near(protect(1), measured('uffd_wp_on_marked_512'));
    near(protect(0), measured('uffd_wp_off_none_512'));
    touch(s, s.heap, 512 * PAGE_SIZE);
    near(protect(1), measured('uffd_wp_on_512'));
    near(protect(0), measured('uffd_wp_off_512'));
  });
  it('PAGEMAP_SCAN, clean, written, protecting, with a region for every second page', () => {
    const s = scene(UFFD_FEATURE_WP_ASYNC + UFFD_FEATURE_WP_UNPOPULATED, WP);
    touch(s, s.heap, LEN);
    const scan = (flags: number): number =>
      priced(s, () =>
        s.machine.apply(PID, {
          call: 'pagemap_scan',
          target: 'self',
          request: {
            size: 96,
            flags,
            start: s.heap,
            end: s.heap + LEN,
            vec: 'set',
            vecLen: PAGES,
            maxPages: 0,
            inverted: 0,
            mask: 2,
            anyof: 0,
            returned: 2,
          },
        }),
      ).ns / PAGES;
    near(scan(0), measured('pagemap_scan_written'), 0.05);
    near(scan(1), measured('pagemap_scan_wp_written'), 0.02);
    near(scan(0), measured('pagemap_scan_clean'), 0.2);
    for (let page = 0; page < PAGES; page += 2) touch(s, s.heap + page * PAGE_SIZE, PAGE_SIZE);
    near(scan(1), measured('pagemap_scan_wp_alternate'), 0.02);
  });
});

describe('a fault in registered memory', () => {
  it('that gets SIGBUS costs, with the COPY that answers it, what was measured', () => {
    const s = scene(UFFD_FEATURE_SIGBUS, MISSING);
    touch(s, s.source, PAGE_SIZE);
    // The table is there.
    ioctl(s, { name: 'UFFDIO_ZEROPAGE', start: s.heap + PAGE_SIZE, len: PAGE_SIZE, mode: 0 });
    const { ns, paths } = priced(s, () => {
      expect(touch(s, s.heap, PAGE_SIZE)).toMatchObject({ kind: 'signal', signal: 'SIGBUS' });
      ioctl(s, { name: 'UFFDIO_COPY', dst: s.heap, src: s.source, len: PAGE_SIZE, mode: 0 });
      expect(touch(s, s.heap, PAGE_SIZE)).toMatchObject({ kind: 'value' });
    });
    near(ns, measured('uffd_sigbus_copy'));
    expect(paths.toSorted()).toEqual(['fault-signal', 'uffd-copy', 'uffd-fault-page', 'uffd-signal']);
  });
  it('takes a page in vain when it is a write, and none when it is a read', () => {
    const s = scene(UFFD_FEATURE_SIGBUS, MISSING);
    expect(priced(s, () => touch(s, s.heap, PAGE_SIZE, 'read')).paths).not.toContain('uffd-fault-page');
    expect(priced(s, () => touch(s, s.heap, PAGE_SIZE)).paths).toContain('uffd-fault-page');
  });
  it('takes 2 MiB in vain where they could be mapped at once, until there is a table', () => {
    const s = scene(UFFD_FEATURE_SIGBUS, MISSING);
    s.machine.apply(PID, { call: 'madvise', addr: s.heap, len: LEN, advice: MADV_HUGEPAGE });
    const { facts } = s.machine.kernel.work;
    const fault = () => priced(s, () => touch(s, s.heap, PAGE_SIZE)).paths;
    expect(fault()).toContain('uffd-fault-huge-page');
    expect(facts[FACT.hugePagesFreed]).toBe(1);
    ioctl(s, { name: 'UFFDIO_ZEROPAGE', start: s.heap + PAGE_SIZE, len: PAGE_SIZE, mode: 0 });
    expect(fault()).toContain('uffd-fault-page');
    expect([facts[FACT.hugePagesAllocated], facts[FACT.pagesAllocated]]).toEqual([1, 513]);
  });
  it('of a protected page that is let through, and of a marker, costs what was measured', () => {
    const s = scene(UFFD_FEATURE_WP_ASYNC + UFFD_FEATURE_WP_UNPOPULATED, WP);
    touch(s, s.heap, PAGE_SIZE);
    // Pages that were given back a moment ago, for the ones that follow.
    s.machine.apply(PID, { call: 'madvise', addr: s.heap, len: PAGE_SIZE, advice: MADV_DONTNEED });
    touch(s, s.heap, PAGE_SIZE);
    ioctl(s, { name: 'UFFDIO_WRITEPROTECT', start: s.heap, len: PAGE_SIZE, mode: 1 });
    near(priced(s, () => touch(s, s.heap, PAGE_SIZE)).ns, measured('fault_wp_async'));
    touch(s, s.source, PAGE_SIZE);
    s.machine.apply(PID, { call: 'madvise', addr: s.source, len: PAGE_SIZE, advice: MADV_DONTNEED });
    ioctl(s, { name: 'UFFDIO_WRITEPROTECT', start: s.heap + PAGE_SIZE, len: PAGE_SIZE, mode: 1 });
    near(
      priced(s, () => touch(s, s.heap + PAGE_SIZE, PAGE_SIZE)).ns,
      measured('fault_wp_async_marker'),
      0.05,
    );
  });
});

describe('pages of zeros in swap', () => {
  it('are marked and cleared, not written and read, where what stores leave is told', () => {
    const s = scene(0, MISSING);
    s.machine.kernel.swap.contentsAreTold = true;
    const access = (addr: number, stamp: number) =>
      s.machine.apply(PID, { call: 'touch', addr, len: LEN, access: 'write', by: 'user', stamp });
    access(s.source, 0);
    access(s.source + LEN, 7);
    const out = (addr: number) =>
      priced(s, () => s.machine.apply(PID, { call: 'madvise', addr, len: LEN, advice: MADV_PAGEOUT }));
    near(out(s.source).ns, PAGES * measured('swap_out_zero'));
    near(out(s.source + LEN).ns, PAGES * measured('swap_out_half'));
    const back = priced(s, () => touch(s, s.source, LEN, 'read'));
    near(back.ns, PAGES * measured('swap_in_zero'));
    expect(back.paths).toEqual(['fault-swap-in-zero']);
    near(priced(s, () => touch(s, s.source + LEN, LEN, 'read')).ns, PAGES * measured('swap_in_half'));
  });
  it('cost what others cost where it is not: nobody knows what they hold', () => {
    const s = scene(0, MISSING);
    touch(s, s.source, LEN);
    s.machine.apply(PID, { call: 'touch', addr: s.source, len: LEN, access: 'write', by: 'user', stamp: 0 });
    const { paths } = priced(s, () =>
      s.machine.apply(PID, { call: 'madvise', addr: s.source, len: LEN, advice: MADV_PAGEOUT }),
    );
    expect(paths).toEqual(['madv-pageout']);
  });
});
