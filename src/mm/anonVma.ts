/**
 * Anonymous reverse mapping, its topology: which anon_vmas there are, which vmas hang on them, who is whose parent.
 *
 * A vma that was written has an `anonVma` (its new pages belong there) and a chain of all anon_vmas its pages may belong to:
 * its own and, after fork, those of its ancestors. A folio points to one AnonVma; a walk from there (rmap.ts) visits the vmas attached to it.
 * Splits clone the chain, merges drop the absorbed vma's links, fork adds one.
 *
 * Invariants (verify.ts recounts them)
 *   [anon-vma-active]    `nrActiveVmas` is the number of vmas whose `anonVma` is this one
 *   [anon-vma-attached]  `attached` are the vmas in whose chain it is
 *   [anon-vma-children]  `nrChildren` is the number of living anon_vmas whose parent it is; a root counts itself once
 *   [anon-vma-chain]     a vma's own anon_vma is in its chain; all of a chain share one root; no chain holds one twice
 * Cost    a chain has one entry per generation of forks; everything here is linear in it
 * Linux   mm/rmap.c: __anon_vma_prepare, anon_vma_clone, anon_vma_fork, unlink_anon_vmas; mm/vma.c: find_mergeable_anon_vma
 * Left out   the interval tree over attached vmas (a set: walks are linear in it), locks
 */
import type { Kernel } from './kernel.ts';
import { NO_CHAIN, nrPagesOf, type Vma } from './vma.ts';
import { VM_ACCESS_FLAGS, VM_STICKY } from './vmFlags.ts';

/** One anon_vma. Only this file writes its fields. */
export class AnonVma {
  readonly id: number;
  readonly root: AnonVma;
  readonly parent: AnonVma;
  nrActiveVmas = 0;
  /** The vmas in whose chain it is: those that may map its pages. */
  readonly attached = new Set<Vma>();
  /** Of a root: how often a vma was put into the tree of it or of one below. */
  nrPut = 0;
  nrChildren = 0;

  /** @param parent  the anon_vma of the vma that forked, or null for a new root */
  constructor(id: number, parent: AnonVma | null) {
    this.id = id;
    this.parent = parent ?? this;
    this.root = parent === null ? this : parent.root;
    this.parent.nrChildren++;
  }
}

/** Makes an anon_vma that pages of `kernel` can point to. */
function newAnonVma(kernel: Kernel, parent: AnonVma | null): AnonVma {
  const anonVma = new AnonVma(kernel.nextAnonVmaId(), parent);
  kernel.anonVmas.set(anonVma.id, anonVma);
  return anonVma;
}

/** Links `anonVma` as the newest entry of the chain of `vma`. */
function attach(vma: Vma, anonVma: AnonVma): void {
  vma.chain = [...vma.chain, anonVma];
  anonVma.attached.add(vma);
  vma.putAt = ++anonVma.root.nrPut;
}

/** The borders of `vma` have changed: it is taken out of the trees and put in again, behind others that begin where it does. Linux: anon_vma_interval_tree_post_update_vma() */
export function putAgain(vma: Vma): void {
  if (vma.anonVma !== null) vma.putAt = ++vma.anonVma.root.nrPut;
}

/**
 * Tells whether `vma` came to its memory by fork: its chain has more than one entry. Such a vma never merges with anything that does not
 * already carry the same anon_vma. Linux: vma_is_fork_child().
 */
export const isForkChild = (vma: Vma): boolean => vma.chain.length > 1;

/**
 * Tells whether no vma of another process can map pages of `anonVma`: it is a root, and every vma attached to it has it as its own.
 * Linux: the vma-level test of seed 004, patches 4 and 5. Cost: two comparisons, because both counts are kept.
 */
export const isUnsharedAnonVma = (anonVma: AnonVma): boolean =>
  anonVma === anonVma.root && anonVma.attached.size === anonVma.nrActiveVmas;

/** Tells whether two touching vmas (`a` below `b`) differ in nothing but access, so that they may share an anon_vma. */
function isAnonVmaCompatible(a: Vma, b: Vma): boolean {
  return (
    a.end === b.start &&
    a.policy === b.policy &&
    a.file === b.file &&
    ((a.flags ^ b.flags) & ~(VM_ACCESS_FLAGS | VM_STICKY)) === 0 &&
    b.pgoff === a.pgoff + nrPagesOf(a)
  );
}

/** Returns the neighbour whose anon_vma a first write in `vma` would share, next before prev; or null. */
function sharableNeighbour(vma: Vma): Vma | null {
  const { next, prev } = vma;
  if (next?.anonVma && next.chain.length === 1 && isAnonVmaCompatible(vma, next)) return next;
  if (prev?.anonVma && prev.chain.length === 1 && isAnonVmaCompatible(prev, vma)) return prev;
  return null;
}

/**
 * Makes sure that `vma` has an anon_vma: takes the one of a compatible touching neighbour, else makes a new root.
 *
 * Cost     O(1)
 * Events   anonVmaCreate or anonVmaShare
 * Source   spec/vma.md 14.4
 */
export function prepareAnonVma(kernel: Kernel, vma: Vma): void {
  if (vma.anonVma !== null) return;
  const neighbour = sharableNeighbour(vma);
  const anonVma = neighbour?.anonVma ?? newAnonVma(kernel, null);
  attach(vma, anonVma);
  anonVma.nrActiveVmas++;
  vma.anonVma = anonVma;
  kernel.emit?.(
    neighbour === null
      ? { kind: 'anonVmaCreate', op: kernel.opNr, anonVma: anonVma.id, vma: vma.id, parent: null }
      : { kind: 'anonVmaShare', op: kernel.opNr, anonVma: anonVma.id, vma: vma.id, from: neighbour.id },
  );
}

/** Gives `to`, which has no chain yet, the chain and the anon_vma of `from`: what a split or a duplicate does. */
export function cloneAnonVma(to: Vma, from: Vma): void {
  for (const anonVma of from.chain) anonVma.attached.add(to);
  to.chain = from.chain;
  to.anonVma = from.anonVma;
  if (to.anonVma !== null) to.anonVma.nrActiveVmas++;
  putAgain(to);
}

/** Gives `to` the anon_vma of `from` if `to` has none: what a merge does before `from` disappears. Linux: dup_anon_vma(). */
export function adoptAnonVma(to: Vma, from: Vma): void {
  if (to.anonVma === null && from.anonVma !== null) cloneAnonVma(to, from);
}

/**
 * Links the child's copy of a vma: every anon_vma of the parent's chain, then one of its own. An anon_vma of the chain that lost
 * its last vma and has at most one child is adopted instead of a new one.
 *
 * Source   spec/vma.md 13.2
 */
export function forkAnonVma(kernel: Kernel, child: Vma, parent: Vma): void {
  if (parent.anonVma === null) return;
  let own: AnonVma | null = null;
  for (const anonVma of parent.chain) {
    attach(child, anonVma);
    if (own === null && anonVma.nrChildren < 2 && anonVma.nrActiveVmas === 0) own = anonVma;
  }
  if (own === null) {
    own = newAnonVma(kernel, parent.anonVma);
    attach(child, own);
    kernel.emit?.({
      kind: 'anonVmaCreate',
      op: kernel.opNr,
      anonVma: own.id,
      vma: child.id,
      parent: own.parent.id,
    });
  }
  own.nrActiveVmas++;
  child.anonVma = own;
}

/** Takes `vma` off every anon_vma of its chain; it is unfaulted afterwards. An anon_vma without vmas leaves its parent. */
export function unlinkAnonVmas(kernel: Kernel, vma: Vma): void {
  if (vma.anonVma === null) return;
  for (const anonVma of vma.chain) {
    anonVma.attached.delete(vma);
    if (anonVma.attached.size > 0) continue;
    anonVma.parent.nrChildren--;
    kernel.anonVmas.delete(anonVma.id);
  }
  vma.chain = NO_CHAIN;
  vma.anonVma.nrActiveVmas--;
  vma.anonVma = null;
}
