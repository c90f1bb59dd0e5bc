/**
 * Runs random sequences on kernel and model, one after the other, and writes those that differ, made short, into a folder.
 *
 *   npx jiti test/random/opsLoop.ts FOLDER [from=1] [to=1000] [modes=012] [ops=200] [cpu=0] [children=2] [wide] [verify] [more=fork:3,MADV_HUGEPAGE:4]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { checkLog } from '../../src/fuzz/opsCheck.ts';
import { type OpsMode, opsSequence } from '../../src/fuzz/opsSequence.ts';
import { shrinkOps } from '../../src/fuzz/opsShrink.ts';
import { buildOpsrun } from '../kernel/oracle.ts';
import { opsKernel } from './opsKernel.ts';

const BATCH = 10;

const [folder = '', ...words] = process.argv.slice(2);
const given = new Map(words.map((word) => [word.split('=')[0] ?? '', word.split('=')[1] ?? '1']));
const number = (name: string, otherwise: number): number => Number(given.get(name) ?? otherwise);
const more = Object.fromEntries(
  (given.get('more') ?? '')
    .split(',')
    .filter((word) => word !== '')
    .map((word) => [word.split(':')[0] ?? '', Number(word.split(':')[1])]),
);
const modes = [...(given.get('modes') ?? '012')].map((digit) => Number(digit) as OpsMode);
const every = number('every', 25);
const run = opsKernel(buildOpsrun(), given.has('cpu') ? number('cpu', 0) : null);

function report(lines: readonly string[], name: string): void {
  const shrunk = shrinkOps(lines, run);
  if (shrunk === null) {
    console.log(`${name}: the difference did not come again`);
    return;
  }
  const { difference, log } = shrunk;
  const text = `${difference.what}\n  kernel ${difference.kernel}\n  ours   ${difference.ours}`;
  writeFileSync(`${folder}/${name}.ops`, `${log}\n`);
  writeFileSync(
    `${folder}/${name}.txt`,
    `${shrunk.lines.filter((l) => !l.startsWith('snap')).join('\n')}\n\n${text}\n`,
  );
  console.log(`${name}: ${shrunk.lines.length >> 1} operations: ${text}`);
}

mkdirSync(folder, { recursive: true });
let [ops, differences] = [0, 0];
const began = Date.now();
const until = number('to', 1000);
for (let seed = number('from', 1); seed <= until; seed += BATCH) {
  for (const mode of modes) {
    const seeds = Array.from({ length: Math.min(BATCH, until - seed + 1) }, (_, i) => seed + i);
    const sequences = seeds.map((s) =>
      opsSequence({
        seed: s,
        mode,
        ops: number('ops', 200),
        every,
        more,
        children: number('children', 2),
        wide: given.has('wide'),
      }),
    );
    for (const [i, log] of run(sequences).entries()) {
      ops += number('ops', 200);
      const found = checkLog(log, { verify: given.has('verify') ? 'every' : 'end' });
      if (found === null) continue;
      differences++;
      const name = `mode${mode}-seed${seeds[i]}`;
      writeFileSync(`${folder}/${name}.whole`, `${log}\n`);
      console.log(`${name}: ${found.what}\n  kernel ${found.kernel}\n  ours   ${found.ours}`);
      if (!given.has('fast')) report(sequences[i] ?? [], name);
    }
  }
}
console.log(`${ops} operations, ${differences} differences, ${(Date.now() - began) / 1000} s`);
