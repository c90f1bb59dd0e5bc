/** The numbered cases of spec/pt-reclaim.md 6 that are about policies and times, at full size; each `it` begins with its numbers. */
import { describe, expect, it } from 'vitest';
import { COSTS } from '../../test/support/calibration.ts';
import {
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  PROT_READ,
  PROT_WRITE,
} from '../abi/mman.ts';
import { PR_PT_RECLAIM_NEVER } from '../abi/prctl.ts';
import { PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import {
  FACT,
  type FactName,
  type Features,
  Kernel,
  LINUX_6_18,
  type Mm,
  type ScanTunables,
} from '../mm/index.ts';
import { MARKER, MARKER_UFFD_WP } from '../mm/pte.ts';
import { scanTables } from '../mm/ptScan.ts';
import { VM_UFFD_WP } from '../mm/vmFlags.ts';
import { Machine } from './machine.ts';
import type { Op } from './op.ts';
import type { Outcome } from './outcome.ts';

const BASE = 0x2000_0000_0000;
const MS = 1e6;
/** 50 GiB. */
const COVER = 25_600;

/** A process of a machine with a clock that the test moves. */
class World {
  readonly machine: Machine;
  readonly pid: number;
  readonly mm: Mm;
  nowNs = 0;

  constructor(features: Partial<Features>, tunables: Partial<ScanTunables> = {}) {
    this.machine = new Machine(new Kernel({ ...LINUX_6_18, ...features, ptScan: tunables }));
    this.machine.tableReclaim.clock = () => this.nowNs;
    this.machine.tableReclaim.useModelledTime(COSTS);
    const { pid, mm } = this.machine.spawn();
    this.pid = pid;
    this.mm = mm as Mm;
  }
  do(op: Op, task = this.pid): Outcome {
    return this.machine.apply(task, op);
  }
  map(tables: number): void {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE;
    const prot = PROT_READ | PROT_WRITE;
    this.do({ call: 'mmap', addr: BASE, len: tables * PMD_SIZE, prot, flags, fd: -1, offset: 0 });
  }
  touch(table: number): void {
    this.do({ call: 'touch', addr: BASE + table * PMD_SIZE, len: 1, access: 'write', by: 'user' });
  }
  discard(addr: number, len: number): void {
    this.do({ call: 'madvise', addr, len, advice: MADV_DONTNEED });
  }
  /** The loop of the cover letters, a page a table. @param pieces  calls for each table */
  cover(tables: number, pieces: 1 | 2, each: () => void = () => {}): void {
    this.map(tables);
    for (let table = 0; table < tables; table++) {
      this.touch(table);
      const [addr, len] = [BASE + table * PMD_SIZE, PMD_SIZE / pieces];
      for (let at = addr; at < addr + PMD_SIZE; at += len) this.discard(at, len);
      each();
    }
  }
  get kib(): number {
    return this.mm.pages.bytes / 1024 - 4;
  }
  fact(name: FactName): number {
    return this.machine.kernel.work.facts[FACT[name]] as number;
  }
}
/** VmPTE of the loop over 50 GiB, without the page for 512 GiB, which programs have: 25,600 tables and 50 pages above them; those 50. */
const ALL = 4 * (COVER + 50);
const NONE = 4 * 50;

describe('the loop of the cover letters, 50 GiB', () => {
  it('25: sync frees what whole calls cover, and nothing of halves until one call covers all', () => {
    const whole = new World({ ptReclaim: 'sync' });
    whole.cover(COVER, 1);
    const halves = new World({ ptReclaim: 'sync' });
    halves.cover(COVER, 2);
    const before = halves.kib;
    halves.discard(BASE, COVER * PMD_SIZE);
    expect([whole.kib, before, halves.kib]).toEqual([NONE, ALL, NONE]);
  });
  it('26: off keeps all, counted entries keep none even of halves', () => {
    const off = new World({ ptReclaim: 'off' });
    off.cover(COVER, 1);
    const counted = new World({ ptReclaim: 'refcount' });
    counted.cover(COVER, 2);
    expect([off.kib, counted.kib]).toEqual([ALL, NONE]);
  });
  it('27: async leaves what was emptied since the last scan', () => {
    const world = new World({ ptReclaim: 'async' });
    let [scans, most] = [0, 0];
    const ends: number[] = [];
    world.cover(COVER / 4, 2, () => {
      world.nowNs += 100_000;
      most = Math.max(most, world.kib - 4 * world.mm.pages.nrPmds);
      if (world.fact('ptScans') === scans) return;
      scans = world.fact('ptScans');
      ends.push(world.kib - 4 * world.mm.pages.nrPmds);
    });
    expect(ends.length).toBe(6);
    expect(Math.max(...ends)).toBeLessThanOrEqual(4);
    expect(most).toBeLessThanOrEqual(4 * 1001);
    expect(most).toBeGreaterThanOrEqual(4 * 999);
  });
  it('29: one VMA of 50 GiB is scanned in one stop, or in 200', () => {
    const scanned = (stop: 'vmaEnd' | 'exact'): { stops: number; tables: number; longestNs: number } => {
      const world = new World({ ptReclaim: 'async' }, { stop });
      world.map(COVER);
      for (let table = 0; table < COVER; table++) world.touch(table);
      let stops = 0;
      do {
        world.nowNs += 100 * MS;
        world.do({ call: 'nop' });
        stops++;
      } while (world.mm.ptScan?.offset !== 0 && stops < 1000);
      return {
        stops,
        tables: world.fact('ptScanTables'),
        longestNs: world.machine.tableReclaim.times.longestNs,
      };
    };
    const whole = scanned('vmaEnd');
    expect([whole.stops, whole.tables]).toEqual([1, COVER]);
    expect(whole.longestNs / MS).toBeGreaterThan(10);
    expect(whole.longestNs / MS).toBeLessThan(15);
    const pieces = scanned('exact');
    expect([pieces.stops, pieces.tables]).toEqual([200, COVER]);
    expect(pieces.longestNs / MS).toBeLessThan(0.1);
  });
  it('38: fork copies 25,600 empty tables, unless one call, or a scan, came first', () => {
    const copied = (world: World, free: () => void): number => {
      world.cover(COVER, 2);
      free();
      world.do({ call: 'clone', flags: 0, child: 0 });
      return world.fact('ptCopiedEmptyByFork');
    };
    const off = new World({ ptReclaim: 'off' });
    const sync = new World({ ptReclaim: 'sync' });
    const async = new World({ ptReclaim: 'async' });
    expect(copied(off, () => {})).toBe(COVER);
    expect(copied(sync, () => sync.discard(BASE, COVER * PMD_SIZE))).toBe(0);
    expect(copied(async, () => scanTables(async.mm))).toBe(0);
  });
});

describe('other cases', () => {
  it('31: a marker keeps its table, whether memory of userfaultfd is scanned or not', () => {
    const left = (scanUffdWp: boolean): number => {
      const world = new World({ ptReclaim: 'async' }, { scanUffdWp });
      world.cover(2, 2);
      world.mm.pages.set(BASE + 5 * PAGE_SIZE, MARKER, MARKER_UFFD_WP);
      const vma = world.mm.vmas.at(BASE);
      if (vma !== null) vma.flags |= VM_UFFD_WP;
      scanTables(world.mm);
      return world.mm.pages.nrPtes;
    };
    expect([left(false), left(true)]).toEqual([2, 1]);
  });
  it('32: what a process says of itself its child says too, and the program that it executes does not', () => {
    const world = new World({ ptReclaim: 'async' });
    world.do({ call: 'prctl_pt_reclaim', mode: PR_PT_RECLAIM_NEVER });
    world.do({ call: 'clone', flags: 0, child: 77 });
    const child = world.machine.process(77);
    expect([world.mm.ptReclaim, child?.mm?.ptReclaim]).toEqual(['never', 'never']);
    world.do({ call: 'execve', path: '/x' }, 77);
    // What it has then is not this memory, and new memory says nothing of itself.
    expect([child?.mm ?? null, world.machine.spawn().mm?.ptReclaim]).toEqual([null, null]);
  });
  it('37: the process has its tables back at once, the machine a grace period later', () => {
    const world = new World({ ptReclaim: 'sync' });
    world.map(256);
    for (let table = 0; table < 256; table++) world.touch(table);
    const before = world.kib;
    world.discard(BASE, 256 * PMD_SIZE);
    const { tableReclaim } = world.machine;
    expect([before - world.kib, tableReclaim.rcuPendingTables]).toEqual([1024, 256]);
    world.nowNs += 100 * MS;
    world.do({ call: 'nop' });
    expect(tableReclaim.rcuPendingTables).toBe(0);
  });
  it('39: a hot table is made anew each time with sync and refcount, not with a scan that waits', () => {
    const made = (ptReclaim: Features['ptReclaim'], tunables: Partial<ScanTunables> = {}): number => {
      const world = new World({ ptReclaim }, tunables);
      world.map(1);
      for (let i = 0; i < 1000; i++) {
        world.touch(0);
        world.nowNs += 7 * MS;
        world.discard(BASE, PMD_SIZE);
      }
      return world.fact('ptReallocated');
    };
    expect([made('sync'), made('refcount'), made('off'), made('async', { minAge: 1 })]).toEqual([
      999, 999, 0, 0,
    ]);
    expect(made('async')).toBeGreaterThan(50);
  });
  it('39: what comes back after more than a second is no reuse', () => {
    const world = new World({ ptReclaim: 'sync' });
    world.map(1);
    for (let i = 0; i < 10; i++) {
      world.touch(0);
      world.discard(BASE, PMD_SIZE);
      world.nowNs += 1500 * MS;
    }
    expect([world.fact('ptFreedSync'), world.fact('ptReallocated')]).toEqual([10, 0]);
  });
  it('has modelled time pass where nobody tells another: calls and faults take it', () => {
    const machine = new Machine(new Kernel({ ...LINUX_6_18, ptReclaim: 'async', ptScan: { interval: 0.1 } }));
    machine.tableReclaim.useModelledTime(COSTS);
    const { pid, mm } = machine.spawn();
    const world = { machine, pid, mm } as const;
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    machine.apply(pid, { call: 'mmap', addr: BASE, len: 64 * PMD_SIZE, prot: 3, flags, fd: -1, offset: 0 });
    for (let i = 0; i < 20_000; i++) {
      const addr = BASE + (i % 64) * PMD_SIZE;
      machine.apply(pid, { call: 'touch', addr, len: 1, access: 'write', by: 'user' });
      machine.apply(pid, { call: 'madvise', addr, len: PAGE_SIZE, advice: MADV_DONTNEED });
    }
    const { facts } = world.machine.kernel.work;
    // 20,000 faults and as many calls are about 40 ms: ten ticks.
    expect(facts[FACT.ptScans]).toBeGreaterThan(5);
    expect(facts[FACT.ptScans]).toBeLessThan(20);
    expect(machine.tableReclaim.times.allNs).toBeGreaterThan(0);
  });
});
