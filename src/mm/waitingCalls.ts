/**
 * Calls that may have to wait for userfaultfd, as records: stepped until they give their result, and again when what they waited for is done.
 *
 *   madvise, mlock, process_vm   have records of their own, which stop in the middle
 *   mmap, munmap, mremap, brk    do their work at once; then each event is announced and waited for, then what is locked is populated
 *   fork                         the same, and the child is there when its parent goes on
 *
 * A task that does not know of userfaultfd can use the plain functions: they do the same where nobody has to wait.
 *
 * Linux   mm/util.c: vm_mmap_pgoff; mm/mremap.c: notify_uffd; kernel/fork.c: dup_mmap
 */
import type { Addr } from '../base/units.ts';
import { brk } from './brk.ts';
import { forkMm } from './fork.ts';
import type { Mm } from './mm.ts';
import { type MmapRequest, mapWithoutPages, type NewMapping } from './mmap.ts';
import { type MremapRequest, remapWithoutPages } from './mremap.ts';
import { munmap } from './munmap.ts';
import { Populating } from './populate.ts';
import type { SysResult } from './result.ts';
import { isWait, type UffdWait } from './uffdContext.ts';
import { type Announcement, announceNext, takeAnnouncements } from './uffdEvents.ts';

/** A call that may have to wait. */
export interface WaitingCall<T = SysResult> {
  /** Goes on. Returns the result, or what has to be done before it may be stepped again. */
  step(): T | UffdWait;
}

/** A call whose work is done: what is left is to wait for readers and for pages. */
class Ending<T> implements WaitingCall<T> {
  readonly #announcements: Announcement[];
  readonly #result: T;
  readonly #populating: Populating | null;
  readonly #populatesFirst: boolean;

  constructor(mm: Mm, result: T, populating: Populating | null = null, populatesFirst = false) {
    this.#announcements = takeAnnouncements(mm);
    this.#result = result;
    this.#populating = populating;
    this.#populatesFirst = populatesFirst;
  }

  step(): T | UffdWait {
    const [first, second] = this.#populatesFirst
      ? [this.#populate, this.#announce]
      : [this.#announce, this.#populate];
    return first() ?? second() ?? this.#result;
  }
  readonly #announce = (): UffdWait | null => announceNext(this.#announcements);
  readonly #populate = (): UffdWait | null => {
    const came = this.#populating?.step();
    return isWait(came) ? came : null;
  };
}

const populatingOf = (mm: Mm, { populate }: NewMapping, tid?: number): Populating | null =>
  populate === null
    ? null
    : new Populating(mm, { ...populate, ignoreErrors: true, ...(tid === undefined ? {} : { tid }) });

/** mmap(2): what was in the way is announced before the new mapping is populated. */
export function mmapCall(mm: Mm, request: MmapRequest, tid?: number): WaitingCall {
  const mapped = mapWithoutPages(mm, request);
  return new Ending(mm, mapped.result, populatingOf(mm, mapped, tid));
}

/** mremap(2): locked memory that grew is populated before anything is announced. */
export function mremapCall(mm: Mm, request: MremapRequest, tid?: number): WaitingCall {
  const remapped = remapWithoutPages(mm, request);
  return new Ending(mm, remapped.result, populatingOf(mm, remapped, tid), true);
}

/** munmap(2). */
export const munmapCall = (mm: Mm, addr: Addr, len: number): WaitingCall =>
  new Ending(mm, munmap(mm, addr, len));

/** brk(2). */
export const brkCall = (mm: Mm, addr: Addr): WaitingCall => new Ending(mm, brk(mm, addr));

/** The address space of fork(2): a child, or why there is none. */
export const forkCall = (parent: Mm): WaitingCall<Mm | SysResult> => new Ending(parent, forkMm(parent));
