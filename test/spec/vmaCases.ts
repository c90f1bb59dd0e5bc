/**
 * The cases of vma.cases with the deviations of vma.deviations.md put in: what a test expects of the kernel and of the model.
 */
import { readFileSync } from 'node:fs';
import { type Case, type CaseStep, type Mark, parseCaseFile } from './caseFile.ts';
import { CaseSyntaxError } from './caseStep.ts';
import { type Expectation, formatExpectation, parseAnswer, parseVmas } from './expectation.ts';

const read = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8');

/** The text of the case file. */
export const caseFileText = (): string => read('vma.cases');

interface Deviation {
  readonly id: string;
  readonly mark: Mark;
  /** Which expectation of that mark within the case, from 1. */
  readonly nth: number;
  readonly written: string;
  readonly kernel: string;
}

const ROW = /^\| ([A-Z]+[0-9]*[a-z]?) \| `(->|=>|:)` (\d+) \| `([^`]*)` \| `([^`]*)` \| \S.* \|$/;

/** Reads the first table of vma.deviations.md; a row it cannot read is an error. */
export function parseDeviations(markdown: string): Deviation[] {
  const lines = markdown.split('\n');
  const first = lines.findIndex((line) => line.startsWith('|---'));
  const rows: Deviation[] = [];
  for (const line of lines.slice(first + 1)) {
    if (!line.startsWith('|')) break;
    const match = ROW.exec(line);
    if (match === null) throw new CaseSyntaxError(`not a deviation: ${line}`);
    const unescaped = (text: string | undefined): string => (text as string).replaceAll('\\|', '|');
    rows.push({
      id: match[1] as string,
      mark: match[2] as Mark,
      nth: Number(match[3]),
      written: unescaped(match[4]),
      kernel: unescaped(match[5]),
    });
  }
  return rows;
}

const replaced = (step: CaseStep, deviation: Deviation): CaseStep => {
  const written = formatExpectation(step.expected);
  if (written !== deviation.written)
    throw new CaseSyntaxError(`${deviation.id} says "${written}", the table "${deviation.written}"`);
  const expected: Expectation =
    step.mark === '=>' ? parseVmas(deviation.kernel) : parseAnswer(step.step.op, deviation.kernel);
  return { ...step, expected };
};

/** Puts the deviations in; one that meets no expectation is an error. */
export function applyDeviations(cases: readonly Case[], deviations: readonly Deviation[]): Case[] {
  const left = new Set(deviations);
  const result = cases.map((c): Case => {
    const count = new Map<Mark, number>();
    const steps = c.steps.map((step) => {
      const nth = (count.get(step.mark) ?? 0) + 1;
      count.set(step.mark, nth);
      const deviation = deviations.find((d) => d.id === c.id && d.mark === step.mark && d.nth === nth);
      if (deviation === undefined) return step;
      left.delete(deviation);
      return replaced(step, deviation);
    });
    return { ...c, steps };
  });
  const [unused] = left;
  if (unused !== undefined) throw new CaseSyntaxError(`${unused.id} has no "${unused.mark}" ${unused.nth}`);
  return result;
}

/** Returns all cases as the kernel answers them. */
export const loadVmaCases = (): Case[] =>
  applyDeviations(parseCaseFile(caseFileText()), parseDeviations(read('vma.deviations.md')));

/** Returns the cases that random ones were cut down to. */
export const loadFuzzedCases = (): Case[] => parseCaseFile(read('fuzzed.cases'));
