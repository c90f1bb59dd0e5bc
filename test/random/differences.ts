/**
 * Holds what the kernel gave in a random case against what the model gave.
 *
 * The kernel names anon_vmas by their addresses, which come back after they were freed; so labels mean something only among views between
 * which nothing changed, and are counted anew after every other step. Page offsets of mappings that the kernel placed outside the
 * window differ from run to run: that they lie there is compared.
 */
import type { Case } from '../spec/caseFile.ts';
import { difference, type Expectation, type ExpectedVma } from '../spec/expectation.ts';
import { changesNothing } from './randomCase.ts';

/** The first step of a case in which model and kernel differ. */
export interface RandomDifference {
  /** Number of the step from 0. */
  readonly at: number;
  readonly text: string;
  readonly model: string;
  readonly kernel: string;
}

const isFarOffset = (pgoff: string): boolean => /^\d{8,}$/.test(pgoff);

function comparable(c: Case, seen: readonly Expectation[]): Expectation[] {
  let labels = new Map<string, string>();
  const labelOf = (label: string): string => {
    const known = labels.get(label) ?? `a${labels.size + 1}`;
    labels.set(label, known);
    return known;
  };
  const vma = (v: ExpectedVma): ExpectedVma => ({
    ...v,
    pgoff: isFarOffset(v.pgoff) ? '1' : v.pgoff,
    anon:
      typeof v.anon === 'string'
        ? v.anon
        : { root: labelOf(v.anon.root), label: labelOf(v.anon.label), chain: v.anon.chain },
  });
  return seen.map((e, i) => {
    if (e.kind === 'vmas') return { ...e, vmas: e.vmas.map(vma) };
    if (!changesNothing(c.steps[i]?.text ?? '')) labels = new Map();
    return e;
  });
}

/** Compares a case, which expects what the model gave, with what the kernel gave; null when they agree. */
export function firstDifference(c: Case, kernel: readonly Expectation[]): RandomDifference | null {
  const wanted = comparable(
    c,
    c.steps.map((s) => s.expected),
  );
  const given = comparable(c, kernel);
  for (const [at, { text }] of c.steps.entries()) {
    const seen = given[at] ?? { kind: 'answer', text: 'no answer' };
    const found = difference(wanted[at] as Expectation, seen);
    if (found !== null) return { at, text, model: found.written, kernel: found.seen };
  }
  return null;
}
