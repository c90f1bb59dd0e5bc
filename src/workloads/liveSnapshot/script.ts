/**
 * A snapshot step by step: the guest writes, reads and gives back what it is told, between steps of who saves it. No chance and no time is left in it, so
 * the same steps on the running kernel (oracle/snapshot.c) must lose the same pages.
 *
 * Messages are answered by a thread of their own, which runs only while the guest waits.
 */
import type { Prng } from '../../base/prng.ts';
import { PAGE_SIZE } from '../../base/units.ts';
import type { Running, Simulation, Thread } from '../../machine/index.ts';
import { Guest } from './guest.ts';
import { GuestMemory, type MemoryShape } from './guestMemory.ts';
import type { MethodName } from './method.ts';
import type { MissedPage } from './missed.ts';
import { type Snapshot, snapshotOf } from './pointInTime.ts';
import { copyRuns, type DirtyTracker, prepareCopying } from './precopy.ts';
import type { Finding } from './saver.ts';
import { MethodRefused, Taking } from './taking.ts';

/** One step. */
export type ScriptStep =
  | { readonly step: 'write' | 'read' | 'discard'; readonly page: number }
  /** `round` copies what was written meanwhile; of a snapshot of one moment it does nothing. */
  | { readonly step: 'arm' }
  | { readonly step: 'round' }
  | { readonly step: 'save'; readonly first: number; readonly end: number };

/** A snapshot and its steps; it is finished behind the last one. */
export interface Script {
  readonly shape: MemoryShape;
  readonly method: MethodName;
  readonly use: 'snapshot' | 'precopy';
  readonly finding: Finding;
  readonly steps: readonly ScriptStep[];
}

/** What came of it: pages that were lost, and writes that userfaultfd told of; or why the kernel refused the method. */
export type ScriptResult =
  | { readonly lost: readonly MissedPage[]; readonly nrMessages: number }
  | { readonly refused: string };

/** The answering thread looks up this often whether it is over, nanoseconds. */
const LOOK_UP_NS = 100_000;

/** Runs a script in a process of `simulation`, which is new. */
export function runScript(simulation: Simulation, script: Script): ScriptResult {
  let result: ScriptResult = { lost: [], nrMessages: 0 };
  simulation.start('guest', function* (t) {
    try {
      result = yield* play(t, script);
    } catch (error) {
      if (!(error instanceof MethodRefused)) throw error;
      result = { refused: error.message };
    }
  });
  simulation.run();
  return result;
}

/** What a guest does without being told: nothing. */
const IDLE = { writers: 0, touched: 0, onlyRead: 0, cluster: 1, rate: 1, anywhere: 0, balloon: 0 };

function* play(t: Thread, script: Script): Running<ScriptResult> {
  const memory = yield* GuestMemory.map(t, script.shape);
  // Nothing is left to chance, so nobody draws.
  const guest = new Guest(t.simulation, { memory, load: IDLE, prng: NO_CHANCE });
  const options = { method: script.method, finding: script.finding, batch: 1, rounds: 1, threshold: 0 };
  const taking = new Taking(t, guest, options);
  const player = script.use === 'precopy' ? new CopyPlayer(taking) : new SnapshotPlayer(taking);
  for (const step of script.steps) yield* playStep(t, { guest, player, step });
  yield* player.finish(t);
  return { lost: taking.watch.missed(taking.memory, taking.saver.image), nrMessages: taking.nrMessages };
}

const NO_CHANCE: Pick<Prng, 'below'> = { below: () => 0 };

/** What saves a guest step by step. */
interface Player {
  arm(t: Thread): Running<void>;
  save(t: Thread, first: number, end: number): Running<void>;
  round(t: Thread): Running<void>;
  finish(t: Thread): Running<void>;
}

function* playStep(t: Thread, of: { guest: Guest; player: Player; step: ScriptStep }): Running<void> {
  const { guest, player, step } = of;
  switch (step.step) {
    case 'write':
      yield* guest.store(t, step.page);
      break;
    case 'read':
      yield* t.touch(guest.memory.addrOf(step.page), PAGE_SIZE, 'read');
      break;
    case 'discard':
      yield* guest.giveBack(t, step.page);
      break;
    case 'save':
      yield* player.save(t, step.first, step.end);
      break;
    case 'arm':
      yield* player.arm(t);
      break;
    case 'round':
      yield* player.round(t);
  }
}

/** A snapshot of one moment. */
class SnapshotPlayer implements Player {
  readonly #taking: Taking;
  readonly #snapshot: Snapshot;
  #answering: Thread | null = null;
  #isOver = false;

  constructor(taking: Taking) {
    this.#taking = taking;
    this.#snapshot = snapshotOf(taking);
  }
  *arm(t: Thread): Running<void> {
    yield* this.#snapshot.arm(t);
    const player = this;
    this.#answering = yield* t.spawn('answers', function* (a) {
      while (!player.#isOver) {
        yield* player.#snapshot.answer(a);
        yield* a.sleep(LOOK_UP_NS);
      }
    });
  }
  save(t: Thread, first: number, end: number): Running<void> {
    return this.#snapshot.save(t, first, end);
  }
  *round(): Running<void> {}
  *finish(t: Thread): Running<void> {
    yield* this.#snapshot.save(t, 0, this.#taking.guest.memory.nrPages);
    this.#isOver = true;
    if (this.#answering !== null) yield* t.join(this.#answering);
    yield* this.#snapshot.finish(t);
  }
}

/** Copies until it is over. */
class CopyPlayer implements Player {
  readonly #taking: Taking;
  #tracker: DirtyTracker | null = null;

  constructor(taking: Taking) {
    this.#taking = taking;
  }
  *arm(t: Thread): Running<void> {
    this.#tracker = yield* prepareCopying(t, this.#taking);
  }
  save(t: Thread, first: number, end: number): Running<void> {
    return this.#taking.saver.saveRange(t, first, end);
  }
  *round(t: Thread): Running<void> {
    if (this.#tracker !== null) yield* copyRuns(t, this.#taking, yield* this.#tracker.collect(t));
  }
  *finish(t: Thread): Running<void> {
    yield* this.round(t);
    this.#taking.remember();
    if (this.#tracker !== null) yield* this.#tracker.disarm(t);
  }
}
