/**
 * Stopping threads where they stand between two accesses, as a hypervisor stops virtual CPUs: who comes by waits until it is opened again.
 */
import { type Running, type Simulation, type Thread, WaitQueue } from '../../machine/index.ts';

/** What is to be done about threads that are stopped. */
export class Gate {
  readonly #simulation: Simulation;
  readonly #stopped: WaitQueue;
  readonly #stopper: WaitQueue;
  readonly #idle: WaitQueue;
  #isShut = false;
  #nrStopped = 0;
  /** How often it was shut: who is woken too late to go on is stopped once more. */
  #round = 0;

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
    this.#stopped = new WaitQueue(simulation.scheduler);
    this.#stopper = new WaitQueue(simulation.scheduler);
    this.#idle = new WaitQueue(simulation.scheduler);
  }

  /** Tells whether a thread that comes by has to wait. */
  get isShut(): boolean {
    return this.#isShut;
  }

  /** Waits until `nr` threads have come by; they go on with `open`. */
  *shut(t: Thread, nr: number): Running<void> {
    this.#isShut = true;
    this.#nrStopped = 0;
    this.#round++;
    yield* t.owe(this.#simulation.prices.futexNs);
    this.#idle.wakeAll();
    for (;;) {
      yield* t.owe(0);
      if (this.#nrStopped >= nr) return;
      yield* this.#stopper.wait(t.task, { reason: 'stopping', voluntary: true });
    }
  }
  /** Lets everybody go on. */
  *open(t: Thread): Running<void> {
    this.#isShut = false;
    yield* t.owe(this.#simulation.prices.futexNs);
    this.#stopped.wakeAll();
  }
  /** Has nothing to do for `ns`, or until somebody is to be stopped. */
  *idle(t: Thread, ns: number): Running<void> {
    yield* t.owe(this.#simulation.prices.syscallNs);
    if (!this.#isShut) yield* this.#idle.wait(t.task, { reason: 'sleep', voluntary: true, timeoutNs: ns });
    yield* t.owe(0);
  }
  /** Comes by: waits while it is shut. */
  *pass(t: Thread): Running<void> {
    for (let counted = 0; ; ) {
      yield* t.owe(0);
      if (!this.#isShut) return;
      if (counted < this.#round) {
        counted = this.#round;
        this.#nrStopped++;
        // The wake-up is paid before anybody may wait.
        this.#stopper.wake();
      } else yield* this.#stopped.wait(t.task, { reason: 'stopped', voluntary: false });
    }
  }
}
