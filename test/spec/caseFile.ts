/**
 * The case file (vma.cases) as data: cases, their steps, and what each step must give.
 *
 * A step belongs to exactly one operation and has exactly one expectation; `=>` is a step of its own (`vmas`), and so is
 * `{child exited}`. What the parser does not know it refuses with the line number, so no part of a case can be left out silently.
 */
import { CaseSyntaxError, parseStep, type Step } from './caseStep.ts';
import { type Expectation, type ExpectedTrap, parseAnswer, parseTrap, parseVmas } from './expectation.ts';

/** How an expectation is written: its mark in the file, or none (no trap, nothing to answer). */
export type Mark = '->' | '=>' | ':' | '=' | 'marker' | 'none';

/** A step and what it must give. */
export interface CaseStep {
  /** Line of the file, from 1. */
  readonly line: number;
  /** The operation as it is written. */
  readonly text: string;
  readonly step: Step;
  readonly mark: Mark;
  readonly expected: Expectation;
}

/** One case. */
export interface Case {
  /** Number in the measured list; null for the cases that stand for what the list says in prose. */
  readonly nr: number | null;
  readonly id: string;
  readonly title: string;
  readonly line: number;
  readonly steps: readonly CaseStep[];
}

/** Operations that cannot answer: they are followed by nothing. */
const SILENT: ReadonlySet<string> = new Set([
  'fd',
  'fillfd',
  'file',
  'dir',
  'devnull',
  'devzero',
  'at',
  'drop',
  'endchild',
  'smaps',
  'commit',
  'gather',
]);
const MARKER =
  /^(fork|fork cont|forkhold|forkdrop) (\{child\}|\{child alive\}|\[in child, parent dropped the range\])$/;

/** Splits an item into the operation, how its expectation is marked, and the expectation's text. */
const split = (item: string): { text: string; mark: Mark; answer: string } => {
  if (item.startsWith('=> ')) return { text: 'vmas', mark: '=>', answer: item.slice(3) };
  if (item === '{child exited}') return { text: 'exited', mark: 'marker', answer: item };
  const marker = MARKER.exec(item);
  if (marker !== null)
    return { text: (marker[1] as string).replace(' cont', ''), mark: 'marker', answer: marker[2] as string };
  const fill = /^fill: max_map_count-(\d+) -> (.*)$/.exec(item);
  if (fill !== null) return { text: `fill ${fill[1]}`, mark: '->', answer: fill[2] as string };
  const count = /^count {2}(map_count = .*)$/.exec(item);
  if (count !== null) return { text: 'count', mark: '=', answer: count[1] as string };
  const pages = /^(pfn [^:]*): (.*)$/.exec(item);
  if (pages !== null) return { text: pages[1] as string, mark: ':', answer: pages[2] as string };
  const bits = /^(mincore \S+ \S+) {2}=(.*)$/.exec(item);
  if (bits !== null) return { text: bits[1] as string, mark: '=', answer: bits[2] as string };
  const at = item.indexOf(' -> ');
  return at < 0
    ? { text: item, mark: 'none', answer: '' }
    : { text: item.slice(0, at), mark: '->', answer: item.slice(at + 4) };
};

const expectationOf = (op: string, mark: Mark, answer: string): Expectation => {
  if (mark === '=>') return parseVmas(answer);
  if (op === 'touch' || op === 'read' || op === 'touchto' || op === 'readto') {
    if (mark !== 'none') throw new CaseSyntaxError(`${op} has no answer`);
    return { kind: 'traps', traps: [] };
  }
  if (mark === 'none') {
    if (!SILENT.has(op) && !(op === 'comm' && answer === ''))
      throw new CaseSyntaxError(`${op} without an expectation`);
    return { kind: 'nothing' };
  }
  if (SILENT.has(op)) throw new CaseSyntaxError(`${op} has no answer`);
  return parseAnswer(op, answer);
};

const parseItem = (item: string, line: number): CaseStep => {
  const { text, mark, answer } = split(item);
  const step = parseStep(text);
  return { line, text, step, mark, expected: expectationOf(step.op, mark, answer) };
};

/** Adds a trap to the touch before it. */
const addTrap = (steps: CaseStep[], trap: ExpectedTrap): void => {
  const last = steps.at(-1);
  if (last?.expected.kind !== 'traps') throw new CaseSyntaxError('a trap without a touch before it');
  steps[steps.length - 1] = { ...last, expected: { kind: 'traps', traps: [...last.expected.traps, trap] } };
};

const parseLine = (text: string, line: number, steps: CaseStep[]): void => {
  for (const item of text.split(';').map((part) => part.trim())) {
    if (item.startsWith('page +')) addTrap(steps, parseTrap(item));
    else steps.push(parseItem(item, line));
  }
};

/**
 * Reads a case file.
 * @throws CaseSyntaxError  with the line number, for anything that is not in the notation
 */
export function parseCaseFile(content: string): Case[] {
  const cases: Case[] = [];
  let steps: CaseStep[] | null = null;
  for (const [i, text] of content.split('\n').entries()) {
    const line = i + 1;
    try {
      if (text === '' || text.startsWith('#') || text.startsWith('>')) continue;
      if (text.startsWith('    ')) {
        if (steps === null) throw new CaseSyntaxError('a step before the first case');
        parseLine(text.trim(), line, steps);
        continue;
      }
      const header = /^(?:(\d{3})|\+) ([A-Z]+[0-9]*[a-z]?)(?: (.*))?$/.exec(text);
      if (header === null) throw new CaseSyntaxError('neither a case nor a step');
      steps = [];
      const nr = header[1] === undefined ? null : Number(header[1]);
      cases.push({ nr, id: header[2] as string, title: header[3] ?? '', line, steps });
    } catch (error) {
      if (!(error instanceof CaseSyntaxError)) throw error;
      throw new CaseSyntaxError(`line ${line}: ${error.message}`);
    }
  }
  return cases;
}
