/**
 * Measures scenarios on the running kernel: feeds them to oracle/cost and reads the times.
 *
 * What counts is the floor, as in a calibration: the lowest median of a round. Every round goes over all scenarios, so that a disturbance meets few.
 */
import { spawnSync } from 'node:child_process';
import { type Scenario, scenarioText } from './scenario.ts';

/** What came of a scenario. */
export interface Measured {
  /** Nanoseconds; null when it could not be carried out. */
  readonly ns: number | null;
  /** Samples or rounds lie further apart than 30 %. */
  readonly noisy: boolean;
  readonly why: string | null;
}

const NOISY = 0.3;
const LIMIT_MS = 900_000;

/** Measures scenarios. @param program  oracle/cost, built @param rounds  over all of them @param budgetMs  a scenario and round */
export function measureScenarios(
  program: string,
  scenarios: readonly Scenario[],
  { rounds, budgetMs }: { readonly rounds: number; readonly budgetMs: number },
): Measured[] {
  const withSwap = scenarios.some(({ needs }) => needs.includes('swap')) ? ['--swap'] : [];
  const args = ['scenarios', ...withSwap, '--budget', String(budgetMs), String(rounds)];
  const input = scenarios.map((each, i) => scenarioText(each, i)).join('');
  const result = spawnSync(program, args, { input, encoding: 'utf8', maxBuffer: 1 << 26, timeout: LIMIT_MS });
  if (result.status !== 0)
    throw new Error(`oracle/cost: ${result.error?.message ?? result.stderr} (status ${result.status})`);
  const lines = result.stdout.split('\n').map((line) => line.split(' '));
  const complaint = result.stderr.trim().split('\n').at(-1) ?? '';
  return scenarios.map((_, i) => {
    const of = lines.filter(([word, id]) => word === 'time' && Number(id) === i);
    return of.length === 0
      ? { ns: null, noisy: true, why: complaint }
      : measuredOf(of.map((line) => line.slice(2).map(Number)));
  });
}

const middle = (sorted: readonly number[]): number => sorted[Math.floor(sorted.length / 2)] ?? 0;

function measuredOf(rounds: readonly (readonly number[])[]): Measured {
  const medians = rounds.map((each) => middle(each.toSorted((a, b) => a - b))).sort((a, b) => a - b);
  const ns = medians[0] ?? 0;
  return { ns, noisy: middle(medians) > ns * (1 + NOISY), why: null };
}
