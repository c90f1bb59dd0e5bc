/**
 * Runs random sequences on kernel and model, one after the other, and writes those that differ, made short, into a folder.
 *
 *   npx jiti test/random/opsLoop.ts FOLDER [from=1] [to=1000] [modes=vma,fault] [ops=200] [every=25] [cpu=0] [verify] [fast] [without=mseal,fill] [opsrun=PROGRAM]
 *
 * `fast` does not shrink. `without` leaves out sequences in which one of these words occurs.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { checkLog, type FuzzModeName, fuzzSequence, shrinkOps, specRow } from '../../src/fuzz/index.ts';
import { buildOpsrun } from '../kernel/oracle.ts';
import { opsKernel } from './opsKernel.ts';

const BATCH = 10;
const MOST_SHRINK_MS = 30_000;

const [folder = '', ...words] = process.argv.slice(2);
const given = new Map(words.map((word) => [word.split('=')[0] ?? '', word.split('=')[1] ?? '1']));
const number = (name: string, otherwise: number): number => Number(given.get(name) ?? otherwise);
const modes = (given.get('modes') ?? 'vma,fault').split(',') as FuzzModeName[];
const ops = number('ops', 200);
const every = number('every', 25);
const run = opsKernel(given.get('opsrun') ?? buildOpsrun(), given.has('cpu') ? number('cpu', 0) : null);
const without = given.has('without') ? new RegExp((given.get('without') ?? '').replaceAll(',', '|')) : null;

/** An error that is no finding of the model's is one here: it must not end the loop. */
function check(log: string): ReturnType<typeof checkLog> {
  try {
    return checkLog(log, { verify: given.has('verify') ? 'every' : 'end' });
  } catch (error) {
    return { what: 'an error', kernel: '', ours: String(error).slice(0, 600) };
  }
}

function report(lines: readonly string[], mode: FuzzModeName, seed: number): void {
  const name = `${mode}-${seed}`;
  const until = Date.now() + MOST_SHRINK_MS;
  const shrunk = shrinkOps(lines, run, { check, isOver: () => Date.now() > until });
  if (shrunk === null) {
    console.log(`${name}: the difference did not come again`);
    return;
  }
  const row = specRow(shrunk, { mode, seed, ops, every });
  writeFileSync(`${folder}/${name}.ops`, row);
  writeFileSync(`${folder}/${name}.lines`, `${shrunk.lines.join('\n')}\n`);
  console.log(`${name}: ${(Date.now() - until + MOST_SHRINK_MS) / 1000} s\n${row}`);
}

mkdirSync(folder, { recursive: true });
let [carriedOut, differences, kernelMs] = [0, 0, 0];
const began = Date.now();
const until = number('to', 1000);
for (let from = number('from', 1); from <= until; from += BATCH) {
  for (const mode of modes) {
    const seeds = Array.from({ length: Math.min(BATCH, until - from + 1) }, (_, i) => from + i);
    const drawn = seeds.map((seed) => ({ seed, lines: fuzzSequence({ mode, seed, ops, every }) }));
    const wanted = drawn.filter(({ lines }) => without === null || !lines.some((line) => without.test(line)));
    const before = Date.now();
    const logs = wanted.length === 0 ? [] : run(wanted.map(({ lines }) => lines));
    kernelMs += Date.now() - before;
    for (const [i, log] of logs.entries()) {
      const { seed, lines } = wanted[i] as { seed: number; lines: readonly string[] };
      carriedOut += ops;
      const found = check(log);
      if (found === null) continue;
      differences++;
      writeFileSync(`${folder}/${mode}-${seed}.whole`, `${log}\n`);
      console.log(`${mode}-${seed}: ${found.what}\n  kernel ${found.kernel}\n  ours   ${found.ours}`);
      if (!given.has('fast')) report(lines, mode, seed);
    }
  }
}
const seconds = (Date.now() - began) / 1000;
console.log(
  `${carriedOut} operations, ${differences} differences, ${seconds} s, of these the kernel ${kernelMs / 1000} s`,
);
