/**
 * Neighbours: what keeps two vmas that touch from being one, exactly, and which proposal would join them.
 *
 * The tests are those a merge makes (access and flags, file, userfaultfd, policy, name, page offset, anon_vma), but all of them: a merge stops at
 * the first. A blocked pair is two private anonymous vmas which only offset, anon_vma or the history of forks keep apart; its kind is one
 * of five words, the same that the recordings' README counts.
 *
 * Invariant   a pair without blockers is `mergeable`: nothing has touched its border since it became so
 * Cost        linear in the vmas
 * Linux       mm/vma.c: is_mergeable_vma, can_vma_merge_left and _right; spec/vma.md 14.1
 */
import { nrPagesIn, PAGE_SIZE } from '../base/units.ts';
import type { FeatureName, VmaRow } from '../mm/index.ts';
import { permsOf, VM_STICKY, vmFlagCodes } from '../mm/index.ts';
import { VM_ACCESS_FLAGS, VM_SPECIAL } from '../mm/vmFlags.ts';

/** One thing that keeps two neighbours apart. Texts are as smaps prints them. */
export type Blocker =
  /** A mapping of the kernel or of a device, which nothing joins. */
  | { readonly kind: 'special' }
  | { readonly kind: 'permissions'; readonly below: string; readonly above: string }
  /** Flag codes that only one side has, apart from access. */
  | { readonly kind: 'flags'; readonly below: string; readonly above: string }
  | { readonly kind: 'policy'; readonly below: string; readonly above: string }
  /** Different open files, or a file beside anonymous memory. */
  | { readonly kind: 'file'; readonly below: string; readonly above: string }
  | { readonly kind: 'uffd' }
  | { readonly kind: 'name'; readonly below: string; readonly above: string }
  /** The upper offset is `pages` more (less if negative) than the lower one continues with. */
  | { readonly kind: 'pgoff'; readonly pages: number }
  | { readonly kind: 'anon_vma'; readonly below: number; readonly above: number }
  /** One side was never written, the other came from a fork: its chain has more than one entry. */
  | { readonly kind: 'forked'; readonly chain: number };

/** The name of a blocker. */
export type BlockerKind = Blocker['kind'];

/** What kind of blocked pair: `chain` is the fork's, `mergeable` has nothing in its way. */
export type PairKind = 'pgoff' | 'anon_vma' | 'both' | 'chain' | 'mergeable';

/** The kinds in the order in which they are listed. */
export const PAIR_KINDS: readonly PairKind[] = ['pgoff', 'anon_vma', 'both', 'chain', 'mergeable'];

/** Two vmas that touch. */
export interface Neighbours {
  readonly below: VmaRow;
  readonly above: VmaRow;
  readonly blockers: readonly Blocker[];
  /** Set for blocked pairs only. */
  readonly kind: PairKind | null;
  /** A side came from a fork. */
  readonly inherited: boolean;
  readonly remedy: Remedy;
}

/** What would join two neighbours: one of several sets of switches, or nothing and why. */
export type Remedy =
  | { readonly kind: 'switches'; readonly anyOf: readonly (readonly FeatureName[])[] }
  | { readonly kind: 'none'; readonly why: NoRemedy };

/** Why no switch joins two neighbours. */
export type NoRemedy =
  | 'nothing-in-the-way'
  | 'attributes-differ'
  | 'shared-by-fork'
  | 'file-offset'
  | 'offset-of-execve';

/** Tells whether the pages of a vma may be mapped by another process: as far as its anon_vma tells. */
const isShared = (row: VmaRow): boolean => row.anonVma?.shared === true;

/** Tells whether a vma came from a fork: a longer chain, or an anon_vma that is not its own root. */
const isInherited = (row: VmaRow): boolean =>
  row.anonVma !== null && (row.chain > 1 || row.anonVma.root !== row.anonVma.id);

/** Tells whether anonymous memory lies elsewhere than where its page offset was given: it was moved after it was written. */
export const isDisplaced = (row: VmaRow): boolean => row.anonymous && row.pgoff * PAGE_SIZE !== row.start;

/** Returns by how many pages the upper offset misses the one that would continue the lower one. */
export const pgoffGap = (below: VmaRow, above: VmaRow): number =>
  above.pgoff - (below.pgoff + nrPagesIn(below.end - below.start));

/** Returns everything that keeps `below` and `above`, which touch, apart. */
export function blockersOf(below: VmaRow, above: VmaRow): Blocker[] {
  const found: Blocker[] = [];
  if ((below.flags | above.flags) & VM_SPECIAL || isKernelMapping(below) || isKernelMapping(above))
    found.push({ kind: 'special' });
  if (below.perms !== above.perms)
    found.push({ kind: 'permissions', below: below.perms, above: above.perms });
  found.push(...flagBlockers(below, above));
  if (below.policy !== above.policy)
    found.push({ kind: 'policy', below: below.policy ?? 'default', above: above.policy ?? 'default' });
  if (below.fileId !== above.fileId)
    found.push({ kind: 'file', below: objectOf(below), above: objectOf(above) });
  if (below.uffdId !== above.uffdId) found.push({ kind: 'uffd' });
  if (below.anonName !== above.anonName)
    found.push({ kind: 'name', below: below.anonName ?? '', above: above.anonName ?? '' });
  // Offsets of different files, or of a file and anonymous memory, say nothing about each other.
  const pages = pgoffGap(below, above);
  if (pages !== 0 && below.fileId === above.fileId) found.push({ kind: 'pgoff', pages });
  found.push(...anonVmaBlockers(below, above));
  return found;
}

const isKernelMapping = (row: VmaRow): boolean => row.fileId === null && !row.anonymous;

const objectOf = (row: VmaRow): string => (row.fileId === null ? 'anonymous' : row.name);

/** Flags that count for a merge and are not shown by the permissions. */
function flagBlockers(below: VmaRow, above: VmaRow): Blocker[] {
  const shown = permsOf(below.flags) === permsOf(above.flags) ? 0 : VM_ACCESS_FLAGS;
  const differ = (below.flags ^ above.flags) & ~(VM_STICKY | shown);
  if (differ === 0) return [];
  return [
    { kind: 'flags', below: vmFlagCodes(below.flags & differ), above: vmFlagCodes(above.flags & differ) },
  ];
}

function anonVmaBlockers(below: VmaRow, above: VmaRow): Blocker[] {
  const [one, other] = [below.anonVma, above.anonVma];
  if (one !== null && other !== null)
    return one.id === other.id ? [] : [{ kind: 'anon_vma', below: one.id, above: other.id }];
  const chain = Math.max(below.chain, above.chain);
  return one !== other && chain > 1 ? [{ kind: 'forked', chain }] : [];
}

/** Names the kind of a blocked pair, or null when something else is in the way too. */
function pairKind(below: VmaRow, above: VmaRow, blockers: readonly Blocker[]): PairKind | null {
  if (!isPrivateAnonymous(below) || !isPrivateAnonymous(above)) return null;
  const kinds = new Set(blockers.map(({ kind }) => kind));
  const pgoff = kinds.delete('pgoff');
  const anonVma = kinds.delete('anon_vma');
  const forked = kinds.delete('forked');
  if (kinds.size > 0) return null;
  if (pgoff) return anonVma ? 'both' : 'pgoff';
  if (anonVma) return 'anon_vma';
  return forked ? 'chain' : 'mergeable';
}

const isPrivateAnonymous = (row: VmaRow): boolean => row.anonymous && row.perms[3] === 'p';

/** Blockers that no switch of ours removes. */
const ATTRIBUTES: ReadonlySet<BlockerKind> = new Set<BlockerKind>([
  'special',
  'permissions',
  'flags',
  'policy',
  'file',
  'uffd',
  'name',
]);

/**
 * Finds out which switches would join two neighbours if an operation came to their border with them on. A move that gives memory a new offset
 * needs that memory unshared; a merge across anon_vmas needs one side unshared, the incoming one.
 */
function remedyOf(below: VmaRow, above: VmaRow, blockers: readonly Blocker[]): Remedy {
  const none = (why: NoRemedy): Remedy => ({ kind: 'none', why });
  if (blockers.length === 0) return none('nothing-in-the-way');
  const kinds = new Set(blockers.map(({ kind }) => kind));
  if (blockers.some(({ kind }) => ATTRIBUTES.has(kind))) return none('attributes-differ');
  if (kinds.has('forked')) return none('shared-by-fork');
  const moved = [below, above].filter(isDisplaced);
  if (kinds.has('pgoff')) {
    if (below.fileId !== null) return none('file-offset');
    if (moved.some(isShared)) return none('shared-by-fork');
    if (moved.some(({ name }) => name === '[stack]')) return none('offset-of-execve');
  }
  const across = kinds.has('anon_vma');
  if (across && isShared(below) && isShared(above)) return none('shared-by-fork');
  const anyOf: FeatureName[][] = [
    [
      ...(kinds.has('pgoff') ? (['mergePgoffOnMove'] as const) : []),
      ...(across ? (['mergeAcrossAnonVma'] as const) : []),
    ],
  ];
  if (moved.length > 0 && !moved.some(isShared)) anyOf.push(['mremapRelocateAnon']);
  return { kind: 'switches', anyOf };
}

/** Returns every pair of vmas that touch, ascending. @param rows  the vmas of one address space, ascending */
export function neighboursOf(rows: readonly VmaRow[]): Neighbours[] {
  const pairs: Neighbours[] = [];
  for (let i = 1; i < rows.length; i++) {
    const below = rows[i - 1] as VmaRow;
    const above = rows[i] as VmaRow;
    if (below.end !== above.start) continue;
    const blockers = blockersOf(below, above);
    pairs.push({
      below,
      above,
      blockers,
      kind: pairKind(below, above, blockers),
      inherited: isInherited(below) || isInherited(above),
      remedy: remedyOf(below, above, blockers),
    });
  }
  return pairs;
}

/** How many blocked pairs of each kind there are. */
export interface PairCounts extends Readonly<Record<PairKind, number>> {
  /** All of them. */
  readonly pairs: number;
  /** Those with a side that came from a fork. */
  readonly inherited: number;
}

/** Counts the blocked pairs of one or several address spaces. */
export function countPairs(pairs: readonly Neighbours[]): PairCounts {
  const counts = { pairs: 0, pgoff: 0, anon_vma: 0, both: 0, chain: 0, mergeable: 0, inherited: 0 };
  for (const { kind, inherited } of pairs) {
    if (kind === null) continue;
    counts.pairs++;
    counts[kind]++;
    if (inherited) counts.inherited++;
  }
  return counts;
}
