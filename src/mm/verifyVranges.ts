/**
 * The invariants of volatile ranges: trees, memory, hints, and the queue for purging recounted. docs/invariants.md has a paragraph for each.
 *
 * Cost   every node, and every entry once
 */
import { hex, TASK_SIZE } from '../base/units.ts';
import type { Kernel } from './kernel.ts';
import type { Mm } from './mm.ts';
import { firstHole } from './mseal.ts';
import { KIND_MASK, MARKER, MARKER_PURGED } from './pte.ts';

function wrongTree(mm: Mm): string | null {
  const { vranges } = mm;
  return vranges === null ? null : (vranges.verify() ?? overHole(vranges, mm));
}

function overHole(vranges: NonNullable<Mm['vranges']>, mm: Mm): string | null {
  for (const { start, end } of vranges) {
    const hole = firstHole(mm, start, end);
    if (hole !== null) return `the range at ${hex(start)} covers ${hex(hole)}, where nothing is mapped`;
  }
  return null;
}

function withoutHint(mm: Mm): string | null {
  let wrong: string | null = null;
  mm.pages.forEach(0, TASK_SIZE, (addr, low, high) => {
    if ((low & KIND_MASK) === MARKER && high === MARKER_PURGED && mm.vranges?.at(addr)?.hint !== true)
      wrong ??= `the page at ${hex(addr)} was purged, and no volatile range says so`;
  });
  return wrong;
}

/** The invariants of the volatile ranges of one address space. */
export const VRANGE_INVARIANTS: readonly {
  readonly name: string;
  readonly broken: (mm: Mm) => string | null;
}[] = [
  { name: 'vrange-tree', broken: wrongTree },
  { name: 'vrange-hint', broken: withoutHint },
];

/** The queue of the kernel against the trees of all address spaces. */
export function wrongVrangeLru({ vrangeLru, work }: Kernel, mms: readonly Mm[]): string | null {
  const queued = new Set(vrangeLru);
  let nodes = 0;
  for (const { vranges } of mms) {
    for (const node of vranges ?? []) {
      nodes++;
      if (!queued.has(node)) return `the range at ${hex(node.start)} is not in the queue`;
    }
  }
  return queued.size === nodes && vrangeLru.size === nodes && work.nrVranges === nodes
    ? null
    : `${queued.size} ranges wait to be purged, ${vrangeLru.size} and ${work.nrVranges} are counted, there are ${nodes}`;
}
