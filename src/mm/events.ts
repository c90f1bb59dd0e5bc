/**
 * Events: everything the memory manager did and decided, typed, in order. Reports and `explain` are folds over events and never read a table.
 *
 * Every event carries the number of the operation it happened in and ids that are never reused, so the life of a vma or an
 * anon_vma can be told from them. The merge events have the fields of seed 004 patch 6.
 * Cost    one small object an event, made only when somebody listens
 */
import type { Addr, Pgoff } from '../base/units.ts';
import type { MarkerSplit } from './hugeMemory.ts';
import type { MergeVerdict } from './mergeVerdict.ts';
import type { Why } from './result.ts';
import type { VrangeBehavior } from './vrangeTree.ts';

/** Who asked for a merge, a split or a new vma. */
export const CAUSES = [
  'initial',
  'mmap',
  'munmap',
  'brk',
  'mremap',
  'mprotect',
  'mlock',
  'madvise',
  'mbind',
  'uffd',
  'mseal',
  'vrange',
  'ksm',
  'name',
  'stack',
  'fork',
  'exit',
  'shm',
  'clear_refs',
] as const;
/** A member of CAUSES. */
export type Cause = (typeof CAUSES)[number];

/** One event. */
export type MmEvent =
  | {
      readonly kind: 'vmaCreate';
      readonly op: number;
      readonly mm: number;
      readonly vma: number;
      readonly start: Addr;
      readonly end: Addr;
      readonly pgoff: Pgoff;
      readonly cause: Cause;
      readonly from: number | null;
    }
  /** `vma` keeps one part, `other` is the new vma with the part on `side` of the border `at`. */
  | {
      readonly kind: 'vmaSplit';
      readonly op: number;
      readonly mm: number;
      readonly vma: number;
      readonly other: number;
      readonly side: 'below' | 'above';
      readonly at: Addr;
      readonly cause: Cause;
    }
  | {
      readonly kind: 'vmaResize';
      readonly op: number;
      readonly mm: number;
      readonly vma: number;
      readonly start: Addr;
      readonly end: Addr;
      readonly cause: Cause;
    }
  | {
      readonly kind: 'vmaRemove';
      readonly op: number;
      readonly mm: number;
      readonly vma: number;
      readonly cause: Cause;
      readonly into: number | null;
    }
  /** A merge was tried: seed 004 patch 6, `vm_av_merge`, with our reasons instead of its four failure classes. */
  | {
      readonly kind: 'vmaMerge';
      readonly op: number;
      readonly mm: number;
      readonly cause: Cause;
      readonly start: Addr;
      readonly end: Addr;
      readonly merged: boolean;
      readonly survivor: number | null;
      readonly predecessor: MergeVerdict;
      readonly successor: MergeVerdict;
      readonly both: MergeVerdict;
    }
  /** An mremap copy merged into an existing vma: seed 004 patch 6, `vm_pgoff_merge`. */
  | {
      readonly kind: 'pgoffMerge';
      readonly op: number;
      readonly mm: number;
      readonly faulted: boolean;
      readonly updated: boolean;
    }
  /** mremap moved [from, from+len) to `to`; `vma` is where it is now. */
  | {
      readonly kind: 'vmaMove';
      readonly op: number;
      readonly mm: number;
      readonly source: number;
      readonly vma: number;
      readonly from: Addr;
      readonly to: Addr;
      readonly len: number;
      readonly pgoffBefore: Pgoff;
      readonly pgoffAfter: Pgoff;
      readonly pgoffUpdate: PgoffUpdate;
    }
  | {
      readonly kind: 'anonVmaCreate';
      readonly op: number;
      readonly anonVma: number;
      readonly vma: number;
      readonly parent: number | null;
    }
  | {
      readonly kind: 'anonVmaShare';
      readonly op: number;
      readonly anonVma: number;
      readonly vma: number;
      readonly from: number;
    }
  /** Pages of [start, end) went from one anon_vma to another (seed 004 patch 5). */
  | {
      readonly kind: 'anonVmaRehome';
      readonly op: number;
      readonly mm: number;
      readonly from: number;
      readonly to: number;
      readonly start: Addr;
      readonly end: Addr;
      readonly pages: number;
    }
  /** mremap with MREMAP_ONLYPAGES (seed 000): of `len` bytes so many were moved, and why no more; `ok` if all were. */
  | {
      readonly kind: 'pagesMove';
      readonly op: number;
      readonly mm: number;
      readonly from: Addr;
      readonly to: Addr;
      readonly len: number;
      readonly moved: number;
      readonly stopped: Why;
    }
  /** A marker for 2 MiB at `start` became 512 markers in a table (`wpUnpopulated=pmdMarkers`), and why. */
  | {
      readonly kind: 'markerSplit';
      readonly op: number;
      readonly mm: number;
      readonly start: Addr;
      readonly why: MarkerSplit;
    }
  /** vrange (seed 002) was not refused: what came of it, how many ranges became part of this one or were cut in two, and how many pages were gone. */
  | {
      readonly kind: 'vrange';
      readonly op: number;
      readonly mm: number;
      readonly start: Addr;
      readonly end: Addr;
      readonly effect: VrangeEffect;
      readonly behavior: VrangeBehavior | null;
      readonly absorbed: number;
      readonly split: number;
      readonly purged: number;
    }
  /** A volatile range was visited for its pages (`mm` is its owner): how many went, from everybody who had them, and why the others stayed. */
  | {
      readonly kind: 'vrangePurge';
      readonly op: number;
      readonly mm: number;
      readonly start: Addr;
      readonly end: Addr;
      readonly why: PurgeCause;
      readonly purged: number;
      readonly locked: number;
      readonly shared: number;
      readonly pinned: number;
    }
  | {
      readonly kind: 'flags';
      readonly op: number;
      readonly mm: number;
      readonly vma: number;
      readonly flags: number;
      readonly cause: Cause;
    }
  /** The kernel chose an address: `predicted` is ours, `chosen` what a recording says. */
  | {
      readonly kind: 'placement';
      readonly op: number;
      readonly mm: number;
      readonly len: number;
      readonly predicted: Addr;
      readonly chosen: Addr | null;
      /** Something of ours is mapped where the kernel put it. */
      readonly taken: boolean;
    };

/**
 * What vrange did. VOLATILE: the range is marked, one with ranges that overlapped it, or was part of one already. NOVOLATILE: nothing of it was
 * volatile, nothing of it was gone, or pages of it were gone.
 */
export const VRANGE_EFFECTS = ['marked', 'joined', 'already', 'nothing', 'intact', 'lost'] as const;
/** A member of VRANGE_EFFECTS. */
export type VrangeEffect = (typeof VRANGE_EFFECTS)[number];

/** Who had volatile pages purged. */
export type PurgeCause = 'reclaim' | 'pageout';

/** What became of the page offset of a moved vma: kept, or recomputed and why; or why the proposal did not recompute it. */
export const PGOFF_UPDATES = [
  'not-anonymous',
  'unfaulted',
  'kept',
  'updated',
  'relocated',
  'shared-anon-vma',
  'shared-page',
] as const;
/** A member of PGOFF_UPDATES. */
export type PgoffUpdate = (typeof PGOFF_UPDATES)[number];

/** Somebody who listens. Called at once, in order; must not change the model. */
export type EventSink = (event: MmEvent) => void;
