/**
 * Finds the order of overlapping calls in the addresses that the kernel chose.
 *
 * Where calls of several threads overlap, a recording does not say whose effect came first. Often the addresses do: Linux places a mapping as
 * high as it fits, so one that was put directly below a range which an overlapping call obtained, although there was room
 * higher up, was put there after that call.
 *
 *      lower      |....| A |   B   |xxxx      A and B overlap in time, A ends where B begins, and we would have put A where
 *                      a       b              B is: so B was there already. B is placed just before A.
 *
 * Cost   a comparison of each overlapping call with those of the last moments; nothing where no address surprises us
 */
import type { ReplayOp } from '../item.ts';

interface Surprise {
  readonly start: number;
  readonly end: number;
  readonly at: number;
  readonly exit: number;
}

/** Between two moments of the input's clock, which counts in whole numbers. */
const JUST = 0.5;

/** Watches one pass over an input in the order assumed so far. */
export class PlacementOrder {
  /** Moments for calls that came too late, by line: those handed in, and those found. */
  readonly placements: Map<number, number>;
  /** How many were found in this pass. */
  nrFound = 0;
  #surprises: Surprise[] = [];

  /** @param placements  what earlier passes found */
  constructor(placements: ReadonlyMap<number, number> = new Map()) {
    this.placements = new Map(placements);
  }

  /** Takes an operation that was carried out. @param misplaced  the kernel chose another address than we would have */
  took(item: ReplayOp, misplaced: boolean): void {
    if (!item.overlaps) return;
    const gained = gainedBy(item);
    if (gained === null) return;
    this.#surprises = this.#surprises.filter(({ exit }) => exit > item.entry);
    const early = this.#surprises.find(
      ({ end, at }) => end === gained.start && item.entry < at && at < item.at,
    );
    if (early !== undefined && !this.placements.has(item.line)) {
      this.placements.set(item.line, early.at - JUST);
      this.nrFound++;
    }
    if (misplaced) this.#surprises.push({ ...gained, at: item.at, exit: item.exit });
  }
}

/** Returns the range that the kernel chose for a call, or null. */
function gainedBy({ op, chosen }: ReplayOp): { start: number; end: number } | null {
  if (chosen.addr === undefined) return null;
  if (op.call !== 'mmap' && op.call !== 'mremap') return null;
  const len = op.call === 'mmap' ? op.len : op.newLen;
  return { start: chosen.addr, end: chosen.addr + Math.ceil(len / 4096) * 4096 };
}
