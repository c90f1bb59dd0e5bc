/**
 * The rewrite munmap=dontneed: address space is kept, as allocators do that "retain" it. munmap of private anonymous memory becomes MADV_DONTNEED, and a later mmap
 * that the kernel put into what was kept is not made.
 *
 * Addresses stay those of the recording. So what is kept is used again only where the kernel used the same place again; where a call of the program comes to lie across
 * kept memory and other room, what is kept of it is unmapped first.
 *
 *   mmap inside kept memory       not made; mprotect instead, if the access is another one
 *   anything else that the kernel placed there, or MAP_FIXED_NOREPLACE, or growth in place, or brk        kept memory there is unmapped first
 *   MAP_FIXED, MREMAP_FIXED      the kernel replaces it itself
 *
 * Every access after a munmap and mmap was a page fault, and is one after MADV_DONTNEED: faults are certain. Kept memory makes vmas and page tables; an allocator that
 * chose its addresses itself might use it better.
 *
 * Cost   linear in the kept ranges, for each call that places or frees memory
 */
import {
  MADV_DONTNEED,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_STACK,
  MREMAP_FIXED,
} from '../../abi/mman.ts';
import { type Addr, pageCeil } from '../../base/units.ts';
import type { Op, Outcome } from '../../machine/index.ts';
import type { Mm } from '../../mm/index.ts';
import { protFlags } from '../../mm/mmap.ts';
import { VM_EXEC, VM_GROWSDOWN, VM_NORESERVE, VM_READ, VM_UFFD_MASK, VM_WRITE } from '../../mm/vmFlags.ts';
import type { ReplayOp } from '../../replay/index.ts';
import type { Act, ActReport, Living, Stage, Turn } from './act.ts';
import { type Range, unfitFor } from './memory.ts';

type MmapOp = Extract<Op, { call: 'mmap' }>;

const ACCESS = VM_READ | VM_WRITE | VM_EXEC;
/** What a mapping may ask for and still be like what was kept. */
const PLAIN = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;

/** Ranges of one address space, disjoint. */
class Kept {
  #ranges: Range[] = [];

  get bytes(): number {
    return this.#ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  }
  copy(): Kept {
    const copy = new Kept();
    copy.#ranges = [...this.#ranges];
    return copy;
  }
  add(range: Range): void {
    this.remove(range);
    this.#ranges.push(range);
  }
  remove({ start, end }: Range): void {
    if (this.within({ start, end }).length === 0) return;
    this.#ranges = this.#ranges.flatMap((each) => {
      if (each.end <= start || each.start >= end) return [each];
      const below = { start: each.start, end: start };
      const above = { start: end, end: each.end };
      return [below, above].filter((piece) => piece.start < piece.end);
    });
  }
  /** Returns what lies in a range, piece by piece. */
  within({ start, end }: Range): Range[] {
    return this.#ranges
      .filter((each) => each.start < end && each.end > start)
      .map((each) => ({ start: Math.max(each.start, start), end: Math.min(each.end, end) }));
  }
  /** Tells whether all of a range is kept. */
  holds(range: Range): boolean {
    const bytes = this.within(range).reduce((sum, { start, end }) => sum + end - start, 0);
    return bytes === range.end - range.start;
  }
}

/** Keeps address space that the program gives back. */
export class Retain implements Act {
  readonly #kept = new Map<Mm, Kept>();
  readonly #left = new Map<string, number>();
  #applied = 0;
  #bytes = 0;
  #reused = 0;
  #reprotected = 0;
  #unmapped = 0;
  #peak = 0;

  turn(item: ReplayOp, { mm }: Living, stage: Stage): Turn | null {
    const { op } = item;
    if (op.call === 'munmap') return this.#unmap(op, mm);
    const kept = this.#kept.get(mm);
    if (kept === undefined) return null;
    if (op.call === 'mmap') return this.#map(item, op, { mm, kept }, stage);
    const placed = placeOf(item, mm);
    if (placed !== null) this.#makeRoom(placed, kept, stage);
    const replaced = replacedBy(op);
    if (replaced !== null) kept.remove(replaced);
    return null;
  }

  #unmap(op: Extract<Op, { call: 'munmap' }>, mm: Mm): Turn | null {
    const range = { start: op.addr, end: op.addr + pageCeil(op.len) };
    const unfit = unfitFor(mm, op.addr, op.len) ?? specialIn(mm, range);
    let kept = this.#kept.get(mm);
    if (unfit !== null) {
      this.#left.set(unfit, (this.#left.get(unfit) ?? 0) + 1);
      kept?.remove(range);
      return null;
    }
    if (kept === undefined) {
      kept = new Kept();
      this.#kept.set(mm, kept);
    }
    kept.add(range);
    this.#applied++;
    this.#bytes += range.end - range.start;
    this.#peak = Math.max(this.#peak, kept.bytes);
    return { op: { call: 'madvise', addr: op.addr, len: op.len, advice: MADV_DONTNEED } };
  }

  #map(item: ReplayOp, op: MmapOp, { mm, kept }: { mm: Mm; kept: Kept }, stage: Stage): Turn | null {
    const isFixed = (op.flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) !== 0;
    const addr = isFixed ? op.addr : (item.chosen.addr ?? null);
    if (addr === null) return null;
    const range = { start: addr, end: addr + pageCeil(op.len) };
    if (kept.within(range).length === 0) return null;
    if (!isFixed && kept.holds(range) && isAlike(mm, op, range)) return this.#reuse(op, { mm, kept }, range);
    if (op.flags & MAP_FIXED) kept.remove(range);
    else this.#makeRoom(range, kept, stage);
    return null;
  }

  #reuse(op: MmapOp, { mm, kept }: { mm: Mm; kept: Kept }, range: Range): Turn {
    kept.remove(range);
    this.#reused++;
    const answer = (): Outcome => ({ kind: 'value', value: range.start, why: 'ok' });
    if (hasAccess(mm, range, protFlags(op.prot))) return { op: null, chosen: {}, answer };
    this.#reprotected++;
    const len = range.end - range.start;
    return { op: { call: 'mprotect', addr: range.start, len, prot: op.prot }, chosen: {}, answer };
  }

  #makeRoom(range: Range, kept: Kept, stage: Stage): void {
    for (const { start, end } of kept.within(range)) {
      stage.inject({ call: 'munmap', addr: start, len: end - start });
      this.#unmapped++;
    }
    kept.remove(range);
  }

  done({ op, task }: ReplayOp, outcome: Outcome, stage: Stage): void {
    if (op.call !== 'clone' || outcome.kind !== 'value') return;
    const { machine } = stage;
    const child = machine.processOf(outcome.value)?.mm ?? null;
    const parent = machine.processOf(task)?.mm ?? null;
    if (child === null || parent === null || child === parent) return;
    const kept = this.#kept.get(parent);
    if (kept !== undefined) this.#kept.set(child, kept.copy());
  }

  report(): ActReport {
    return {
      name: 'as munmap=dontneed',
      applied: this.#applied,
      left: Object.fromEntries(this.#left),
      figures: {
        'kB in these calls': this.#bytes / 1024,
        'kB kept at the peak': this.#peak / 1024,
        'mmaps not made': this.#reused,
        'of them, mprotect instead': this.#reprotected,
        'pieces unmapped for others': this.#unmapped,
      },
      remarks: [
        'faults are certain: an access after munmap and mmap was a fault, and is one after MADV_DONTNEED',
        'vmas and page tables are those at the recorded addresses: an allocator that keeps memory chooses its own, and may use it better or worse',
      ],
    };
  }
}

/** Returns why kept memory would not be what it was, or null. */
function specialIn(mm: Mm, { start, end }: Range): 'special' | null {
  for (let at = start; at < end; ) {
    const vma = mm.vmas.at(at);
    if (vma === null || vma.flags & (VM_GROWSDOWN | VM_UFFD_MASK)) return 'special';
    at = vma.end;
  }
  return null;
}

/** Tells whether a new mapping would be like what is there, but for its access. */
function isAlike(mm: Mm, op: MmapOp, { start, end }: Range): boolean {
  if ((op.flags & ~PLAIN) !== 0 || (op.flags & MAP_ANONYMOUS) === 0) return false;
  for (let at = start; at < end; ) {
    const vma = mm.vmas.at(at);
    if (vma === null) return false;
    if (((vma.flags & VM_NORESERVE) !== 0) !== ((op.flags & MAP_NORESERVE) !== 0)) return false;
    at = vma.end;
  }
  return true;
}

function hasAccess(mm: Mm, { start, end }: Range, flags: number): boolean {
  for (let at = start; at < end; ) {
    const vma = mm.vmas.at(at);
    if (vma === null || (vma.flags & ACCESS) !== flags) return false;
    at = vma.end;
  }
  return true;
}

/** Returns where the kernel put new memory by a call other than mmap, as recorded; null: nowhere, or it is not told. */
function placeOf({ op, chosen, recorded }: ReplayOp, mm: Mm): Range | null {
  if (op.call === 'mremap') {
    const at = recorded.kind === 'value' ? recorded.value : (chosen.addr ?? null);
    if (at === null || op.flags & MREMAP_FIXED) return null;
    if (at !== op.addr) return { start: at, end: at + pageCeil(op.newLen) };
    const [from, to] = [op.addr + pageCeil(op.oldLen), op.addr + pageCeil(op.newLen)];
    return to > from ? { start: from, end: to } : null;
  }
  if (op.call === 'brk') return op.addr > mm.brk ? { start: mm.brk, end: pageCeil(op.addr) } : null;
  const at: Addr | undefined = chosen.addr;
  if (at === undefined || (op.call !== 'shmat' && op.call !== 'io_setup')) return null;
  // How long it is only the kernel knows: what begins there goes.
  return { start: at, end: at + 1 };
}

/** Returns what a call takes away by itself where it puts something else. */
function replacedBy(op: Op): Range | null {
  if (op.call === 'mremap' && op.flags & MREMAP_FIXED)
    return { start: op.newAddr, end: op.newAddr + pageCeil(op.newLen) };
  return null;
}
