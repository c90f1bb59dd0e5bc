/**
 * What a thread does without a call: time passes, words and bytes are loaded and stored through the page tables, signals run handlers.
 *
 * An access goes through the tables each time, as the processor's would: a page that another thread took away is missed at once. What misses is
 * a fault (timedFault.ts), which may wait for locks and for user space, may end in a handler, and then the access is made again.
 *
 * Cost    a plain access is one tree look-up (the last vma is tried first) and one table walk; blocks of bytes one of each a page
 * Linux   none: this is the processor, and the half of the C library that copies memory
 */
import { ModelBug, UsageError } from '../../base/assert.ts';
import { NamedSums } from '../../base/namedSums.ts';
import { type Addr, hex, PAGE_SIZE, pageOffset } from '../../base/units.ts';
import type { FaultAccess } from '../../mm/fault.ts';
import type { Mm } from '../../mm/mm.ts';
import { MISS, translate } from '../../mm/translate.ts';
import { PATH, WORK_NAMES } from '../../mm/work.ts';
import { copyByteNsAmong } from '../paid/smpPrices.ts';
import type { Running, SchedTask } from '../sched/schedTask.ts';
import { waitAny } from '../sched/waitQueue.ts';
import type { Simulation } from './simulation.ts';
import type { SignalInfo, ThreadGroup } from './threadGroup.ts';
import { timedFault } from './timedFault.ts';
import { timedScan } from './timedScan.ts';

const MARK_DIRTY = PATH['mark-dirty'];

/** A thread, as far as time and memory go. Thread (thread.ts) has the calls. */
export abstract class ThreadMemory {
  readonly simulation: Simulation;
  readonly group: ThreadGroup;
  readonly tid: number;
  abstract readonly task: SchedTask;
  /** Bytes that it copied itself, from memory to memory (`copyBytes`). */
  bytesCopied = 0;
  #copyByteNs: number;
  /** What a write fault in the middle of a copy costs more; 0 until it is told what is copied. */
  #copyFaultNs = 0;
  /** Faults that it had, by FAULTED, those that its calls populated included; what was asked of user space is none of these. */
  readonly faults = new Float64Array(WORK_NAMES.faults.length);
  /** Accesses that waited for user space, and accesses that got a signal, by why: missing, minor, wp; SIGSEGV, SIGBUS. */
  readonly asked = new NamedSums();

  constructor(simulation: Simulation, group: ThreadGroup, tid: number) {
    this.simulation = simulation;
    this.group = group;
    this.tid = tid;
    this.#copyByteNs = simulation.prices.copyByteNs;
  }

  /** A signal that an access ended in is delivered: runs the handler, or ends the process. For timedFault.ts. */
  abstract signalled(info: SignalInfo): Running<void>;

  /** What it is called in reports. */
  get name(): string {
    return this.task.name;
  }
  /** Its address space; null once its process is gone. */
  get mm(): Mm | null {
    return this.group.process.mm;
  }
  /** Virtual time as this thread knows it, nanoseconds from the start. */
  get nowNs(): number {
    return this.simulation.scheduler.nowNs + this.task.debtNs;
  }

  // ---- time --------------------------------------------------------------------------------------------------------------------

  /** Uses `ns` of CPU time, plain: for little work between accesses. */
  uses(ns: number): void {
    this.task.debtNs += ns;
  }
  /** Computes for `ns`; ticks come meanwhile. */
  *work(ns: number): Running<void> {
    const { tableReclaim } = this.simulation.machine;
    let leftNs = ns;
    for (; tableReclaim.isScanning && leftNs > 0 && this.mm !== null; yield* timedScan(this)) {
      const pieceNs = Math.min(leftNs, tableReclaim.untilDueNs(this.mm));
      yield* this.owe(pieceNs);
      leftNs -= pieceNs;
    }
    yield* this.owe(leftNs);
  }
  /** Uses `ns` more and lets everything that it owes pass. A thread of a process that was killed does not come back from here. */
  *owe(ns: number): Running<void> {
    if (!this.pays(ns)) yield 'pay';
    if (this.group.isOver) yield 'end';
  }
  /** Uses `ns` more and lets everything that it owes pass, if nothing else happens meanwhile; otherwise yield `pay`. */
  pays(ns: number): boolean {
    const { simulation, task } = this;
    if (ns !== 0) task.debtNs += simulation.jittered(ns, task);
    return task.debtNs === 0 || simulation.scheduler.tryPay(task);
  }
  /** Sleeps for `ns`. */
  *sleep(ns: number): Running<void> {
    yield* this.owe(this.simulation.prices.syscallNs);
    yield* waitAny(this.simulation.scheduler, [], this.task, {
      reason: 'sleep',
      voluntary: true,
      timeoutNs: ns,
    });
    yield* this.owe(0);
  }
  /** Counts `n` of something the program did; the report has it a second. */
  count(what: string, n = 1): void {
    const { counters } = this.simulation;
    counters.set(what, (counters.get(what) ?? 0) + n);
  }

  /** Counts one access that waited for user space, or was signalled. */
  note(why: string): void {
    this.asked.add(why, 1);
  }

  // ---- memory ------------------------------------------------------------------------------------------------------------------

  /** Loads the word at `addr`, plain; null when that has to wait: then `read` does it. */
  load(addr: Addr): number | null {
    const pfn = this.#reach(addr, 'read');
    return pfn === MISS ? null : this.simulation.kernel.frames.contents.word(pfn, addr & (PAGE_SIZE - 1));
  }
  /** Stores a word at `addr`, plain. Returns whether it is done; if not, `write` does it. */
  store(addr: Addr, word: number): boolean {
    const pfn = this.#reach(addr, 'write');
    if (pfn === MISS) return false;
    this.simulation.kernel.frames.contents.setWord(pfn, addr & (PAGE_SIZE - 1), word);
    return true;
  }
  /** Loads the word at `addr`. */
  *read(addr: Addr): Running<number> {
    for (;;) {
      const word = this.load(addr);
      if (word !== null) return word;
      yield* timedFault(this, addr, 'read');
    }
  }
  /** Stores a word at `addr`. */
  *write(addr: Addr, word: number): Running<void> {
    while (!this.store(addr, word)) yield* timedFault(this, addr, 'write');
  }
  /** Makes one access to each page of [addr, addr+len), ascending: a store unless told, which leaves `word` in the page's first word if given. */
  *touch(addr: Addr, len: number = PAGE_SIZE, access: FaultAccess = 'write', word?: number): Running<void> {
    for (let at = addr; at < addr + len; at += PAGE_SIZE) {
      let pfn = this.#reach(at, access);
      for (; pfn === MISS; pfn = this.#reach(at, access)) yield* timedFault(this, at, access);
      if (word !== undefined) this.simulation.kernel.frames.contents.setWord(pfn, 0, word);
    }
  }
  /**
   * Makes sure that the word at `addr` is `word`.
   * @throws ModelBug  it is another one: memory was lost or mixed up
   */
  *expect(addr: Addr, word: number): Running<void> {
    const found = yield* this.read(addr);
    if (found !== word)
      throw new ModelBug(`[memory] ${hex(addr)} holds ${found} and not ${word} (${this.name})`);
  }

  /**
   * Loads bytes from `addr` on into all of `into`, plain, as far as that needs no waiting.
   * @returns  how many; if not all, `readBytes` does the rest
   */
  loadBytes(addr: Addr, into: Uint8Array): number {
    const { contents } = this.simulation.kernel.frames;
    return this.#pieces(addr, into.length, 'read', (pfn, offset, at, len) =>
      contents.readBytes(pfn, offset, into, at, len),
    );
  }
  /** Stores all of `from` from `addr` on, plain, as far as that needs no waiting. Returns how many bytes; `writeBytes` does the rest. */
  storeBytes(addr: Addr, from: Uint8Array): number {
    const { contents } = this.simulation.kernel.frames;
    return this.#pieces(addr, from.length, 'write', (pfn, offset, at, len) =>
      contents.writeBytes(pfn, offset, from, at, len),
    );
  }
  /** Loads bytes from `addr` on into all of `into`. */
  *readBytes(addr: Addr, into: Uint8Array): Running<void> {
    for (let done = 0; ; ) {
      done += this.loadBytes(addr + done, done === 0 ? into : into.subarray(done));
      if (done === into.length) return;
      yield* timedFault(this, addr + done, 'read');
    }
  }
  /** Stores all of `from` from `addr` on. */
  *writeBytes(addr: Addr, from: Uint8Array): Running<void> {
    for (let done = 0; ; ) {
      done += this.storeBytes(addr + done, done === 0 ? from : from.subarray(done));
      if (done === from.length) return;
      yield* timedFault(this, addr + done, 'write');
    }
  }
  /**
   * What this thread copies from now on are blocks among so many bytes that are gone over again and again: where they come from decides what a byte costs, and a
   * fault in the middle costs more than one by a single store.
   */
  copiesAmong(bytes: number): void {
    const { prices } = this.simulation;
    this.#copyByteNs = copyByteNsAmong(bytes, prices);
    this.#copyFaultNs = prices.copyFaultNs;
  }
  /** Copies `len` bytes from `from` to `to`, page by page, ascending: memcpy. Counts them (`bytesCopied`). */
  *copyBytes(to: Addr, from: Addr, len: number): Running<void> {
    const { contents } = this.simulation.kernel.frames;
    for (let done = 0; done < len; ) {
      const source = this.#reachByte(from + done, 'read');
      const target = source === MISS ? MISS : this.#reachByte(to + done, 'write');
      if (source === MISS) yield* timedFault(this, from + done, 'read');
      else if (target === MISS) {
        this.task.debtNs += this.#copyFaultNs;
        yield* timedFault(this, to + done, 'write');
      } else {
        const [a, b] = [pageOffset(from + done), pageOffset(to + done)];
        const piece = Math.min(len - done, PAGE_SIZE - a, PAGE_SIZE - b);
        contents.copyBytes({ pfn: source, offset: a }, { pfn: target, offset: b }, piece);
        this.task.debtNs += piece * this.#copyByteNs;
        this.bytesCopied += piece;
        done += piece;
      }
    }
  }

  /** Goes over [addr, addr+len) in pieces that lie in one page each, until one has to wait. Returns the bytes that it came over. */
  #pieces(
    addr: Addr,
    len: number,
    access: FaultAccess,
    each: (pfn: number, offset: number, at: number, len: number) => void,
  ): number {
    for (let done = 0; done < len; ) {
      const pfn = this.#reachByte(addr + done, access);
      if (pfn === MISS) return done;
      const offset = pageOffset(addr + done);
      const piece = Math.min(len - done, PAGE_SIZE - offset);
      each(pfn, offset, done, piece);
      this.task.debtNs += piece * this.simulation.prices.copyByteNs;
      done += piece;
    }
    return len;
  }

  /** Makes an access to the word at `addr` that needs no waiting, and returns the frame. */
  #reach(addr: Addr, access: FaultAccess): number {
    if ((addr & 7) !== 0) throw new UsageError(`${hex(addr)} is not where a word begins`, 'a multiple of 8');
    return this.#reachByte(addr, access);
  }
  #reachByte(addr: Addr, access: FaultAccess): number {
    const { task, simulation } = this;
    const { mm } = this.group.process;
    if (task.debtNs > simulation.quantumNs && !this.#passes(mm)) return MISS;
    const pfn = mm === null ? MISS : this.translate(mm, addr, access);
    if (pfn !== MISS) task.debtNs += simulation.prices.accessNs;
    return pfn;
  }
  /** Lets what it owes pass, if nothing else happens meanwhile and nothing is to be done on the way back to the program. */
  #passes(mm: Mm | null): boolean {
    const { scheduler, machine } = this.simulation;
    if (!scheduler.tryPay(this.task)) return false;
    return !machine.tableReclaim.isScanning || mm === null || machine.tableReclaim.untilDueNs(mm) > 0;
  }
  /** Goes through the tables; owes what it takes to mark an entry dirty. For timedFault.ts, as well. */
  translate(mm: Mm, addr: Addr, access: FaultAccess): number {
    const { kernel, prices } = this.simulation;
    const { calls } = kernel.work;
    const marked = calls[MARK_DIRTY];
    const pfn = translate(mm, addr, access);
    if (calls[MARK_DIRTY] !== marked) this.task.debtNs += prices.markDirtyNs;
    return pfn;
  }
}
