/**
 * Events as lines of text: the merge events exactly as seed 004 patch 6 would print them, everything in words.
 *
 * The seed tells four ways in which a merge may go and one in which it fails for other reasons; our verdicts are finer. `traceLine` maps them:
 *   join-null, join-same, join-different    AV_MERGE_NULL, AV_MERGE_SAME, AV_MERGE_DIFFERENT
 *   only the anon_vma is in the way         AV_MERGE_FAILED
 *   everything else, and nobody there       MERGE_FAILED
 * Linux   include/trace/events/mmap.h as the seed posts it; spec/vma.md 15.1 P6
 */
import { hex, hexRange } from '../base/units.ts';
import type { MergeVerdict, MmEvent } from '../mm/index.ts';
import { vmFlagCodes } from '../mm/index.ts';
import { isJoin } from '../mm/mergeVerdict.ts';
import type { MergeEvent } from './counts.ts';

/** The words of `enum vma_merge_res` in the seed. */
export type TraceVerdict =
  | 'MERGE_FAILED'
  | 'AV_MERGE_FAILED'
  | 'AV_MERGE_NULL'
  | 'AV_MERGE_SAME'
  | 'AV_MERGE_DIFFERENT';

/** Returns the seed's word for one of our verdicts. */
export function traceVerdict(verdict: MergeVerdict): TraceVerdict {
  switch (verdict) {
    case 'join-null':
      return 'AV_MERGE_NULL';
    case 'join-same':
      return 'AV_MERGE_SAME';
    case 'join-different':
      return 'AV_MERGE_DIFFERENT';
    case 'anon-vma-differs':
    case 'anon-vma-shared':
    case 'fork-child':
    case 'unfaulted-neighbour':
      return 'AV_MERGE_FAILED';
    case 'none':
    case 'gap':
    case 'not-tried':
    case 'special':
    case 'policy-differs':
    case 'flags-differ':
    case 'file-differs':
    case 'uffd-differs':
    case 'name-differs':
    case 'pgoff-gap':
    case 'has-close':
      return 'MERGE_FAILED';
  }
}

/** The fields of `vm_av_merge`. */
export interface AvMerge {
  readonly merged: 0 | 1;
  readonly predecessor: TraceVerdict;
  readonly successor: TraceVerdict;
  readonly predecessorWithSuccessor: TraceVerdict;
  readonly sameCount: number;
  readonly diffCount: number;
  readonly failedCount: number;
}

/** Returns the fields of `vm_av_merge` for a merge attempt. The third verdict is only asked for when both sides would join. */
export function avMergeOf(event: MergeEvent): AvMerge {
  const predecessor = traceVerdict(event.predecessor);
  const successor = traceVerdict(event.successor);
  const asked = isJoin(event.predecessor) && isJoin(event.successor);
  const predecessorWithSuccessor = asked ? traceVerdict(event.both) : 'MERGE_FAILED';
  const count = (word: TraceVerdict): number =>
    [predecessor, successor, predecessorWithSuccessor].filter((verdict) => verdict === word).length;
  return {
    merged: event.merged ? 1 : 0,
    predecessor,
    successor,
    predecessorWithSuccessor,
    sameCount: count('AV_MERGE_SAME'),
    diffCount: count('AV_MERGE_DIFFERENT'),
    failedCount: count('AV_MERGE_FAILED'),
  };
}

/** Returns one line for an event: `vm_av_merge` and `vm_pgoff_merge` in the seed's format, other events as `eventText` has them. */
export function traceLine(event: MmEvent): string {
  if (event.kind === 'vmaMerge') {
    const { merged, predecessor, successor, predecessorWithSuccessor, ...counts } = avMergeOf(event);
    return (
      `vm_av_merge: merged=${merged} predecessor=${predecessor} successor=${successor} ` +
      `predecessor_with_successor=${predecessorWithSuccessor} ` +
      `same_count=${counts.sameCount} diff_count=${counts.diffCount} failed_count=${counts.failedCount}`
    );
  }
  if (event.kind === 'pgoffMerge')
    return `vm_pgoff_merge: faulted=${Number(event.faulted)} updated=${Number(event.updated)}`;
  return eventText(event);
}

/** Returns one line for an event with our own reasons, `name: field=value …`, ids as they stand in other lines. */
export function eventText(event: MmEvent): string {
  switch (event.kind) {
    case 'vmaCreate':
      return `vma_create: mm=${event.mm} vma=${event.vma} range=${hexRange(event.start, event.end)} pgoff=${hex(event.pgoff)} cause=${event.cause}${event.from === null ? '' : ` from=${event.from}`}`;
    case 'vmaSplit':
      return `vma_split: mm=${event.mm} vma=${event.vma} other=${event.other} side=${event.side} at=${hex(event.at)} cause=${event.cause}`;
    case 'vmaResize':
      return `vma_resize: mm=${event.mm} vma=${event.vma} range=${hexRange(event.start, event.end)} cause=${event.cause}`;
    case 'vmaRemove':
      return `vma_remove: mm=${event.mm} vma=${event.vma} cause=${event.cause}${event.into === null ? '' : ` into=${event.into}`}`;
    case 'vmaMerge':
      return `vma_merge: mm=${event.mm} range=${hexRange(event.start, event.end)} cause=${event.cause} merged=${Number(event.merged)}${event.survivor === null ? '' : ` survivor=${event.survivor}`} predecessor=${event.predecessor} successor=${event.successor} both=${event.both}`;
    case 'pgoffMerge':
      return `pgoff_merge: mm=${event.mm} faulted=${Number(event.faulted)} updated=${Number(event.updated)}`;
    case 'vmaMove':
      return `vma_move: mm=${event.mm} vma=${event.vma} source=${event.source} from=${hex(event.from)} to=${hex(event.to)} len=${event.len} pgoff=${hex(event.pgoffBefore)}->${hex(event.pgoffAfter)} update=${event.pgoffUpdate}`;
    case 'anonVmaCreate':
      return `anon_vma_create: anon_vma=${event.anonVma} vma=${event.vma}${event.parent === null ? '' : ` parent=${event.parent}`}`;
    case 'anonVmaShare':
      return `anon_vma_share: anon_vma=${event.anonVma} vma=${event.vma} from=${event.from}`;
    case 'anonVmaRehome':
      return `anon_vma_rehome: mm=${event.mm} range=${hexRange(event.start, event.end)} from=${event.from} to=${event.to} pages=${event.pages}`;
    case 'pagesMove':
      return `pages_move: mm=${event.mm} from=${hex(event.from)} to=${hex(event.to)} len=${event.len} moved=${event.moved} stopped=${event.stopped}`;
    case 'markerSplit':
      return `marker_split: mm=${event.mm} start=${hex(event.start)} why=${event.why}`;
    case 'vrange':
      return `vrange: mm=${event.mm} range=${hexRange(event.start, event.end)} effect=${event.effect}${event.behavior === null ? '' : ` behavior=${event.behavior}`} absorbed=${event.absorbed} split=${event.split} purged=${event.purged}`;
    case 'vrangePurge':
      return `vrange_purge: mm=${event.mm} range=${hexRange(event.start, event.end)} why=${event.why} purged=${event.purged} locked=${event.locked} shared=${event.shared} pinned=${event.pinned}`;
    case 'flags':
      return `vma_flags: mm=${event.mm} vma=${event.vma} flags="${vmFlagCodes(event.flags)}" cause=${event.cause}`;
    case 'placement':
      return `placement: mm=${event.mm} len=${event.len} predicted=${hex(event.predicted)}${event.chosen === null ? '' : ` chosen=${hex(event.chosen)}`}`;
  }
}
