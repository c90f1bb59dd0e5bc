/**
 * What acts ask of memory: whether a range is private anonymous memory, which of its pages are there, which accesses it allows.
 */
import { type Addr, PAGE_SIZE, PMD_SIZE, pageCeil, pageFloor } from '../../base/units.ts';
import type { Op } from '../../machine/index.ts';
import { isAnonymousVma, type Mm, VM_LOCKED, VM_SHARED } from '../../mm/index.ts';
import { HUGE, KIND_MASK, PRESENT, SWAP, ZERO_PAGE } from '../../mm/pte.ts';
import { VM_READ, VM_SPECIAL, VM_WRITE } from '../../mm/vmFlags.ts';
import type { Stage } from './act.ts';

/** A range, half open. */
export interface Range {
  readonly start: Addr;
  readonly end: Addr;
}

/** Why an act leaves a range alone. */
export type Unfit = 'hole' | 'not private anonymous memory' | 'locked' | 'special' | 'unaligned';

/** Returns why [addr, addr + len) is not private anonymous memory from end to end, or null. `len` is rounded up to pages. */
export function unfitFor(mm: Mm, addr: Addr, len: number): Unfit | null {
  if (addr !== pageFloor(addr) || len <= 0) return 'unaligned';
  const end = addr + pageCeil(len);
  for (let at = addr; at < end; ) {
    const vma = mm.vmas.at(at);
    if (vma === null) return 'hole';
    if (vma.flags & VM_SHARED || !isAnonymousVma(vma)) return 'not private anonymous memory';
    if (vma.flags & VM_LOCKED) return 'locked';
    if (vma.flags & VM_SPECIAL || vma.special !== null) return 'special';
    at = vma.end;
  }
  return null;
}

/** Returns the runs of pages of [start, end) that are there: resident, or in swap. */
export function presentRuns(mm: Mm, start: Addr, end: Addr): Range[] {
  const runs: { start: Addr; end: Addr }[] = [];
  mm.pages.forEach(start, end, (addr, low) => {
    const kind = low & KIND_MASK;
    if (kind !== PRESENT && kind !== ZERO_PAGE && kind !== SWAP) return;
    const from = Math.max(addr, start);
    const to = Math.min(addr + (low & HUGE ? PMD_SIZE : PAGE_SIZE), end);
    const last = runs.at(-1);
    if (last?.end === from) last.end = to;
    else runs.push({ start: from, end: to });
  });
  return runs;
}

/** Returns how many pages lie in runs. */
export const pagesIn = (runs: readonly Range[]): number =>
  runs.reduce((sum, { start, end }) => sum + (end - start) / PAGE_SIZE, 0);

/** Returns the pieces of `range` that may be read and written (`write`), or read. */
export function accessible(mm: Mm, { start, end }: Range, how: 'read' | 'write'): Range[] {
  const wanted = how === 'read' ? VM_READ : VM_WRITE;
  const pieces: Range[] = [];
  for (let vma = mm.vmas.firstEndingAbove(start); vma !== null && vma.start < end; vma = vma.next)
    if (vma.flags & wanted) pieces.push({ start: Math.max(start, vma.start), end: Math.min(end, vma.end) });
  return pieces;
}

/** Returns an access to each page of `range`. */
export const touchOf = ({ start, end }: Range, access: 'read' | 'write'): Op => ({
  call: 'touch',
  addr: start,
  len: end - start,
  access,
  by: 'user',
});

/**
 * Accesses that a program may have made and a recording does not tell: every page is read and then written, as far as the memory allows that; the
 * rest waits for the mprotect that does.
 */
export class PossibleAccesses {
  readonly #pending = new Map<Mm, readonly Range[]>();
  readonly #before: ((piece: Range) => void) | null;

  /** @param before  is told of memory that is about to be written */
  constructor(before: ((piece: Range) => void) | null = null) {
    this.#before = before;
  }

  /** Makes them. */
  make(mm: Mm, runs: readonly Range[], stage: Stage): void {
    const pending: Range[] = [];
    for (const run of runs) {
      const written = accessible(mm, run, 'write');
      for (const piece of accessible(mm, run, 'read')) stage.inject(touchOf(piece, 'read'));
      for (const piece of written) {
        this.#before?.(piece);
        stage.inject(touchOf(piece, 'write'));
      }
      if (pagesIn(written) < pagesIn([run])) pending.push(run);
    }
    this.#pending.set(mm, pending);
  }
  /** Makes those that were not allowed before. */
  again(mm: Mm, stage: Stage): void {
    const pending = this.#pending.get(mm) ?? [];
    if (pending.length > 0) this.make(mm, pending, stage);
  }
}

/** Pages that were given back in a way that left them there, until they are accessed again. By address space. */
export class GivenBack {
  readonly #pages = new Map<number, Set<number>>();
  /** Accesses that found such a page: how many, and how many of them only read it. */
  found = 0;
  foundByRead = 0;

  /** These pages of `mm` were given back. */
  add(mm: Mm, runs: readonly Range[]): void {
    let pages = this.#pages.get(mm.id);
    if (pages === undefined) {
      pages = new Set();
      this.#pages.set(mm.id, pages);
    }
    for (const { start, end } of runs) for (let at = start; at < end; at += PAGE_SIZE) pages.add(at);
  }

  /** Memory of `mm` is about to be accessed. */
  access(mm: Mm, { addr, len, access }: Extract<Op, { call: 'touch' }>): void {
    const pages = this.#pages.get(mm.id);
    if (pages === undefined || pages.size === 0) return;
    for (let at = pageFloor(addr); at < addr + len; at += PAGE_SIZE) {
      if (!pages.delete(at) || mm.pages.kind(at) === 'none') continue;
      this.found++;
      if (access === 'read') this.foundByRead++;
    }
  }
}
