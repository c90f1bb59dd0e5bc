/**
 * The facts about one run: as text and as JSON, the same numbers.
 */

import type { CostTable } from '../../machine/index.ts';
import type { FeatureSetting } from '../../mm/index.ts';
import { counted, grouped, type Tally, textTable, type WorkCounts, workCounts } from '../../report/index.ts';
import { actJson, actLines, seriesTable } from '../../whatif/actsText.ts';
import { styled } from '../output.ts';
import type { Playback } from './playback.ts';
import { type TableFactsOf, tableFacts } from './tableFacts.ts';

/** What was run, and how. */
export interface RunTitle {
  readonly input: string;
  readonly profile: string;
  readonly set: readonly FeatureSetting[];
  readonly seed: number;
  /** What times are modelled with. */
  readonly costs: CostTable;
}

/** Returns the facts as data. */
export function factsJson(title: RunTitle, playback: Playback): object {
  const { counts, machine } = playback;
  const { pageTables, faults, vranges, facts, charges } = workCounts(machine.kernel.work);
  const { measured } = title.costs.calibration;
  return {
    input: title.input,
    profile: title.profile,
    set: Object.fromEntries(title.set.map(({ name, value }) => [name, value])),
    seed: title.seed,
    ops: playback.ops,
    processes: machine.processes.map(({ pid, mm }) => ({
      pid,
      vmas: mm?.mapCount ?? null,
      pageTables: mm?.pages.bytes ?? null,
    })),
    ...counts,
    work: { pageTables, faults, vranges, facts },
    emptyTables: {
      end: machine.kernel.work.nrEmptyTables,
      peak: machine.kernel.work.peakEmptyTables,
      scanNs: machine.tableReclaim.times.allNs,
      longestScanNs: machine.tableReclaim.times.longestNs,
      rcuPending: machine.tableReclaim.rcuPendingTables,
    },
    modelled: { ...title.costs.timeOf(charges), measured },
    ...(playback.acts.length === 0
      ? {}
      : { bound: playback.bound, acts: playback.acts.map((act) => actJson(act, title.costs)) }),
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

const BOUND_TEXT = {
  least:
    ', recorded accesses alone: faults, pages, page tables and time are at least these (compare has the most besides)',
  most: ', with all accesses that may have been made',
  some: ', recorded accesses alone',
} as const;

/** Returns the facts as text. */
export function factsText(title: RunTitle, playback: Playback): string {
  const set = title.set.map(({ name, value }) => ` ${name}=${value}`).join('');
  const lines = [styled('bold', `${title.input}  ${title.profile}${set}`)];
  const work = workCounts(playback.machine.kernel.work);
  const { bound } = playback;
  const facts = [
    ...factsOf(playback),
    ...workFacts(work),
    ...tableFacts(tablesOf(playback, title.costs)),
    ...timeFacts(work, title.costs),
  ];
  const nameWidth = Math.max(...facts.map(([name]) => name.length));
  const valueWidth = Math.max(...facts.map(([, value]) => value.length));
  for (const [name, value, more] of facts)
    lines.push(`  ${name.padEnd(nameWidth)}  ${value.padStart(valueWidth)}  ${more}`.trimEnd());
  const told = playback.acts.flatMap((act) => [
    '',
    `  ${act.name}${bound === null ? '' : BOUND_TEXT[bound]}`,
    ...actLines(act, title.costs).map((line) => `    ${line}`),
    ...(act.series === undefined ? [] : [textTable(seriesTable(act.series))]),
  ]);
  return `${[...lines, ...told].join('\n')}\n`;
}

const tablesOf = ({ machine }: Playback, costs: CostTable): TableFactsOf => {
  const counters = machine.kernel.work;
  const work = workCounts(counters);
  return {
    work,
    empty: { end: counters.nrEmptyTables, peak: counters.peakEmptyTables },
    scans: machine.tableReclaim.times,
    totalNs: costs.timeOf(work.charges).totalNs,
  };
};

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

/** What was done to tables and pages; what did not occur is left out. */
function workFacts({ pageTables, faults, nrFaults, vranges, facts }: WorkCounts): Fact[] {
  const kB = (bytes: number): string => `${grouped(bytes / 1024)} kB`;
  const moved = facts.tablesMoved === 0 ? '' : `; ${counted(facts.tablesMoved, 'table')} moved as a whole`;
  const found: (readonly [n: number, fact: Fact])[] = [
    [
      pageTables.peak,
      ['page tables at the end', kB(pageTables.end), `${kB(pageTables.peak)} at the peak${moved}`],
    ],
    [nrFaults, ['faults', grouped(nrFaults), tallyText(withoutZeros(faults))]],
    [facts.pagesAllocated, ['pages allocated', grouped(facts.pagesAllocated), '']],
    [facts.pagesZeroed, ['pages zeroed', grouped(facts.pagesZeroed), '']],
    [facts.pagesCopied, ['pages copied', grouped(facts.pagesCopied), '']],
    ...vrangeFacts(vranges, facts),
    ...reclaimFacts(facts),
  ];
  return found.flatMap(([n, fact]) => (n === 0 ? [] : [fact]));
}

/** What vrange did, and what was purged. */
function vrangeFacts(
  vranges: WorkCounts['vranges'],
  facts: WorkCounts['facts'],
): (readonly [n: number, fact: Fact])[] {
  const calls = facts.vrangeVolatileCalls + facts.vrangeNovolatileCalls;
  const some = (rows: readonly (readonly [n: number, what: string])[]): string =>
    rows.flatMap(([n, what]) => (n === 0 ? [] : [`${grouped(n)} ${what}`])).join(', ');
  const met = some([
    [vranges.peak, 'at the peak'],
    [facts.vrangesMerged, 'joined to others'],
    [facts.vrangesSplit, 'cut in two'],
    [facts.vrangeTreeSteps, 'steps in trees'],
  ]);
  const purged = some([
    [facts.purgePagesScanned, 'looked at'],
    [facts.purgeSkippedLocked, 'locked'],
    [facts.purgeSkippedShared, 'shared'],
    [facts.purgeSkippedPinned, 'pinned'],
    [facts.vrangeOvershoot, 'more than wanted'],
  ]);
  const touched = facts.purgedTouched + facts.purgedCopied;
  return [
    [calls, ['vrange calls', grouped(calls), `${grouped(facts.vrangeNovolatileCalls)} of them NOVOLATILE`]],
    [vranges.peak, ['volatile ranges at the end', grouped(vranges.end), met]],
    [
      facts.vrangePagesWalked,
      [
        'entries looked at for them',
        grouped(facts.vrangePagesWalked),
        facts.vrangeFalseHintWalks === 0 ? '' : `in vain in ${counted(facts.vrangeFalseHintWalks, 'range')}`,
      ],
    ],
    [facts.purgePagesScanned, ['pages purged', grouped(facts.pagesPurged), purged]],
    [
      touched,
      [
        'purged pages touched',
        grouped(touched),
        some([
          [facts.purgedTouched, 'SIGBUS'],
          [facts.purgedCopied, 'EFAULT'],
        ]),
      ],
    ],
  ];
}

/** What was done because memory was short. */
function reclaimFacts(facts: WorkCounts['facts']): (readonly [n: number, fact: Fact])[] {
  const { lruScanned, lruRotated, lruActivated, lruDeactivated, reclaimedDirect, reclaimedKswapd } = facts;
  const stayed = { stayed: lruRotated, 'became active': lruActivated, 'became inactive': lruDeactivated };
  const by = { 'by who needed memory': reclaimedDirect, 'by kswapd': reclaimedKswapd };
  const reclaimed = reclaimedDirect + reclaimedKswapd;
  return [
    [lruScanned, ['pages scanned', grouped(lruScanned), tallyText(withoutZeros(stayed))]],
    [reclaimed, ['pages reclaimed', grouped(reclaimed), tallyText(withoutZeros(by))]],
    [facts.lruDiscarded, ['freed lazily, dropped', grouped(facts.lruDiscarded), '']],
    [facts.pagesSwappedOut, ['swapped out', grouped(facts.pagesSwappedOut), '']],
    [facts.pagesSwappedIn, ['swapped in', grouped(facts.pagesSwappedIn), '']],
    [facts.fileEvicted, ['pages of files dropped', grouped(facts.fileEvicted), '']],
    [facts.fileWrittenBack, ['pages of files written back', grouped(facts.fileWrittenBack), '']],
    [facts.limitsMet, ['limits met', grouped(facts.limitsMet), '']],
    [facts.oomKills, ['killed for want of memory', grouped(facts.oomKills), '']],
  ];
}

const withoutZeros = (tally: Readonly<Record<string, number>>): Tally<string> =>
  Object.fromEntries(Object.entries(tally).filter(([, n]) => n > 0));

/** So many paths have lines of their own. */
const NR_PATHS = 8;

/** Where the modelled time goes: the dearest paths, the rest. */
function timeFacts({ charges }: WorkCounts, costs: CostTable): Fact[] {
  const { totalNs, paths } = costs.timeOf(charges);
  if (paths.length === 0) return [];
  const shown = paths.slice(0, NR_PATHS);
  const rest = paths.slice(NR_PATHS);
  const microseconds = (ns: number): string => `${grouped(Math.round(ns / 1000))} µs`;
  const { name, measured } = costs.calibration;
  return [
    ['modelled time', microseconds(totalNs), `calibration ${name}, measured ${measured}`],
    ...shown.map(
      ({ path, calls, pages, ns }): Fact => [`  ${path}`, microseconds(ns), timesText(calls, pages)],
    ),
    ...(rest.length === 0
      ? []
      : [
          [
            '  other paths',
            microseconds(rest.reduce((all, { ns }) => all + ns, 0)),
            `${grouped(rest.length)} of them`,
          ] satisfies Fact,
        ]),
  ];
}

/** `12 times`, `12 times over 6,144`, `over 6,144`: pages, or what else the path goes over. */
function timesText(calls: number, pages: number): string {
  const over = pages === 0 || pages === calls ? '' : `over ${grouped(pages)}`;
  const times = calls === 0 ? '' : counted(calls, 'time');
  return [times, over].filter((part) => part !== '').join(' ');
}

const sum = (tally: Tally<string>): number =>
  Object.values(tally).reduce((total: number, n) => total + (n ?? 0), 0);

const tallyText = (tally: Tally<string>): string =>
  Object.entries(tally)
    .map(([name, n]) => `${name} ${grouped(n ?? 0)}`)
    .join(', ');
