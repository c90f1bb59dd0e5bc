/**
 * Somebody who wants to know which pages a program writes: memory is armed by one of the methods of workload:live-snapshot, and first writes are noticed.
 *
 *   fork                     a child holds memory as it was; who writes gets a copy
 *   wp-default …             userfaultfd protects; who writes waits for a message to be answered, which is the removal of the protection of that page
 *   wp-async, soft-dirty     the kernel notes writes in the entries; PAGEMAP_SCAN tells them
 *
 * Armed is private anonymous memory that may be written at that moment. userfaultfd takes no private mappings of files, and memory that the program has registered
 * itself is refused (EBUSY). Protection ends where the kernel ends it: MADV_DONTNEED, munmap, mremap, fork.
 *
 * Cost   that of the calls it makes; a look at one entry for each write
 */

import { MADV_POPULATE_READ, MADV_POPULATE_WRITE } from '../../abi/mman.ts';
import {
  PAGE_IS_PRESENT,
  PAGE_IS_SOFT_DIRTY,
  PAGE_IS_SWAPPED,
  PAGE_IS_WRITTEN,
  PM_SCAN_ARG_SIZE,
  PM_SCAN_WP_MATCHING,
} from '../../abi/pagemapScan.ts';
import {
  UFFD_API,
  UFFD_USER_MODE_ONLY,
  UFFDIO_REGISTER_MODE_WP,
  UFFDIO_WRITEPROTECT_MODE_WP,
} from '../../abi/userfaultfd.ts';
import { type Addr, PAGE_SIZE, pageCeil, pageFloor } from '../../base/units.ts';
import { type Op, type Outcome, type Process, resultOf, uffdIoctl } from '../../machine/index.ts';
import { CLEAR_REFS, isAnonymousVma, type Mm, pageAt, VM_SHARED } from '../../mm/index.ts';
import { UFFD_WP } from '../../mm/pte.ts';
import { VM_SPECIAL, VM_UFFD_MASK, VM_WRITE } from '../../mm/vmFlags.ts';
import { METHOD, type MethodName } from '../../workloads/liveSnapshot/method.ts';
import type { Stage } from './act.ts';
import { PossibleAccesses, presentRuns, type Range, touchOf } from './memory.ts';

/** Descriptors and children of the observer have numbers that no program has. */
const OWN_FD = 1_000_003;
const OWN_CHILD = 1_000_000_007;
const SIGCHLD = 17;
/** Regions that one scan has room for. */
const ROOM = 512;
const IS_THERE = PAGE_IS_PRESENT | PAGE_IS_SWAPPED;

/** Why a method cannot be used, in the words of the kernel. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

/** Watches the memory of one process. */
export class Observer {
  readonly #process: Process;
  readonly #method: MethodName;
  /** What is armed. */
  ranges: Range[] = [];
  /** Areas that the kernel would not register. */
  nrRefused = 0;
  /** Writes that waited for an answer, and first writes that nobody noticed. */
  nrAnswered = 0;
  nrUnnoticed = 0;
  readonly #known = new Set<Addr>();
  readonly #possible: PossibleAccesses;
  #isOpen = false;
  #child: number | null = null;

  constructor(process: Process, method: MethodName, stage: Stage) {
    this.#process = process;
    this.#method = method;
    this.#possible = new PossibleAccesses((piece) => this.#answerAll(piece, stage));
  }

  /** The memory that is watched; null when it is gone. */
  get mm(): Mm | null {
    return this.#process.mm;
  }
  get #by(): (typeof METHOD)[MethodName]['by'] {
    return METHOD[this.#method].by;
  }
  #do(op: Op, stage: Stage): Outcome {
    const [thread = this.#process.pid] = this.#process.threads;
    return stage.injectFor(thread, op, op.call === 'userfaultfd' ? { handle: OWN_FD } : {});
  }

  /** Arms what is there and is not armed yet. @throws Refused */
  arm(stage: Stage): void {
    const { mm } = this;
    if (mm === null) return;
    if (this.#by === 'child') {
      this.#fork(stage);
      this.ranges = armable(mm);
      return;
    }
    if (this.#by !== 'soft-dirty') this.#open(stage);
    const fresh = armable(mm).flatMap((range) => without(range, this.ranges));
    for (const range of fresh) this.#prefault(range, stage);
    for (const range of fresh) if (this.#register(range, stage)) this.ranges.push(range);
    this.protect(stage);
  }

  #fork(stage: Stage): void {
    const came = this.#do({ call: 'clone', flags: SIGCHLD, child: OWN_CHILD }, stage);
    if (came.kind === 'errno') throw new Refused(`fork: ${came.errno} (${came.why})`);
    this.#child = OWN_CHILD;
  }
  #open(stage: Stage): void {
    if (this.#isOpen) return;
    const first = this.#do({ call: 'userfaultfd', flags: 0 }, stage);
    const made =
      first.kind === 'errno' ? this.#do({ call: 'userfaultfd', flags: UFFD_USER_MODE_ONLY }, stage) : first;
    if (made.kind === 'errno') throw new Refused(`userfaultfd: ${made.errno} (${made.why})`);
    const { features } = METHOD[this.#method];
    const request = { name: 'UFFDIO_API', api: UFFD_API, features } as const;
    const came = resultOf(this.#do(uffdIoctl(OWN_FD, request), stage));
    if (came.kind === 'errno') throw new Refused(`UFFDIO_API: ${came.errno} (${came.why})`);
    this.#isOpen = true;
  }
  #prefault(range: Range, stage: Stage): void {
    const { prefault } = METHOD[this.#method];
    const [addr, len] = [range.start, range.end - range.start];
    if (prefault === 'read') this.#do(touchOf(range, 'read'), stage);
    else if (prefault === 'populate')
      this.#do({ call: 'madvise', addr, len, advice: MADV_POPULATE_READ }, stage);
  }
  #register({ start, end }: Range, stage: Stage): boolean {
    if (!this.#isOpen) return true;
    const mode = UFFDIO_REGISTER_MODE_WP;
    const request = { name: 'UFFDIO_REGISTER', start, len: end - start, mode } as const;
    if (resultOf(this.#do(uffdIoctl(OWN_FD, request), stage)).kind === 'value') return true;
    this.nrRefused++;
    return false;
  }

  /** From now on the first write to each page counts anew. */
  protect(stage: Stage): void {
    this.#known.clear();
    if (this.#by === 'soft-dirty') {
      this.#do({ call: 'clear_refs', target: 'self', what: CLEAR_REFS.softDirty }, stage);
      return;
    }
    for (const range of this.#living()) this.#setProtection(range, UFFDIO_WRITEPROTECT_MODE_WP, stage);
  }
  #setProtection({ start, end }: Range, mode: number, stage: Stage): void {
    const request = { name: 'UFFDIO_WRITEPROTECT', start, len: end - start, mode } as const;
    this.#do(uffdIoctl(OWN_FD, request), stage);
  }
  /** What of the armed memory is there and still registered. */
  #living(): Range[] {
    const { mm } = this;
    if (mm === null) return [];
    return this.ranges.flatMap((range) => stillRegistered(mm, range, this.#isOpen));
  }

  /** The program is about to access memory: who waits is answered, and what nobody notices is counted. */
  before(op: Extract<Op, { call: 'touch' }>, stage: Stage): void {
    if (op.access !== 'write' || this.#by === 'child') return;
    for (let page = pageFloor(op.addr); page < op.addr + op.len; page += PAGE_SIZE) this.#first(page, stage);
  }
  /** A call of the program is about to write pages itself: what of them is protected is answered. */
  beforeCall(op: Op, stage: Stage): void {
    const { mm } = this;
    if (mm === null || this.#by !== 'messages') return;
    const all = op.call === 'mlockall';
    const isWriting =
      op.call === 'mlock' ||
      op.call === 'mlock2' ||
      (op.call === 'madvise' && op.advice === MADV_POPULATE_WRITE);
    if (!all && !isWriting) return;
    const runs = all ? this.ranges : [{ start: pageFloor(op.addr), end: pageCeil(op.addr + op.len) }];
    for (const { start, end } of runs)
      for (let page = start; page < end; page += PAGE_SIZE)
        if (this.#isArmed(page) && isProtected(mm, page)) this.#first(page, stage);
  }
  #first(page: Addr, stage: Stage): void {
    const { mm } = this;
    if (mm === null || this.#by !== 'messages') return;
    if (isProtected(mm, page)) {
      this.nrAnswered++;
      this.#setProtection({ start: page, end: page + PAGE_SIZE }, 0, stage);
    } else if (!this.#known.has(page) && this.#isArmed(page)) this.nrUnnoticed++;
    this.#known.add(page);
  }
  #isArmed(page: Addr): boolean {
    return ((this.mm?.vmas.at(page)?.flags ?? 0) & VM_UFFD_MASK) !== 0;
  }
  #answerAll({ start, end }: Range, stage: Stage): void {
    for (let page = start; page < end; page += PAGE_SIZE) this.#first(page, stage);
  }

  /** Every page that is there is written once: more cannot have been written unnoticed by a recording. */
  writeAll(stage: Stage): void {
    const { mm } = this;
    if (mm === null) return;
    const runs = this.ranges.flatMap(({ start, end }) => presentRuns(mm, start, end));
    this.#possible.make(mm, runs, stage);
  }
  /** What may not be written before may be now. */
  writeRest(stage: Stage): void {
    const { mm } = this;
    if (mm !== null) this.#possible.again(mm, stage);
  }

  /** Returns how many armed pages were written since they were protected, as the method finds out. */
  collect(stage: Stage): number {
    if (this.#by === 'messages') return this.nrAnswered;
    if (this.#by === 'child') return 0;
    const isAsync = this.#by === 'scan';
    let pages = 0;
    for (const range of this.#living()) pages += this.#scan(range, isAsync, stage);
    return pages;
  }
  #scan({ start, end }: Range, isAsync: boolean, stage: Stage): number {
    let pages = 0;
    for (let at: Addr | null = start; at !== null && at < end; ) {
      const request = {
        size: PM_SCAN_ARG_SIZE,
        flags: isAsync ? PM_SCAN_WP_MATCHING : 0,
        start: at,
        end,
        vec: 'set',
        vecLen: ROOM,
        maxPages: 0,
        inverted: 0,
        mask: isAsync ? PAGE_IS_WRITTEN : PAGE_IS_SOFT_DIRTY,
        anyof: 0,
        returned: IS_THERE,
      } as const;
      const came = this.#do({ call: 'pagemap_scan', target: 'self', request }, stage);
      if (came.kind !== 'ioctl' || came.output?.what !== 'scan') return pages;
      for (const { start: from, end: to, categories } of came.output.regions)
        if (categories & IS_THERE) pages += (to - from) / PAGE_SIZE;
      at = came.output.walkEnd;
    }
    return pages;
  }

  /** Everything is over. */
  close(stage: Stage): void {
    if (this.#child !== null) stage.injectFor(this.#child, { call: 'exit_group' });
    if (this.#isOpen && this.mm !== null) this.#do({ call: 'close', fd: OWN_FD }, stage);
    this.#child = null;
    this.#isOpen = false;
  }
}

function isProtected(mm: Mm, page: Addr): boolean {
  const { kind, low } = pageAt(mm, page);
  return kind === 'uffdWp' || (low & UFFD_WP) !== 0;
}

/** Private anonymous memory that may be written. */
function armable(mm: Mm): Range[] {
  const ranges: Range[] = [];
  for (const vma of mm.vmas) {
    const { start, end, flags } = vma;
    if (!isAnonymousVma(vma) || vma.special !== null) continue;
    if ((flags & VM_WRITE) === 0 || flags & (VM_SHARED | VM_SPECIAL)) continue;
    ranges.push({ start, end });
  }
  return ranges;
}

/** Returns what of `range` lies in none of `others`. */
function without(range: Range, others: readonly Range[]): Range[] {
  let left = [range];
  for (const other of others)
    left = left.flatMap((each) =>
      other.end <= each.start || other.start >= each.end
        ? [each]
        : [
            { start: each.start, end: other.start },
            { start: other.end, end: each.end },
          ].filter(({ start, end }) => start < end),
    );
  return left;
}

/** Returns the parts of `range` that are mapped and, where userfaultfd is used, registered. */
function stillRegistered(mm: Mm, { start, end }: Range, isOpen: boolean): Range[] {
  const parts: Range[] = [];
  for (let vma = mm.vmas.firstEndingAbove(start); vma !== null && vma.start < end; vma = vma.next)
    if (!isOpen || vma.flags & VM_UFFD_MASK)
      parts.push({ start: Math.max(start, vma.start), end: Math.min(end, vma.end) });
  return parts;
}
