/**
 * An explanation as plain data for JSON. Addresses are hex texts, as /proc prints them.
 */
import { hexRange } from '../base/units.ts';
import type { VmaRow } from '../mm/index.ts';
import type { ExplainedPair, Explanation, PairGroup, Story } from './explanation.ts';
import type { EmptiedGroup, ProcessTables } from './tables.ts';

/** Returns all of it: every pair of every group, and the lives that were asked for. */
export function explanationJson(explanation: Explanation): unknown {
  const { input, configuration, trials, processes, stories, tables } = explanation;
  return {
    input,
    features: configuration.features,
    trials,
    processes: processes.map(({ groups, ...process }) => ({ ...process, groups: groups.map(groupJson) })),
    stories: stories.map(storyJson),
    tables: {
      processes: tables.processes.map(tablesJson),
      onTheWay: { ...tables.onTheWay, groups: tables.onTheWay.groups.map(emptiedJson) },
      trials: tables.trials,
    },
  };
}

const tablesJson = ({ groups, ...process }: ProcessTables): unknown => ({
  ...process,
  groups: groups.map(emptiedJson),
});

const emptiedJson = ({ bases, ...group }: EmptiedGroup): unknown => ({
  ...group,
  bases: bases.map((base) => base.toString(16)),
});

const groupJson = (group: PairGroup): unknown => ({
  count: group.pairs.length,
  obstacles: group.obstacles,
  isBlockedPair: group.isBlockedPair,
  remedy: group.remedy,
  joinedBy: group.joinedBy,
  wasSharedWhenMoved: group.wasSharedWhenMoved,
  pairs: group.pairs.map(pairJson),
});

const pairJson = ({
  below,
  above,
  kind,
  inherited,
  blockers,
  offsets,
  anonVmas,
}: ExplainedPair): unknown => ({
  below: rowJson(below),
  above: rowJson(above),
  kind,
  inherited,
  blockers,
  offsets: offsets.map(({ side, native, from, place }) => ({
    side,
    offsetOf: native.toString(16),
    movedFrom: from === null ? null : from.toString(16),
    place,
  })),
  anonVmas,
});

const rowJson = (row: VmaRow): unknown => ({
  range: hexRange(row.start, row.end),
  perms: row.perms,
  flags: row.flagCodes,
  pgoff: row.pgoff.toString(16),
  name: row.name,
  anonVma: row.anonVma,
  chain: row.chain,
});

const storyJson = ({ pid, vma, row, chapters }: Story): unknown => ({
  pid,
  vma,
  row: row === null ? null : rowJson(row),
  chapters,
});
