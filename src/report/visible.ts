/**
 * Neighbours as /proc shows them: maps has ranges, access and files, smaps has flags too; nothing has page offsets of anonymous memory,
 * anon_vmas, memory policies or userfaultfd contexts.
 *
 * So of two private anonymous neighbours that look alike all that can be said is that one of those keeps them apart.
 */
import { nrPagesIn } from '../base/units.ts';

/** A vma as /proc shows it. */
export interface VisibleVma {
  readonly start: number;
  readonly end: number;
  readonly perms: string;
  /** Bytes; 0 for anonymous memory. */
  readonly offset: number;
  readonly dev: string;
  readonly inode: number | string;
  readonly name: string;
  /** Codes of smaps' VmFlags, null where there is only maps. */
  readonly vmFlags: readonly string[] | null;
}

/** What can be seen to differ between two neighbours. */
export type VisibleBlocker = 'special' | 'permissions' | 'flags' | 'file' | 'name' | 'offset';

/** Two vmas that touch, and what can be seen to keep them apart. */
export interface VisibleNeighbours {
  readonly below: VisibleVma;
  readonly above: VisibleVma;
  readonly blockers: readonly VisibleBlocker[];
  /** Nothing that can be seen keeps them apart, and both are private anonymous memory. */
  readonly isHidden: boolean;
}

/** Flags that do not hinder a merge. */
const STICKY: ReadonlySet<string> = new Set(['gu', 'sd']);
/** Flags of mappings that nothing joins. */
const SPECIAL: ReadonlySet<string> = new Set(['io', 'de', 'pf', 'mm']);

const isFile = (vma: VisibleVma): boolean => vma.inode !== 0 || vma.dev !== '00:00';
const isAnonymous = (vma: VisibleVma): boolean =>
  !isFile(vma) && (vma.name === '' || vma.name === '[heap]' || /^\[(stack|anon:)/.test(vma.name));

/** Names that the kernel derives from the place of a vma say nothing about merging. */
const givenName = (vma: VisibleVma): string => (/^\[(heap|stack)\]$/.test(vma.name) ? '' : vma.name);

const flagsText = (vma: VisibleVma): string =>
  (vma.vmFlags ?? []).filter((code) => !STICKY.has(code)).join(' ');

function blockersOf(below: VisibleVma, above: VisibleVma): VisibleBlocker[] {
  const special = (vma: VisibleVma): boolean =>
    (!isFile(vma) && !isAnonymous(vma)) || (vma.vmFlags ?? []).some((code) => SPECIAL.has(code));
  const sameFile = below.inode === above.inode && below.dev === above.dev;
  // A mapping of the kernel or another file is reason enough; what else differs then says nothing.
  if (special(below) || special(above)) return ['special'];
  if (!sameFile) return ['file'];
  const found: (VisibleBlocker | false)[] = [
    below.perms !== above.perms && 'permissions',
    below.perms === above.perms && flagsText(below) !== flagsText(above) && 'flags',
    givenName(below) !== givenName(above) && 'name',
    isFile(below) && below.offset + below.end - below.start !== above.offset && 'offset',
  ];
  return found.filter((blocker) => blocker !== false);
}

/** Returns every pair of vmas that touch. @param vmas  of one address space, ascending */
export function visibleNeighbours(vmas: readonly VisibleVma[]): VisibleNeighbours[] {
  const pairs: VisibleNeighbours[] = [];
  for (let i = 1; i < vmas.length; i++) {
    const below = vmas[i - 1] as VisibleVma;
    const above = vmas[i] as VisibleVma;
    if (below.end !== above.start || nrPagesIn(above.end - above.start) === 0) continue;
    const blockers = blockersOf(below, above);
    const isPrivate = below.perms[3] === 'p';
    const isHidden = blockers.length === 0 && isPrivate && isAnonymous(below);
    pairs.push({ below, above, blockers, isHidden });
  }
  return pairs;
}
