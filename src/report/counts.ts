/**
 * Counts: one fold over the events of a run. How many vmas, which merges were done and why the others were not, splits, anon_vmas, moves.
 *
 * A merge attempt has two sides, the neighbour below and the one above; each side is joined, refused with a reason, or there is nobody to join.
 * Attempts are counted as seed 004 patch 6 counts them (one event each); reasons are counted by side, because each side that is
 * not joined is one vma more. The reason is the first obstacle that a merge meets: where the offset does not continue, nobody asked for the anon_vma.
 *
 * Invariant   `now` of an address space is its number of vmas; the peak is taken between operations, as somebody who reads maps sees it
 * Cost        a few additions an event
 */

import type { Cause, MergeVerdict, MmEvent, PgoffUpdate } from '../mm/index.ts';
import { isJoin } from '../mm/mergeVerdict.ts';

/** A verdict that lets two join. */
export type JoinVerdict = 'join-null' | 'join-same' | 'join-different';
/** A verdict that means that nobody is there to join. */
export type NobodyVerdict = 'none' | 'gap' | 'not-tried';
/** A verdict that refuses: the reason. */
export type RefusedVerdict = Exclude<MergeVerdict, JoinVerdict | NobodyVerdict>;

/** Every refusal, in words for a list: `its merges fail on flags or access`. What the proposals are about stands first. */
export const REFUSAL_WORDS: Readonly<Record<RefusedVerdict, string>> = {
  'pgoff-gap': 'offsets',
  'anon-vma-differs': 'anon_vmas',
  'anon-vma-shared': 'anon_vmas shared by fork',
  'fork-child': 'memory inherited by fork',
  'unfaulted-neighbour': 'neighbours that were never written',
  'flags-differ': 'flags or access',
  'file-differs': 'files',
  'name-differs': 'names',
  'policy-differs': 'memory policies',
  'uffd-differs': 'userfaultfd',
  special: 'special mappings',
  'has-close': 'mappings with a close callback',
};

/** The refusals in the order in which they are listed. */
export const REFUSALS = Object.keys(REFUSAL_WORDS) as readonly RefusedVerdict[];

/** An event of a merge attempt. */
export type MergeEvent = Extract<MmEvent, { kind: 'vmaMerge' }>;

/** What became of one side of an attempt. */
export type Side = JoinVerdict | RefusedVerdict | 'nobody';

/** Returns what became of the neighbour below and the one above. */
export function sidesOf(event: MergeEvent): { readonly below: Side; readonly above: Side } {
  const { predecessor, successor, both, merged } = event;
  const left = isJoin(predecessor);
  const right = isJoin(successor);
  if (!merged) {
    // Both would join, but a close callback of the vma between them forbids it.
    const blocked = successor === 'has-close' ? 'has-close' : 'nobody';
    return { below: left ? blocked : sideOf(predecessor), above: sideOf(successor) };
  }
  const onlyLeft = left && right && !isJoin(both);
  return { below: sideOf(predecessor), above: sideOf(onlyLeft ? both : successor) };
}

const sideOf = (verdict: MergeVerdict): Side =>
  verdict === 'none' || verdict === 'gap' || verdict === 'not-tried' ? 'nobody' : verdict;

/** vmas of an address space, or of all. */
export interface VmaCount {
  readonly now: number;
  readonly peak: number;
}

/** Attempts to merge. */
export interface Attempts {
  readonly tried: number;
  readonly merged: number;
}

/** Numbers by name; names that never occurred are left out. */
export type Tally<Name extends string> = Readonly<Partial<Record<Name, number>>>;

/** Everything that is counted. All of it is plain data and goes into `--json` as it is. */
export interface Counts {
  /** All address spaces together. */
  readonly vmas: VmaCount;
  /** By number of the address space, in order of appearance. */
  readonly addressSpaces: readonly (VmaCount & { readonly mm: number })[];
  readonly merges: Attempts & {
    /** Neighbours joined, by what their anon_vmas were. */
    readonly joined: Tally<JoinVerdict>;
    /** Neighbours not joined, by reason. */
    readonly refused: Tally<RefusedVerdict>;
    readonly byCause: Tally2<Cause, Attempts>;
    /** Attempts that failed with nothing but the anon_vma in the way on a side (AV_MERGE_FAILED). */
    readonly failedByAnonVma: number;
    /** Those of them in which memory shared by fork was the reason. */
    readonly failedBySharing: number;
  };
  readonly splits: number;
  readonly anonVmas: { readonly created: number; readonly shared: number; readonly forked: number };
  /** Pieces that mremap moved, by what became of their page offset. */
  readonly moves: Tally<PgoffUpdate>;
  /** Ranges and pages that went from one anon_vma to another. */
  readonly rehomed: { readonly ranges: number; readonly pages: number };
  /** Where we would have placed mappings, against where the recording says they were placed. */
  readonly placements: { readonly right: number; readonly wrong: number };
}

/** A record by name; names that never occurred are left out. */
export type Tally2<Name extends string, Value> = Readonly<Partial<Record<Name, Value>>>;

class Tallied<Name extends string> {
  readonly #of = new Map<Name, number>();
  add(name: Name): void {
    this.#of.set(name, (this.#of.get(name) ?? 0) + 1);
  }
  /** Returns the counts as a record with sorted names, so that the same counts print the same. */
  record(): Tally<Name> {
    const sorted = [...this.#of].sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(sorted) as Tally<Name>;
  }
}

interface Space {
  now: number;
  peak: number;
}

const ONLY_ANON_VMA: ReadonlySet<MergeVerdict> = new Set<MergeVerdict>([
  'anon-vma-differs',
  'anon-vma-shared',
  'fork-child',
  'unfaulted-neighbour',
]);
const BY_SHARING: ReadonlySet<MergeVerdict> = new Set<MergeVerdict>(['anon-vma-shared', 'fork-child']);

/** The fold. Hand it every event, then ask for `counts()`. */
export class EventCounts {
  readonly #spaces = new Map<number, Space>();
  readonly #all: Space = { now: 0, peak: 0 };
  /** Address spaces whose number of vmas changed in the operation at hand. */
  readonly #touched = new Set<Space>();
  #op = -1;
  #tried = 0;
  #merged = 0;
  #failedByAnonVma = 0;
  #failedBySharing = 0;
  readonly #joined = new Tallied<JoinVerdict>();
  readonly #refused = new Tallied<RefusedVerdict>();
  readonly #byCause = new Map<Cause, { tried: number; merged: number }>();
  #splits = 0;
  readonly #anonVmas = { created: 0, shared: 0, forked: 0 };
  readonly #moves = new Tallied<PgoffUpdate>();
  readonly #rehomed = { ranges: 0, pages: 0 };
  readonly #placements = { right: 0, wrong: 0 };

  /** Neighbours joined so far: what two runs are compared by after each operation. */
  nrJoined = 0;

  /** Number of vmas of all address spaces now. */
  get nrVmas(): number {
    return this.#all.now;
  }

  /** Takes one event. */
  add(event: MmEvent): void {
    if (event.op !== this.#op) this.#endOperation(event.op);
    switch (event.kind) {
      case 'vmaCreate':
        this.#count(event.mm, 1);
        return;
      case 'vmaSplit':
        this.#splits++;
        this.#count(event.mm, 1);
        return;
      case 'vmaRemove':
        this.#count(event.mm, -1);
        return;
      case 'vmaMerge':
        this.#merge(event);
        return;
      case 'vmaMove':
        this.#moves.add(event.pgoffUpdate);
        return;
      case 'anonVmaCreate':
        if (event.parent === null) this.#anonVmas.created++;
        else this.#anonVmas.forked++;
        return;
      case 'anonVmaShare':
        this.#anonVmas.shared++;
        return;
      case 'anonVmaRehome':
        this.#rehomed.ranges++;
        this.#rehomed.pages += event.pages;
        return;
      case 'placement':
        if (event.chosen === null) return;
        if (event.chosen === event.predicted) this.#placements.right++;
        else this.#placements.wrong++;
        return;
      case 'vmaResize':
      case 'pgoffMerge':
      case 'pagesMove':
      case 'markerSplit':
      case 'vrange':
      case 'vrangePurge':
      case 'flags':
        return;
    }
  }

  #count(mm: number, change: 1 | -1): void {
    let space = this.#spaces.get(mm);
    if (space === undefined) {
      space = { now: 0, peak: 0 };
      this.#spaces.set(mm, space);
    }
    space.now += change;
    this.#all.now += change;
    this.#touched.add(space);
  }

  /** An operation may split and join again; what counts for a peak is what is there when it is over. */
  #endOperation(op: number): void {
    this.#op = op;
    if (this.#touched.size === 0) return;
    for (const space of this.#touched) space.peak = Math.max(space.peak, space.now);
    this.#touched.clear();
    this.#all.peak = Math.max(this.#all.peak, this.#all.now);
  }

  #merge(event: MergeEvent): void {
    this.#tried++;
    if (event.merged) this.#merged++;
    let cause = this.#byCause.get(event.cause);
    if (cause === undefined) {
      cause = { tried: 0, merged: 0 };
      this.#byCause.set(event.cause, cause);
    }
    cause.tried++;
    if (event.merged) cause.merged++;
    const sides = sidesOf(event);
    this.#side(sides.below);
    this.#side(sides.above);
    if (event.merged) return;
    const { predecessor, successor } = event;
    if (ONLY_ANON_VMA.has(predecessor) || ONLY_ANON_VMA.has(successor)) this.#failedByAnonVma++;
    if (BY_SHARING.has(predecessor) || BY_SHARING.has(successor)) this.#failedBySharing++;
  }

  #side(side: Side): void {
    if (side === 'nobody') return;
    if (side === 'join-null' || side === 'join-same' || side === 'join-different') {
      this.nrJoined++;
      this.#joined.add(side);
    } else this.#refused.add(side);
  }

  /** Returns what was counted so far. */
  counts(): Counts {
    this.#endOperation(this.#op);
    const causes = [...this.#byCause].sort(([a], [b]) => (a < b ? -1 : 1));
    return {
      vmas: { ...this.#all },
      addressSpaces: [...this.#spaces].map(([mm, space]) => ({ mm, ...space })),
      merges: {
        tried: this.#tried,
        merged: this.#merged,
        joined: this.#joined.record(),
        refused: this.#refused.record(),
        byCause: Object.fromEntries(causes.map(([cause, attempts]) => [cause, { ...attempts }])),
        failedByAnonVma: this.#failedByAnonVma,
        failedBySharing: this.#failedBySharing,
      },
      splits: this.#splits,
      anonVmas: { ...this.#anonVmas },
      moves: this.#moves.record(),
      rehomed: { ...this.#rehomed },
      placements: { ...this.#placements },
    };
  }
}
