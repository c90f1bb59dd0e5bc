/**
 * The strategies by name.
 */
import { UsageError } from '../../base/assert.ts';
import { ProtNone, UffdContinue } from './aliased.ts';
import { Mremap, OnlyPages, UffdCopy, UffdMove } from './anonymous.ts';
import type { Registration } from './registration.ts';
import type { Strategy, StrategyOptions } from './strategy.ts';

const STRATEGIES: Readonly<Record<string, new (options: StrategyOptions) => Strategy>> = {
  protnone: ProtNone,
  'uffd-copy': UffdCopy,
  'uffd-continue': UffdContinue,
  'uffd-move': UffdMove,
  'mremap-onlypages': OnlyPages,
  mremap: Mremap,
};

/** Their names, in the order of the thread. */
export const STRATEGY_NAMES: readonly string[] = Object.keys(STRATEGIES);

/** Makes the strategy of that name. */
export function makeStrategy(name: string, options: StrategyOptions): Strategy {
  const Chosen = STRATEGIES[name];
  if (Chosen === undefined)
    throw new UsageError(`there is no strategy '${name}'`, `one of ${STRATEGY_NAMES.join(', ')}`);
  return new Chosen(options);
}

/** Returns the userfaultfd of a strategy that has one. */
export const registrationOf = (strategy: Strategy): Registration | null =>
  'registration' in strategy ? (strategy.registration as Registration) : null;
