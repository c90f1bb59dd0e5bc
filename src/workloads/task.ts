/**
 * Writing a program: a Task is one thread, and its methods are the calls it makes.
 *
 *   const w = new Task(FIRST_TASK);
 *   const heap = yield* w.mmap(64 * PAGE_SIZE, { prot: PROT_NONE });
 *   yield* w.mprotect(heap, PAGE_SIZE, PROT_READ | PROT_WRITE);
 *   yield* w.touch(heap);
 *   const child = yield* w.fork();
 *   yield* child.touch(heap);
 *   yield* child.exit();
 *
 * Each method yields its operation and returns what the call gave. A call that is refused, or an access that ends in a signal, throws
 * and names the call, the errno and the reason: a program here relies on its calls. One that expects a refusal uses `attempt`.
 * Addresses and lengths are bytes, as in the system calls.
 */
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
} from '../abi/mman.ts';
import { PAGE_IS_PRESENT, PAGE_IS_SWAPPED } from '../abi/pagemapScan.ts';
import { assert, UsageError } from '../base/assert.ts';
import { type Addr, hex, PAGE_SIZE } from '../base/units.ts';
import type { Access, Op, Outcome, Step } from '../machine/index.ts';
import type { VrangeBehavior, VrangeMode } from '../mm/index.ts';

/** Linux: sizeof(struct pm_scan_arg) */
const SCAN_ARG_BYTES = 96;

/** What a method of Task returns: yields operations and ends with a `T`. */
export type Doing<T> = Generator<Step, T, Outcome>;

/** How to map; what is left out is private anonymous memory, readable and writable, where the kernel likes. */
export interface MapOptions {
  readonly prot?: number;
  /** Flags besides MAP_PRIVATE | MAP_ANONYMOUS (or, with `fd`, besides the type). */
  readonly flags?: number;
  /** Exactly there (MAP_FIXED). */
  readonly at?: Addr;
  /** A file instead of anonymous memory; `flags` then has the type, and `offset` is bytes. */
  readonly fd?: number;
  readonly offset?: number;
}

/** How to resize or move; what is left out is MREMAP_MAYMOVE. */
export interface RemapOptions {
  /** Exactly there (MREMAP_MAYMOVE | MREMAP_FIXED). */
  readonly to?: Addr;
  /** Flags instead of, or with `to` besides, MREMAP_MAYMOVE. */
  readonly flags?: number;
}

const READ_WRITE = PROT_READ | PROT_WRITE;

/** One thread of a program. */
export class Task {
  readonly tid: number;

  /** @param tid  its number: FIRST_TASK, or what a fork gave */
  constructor(tid: number) {
    this.tid = tid;
  }

  /** Makes one call and returns what came of it, whatever it is. */
  *attempt(op: Op): Doing<Outcome> {
    return yield { task: this.tid, op };
  }

  /** Makes one call that must work and returns its value. */
  *call(op: Op): Doing<number> {
    const outcome = yield { task: this.tid, op };
    if (outcome.kind !== 'value') throw new UsageError(refusal(op, outcome), wanted(outcome));
    return outcome.value;
  }

  /** Maps `len` bytes and returns where. */
  *mmap(len: number, options: MapOptions = {}): Doing<Addr> {
    const { prot = READ_WRITE, flags = 0, at, fd = -1, offset = 0 } = options;
    const kind = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : 0;
    const fixed = at === undefined ? 0 : MAP_FIXED;
    return yield* this.call({
      call: 'mmap',
      addr: at ?? 0,
      len,
      prot,
      flags: kind | fixed | flags,
      fd,
      offset,
    });
  }

  /** Unmaps [addr, addr+len). */
  *munmap(addr: Addr, len: number): Doing<void> {
    yield* this.call({ call: 'munmap', addr, len });
  }

  /** Changes the access of [addr, addr+len); reading and writing unless told. */
  *mprotect(addr: Addr, len: number, prot: number = READ_WRITE): Doing<void> {
    yield* this.call({ call: 'mprotect', addr, len, prot });
  }

  /** Resizes or moves [addr, addr+oldLen) and returns where it is now. */
  *mremap(addr: Addr, oldLen: number, newLen: number, options: RemapOptions = {}): Doing<Addr> {
    const { to, flags = to === undefined ? MREMAP_MAYMOVE : 0 } = options;
    const fixed = to === undefined ? 0 : MREMAP_MAYMOVE | MREMAP_FIXED;
    return yield* this.call({
      call: 'mremap',
      addr,
      oldLen,
      newLen,
      flags: fixed | flags,
      newAddr: to ?? 0,
    });
  }

  /** Gives advice about [addr, addr+len). */
  *madvise(addr: Addr, len: number, advice: number): Doing<void> {
    yield* this.call({ call: 'madvise', addr, len, advice });
  }

  /** vrange (seed 002). @returns  whether a page of the range was gone, which only `novolatile` tells; it reads as zeros now */
  *vrange(addr: Addr, len: number, mode: VrangeMode, behavior: VrangeBehavior = 'full'): Doing<boolean> {
    return (yield* this.call({ call: 'vrange', addr, len, mode, behavior })) === 1;
  }

  /** Says whether the tables of this process are scanned for empty ones: PR_PT_RECLAIM_* (seed 003). */
  *setPtReclaim(mode: number): Doing<void> {
    yield* this.call({ call: 'prctl_pt_reclaim', mode });
  }

  /** Sets how tables are scanned for on this machine: `interval=50 size=64M`, the names of `faultline features`. */
  *setPtScan(settings: string): Doing<void> {
    yield* this.call({ call: 'pt_scan_write', settings });
  }

  /** Accesses the first word of each page of [addr, addr+len), ascending: a store unless told. `stamp` is what a store leaves there. */
  *touch(addr: Addr, len: number = PAGE_SIZE, access: Access = 'write', stamp?: number): Doing<void> {
    const op: Op = { call: 'touch', addr, len, access, by: 'user' };
    yield* this.call(stamp === undefined ? op : { ...op, stamp });
  }

  /** Forks and returns the child's thread; both go on. */
  *fork(): Doing<Task> {
    return new Task(yield* this.call({ call: 'clone', flags: 0, child: 0 }));
  }

  /** Ends the process of this thread. */
  *exit(): Doing<void> {
    yield* this.call({ call: 'exit_group' });
  }

  /**
   * Makes sure, by mincore, that [addr, addr+len) is mapped and, unless `written` is false, that every page is present, or in swap where memory got short: for the end
   * of a program that knows what it must have.
   * @throws ModelBug  it is not
   */
  *expectMemory(addr: Addr, len: number, written = true): Doing<void> {
    const outcome = yield* this.attempt({ call: 'mincore', addr, len });
    assert(outcome.kind === 'resident', '[workload-end] what the workload mapped is mapped at its end');
    assert(outcome.pages.length === len / PAGE_SIZE, '[workload-end] mincore answers for every page');
    const present = !written || outcome.pages.every((page) => page) || (yield* this.#isKept(addr, len));
    assert(present, '[workload-end] what the workload wrote is present at its end');
  }
  /** Tells, by PAGEMAP_SCAN, whether no page of [addr, addr+len) is neither present nor in swap. */
  *#isKept(addr: Addr, len: number): Doing<boolean> {
    const kept = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;
    const wanted = { flags: 0, mask: kept, inverted: kept, anyof: 0, returned: kept } as const;
    const room = { size: SCAN_ARG_BYTES, vec: 'set', vecLen: 1, maxPages: 0 } as const;
    const request = { start: addr, end: addr + len, ...wanted, ...room };
    const outcome = yield* this.attempt({ call: 'pagemap_scan', target: 'self', request });
    return outcome.kind === 'ioctl' && outcome.result.kind === 'value' && outcome.result.value === 0;
  }

  /**
   * Makes sure, by mincore, that nothing is mapped at `addr`.
   * @throws ModelBug  there is
   */
  *expectNothing(addr: Addr): Doing<void> {
    const outcome = yield* this.attempt({ call: 'mincore', addr, len: PAGE_SIZE });
    assert(outcome.kind === 'errno', '[workload-end] what the workload unmapped is gone at its end');
  }
}

/** Returns a call that was refused as text: what, where, with which answer and why. */
function refusal(op: Op, outcome: Exclude<Outcome, { kind: 'value' }>): string {
  const where = 'addr' in op ? `(${hex(op.addr)}${'len' in op ? `, ${op.len}` : ''})` : '';
  switch (outcome.kind) {
    case 'errno':
      return `${op.call}${where} of the workload was refused: ${outcome.errno} (${outcome.why})`;
    case 'signal':
      return `${op.call}${where} of the workload ended in ${outcome.signal} (${outcome.code}) at ${hex(outcome.addr)}`;
    case 'ioctl':
      return outcome.result.kind === 'value'
        ? `${op.call} of the workload answers with a structure, not with a value`
        : refusal(op, outcome.result);
    case 'resident':
    case 'messages':
    case 'blocked':
      return `${op.call}${where} of the workload answers with ${outcome.kind === 'resident' ? 'pages' : outcome.kind}, not with a value`;
    case 'unknown-memory':
      return `${op.call}${where} of the workload was made by a thread that does not exist`;
  }
}

function wanted(outcome: Exclude<Outcome, { kind: 'value' }>): string {
  if (outcome.kind !== 'errno') return 'a workload that makes only calls which work';
  return outcome.why === 'map-count'
    ? 'smaller parameters: the process has as many vmas as vm.max_map_count allows'
    : 'other parameters, or attempt() for a call that may be refused';
}
