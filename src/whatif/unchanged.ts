/**
 * The sentence for a proposal that changes nothing: that is an answer too, and it has a reason.
 *
 * The reason is read off the counts of both runs: what the switch decides about (moves of written memory, merges that fail on the anon_vma) did
 * not occur, or did and was refused, or was granted and no other merge came of it. It says what was counted and no more: which merge would have
 * followed which move is not known here.
 */
import { FEATURES, type FeatureName } from '../mm/index.ts';
import { counted, grouped, REFUSAL_WORDS, REFUSALS } from '../report/index.ts';
import type { ActReport } from './acts/act.ts';
import type { LaneEnd } from './lane.ts';
import type { LaneResult } from './run.ts';

const sum = (tally: Readonly<Record<string, number | undefined>>): number =>
  Object.values(tally).reduce<number>((total, n) => total + (n ?? 0), 0);

/** Says why recomputing page offsets at moves changed nothing. */
function whyNoMoves(lane: LaneEnd, baseline: LaneEnd): string {
  const { moves } = baseline.counts;
  const nrMoves = sum(moves);
  if (nrMoves === 0)
    return (baseline.calls['mremap'] ?? 0) === 0 ? 'there is no mremap' : 'mremap moves nothing';
  const kept = moves.kept ?? 0;
  if (kept === 0) return 'mremap moves no written anonymous memory';
  const { updated = 0 } = lane.counts.moves;
  if (updated === 0) return `${counted(kept, 'moved area')} of written memory ${keeps(kept)}, shared by fork`;
  const { 'anon-vma-differs': blocked = 0 } = lane.counts.merges.refused;
  const still = blocked === 0 ? '' : ` (${counted(blocked, 'refusal')} for the anon_vma)`;
  return `${counted(updated, 'moved area')} ${updated === 1 ? 'gets' : 'get'} a new offset, and no other merge comes of it${still}`;
}

const keeps = (n: number): string => (n === 1 ? 'keeps its offset' : 'keep their offset');
const fails = (n: number): string => (n === 1 ? 'fails' : 'fail');

/** Says why merging across anon_vmas changed nothing. */
function whyNoAnonVmas(lane: LaneEnd, baseline: LaneEnd): string {
  const { 'anon-vma-differs': failed = 0, 'pgoff-gap': offset = 0 } = baseline.counts.merges.refused;
  const { 'fork-child': inherited = 0 } = baseline.counts.merges.refused;
  if (failed === 0 && inherited > 0)
    return `${counted(inherited, 'merge')} that ${fails(inherited)} on the anon_vma ${inherited === 1 ? 'meets' : 'meet'} memory inherited by fork`;
  if (failed === 0)
    return offset === 0
      ? 'no merge fails on the anon_vma'
      : `no merge fails on the anon_vma (${offset} ${fails(offset)} on the offset, which is asked first)`;
  const { 'anon-vma-shared': shared = 0 } = lane.counts.merges.refused;
  const still = shared === 0 ? '' : `; ${shared} ${fails(shared)} on memory shared by fork then`;
  return `${counted(failed, 'merge')} ${fails(failed)} on the anon_vma, and none more is done with it${still}`;
}

/** Says why relocating at moves changed nothing. */
function whyNoRelocation(lane: LaneEnd, baseline: LaneEnd): string {
  const applied = lane.rewritten['mremap=relocate'] ?? 0;
  if (Object.keys(lane.rewritten).length === 0)
    return 'the program never asks for MREMAP_RELOCATE_ANON (see --as mremap=relocate)';
  if (applied === 0) return 'no mremap may move';
  const { relocated = 0 } = lane.counts.moves;
  if (relocated === 0) return whyNoMoves(lane, baseline);
  return `${counted(relocated, 'area')} ${relocated === 1 ? 'is' : 'are'} relocated, and no other merge comes of it`;
}

/** Says why a switch about userfaultfd changed nothing. */
function whyNoUserfaultfd(_lane: LaneEnd, baseline: LaneEnd): string {
  return (baseline.calls['userfaultfd'] ?? 0) === 0
    ? 'the program makes no userfaultfd'
    : 'what it does with userfaultfd shows in pages alone';
}

const WHY: { readonly [Name in FeatureName]?: (lane: LaneEnd, baseline: LaneEnd) => string } = {
  mergePgoffOnMove: whyNoMoves,
  mergeAcrossAnonVma: whyNoAnonVmas,
  mremapRelocateAnon: whyNoRelocation,
  mremapOnlyPages: () => 'the program never asks for MREMAP_ONLYPAGES',
  anonPgoffZero: () => 'no new anonymous mapping would have joined another one',
  uffdMove: whyNoUserfaultfd,
  wpUnpopulated: whyNoUserfaultfd,
  wpAsync: whyNoUserfaultfd,
  softDirty: () => 'it shows in pagemap alone, to who clears it',
  vrange: () => 'the program never calls vrange (see --as dontneed=vrange)',
  ptReclaim: (_lane, baseline) =>
    baseline.memory.emptyTables === 0
      ? 'no page table is left empty'
      : `${counted(baseline.memory.emptyTables, 'empty page table')} ${baseline.memory.emptyTables === 1 ? 'stays' : 'stay'} under it`,
};

/** Names the features in which two lanes differ. */
export function changedFeatures(lane: LaneEnd, baseline: LaneEnd): FeatureName[] {
  const [on, off] = [lane.configuration.features, baseline.configuration.features];
  return (Object.keys(FEATURES) as FeatureName[]).filter((name) => on[name] !== off[name]);
}

/** Switches that show in pages and tables, where VMAs and answers may stay as they are. */
const SHOWS_IN_PAGES: ReadonlySet<FeatureName> = new Set<FeatureName>(['ptReclaim', 'ptReclaimMode']);

/** Tells whether what was done to pages and tables is to be looked at, too. */
const isAboutPages = (lane: LaneEnd, baseline: LaneEnd): boolean =>
  lane.acts.length > 0 || changedFeatures(lane, baseline).some((name) => SHOWS_IN_PAGES.has(name));

/** Names what a lane counted otherwise than the baseline, the first few, in words; null where that does not matter or there is nothing. */
export function otherWork(lane: LaneEnd, baseline: LaneEnd): string | null {
  if (!isAboutPages(lane, baseline)) return null;
  const [here, there] = [countsOf(lane), countsOf(baseline)];
  const differing = Object.keys(here).filter((name) => here[name] !== there[name]);
  if (differing.length === 0) return null;
  const told = differing
    .slice(0, 3)
    .map((name) => `${name} ${grouped(there[name] ?? 0)} → ${markOf(name, lane)}${grouped(here[name] ?? 0)}`);
  return `VMAs and answers as in the baseline; ${told.join(', ')}`;
}

/** Of what is looked at, sums that are bounds where accesses are missing; the others may be more or less. */
const BOUNDS: ReadonlySet<string> = new Set([
  'faults',
  'page tables at the end, kB',
  'page tables at the peak, kB',
  'resident at the end, kB',
]);
function markOf(name: string, { bound }: LaneEnd): string {
  if (bound === null) return '';
  return BOUNDS.has(name) && bound !== 'some' ? `at ${bound} ` : 'about ';
}

/** What is looked at, most telling first. */
function countsOf({ work, memory }: LaneEnd): Record<string, number> {
  const { pageTables, nrFaults, facts } = work;
  return {
    faults: nrFaults,
    'page tables at the end, kB': pageTables.end / 1024,
    'page tables at the peak, kB': pageTables.peak / 1024,
    'resident at the end, kB': memory.resident / 1024,
    'pages zeroed': facts.pagesZeroed,
    'pages copied': facts.pagesCopied,
    'tables freed': facts.pteTablesFreed,
    'tables made': facts.pteTablesAllocated,
    'scans for empty tables': facts.ptScans,
    'TLB flushes': facts.tlbFlushes,
    'pages zapped': facts.anonPtesZapped,
  };
}

/** Tells whether a lane went exactly as the baseline did, as far as vmas and answers show, and pages where it is about them. */
export const isUnchanged = (lane: LaneResult, baseline: LaneResult): boolean =>
  !lane.isOtherProgram &&
  lane.firstDifference === null &&
  lane.results.differ === 0 &&
  lane.diverged.calls === 0 &&
  otherWork(lane, baseline) === null;

const andList = (words: readonly string[]): string =>
  words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;

/** What refuses the merges of the baseline, most frequent first, for the end of the sentence. */
function otherObstacles(baseline: LaneEnd): string {
  const { refused } = baseline.counts.merges;
  const said = REFUSALS.flatMap((verdict) => {
    const n = refused[verdict] ?? 0;
    return n === 0 ? [] : [{ n, text: `${REFUSAL_WORDS[verdict]} (${n})` }];
  }).sort((a, b) => b.n - a.n);
  return said.length === 0 ? '' : `; its merges fail on ${andList(said.map(({ text }) => text))}`;
}

/** The reasons of the first rewrite are those of its switch. */
const isRewrite = (name: string): boolean => name.startsWith('as ') && name !== 'as mremap=relocate';

/** Says why a rewrite was never applied. */
function whyNeverApplied({ name, left }: ActReport): string {
  const reasons = Object.entries(left).map(([why, n]) => `${counted(n, 'call')} left (${why})`);
  return reasons.length === 0
    ? `${name.replace(/^as /, '')} finds no call to change`
    : `${name.replace(/^as /, '')} changes no call: ${reasons.join(', ')}`;
}

/** Returns the reasons for which `lane`, which is unchanged, is; in words without a full stop. */
export function whyUnchanged(lane: LaneEnd, baseline: LaneEnd): string {
  const never = lane.acts.filter(({ name, applied }) => isRewrite(name) && applied === 0);
  if (never.length > 0) return andList(never.map((act) => whyNeverApplied(act)));
  const vain = lane.acts.filter(({ name, applied }) => isRewrite(name) && applied > 0);
  if (vain.length > 0)
    return andList(
      vain.map(
        ({ name, applied }) =>
          `${name.replace(/^as /, '')} changes ${counted(applied, 'call')}, and nothing comes of it`,
      ),
    );
  const reasons = changedFeatures(lane, baseline).map((name) => {
    const why = WHY[name];
    return why === undefined
      ? `nothing that ${name} decides about shows in vmas or answers`
      : why(lane, baseline);
  });
  const unique = [...new Set(reasons)];
  return unique.length === 0 ? 'it asks for what is there already' : andList(unique);
}

/** Returns one sentence for lanes none of which changes anything: `redis: neither switch changes anything: …`. */
export function nothingChanges(name: string, lanes: readonly LaneResult[], baseline: LaneEnd): string {
  const who = lanes.some(({ acts }) => acts.length > 0)
    ? 'nothing changes'
    : lanes.length === 1
      ? 'the switch changes nothing'
      : lanes.length <= 3
        ? 'neither switch changes anything'
        : 'no switch changes anything';
  const pairs =
    baseline.pairs.pairs === 0
      ? 'at the end no neighbours differ only in offset or anon_vma'
      : `at the end there ${baseline.pairs.pairs === 1 ? 'is' : 'are'} ${counted(baseline.pairs.pairs, 'blocked pair')}`;
  const reasons = lanes.map((lane) => whyUnchanged(lane, baseline));
  const last = reasons.at(-1) ?? '';
  return `${name}: ${who}: ${pairs}; ${last}${otherObstacles(baseline)}.`;
}
