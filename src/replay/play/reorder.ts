/**
 * Other permitted orders of calls that overlap in time.
 *
 * Where two threads are inside calls at once, a recording does not say which call took effect first. The ordering rules give one order; when it
 * leads to a difference, single calls are tried at the other end of their interval, those first that lie nearest to where the objects of the
 * differences were born or changed, or to a mapping that the kernel put elsewhere than we would have. A move that gets further is kept.
 *
 * First the addresses are asked (placementOrder.ts); what they leave open is searched:
 * Strategy   greedy, one call at a time; calls farther than NEAR operations from every suspect are not tried
 * Cost       one run an order; their number is bounded so that an input with a real difference is reported soon
 */

import type { ReplayOp } from '../item.ts';
import type { Checker } from './check.ts';

const NEAR = 200;
/** Between two moments of the input's clock, which counts in whole numbers. */
const JUST = 0.5;
const MAX_PASSES = 8;
const MAX_ORDERS = 200;
/** Operations that may be spent on trying orders, all runs together. */
const MAX_WORK = 4_000_000;

/** Runs one order: calls of the map take effect at the given moments. */
export type RunOrder = (placements: ReadonlyMap<number, number>) => Checker;

/** Finds an order with no or fewer differences. Returns the best run and the lines of the calls that were moved, with their moments. */
export function findOrder(run: RunOrder): { best: Checker; placements: ReadonlyMap<number, number> } {
  const addressed = orderByAddresses(run);
  let { best } = addressed;
  const placements = new Map(addressed.placements);
  const nrOrders = Math.min(MAX_ORDERS, Math.floor(MAX_WORK / Math.max(1, best.player.nrOps)));
  for (let left = nrOrders; left > 0 && best.differences.length > 0; ) {
    const better = tryOrders(run, { best, placements, left });
    left -= better.tries;
    if (better.checker === null) break;
    best = better.checker;
  }
  return { best, placements };
}

/** Follows what the chosen addresses say about the order, as long as that gets further. Costs nothing when the first order has no difference. */
function orderByAddresses(run: RunOrder): { best: Checker; placements: ReadonlyMap<number, number> } {
  let best = run(new Map());
  let placements: ReadonlyMap<number, number> = new Map();
  for (let pass = 0; pass < MAX_PASSES && best.differences.length > 0 && best.order.nrFound > 0; pass++) {
    const found = best.order.placements;
    const checker = run(found);
    if (!hasProgressed(checker, best)) break;
    best = checker;
    placements = found;
  }
  return { best, placements };
}

/** Moves one overlapping call; stops at the first move that gets further. */
function tryOrders(
  run: RunOrder,
  state: { readonly best: Checker; readonly placements: Map<number, number>; readonly left: number },
): { checker: Checker | null; tries: number } {
  const { best, placements, left } = state;
  let tries = 0;
  for (const { line, moment } of moves(best, placements).slice(0, left)) {
    const before = placements.get(line);
    placements.set(line, moment);
    tries++;
    const checker = run(placements);
    if (hasProgressed(checker, best)) return { checker, tries };
    if (before === undefined) placements.delete(line);
    else placements.set(line, before);
  }
  return { checker: null, tries };
}

/** Another moment for one call. */
interface Move {
  readonly line: number;
  readonly moment: number;
}

/**
 * Returns the moves worth trying: calls that are open while the first difference happens, to just before it; then each suspicious call to the
 * other end of its interval; then those open calls to just after it; and forks to before each call that came meanwhile.
 */
function moves(best: Checker, placements: ReadonlyMap<number, number>): readonly Move[] {
  const difference = best.differences[0];
  const first = difference?.op ?? null;
  const at = difference?.at ?? best.overlapping.find((item) => item.nr === first)?.at ?? null;
  const isOpen = (item: ReplayOp): boolean =>
    at !== null && item.nr !== first && item.entry < at && at < item.exit;
  const early = best.overlapping
    .filter((item) => isOpen(item) && item.at > (at ?? 0))
    .map(({ line }) => ({ line, moment: (at ?? 0) - JUST }));
  const late = best.overlapping
    .filter((item) => isOpen(item) && item.at < (at ?? 0) - JUST)
    .map(({ line }) => ({ line, moment: (at ?? 0) + JUST }));
  const suspicious = candidates(best, placements);
  const ends = suspicious.map((item) => ({
    line: item.line,
    moment: item.at === item.entry ? item.exit : item.entry,
  }));
  const between = suspicious.filter(({ op }) => op.call === 'clone').flatMap((item) => within(best, item));
  return [...early, ...ends, ...late, ...between];
}

/** Returns the moments inside a long call, a fork, that lie just before those of other calls: the latest first. */
const within = (best: Checker, { line, entry, exit }: ReplayOp): readonly Move[] =>
  best.overlapping
    .filter((other) => other.line !== line && entry < other.at && other.at < exit)
    .map(({ at }) => ({ line, moment: at - JUST }))
    .reverse();

/** Returns the overlapping calls worth trying, most suspicious first: near the differences, then near misplaced mappings. */
function candidates(best: Checker, placements: ReadonlyMap<number, number>): readonly ReplayOp[] {
  const open = best.overlapping.filter((item) => !placements.has(item.line));
  const near = nearest(open, best.suspects());
  const known = new Set(near);
  return [...near, ...nearest(open, best.misplaced).filter((item) => !known.has(item))];
}

/** Returns the calls within NEAR operations of a suspect, nearest first, later ones before earlier ones. */
function nearest(calls: readonly ReplayOp[], suspects: readonly number[]): ReplayOp[] {
  const distance = (item: ReplayOp): number =>
    suspects.reduce((least, op) => Math.min(least, Math.abs(op - item.nr)), Number.POSITIVE_INFINITY);
  return calls
    .map((item) => ({ item, far: distance(item) }))
    .filter(({ far }) => far <= NEAR)
    .sort((a, b) => a.far - b.far || b.item.nr - a.item.nr)
    .map(({ item }) => item);
}

/** Tells whether an order got further than another: no difference, or the first one later, or fewer, or fewer mappings placed elsewhere. */
function hasProgressed(now: Checker, before: Checker): boolean {
  if (now.differences.length === 0) return true;
  const first = (checker: Checker): number => checker.differences[0]?.op ?? Number.POSITIVE_INFINITY;
  if (first(now) !== first(before)) return first(now) > first(before);
  if (now.differences.length !== before.differences.length)
    return now.differences.length < before.differences.length;
  // A difference at the end hides how much was put right on the way: a mapping where the kernel has it is a step.
  return now.misplaced.length < before.misplaced.length;
}
