/**
 * The threads of an ops file with userfaultfd: three workers of one process, and children, each with a call that it may sleep in.
 *
 * An operation of the process is run by the free worker with the lowest number, or by the main thread when all three sleep. It runs until it has ended
 * or sleeps. Then those it released run, workers in the order of their numbers, children after them, each until it has ended or sleeps again; what
 * one of them releases runs in the same order. After each message of a read those it released run before the next is read.
 *
 * Page faults are counted for each call from its start to its end, whoever runs in between.
 *
 * Cost   the machine's
 */
import { CLONE_FILES, CLONE_THREAD, CLONE_VM } from '../../abi/mman.ts';
import type { Chosen, Machine, Op, Outcome } from '../../machine/index.ts';
import { isWait, type Mm, type UffdWait, type WaitingCall } from '../../mm/index.ts';
import type { ReplayOp, Sleeper } from '../item.ts';
import { CHILD, SELF, UFFD_FD, WORKER } from '../opsSnapshot.ts';

const NR_WORKERS = 3;

/** A call in which somebody slept is over. */
export interface Ended {
  readonly who: Sleeper;
  readonly outcome: Outcome;
  readonly faults: number;
  /** The operation that it slept in. */
  readonly item: ReplayOp;
}

/** What came of one operation. */
export interface Ran {
  readonly outcome: Outcome;
  readonly faults: number;
  /** The calls that ended because of it, in the order in which they are told. */
  readonly ended: readonly Ended[];
}

/** A thread. */
interface Thread {
  readonly who: Sleeper | null;
  readonly task: number;
  call: WaitingCall<Outcome> | null;
  /** What it waits for, while it sleeps. */
  wait: UffdWait | null;
  item: ReplayOp | null;
  faults: number;
}

const makeThread = (who: Sleeper | null, task: number): Thread => ({
  who,
  task,
  call: null,
  wait: null,
  item: null,
  faults: 0,
});

const faultsOf = (mm: Mm | null): number => (mm === null ? 0 : mm.minFlt + mm.majFlt);

/** The threads of one machine. */
export class Workers {
  readonly #machine: Machine;
  readonly #workers: readonly Thread[];
  readonly #main = makeThread(null, SELF);
  readonly #children = new Map<number, Thread>();
  #nrChildren = 0;
  #nrContexts = 0;

  /** Gives the process of task SELF its workers. */
  constructor(machine: Machine) {
    this.#machine = machine;
    this.#workers = Array.from({ length: NR_WORKERS }, (_, number) =>
      makeThread({ kind: 'worker', number }, WORKER + number),
    );
    const flags = CLONE_VM | CLONE_FILES | CLONE_THREAD;
    for (const { task } of this.#workers) machine.apply(SELF, { call: 'clone', flags, child: task });
  }

  /** Carries out one operation. */
  run(item: ReplayOp): Ran {
    const ended: Ended[] = [];
    const thread = this.#threadFor(item);
    const ran = this.#start(thread, item, ended);
    this.#release(ended);
    const order = ({ who }: Ended): number => who.number + (who.kind === 'child' ? NR_WORKERS : 0);
    ended.sort((a, b) => order(a) - order(b));
    return { ...ran, ended };
  }

  /** Who sleeps, and in the operation of which number: workers, then children. */
  get sleepers(): readonly { readonly who: Sleeper; readonly number: number }[] {
    const threads = [...this.#workers, ...this.#children.values()];
    return threads.flatMap(({ who, wait, item }) =>
      who === null || wait === null ? [] : [{ who, number: item?.number ?? 0 }],
    );
  }
  /** The tasks of the children that live and have been told of: a child whose parent still sleeps in fork is not. */
  get children(): readonly number[] {
    const unborn = new Set(
      this.#workers.flatMap(({ wait, item }) =>
        wait !== null && item?.op.call === 'clone' ? [item.op.child] : [],
      ),
    );
    return [...this.#children.values()].map(({ task }) => task).filter((task) => !unborn.has(task));
  }
  /** How many userfaultfds there were; they are numbered from 0. */
  get nrContexts(): number {
    return this.#nrContexts;
  }

  #threadFor(item: ReplayOp): Thread {
    if (item.task === SELF) return this.#workers.find(({ wait }) => wait === null) ?? this.#main;
    let thread = this.#children.get(item.task);
    // One that is not living: the machine has the answer.
    if (thread === undefined) thread = makeThread({ kind: 'child', number: item.task - CHILD }, item.task);
    return thread;
  }

  /** Starts an operation. Returns its outcome if it ends at once, else that it sleeps. */
  #start(thread: Thread, item: ReplayOp, ended: Ended[]): Omit<Ran, 'ended'> {
    const { op } = item;
    if (op.call === 'exit_group') return this.#exit(thread, op);
    if (op.call === 'uffd_read') return this.#read(thread, op, ended);
    const { op: numbered, chosen } = this.#numbered(op, item.chosen);
    thread.item = { ...item, op: numbered };
    thread.faults = 0;
    thread.call = this.#machine.begin(thread.task, numbered, chosen);
    const outcome = this.#step(thread);
    if (numbered.call === 'clone') this.#born(numbered.child, outcome);
    if (op.call === 'userfaultfd' && outcome?.kind === 'value') this.#nrContexts++;
    if (outcome !== null) return { outcome, faults: thread.faults };
    const worker = thread.who?.kind === 'worker' ? thread.who.number : null;
    return { outcome: { kind: 'blocked', worker }, faults: thread.faults };
  }

  /** Children and userfaultfds are numbered in the order in which they are made. */
  #numbered(op: Op, chosen: Chosen): { op: Op; chosen: Chosen } {
    if (op.call === 'userfaultfd') return { op, chosen: { handle: UFFD_FD + this.#nrContexts } };
    if (op.call !== 'clone') return { op, chosen };
    return { op: { ...op, child: CHILD + this.#nrChildren }, chosen };
  }
  #born(task: number, outcome: Outcome | null): void {
    if (outcome !== null && outcome.kind !== 'value') return;
    const number = this.#nrChildren++;
    this.#children.set(task, makeThread({ kind: 'child', number }, task));
  }

  #exit(thread: Thread, op: Op): Omit<Ran, 'ended'> {
    thread.wait?.context.cancel(thread.wait);
    this.#children.delete(thread.task);
    return { outcome: this.#machine.apply(thread.task, op), faults: 0 };
  }

  #read(thread: Thread, op: Extract<Op, { call: 'uffd_read' }>, ended: Ended[]): Omit<Ran, 'ended'> {
    const messages = [];
    for (let i = 0; i < op.times; i++) {
      const chosen = { handle: UFFD_FD + this.#nrContexts };
      const came = this.#machine.apply(thread.task, { ...op, times: 1 }, chosen);
      if (came.kind !== 'messages') return { outcome: came, faults: 0 };
      messages.push(...came.messages);
      if (came.messages[0]?.event === 'fork') this.#nrContexts++;
      if (came.error !== null) return { outcome: { ...came, messages }, faults: 0 };
      this.#release(ended);
    }
    return { outcome: { kind: 'messages', messages, error: null }, faults: 0 };
  }

  /** Lets everybody run who can. */
  #release(ended: Ended[]): void {
    for (;;) {
      const threads = [...this.#workers, ...this.#children.values()];
      const thread = threads.find(({ wait }) => wait?.done === true);
      if (thread === undefined) return;
      const outcome = this.#step(thread);
      if (outcome === null || thread.who === null || thread.item === null) continue;
      ended.push({ who: thread.who, outcome, faults: thread.faults, item: thread.item });
    }
  }

  /** Goes on with the call of a thread. Returns its outcome, or null if the thread sleeps. */
  #step(thread: Thread): Outcome | null {
    const mm = this.#machine.processOf(thread.task)?.mm ?? null;
    const before = faultsOf(mm);
    const came = thread.call?.step() ?? null;
    thread.faults += faultsOf(mm) - before;
    if (isWait(came)) {
      thread.wait = came;
      return null;
    }
    thread.wait = null;
    thread.call = null;
    return came;
  }
}
