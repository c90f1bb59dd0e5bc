/**
 * Random cases in the notation of the case files, made step by step on the model, so that what is drawn fits what is there.
 *
 * A seed decides everything: the size of the window, which rare things take part, each step. Every step that may change something is
 * followed by `vmas`, and by `tables` where huge pages matter.
 * Cost   about a millisecond a step, most of it the model's own checks
 */
import { Prng } from '../../src/base/prng.ts';
import type { Case, CaseStep } from '../spec/caseFile.ts';
import { parseStep } from '../spec/caseStep.ts';
import { Run } from '../spec/caseTarget.ts';
import { type Expectation, formatExpectation } from '../spec/expectation.ts';
import { VmaModel } from '../spec/vmaModel.ts';
import { deckOf, hasFiles, prepare, RARITIES, type Rarity, type Scene, type Steps } from './draws.ts';
import { Places, PMD_PAGES } from './places.ts';

const SMALL = 96;
const LARGE = 2048;
const VERIFY_EVERY = 32;

/** What a case may be about; what is not given is drawn from the seed. */
export interface RandomOptions {
  readonly nrSteps: number;
  /** Pages of the window: 96, or 2048 where huge pages matter. */
  readonly pages?: number;
  /** Most ranges are whole 2 MiB. */
  readonly huge?: boolean;
  readonly rarities?: readonly Rarity[];
}

/** The model, with its invariants checked now and then: a check visits everything. */
class RandomModel extends VmaModel {
  #left = VERIFY_EVERY;
  override verify(): void {
    if (--this.#left > 0) return;
    this.#left = VERIFY_EVERY;
    this.verifyAll();
  }
}

const stepOf = (text: string, expected: Expectation): CaseStep => ({
  line: 0,
  text,
  step: parseStep(text),
  mark: expected.kind === 'vmas' ? '=>' : expected.kind === 'answer' ? '->' : 'none',
  expected,
});

/** Makes a case of operations as text; what it expects is `seen`, and nothing where there is none. */
export const caseOf = (texts: readonly string[], seen: readonly Expectation[] = []): Case => ({
  nr: null,
  id: 'RANDOM',
  title: '',
  line: 0,
  steps: texts.map((text, i) => stepOf(text, seen[i] ?? { kind: 'nothing' })),
});

/** Tells whether a step only looks, or makes something that no vma shows. */
export const changesNothing = (text: string): boolean =>
  /^(vmas|tables|at|pfn|val|mincore|msync)\b/.test(text);
const isSetup = (text: string): boolean => /^(fd|fillfd|file|shmget|uffd|seals|limit)\b/.test(text);

/** Makes the steps on a model as they are drawn. */
class Maker {
  readonly texts: string[] = [];
  readonly seen: Expectation[] = [];
  readonly #run: Run;
  readonly #after: readonly string[];

  constructor(run: Run, after: readonly string[]) {
    this.#run = run;
    this.#after = after;
  }
  #step(text: string): string {
    const seen = this.#run.step(parseStep(text));
    this.texts.push(text);
    this.seen.push(seen);
    return formatExpectation(seen);
  }
  make(steps: Steps): void {
    for (let next = steps.next(''); next.done !== true; ) {
      const text = next.value;
      const answer = this.#step(text);
      if (!isSetup(text)) for (const look of this.#after) this.#step(look);
      next = steps.next(answer);
    }
  }
}

/** Makes the case of `seed`; what it expects is what the model answers. Throws what the model throws. */
export function randomCase(seed: number, options: RandomOptions): Case {
  const rng = new Prng(seed);
  const kind = rng.below(5);
  const pages = options.pages ?? (kind < 2 ? SMALL : LARGE);
  const huge = options.huge ?? (pages > PMD_PAGES && kind > 2);
  const has = new Set(options.rarities ?? RARITIES.filter(() => rng.below(4) === 0));
  // A model that will be filled up takes its small limit.
  const model = new RandomModel({ id: 'RANDOM', steps: has.has('full') ? caseOf(['fill 1']).steps : [] });
  const places = new Places(rng, () => model.windowVmas(), { pages, huge });
  const scene: Scene = { rng, places, has, huge, held: [], nrHeld: 0, turn: 0 };
  // Huge pages of files leave no table when they are split, which is not modelled.
  const tables = pages > PMD_PAGES && !hasFiles(scene) ? [`tables 0 ${pages}`] : [];
  const maker = new Maker(new Run(model), ['vmas', ...tables]);
  maker.make(prepare(scene));
  const deck = deckOf(has);
  for (let i = 0; i < options.nrSteps; i++) maker.make(rng.pick(deck)(scene));
  model.verifyAll();
  return caseOf(maker.texts, maker.seen);
}

/** Runs operations on a model, each followed by `vmas`; null when the model cannot carry them out (a shrunk case may make no sense). */
export function modelCase(operations: readonly string[], withTables: boolean): Case | null {
  const after = withTables ? ['vmas', `tables 0 ${LARGE}`] : ['vmas'];
  const texts = operations.flatMap((text) => (isSetup(text) ? [text] : [text, ...after]));
  const bare = caseOf(texts);
  const seen: Expectation[] = [];
  try {
    const run = new Run(new RandomModel(bare));
    for (const { step } of bare.steps) seen.push(run.step(step));
  } catch {
    return null;
  }
  return caseOf(texts, seen);
}
