/**
 * Who emptied a page table: the operation that took its last entry out, for each table that holds nothing.
 *
 * It looks after each operation, and only where the number of empty tables has changed or the operation went over some of them. A table that is filled
 * again is forgotten; a child of fork has inherited the empty tables of its parent, and with them who emptied them.
 *
 * Cost   a comparison an access; a visit of the tables of its range for a call
 */
import { type Addr, floorTo, PMD_SIZE, TASK_SIZE } from '../base/units.ts';
import type { Op } from '../machine/index.ts';
import { FACT, type Mm } from '../mm/index.ts';
import { EMPTY_TABLE, KIND_MASK } from '../mm/pte.ts';
import type { ReplayOp } from '../replay/index.ts';

interface Range {
  readonly start: Addr;
  readonly end: Addr;
}

/** A table that holds nothing. */
export interface EmptyTable {
  /** The first address that it maps. */
  readonly base: Addr;
  /** Who took the last entry out; null: it was empty at the start. */
  readonly by: ReplayOp | null;
}

interface Space {
  readonly mm: Mm;
  readonly tables: Map<Addr, ReplayOp>;
  nrEmpty: number;
}

/** Follows the empty tables of all address spaces of a machine. */
export class TableWatch {
  readonly #spaces = new Map<Mm, Space>();
  /** The most that were empty at a time, in any one address space. */
  peak = 0;
  /** Every time that a table lost its last entry to an operation and was seen without. */
  readonly emptied: EmptyTable[] = [];
  /** Of these, tables that were filled again, and that were freed by a scan or with their memory. */
  nrRefilled = 0;
  nrFreed = 0;
  /** Of tables that a scan freed: how long one was empty at most, nanoseconds; tables whose operation freed them at once were not. */
  longestNs = 0;

  /** An operation of a process with this memory is over. */
  look(item: ReplayOp, mm: Mm): void {
    const space = this.#spaceOf(mm);
    const { nrEmpty } = mm.pages;
    if (nrEmpty > this.peak) this.peak = nrEmpty;
    const { op } = item;
    const isChanged = nrEmpty !== space.nrEmpty;
    space.nrEmpty = nrEmpty;
    if (op.call === 'touch' || op.call === 'nop') {
      if (isChanged) this.#look(space, item, [EVERYTHING]);
      return;
    }
    if (op.call === 'clone') return;
    const ranges = rangesOf(op);
    if (ranges === null) {
      if (isChanged) this.#look(space, item, [EVERYTHING]);
    } else if (isChanged || space.tables.size > 0) this.#look(space, item, isChanged ? [EVERYTHING] : ranges);
  }

  /** A fork has made `child` from `parent`. */
  forked(parent: Mm, child: Mm): void {
    const { tables } = this.#spaceOf(parent);
    this.#spaces.set(child, { mm: child, tables: new Map(tables), nrEmpty: child.pages.nrEmpty });
  }

  #spaceOf(mm: Mm): Space {
    let space = this.#spaces.get(mm);
    if (space === undefined) {
      space = { mm, tables: new Map(), nrEmpty: mm.pages.nrEmpty };
      this.#spaces.set(mm, space);
    }
    return space;
  }

  #look({ mm, tables }: Space, item: ReplayOp, ranges: readonly Range[]): void {
    for (const { start, end } of ranges) {
      for (const [base, by] of tables)
        if (base >= start && base < end && !isEmptyAt(mm, base)) {
          tables.delete(base);
          if (mm.pages.hasTable(base)) this.nrRefilled++;
          else this.#freed(mm, item.at - by.at);
        }
      mm.pages.forEachSlot(start, end, (base, pmd) => {
        if ((pmd & KIND_MASK) !== EMPTY_TABLE || tables.has(base)) return;
        tables.set(base, item);
        this.emptied.push({ base, by: item });
      });
    }
  }
  #freed(mm: Mm, ns: number): void {
    this.nrFreed++;
    if ((mm.kernel.work.facts[FACT.ptFreedAsync] as number) > 0)
      this.longestNs = Math.max(this.longestNs, ns);
  }

  /** Returns the tables of `mm` that hold nothing now, ascending. */
  emptyTables(mm: Mm): EmptyTable[] {
    const known = this.#spaces.get(mm)?.tables;
    const found: EmptyTable[] = [];
    mm.pages.forEachSlot(0, TASK_SIZE, (base, pmd) => {
      if ((pmd & KIND_MASK) === EMPTY_TABLE) found.push({ base, by: known?.get(base) ?? null });
    });
    return found;
  }
}

const EVERYTHING: Range = { start: 0, end: TASK_SIZE };

const isEmptyAt = (mm: Mm, base: Addr): boolean => (mm.pages.pmd(base) & KIND_MASK) === EMPTY_TABLE;

/** Returns the whole tables around what an operation goes over; null where that is not told by its arguments. */
function rangesOf(op: Op): Range[] | null {
  const around = (addr: Addr, len: number): Range => ({
    start: floorTo(addr, PMD_SIZE),
    end: Math.min(Math.ceil((addr + len) / PMD_SIZE) * PMD_SIZE, TASK_SIZE),
  });
  if (op.call === 'mremap') return [around(op.addr, op.oldLen)];
  if ('addr' in op && 'len' in op) return [around(op.addr, op.len)];
  return null;
}

/** Returns how many bytes the operation went over that emptied a table. */
export function bytesOf(op: Op): number {
  if (op.call === 'mremap') return op.oldLen;
  if (op.call === 'process_madvise') return Math.max(0, ...op.ranges.map(({ len }) => len));
  return 'len' in op ? op.len : 0;
}
