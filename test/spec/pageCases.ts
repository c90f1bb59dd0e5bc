/**
 * The cases of pages.cases, uffd.cases and volatile.cases: which of them run where, and which parts of the specification they stand for.
 */
import { readFileSync } from 'node:fs';
import { type Case, parseCaseFile } from './caseFile.ts';

/** What runs a case. */
export type Runner = 'kernel' | 'model';

const read = (name: string): string => readFileSync(new URL(name, import.meta.url), 'utf8');

/** The text of the case file. */
export const pageCaseText = (): string => read('pages.cases');

/** Returns all cases about pages. */
export const loadPageCases = (): Case[] => parseCaseFile(pageCaseText());

/** The text of the cases about userfaultfd. */
export const uffdCaseText = (): string => read('uffd.cases');

/** Returns all cases about userfaultfd. */
export const loadUffdCases = (): Case[] => parseCaseFile(uffdCaseText());

/** Returns all cases about what volatile ranges became. */
export const loadVolatileCases = (): Case[] => parseCaseFile(read('volatile.cases'));

/** Tells why a case does not run there, as the end of its title says (`[not on the model: ...]`), or null when it does. */
export function whyNotOn(runner: Runner, c: Case): string | null {
  return new RegExp(String.raw`\[not on the ${runner}(?: yet)?: ([^\]]+)\]$`).exec(c.title)?.[1] ?? null;
}

/** Tells whether a case needs swap space. */
export const needsSwap = (c: Case): boolean => c.steps.some(({ step }) => step.op === 'swap');

/** Tells whether a case needs a file system that has large folios in its page cache. */
export const needsExt4 = (c: Case): boolean => c.title.includes('(ext4)');
