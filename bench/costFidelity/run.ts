/**
 * Holds modelled times against the running kernel, on scenarios drawn from a seed, after measuring the prices of this machine in the same run.
 *
 *   npm run cost-fidelity -- --seed 7 [--quick] [--calibration FILE] [--paths] [--no-write]
 *
 * Prints the table and writes it into the ledger: fidelity/costs.json and its part of docs/fidelity.md. `--calibration` takes figures that were measured before,
 * `--paths` shows what the time of each row far off is made of. Exits with 1 when the goal is not met.
 */
import { writeFileSync } from 'node:fs';
import { release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { CalibrateProgress } from '../../src/cli/calibrate/calibrateProgress.ts';
import { calibrationFile } from '../../src/cli/calibrate/calibrationFile.ts';
import { GROUPS, type GroupName } from '../../src/cli/calibrate/figureList.ts';
import { EFFORT, Measuring } from '../../src/cli/calibrate/measuring.ts';
import { thisMachine } from '../../src/cli/calibrate/thisMachine.ts';
import { loadCosts } from '../../src/cli/calibration.ts';
import { machineFacts } from '../../src/cli/fuzz/machineFacts.ts';
import { buildProgram, whyNoKernel } from '../../src/cli/fuzz/oraclePrograms.ts';
import type { Calibration } from '../../src/machine/index.ts';
import { drawScenarios } from './draw.ts';
import { measureScenarios } from './kernel.ts';
import { modelScenario } from './model.ts';
import type { Scenario } from './scenario.ts';
import { type CostRow, isWithin, meetsGoal, ratioOf, verdictOf } from './verdict.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    quick: { type: 'boolean', default: false },
    calibration: { type: 'string' },
    paths: { type: 'boolean', default: false },
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

async function pricesOf(program: string): Promise<Calibration> {
  if (values.calibration !== undefined) return loadCosts(values.calibration).calibration;
  const groups = Object.keys(GROUPS).filter((name): name is GroupName => Object.hasOwn(GROUPS, name));
  const measuring = new Measuring(program, groups, EFFORT[values.quick ? 'quick' : 'full']);
  const progress = new CalibrateProgress(false, () => measuring.state);
  progress.start();
  await measuring.run();
  progress.end();
  const file = calibrationFile({
    measured: new Date().toISOString().slice(0, 10),
    machine: thisMachine(),
    figures: measuring.samples.figures(),
    whyNot: (info) => measuring.whyNot(info),
    other: loadCosts().calibration,
    isInterrupted: false,
  });
  return { name: 'this machine, just now', ...file };
}

const microseconds = (ns: number): string => (ns / 1000).toFixed(ns < 1e5 ? 1 : 0);

function rowText(row: CostRow): string {
  const { way, measuredNs, modelledNs, noisy } = row;
  const mark = isWithin(row, 0.15) ? ' ' : isWithin(row, 0.3) ? '.' : '*';
  const cells = [microseconds(measuredNs), microseconds(modelledNs), ratioOf(row).toFixed(2)];
  return `  ${way.padEnd(40)}${cells.map((cell) => cell.padStart(12)).join('')} ${mark}${noisy ? '~' : ''}`;
}

async function main(): Promise<number> {
  const why = whyNoKernel();
  if (why !== null) throw new Error(`cost-fidelity ${why}`);
  const program = buildProgram('cost');
  const seed = Number(values.seed);
  const scenarios = scenariosOf(seed);
  const calibration = await pricesOf(program);
  const effort = values.quick ? { rounds: 3, budgetMs: 40 } : { rounds: 7, budgetMs: 150 };
  const measured = measureScenarios(program, scenarios, effort);
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
  return report(rows, seed);
}

function report(rows: readonly CostRow[], seed: number): number {
  const verdict = verdictOf(rows);
  const share = (n: number, of: number): string => `${n} of ${of} (${((100 * n) / of).toFixed(0)} %)`;
  console.log(
    `\nmicroseconds measured, modelled, and modelled / measured; . more than 15 % off, * more than 30 %, ~ noisy\n
within 15 %: ${share(verdict.within15, verdict.scenarios)}, aimed at: half
within 30 %: ${share(verdict.within30, verdict.scenarios)}, aimed at: four in five
right order: ${share(verdict.ordered, verdict.pairs)} of pairs that differ by more than 1.3, aimed at: 95 %`,
  );
  if (values.write) {
    const results = {
      kernel: release(),
      seed,
      quick: values.quick,
      calibration: values.calibration ?? 'fresh',
      verdict,
      rows,
    };
    writeFileSync(RESULTS, `${JSON.stringify(results, null, 1)}\n`);
  }
  return meetsGoal(verdict) ? 0 : 1;
}

process.exitCode = await main();
