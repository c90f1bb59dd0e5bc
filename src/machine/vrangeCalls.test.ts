/** vrange (seed 002) as an operation: answers, events, charges, and what it locks. What it does to memory is in mm/vrange.test.ts. */
import { describe, expect, it } from 'vitest';
import { CALIBRATION, COSTS } from '../../test/support/calibration.ts';
import { MADV_PAGEOUT } from '../abi/mman.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { type Features, Kernel, LINUX_6_18, type MmEvent, verifyKernel } from '../mm/index.ts';
import { Machine, type Op, type Outcome, Simulation, type TimeReport } from './index.ts';

const AT = 0x1000_0000_0000;
const PID = 7;
const PRIVATE = 0x32;

/** A process with 64 written pages at AT. */
class World {
  readonly machine: Machine;
  readonly events: MmEvent[] = [];
  constructor(features: Partial<Features> = {}) {
    const kernel = new Kernel({ ...LINUX_6_18, vrange: 'on', ...features });
    this.machine = new Machine(kernel);
    this.machine.spawn(PID);
    const len = 64 * PAGE_SIZE;
    this.apply({ call: 'mmap', addr: AT, len, prot: 3, flags: PRIVATE, fd: -1, offset: 0 });
    this.apply({ call: 'touch', addr: AT, len, access: 'write', stamp: 5, by: 'user' });
    kernel.emit = (event) => this.events.push(event);
  }
  apply(op: Op): Outcome {
    return this.machine.apply(PID, op);
  }
  vrange(
    page: number,
    pages: number,
    mode: 'volatile' | 'novolatile' | number,
    behavior: 'full' | 'partial' | number = 'full',
  ): Outcome {
    return this.apply({
      call: 'vrange',
      addr: AT + page * PAGE_SIZE,
      len: pages * PAGE_SIZE,
      mode,
      behavior,
    });
  }
  pageout(page: number, pages: number): void {
    this.apply({
      call: 'madvise',
      addr: AT + page * PAGE_SIZE,
      len: pages * PAGE_SIZE,
      advice: MADV_PAGEOUT,
    });
  }
  touch(page: number, by: 'user' | 'kernel' = 'user'): Outcome {
    return this.apply({ call: 'touch', addr: AT + page * PAGE_SIZE, len: 1, access: 'read', by });
  }
  /** Returns what `act` is charged, as `path`, or `path calls/pages`. */
  charges(act: () => void): string[] {
    const { work } = this.machine.kernel;
    const before = { calls: work.calls.slice(), pages: work.pages.slice() };
    act();
    const calls = work.calls.map((n, i) => n - (before.calls[i] as number));
    const pages = work.pages.map((n, i) => n - (before.pages[i] as number));
    return [...COSTS.timeOf({ calls, pages }).paths]
      .sort((a, b) => (a.path < b.path ? -1 : 1))
      .map(({ path, calls, pages }) => (calls === 1 && pages === 0 ? path : `${path} ${calls}/${pages}`));
  }
}
const value = (n: number): object => ({ kind: 'value', value: n });
const error = (errno: string, why: string): object => ({ kind: 'errno', errno, why });

describe('the operation', () => {
  it('answers as the call does', () => {
    const world = new World();
    expect(world.vrange(0, 16, 'volatile')).toMatchObject(value(0));
    world.pageout(4, 2);
    expect(world.touch(4)).toMatchObject({ kind: 'signal', signal: 'SIGBUS', code: 'BUS_ADRERR' });
    expect(world.touch(5, 'kernel')).toMatchObject({ kind: 'errno', errno: 'EFAULT' });
    expect(world.vrange(0, 16, 'novolatile')).toMatchObject(value(1));
    expect([world.touch(4), world.vrange(0, 16, 'novolatile')]).toMatchObject([value(0), value(0)]);
  });
  it('does not exist unless the switch is on', () => {
    const world = new World({ vrange: 'off' });
    expect(world.vrange(0, 1, 'volatile')).toMatchObject(error('ENOSYS', 'not-configured'));
  });
  it('refuses modes and behaviors that there are not', () => {
    const world = new World();
    expect(world.vrange(0, 1, 7)).toMatchObject(error('EINVAL', 'bad-flags'));
    expect(world.vrange(0, 1, 'volatile', 2)).toMatchObject(error('EINVAL', 'bad-flags'));
    expect(world.vrange(0, 65, 'volatile')).toMatchObject(error('ENOMEM', 'hole'));
    expect(world.events).toEqual([]);
  });
  it('tells what came of it, and who took what', () => {
    const world = new World();
    world.vrange(0, 8, 'volatile', 'partial');
    world.vrange(2, 2, 'volatile', 'partial');
    world.vrange(4, 8, 'volatile', 'partial');
    world.pageout(1, 1);
    world.vrange(0, 4, 'novolatile');
    world.vrange(6, 1, 'novolatile');
    world.vrange(20, 4, 'novolatile');
    expect(
      world.events.map((event) =>
        event.kind === 'vrange'
          ? `${event.effect} ${event.behavior} ${event.absorbed} ${event.split} ${event.purged}`
          : event.kind === 'vrangePurge'
            ? `${event.why} ${event.purged} ${event.locked} ${event.shared} ${(event.end - event.start) / PAGE_SIZE}`
            : event.kind,
      ),
    ).toEqual([
      'marked partial 0 0 0',
      'already partial 0 0 0',
      'joined partial 1 0 0',
      'pageout 1 0 0 1',
      'lost null 0 0 1',
      'intact null 0 1 0',
      'nothing null 0 0 0',
    ]);
  });
});

describe('its process', () => {
  it('27: execve and exit leave nothing', () => {
    const world = new World();
    world.vrange(0, 8, 'volatile');
    world.apply({ call: 'execve', path: '/bin/true' });
    const { work, vrangeLru, frames } = world.machine.kernel;
    expect([work.nrVranges, work.peakVranges, vrangeLru.size, frames.nrUsed]).toEqual([0, 1, 0, 0]);
  });
});

describe('charges', () => {
  it.each<[Features['vrangeLock'], string[]]>([
    ['none', ['vrange']],
    ['read', ['vrange-read']],
    // Memory that was written has an anon_vma, which splits, too.
    ['write', ['split 0/2', 'split-written 0/2', 'vma-attributes']],
  ])('with vrangeLock=%s', (vrangeLock, paths) => {
    const world = new World({ vrangeLock });
    expect(world.charges(() => world.vrange(8, 8, 'volatile'))).toEqual(paths);
  });
  it('for pages that went, for one that is missed, for entries that are looked at', () => {
    const world = new World();
    world.vrange(0, 16, 'volatile');
    expect(world.charges(() => world.pageout(0, 4))).toEqual(['madv-pageout', 'purge 0/4']);
    expect(world.charges(() => world.touch(0))).toEqual(['fault-signal 1/1', 'purged-signal']);
    expect(world.charges(() => world.vrange(0, 16, 'novolatile'))).toEqual([
      'guard-remove 0/4',
      'mincore 0/12',
      'vrange',
    ]);
  });
  it('for a refusal: a system call', () => {
    const world = new World({ vrangeLock: 'write' });
    expect(world.charges(() => world.vrange(60, 8, 'volatile'))).toEqual(['syscall']);
  });
});

/** Two threads: one marks and takes back a range of its own, the other writes to pages that are new each time. */
function besideFaults(features: Partial<Features>, pairs: number): TimeReport {
  const simulation = new Simulation({
    calibration: CALIBRATION,
    features: { ...LINUX_6_18, vrange: 'on', ...features },
  });
  simulation.start('main', function* (t) {
    const own = yield* t.mmap(64 * PAGE_SIZE);
    const fresh = yield* t.mmap(512 * PAGE_SIZE);
    yield* t.touch(own, 64 * PAGE_SIZE);
    const writer = yield* t.spawn('writer', function* (w) {
      yield* w.touch(fresh, 512 * PAGE_SIZE);
    });
    for (let i = 0; i < pairs; i++) {
      yield* t.vrange(own + 8 * PAGE_SIZE, 16 * PAGE_SIZE, 'volatile');
      expect(yield* t.vrange(own + 8 * PAGE_SIZE, 16 * PAGE_SIZE, 'novolatile')).toBe(false);
    }
    yield* t.join(writer);
  });
  const report = simulation.run();
  verifyKernel(simulation.kernel, []);
  return report;
}

describe('locks', () => {
  const lockOf = ({ locks }: TimeReport): { writes: number; waitNs: number } => {
    const writes = locks.filter(({ name, mode }) => name === 'mmap_lock' && mode === 'write');
    const all = locks.filter(({ name }) => name === 'mmap_lock');
    return {
      writes: writes.reduce((sum, { taken }) => sum + taken, 0),
      waitNs: all.reduce((sum, { waitedNs }) => sum + waitedNs, 0),
    };
  };
  it.each<Features['perVmaLocks']>(['on', 'off'])(
    '31: write waits for faults and faults for it, none waits for nobody (perVmaLocks=%s)',
    (perVmaLocks) => {
      const pairs = 200;
      const [none, read, write] = (['none', 'read', 'write'] as const).map((vrangeLock) =>
        lockOf(besideFaults({ vrangeLock, perVmaLocks }, pairs)),
      ) as [ReturnType<typeof lockOf>, ReturnType<typeof lockOf>, ReturnType<typeof lockOf>];
      expect([none.waitNs, read.waitNs]).toEqual([0, 0]);
      expect([read.writes - none.writes, write.writes - none.writes]).toEqual([0, 2 * pairs]);
      if (perVmaLocks === 'off') expect(write.waitNs).toBeGreaterThan(0);
    },
  );
});
