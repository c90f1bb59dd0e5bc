/**
 * One userfaultfd context: what it was asked for, and who waits in it for what.
 *
 * Two queues. Faults: a task met a page that user space is to provide; it waits until somebody wakes its address. Events: a task has changed the
 * address space (or is about to) and waits until the message was read. A read takes the oldest unread fault, then the oldest unread event.
 *
 *   fault    unread --read--> read --wake--> done          woken unread: it is never reported
 *   event    unread --read--> done                         while one is prepared or unread, range ioctls answer EAGAIN (`isChanging`)
 *
 * Nobody sleeps here: who has to wait gets a `UffdWait` and asks it, or is told by `kernel.onWake`.
 *
 * A wait in a queue is not done, and a context that was closed has empty queues.
 * Cost        a wake visits every waiting fault
 * Linux       fs/userfaultfd.c: userfaultfd_api, userfaultfd_ctx_read, __wake_userfault, userfaultfd_event_wait_completion; spec/userfaultfd.md 2, 8, 9
 */
import { EINVAL, EPERM } from '../abi/errno.ts';
import {
  UFFD_API,
  UFFD_API_FEATURES,
  UFFD_API_IOCTLS,
  UFFD_FEATURE_EVENT_FORK,
  UFFD_FEATURE_EVENT_REMAP,
  UFFD_FEATURE_MOVE,
  UFFD_FEATURE_WP_ASYNC,
  UFFD_FEATURE_WP_UNPOPULATED,
  UFFD_USER_MODE_ONLY,
} from '../abi/userfaultfd.ts';
import { Unmodelled } from '../base/assert.ts';
import type { Addr } from '../base/units.ts';
import type { Features } from './features.ts';
import type { Mm } from './mm.ts';
import { OK, refused, type SysResult } from './result.ts';

/** What a reader gets. `context` of a fork is that of the child. */
export type UffdMessage =
  | { readonly event: 'pagefault'; readonly flags: number; readonly addr: Addr; readonly tid: number }
  | { readonly event: 'fork'; readonly context: UffdContext }
  | { readonly event: 'remap'; readonly from: Addr; readonly to: Addr; readonly len: number }
  | { readonly event: 'remove' | 'unmap'; readonly start: Addr; readonly end: Addr };

/** Somebody waits in a context. */
export class UffdWait {
  readonly context: UffdContext;
  readonly message: UffdMessage;
  /** What it waited for has happened: it may go on. */
  done = false;
  /** Who is to be told of that, if somebody sleeps. */
  sleeper: { end(how: 'woken'): void } | null = null;

  constructor(context: UffdContext, message: UffdMessage) {
    this.context = context;
    this.message = message;
  }
}

/** Tells whether a step has to wait. */
export const isWait = (what: unknown): what is UffdWait => what instanceof UffdWait;

/** Returns the result of a step of a call that cannot wait here. Throws Unmodelled when it would have to. */
export function finished<T>(step: T | UffdWait): T {
  if (isWait(step)) throw new Unmodelled('a call that waits for userfaultfd', 'docs/scope.md#userfaultfd');
  return step;
}

/** Tells whether the kernel has a feature. */
function isSupported(features: Features, bit: number): boolean {
  switch (bit) {
    case UFFD_FEATURE_MOVE:
      return features.uffdMove !== 'off';
    case UFFD_FEATURE_WP_UNPOPULATED:
      return features.wpUnpopulated !== 'off';
    case UFFD_FEATURE_WP_ASYNC:
      return features.wpAsync !== 'off';
    default:
      return true;
  }
}

/** The features that the kernel has. */
function supportedFeatures(features: Features): number {
  let supported = UFFD_API_FEATURES;
  for (const bit of [UFFD_FEATURE_MOVE, UFFD_FEATURE_WP_UNPOPULATED, UFFD_FEATURE_WP_ASYNC])
    if (!isSupported(features, bit)) supported &= ~bit;
  return supported;
}

/** The structure of UFFDIO_API as it is afterwards. */
export interface UffdApiResult extends SysResult {
  readonly api: number;
  readonly features: number;
  readonly ioctls: bigint;
}

/** One context. Its fields are written by the files about userfaultfd. */
export class UffdContext {
  readonly id: number;
  /** The address space that made it, and whose memory it is about, whoever holds the descriptor. */
  readonly mm: Mm;
  /** Only faults of the program itself are reported. */
  readonly userModeOnly: boolean;
  /** The features that are active; null before UFFDIO_API. */
  features: number | null;
  /** Its last descriptor was closed. */
  released = false;
  /** Changes that were announced, or are about to be, and not read. Linux: mmap_changing */
  changing = 0;
  #faults: UffdWait[] = [];
  #readFaults: UffdWait[] = [];
  #events: UffdWait[] = [];

  /** @param flags  of userfaultfd(2); those of the descriptor itself do not matter here. @param features  for the context of a forked child */
  constructor(mm: Mm, flags = 0, features: number | null = null) {
    this.id = mm.kernel.nextUffdId();
    this.mm = mm;
    this.userModeOnly = (flags & UFFD_USER_MODE_ONLY) !== 0;
    this.features = features;
  }

  /** Tells whether a feature is active. */
  has(feature: number): boolean {
    return ((this.features ?? 0) & feature) !== 0;
  }
  get eventFork(): boolean {
    return this.has(UFFD_FEATURE_EVENT_FORK);
  }
  get eventRemap(): boolean {
    return this.has(UFFD_FEATURE_EVENT_REMAP);
  }
  /** Writes to protected pages are let through and noted. */
  get wpAsync(): boolean {
    return this.has(UFFD_FEATURE_WP_ASYNC);
  }
  /** Writes are noted by a bit that means written, instead of one that means protected. */
  get isInverted(): boolean {
    return this.wpAsync && this.mm.kernel.features.wpAsync === 'inverted';
  }
  /** Tells whether range ioctls answer EAGAIN, because an event was not read yet. */
  get isChanging(): boolean {
    return this.changing > 0;
  }

  /**
   * UFFDIO_API.
   * Refusals   EINVAL bad-flags (version, unknown feature), exists (done before) · EPERM not-permitted (EVENT_FORK without privilege)
   * @returns   the structure afterwards: all zero when refused; else every feature there is, whatever was asked for
   */
  handshake(api: number, features: number, privileged: boolean): UffdApiResult {
    const supported = supportedFeatures(this.mm.kernel.features);
    const refuse = (result: SysResult): UffdApiResult => ({ ...result, api: 0, features: 0, ioctls: 0n });
    if (api !== UFFD_API) return refuse(refused(EINVAL, 'bad-flags'));
    if (hasBit(features, UFFD_FEATURE_EVENT_FORK) && !privileged)
      return refuse(refused(EPERM, 'not-permitted'));
    const wanted = hasBit(features, UFFD_FEATURE_WP_ASYNC) ? UFFD_FEATURE_WP_UNPOPULATED : 0;
    if (features > UFFD_API_FEATURES || features & ~supported) return refuse(refused(EINVAL, 'bad-flags'));
    if (this.features !== null) return refuse(refused(EINVAL, 'exists'));
    this.features = features | wanted;
    return { ...OK, api: UFFD_API, features: supported, ioctls: UFFD_API_IOCTLS };
  }

  // ---- waiting -------------------------------------------------------------------------------------------------------------------

  /** A task begins to wait for the page of a fault. */
  queueFault(message: Extract<UffdMessage, { event: 'pagefault' }>): UffdWait {
    const wait = new UffdWait(this, message);
    this.#faults.push(wait);
    return wait;
  }
  /** A task begins to wait until `message` was read. `changing` counts it already. */
  queueEvent(message: UffdMessage): UffdWait {
    const wait = new UffdWait(this, message);
    this.#events.push(wait);
    return wait;
  }
  /** A signal takes a task out of its wait. What it was about may be read no more. */
  cancel(wait: UffdWait): void {
    if (this.#events.includes(wait)) {
      this.#events = this.#events.filter((other) => other !== wait);
      this.changing--;
    }
    this.#faults = this.#faults.filter((other) => other !== wait);
    this.#readFaults = this.#readFaults.filter((other) => other !== wait);
  }

  /** Takes the message that a read gets, or null when there is none. Whoever waits for an event to be read goes on. */
  read(): UffdMessage | null {
    const fault = this.#faults.shift();
    if (fault !== undefined) {
      this.#readFaults.push(fault);
      return fault.message;
    }
    const event = this.#events.shift();
    if (event === undefined) return null;
    this.changing--;
    this.#release(event);
    return event.message;
  }
  /** Tells whether a read would get something. */
  get isReadable(): boolean {
    return this.#faults.length > 0 || this.#events.length > 0;
  }
  /** Unread faults, and all faults that somebody waits for, as fdinfo prints them. */
  get counts(): { readonly pending: number; readonly total: number } {
    const pending = this.#faults.length;
    return { pending, total: pending + this.#readFaults.length };
  }
  /** Unread events. */
  get nrEvents(): number {
    return this.#events.length;
  }

  /** Wakes everybody who waits for a page of [start, start+len). */
  wake(start: Addr, len: number): void {
    this.#releaseWithin(this.#faults, start, start + len);
    this.#releaseWithin(this.#readFaults, start, start + len);
  }
  /** The last descriptor was closed: everybody goes on. Linux: the second half of userfaultfd_release() */
  wakeAll(): readonly UffdWait[] {
    this.wake(0, Number.POSITIVE_INFINITY);
    const events = this.#events;
    this.#events = [];
    this.changing -= events.length;
    for (const event of events) this.#release(event);
    return events;
  }
  /** Lets those of `waits` go on, and takes them out, that are about an address of [start, end). Who is told of that does nothing yet. */
  #releaseWithin(waits: UffdWait[], start: Addr, end: Addr): void {
    let kept = 0;
    for (let i = 0; i < waits.length; i++) {
      const wait = waits[i] as UffdWait;
      const { message } = wait;
      if (message.event === 'pagefault' && message.addr >= start && message.addr < end) this.#release(wait);
      else waits[kept++] = wait;
    }
    while (waits.length > kept) waits.pop();
  }
  #release(wait: UffdWait): void {
    wait.done = true;
    this.mm.kernel.onWake?.(wait);
  }
}

/** Tells whether `bit` (below 2^31) is set in a number of up to 53 bits. */
const hasBit = (bits: number, bit: number): boolean => Math.floor(bits / bit) % 2 === 1;
