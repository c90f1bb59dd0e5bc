/**
 * Holds modelled times against the running kernel, on scenarios drawn from a seed, after measuring the prices of this machine in the same run.
 *
 *   npm run cost-fidelity -- --seed 7 [--quick] [--keep FILE] [--kept FILE] [--paths] [--no-write]
 *
 * Prints the table and writes it into the ledger: fidelity/costs.json, and the part of docs/fidelity.md that is made of it.
 * `--keep` keeps what was measured, prices and scenarios, and `--kept` takes it instead of measuring, to see what a change of the model does;
 * `--paths` shows what the time of each row far off is made of. Exits with 1 when the goal is not met.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CalibrateProgress } from '../../src/cli/calibrate/calibrateProgress.ts';
import { calibrationFile } from '../../src/cli/calibrate/calibrationFile.ts';
import { GROUPS, type GroupName } from '../../src/cli/calibrate/figureList.ts';
import { EFFORT, Measuring } from '../../src/cli/calibrate/measuring.ts';
import { thisMachine } from '../../src/cli/calibrate/thisMachine.ts';
import { loadCosts } from '../../src/cli/calibration.ts';
import { costCells, costMark, costSums, microseconds } from '../../src/cli/fidelity/costText.ts';
import {
  type CostResults,
  type CostRow,
  isWithin,
  meetsGoal,
  verdictOf,
} from '../../src/cli/fidelity/costVerdict.ts';
import { writeDocument } from '../../src/cli/fidelity.ts';
import { machineFacts } from '../../src/cli/fuzz/machineFacts.ts';
import { buildProgram, whyNoKernel } from '../../src/cli/fuzz/oraclePrograms.ts';
import type { Calibration } from '../../src/machine/index.ts';
import { drawScenarios } from './draw.ts';
import { KernelTimes, type Measured } from './kernel.ts';
import { modelScenario } from './model.ts';
import type { Scenario } from './scenario.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    quick: { type: 'boolean', default: false },
    paths: { type: 'boolean', default: false },
    keep: { type: 'string' },
    kept: { type: 'string' },
    write: { type: 'boolean', default: true },
  },
  allowNegative: true,
});

const RESULTS = fileURLToPath(new URL('../../fidelity/costs.json', import.meta.url));
const LEAST = 60;
const isRoot = process.getuid?.() === 0;

function mayRun({ needs }: Scenario): boolean {
  return isRoot || !needs.includes('swap');
}

/** Draws until there are enough that can be run here. */
function scenariosOf(seed: number): Scenario[] {
  for (let times = 1; ; times++) {
    const scenarios = drawScenarios(seed, times).filter(mayRun);
    if (scenarios.length >= LEAST) return scenarios;
  }
}

/** Everything that is measured. */
interface Run {
  readonly seed: number;
  readonly day: string;
  readonly kernel: string;
  readonly calibration: Calibration;
  readonly measured: readonly Measured[];
}

/** Measures prices and scenarios in turns, so that what disturbs the one disturbs the other. */
async function measure(seed: number, scenarios: readonly Scenario[]): Promise<Run> {
  const program = buildProgram('cost');
  const times = new KernelTimes(program, scenarios);
  const groups = Object.keys(GROUPS).filter((name): name is GroupName => Object.hasOwn(GROUPS, name));
  const effort = values.quick ? { ...EFFORT.quick, lastRoundSeconds: 90 } : EFFORT.full;
  const measuring = new Measuring(program, groups, effort);
  const progress = new CalibrateProgress(false, () => measuring.state);
  progress.start();
  await measuring.run(() => times.measure(2, values.quick ? 40 : 150));
  progress.end();
  const day = new Date().toISOString().slice(0, 10);
  const file = calibrationFile({
    measured: day,
    machine: thisMachine(),
    figures: measuring.samples.figures(),
    whyNot: (info) => measuring.whyNot(info),
    other: loadCosts().calibration,
    isInterrupted: false,
  });
  const calibration = { name: 'this machine, just now', ...file };
  return { seed, day, kernel: release(), calibration, measured: times.measured };
}

function rowText(row: CostRow): string {
  const cells = costCells(row).map((cell) => cell.padStart(12));
  return `  ${row.way.padEnd(40)}${cells.join('')} ${costMark(row)}`.trimEnd();
}

async function main(): Promise<number> {
  const why = whyNoKernel();
  if (why !== null) throw new Error(`cost-fidelity ${why}`);
  const run =
    values.kept === undefined
      ? await measure(Number(values.seed), scenariosOf(Number(values.seed)))
      : (JSON.parse(readFileSync(values.kept, 'utf8')) as Run);
  if (values.keep !== undefined) writeFileSync(values.keep, JSON.stringify(run));
  const { calibration, measured } = run;
  const scenarios = scenariosOf(run.seed);
  const { thp } = machineFacts().config;
  const rows: CostRow[] = [];
  let situation = '';
  for (const [i, scenario] of scenarios.entries()) {
    if (scenario.situation !== situation) {
      situation = scenario.situation;
      console.log(situation);
    }
    const { ns, noisy, why: failed } = measured[i] ?? { ns: null, noisy: true, why: 'not run' };
    if (ns === null) {
      console.log(`  ${scenario.way}: not measured: ${failed}`);
      continue;
    }
    const modelled = modelScenario(scenario, calibration, thp === 'always' ? 'always' : 'madvise');
    const row = { situation, way: scenario.way, measuredNs: ns, modelledNs: modelled.ns, noisy };
    rows.push(row);
    console.log(rowText(row));
    if (values.paths && !isWithin(row, 0.15))
      console.log(
        `      ${modelled.paths
          .slice(0, 6)
          .map(([path, time]) => `${path} ${microseconds(time)}`)
          .join(', ')}`,
      );
  }
  return report(rows, run);
}

function report(rows: readonly CostRow[], { seed, day, kernel }: Run): number {
  const verdict = verdictOf(rows);
  console.log(
    '\nmicroseconds measured, modelled, and modelled / measured; . more than 15 % off, * more than 30 %, ~ noisy\n',
  );
  for (const line of costSums(verdict)) console.log(line);
  if (values.write) {
    const results: CostResults = { kernel, measured: day, seed, quick: values.quick, verdict, rows };
    writeFileSync(RESULTS, `${JSON.stringify(results, null, 1)}\n`);
    writeDocument();
  }
  return meetsGoal(verdict) ? 0 : 1;
}

process.exitCode = await main();
