/**
 * Hunts every mutant on the kernel of this machine and prints a table.
 *
 *   npm run mutants [-- NAME|MODE …] [--seconds 60] [--cpu 0] [--opsrun PATH] [--show]
 *
 * Exits with 1 if one is not found, or not short enough. `--show` prints the short sequences too.
 */
import { release } from 'node:os';
import { parseArgs } from 'node:util';
import { buildOpsrun, whyNoOracle } from '../../kernel/oracle.ts';
import { opsKernel } from '../../random/opsKernel.ts';
import { Workshop } from './build.ts';
import { type Catch, drawFor, hunt, shortFor } from './hunt.ts';
import { MUTANTS, type Mutant } from './list.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '60' },
    cpu: { type: 'string' },
    opsrun: { type: 'string' },
    show: { type: 'boolean' },
  },
});

const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

function verdictOf({ mode }: Mutant, caught: Catch): string {
  if (caught.seed === null) return 'not found';
  return caught.lines.length > shortFor(mode) ? 'too long' : '';
}

function rowOf(mutant: Mutant, caught: Catch): string {
  const found =
    caught.seed === null
      ? ['–', '–', '–']
      : [caught.findSeconds.toFixed(1), caught.shrinkSeconds.toFixed(1), String(caught.lines.length)];
  return row([`\`${mutant.name}\``, mutant.mode, ...found, mutant.breaks, verdictOf(mutant, caught)]);
}

async function main(): Promise<number> {
  const why = whyNoOracle();
  if (why !== null) {
    console.error(`mutants: ${why}`);
    return 2;
  }
  const wanted = MUTANTS.filter(
    ({ name, mode }) => positionals.length === 0 || positionals.includes(name) || positionals.includes(mode),
  );
  const run = opsKernel(values.opsrun ?? buildOpsrun(), values.cpu === undefined ? null : Number(values.cpu));
  const workshop = new Workshop();
  let missed = 0;
  console.log(`Linux ${release()}, ${wanted.length} mutants\n`);
  console.log(row(['mutant', 'mode', 'find s', 'shrink s', 'lines', 'what it does', '']));
  console.log(row(['---', '---', '---:', '---:', '---:', '---', '---']));
  const model = await workshop.build();
  for (const mutant of wanted) {
    const mutated = await workshop.build(mutant);
    const caught = hunt({ draw: drawFor(mutant.mode), mutated, model, run, seconds: Number(values.seconds) });
    if (verdictOf(mutant, caught) !== '') missed++;
    console.log(rowOf(mutant, caught));
    if (values.show) console.log([...caught.lines, caught.what].map((line) => `    ${line}`).join('\n'));
  }
  workshop.remove();
  console.log(`\n${wanted.length - missed} of ${wanted.length} found`);
  return missed === 0 ? 0 : 1;
}

process.exitCode = await main();
