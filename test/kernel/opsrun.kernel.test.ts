import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { checkLog, type FuzzModeName, fuzzSequence, shrinkOps, specRow } from '../../src/fuzz/index.ts';
import { opsKernel } from '../random/opsKernel.ts';
import { leaveOut } from './leftOut.ts';
import { buildOpsrun, whyNoOracle } from './oracle.ts';

const why = whyNoOracle();

const HAS_SWAP = why === null && readFileSync('/proc/swaps', 'utf8').trimEnd().includes('\n');

/** How many sequences of each mode, of how many operations. Seeds of FAULTLINE_SEED and above instead of 1, when that is set. */
const BATCHES: readonly (readonly [mode: FuzzModeName, nr: number, ops: number, every: number])[] = [
  ['vma', 30, 200, 25],
  ['fault', 20, 200, 25],
  ['fork', 20, 200, 25],
  ['thp', 20, 200, 25],
  ['limits', 10, 200, 25],
  ['files', 15, 200, 25],
  ['swap', 16, 200, 25],
  ['uffd', 16, 200, 25],
  ['all', 6, 400, 50],
];

const shift = Number(process.env['FAULTLINE_SEED'] ?? '0');
const RECORDED = fileURLToPath(new URL('../recordings/opfuzz', import.meta.url));

describe.runIf(why === null)('model and running kernel', () => {
  const run = opsKernel(why === null ? buildOpsrun() : '');

  // Sequences with swap have a device of their own.
  const possible = BATCHES.filter(([mode]) => !HAS_SWAP || !['swap', 'uffd', 'all'].includes(mode));
  it.each(possible)('agree in random sequences: %s', (mode, nr, ops, every) => {
    const seeds = Array.from({ length: nr }, (_, i) => shift + 1 + i);
    // What paging out does on a machine with swap space is not what it does on the model's.
    const isWanted = (line: string): boolean => !HAS_SWAP || !line.includes('MADV_PAGEOUT');
    const sequences = seeds.map((seed) => fuzzSequence({ mode, seed, ops, every }).filter(isWanted));
    const logs = run(sequences);
    expect(logs.length).toBe(nr);
    for (const [i, log] of logs.entries()) {
      if (checkLog(log) === null) continue;
      // What does not come again was the kernel's: a batch, its collapser.
      const shrunk = shrinkOps(sequences[i] ?? [], run);
      if (shrunk !== null) expect.unreachable(`seed ${seeds[i]} mode ${mode}:\n${specRow(shrunk)}`);
    }
  });

  it('give a recorded sequence its answers again', () => {
    const texts = readdirSync(RECORDED)
      .filter((name) => name.endsWith('.ops.gz'))
      .map((name) => gunzipSync(readFileSync(`${RECORDED}/${name}`)).toString());
    const again = run(texts.map((text) => text.trimEnd().split('\n')));
    // The executors differ outside the window, so only their page tables do; and ours empties the batches of its CPU, so all that is free is counted.
    const comparable = (log: string): string =>
      log.trimEnd().replaceAll(/pgtables_kb=\d+| LazyFree=\d+/g, '');
    expect(again.map(comparable)).toEqual(texts.map(comparable));
    expect(again.map((log) => checkLog(log))).toEqual(texts.map(() => null));
  });
});

it('is Linux 6.18 with root and a C compiler', (context) => {
  if (why !== null) leaveOut(context, `random sequences on the running kernel: ${why}`);
  expect(why).toBeNull();
});
