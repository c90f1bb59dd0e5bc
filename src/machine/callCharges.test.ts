import { describe, expect, it } from 'vitest';
import { COSTS, measured } from '../../test/support/calibration.ts';
import * as mman from '../abi/mman.ts';
import { Kernel, LINUX_6_18, type PathName } from '../mm/index.ts';
import { Machine, type Op } from './index.ts';

const PAGE = 4096;
const MIB = 2 ** 20;
const AT = 0x1000_0000_0000;
const TO = 0x1100_0000_0000;
const RW = mman.PROT_READ | mman.PROT_WRITE;
const PID = 7;

/** A process, whose calls are charged. */
class Charged {
  readonly machine: Machine;
  constructor(features = LINUX_6_18) {
    this.machine = new Machine(new Kernel(features));
    this.machine.spawn(PID);
  }

  /** Does operations that are not looked at. */
  after(...ops: readonly Op[]): this {
    for (const op of ops) this.machine.apply(PID, op);
    return this;
  }

  /** Returns what one operation is charged, as `path`, or `path calls/pages`. */
  charges(op: Op, pid = PID): string[] {
    return this.#paths(op, pid).map(({ path, calls, pages }) =>
      calls === 1 && pages === 0 ? path : `${path} ${calls}/${pages}`,
    );
  }

  /** Returns its modelled time in nanoseconds. */
  ns(op: Op): number {
    return this.#paths(op, PID).reduce((sum, { ns }) => sum + ns, 0);
  }

  #paths(op: Op, pid: number): { path: PathName; calls: number; pages: number; ns: number }[] {
    const { work } = this.machine.kernel;
    const before = { calls: work.calls.slice(), pages: work.pages.slice() };
    this.machine.apply(pid, op);
    const calls = work.calls.map((n, i) => n - (before.calls[i] as number));
    const pages = work.pages.map((n, i) => n - (before.pages[i] as number));
    return [...COSTS.timeOf({ calls, pages }).paths].sort((a, b) => (a.path < b.path ? -1 : 1));
  }
}

const map = (pages: number, addr = AT, prot = RW): Op => ({
  call: 'mmap',
  addr,
  len: pages * PAGE,
  prot,
  flags: mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | (addr === 0 ? 0 : mman.MAP_FIXED),
  fd: -1,
  offset: 0,
});
const write = (pages: number, first = 0, addr = AT): Op => ({
  call: 'touch',
  addr: addr + first * PAGE,
  len: pages * PAGE,
  access: 'write',
  by: 'user',
});
const unmap = (pages: number, first = 0): Op => ({
  call: 'munmap',
  addr: AT + first * PAGE,
  len: pages * PAGE,
});
const protect = (pages: number, prot: number, first = 0): Op => ({
  call: 'mprotect',
  addr: AT + first * PAGE,
  len: pages * PAGE,
  prot,
});
const advise = (advice: number, pages: number, first = 0): Op => ({
  call: 'madvise',
  addr: AT + first * PAGE,
  len: pages * PAGE,
  advice,
});
const move = (pages: number, to: number, first = 0, more = 0): Op => ({
  call: 'mremap',
  addr: AT + first * PAGE,
  oldLen: pages * PAGE,
  newLen: pages * PAGE,
  flags: mman.MREMAP_MAYMOVE | mman.MREMAP_FIXED | more,
  newAddr: to,
});
const fork: Op = { call: 'clone', flags: 0, child: 8 };

describe('a call is charged', () => {
  it.each<[string, readonly Op[], Op, readonly string[]]>([
    ['a new vma', [], map(4), ['mmap-new']],
    ['a new vma where the kernel likes', [], map(4, 0), ['mmap-new-placed']],
    ['joining the vma below', [map(4)], map(1, AT + 4 * PAGE), ['mmap-merge']],
    ['joining both', [map(1), map(1, AT + 2 * PAGE)], map(1, AT + PAGE), ['mmap-merge-both']],
    ['a munmap and an mmap where there was one', [map(4)], map(4, AT, 1), ['mmap-new', 'munmap-whole']],
    ['a whole vma', [map(4)], unmap(4), ['munmap-whole']],
    ['the end of one', [map(4)], unmap(1, 3), ['munmap-trim']],
    ['its middle', [map(4)], unmap(1, 1), ['munmap-split']],
    [
      'its middle with pages, and for the anon_vma of the new vma',
      [map(4), write(4)],
      unmap(1, 1),
      ['munmap-pages 1/1', 'munmap-split', 'split-written 0/2'],
    ],
    [
      'several vmas',
      [map(1), map(1, AT + PAGE, 1), map(1, AT + 2 * PAGE), write(1, 2)],
      unmap(3),
      ['munmap-more-vmas 0/2', 'munmap-pages 1/1', 'munmap-whole'],
    ],
    ['nothing but the call where nothing is', [], unmap(3), ['syscall']],
    ['two splits', [map(4)], protect(1, 1, 1), ['split 0/2', 'vma-attributes']],
    ['two merges', [map(4), protect(1, 1, 1)], protect(1, RW, 1), ['merge 0/2', 'vma-attributes']],
    [
      'a page that goes to the vma beside it',
      [map(4), write(1), protect(4, 1), protect(1, RW)],
      protect(1, RW, 1),
      ['border 0/1', 'vma-attributes'],
    ],
    [
      'entries that lose write access',
      [map(4), write(3)],
      protect(4, 1),
      ['mprotect-read-only 1/3', 'vma-attributes'],
    ],
    ['a refusal', [map(4)], protect(1, 1, 9), ['syscall']],
    ['pages given back', [map(9), write(9)], advise(mman.MADV_DONTNEED, 9), ['dontneed 1/9']],
    ['none given back', [map(9)], advise(mman.MADV_DONTNEED, 9), ['dontneed-empty']],
    [
      'more pages than stay in the cache',
      [map(40_000), advise(mman.MADV_POPULATE_WRITE, 40_000)],
      advise(mman.MADV_DONTNEED, 40_000),
      ['dontneed-large 1/40000', 'dontneed-tables 0/78'],
    ],
    ['lazily freed pages', [map(9), write(5)], advise(mman.MADV_FREE, 9), ['madv-free 1/5']],
    ['deactivated pages', [map(9), write(5)], advise(mman.MADV_COLD, 9), ['madv-cold 1/5']],
    ['markers', [map(9)], advise(mman.MADV_GUARD_INSTALL, 3), ['guard-install 1/3']],
    [
      'removed markers',
      [map(9), advise(mman.MADV_GUARD_INSTALL, 3)],
      advise(mman.MADV_GUARD_REMOVE, 9),
      ['guard-remove 1/3'],
    ],
    ['pages read in', [map(9)], advise(mman.MADV_POPULATE_READ, 9), ['populate-read 9/9', 'syscall']],
    [
      'pages that were there, and others',
      [map(9), write(4)],
      advise(mman.MADV_POPULATE_WRITE, 9),
      ['populate-resident 0/4', 'populate-write-cold 5/5', 'syscall'],
    ],
    [
      'locked pages, resident and not',
      [map(9), write(4)],
      { call: 'mlock', addr: AT, len: 9 * PAGE },
      ['mlock-absent 5/5', 'mlock-resident 0/4', 'vma-attributes'],
    ],
    [
      'unlocked pages',
      [map(9), { call: 'mlock', addr: AT, len: 9 * PAGE }],
      { call: 'munlock', addr: AT, len: 9 * PAGE },
      ['munlock 0/9', 'vma-attributes'],
    ],
    ['moving a vma without pages', [map(4)], move(4, TO), ['mremap-move-empty']],
    ['entries', [map(4), write(3)], move(4, TO + PAGE), ['mremap-move-entries 1/3']],
    [
      'a vma cut out of another',
      [map(4), write(4)],
      move(1, TO, 1),
      ['mremap-move-entries 1/1', 'mremap-split 0/2'],
    ],
    ['tables', [map(1024), write(1024)], move(1024, TO), ['mremap-move-tables 1/2']],
    [
      'a source that stays',
      [map(4), write(4)],
      move(4, TO, 0, mman.MREMAP_DONTUNMAP),
      ['mremap-dontunmap', 'mremap-move-entries 0/4'],
    ],
    [
      'what was at the destination',
      [map(4), map(2, TO), write(2, 0, TO)],
      move(2, TO),
      ['mremap-move-empty', 'mremap-split 0/1', 'munmap-pages 1/2', 'munmap-whole'],
    ],
    ['growing in place', [map(4)], { ...move(4, 0), newLen: 6 * PAGE, flags: 0 } as Op, ['mremap-grow']],
    ['growing the heap', [{ call: 'brk', addr: 0 }], { call: 'brk', addr: 9 * PAGE }, ['brk-grow']],
    ['no growth', [map(4)], { ...move(4, 0), flags: 0 } as Op, ['syscall']],
    ['shrinking', [map(4)], { ...move(4, 0), newLen: 2 * PAGE, flags: 0 } as Op, ['mremap-shrink']],
    [
      'a fork of vmas and pages',
      [map(4), write(3)],
      fork,
      ['fork', 'fork-pages 0/3', 'fork-written-vmas 0/1'],
    ],
    ['a store after it', [map(4), write(3), fork], write(1), ['fault-cow 1/1']],
    ['another setting', [], { call: 'set_uid', uid: 1 }, ['syscall']],
    ['looking', [map(9)], { call: 'mincore', addr: AT, len: 9 * PAGE }, ['mincore 1/9']],
  ])('%s', (_what, before, op, charges) => {
    expect(new Charged().after(...before).charges(op)).toEqual(charges);
  });

  it('the end of a process, with pages of its own and shared ones', () => {
    const charged = new Charged().after(map(4), write(3), fork);
    charged.machine.apply(8, write(1));
    expect(charged.charges({ call: 'exit_group' }, 8)).toEqual([
      'exit',
      'exit-pages 0/1',
      'exit-written-vmas 0/1',
      'zap-shared 0/2',
    ]);
  });

  it('breaking up huge pages: the mapping, and the folio', () => {
    const huge = (): Charged =>
      new Charged().after(map(1024), advise(mman.MADV_HUGEPAGE, 1024), { ...write(1), stamp: 1 } as Op);
    expect(huge().charges(advise(mman.MADV_DONTNEED, 1))).toEqual([
      'dontneed-empty',
      'pmd-split 0/1',
      'zap-huge-parts 0/1',
    ]);
    expect(huge().charges(advise(mman.MADV_FREE, 1))).toEqual(['folio-split 0/1', 'madv-free 1/1']);
    expect(huge().charges(advise(mman.MADV_DONTNEED, 512))).toEqual([
      'dontneed-empty',
      'dontneed-tables 0/1',
      'zap-huge-freed 0/1',
    ]);
    expect(new Charged().after(map(1024), write(512)).charges(advise(mman.MADV_COLLAPSE, 512))).toEqual([
      'madv-collapse 1/1',
    ]);
  });

  it('what seed 004 asks of pages and does to them', () => {
    const on = { ...LINUX_6_18, mergePgoffOnMove: 'on' } as const;
    expect(new Charged(on).after(map(4), write(3)).charges(move(4, TO))).toEqual([
      'mremap-move-entries 1/3',
      'rehome 0/3',
      'sharing-check 0/3',
    ]);
    expect(new Charged().after(map(4), write(3)).charges(move(4, TO))).toEqual(['mremap-move-entries 1/3']);
  });

  it('nothing for tables to the fault that follows it', () => {
    const charged = new Charged().after(map(1024), write(600), move(1024, TO + PAGE));
    expect(charged.charges({ ...write(1, 700, TO + PAGE), access: 'read' } as Op)).toEqual([
      'fault-zero-page 1/1',
    ]);
  });
});

describe('a measured call takes the time that was measured:', () => {
  const pages = (n: number): readonly Op[] => [map(n), write(n)];
  it.each<[string, readonly Op[], Op]>([
    ['mmap_fixed_new_vma', [], map(1)],
    ['mmap_fixed_merge_both', [map(1), map(1, AT + 2 * PAGE)], map(1, AT + PAGE)],
    ['munmap_split', [map(9)], unmap(1, 4)],
    ['munmap_split_faulted', pages(9), unmap(1, 4)],
    ['munmap_trim', [map(9)], unmap(1, 8)],
    ['munmap_512', pages(512), unmap(512)],
    ['mprotect_split_faulted', pages(9), protect(1, 1, 4)],
    ['mprotect_merge_faulted', [...pages(9), protect(1, 1, 4)], protect(1, RW, 4)],
    ['mprotect_ro_512', pages(512), protect(512, 1)],
    ['mremap_move_vma_untouched', [map(1)], move(1, TO)],
    ['mremap_move_split_1', pages(9), move(1, TO, 4)],
    ['mremap_move_32768_pmd', [map(32768), advise(mman.MADV_POPULATE_WRITE, 32768)], move(32768, TO)],
    ['madv_dontneed_64', pages(64), advise(mman.MADV_DONTNEED, 64)],
    ['madv_free_512', pages(512), advise(mman.MADV_FREE, 512)],
    ['fork_pages_4096', [map(4096), advise(mman.MADV_POPULATE_WRITE, 4096)], fork],
  ])('%s', (figure, before, op) => {
    const ratio = new Charged().after(...before).ns(op) / measured(figure);
    expect(Math.abs(ratio - 1)).toBeLessThan(0.05);
  });

  it('of 1 GiB, by dozens of tables', () => {
    const gib = 1024 * MIB;
    const charged = new Charged().after(map(gib / PAGE), advise(mman.MADV_POPULATE_WRITE, gib / PAGE));
    const ratio = charged.ns(advise(mman.MADV_DONTNEED, gib / PAGE)) / measured('madv_dontneed_262144');
    expect(Math.abs(ratio - 1)).toBeLessThan(0.05);
  });
});
