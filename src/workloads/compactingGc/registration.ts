/**
 * The heap's userfaultfd: opened once, registered for each cycle or for good, its ioctls as the strategies need them.
 */
import { UFFD_FEATURE_SIGBUS } from '../../abi/userfaultfd.ts';
import type { Addr } from '../../base/units.ts';
import { type Running, type Thread, Userfaultfd } from '../../machine/index.ts';
import type { FillKind } from '../../mm/index.ts';
import { refuse, type StrategyOptions } from './strategy.ts';

/** One userfaultfd for the heap. */
export class Registration {
  readonly #options: StrategyOptions;
  readonly #mode: number;
  #uffd: Userfaultfd | null = null;
  #isArmed = false;

  /** @param mode  of UFFDIO_REGISTER */
  constructor(options: StrategyOptions, mode: number) {
    this.#options = options;
    this.#mode = mode;
  }

  /** Opens it. */
  *open(t: Thread): Running<void> {
    this.#uffd = yield* Userfaultfd.open(t, this.#options.sigbus ? UFFD_FEATURE_SIGBUS : 0);
  }
  /** The descriptor, for who reads it. */
  get uffd(): Userfaultfd {
    return this.#uffd ?? refuse('userfaultfd', 'it is not open');
  }

  /** Registers the heap, unless that was done for good. @param isNew  parts of it are new mappings, which have to be registered in any case */
  *arm(t: Thread, isNew = false): Running<void> {
    if (this.#isArmed && !isNew) return;
    const { heap, tally } = this.#options;
    tally.callsInPauses++;
    yield* this.uffd.register(t, heap.base, heap.bytes, this.#mode);
    this.#isArmed = true;
  }
  /** The compaction is over: the heap is registered no more, unless for good. */
  *disarm(t: Thread): Running<void> {
    if (!this.#options.registersEachTime) return;
    const { heap } = this.#options;
    yield* this.uffd.unregister(t, heap.base, heap.bytes);
    this.#isArmed = false;
  }

  /** One of the ioctls that fill. A free page may be there already, or not be asked for any more: that is no error. */
  *fill(t: Thread, kind: FillKind, request: { start: Addr; len: number; source?: Addr }): Running<void> {
    const { why } = yield* this.uffd.fill(t, kind, request);
    const isLate = kind === 'zeropage' && (why === 'page-exists' || why === 'not-registered');
    if (why !== 'ok' && !isLate) refuse(`UFFDIO_${kind.toUpperCase()}`, why);
  }
  /** UFFDIO_MOVE. */
  *move(t: Thread, request: { start: Addr; len: number; source: Addr }): Running<void> {
    const { why } = yield* this.uffd.move(t, request);
    if (why !== 'ok') refuse('UFFDIO_MOVE', why);
  }
}
