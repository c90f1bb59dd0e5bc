/**
 * Filling pages of registered memory: UFFDIO_COPY, ZEROPAGE, CONTINUE, POISON.
 *
 * Pages are done one by one, ascending. The first that cannot be done ends the call: with its errno if it was the first of all, else with EAGAIN, and
 * the structure says how many bytes are done. The range that is done is woken, in this context, even if another one owns the memory. Any
 * context may own it: only moving pages asks for that.
 *
 * COPY reads its source as a store of the kernel would; where that is missing in a registered range itself, the caller waits, and the call is
 * stepped again. Everything is looked up anew then, but for the page that it has begun to copy.
 *
 * Cost    linear in pages
 * Linux   mm/userfaultfd.c: mfill_atomic, mfill_atomic_install_pte, mfill_atomic_pte_copy and its kin; spec/userfaultfd.md 6
 */
import { EAGAIN, EEXIST, EFAULT, EINVAL, ENOENT, ESRCH } from '../abi/errno.ts';
import { UFFDIO_COPY_MODE_WP, UFFDIO_MODE_DONTWAKE } from '../abi/userfaultfd.ts';
import { type Addr, floorTo, PAGE_SIZE, PMD_SIZE, pageFloor } from '../base/units.ts';
import { prepareAnonVma } from './anonVma.ts';
import { type AccessRequest, accessPage } from './fault.ts';
import { splitPmd } from './hugeMemory.ts';
import type { Mm } from './mm.ts';
import { HUGE, isMarkerPmd } from './pte.ts';
import { OK, refused, type SysResult, type Why } from './result.ts';
import { isWait, type UffdContext, type UffdWait } from './uffdContext.ts';
import { type CopiedPage, fillPage, readPage } from './uffdFillPage.ts';
import { isValidRange, isValidSource } from './uffdRange.ts';
import { isAnonymousVma, isSharedMemory, type Vma } from './vma.ts';
import { VM_SHARED, VM_UFFD_WP } from './vmFlags.ts';
import { PATH } from './work.ts';

/** What fills a page. */
export type FillKind = 'copy' | 'zeropage' | 'continue' | 'poison';

/** The argument of one of the four ioctls. */
export interface FillRequest {
  readonly start: Addr;
  readonly len: number;
  readonly mode: number;
  /** COPY: where from, in the memory of the caller. */
  readonly source?: Addr;
  /** COPY: what is there, where that is memory of the caller outside the model: bytes full of `stamp`, then nothing. */
  readonly buffer?: { readonly stamp: number; readonly bytes: number };
  /** The structure cannot be written: pages are filled and nobody is woken. */
  readonly readOnly?: boolean;
}

/** The answer: `done` is the output field, null where it was not written. */
export interface FillResult extends SysResult {
  readonly done: number | null;
}

/** Modes that each takes. */
const MODES: Readonly<Record<FillKind, number>> = {
  copy: UFFDIO_MODE_DONTWAKE | UFFDIO_COPY_MODE_WP,
  zeropage: UFFDIO_MODE_DONTWAKE,
  continue: UFFDIO_MODE_DONTWAKE | UFFDIO_COPY_MODE_WP,
  poison: UFFDIO_MODE_DONTWAKE,
};

/** Returns the answer of an ioctl that fills: bytes done or an error, written into the structure, the range woken. Also for moves. */
export function fillAnswer(
  context: UffdContext,
  request: Pick<FillRequest, 'start' | 'len' | 'mode' | 'readOnly'>,
  bytes: number,
  error: SysResult,
): FillResult {
  if (request.readOnly === true) return { ...refused(EFAULT, 'bad-pointer'), done: null };
  if (bytes === 0) return { ret: error.ret, why: error.why, done: error.ret };
  if ((request.mode & UFFDIO_MODE_DONTWAKE) === 0) context.wake(request.start, bytes);
  if (bytes === request.len) return { ret: 0, why: 'ok', done: bytes };
  return { ...refused(EAGAIN, 'partial'), done: bytes };
}

/** Returns the answer of an ioctl whose arguments are wrong: the structure stays as it is. */
export const untouched = (errno: number, why: Why): FillResult => ({ ...refused(errno, why), done: null });

/** Returns the answer while an event is not read, or the structure cannot be read; else null. */
export function earlyAnswer(
  context: UffdContext,
  request: { readonly readOnly?: boolean } | null,
): FillResult | null {
  if (context.features === null) return untouched(EINVAL, 'no-handshake');
  if (request === null) return untouched(EFAULT, 'bad-pointer');
  if (!context.isChanging) return null;
  if (request.readOnly === true) return untouched(EFAULT, 'bad-pointer');
  return { ...refused(EAGAIN, 'changing'), done: -EAGAIN };
}

/** One such ioctl, under way: stepped again where COPY had to wait for its source. */
export class UffdFill {
  readonly #context: UffdContext;
  readonly #kind: FillKind;
  readonly #request: FillRequest | null;
  readonly #caller: { readonly mm: Mm; readonly tid?: number };
  #started = false;
  #done = 0;
  /** The page of the source that is under way: the access to it that waits, then what was read. */
  #again: AccessRequest | null = null;
  #copied: CopiedPage | null = null;

  /**
   * @param request  null if the structure cannot be read
   * @param caller   whose memory COPY reads
   * Refusals   EAGAIN changing, partial · EFAULT bad-pointer, source-unreadable, beyond the end, no-page · EINVAL bad-range, bad-flags,
   *            not-registered, not-anonymous · ESRCH gone · ENOENT not-mapped, crosses-vma, not-registered · EEXIST page-exists
   */
  constructor(
    context: UffdContext,
    kind: FillKind,
    request: FillRequest | null,
    caller: { readonly mm: Mm; readonly tid?: number },
  ) {
    this.#context = context;
    this.#kind = kind;
    this.#request = request;
    this.#caller = caller;
  }

  /** Goes on. Returns the answer, or what to wait for. */
  step(): FillResult | UffdWait {
    const request = this.#request;
    if (!this.#started) {
      const early = earlyAnswer(this.#context, request) ?? this.#wrongArguments();
      if (early !== null) return early;
      this.#started = true;
    }
    if (request === null) return untouched(EFAULT, 'bad-pointer');
    const stopped = this.#fill(request);
    if (isWait(stopped)) return stopped;
    return fillAnswer(this.#context, request, this.#done, stopped);
  }

  #wrongArguments(): FillResult | null {
    const request = this.#request as FillRequest;
    const { source, len, mode } = request;
    if (this.#kind === 'copy' && !isValidSource({ start: source ?? 0, len }))
      return untouched(EINVAL, 'bad-range');
    if (!isValidRange(request)) return untouched(EINVAL, 'bad-range');
    if (mode > 3 || mode & ~MODES[this.#kind]) return untouched(EINVAL, 'bad-flags');
    return this.#context.mm.gone ? untouched(ESRCH, 'gone') : null;
  }

  /** Fills from where it has come to. Returns why it stopped, or what to wait for. */
  #fill(request: FillRequest): SysResult | UffdWait {
    const { mm } = this.#context;
    const wp = (request.mode & UFFDIO_COPY_MODE_WP) !== 0;
    let vma: Vma | null = null;
    while (this.#done < request.len) {
      const addr = request.start + this.#done;
      if (this.#again !== null) {
        // A source that had to wait is read to its end without the locks: only then the target is looked up again.
        const read = this.#readSource();
        if ('why' in read || isWait(read)) return read;
        vma = null;
        continue;
      }
      if (vma === null) {
        vma = mm.vmas.at(request.start);
        const refusal = this.#vmaVerdict(vma, request);
        if (refusal.why !== 'ok' || vma === null) return refusal;
      }
      mm.pages.makePmdPage(addr);
      const pmd = mm.pages.pmd(addr);
      if (isMarkerPmd(pmd) && this.#kind === 'copy') splitPmd(mm, vma, floorTo(addr, PMD_SIZE), 'fill');
      else if (pmd & HUGE) return refused(EEXIST, 'page-exists');
      mm.pages.makeTable(addr);
      if (this.#kind === 'copy' && this.#copied === null) {
        const read = this.#readSource();
        if ('why' in read || isWait(read)) return read;
        if (read.hasFaulted) {
          vma = null;
          continue;
        }
      }
      const result = fillPage(mm, vma, addr, { kind: this.#kind, wp, copied: this.#copied });
      if (result.why !== 'ok') return result;
      this.#copied = null;
      this.#done += PAGE_SIZE;
    }
    return OK;
  }

  /** Reads the page of the source that is next, and keeps it. Returns it, why it cannot be read, or what to wait for. */
  #readSource(): CopiedPage | SysResult | UffdWait {
    const read = this.#read((this.#request?.source ?? 0) + this.#done);
    if ('why' in read || isWait(read)) return read;
    this.#copied = read;
    // The locks were let go of meanwhile: the target is looked up anew.
    if (read.hasFaulted) this.#context.mm.kernel.work.charge(PATH['uffd-copy-again'], 1);
    return read;
  }

  /** Tells whether the vma at the start of the range can be filled. Linux: uffd_mfill_lock(), validate_dst_vma() */
  #vmaVerdict(vma: Vma | null, { start, len, mode }: FillRequest): SysResult {
    if (vma === null) return refused(ENOENT, 'not-mapped');
    if ((vma.flags & VM_SHARED) === 0) prepareAnonVma(this.#context.mm.kernel, vma);
    if (start + len > vma.end) return refused(ENOENT, 'crosses-vma');
    if (vma.uffd === null) return refused(ENOENT, 'not-registered');
    if (this.#context.isChanging) return refused(EAGAIN, 'changing');
    if (mode & UFFDIO_COPY_MODE_WP && (vma.flags & VM_UFFD_WP) === 0)
      return refused(EINVAL, 'not-registered');
    const isShmem = vma.file !== null && isSharedMemory(vma.file.object);
    if (!isShmem && (this.#kind === 'continue' || !isAnonymousVma(vma)))
      return refused(EINVAL, 'not-anonymous');
    return OK;
  }

  /** Reads one page of the source, which may lie across two. Returns it, why it cannot be read, or what to wait for. */
  #read(source: Addr): CopiedPage | SysResult | UffdWait {
    const { mm, tid } = this.#caller;
    const buffer = this.#request?.buffer;
    if (buffer !== undefined)
      return this.#done + PAGE_SIZE > buffer.bytes
        ? refused(EFAULT, 'source-unreadable')
        : { pfn: 0, offset: 0, next: 0, stamp: buffer.stamp, isFull: true, hasFaulted: false };
    let hasFaulted = false;
    const last = source + PAGE_SIZE - 1;
    for (let addr = this.#again?.addr ?? source; addr <= last; addr = pageFloor(addr) + PAGE_SIZE) {
      const came = accessPage(
        mm,
        this.#again ?? { addr, access: 'read', stamp: null, by: 'copy', cannotWait: undefined, tid },
      );
      hasFaulted ||= this.#again !== null || came.kind !== 'hit';
      this.#again = came.kind === 'userfault' ? came.again : null;
      if (came.kind === 'userfault') return came.wait;
      if (came.kind === 'signal') return refused(EFAULT, 'source-unreadable');
    }
    return readPage(mm, source, hasFaulted);
  }
}
