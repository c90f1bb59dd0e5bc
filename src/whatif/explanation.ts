/**
 * Why neighbours did not merge: every pair that touches, with what keeps it apart and since when, in groups, the most frequent first.
 *
 * A group is what a reader would fix at once: pairs with the same obstacles and the same remedies. Behind offset and anon_vma stand
 * operations of the input: the move that left an offset behind, the write that made an anon_vma. Which proposal would have joined a pair is not
 * guessed but tried: the input is played with each of them beside the baseline, and a pair is joined where one vma covers its border at the end.
 *
 * Cost   one machine for the baseline and one for each proposal that is tried
 */
import { PAGE_SIZE } from '../base/units.ts';
import type { VmaRow } from '../mm/index.ts';
import type { ReplayItem } from '../replay/index.ts';
import type { VerifyWhen } from '../replay/play/player.ts';
import { type Pass, playInSettledOrder } from '../replay/play/settledOrder.ts';
import {
  type Blocker,
  type BlockerKind,
  type Chapter,
  History,
  isDisplaced,
  LifeStories,
  type Neighbours,
  type PairCounts,
  type Remedy,
} from '../report/index.ts';
import type { Configuration } from './configurations.ts';
import { explainTables, NO_TABLES } from './explainTables.ts';
import { Lane, type LaneEnd, type ProcessEnd } from './lane.ts';
import type { OpPlace, PlaceBook } from './placeBook.ts';
import { playProgram } from './playProgram.ts';
import type { ItemsRun, RunInput } from './runInput.ts';
import type { TablesExplanation } from './tablesText.ts';

/** Where a page offset comes from that is not that of its address. */
export interface OffsetOrigin {
  readonly side: 'below' | 'above';
  /** The address that the offset is the one of. */
  readonly native: number;
  /** Where the last move took it from; null when it was not moved (the stack as execve built it). */
  readonly from: number | null;
  readonly place: OpPlace | null;
}

/** Where an anon_vma comes from. */
export interface AnonVmaOrigin {
  readonly side: 'below' | 'above';
  readonly anonVma: number;
  readonly how: 'first write' | 'fork' | 'start';
  readonly place: OpPlace | null;
}

/** A proposal that was tried on the whole input. */
export interface Trial {
  /** As it is named in texts: `mergePgoffOnMove`, `both`, `as mremap=relocate`. */
  readonly label: string;
  /** Blocked pairs of the baseline that it joins, of all processes. */
  readonly joined: number;
}

/** A pair with its history. */
export interface ExplainedPair extends Neighbours {
  /** Labels of the trials in which the pair is one vma at the end; for blocked pairs only. */
  readonly joinedBy: readonly string[];
  /** A side was moved while its memory was shared by fork, so no proposal gave it a new offset. */
  readonly wasSharedWhenMoved: boolean;
  readonly offsets: readonly OffsetOrigin[];
  readonly anonVmas: readonly AnonVmaOrigin[];
}

/** Pairs with the same obstacles and the same remedies. */
export interface PairGroup {
  /** The obstacles in words: `pgoff and anon_vma`. */
  readonly obstacles: string;
  /** Only offset, anon_vma or forks are in the way. */
  readonly isBlockedPair: boolean;
  /** What should join them by what they look like at the end. */
  readonly remedy: Remedy;
  /** What does, tried. */
  readonly joinedBy: readonly string[];
  readonly wasSharedWhenMoved: boolean;
  readonly pairs: readonly ExplainedPair[];
}

/** One address space explained. */
export interface ProcessExplanation {
  readonly pid: number;
  readonly isMain: boolean;
  readonly vmas: number;
  /** Pairs that touch. */
  readonly touching: number;
  readonly pairs: PairCounts;
  readonly groups: readonly PairGroup[];
}

/** The life of one vma. */
export interface Story {
  readonly pid: number | null;
  readonly vma: number;
  /** As it is at the end; null if it is gone. */
  readonly row: VmaRow | null;
  readonly chapters: readonly (Chapter & { readonly place: OpPlace | null })[];
}

/** Everything about one input. */
export interface Explanation {
  readonly input: string;
  readonly configuration: Configuration;
  /** What was tried; empty where no pair could be joined, or only a life was asked for. */
  readonly trials: readonly Trial[];
  readonly processes: readonly ProcessExplanation[];
  /** Lives of the vmas at the address that was asked for; empty when none was asked for or none was ever there. */
  readonly stories: readonly Story[];
  /** Page tables and memory at the end; nothing where only a life was asked for. */
  readonly tables: TablesExplanation;
}

/** How to explain. */
export interface ExplainOptions {
  readonly verify?: VerifyWhen;
  /** Tell the life of the vma at this address. */
  readonly address?: number | null;
  /** Proposals to try, beside the configuration that is explained. */
  readonly trials?: readonly Configuration[];
}

/** A lane with the history of what happened in it. */
interface Told {
  readonly lane: Lane;
  readonly history: History;
  readonly lives: LifeStories | null;
}

/** A trial at its end. */
interface TrialEnd {
  readonly label: string;
  readonly end: LaneEnd;
  readonly history: History;
}

/** Plays `input` and explains what it ends with. */
export function explainInput(
  input: RunInput,
  configuration: Configuration,
  options: ExplainOptions = {},
): Explanation {
  const { address = null, trials = [], verify } = options;
  const tried = address === null ? trials : [];
  const [told, ...others] = play(input, [configuration, ...tried], address !== null);
  const baseline = told as Told;
  const end = baseline.lane.end(verify);
  const ends = others.map(({ lane, history }): TrialEnd => {
    return { label: lane.configuration.label, end: lane.end(verify), history };
  });
  const explained = end.processes.map((process) => explainPairs(process, baseline, ends));
  const blocked = explained.flat().filter(({ kind }) => kind !== null);
  return {
    input: input.name,
    configuration,
    trials: ends.map(({ label }) => ({
      label,
      joined: blocked.filter(({ joinedBy }) => joinedBy.includes(label)).length,
    })),
    processes: end.processes.map((process, i) => ({
      pid: process.pid,
      isMain: process.isMain,
      vmas: process.rows.length,
      touching: process.neighbours.length,
      pairs: process.pairs,
      groups: groupsOf(explained[i] ?? []),
    })),
    stories: address === null ? [] : storiesAt(address, end.processes, baseline),
    tables: address === null ? explainTables(input, configuration) : NO_TABLES,
  };
}

function tell(configuration: Configuration, config: ItemsRun['config'], withLives: boolean): Told {
  const history = new History();
  const lives = withLives ? new LifeStories() : null;
  const lane: Lane = new Lane(configuration, {
    config,
    events: (event) => {
      history.add(event);
      if (lives === null) return;
      lives.add(event);
      lane.places.keep();
    },
  });
  return { lane, history, lives };
}

function play(input: RunInput, configurations: readonly Configuration[], withLives: boolean): Told[] {
  const begin = (config: ItemsRun['config']): Told[] =>
    configurations.map((each) => tell(each, config, withLives));
  if (input.kind === 'workload') {
    const told = begin({});
    for (const { lane } of told) playProgram(input, lane);
    return told;
  }
  const { config } = input;
  const { features } = configurations[0] as Configuration;
  return playInSettledOrder(input, { features, config }, () => new TellingPass(begin(config))).told;
}

/** All lanes over the items of an input. */
class TellingPass implements Pass {
  readonly told: Told[];
  readonly #first: Lane;

  constructor(told: Told[]) {
    this.told = told;
    this.#first = (told[0] as Told).lane;
  }

  lead(item: ReplayItem): boolean {
    this.#first.feed(item);
    return this.#first.isMisplaced;
  }

  follow(item: ReplayItem): void {
    for (const { lane } of this.told) if (lane !== this.#first) lane.feed(item);
  }
}

function explainPairs(process: ProcessEnd, told: Told, trials: readonly TrialEnd[]): ExplainedPair[] {
  const spaces = trials.map((trial) => ({
    ...trial,
    rows: trial.end.processes.find(({ pid }) => pid === process.pid)?.rows ?? [],
  }));
  const bordersOf = spaces.map(({ rows }) => new Set(rows.map(({ start }) => start)));
  return process.neighbours.map((pair): ExplainedPair => {
    const kinds = new Set(pair.blockers.map(({ kind }) => kind));
    const isOurs =
      pair.kind !== null || !pair.blockers.some(({ kind }) => kind === 'file' || kind === 'special');
    const border = pair.above.start;
    const joins = pair.kind === null ? [] : spaces.filter((_space, i) => bordersOf[i]?.has(border) === false);
    return {
      ...pair,
      joinedBy: joins.map(({ label }) => label),
      wasSharedWhenMoved:
        pair.kind !== null && spaces.some(({ rows, history }) => isMovedShared(rows, border, history)),
      offsets: isOurs && kinds.has('pgoff') ? offsetOrigins(pair, told) : [],
      anonVmas: isOurs && kinds.has('anon_vma') ? anonVmaOrigins(pair, told) : [],
    };
  });
}

/** Tells whether a vma at `border` kept its offset in a trial because it was shared when it was moved. */
function isMovedShared(rows: readonly VmaRow[], border: number, history: History): boolean {
  return rows.some(({ id, start, end }) => {
    if (start !== border && end !== border) return false;
    const update = history.moveOf(id)?.update;
    return update === 'shared-anon-vma' || update === 'shared-page';
  });
}

function offsetOrigins(pair: Neighbours, { history, lane }: Told): OffsetOrigin[] {
  return (['below', 'above'] as const).flatMap((side): OffsetOrigin[] => {
    const row = pair[side];
    if (!isDisplaced(row)) return [];
    const move = history.moveOf(row.id);
    const place = move === null ? null : lane.places.placeOf(move.op);
    return [{ side, native: row.pgoff * PAGE_SIZE, from: move?.from ?? null, place }];
  });
}

function anonVmaOrigins(pair: Neighbours, { history, lane }: Told): AnonVmaOrigin[] {
  return (['below', 'above'] as const).flatMap((side): AnonVmaOrigin[] => {
    const anonVma = pair[side].anonVma?.id;
    if (anonVma === undefined) return [];
    return [{ side, anonVma, ...birthOf(anonVma, history, lane.places) }];
  });
}

function birthOf(anonVma: number, history: History, places: PlaceBook): Pick<AnonVmaOrigin, 'how' | 'place'> {
  const birth = history.birthOf(anonVma);
  if (birth === null || birth.op === 0) return { how: 'start', place: null };
  return { how: birth.parent === null ? 'first write' : 'fork', place: places.placeOf(birth.op) };
}

/** Words for obstacles in the order in which they are named. */
const WORDS: Readonly<Record<BlockerKind, string>> = {
  special: 'a mapping of the kernel or a device',
  file: 'different files',
  permissions: 'permissions',
  flags: 'flags',
  policy: 'memory policy',
  uffd: 'userfaultfd',
  name: 'name',
  pgoff: 'pgoff',
  anon_vma: 'anon_vma',
  forked: 'fork (a side never written beside an inherited one)',
};

/** Names what is in the way. A special mapping or another file is reason enough; what else differs then says nothing. */
export function obstaclesOf(blockers: readonly Blocker[]): string {
  if (blockers.length === 0) return 'nothing';
  const enough = blockers.find(({ kind }) => kind === 'special' || kind === 'file');
  const named = enough === undefined ? blockers : [enough];
  const words = named.map((blocker) =>
    blocker.kind === 'flags' || blocker.kind === 'permissions'
      ? `${WORDS[blocker.kind]} (${differing(blocker)})`
      : WORDS[blocker.kind],
  );
  return words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

/** What one side has and what the other has, whichever side that is. */
function differing({ below, above }: { readonly below: string; readonly above: string }): string {
  return [below, above]
    .filter((codes) => codes !== '')
    .sort()
    .join(' against ');
}

function groupsOf(pairs: readonly ExplainedPair[]): PairGroup[] {
  const groups = new Map<string, ExplainedPair[]>();
  for (const pair of pairs) {
    const { kind, joinedBy, remedy, wasSharedWhenMoved } = pair;
    const key = JSON.stringify([obstaclesOf(pair.blockers), kind, joinedBy, remedy, wasSharedWhenMoved]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [pair]);
    else group.push(pair);
  }
  return [...groups.values()]
    .map((group): PairGroup => {
      const first = group[0] as ExplainedPair;
      return {
        obstacles: obstaclesOf(first.blockers),
        isBlockedPair: first.kind !== null,
        remedy: first.remedy,
        joinedBy: first.joinedBy,
        wasSharedWhenMoved: first.wasSharedWhenMoved,
        pairs: group,
      };
    })
    .sort((a, b) => Number(b.isBlockedPair) - Number(a.isBlockedPair) || b.pairs.length - a.pairs.length);
}

function storiesAt(address: number, processes: readonly ProcessEnd[], { lives, lane }: Told): Story[] {
  if (lives === null) return [];
  const chaptersOf = (vma: number): Story['chapters'] =>
    lives.story(vma).map((chapter) => ({ ...chapter, place: lane.places.placeOf(chapter.op) }));
  const stories: Story[] = [];
  for (const { pid, mm, rows, isMain } of processes) {
    const row = rows.find(({ start, end }) => start <= address && address < end) ?? null;
    const vma = row?.id ?? lives.lastAt(address, mm);
    // The children of a server all have what their parent had: the address is asked for in the main process first.
    if (vma === null || (stories.length > 0 && !isMain)) continue;
    stories.push({ pid, vma, row, chapters: chaptersOf(vma) });
  }
  if (stories.length > 0) return stories;
  const gone = lives.lastAt(address);
  return gone === null ? [] : [{ pid: null, vma: gone, row: null, chapters: chaptersOf(gone) }];
}
