/**
 * Coverage: which verdicts, refusal reasons, errnos and kinds of faults of the model a run has reached, out of a closed list.
 *
 * The list (COVERAGE_UNIVERSE) comes from the lists of the model itself, so a new verdict or reason is in it from the start. Keys that no
 * operation reaches on linux-6.18, only with a switch in another position, are in the group `switch`.
 *
 * Invariant   what is not in the list is remembered too (`strays`): a test holds that there is none
 * Cost        some table look-ups and a byte set for an event or an outcome; nothing is allocated
 * Left out    how often: a flag is all there is
 */
import type { Op, Outcome } from '../machine/index.ts';
import {
  type Cause,
  MERGE_VERDICTS,
  type MergeVerdict,
  type MmEvent,
  PGOFF_UPDATES,
  WHYS,
  WORK_NAMES,
  type Work,
} from '../mm/index.ts';
import { CALL_ERRORS } from './callErrors.ts';

/** What belongs together in a list of keys. */
export type CoverageGroup =
  | 'predecessor'
  | 'successor'
  | 'both'
  | 'move'
  | 'why'
  | 'errno'
  | 'fault'
  | 'signal'
  | 'event'
  | 'switch';

/** One thing that can be reached: `predecessor:join-null`, `why:hole`, `mmap:ENOMEM`, `fault:cow`, `split:mprotect` … */
export interface CoverageKey {
  readonly key: string;
  readonly group: CoverageGroup;
}

/** What `both` is asked once each side would join. */
const BOTH: readonly MergeVerdict[] = [
  'not-tried',
  'join-null',
  'join-same',
  'join-different',
  'anon-vma-differs',
  'anon-vma-shared',
];
/** Only looked at for the vma that would go, which the one below never is. */
const SUCCESSOR_ONLY: MergeVerdict = 'has-close';

/** On whose behalf vmas are changed through vma_modify(). */
const MODIFIERS: readonly Cause[] = ['mprotect', 'mlock', 'madvise', 'mbind', 'uffd', 'mseal', 'name'];
/** What happens to vmas, and on whose behalf it can. `merge` is one that worked, `join` a vma that went into another. */
const CAUSED = {
  create: ['initial', 'mmap', 'brk', 'mremap', 'fork'],
  merge: ['mmap', 'brk', 'mremap', ...MODIFIERS],
  join: ['mmap', 'mremap', ...MODIFIERS],
  split: ['munmap', 'mmap', 'brk', 'mremap', ...MODIFIERS],
  remove: ['munmap', 'mmap', 'brk', 'mremap', 'shm', 'exit'],
  flags: ['mremap', 'ksm', ...MODIFIERS],
  grow: ['stack'],
} as const satisfies Record<string, readonly Cause[]>;

const SIGNALS = ['SEGV_MAPERR', 'SEGV_ACCERR', 'BUS_ADRERR'] as const;
/** A copy that merged: of what, and with which page offset. */
const PGOFF_MERGES = ['file', 'unfaulted', 'faulted', 'faulted-updated'] as const;

/** Keys that need a switch in another position than linux-6.18 has it. */
const BY_SWITCH: ReadonlySet<string> = new Set([
  ...['predecessor', 'successor', 'both'].flatMap((side) => [
    `${side}:join-different`,
    `${side}:anon-vma-shared`,
  ]),
  ...['predecessor', 'successor'].flatMap((side) => [`${side}:unfaulted-neighbour`, `${side}:name-differs`]),
  ...['updated', 'relocated', 'shared-anon-vma', 'shared-page'].map((update) => `move:${update}`),
  'pgoff-merge:faulted-updated',
  'anon-vma:rehomed',
  'why:relocate-refused',
  'vrange:EINVAL',
  'vrange:ENOMEM',
  'vrange:ENOSYS',
  'set_vma_name:EBADF',
  'set_vma_name:ENOMEM',
  'merge:name',
  'join:name',
  'split:name',
  'flags:name',
]);

const universe: CoverageKey[] = [];

/** Adds keys `prefix:name` to the list; returns the place of each in it, by name. */
function enter(group: CoverageGroup, prefix: string, names: readonly string[]): ReadonlyMap<string, number> {
  const places = new Map<string, number>();
  for (const name of names) {
    const key = `${prefix}:${name}`;
    places.set(name, universe.length);
    universe.push({ key, group: BY_SWITCH.has(key) ? 'switch' : group });
  }
  return places;
}

const PREDECESSOR = enter(
  'predecessor',
  'predecessor',
  MERGE_VERDICTS.filter((verdict) => verdict !== SUCCESSOR_ONLY),
);
const SUCCESSOR = enter('successor', 'successor', MERGE_VERDICTS);
const TOGETHER = enter('both', 'both', BOTH);
const MOVE = enter('move', 'move', PGOFF_UPDATES);
const PGOFF_MERGE = enter('move', 'pgoff-merge', PGOFF_MERGES);
const WHY = enter(
  'why',
  'why',
  WHYS.filter((why) => why !== 'ok'),
);
const ERRNO = new Map(
  Object.entries(CALL_ERRORS).map(([call, errnos]) => [call, enter('errno', call, errnos)]),
);
const FAULT = WORK_NAMES.faults.map((name) => enter('fault', 'fault', [name]).get(name) ?? 0);
const SIGNAL = enter('signal', 'signal', SIGNALS);
const CREATE = enter('event', 'create', CAUSED.create);
const MERGE = enter('event', 'merge', CAUSED.merge);
const JOIN = enter('event', 'join', CAUSED.join);
const SPLIT = enter('event', 'split', CAUSED.split);
const REMOVE = enter('event', 'remove', CAUSED.remove);
const FLAGS = enter('event', 'flags', CAUSED.flags);
const GROW = enter('event', 'grow', CAUSED.grow);
const ANON_VMA = enter('event', 'anon-vma', ['root', 'child', 'shared', 'rehomed']);
const NONE: ReadonlyMap<string, number> = new Map();

/** Everything that can be reached, each key once. */
export const COVERAGE_UNIVERSE: readonly CoverageKey[] = universe;
const PLACE: ReadonlyMap<string, number> = new Map(universe.map(({ key }, i) => [key, i]));

/** Returns the keys that are not among `keys`, in the order of COVERAGE_UNIVERSE. */
export function unreached(keys: Iterable<string>): CoverageKey[] {
  const reached = new Set(keys);
  return universe.filter(({ key }) => !reached.has(key));
}

const pgoffMerge = (e: { readonly faulted: boolean; readonly updated: boolean }): string => {
  if (e.faulted) return e.updated ? 'faulted-updated' : 'faulted';
  return e.updated ? 'unfaulted' : 'file';
};

/** What a run has reached so far. */
export class Coverage {
  readonly #flags = new Uint8Array(universe.length);
  /** What came that is in no list; empty unless the list is wrong. */
  readonly strays = new Set<string>();

  /** Takes note of an event. May be handed on as the sink of a kernel: it needs no `this`. */
  readonly event = (e: MmEvent): void => {
    switch (e.kind) {
      case 'vmaMerge':
        this.#set(PREDECESSOR, e.predecessor);
        this.#set(SUCCESSOR, e.successor);
        this.#set(TOGETHER, e.both);
        if (e.merged) this.#set(MERGE, e.cause);
        return;
      case 'vmaCreate':
        this.#set(CREATE, e.cause);
        return;
      case 'vmaSplit':
        this.#set(SPLIT, e.cause);
        return;
      case 'vmaRemove':
        this.#set(e.into === null ? REMOVE : JOIN, e.cause);
        return;
      case 'vmaResize':
        // Any other is part of a merge.
        if (e.cause === 'stack') this.#set(GROW, e.cause);
        return;
      case 'flags':
        this.#set(FLAGS, e.cause);
        return;
      case 'vmaMove':
        this.#set(MOVE, e.pgoffUpdate);
        return;
      case 'pgoffMerge':
        this.#set(PGOFF_MERGE, pgoffMerge(e));
        return;
      case 'anonVmaCreate':
        this.#set(ANON_VMA, e.parent === null ? 'root' : 'child');
        return;
      case 'anonVmaShare':
        this.#set(ANON_VMA, 'shared');
        return;
      case 'anonVmaRehome':
        this.#set(ANON_VMA, 'rehomed');
        return;
      case 'placement':
      case 'pagesMove':
      case 'markerSplit':
      case 'vrange':
      case 'vrangePurge':
        return;
    }
  };

  /** Takes note of what came of an operation. */
  outcome(op: Op, outcome: Outcome): void {
    switch (outcome.kind) {
      case 'value':
        if (outcome.why !== 'ok') this.#set(WHY, outcome.why);
        return;
      case 'errno':
        this.#set(WHY, outcome.why);
        this.#set(ERRNO.get(op.call) ?? NONE, outcome.errno);
        return;
      case 'signal':
        this.#set(SIGNAL, outcome.code);
        return;
      case 'ioctl':
        this.outcome(op, outcome.result);
        return;
      case 'messages':
        if (outcome.error !== null) this.outcome(op, outcome.error);
        return;
      case 'resident':
      case 'blocked':
      case 'unknown-memory':
        return;
    }
  }

  /** Takes note of the kinds of faults that a kernel has counted so far: once is enough, at the end of a run. */
  faults(work: Work): void {
    for (const [kind, place] of FAULT.entries())
      if ((work.faults[kind] as number) > 0) this.#flags[place] = 1;
  }

  /** Returns the keys reached, in the order of COVERAGE_UNIVERSE. */
  keys(): string[] {
    return universe.flatMap(({ key }, i) => (this.#flags[i] === 0 ? [] : [key]));
  }

  /** Adds what another run has reached; keys that are in no list (of another version, say) are passed over. */
  add(keys: Iterable<string>): void {
    for (const key of keys) {
      const place = PLACE.get(key);
      if (place !== undefined) this.#flags[place] = 1;
    }
  }

  #set(places: ReadonlyMap<string, number>, name: string): void {
    const place = places.get(name);
    if (place !== undefined) this.#flags[place] = 1;
    else this.strays.add(name);
  }
}
