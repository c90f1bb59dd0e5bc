/**
 * Threads of a recording that sleep in userfaultfd: an access that waits for its page, a call that meets one midway.
 *
 * The recording has the beginning of the access (its page fault) and the ioctl that lets it go on; nothing between. So the access is begun where it stands,
 * kept, and stepped again after the operation that wakes it. A thread that shows something while it sleeps here has gone on before the waking ioctl returned: that is let through, and
 * held against the recording only if the call that wakes it had not begun by then. A signal may take it out of its sleep to access the page anew: then the new access counts.
 *
 * Reads of the descriptor are not recorded: a message is taken for read as soon as it is there, so who announces a change goes on at once.
 *
 * Left out   children of a fork that is announced (UFFD_FEATURE_EVENT_FORK): their descriptor is known to the reader alone
 * Cost       the machine's; each operation looks at those who sleep
 */
import type { Machine, Outcome, Process } from '../../machine/index.ts';
import { isWait, type Mm, type UffdWait, type WaitingCall } from '../../mm/index.ts';
import type { ReplayOp } from '../item.ts';

/** What came of an operation, or of one that slept. */
export interface Came {
  readonly item: ReplayOp;
  readonly outcome: Outcome;
  readonly process: Process | null;
  readonly faults: number;
}

/** Somebody who sleeps. */
interface Asleep {
  readonly item: ReplayOp;
  readonly process: Process | null;
  readonly call: WaitingCall<Outcome>;
  wait: UffdWait;
  faults: number;
  /** When the recording goes on with this thread; null: it has not. */
  wentOn: number | null;
}

const BLOCKED: Outcome = { kind: 'blocked', worker: null };
const faultsOf = (mm: Mm | null): number => (mm === null ? 0 : mm.minFlt + mm.majFlt);

/** Tells whether two operations are accesses to the same page. */
const isSameAccess = ({ op: a }: ReplayOp, { op: b }: ReplayOp): boolean =>
  a.call === 'touch' && b.call === 'touch' && a.addr === b.addr;

/** Those who sleep on one machine. */
export class Sleepers {
  readonly #machine: Machine;
  #asleep: Asleep[] = [];
  readonly #late: ReplayOp[] = [];

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Operations that nobody had ended when the recording went on with their threads. */
  get stuck(): readonly ReplayOp[] {
    return [...this.#late, ...this.#asleep.filter(({ wentOn }) => wentOn !== null).map(({ item }) => item)];
  }

  /** Carries out an operation. Returns what came of it: that its thread sleeps, if it does. */
  run(item: ReplayOp): Came {
    this.#goesOn(item);
    const process = this.#machine.processOf(item.task);
    const call = this.#machine.begin(item.task, item.op, item.chosen);
    return (
      this.#step({ item, process, call, faults: 0, wentOn: null }) ?? {
        item,
        outcome: BLOCKED,
        process,
        faults: 0,
      }
    );
  }

  /** Returns the operations that are over because of `by`, which was carried out last, in the order in which they end. */
  *woken(by: ReplayOp): Generator<Came> {
    for (;;) {
      const next = this.#asleep.find(({ wait }) => wait.done);
      if (next === undefined) return;
      // Whoever has gone on was woken by a call that had begun by then.
      if (next.wentOn !== null && by.entry > next.wentOn) this.#late.push(next.item);
      this.#asleep = this.#asleep.filter((each) => each !== next);
      const came = this.#step(next);
      if (came !== null) yield came;
    }
  }

  /** The thread of `item` shows something. Whoever sleeps when the process ends, or becomes another program, is never woken. */
  #goesOn(item: ReplayOp): void {
    if (this.#asleep.length === 0) return;
    const { call } = item.op;
    const ends = call === 'exit_group' || call === 'execve' ? this.#machine.processOf(item.task) : null;
    this.#asleep = this.#asleep.filter((each) => {
      const isOwn = each.item.task === item.task;
      if (isOwn) each.wentOn ??= item.entry;
      const isOver = (ends !== null && each.process === ends) || (isOwn && isSameAccess(each.item, item));
      if (isOver) each.wait.context.cancel(each.wait);
      return !isOver;
    });
  }

  /** Does as much of a call as can be done now. Returns what came of it, or null if its thread sleeps. */
  #step(one: Omit<Asleep, 'wait'>): Came | null {
    const mm = one.process?.mm ?? null;
    for (;;) {
      const before = faultsOf(mm);
      const came = one.call.step();
      one.faults += faultsOf(mm) - before;
      if (!isWait(came)) return { item: one.item, outcome: came, process: one.process, faults: one.faults };
      takeEvents(came);
      if (came.done) continue;
      this.#asleep.push({ ...one, wait: came });
      return null;
    }
  }
}

/** Reads what stands before an event that somebody waits for, and the event. */
function takeEvents(wait: UffdWait): void {
  if (wait.message.event === 'pagefault') return;
  while (!wait.done && wait.context.read() !== null);
}
