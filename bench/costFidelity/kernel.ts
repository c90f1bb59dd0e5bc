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

/** The times of scenarios, round after round. */
export class KernelTimes {
  readonly #program: string;
  readonly #scenarios: readonly Scenario[];
  readonly #rounds: number[][];
  #complaint = '';

  /** @param program  oracle/cost, built */
  constructor(program: string, scenarios: readonly Scenario[]) {
    this.#program = program;
    this.#scenarios = scenarios;
    this.#rounds = scenarios.map(() => []);
  }

  /** Measures all of them. @param rounds  over all @param budgetMs  a scenario and round */
  measure(rounds: number, budgetMs: number): void {
    const withSwap = this.#scenarios.some(({ needs }) => needs.includes('swap')) ? ['--swap'] : [];
    const args = ['scenarios', ...withSwap, '--budget', String(budgetMs), String(rounds)];
    const input = this.#scenarios.map((each, i) => scenarioText(each, i)).join('');
    const options = { input, encoding: 'utf8', maxBuffer: 1 << 26, timeout: LIMIT_MS } as const;
    const result = spawnSync(this.#program, args, options);
    if (result.status !== 0)
      throw new Error(`oracle/cost: ${result.error?.message ?? result.stderr} (status ${result.status})`);
    this.#complaint = result.stderr.trim().split('\n').at(-1) ?? '';
    for (const line of result.stdout.split('\n')) {
      const [word, id, ...samples] = line.split(' ');
      if (word === 'time' && samples.length > 0)
        this.#rounds[Number(id)]?.push(middle(samples.map(Number).sort((a, b) => a - b)));
    }
  }

  /** What came of each so far. */
  get measured(): readonly Measured[] {
    return this.#rounds.map((each) => {
      const medians = each.toSorted((a, b) => a - b);
      const [ns = null] = medians;
      return ns === null
        ? { ns, noisy: true, why: this.#complaint }
        : { ns, noisy: middle(medians) > ns * (1 + NOISY), why: null };
    });
  }
}

const middle = (sorted: readonly number[]): number => sorted[Math.floor(sorted.length / 2)] ?? 0;
