/**
 * What can be said of a view without a past, as text and as JSON: which neighbours look alike, and that /proc does not show the rest.
 */
import { hexRange } from '../base/units.ts';
import {
  counted,
  grouped,
  type VisibleNeighbours,
  type VisibleVma,
  visibleNeighbours,
} from '../report/index.ts';
import { shortName } from './comparison.ts';

/** An address space as /proc shows it. */
export interface View {
  readonly name: string;
  readonly vmas: readonly VisibleVma[];
}

const UNSEEN =
  '/proc shows neither page offsets of anonymous memory nor anon_vmas: it is one of the two, or both, or a fork';
const UNSEEN_RARE = '(or, seldom, a memory policy or userfaultfd)';
const UNSEEN_FLAGS = `${UNSEEN_RARE}, or flags, which only smaps shows`;
const HOW =
  'To know which, and since which call: record the program (faultline record) and explain the recording.';

const EXAMPLES = 5;

interface Seen {
  readonly hidden: readonly VisibleNeighbours[];
  readonly others: readonly { readonly obstacles: string; readonly count: number }[];
  readonly touching: number;
  readonly hasFlags: boolean;
}

function see({ vmas }: View): Seen {
  const pairs = visibleNeighbours(vmas);
  const groups = new Map<string, number>();
  for (const { isHidden, blockers } of pairs) {
    if (isHidden) continue;
    const obstacles = blockers.length === 0 ? 'nothing that shows' : blockers.join(' and ');
    groups.set(obstacles, (groups.get(obstacles) ?? 0) + 1);
  }
  return {
    hidden: pairs.filter(({ isHidden }) => isHidden),
    others: [...groups].map(([obstacles, count]) => ({ obstacles, count })).sort((a, b) => b.count - a.count),
    touching: pairs.length,
    hasFlags: vmas.some(({ vmFlags }) => vmFlags !== null),
  };
}

const pairText = ({ below, above }: VisibleNeighbours): string =>
  `${hexRange(below.start, below.end)} | ${hexRange(above.start, above.end)} ${below.perms} ${below.name}`.trimEnd();

/** Returns what can be said as lines of text. @param all  list every pair */
export function visibleText(view: View, all: boolean): string {
  const { hidden, others, touching, hasFlags } = see(view);
  const shown = all ? hidden : hidden.slice(0, EXAMPLES);
  const left = hidden.length - shown.length;
  return [
    `${shortName(view.name)}: ${counted(view.vmas.length, 'vma')}, ${counted(touching, 'pair')} of neighbours that touch`,
    '',
    `private anonymous neighbours that look alike: ${hidden.length === 0 ? 'none' : grouped(hidden.length)}`,
    ...shown.map((pair) => `          ${pairText(pair)}`),
    ...(left > 0 ? [`          … ${grouped(left)} more (--all)`] : []),
    ...(hidden.length > 0 ? [`  ${UNSEEN}`, `  ${hasFlags ? UNSEEN_RARE : UNSEEN_FLAGS}.`, `  ${HOW}`] : []),
    '',
    `kept apart by something that shows: ${others.length === 0 ? 'none' : ''}`.trimEnd(),
    ...others.map(({ obstacles, count }) => `${grouped(count).padStart(6)}  ${obstacles}`),
  ].join('\n');
}

/** Returns what can be said of the vma at `address`. */
export function visibleAtText(view: View, address: number): string {
  const vma = view.vmas.find(({ start, end }) => start <= address && address < end);
  const where =
    vma === undefined
      ? 'nothing is mapped there'
      : `${hexRange(vma.start, vma.end)} ${vma.perms} ${vma.name || '(anonymous)'}`;
  return `${shortName(view.name)}: ${where}\n  A view has no past: its life can only be told from a recording (faultline record).`;
}

/** Returns the same as plain data for JSON. */
export function visibleJson(view: View): unknown {
  const { hidden, others, touching, hasFlags } = see(view);
  return {
    input: view.name,
    vmas: view.vmas.length,
    touching,
    lookAlike: {
      pairs: hidden.length,
      because: `${UNSEEN} ${hasFlags ? UNSEEN_RARE : UNSEEN_FLAGS}`,
      list: hidden.map(({ below, above }) => ({
        below: hexRange(below.start, below.end),
        above: hexRange(above.start, above.end),
      })),
    },
    others,
  };
}
