import { describe, expect, it } from 'vitest';
import { MADV_FREE, MAP_ANONYMOUS, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { type Addr, PAGE_SIZE } from '../base/units.ts';
import { Kernel, LINUX_6_18 } from '../mm/index.ts';
import { verifyKernel, verifyMm } from '../mm/verify.ts';
import { FACT, type FactName } from '../mm/work.ts';
import { Machine, type Op, type Outcome } from './index.ts';

const P = PAGE_SIZE;

/** A machine with one process, and what it takes to make calls. */
function start(swapPages: number): {
  machine: Machine;
  call: (op: Op, tid?: number) => Outcome;
  map: (pages: number) => Addr;
  touch: (addr: Addr, pages: number, access?: 'read' | 'write', tid?: number) => Outcome;
  fact: (name: FactName) => number;
} {
  const machine = new Machine(new Kernel(LINUX_6_18, { totalSwapPages: swapPages }));
  machine.spawn(1);
  const call = (op: Op, tid = 1): Outcome => {
    const outcome = machine.apply(tid, op);
    for (const mm of machine.addressSpaces) verifyMm(mm);
    verifyKernel(machine.kernel, machine.addressSpaces);
    return outcome;
  };
  const map = (pages: number): Addr => {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS;
    const came = call({
      call: 'mmap',
      addr: 0,
      len: pages * P,
      prot: PROT_READ | PROT_WRITE,
      flags,
      fd: -1,
      offset: 0,
    });
    return came.kind === 'value' ? came.value : -1;
  };
  const touch = (addr: Addr, pages: number, access: 'read' | 'write' = 'write', tid = 1): Outcome =>
    call(
      {
        call: 'touch',
        addr,
        len: pages * P,
        access,
        by: 'user',
        ...(access === 'write' ? { stamp: addr } : {}),
      },
      tid,
    );
  return { machine, call, map, touch, fact: (name) => machine.kernel.work.facts[FACT[name]] as number };
}

const KILLED = { kind: 'signal', signal: 'SIGKILL' };

describe('a limit', () => {
  it('with swap: what is written beyond it goes to swap, and comes back as it was', () => {
    const { machine, call, map, touch, fact } = start(4096);
    const mm = machine.process(1)?.mm;
    call({ call: 'set_memory_limit', bytes: 64 * P });
    const at = map(256);
    for (let i = 0; i < 256; i++)
      expect(
        call({ call: 'touch', addr: at + i * P, len: P, access: 'write', stamp: 1000 + i, by: 'user' }),
      ).toMatchObject({ kind: 'value' });
    expect(mm?.memory.usage).toBeLessThanOrEqual(64);
    expect((mm?.rssAnon ?? 0) + (mm?.nrSwap ?? 0)).toBe(256);
    expect(fact('pagesSwappedOut')).toBeGreaterThanOrEqual(192);
    for (let i = 0; i < 256; i++) {
      touch(at + i * P, 1, 'read');
      const pfn = mm?.pages.high(at + i * P) ?? 0;
      expect(machine.kernel.frames.stamp(pfn)).toBe(1000 + i);
    }
  });

  it('without swap: the process is killed, and only it', () => {
    const { machine, call, map, touch } = start(0);
    call({ call: 'set_memory_limit', bytes: 64 * P });
    const at = map(256);
    expect(touch(at, 256)).toMatchObject(KILLED);
    expect(machine.process(1)).toBeNull();
    expect(machine.outOfMemory.kills).toMatchObject([{ pid: 1, isLimit: true }]);
    expect(machine.kernel.frames.nrUsed).toBe(0);
  });

  it('without swap: the larger of two processes goes, the other one goes on', () => {
    const { machine, call, map, touch } = start(0);
    const at = map(256);
    const child = call({ call: 'clone', flags: 0, child: 0 });
    expect(child.kind).toBe('value');
    const tid = child.kind === 'value' ? child.value : 0;
    call({ call: 'set_memory_limit', bytes: 64 * P });
    touch(at, 40);
    expect(touch(at, 30, 'write', tid)).toMatchObject({ kind: 'value' });
    expect(machine.process(1)).toBeNull();
    expect(machine.process(tid)).not.toBeNull();
  });

  it('without swap: pages freed lazily go, those written since stay', () => {
    const { machine, call, map, touch, fact } = start(0);
    const at = map(64);
    touch(at, 64);
    call({ call: 'madvise', addr: at, len: 64 * P, advice: MADV_FREE });
    touch(at, 8);
    expect(call({ call: 'reclaim', bytes: 2 ** 20 })).toMatchObject({ errno: 'EAGAIN' });
    expect(fact('lruDiscarded')).toBe(56);
    expect(machine.process(1)?.mm?.rssAnon).toBe(8);
  });

  it('what is locked in memory stays', () => {
    const { machine, call, map, touch } = start(4096);
    const at = map(64);
    touch(at, 64);
    call({ call: 'mlock', addr: at, len: 16 * P });
    call({ call: 'reclaim', bytes: 2 ** 30 });
    expect(machine.process(1)?.mm).toMatchObject({ rssAnon: 16, nrSwap: 48 });
    call({ call: 'munlock', addr: at, len: 16 * P });
    call({ call: 'reclaim', bytes: 2 ** 30 });
    expect(machine.process(1)?.mm).toMatchObject({ rssAnon: 0, nrSwap: 64 });
  });

  it('taken away: everything fits again', () => {
    const { machine, call, map, touch } = start(0);
    call({ call: 'set_memory_limit', bytes: 32 * P });
    call({ call: 'set_memory_limit', bytes: Number.POSITIVE_INFINITY });
    expect(touch(map(256), 256)).toMatchObject({ kind: 'value' });
    expect(machine.process(1)?.mm?.rssAnon).toBe(256);
  });

  it('lowered below what there is: reclaim at once, or the end', () => {
    const { machine, call, map, touch } = start(0);
    touch(map(64), 64);
    expect(call({ call: 'set_memory_limit', bytes: 16 * P })).toMatchObject(KILLED);
    expect(machine.processes).toEqual([]);
  });
});

describe('a machine with so much memory', () => {
  it('kswapd keeps some free as long as it can', () => {
    const { machine, call, map, touch, fact } = start(8192);
    call({ call: 'set_memory_size', bytes: 4 * 2 ** 20 });
    expect(touch(map(2048), 2048)).toMatchObject({ kind: 'value' });
    expect(fact('reclaimedKswapd')).toBeGreaterThan(0);
    expect(fact('reclaimedDirect')).toBe(0);
    expect(machine.kernel.reclaim?.freePages).toBeGreaterThanOrEqual(
      machine.kernel.reclaim?.watermarks.min ?? 0,
    );
  });
  it('without swap somebody is killed', () => {
    const { machine, call, map, touch } = start(0);
    call({ call: 'set_memory_size', bytes: 4 * 2 ** 20 });
    expect(touch(map(2048), 2048)).toMatchObject(KILLED);
    expect(machine.outOfMemory.kills).toMatchObject([{ pid: 1, isLimit: false }]);
  });
});

describe('a swap device', () => {
  const read = (readAtOnce: number): Record<'swappedIn' | 'ahead' | 'hits' | 'major', number> => {
    const { machine, call, map, touch, fact } = start(0);
    call({ call: 'swapon', bytes: 2 ** 24, readAtOnce });
    const at = map(64);
    touch(at, 64);
    call({ call: 'reclaim', bytes: 2 ** 30 });
    touch(at, 64, 'read');
    const major = machine.process(1)?.mm?.majFlt ?? 0;
    return {
      swappedIn: fact('pagesSwappedIn'),
      ahead: fact('readAheadPages'),
      hits: fact('readAheadHits'),
      major,
    };
  };
  it('reads one page at a time unless it is told otherwise', () => {
    expect(read(1)).toEqual({ swappedIn: 64, ahead: 0, hits: 0, major: 64 });
  });
  it('reads eight at once: pages that went together come together', () => {
    const { swappedIn, ahead, hits, major } = read(8);
    expect(swappedIn).toBe(64);
    expect(major).toBeLessThanOrEqual(64 / 4);
    expect(ahead).toBe(64 - major);
    expect(hits).toBe(ahead);
  });
  it('has no room left: what is beyond it stays in memory, and somebody is killed in the end', () => {
    const { machine, call, map, touch } = start(16);
    call({ call: 'set_memory_limit', bytes: 64 * P });
    expect(touch(map(64), 64)).toMatchObject({ kind: 'value' });
    expect(machine.process(1)?.mm?.nrSwap).toBeLessThanOrEqual(16);
    expect(touch(map(64), 64)).toMatchObject(KILLED);
    expect(machine.kernel.swap.nrUsed).toBe(0);
  });
});

describe('pages of a file on a disk', () => {
  it('clean: they are dropped, and read again; dirty: they are written back first', () => {
    const { machine, call, fact } = start(0);
    const fd = call({
      call: 'open',
      path: '/f',
      mode: 'read-write',
      kind: 'regular',
      size: 64 * P,
      inMemory: true,
    });
    const mapped = call({
      call: 'mmap',
      addr: 0,
      len: 64 * P,
      prot: PROT_READ | PROT_WRITE,
      flags: 1,
      fd: fd.kind === 'value' ? fd.value : -1,
      offset: 0,
    });
    const at = mapped.kind === 'value' ? mapped.value : -1;
    call({ call: 'touch', addr: at, len: 8 * P, access: 'write', stamp: 77, by: 'user' });
    call({ call: 'reclaim', bytes: 2 ** 30 });
    expect(fact('fileEvicted')).toBe(64);
    expect(fact('fileWrittenBack')).toBe(8);
    expect(machine.process(1)?.mm?.rssFile).toBe(0);
    call({ call: 'touch', addr: at, len: P, access: 'read', by: 'user' });
    const mm = machine.process(1)?.mm;
    expect(machine.kernel.frames.stamp(mm?.pages.high(at) ?? 0)).toBe(77);
  });
});

describe('volatile ranges', () => {
  it('of the group that is short go first, those of another stay', () => {
    const machine = new Machine(new Kernel({ ...LINUX_6_18, vrange: 'on' }, { totalSwapPages: 4096 }));
    const [one, other] = [machine.spawn(1), machine.spawn(2)];
    const at = [1, 2].map((tid) => {
      const flags = MAP_PRIVATE | MAP_ANONYMOUS;
      const came = machine.apply(tid, {
        call: 'mmap',
        addr: 0,
        len: 64 * P,
        prot: 3,
        flags,
        fd: -1,
        offset: 0,
      });
      const addr = came.kind === 'value' ? came.value : -1;
      machine.apply(tid, { call: 'touch', addr, len: 64 * P, access: 'write', stamp: 1, by: 'user' });
      machine.apply(tid, { call: 'vrange', addr, len: 32 * P, mode: 'volatile', behavior: 'full' });
      return addr;
    });
    expect(machine.apply(1, { call: 'reclaim', bytes: 16 * P })).toMatchObject({ kind: 'value' });
    expect(one.mm).toMatchObject({ rssAnon: 32, nrSwap: 0 });
    expect(other.mm).toMatchObject({ rssAnon: 64, nrSwap: 0 });
    expect(machine.kernel.work.facts[FACT.pagesPurged]).toBe(32);
    expect(at.length).toBe(2);
    for (const mm of machine.addressSpaces) verifyMm(mm);
    verifyKernel(machine.kernel, machine.addressSpaces);
  });
});
