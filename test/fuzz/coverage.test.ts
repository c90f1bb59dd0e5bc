/**
 * The gate: everything in COVERAGE_UNIVERSE is reached by a sequence of the fixed seeds, a case of the specification or an edge row, or stands
 * in EXCEPTIONS with a reason.
 *
 * The model plays alone: whether it is right is for other tests. So nothing is verified on the way, which takes most of their time.
 */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Unmodelled } from '../../src/base/assert.ts';
import { COVERAGE_UNIVERSE, Coverage, unreached } from '../../src/fuzz/coverage.ts';
import { type FuzzModeName, fuzzSequence } from '../../src/fuzz/index.ts';
import { Machine, type Outcome } from '../../src/machine/index.ts';
import { type Features, Kernel, LINUX_6_18 } from '../../src/mm/index.ts';
import { filesInMemory, opsItems } from '../../src/replay/index.ts';
import { outcomeText } from '../../src/replay/play/difference.ts';
import { Player } from '../../src/replay/play/player.ts';
import type { Case } from '../spec/caseFile.ts';
import { Run } from '../spec/caseTarget.ts';
import { loadPageCases, loadUffdCases, whyNotOn } from '../spec/pageCases.ts';
import { loadFuzzedCases, loadVmaCases } from '../spec/vmaCases.ts';
import { VmaModel } from '../spec/vmaModel.ts';
import { openFile } from '../support/recordings.ts';
import { EDGE_ROWS, type EdgeRow, TASK } from './edgeRows.ts';
import { UFFD_EDGE_ROWS } from './uffdEdgeRows.ts';

/** The seeds of each mode: from 1 to this. */
const SEEDS: Readonly<Record<Exclude<FuzzModeName, 'all'>, number>> = {
  vma: 20,
  fault: 10,
  fork: 10,
  thp: 10,
  limits: 40,
  files: 40,
  swap: 20,
  uffd: 60,
  pressure: 10,
  ptreclaim: 5,
};
const OPS = 200;
const RECORDED = 'test/recordings/opfuzz-uffd';
const ROWS = [...EDGE_ROWS, ...UFFD_EDGE_ROWS];

/** Keys that nothing here reaches, and why. */
const EXCEPTIONS: readonly (readonly [key: string, why: string])[] = [
  ['why:stack-limit', 'a stack that may not grow is a SIGSEGV, so the program never sees why'],
  ['why:guard-gap', 'the same'],
  ['why:cannot-extend', 'every vma that mremap lets grow takes more of itself; the check is a safeguard'],
  ['process_madvise:EHWPOISON', 'as madvise, where a case reaches it'],
];

/** Positions of switches in which other verdicts are reached. */
const SWITCHES: readonly Partial<Features>[] = [
  { mergePgoffOnMove: 'on' },
  { mergePgoffOnMove: 'on', mergeSharingCheck: 'mapcount' },
  { mergeAcrossAnonVma: 'on' },
  { mergeFaultedWithUnfaulted: 'off' },
];

/** Plays the sequence of a seed without a kernel's answers: the model chooses where mappings go. */
function playSeed(mode: FuzzModeName, seed: number, coverage: Coverage): void {
  const lines = fuzzSequence({ mode, seed, ops: OPS, every: OPS + 1 });
  const text = lines.filter((line) => !line.startsWith('snapshot')).join('\n');
  const player = new Player(
    { verify: 'never', events: coverage.event, outcomes: (op, outcome) => coverage.outcome(op, outcome) },
    {},
  );
  try {
    player.play(opsItems(filesInMemory(`${mode} ${seed}`, { '': text })));
  } catch (error) {
    // The rest of the sequence is not played, as in a run.
    if (!(error instanceof Unmodelled)) throw error;
  }
  coverage.faults(player.machine.kernel.work);
}

/** Plays a recorded sequence: only files with userfaultfd, which no seed draws here. */
function playRecorded(path: string, coverage: Coverage): void {
  const player = new Player(
    { verify: 'never', events: coverage.event, outcomes: (op, outcome) => coverage.outcome(op, outcome) },
    {},
  );
  player.play(opsItems(openFile(path)));
  coverage.faults(player.machine.kernel.work);
}

class UnverifiedModel extends VmaModel {
  override verify(): void {}
}

function playCase(c: Case, coverage: Coverage, features: Features = LINUX_6_18): void {
  const model = new UnverifiedModel(c, features, coverage);
  const run = new Run(model);
  for (const { step } of c.steps) run.step(step);
  coverage.faults(model.work);
}

/** Plays a row. Returns what its last operation gave. */
function playRow(row: EdgeRow, coverage: Coverage): Outcome {
  const machine = new Machine(new Kernel({ ...LINUX_6_18, ...row.features }));
  machine.tableReclaim.clock = () => 0;
  machine.kernel.emit = coverage.event;
  machine.spawn(TASK).uid = 0;
  let last: Outcome = { kind: 'unknown-memory' };
  for (const [op, chosen = {}, task = TASK] of row.ops) {
    last = machine.apply(task, op, chosen);
    coverage.outcome(op, last);
  }
  coverage.faults(machine.kernel.work);
  return last;
}

/** The error that an operation gave, or `ok`. */
function errnoOf(outcome: Outcome): string {
  if (outcome.kind === 'ioctl') return errnoOf(outcome.result);
  if (outcome.kind === 'messages') return outcome.error?.errno ?? 'ok';
  return outcome.kind === 'errno' ? outcome.errno : 'ok';
}

const CASES = [
  ...loadVmaCases(),
  ...loadFuzzedCases(),
  ...[...loadPageCases(), ...loadUffdCases()].filter((c) => whyNotOn('model', c) === null),
];
/** Cases whose point is how many vmas there are take long and reach nothing new with other switches. */
const isSmall = (c: Case): boolean =>
  !c.steps.some(({ step }) => step.op === 'fill' || step.op === 'commit' || step.op === 'gather');

describe('an edge row', () => {
  it.each(ROWS.map((row) => [row.title, row.gives, row] as const))('%s: %s', (_title, gives, row) => {
    const outcome = playRow(row, new Coverage());
    expect(errnoOf(outcome), outcomeText(outcome)).toBe(gives);
  });
});

describe('the fixed seeds, the cases and the edge rows', () => {
  const coverage = new Coverage();
  for (const [mode, seeds] of Object.entries(SEEDS))
    for (let seed = 1; seed <= seeds; seed++) playSeed(mode as FuzzModeName, seed, coverage);
  for (const c of CASES) playCase(c, coverage);
  for (const switches of SWITCHES)
    for (const c of loadVmaCases().filter(isSmall)) playCase(c, coverage, { ...LINUX_6_18, ...switches });
  for (const name of readdirSync(RECORDED)) playRecorded(`${RECORDED}/${name}`, coverage);
  for (const row of ROWS) playRow(row, coverage);
  const missing = unreached(coverage.keys()).map(({ key }) => key);

  it('reach every verdict, reason and errno but for the exceptions', () => {
    expect(missing).toEqual(EXCEPTIONS.map(([key]) => key));
  });
  it('reach nothing that is in no list', () => {
    expect([...coverage.strays]).toEqual([]);
  });
  it('leave out at most one in twenty', () => {
    expect(EXCEPTIONS.length).toBeLessThanOrEqual(COVERAGE_UNIVERSE.length / 20);
  });
});
