/**
 * Where a mapping goes when a recording tells: the recorded place, and what is done when the model has something there.
 *
 * A recorded place that is taken means that the model and the kernel disagree about what is mapped. It is told in the placement event, and what
 * is in the way is unmapped, so that one disagreement does not make all later places differ too.
 */
import type { Addr } from '../base/units.ts';
import type { Mm } from './mm.ts';
import { unmapRange } from './munmap.ts';
import { isFree } from './unmappedArea.ts';

/** Our own choice, what the recording has, and bytes; `keep` must not be unmapped (the source of a move). */
export interface Placement {
  readonly predicted: Addr;
  readonly chosen: Addr | null;
  readonly len: number;
  readonly keep?: { readonly start: Addr; readonly end: Addr };
}

/** Returns the address a mapping gets; tells the listeners. Events: placement. */
export function settlePlacement(mm: Mm, placement: Placement): Addr {
  const { predicted, chosen, len, keep } = placement;
  const taken = chosen !== null && !isFree(mm, chosen, len);
  const { kernel } = mm;
  kernel.emit?.({ kind: 'placement', op: kernel.opNr, mm: mm.id, len, predicted, chosen, taken });
  if (chosen === null) return predicted;
  if (!taken) return chosen;
  if (keep !== undefined && chosen < keep.end && keep.start < chosen + len) return predicted;
  unmapRange(mm, chosen, chosen + len, 'mmap');
  return chosen;
}
