/**
 * userfaultfd on the model as a case sees it: contexts by number, and threads that may sleep.
 *
 * A thread is a generator that gives what it waits for. After each step the threads whose wait is over go on, the lowest first, as long as any can.
 */
import { errnoName } from '../../src/abi/errno.ts';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_SHARED } from '../../src/abi/mman.ts';
import { must } from '../../src/base/assert.ts';
import type { Op } from '../../src/machine/index.ts';
import type { Mm } from '../../src/mm/index.ts';
import { pagemapScan } from '../../src/mm/pagemapScan.ts';
import { isRefused, type SysResult } from '../../src/mm/result.ts';
import { isWait, UffdContext, type UffdMessage, type UffdWait } from '../../src/mm/uffdContext.ts';
import { type FillResult, UffdFill } from '../../src/mm/uffdFill.ts';
import { uffdMove } from '../../src/mm/uffdMove.ts';
import { uffdWriteProtect } from '../../src/mm/uffdProtect.ts';
import { isValidRange } from '../../src/mm/uffdRange.ts';
import { uffdRegister, uffdRelease, uffdUnregister } from '../../src/mm/userfaultfd.ts';
import type { ModelScene } from './modelPages.ts';
import { type Steps, startWork } from './modelThreads.ts';
import { type CaseAddress, PAGE, WINDOW, WINDOW_END } from './operands.ts';
import type { FillSource, UffdStep } from './uffdStep.ts';

const PG = Number(PAGE);
const STAMP = 200;
const BUFFER = Number(WINDOW) + 2 ** 38 + 200 * PG;
const BUFFER_PAGES = 16;
/** Contexts that come out of fork messages are numbered from here down, as the oracle does. */
const LAST_CONTEXT = 7;
const FIRST_TID = 1001;
/** A descriptor that no case has. */
const OWN_FD = 900;

type At = (a: CaseAddress) => number;

/** Prints an address as the oracle does. */
export function addressText(addr: number): string {
  if (addr < Number(WINDOW) || addr >= Number(WINDOW_END)) return `0x${addr.toString(16)}`;
  const rest = addr % PG;
  return `B+${Math.floor((addr - Number(WINDOW)) / PG)}${rest === 0 ? '' : `.0x${rest.toString(16)}`}`;
}
const errorText = (ret: number): string => `-${errnoName(-ret)}`;
/** Prints a result as the oracle does. */
export const resultText = (result: SysResult): string => {
  if (isRefused(result)) return errorText(result.ret);
  return result.ret >= Number(WINDOW) && result.ret < Number(WINDOW_END)
    ? addressText(result.ret)
    : result.ret === 0
      ? '0'
      : `0x${result.ret.toString(16)}`;
};
/** Prints the result and the output field of an ioctl that fills. */
export const fillText = ({ ret, done }: FillResult): string =>
  `${ret < 0 ? errorText(ret) : ret}/${done === null ? '.' : done < 0 ? errorText(done) : done / PG}`;

/** A thread of a case. */
interface Thread {
  steps: Steps;
  /** What it waits for is over, or it has ended with this answer. */
  isOver: () => boolean;
  wait: UffdWait | null;
  nrSignals: number;
  answer: string | null;
}

/** userfaultfd of one case. */
export class ModelUffd {
  readonly #scene: ModelScene;
  readonly #contexts: (UffdContext | null)[] = [];
  readonly #blocking = new Set<UffdContext>();
  /** Who holds a descriptor of a context: numbers of processes; each once, the first one for each number it has. */
  readonly #holders = new Map<UffdContext, { pid: number; slot: number }[]>();
  readonly #threads: (Thread | null)[] = [null, null, null];
  #nrForked = 0;
  /** Faults charged to threads and not to the process that makes the steps. */
  threadFaults = 0;
  #hasBuffer = false;

  constructor(scene: ModelScene) {
    this.#scene = scene;
  }

  get #mm(): Mm {
    return must(this.#scene.current().mm, 'no case calls execve');
  }
  /** The context with that number. */
  context(number: number): UffdContext {
    return must(this.#contexts[number] ?? null, 'a context that was opened');
  }

  /** Makes one step; returns the answer. */
  step(step: UffdStep, at: At): string {
    const answer = this.#make(step, at);
    this.#goOn();
    return step.op === 'bg' || step.op === 'join'
      ? (this.#threads[step.thread]?.answer ?? 'blocked')
      : answer;
  }

  #make(step: UffdStep, at: At): string {
    switch (step.op) {
      case 'uopen':
        return this.#open(step);
      case 'uapi': {
        const got = this.context(step.context).handshake(step.api, step.features, this.#mm.privileged);
        const words = [got.api, got.features, got.ioctls].map((n) => `0x${n.toString(16)}`);
        return `${got.ret < 0 ? errorText(got.ret) : 0} ${words.join(' ')}`;
      }
      case 'ureg':
        return this.#register(step, at);
      case 'uunreg':
        return resultText(
          uffdUnregister(this.context(step.context), { start: at(step.addr), len: step.len }),
        );
      case 'uwake': {
        const range = { start: at(step.addr), len: step.len };
        if (!isValidRange(range)) return '-EINVAL';
        this.context(step.context).wake(range.start, range.len);
        return '0';
      }
      case 'uwp': {
        const { len, mode } = step;
        return resultText(uffdWriteProtect(this.context(step.context), { start: at(step.addr), len, mode }));
      }
      case 'ufill':
        return this.#fill(step, at);
      case 'bg':
        this.#start(step, at);
        return '';
      case 'join':
        return '';
      case 'sig':
        return this.#signal(step.thread);
      case 'umovers':
        return this.#moveTwice(step, at);
      case 'scan':
        return this.#scan(step, at);
      default:
        return this.#aboutContext(step);
    }
  }

  #aboutContext(
    step: Extract<UffdStep, { op: 'uclose' | 'ucount' | 'upoll' | 'uread' | 'ublock' | 'udup' | 'uwrite' }>,
  ): string {
    const context = this.context(step.context);
    switch (step.op) {
      case 'uclose':
        this.#close(context, step.context);
        return '0';
      case 'udup':
        this.#contexts[step.other] = context;
        this.#holdersOf(context).push({ pid: this.#scene.current().pid, slot: step.other });
        return '0';
      case 'uwrite': {
        const { pid, files } = this.#scene.current();
        files.set(OWN_FD, { kind: 'uffd', context });
        const write: Op = { call: 'write_file', fd: OWN_FD, offset: 0, len: 8, stamp: 0 };
        const outcome = this.#scene.machine.apply(pid, write);
        files.close(OWN_FD);
        return outcome.kind === 'errno' ? `-${outcome.errno}` : '0';
      }
      case 'ublock':
        if (step.blocks === 1) this.#blocking.add(context);
        else this.#blocking.delete(context);
        return '0';
      case 'ucount': {
        const { pending, total } = context.counts;
        const features = context.features === null ? 0 : context.features + 2 ** 31;
        return `${pending} ${total} 0x${features.toString(16)}`;
      }
      case 'upoll':
        if (this.#blocking.has(context) || context.features === null) return 'ERR';
        return context.isReadable ? 'IN' : '0';
      case 'uread':
        return this.#read(context, step);
    }
  }

  #open(step: Extract<UffdStep, { op: 'uopen' }>): string {
    const known = 0o4000 | 1;
    if (step.flags & ~known) return '-EINVAL';
    if (!this.#mm.privileged && (step.flags & 1) === 0) return '-EPERM';
    const context = new UffdContext(this.#mm, step.flags);
    this.#contexts[step.context] = context;
    this.#holdersOf(context).push({ pid: this.#scene.current().pid, slot: step.context });
    if ((step.flags & 0o4000) === 0) this.#blocking.add(context);
    return step.features === null
      ? '0'
      : resultText(context.handshake(0xaa, step.features, this.#mm.privileged));
  }
  #holdersOf(context: UffdContext): { pid: number; slot: number }[] {
    const held = this.#holders.get(context) ?? [];
    this.#holders.set(context, held);
    return held;
  }
  /** A process left behind has the descriptors that its parent had. */
  inherit(from: number, to: number): void {
    for (const held of this.#holders.values())
      for (const { pid, slot } of [...held]) if (pid === from) held.push({ pid: to, slot });
  }
  #close(context: UffdContext, slot: number): void {
    const { pid } = this.#scene.current();
    const held = this.#holdersOf(context).filter((one) => one.pid !== pid || one.slot !== slot);
    this.#holders.set(context, held);
    if (held.length === 0) uffdRelease(context);
  }
  /** Closes what nobody that lives holds any more. */
  closeUnheld(): void {
    for (const [context, held] of this.#holders) {
      const living = held.filter(({ pid }) => (this.#scene.machine.process(pid)?.mm ?? null) !== null);
      this.#holders.set(context, living);
      if (living.length === 0) uffdRelease(context);
    }
    this.#goOn();
  }
  #register(step: Extract<UffdStep, { op: 'ureg' }>, at: At): string {
    const request = {
      start: at(step.addr),
      len: step.len,
      mode: step.mode,
      readOnly: step.structure === 'ro',
    };
    const got = uffdRegister(this.context(step.context), step.structure === 'null' ? null : request);
    return got.ioctls === null ? errorText(got.ret) : `0x${got.ioctls.toString(16)}`;
  }

  /** Returns where a copy comes from. */
  source(source: FillSource, at: At): number {
    if (source.kind === 'addr') return at(source.addr);
    if (!this.#hasBuffer) this.#makeBuffer();
    const bytes = Number(source.addr.bytes);
    return source.kind === 'buf' ? BUFFER + bytes : BUFFER + BUFFER_PAGES * PG - bytes;
  }
  #makeBuffer(): void {
    this.#hasBuffer = true;
    const { minFlt } = this.#mm;
    const { machine } = this.#scene;
    const { pid } = this.#scene.current();
    const flags = MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED;
    const len = BUFFER_PAGES * PG;
    machine.apply(pid, { call: 'mmap', addr: BUFFER, len, prot: 3, flags, fd: -1, offset: 0 });
    machine.apply(pid, { call: 'touch', addr: BUFFER, len, access: 'write', by: 'user', stamp: STAMP });
    const ranges = [{ addr: BUFFER, len }];
    const all = { write: true, stamp: STAMP, fills: true };
    machine.apply(pid, { call: 'process_vm', target: 'self', ranges, max: len, ...all });
    this.#mm.minFlt = minFlt;
  }
  #fill(step: Extract<UffdStep, { op: 'ufill' }>, at: At): string {
    const context = this.context(step.context);
    const source = step.source === null ? 0 : this.source(step.source, at);
    const { len, mode, structure } = step;
    const given = { start: at(step.addr), len, mode, source, readOnly: structure === 'ro' };
    const request = structure === 'null' ? null : given;
    if (step.what === 'move') return fillText(uffdMove(context, request, this.#mm));
    const kind = ({ copy: 'copy', zero: 'zeropage', cont: 'continue', poison: 'poison' } as const)[step.what];
    const done = new UffdFill(context, kind, request, { mm: this.#mm }).step();
    return isWait(done) ? 'blocked' : fillText(done);
  }

  #read(context: UffdContext, step: Extract<UffdStep, { op: 'uread' }>): string {
    const words: string[] = [];
    for (let i = 0; i < step.times; i++) {
      const error = context.features === null || step.bytes < 32 ? '-EINVAL' : null;
      const first = error === null ? context.read() : null;
      if (error !== null || first === null) {
        words.push(error ?? '-EAGAIN');
        break;
      }
      // What cannot be written out is lost.
      if (step.isBad) {
        words.push('-EFAULT');
        break;
      }
      for (
        let message: UffdMessage | null = first, room = Math.floor(step.bytes / 32);
        message !== null;
        room--
      ) {
        words.push(this.#message(message));
        message = room > 1 ? context.read() : null;
      }
      this.#goOn();
    }
    return words.join(' ');
  }
  #message(message: UffdMessage): string {
    switch (message.event) {
      case 'pagefault': {
        const kind = `${message.flags & 1 ? 'W' : 'R'}${message.flags & 2 ? 'P' : ''}${message.flags & 4 ? 'M' : ''}`;
        const who = message.tid === 0 ? '' : `,t${message.tid - FIRST_TID}`;
        return `fault(${kind},${addressText(message.addr)}${who})`;
      }
      case 'fork': {
        const number = LAST_CONTEXT - this.#nrForked++;
        this.#contexts[number] = message.context;
        this.#holdersOf(message.context).push({ pid: this.#scene.current().pid, slot: number });
        return `fork(${number})`;
      }
      case 'remap':
        return `remap(${addressText(message.from)},${addressText(message.to)},${message.len / PG})`;
      default:
        return `${message.event}(${addressText(message.start)},${addressText(message.end)})`;
    }
  }

  #scan(step: Extract<UffdStep, { op: 'scan' }>, at: At): string {
    const { size, flags, vec, vecLen, maxPages, inverted, mask, anyof, returned } = step;
    const request = { size, flags, vec, vecLen, maxPages, inverted, mask, anyof, returned };
    const mm = step.of === 0 ? this.#mm : this.#scene.heldMm(step.of);
    // Another ioctl of pagemap there is not.
    if (step.how === 'other') return '-EINVAL .';
    const ranged = { ...request, start: at(step.addr), end: at(step.end) };
    const got = pagemapScan(mm, step.how === 'null' ? null : ranged);
    const regions = got.regions.map(
      ({ start, end, categories }) =>
        ` ${addressText(start)}-${addressText(end)}:0x${categories.toString(16)}`,
    );
    const walkEnd = got.walkEnd === null ? '.' : addressText(got.walkEnd);
    return `${got.ret < 0 ? errorText(got.ret) : got.ret} ${walkEnd}${regions.join('')}`;
  }

  /** SIGUSR1: the thread runs its handler, and makes its access again. */
  #signal(number: number): string {
    const thread = must(this.#threads[number] ?? null, 'a thread that was started');
    const { wait } = thread;
    if (wait !== null && !wait.done) {
      wait.context.cancel(wait);
      thread.isOver = () => true;
    }
    return String(++thread.nrSignals);
  }
  /** Two move the same pages, one after the other: on the model there is no other order of single moves. */
  #moveTwice(step: Extract<UffdStep, { op: 'umovers' }>, at: At): string {
    const counts = { moved: 0, lost: 0, other: 0 };
    for (let i = 0; i < 2 * step.nrPages; i++) {
      const page = (i >> 1) * PG;
      const request = { start: at(step.to) + page, source: at(step.from) + page, len: PG, mode: 0 };
      const { ret } = uffdMove(this.context(step.context), request, this.#mm);
      if (ret === 0) counts.moved++;
      else if (errorText(ret) === '-EEXIST') counts.lost++;
      else counts.other++;
    }
    return `${counts.moved} ${counts.lost} ${counts.other}`;
  }

  // ---- threads -------------------------------------------------------------------------------------------------------------------

  #start({ thread, work }: Extract<UffdStep, { op: 'bg' }>, at: At): void {
    const tid = FIRST_TID + thread;
    const steps = startWork(work, at, {
      scene: this.#scene,
      mm: this.#mm,
      tid,
      context: (number) => this.context(number),
    });
    const nrSignals = this.#threads[thread]?.nrSignals ?? 0;
    this.#threads[thread] = { steps, isOver: () => true, wait: null, nrSignals, answer: null };
  }
  /** Lets every thread go on that can. */
  #goOn(): void {
    for (;;) {
      const next = this.#threads.find((t) => t !== null && t.answer === null && t.isOver());
      if (next === undefined || next === null) return;
      const before = this.#mm.minFlt + this.#mm.majFlt;
      const step = next.steps.next();
      this.threadFaults += this.#mm.minFlt + this.#mm.majFlt - before;
      if (step.done === true) next.answer = step.value;
      else {
        const wait = step.value;
        next.wait = wait;
        next.isOver = () => wait.done;
      }
    }
  }
}
