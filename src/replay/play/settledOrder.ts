/**
 * Plays an input in the order that the kernel's choice of addresses shows for calls that overlap (placementOrder.ts).
 *
 * The order is looked for among the calls alone first: where a mapping goes depends on what is mapped, hardly ever on what was touched,
 * and there are a hundred touches to a call. A machine is needed for it only where the range of one call ends at that of another
 * which overlaps it. Should playing everything still show another order, it is played again in that one.
 *
 * Cost   one more reading of the calls, of the first MAX_CALLS at most; two plays of these where addresses of overlapping calls touch
 */
import { ModelBug, Unmodelled } from '../../base/assert.ts';
import type { ReplayItem } from '../item.ts';
import type { ReadingOptions } from '../reading.ts';
import { PlacementOrder } from './placementOrder.ts';
import { Player, type PlayOptions } from './player.ts';

/** An input that can be read again from its start. */
export interface Rereadable {
  /** Returns its items. @param reading  which, and in which order */
  items(reading?: ReadingOptions): Iterable<ReplayItem>;
}

/** One pass over an input: lanes that take the same items, of which the first tells about the order. */
export interface Pass {
  /** Takes an item in the first lane; tells whether the kernel put a mapping elsewhere than that lane would have. */
  lead(item: ReplayItem): boolean;
  /** Takes the same item in all other lanes. Not called any more once the pass is known to have a wrong order. */
  follow(item: ReplayItem): void;
}

/** More passes than this are not made to find the order. */
const MAX_PASSES = 4;
/** Of a longer input only the beginning is looked at before it is played. */
const MAX_CALLS = 1 << 16;

/**
 * Plays an input until its order is settled.
 * @param options  how the machine is set on which the order is looked for
 * @param begin    makes the lanes of one pass
 * @returns        the pass in the settled order
 */
export function playInSettledOrder<P extends Pass>(
  input: Rereadable,
  options: PlayOptions,
  begin: () => P,
): P {
  let placements = orderOfCalls(input, options);
  for (let nr = 1; ; nr++) {
    const pass = begin();
    const order = new PlacementOrder(placements);
    const isLast = nr === MAX_PASSES;
    for (const item of input.items({ placements })) {
      const isMisplaced = pass.lead(item);
      if (item.kind === 'op') order.took(item, isMisplaced);
      if (order.nrFound === 0 || isLast) pass.follow(item);
    }
    if (order.nrFound === 0 || isLast) return pass;
    ({ placements } = order);
  }
}

/** Returns the moments of the calls, by line, that come too late in the order of the rules, as far as playing the calls alone shows. */
export function orderOfCalls(input: Rereadable, options: PlayOptions): ReadonlyMap<number, number> {
  let placements: ReadonlyMap<number, number> = new Map();
  for (let nr = 1; nr < MAX_PASSES; nr++) {
    const calls = firstCalls(input, placements);
    if (!mayBeMisplaced(calls, placements)) break;
    const order = playCalls(calls, placements, options);
    if (order.nrFound === 0) break;
    ({ placements } = order);
  }
  return placements;
}

function firstCalls(input: Rereadable, placements: ReadonlyMap<number, number>): readonly ReplayItem[] {
  const calls: ReplayItem[] = [];
  for (const item of input.items({ placements, isForOrder: true })) {
    if (item.kind === 'end' || calls.length === MAX_CALLS) break;
    if (item.kind === 'start' || (item.kind === 'op' && item.op.call !== 'touch')) calls.push(item);
  }
  return calls;
}

/** Tells whether the order could be another one if we would have placed everything elsewhere. */
function mayBeMisplaced(calls: readonly ReplayItem[], placements: ReadonlyMap<number, number>): boolean {
  const order = new PlacementOrder(placements);
  for (const item of calls) if (item.kind === 'op') order.took(item, true);
  return order.nrFound > 0;
}

/** Plays the calls as far as the model goes; what stops it is told when everything is played. */
function playCalls(
  calls: readonly ReplayItem[],
  placements: ReadonlyMap<number, number>,
  options: PlayOptions,
): PlacementOrder {
  const order = new PlacementOrder(placements);
  let isMisplaced = false;
  const events: PlayOptions['events'] = (event) => {
    if (event.kind === 'placement' && event.chosen !== null) isMisplaced = event.chosen !== event.predicted;
  };
  const player = new Player({ ...options, verify: 'never', events }, {});
  try {
    for (const item of calls) {
      isMisplaced = false;
      player.feed(item);
      if (item.kind === 'op') order.took(item, isMisplaced);
    }
  } catch (error) {
    if (!(error instanceof Unmodelled) && !(error instanceof ModelBug)) throw error;
  }
  return order;
}
