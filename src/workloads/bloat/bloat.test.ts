import { describe, expect, it } from 'vitest';
import { CALIBRATION } from '../../../test/support/calibration.ts';
import { type Features, LINUX_6_18, verifyKernel } from '../../mm/index.ts';
import { type Figures, runThreaded, settleParams, type ThreadedWorkload } from '../index.ts';
import { BLOAT } from './index.ts';

type Given = Readonly<Record<string, string | number>>;

const recipe = (name: string): ThreadedWorkload => {
  const found = BLOAT.find((each) => each.name === `bloat/${name}`);
  if (found === undefined) throw new Error(`there is no bloat/${name}`);
  return found;
};

function run(name: string, given: Given = {}, on: Partial<Features> = {}): Figures {
  const workload = recipe(name);
  const params = settleParams(workload, given);
  const features = { ...LINUX_6_18, ...on };
  const { figures, simulation } = runThreaded({ workload, params }, { calibration: CALIBRATION, features });
  verifyKernel(simulation.kernel, []);
  return figures;
}

/** So many tables. */
const T = 64;
/** KiB of VmPTE with all of them, and with none: the page above them stays (spec/pt-reclaim.md 6.23). */
const ALL = 4 * T + 4;
const NONE = 4;

/** VmPTE at the end by policy: asked for at the end (madvise) with policy off, and scanned for until nothing changes. */
function byPolicy(name: string, given: Given = {}): Readonly<Record<string, number>> {
  const at = (more: Given, on: Partial<Features>): number =>
    run(name, { ...given, ...more }, on)['VmPTE at the end, KiB'] ?? Number.NaN;
  return {
    off: at({}, { ptReclaim: 'off' }),
    sync: at({}, { ptReclaim: 'sync' }),
    async: at({ settle: 450 }, { ptReclaim: 'async' }),
    madvise: at({ advise: 'end' }, { ptReclaim: 'off' }),
    refcount: at({}, { ptReclaim: 'refcount' }),
  };
}
const everywhere = (kib: number): Readonly<Record<string, number>> => ({
  off: kib,
  sync: kib,
  async: kib,
  madvise: kib,
  refcount: kib,
});

describe('what each policy leaves of page tables', () => {
  // The table of spec/pt-reclaim.md 4, at a GiB.
  it('of memory that is given back by whole tables', () => {
    expect(byPolicy('cover', { tables: T })).toEqual({ ...everywhere(NONE), off: ALL });
  });
  it.each(['cover-split', 'cover-page'])('of %s, where no call covers a table', (name) => {
    expect(byPolicy(name, { tables: T })).toEqual({ ...everywhere(NONE), off: ALL, sync: ALL });
  });
  it('of memory that was freed lazily and then taken', () => {
    const left = byPolicy('free-lazy', { tables: T, written: 2 });
    expect(left).toEqual({ ...everywhere(NONE), off: ALL, sync: ALL });
  });
  it('of tables that hold a page each, or a guard: all', () => {
    expect(byPolicy('holes', { tables: 64 })).toEqual(everywhere(4 * 64 + 4));
    expect(byPolicy('guards', { tables: T, written: 2 })).toEqual(everywhere(ALL));
  });
  it('of the markers of a snapshot: the posted scan passes memory by that is registered for protection', () => {
    const left = byPolicy('uffd-wp', { tables: T });
    expect(left).toEqual({ off: ALL, sync: ALL, async: ALL, madvise: NONE, refcount: NONE });
  });
  it.each([
    [{ piece: '2M' }, 0],
    [{ piece: '4M' }, 0],
    [{ piece: '512K' }, 1],
    [{ piece: '2M', shift: 1 }, 1],
  ])('of a window that slides by %o, with sync: all of them or none', (given, share) => {
    const kib = run('sliding-window', { tables: T, window: '16M', ...given })['VmPTE at the end, KiB'] ?? 0;
    // Off by a page, the pieces reach into one more table, and one more GiB.
    expect(kib).toBeGreaterThanOrEqual(share * ALL);
    expect(kib).toBeLessThanOrEqual(share * ALL + 12);
  });
  it('of a guest that is unplugged: blocks of 2 MiB free their tables, smaller ones and holes in files do not', () => {
    const kept = { tables: 64, keep: 8 };
    const left = (given: Given): number =>
      run('virtio-mem', { ...kept, ...given })['VmPTE at the end, KiB'] ?? 0;
    expect(left({})).toBe(4 * 8 + 4);
    expect(left({ block: '4K' })).toBe(4 * 64 + 4);
    expect(left({ backing: 'memfd', discard: 'punch' })).toBe(4 * 64 + 4);
    expect(left({ backing: 'memfd' })).toBe(4 * 8 + 4);
  });
});

describe('moving and forking', () => {
  it.each(['mremap', 'uffd-move'])('leaves the tables that pages left by %s', (by) => {
    const given = { cycles: 3, space: '8M', by };
    const sync = run('moving-gc', given);
    expect(sync['of it tables without entries, KiB']).toBeGreaterThanOrEqual(4 * 3 * 3);
    expect(run('moving-gc', given, { ptReclaim: 'refcount' })['of it tables without entries, KiB']).toBe(0);
  });
  it('copies empty tables into each child', () => {
    const of = (ptReclaim: Features['ptReclaim']): number =>
      run('fork-server', { tables: T, requests: 3 }, { ptReclaim })[
        'VmPTE of all processes at the most, KiB'
      ] ?? 0;
    // The parent and two children that live at a time.
    expect(of('sync')).toBeGreaterThan(3 * 4 * T);
    expect(of('refcount')).toBeLessThan(3 * 4 * 9);
  });
});

describe('allocators', () => {
  // spec/pt-reclaim.md 6.40
  it('of which one gives back at each free: sync frees next to nothing, scans all', () => {
    const sync = run('je-small', { blocks: 1000 });
    const empty = sync['of it tables without entries, KiB'] ?? 0;
    expect(sync['tables freed by MADV_DONTNEED']).toBeLessThan((0.05 * empty) / 4);
    const scanned = run('je-small', { blocks: 1000, settle: 300 }, { ptReclaim: 'async' });
    // The first and the last table of a mapping are not whole in it.
    expect(scanned['of it tables without entries, KiB']).toBeLessThanOrEqual(0.01 * empty + 16);
    expect(scanned['resident at the end, KiB']).toBe(sync['resident at the end, KiB']);
  });
  it('of which one waits and joins: calls cover tables', () => {
    const decay = run('je-decay', { blocks: 1000 });
    const peak = decay['VmPTE at the most, KiB'] ?? 0;
    expect(decay['VmPTE at the end, KiB']).toBeLessThan(0.5 * peak);
    expect(decay['resident at the end, KiB']).toBeLessThan(64);
  });
  it.each(['je-small', 'je-decay', 'glibc'])('%s survives blocks of random sizes and lives', (name) => {
    expect(run(name, { trace: 'churn', blocks: 1500, alive: 100, size: '1M' })['blocks that live, KiB']).toBe(
      0,
    );
  });
  it('glibc cuts the heap off at its top, and keeps all below a block that lives', () => {
    const all = run('glibc', { blocks: 1000, trace: 'fill' });
    expect(all['VmPTE at the end, KiB']).toBeLessThan(48);
    const some = run('glibc', { blocks: 1000, keep: 16 });
    expect(some['VmPTE at the end, KiB']).toBeGreaterThan(0.95 * (some['VmPTE at the most, KiB'] ?? 0));
    expect(some['resident at the end, KiB']).toBeGreaterThan(0.95 * 1000 * 64);
  });
  it('spans that go one by one leave all tables', () => {
    expect(run('tc-span', { tables: 64 })['VmPTE at the end, KiB']).toBe(4 * 64 + 4);
  });
});

describe('the field case at 1:10000', () => {
  const SMALL = { scale: 10_000 };
  // 2,883 tables, of which 30 are needed, and three pages above them.
  it('needs a hundredth of its tables', () => {
    const off = run('jvm-like', SMALL, { ptReclaim: 'off' });
    expect(off['VmPTE at the end, KiB']).toBe(4 * 2883 + 4 * 6);
    expect(off['resident at the end, KiB']).toBe(30 * 2048 + 4);
    // Of 512 entries a table: 0.0104.
    expect(off['pages held by 1000 tables']).toBeLessThan(0.02 * 512_000);
    expect(run('jvm-like', SMALL)['VmPTE at the end, KiB']).toBe(off['VmPTE at the end, KiB']);
  });
  it('keeps what is needed where tables are counted, asked for, or scanned for', () => {
    for (const [given, on] of [
      [{}, { ptReclaim: 'refcount' }],
      [{ advise: 'end' }, {}],
      [{ settle: 250 }, { ptReclaim: 'async' }],
    ] as const)
      expect(run('jvm-like', { ...SMALL, ...given }, on)['VmPTE at the end, KiB']).toBe(4 * 30 + 4 * 6);
  });
});
