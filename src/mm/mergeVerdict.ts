/**
 * Whether a range may join its neighbours, and why not: one verdict from a closed list for each side.
 *
 * Pure questions over a proposed range (`Merge`) and the two neighbours; vmaMerge.ts asks them and acts. The switches of seed 004 about anon_vmas are
 * read here and nowhere else.
 *
 * Cost    O(1), except where pages are asked (mergeSharingCheck=mapcount): the touched pages of one vma
 * Linux   mm/vma.c: is_mergeable_vma, is_mergeable_anon_vma, can_vma_merge_left, can_vma_merge_right; spec/vma.md 14.1, 15.1
 */
import { must } from '../base/assert.ts';
import { type Addr, nrPagesIn, type Pgoff } from '../base/units.ts';
import { type AnonVma, isForkChild, isUnsharedAnonVma } from './anonVma.ts';
import type { Cause } from './events.ts';
import type { Features } from './features.ts';
import type { Mm } from './mm.ts';
import { hasSharedPage } from './pages.ts';
import type { UffdContext } from './uffdContext.ts';
import { type MappedFile, nrPagesOf, type Vma } from './vma.ts';
import { VM_SPECIAL, VM_STICKY } from './vmFlags.ts';

/**
 * What keeps a range from a neighbour, or how they join. The three that join tell the state of the anon_vmas, as seed 004 patch 6
 * counts them; `anon-vma-differs`, `anon-vma-shared` and `fork-child` mean that only the anon_vma is in the way.
 */
export const MERGE_VERDICTS = [
  'join-null',
  'join-same',
  'join-different',
  'none',
  'gap',
  'not-tried',
  'special',
  'policy-differs',
  'flags-differ',
  'file-differs',
  'uffd-differs',
  'name-differs',
  'pgoff-gap',
  'anon-vma-differs',
  'anon-vma-shared',
  'fork-child',
  'unfaulted-neighbour',
  'has-close',
] as const;
/** A member of MERGE_VERDICTS. */
export type MergeVerdict = (typeof MERGE_VERDICTS)[number];

/** A proposed range and what it would have. */
export interface Merge {
  readonly mm: Mm;
  readonly cause: Cause;
  start: Addr;
  end: Addr;
  flags: number;
  pgoff: Pgoff;
  readonly file: MappedFile | null;
  readonly anonVma: AnonVma | null;
  readonly policy: string | null;
  readonly uffd: UffdContext | null;
  readonly name: string | null;
  readonly isVolatile?: boolean;
  readonly isPtReclaimed?: boolean;
  readonly prev: Vma | null;
  readonly next: Vma | null;
  /** The vma that is modified, or null for a range that has none yet. */
  readonly middle: Vma | null;
  /** The vma whose memory is being moved here, or null. */
  readonly copiedFrom: Vma | null;
  /** Only the vma below may take the range (brk). */
  readonly leftOnly: boolean;
}

/** Tells whether a verdict lets the two join. */
export const isJoin = (verdict: MergeVerdict): boolean =>
  verdict === 'join-null' || verdict === 'join-same' || verdict === 'join-different';

/** Tells whether pages of the vma that carries `merge.anonVma` are shared, as the switch wants it to be found out. */
function isIncomingShared(merge: Merge, anonVma: AnonVma, carrier: Vma | null, on: Features): boolean {
  const byAnonVma = !isUnsharedAnonVma(anonVma);
  if (on.mergeSharingCheck !== 'mapcount') return byAnonVma;
  return carrier !== null && hasSharedPage(merge.mm, carrier.start, carrier.end);
}

/** Judges the anon_vmas of an incoming side and a vma it would join. spec/vma.md 14.1 rule 9. */
function anonVmaVerdict(merge: Merge, vma: Vma): MergeVerdict {
  const incoming = merge.anonVma;
  const on = merge.mm.kernel.features;
  if (incoming === vma.anonVma) return incoming === null ? 'join-null' : 'join-same';
  if (incoming === null) return isForkChild(vma) ? 'fork-child' : 'join-null';
  const carrier = merge.middle ?? merge.copiedFrom;
  if (vma.anonVma === null) {
    if (on.mergeFaultedWithUnfaulted === 'off') return 'unfaulted-neighbour';
    return carrier !== null && isForkChild(carrier) ? 'fork-child' : 'join-null';
  }
  if (on.mergeAcrossAnonVma === 'off') return 'anon-vma-differs';
  // Growth in place has no carrier: the pages are those of the vma that grows, which is `prev`.
  return isIncomingShared(merge, incoming, carrier ?? merge.prev, on) ? 'anon-vma-shared' : 'join-different';
}

/** Marks that would be flags, had there been room for them in the word. */
const differsInMarks = ({ isVolatile = false, isPtReclaimed = false }: Merge, vma: Vma): boolean =>
  isVolatile !== vma.isVolatile || isPtReclaimed !== vma.isPtReclaimed;

/** Judges everything but position and anon_vma. spec/vma.md 14.1 rules 2 to 7. */
function attributesVerdict(merge: Merge, vma: Vma): MergeVerdict | null {
  if (merge.flags & VM_SPECIAL) return 'special';
  if (merge.policy !== vma.policy) return 'policy-differs';
  if ((merge.flags ^ vma.flags) & ~VM_STICKY || differsInMarks(merge, vma)) return 'flags-differ';
  if (merge.file !== vma.file) return 'file-differs';
  if (merge.uffd !== vma.uffd) return 'uffd-differs';
  return merge.name === vma.name ? null : 'name-differs';
}

/** Judges whether the range may join the vma below it. */
export function predecessorVerdict(merge: Merge): MergeVerdict {
  const { prev } = merge;
  if (prev === null) return 'none';
  if (prev.end !== merge.start) return 'gap';
  const attributes = attributesVerdict(merge, prev);
  if (attributes !== null) return attributes;
  return prev.pgoff + nrPagesOf(prev) === merge.pgoff ? anonVmaVerdict(merge, prev) : 'pgoff-gap';
}

/** Judges whether the range may join the vma above it. */
export function successorVerdict(merge: Merge): MergeVerdict {
  const { next } = merge;
  if (merge.leftOnly) return 'not-tried';
  if (next === null) return 'none';
  if (next.start !== merge.end) return 'gap';
  const attributes = attributesVerdict(merge, next);
  if (attributes !== null) return attributes;
  return merge.pgoff + nrPagesIn(merge.end - merge.start) === next.pgoff
    ? anonVmaVerdict(merge, next)
    : 'pgoff-gap';
}

/** Judges whether the two neighbours, each of which would take the range, may become one. spec/vma.md 14.1 rule 10. */
export function bothVerdict(merge: Merge): MergeVerdict {
  const prev = must(merge.prev, '[merge] both sides join, so there is one below');
  const next = must(merge.next, '[merge] both sides join, so there is one above');
  if (prev.anonVma === next.anonVma) return prev.anonVma === null ? 'join-null' : 'join-same';
  if (prev.anonVma === null || next.anonVma === null) return 'join-null';
  const on = merge.mm.kernel.features;
  if (on.mergeAcrossAnonVma === 'off') return 'anon-vma-differs';
  return isIncomingShared(merge, next.anonVma, next, on) ? 'anon-vma-shared' : 'join-different';
}
