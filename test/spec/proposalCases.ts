/**
 * The cases of proposals.cases: each says at the end of its title under which switches it runs, as `[with name=value,...]`.
 */
import { readFileSync } from 'node:fs';
import {
  type FeatureSetting,
  type Features,
  LINUX_6_18,
  parseFeatureSetting,
  withSettings,
} from '../../src/mm/index.ts';
import { type Case, parseCaseFile } from './caseFile.ts';
import { CaseSyntaxError } from './operands.ts';

const CONDITION = /\[with ([^\]]+)\]$/;

/** Returns all cases of proposals. */
export const loadProposalCases = (): Case[] =>
  parseCaseFile(readFileSync(new URL('proposals.cases', import.meta.url), 'utf8'));

/** Returns the switches under which a case runs. */
export function featuresOf(c: Case): Features {
  const words = CONDITION.exec(c.title)?.[1]?.split(',') ?? [];
  const settings = words.map((word): FeatureSetting => {
    const setting = parseFeatureSetting(word.trim());
    if (typeof setting === 'string') throw new CaseSyntaxError(`${c.id}: ${setting}`);
    return setting;
  });
  return withSettings(LINUX_6_18, settings);
}
