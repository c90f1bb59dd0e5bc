/**
 * The facts about one run: as text and as JSON, the same numbers.
 */
import type { FeatureSetting } from '../../mm/index.ts';
import { counted, grouped, type Tally } from '../../report/index.ts';
import { styled } from '../output.ts';
import type { Playback } from './playback.ts';

/** What was run, and how. */
export interface RunTitle {
  readonly input: string;
  readonly profile: string;
  readonly set: readonly FeatureSetting[];
  readonly seed: number;
}

/** Returns the facts as data. */
export function factsJson(title: RunTitle, playback: Playback): object {
  const { counts, machine } = playback;
  return {
    input: title.input,
    profile: title.profile,
    set: Object.fromEntries(title.set.map(({ name, value }) => [name, value])),
    seed: title.seed,
    ops: playback.ops,
    processes: machine.processes.map(({ pid, mm }) => ({ pid, vmas: mm?.mapCount ?? null })),
    ...counts,
    refusals: playback.refusals,
    warnings: playback.warnings.map(({ what, text, count, file, line }) => ({
      what,
      text,
      count,
      file,
      line,
    })),
  };
}

type Fact = readonly [name: string, value: string, more: string];

/** Returns the facts as text. */
export function factsText(title: RunTitle, playback: Playback): string {
  const set = title.set.map(({ name, value }) => ` ${name}=${value}`).join('');
  const lines = [styled('bold', `${title.input}  ${title.profile}${set}`)];
  const facts = factsOf(playback);
  const nameWidth = Math.max(...facts.map(([name]) => name.length));
  const valueWidth = Math.max(...facts.map(([, value]) => value.length));
  for (const [name, value, more] of facts)
    lines.push(`  ${name.padEnd(nameWidth)}  ${value.padStart(valueWidth)}  ${more}`.trimEnd());
  return `${lines.join('\n')}\n`;
}

function factsOf({ ops, counts, machine, refusals }: Playback): Fact[] {
  const { merges, anonVmas, placements } = counts;
  const processes = machine.processes;
  const spaces = processes.map(
    ({ pid, mm }) => `${mm === null ? 'unknown' : grouped(mm.mapCount)} in ${pid}`,
  );
  const facts: Fact[] = [
    [
      'operations',
      grouped(ops.total),
      `${counted(ops.calls, 'call')}, ${counted(ops.touches, 'touch', 'touches')}`,
    ],
    ['processes at the end', grouped(processes.length), ''],
    ['vmas at the end', grouped(counts.vmas.now), processes.length > 1 ? spaces.join(', ') : ''],
    ['vmas at the peak', grouped(counts.vmas.peak), ''],
    ['merges tried', grouped(merges.tried), ''],
    ['merges done', grouped(merges.merged), tallyText(merges.joined)],
    ['neighbours not joined', grouped(sum(merges.refused)), tallyText(merges.refused)],
    ['splits', grouped(counts.splits), ''],
    [
      'anon_vmas made',
      grouped(anonVmas.created + anonVmas.forked),
      `${grouped(anonVmas.forked)} by fork; ${counted(anonVmas.shared, 'vma')} took a neighbour's`,
    ],
    ['moves by mremap', grouped(sum(counts.moves)), tallyText(counts.moves)],
    ['refusals', grouped(refusals.reduce((n, each) => n + each.count, 0)), ''],
    ...refusals.map(
      ({ call, errno, why, count }): Fact => [`  ${call}`, grouped(count), `${errno} (${why})`],
    ),
  ];
  const placed = placements.right + placements.wrong;
  if (placed > 0)
    facts.push(['placements', grouped(placed), `${grouped(placements.right)} as we would have placed them`]);
  return facts;
}

const sum = (tally: Tally<string>): number =>
  Object.values(tally).reduce((total: number, n) => total + (n ?? 0), 0);

const tallyText = (tally: Tally<string>): string =>
  Object.entries(tally)
    .map(([name, n]) => `${name} ${grouped(n ?? 0)}`)
    .join(', ');
