/**
 * Carries scenarios out on the model, in virtual time, and says how long they take.
 *
 * A scenario is run twice on one machine, as the kernel's side repeats it: the second time counts, when freed pages are in the cache as they are there.
 */
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from '../../src/abi/mman.ts';
import { PAGE_IS_WRITTEN, PM_SCAN_CHECK_WPASYNC, PM_SCAN_WP_MATCHING } from '../../src/abi/pagemapScan.ts';
import { PAGE_SIZE } from '../../src/base/units.ts';
import {
  type Calibration,
  type Op,
  Pipe,
  type Running,
  Simulation,
  scanPagemap,
  type Thread,
  Userfaultfd,
} from '../../src/machine/index.ts';
import { type Features, LINUX_6_18 } from '../../src/mm/index.ts';
import { type Scenario, type Step, WINDOW_PAGES } from './scenario.ts';

/** Where the window begins: as in oracle/cost/scenario.c. */
const WINDOW = 0x2000_0000_0000;
const SWAP_PAGES = 48 * 1024;
const ANONYMOUS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;

/** The time of a scenario, and of what it is made. */
export interface Modelled {
  readonly ns: number;
  /** Time by path of the second turn, all of it, the dearest first; setting up is in it. */
  readonly paths: readonly (readonly [path: string, ns: number])[];
}

/** Returns how long a scenario takes. Throws what the model throws where it refuses a step. */
export function modelScenario(scenario: Scenario, calibration: Calibration, thp?: Features['thp']): Modelled {
  const simulation = new Simulation({
    calibration,
    features: thp === undefined ? LINUX_6_18 : { ...LINUX_6_18, thp },
    config: { totalSwapPages: SWAP_PAGES },
    contents: 'fingerprint',
  });
  let ns = 0;
  let before: readonly (readonly [string, number])[] = [];
  simulation.start(
    'main',
    function* (t) {
      yield* new Turn(simulation, t).run(scenario.steps);
      before = timesOf(simulation);
      const turn = new Turn(simulation, t);
      yield* turn.run(scenario.steps);
      ns = turn.timedNs;
    },
    { cpu: 0 },
  );
  simulation.run();
  const first = new Map(before);
  const paths = timesOf(simulation)
    .map(([path, all]) => [path, all - (first.get(path) ?? 0)] as const)
    .filter(([, all]) => all > 0)
    .sort((a, b) => b[1] - a[1]);
  return { ns, paths };
}

const timesOf = ({ costs, kernel }: Simulation): (readonly [string, number])[] =>
  costs.timeOf(kernel.work).paths.map(({ path, ns }) => [path, ns] as const);

const at = (page = 0): number => WINDOW + page * PAGE_SIZE;
const bytes = (pages = 0): number => pages * PAGE_SIZE;

/** One turn of a scenario. */
class Turn {
  timedNs = 0;
  readonly #simulation: Simulation;
  readonly #t: Thread;
  readonly #files = new Map<number, number>();
  readonly #uffds = new Map<number, Userfaultfd>();
  #beganNs = 0;
  #child: { readonly thread: Thread; readonly pipe: Pipe<number> } | null = null;
  #answering: { readonly thread: Thread; isLast: boolean } | null = null;

  constructor(simulation: Simulation, t: Thread) {
    this.#simulation = simulation;
    this.#t = t;
  }

  /** Carries it out and leaves the window empty. */
  *run(steps: readonly Step[]): Running<void> {
    const t = this.#t;
    const first = steps.findIndex(([word]) => word === 'thread');
    for (const step of first < 0 ? steps : steps.slice(0, first)) yield* this.#step(t, step);
    if (first >= 0) yield* this.#sideBySide(steps.slice(first));
    yield* t.munmap(WINDOW, bytes(WINDOW_PAGES));
    for (const fd of this.#files.values()) yield* t.call({ call: 'close', fd });
    for (const uffd of this.#uffds.values()) yield* uffd.close(t);
  }

  *#sideBySide(steps: readonly Step[]): Running<void> {
    const t = this.#t;
    const parts: { cpu: number; steps: Step[] }[] = [];
    for (const step of steps) {
      if (step[0] === 'thread') parts.push({ cpu: step[1] ?? 0, steps: [] });
      else if (step[0] !== 'join') parts.at(-1)?.steps.push(step);
    }
    const self = this;
    let startNs = Number.POSITIVE_INFINITY;
    let endNs = 0;
    const threads: Thread[] = [];
    for (const part of parts)
      threads.push(
        yield* t.spawn(
          `thread ${part.cpu}`,
          function* (other) {
            startNs = Math.min(startNs, other.nowNs);
            for (const step of part.steps) yield* self.#step(other, step);
            yield* other.owe(0);
            endNs = Math.max(endNs, other.nowNs);
          },
          { cpu: part.cpu },
        ),
      );
    for (const thread of threads) yield* t.join(thread);
    this.timedNs += endNs - startNs;
  }

  *#step(t: Thread, step: Step): Running<void> {
    const [word, a = 0, b = 0, c = 0, d = 0] = step;
    switch (word) {
      case 'begin':
        yield* t.owe(0);
        this.#beganNs = t.nowNs;
        return;
      case 'end':
        yield* t.owe(0);
        this.timedNs += t.nowNs - this.#beganNs;
        return;
      case 'write':
      case 'read':
        yield* this.#access(t, word, a, b, c);
        return;
      case 'contents':
        yield* this.#access(t, 'write', a, b, 1);
        return;
      case 'file':
        this.#files.set(a, yield* t.memfd('cost', bytes(b)));
        return;
      case 'fork':
        yield* this.#fork(t);
        return;
      case 'reap':
        yield* this.#reap(t);
        return;
      case 'answer':
        yield* this.#answer(t, a, b, { base: at(c), from: at(d) });
        return;
      case 'silence':
        yield* this.#silence(t, a);
        return;
      case 'scan':
        yield* scanPagemap(t, {
          start: at(a),
          end: at(a + b),
          mask: PAGE_IS_WRITTEN,
          returned: PAGE_IS_WRITTEN,
          flags: c === 0 ? 0 : PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
        });
        return;
      case 'uffd':
      case 'register':
      case 'copy':
      case 'moveto':
      case 'zero':
      case 'continue':
      case 'wp':
        yield* this.#userfaultfd(t, step);
        return;
      case 'mincore':
        yield* t.attempt({ call: 'mincore', addr: at(a), len: bytes(b) });
        return;
      default:
        yield* t.call(this.#call(step));
    }
  }

  #call([word, a = 0, b = 0, c = 0, d = 0]: Step): Op {
    const range = { addr: at(a), len: bytes(b) };
    switch (word) {
      case 'map':
        return { call: 'mmap', ...range, prot: c, flags: ANONYMOUS, fd: -1, offset: 0 };
      case 'mapfile': {
        const flags = MAP_FIXED | (d === 0 ? MAP_PRIVATE : MAP_SHARED);
        return {
          call: 'mmap',
          ...range,
          prot: PROT_READ | PROT_WRITE,
          flags,
          fd: this.#files.get(c) ?? -1,
          offset: 0,
        };
      }
      case 'unmap':
        return { call: 'munmap', ...range };
      case 'advise':
        return { call: 'madvise', ...range, advice: c };
      case 'protect':
        return { call: 'mprotect', ...range, prot: c };
      case 'move':
        return {
          call: 'mremap',
          addr: at(a),
          oldLen: bytes(b),
          newLen: bytes(b),
          flags: 3 | d,
          newAddr: at(c),
        };
      case 'resize':
        return { call: 'mremap', addr: at(a), oldLen: bytes(b), newLen: bytes(c), flags: 0, newAddr: 0 };
      case 'lock':
        return { call: 'mlock', ...range };
      default:
        return { call: 'munlock', ...range };
    }
  }

  *#access(t: Thread, how: 'read' | 'write', page: number, n: number, stride: number): Running<void> {
    for (let i = 0; i < n; i += stride) {
      if (how === 'read') {
        if (t.load(at(page + i)) === null) yield* t.read(at(page + i));
      } else if (!t.store(at(page + i), 1)) yield* t.write(at(page + i), 1);
    }
  }

  *#userfaultfd(t: Thread, [word, a = 0, b = 0, c = 0, d = 0]: Step): Running<void> {
    if (word === 'uffd') {
      this.#uffds.set(a, yield* Userfaultfd.open(t, b));
      return;
    }
    const uffd = this.#uffds.get(a);
    if (uffd === undefined) throw new RangeError(`no userfaultfd ${a}`);
    if (word === 'register') yield* uffd.register(t, at(b), bytes(c), d);
    else if (word === 'copy') yield* uffd.fill(t, 'copy', { start: at(b), len: bytes(d), source: at(c) });
    else if (word === 'moveto') yield* uffd.move(t, { start: at(b), len: bytes(d), source: at(c) });
    else if (word === 'zero') yield* uffd.fill(t, 'zeropage', { start: at(b), len: bytes(c) });
    else if (word === 'continue') yield* uffd.fill(t, 'continue', { start: at(b), len: bytes(c) });
    else yield* uffd.writeProtect(t, at(b), bytes(c), d);
  }

  *#fork(t: Thread): Running<void> {
    const pipe = new Pipe<number>(this.#simulation);
    const thread = yield* t.fork(
      'child',
      function* (child) {
        yield* pipe.read(child);
      },
      { cpu: 0 },
    );
    this.#child = { thread, pipe };
  }
  *#reap(t: Thread): Running<void> {
    if (this.#child === null) return;
    yield* this.#child.pipe.write(t, 0);
    yield* t.join(this.#child.thread);
    this.#child = null;
  }

  /** Ways of answering, in the order of their numbers. */
  *#answer(
    t: Thread,
    slot: number,
    how: number,
    { base, from }: { base: number; from: number },
  ): Running<void> {
    const uffd = this.#uffds.get(slot);
    if (uffd === undefined) throw new RangeError(`no userfaultfd ${slot}`);
    const answering: { isLast: boolean } = { isLast: false };
    const thread = yield* t.spawn(
      'answers',
      function* (handler) {
        for (let isOver = false; !isOver; ) {
          const message = yield* uffd.read(handler);
          isOver = answering.isLast;
          if (message.event !== 'pagefault') continue;
          const start = message.addr - (message.addr % PAGE_SIZE);
          const one = { start, len: PAGE_SIZE };
          const source = from + (start - base);
          if (how === 0) yield* uffd.fill(handler, 'copy', { ...one, source });
          else if (how === 1) yield* uffd.fill(handler, 'zeropage', one);
          else if (how === 2) yield* uffd.fill(handler, 'continue', one);
          else if (how === 3) yield* uffd.move(handler, { ...one, source });
          else yield* uffd.writeProtect(handler, start, PAGE_SIZE, 0);
        }
      },
      { cpu: 0 },
    );
    this.#answering = Object.assign(answering, { thread });
  }
  /** The fault after this is the last one that is answered. */
  *#silence(t: Thread, page: number): Running<void> {
    if (this.#answering === null) return;
    this.#answering.isLast = true;
    yield* this.#access(t, 'write', page, 1, 1);
    yield* t.join(this.#answering.thread);
    this.#answering = null;
  }
}
