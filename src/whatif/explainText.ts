/**
 * An explanation as text: groups of pairs with counts and examples, or the life of one vma.
 */
import { hex, hexRange } from '../base/units.ts';
import type { VmaRow } from '../mm/index.ts';
import { type Blocker, counted, grouped, type NoRemedy } from '../report/index.ts';
import { shortName } from './comparison.ts';
import type {
  AnonVmaOrigin,
  ExplainedPair,
  Explanation,
  OffsetOrigin,
  PairGroup,
  ProcessExplanation,
  Story,
} from './explanation.ts';
import { type OpPlace, placeText } from './placeBook.ts';
import { policyLines, tablesLines } from './tablesText.ts';

/** How much is printed. */
export interface ExplainTextOptions {
  /** Every pair, not only a few of each group. */
  readonly all?: boolean;
}

const EXAMPLES = 2;

/** Returns the explanation as lines of text. */
export function explanationText(explanation: Explanation, options: ExplainTextOptions = {}): string {
  const { processes } = explanation;
  const lines = processes.flatMap((process) => [...processLines(explanation, process, options), '']);
  const policies = policyLines(explanation.tables);
  if (policies.length > 0) lines.push(...policies, '');
  if (processes.length === 0) return `${shortName(explanation.input)}: no address space is left at the end`;
  return lines.slice(0, -1).join('\n');
}

function processLines(
  explanation: Explanation,
  process: ProcessExplanation,
  options: ExplainTextOptions,
): string[] {
  const { pid, vmas, touching, pairs, groups } = process;
  const name = shortName(explanation.input);
  const tables = explanation.tables.processes.find((each) => each.pid === pid);
  const who = explanation.processes.length > 1 ? `${name}, process ${pid}` : name;
  const title = `${who}: ${counted(vmas, 'vma')}, ${counted(touching, 'pair')} of neighbours that touch`;
  const blocked = groups.filter(({ isBlockedPair }) => isBlockedPair);
  const others = groups.filter(({ isBlockedPair }) => !isBlockedPair);
  return [
    title,
    '',
    `kept apart by offset, anon_vma or fork alone: ${pairs.pairs === 0 ? 'none' : pairKinds(process)}`,
    ...(pairs.pairs === 0
      ? []
      : trialLines(
          blocked,
          explanation.trials.map(({ label }) => label),
        )),
    ...blocked.flatMap((group) => groupLines(group, options)),
    '',
    `kept apart by something else: ${others.length === 0 ? 'none' : ''}`.trimEnd(),
    ...others.flatMap((group) => groupLines(group, options)),
    ...(tables === undefined ? [] : ['', ...tablesLines(tables, options.all === true)]),
  ];
}

/** How many of the pairs each proposal joins. A proposal that joins none is told too: that it was tried is an answer. */
function trialLines(blocked: readonly PairGroup[], labels: readonly string[]): string[] {
  if (labels.length === 0) return [];
  const joined = (label: string): number =>
    blocked.reduce((sum, group) => sum + (group.joinedBy.includes(label) ? group.pairs.length : 0), 0);
  const said = labels.map(
    (label) => `${label === 'both' ? 'both' : trialName(label)} ${grouped(joined(label))}`,
  );
  return [`  tried on this input; joined by ${said.join(', ')}`];
}

function pairKinds({ pairs }: ProcessExplanation): string {
  const parts: readonly (readonly [string, number])[] = [
    ['only pgoff', pairs.pgoff],
    ['only anon_vma', pairs.anon_vma],
    ['both', pairs.both],
    ['fork chain', pairs.chain],
    ['nothing in the way', pairs.mergeable],
  ];
  const shown = parts.filter(([, n]) => n > 0).map(([name, n]) => `${grouped(n)} ${name}`);
  const inherited =
    pairs.inherited > 0 ? `; ${grouped(pairs.inherited)} with a side that came from a fork` : '';
  return `${grouped(pairs.pairs)} (${shown.join(', ')}${inherited})`;
}

function groupLines(group: PairGroup, { all = false }: ExplainTextOptions): string[] {
  const remedy = remedyText(group);
  const head = `${grouped(group.pairs.length).padStart(6)}  ${group.obstacles}${remedy === '' ? '' : `  →  ${remedy}`}`;
  const withDetails = group.isBlockedPair || all;
  const shown = all ? group.pairs : withDetails ? group.pairs.slice(0, EXAMPLES) : [];
  const left = group.pairs.length - shown.length;
  return [
    head,
    ...shown.flatMap(pairLines),
    ...(withDetails && left > 0 ? [`          … ${grouped(left)} more (--all)`] : []),
  ];
}

const WHY_NOT: Readonly<Record<NoRemedy, string>> = {
  'nothing-in-the-way': 'the next operation at their border joins them',
  'attributes-differ': '',
  'shared-by-fork': 'no switch joins them: their memory is shared by fork',
  'file-offset': 'no switch joins them: other parts of the file',
  'offset-of-execve': 'no switch joins them: the stack keeps the offset that execve gave it',
};

/** Says what joins the pairs of a group: what was tried and did, or why nothing does. */
function remedyText({ isBlockedPair, joinedBy, remedy, wasSharedWhenMoved }: PairGroup): string {
  if (joinedBy.length > 0) return `joined by ${orList(leastOf(joinedBy))}`;
  if (remedy.kind === 'none') return WHY_NOT[remedy.why];
  if (!isBlockedPair)
    return `${orList(remedy.anyOf.map((switches) => switches.join(' and ')))} would join them`;
  if (wasSharedWhenMoved) return 'no switch joins them: their memory was shared by fork when it was moved';
  return 'no switch joins them here: no operation comes to their border while they could';
}

/** What joins with one switch also joins with both; only the least is worth saying. */
function leastOf(labels: readonly string[]): string[] {
  const alone = labels.some((label) => label === 'mergePgoffOnMove' || label === 'mergeAcrossAnonVma');
  return labels.filter((label) => label !== 'both' || !alone).map(trialName);
}

/** Calls a trial by what a kernel engineer would call it. */
function trialName(label: string): string {
  if (label === 'both') return 'mergePgoffOnMove and mergeAcrossAnonVma together';
  return label === 'as mremap=relocate' ? 'MREMAP_RELOCATE_ANON' : label;
}

const orList = (words: readonly string[]): string => words.join(', or ');

function pairLines(pair: ExplainedPair): string[] {
  const { below, above } = pair;
  const name = below.name === above.name ? below.name : `${below.name || '-'} | ${above.name || '-'}`;
  const perms = below.perms === above.perms ? below.perms : `${below.perms} | ${above.perms}`;
  return [
    `          ${hexRange(below.start, below.end)} | ${hexRange(above.start, above.end)} ${perms} ${name}`.trimEnd(),
    ...pair.blockers.flatMap((blocker) => blockerLines(blocker, pair)),
  ];
}

const detail = (title: string, text: string): string => `            ${title.padEnd(9)} ${text}`;

function blockerLines(blocker: Blocker, pair: ExplainedPair): string[] {
  switch (blocker.kind) {
    case 'pgoff':
      return [
        detail(
          'pgoff',
          `above is ${counted(Math.abs(blocker.pages), 'page')} ${blocker.pages > 0 ? 'too far' : 'behind'}`,
        ),
        ...pair.offsets.map((origin) => detail('', offsetText(origin))),
      ];
    case 'anon_vma':
      return pair.anonVmas.map((origin, i) => detail(i === 0 ? 'anon_vma' : '', anonVmaText(origin)));
    case 'forked':
      return [
        detail('forked', `one side was never written, the other has a chain of ${blocker.chain} anon_vmas`),
      ];
    case 'flags':
      return [detail('flags', `below ${blocker.below || '–'}, above ${blocker.above || '–'}`)];
    case 'file':
    case 'policy':
    case 'name':
      return [detail(blocker.kind, `${blocker.below || '–'} | ${blocker.above || '–'}`)];
    case 'permissions':
    case 'special':
    case 'uffd':
      return [];
  }
}

const at = (place: OpPlace | null): string => (place === null ? '' : `${placeText(place)} ${place.call}`);

function offsetText({ side, native, from, place }: OffsetOrigin): string {
  if (from === null) return `${side} has the offset of ${hex(native)}, as execve built it`;
  const moved = `${side} moved by ${at(place)}`;
  return from === native ? moved : `${moved}; its offset is that of ${hex(native)}`;
}

function anonVmaText({ side, anonVma, how, place }: AnonVmaOrigin): string {
  const made =
    how === 'start'
      ? 'was there at the start'
      : how === 'fork'
        ? `made by fork in ${at(place)}`
        : `made by ${at(place)}`;
  return `${side} #${anonVma} ${made}`;
}

/** Returns the lives that were asked for as lines of text. */
export function storyText(
  explanation: Explanation,
  address: number,
  { all = false }: ExplainTextOptions = {},
): string {
  const name = shortName(explanation.input);
  if (explanation.stories.length === 0) return `${name}: nothing was ever mapped at ${hex(address)}`;
  return explanation.stories
    .flatMap((story) => [...storyLines(name, story, address, all), ''])
    .slice(0, -1)
    .join('\n');
}

function storyLines(name: string, story: Story, address: number, all: boolean): string[] {
  const { vma, row, pid } = story;
  const who = pid === null ? '' : `, process ${pid}`;
  const title =
    row === null
      ? `${name}${who}: nothing is mapped at ${hex(address)} at the end; vma ${vma} was the last one there`
      : `${name}${who}: vma ${vma}, ${rowText(row)}`;
  const scenes = scenesOf(story);
  return [title, ...(all ? scenes.flatMap((scene) => scene.lines) : shortened(scenes))];
}

/** What happened in one operation. */
interface Scene {
  readonly lines: string[];
  /** The same for operations that did the same at other addresses. */
  likeness: string;
}

function scenesOf({ chapters }: Story): Scene[] {
  const scenes: Scene[] = [];
  let op = -1;
  for (const { op: now, vma, text, place } of chapters) {
    if (now !== op)
      scenes.push({
        lines: [`  ${now === 0 ? 'at the start' : at(place)}`],
        likeness: place?.call.split('(')[0] ?? '',
      });
    op = now;
    const scene = scenes.at(-1) as Scene;
    const line = `      vma ${vma}  ${text}`;
    scene.lines.push(line);
    scene.likeness += line.replaceAll(/\b(0x)?[0-9a-f]{6,}\b|vma \d+$/g, '');
  }
  return scenes;
}

/** Of many operations in a row that did the same, the first and the last are told. */
function shortened(scenes: readonly Scene[]): string[] {
  const lines: string[] = [];
  for (let i = 0; i < scenes.length; ) {
    const first = scenes[i] as Scene;
    let end = i + 1;
    while (scenes[end]?.likeness === first.likeness) end++;
    const alike = scenes.slice(i, end);
    const told = alike.length > 3 ? [first, alike.at(-1) as Scene] : alike;
    told.forEach((scene, nr) => {
      if (nr > 0 && alike.length > 3) lines.push(`  … ${grouped(alike.length - 2)} more like this (--all)`);
      lines.push(...scene.lines);
    });
    i = end;
  }
  return lines;
}

function rowText(row: VmaRow): string {
  const offset = `offset ${hex(row.pgoff)}`;
  const owner =
    row.anonVma === null
      ? 'never written'
      : `anon_vma #${row.anonVma.id}${row.anonVma.shared ? ', shared by fork' : ''}${row.chain > 1 ? `, chain of ${row.chain}` : ''}`;
  return `${hexRange(row.start, row.end)} ${row.perms} ${row.name || '(anonymous)'}, ${offset}, ${owner}, flags ${row.flagCodes}`;
}
