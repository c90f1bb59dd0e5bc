/**
 * Runs the program that measures, a group at a time and round after round, and gathers its samples.
 *
 * A group is a process of its own: one that this kernel cannot run takes no other with it, and each begins with the same memory. Rounds go over all
 * groups, so that a disturbance of some seconds does not meet all samples of a figure.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { FIGURES, type FigureInfo, type GroupName } from './figureList.ts';
import { Samples } from './samples.ts';

/** How much is measured. */
export interface Effort {
  readonly rounds: number;
  /** Milliseconds a figure and round. */
  readonly budgetMs: number;
  /** What is long is left out. */
  readonly isQuick: boolean;
  /** No round begins later than this, seconds; the first always does. */
  readonly lastRoundSeconds: number;
}

/** A minute on a machine that is not too busy, or some. */
export const EFFORT: Readonly<Record<'quick' | 'full', Effort>> = {
  quick: { rounds: 3, budgetMs: 12, isQuick: true, lastRoundSeconds: 30 },
  full: { rounds: 5, budgetMs: 120, isQuick: false, lastRoundSeconds: 900 },
};

/** Where it is. */
export interface MeasuringState {
  readonly round: number;
  readonly rounds: number;
  readonly group: GroupName | null;
  /** Figures with samples, of all that are asked for. */
  readonly figures: number;
  readonly of: number;
}

const OF_ALL = /^(uffd|huge|swap)$/;

/** Measures the figures of some groups. */
export class Measuring {
  readonly samples = new Samples();
  readonly #program: string;
  readonly #groups: readonly GroupName[];
  readonly #effort: Effort;
  readonly #cannot: { readonly group: GroupName; readonly names: readonly string[]; readonly why: string }[] =
    [];
  #round = 0;
  #group: GroupName | null = null;
  #isStopped = false;
  #stopChild: (() => void) | null = null;

  /** @param program  oracle/cost, built */
  constructor(program: string, groups: readonly GroupName[], effort: Effort) {
    this.#program = program;
    this.#groups = groups;
    this.#effort = effort;
  }

  /** Where it is. */
  get state(): MeasuringState {
    return {
      round: this.#round,
      rounds: this.#effort.rounds,
      group: this.#group,
      figures: this.samples.size,
      of: FIGURES.filter(({ group }) => this.#groups.includes(group)).length,
    };
  }
  /** It was told to end before its time. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Measures until it is done, or stopped. @param afterRound  something else that is to be measured in turns with this */
  async run(afterRound: (round: number) => void = () => undefined): Promise<void> {
    const began = performance.now();
    const { rounds, lastRoundSeconds } = this.#effort;
    for (this.#round = 1; this.#round <= rounds; this.#round++) {
      if (this.#round > 1 && performance.now() - began > lastRoundSeconds * 1000) break;
      for (const group of this.#groups) {
        if (this.#isStopped) return;
        this.#group = group;
        await this.#measure(group);
      }
      afterRound(this.#round);
    }
    this.#round--;
  }

  /** Ends it after the sample it is at. What was measured stays. */
  stop(): void {
    this.#isStopped = true;
    this.#stopChild?.();
  }

  /** Tells why there are no samples of a figure. */
  whyNot({ name, group }: FigureInfo): string {
    if (!this.#groups.includes(group)) return `group ${group} was not asked for`;
    const said = this.#cannot.find((each) => each.group === group && each.names.some((n) => isOf(n, name)));
    if (said !== undefined) return said.why;
    return this.#isStopped ? 'interrupted before it' : 'its group ended early';
  }

  async #measure(group: GroupName): Promise<void> {
    const { budgetMs, isQuick } = this.#effort;
    const args = ['measure', ...(isQuick ? ['--quick'] : []), '--budget', String(budgetMs), group];
    const child = spawn(this.#program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#stopChild = () => child.kill('SIGTERM');
    let complaint = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    const ended = new Promise<number | null>((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
    });
    for await (const line of createInterface({ input: child.stdout })) this.#line(group, line);
    const status = await ended;
    this.#stopChild = null;
    if (status !== 0 && !this.#isStopped)
      this.#note(group, [''], complaint.trim() || 'the program that measures it failed');
  }

  #line(group: GroupName, line: string): void {
    const [word = '', ...rest] = line.split(' ');
    if (word === 'group') return;
    if (word !== 'cannot') {
      this.samples.add(word, rest.map(Number));
      return;
    }
    const [names = '', why = ''] = rest.join(' ').split(': ');
    this.#note(group, names.split(' '), why);
  }

  #note(group: GroupName, names: readonly string[], why: string): void {
    this.#cannot.push({ group, names, why });
  }
}

/** Tells whether what a complaint names is a figure: by its name, or by how its name begins; some name a whole group. */
const isOf = (named: string, figure: string): boolean =>
  OF_ALL.test(named) || figure === named || figure.startsWith(named);
