import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { checkLog } from '../../src/fuzz/opsCheck.ts';
import { type OpsMode, type OpsOptions, opsSequence } from '../../src/fuzz/opsSequence.ts';
import { shrinkOps } from '../../src/fuzz/opsShrink.ts';
import { opsKernel } from '../random/opsKernel.ts';
import { leaveOut } from './leftOut.ts';
import { buildOpsrun, whyNoOracle } from './oracle.ts';

const why = whyNoOracle();

const HAS_SWAP = why === null && readFileSync('/proc/swaps', 'utf8').trimEnd().includes('\n');

/** What is drawn, and how many sequences of it in each mode. Seeds of FAULTLINE_SEED and above instead of 1, when that is set. */
const BATCHES: readonly (readonly [
  name: string,
  options: Partial<OpsOptions>,
  modes: OpsMode[],
  nr: number,
])[] = [
  ['as recorded', {}, [0, 1, 2], 10],
  ['many children', { children: 5, ops: 120, more: { fork: 3, child_touch_write: 4 } }, [0, 2], 6],
  ['many huge pages', { more: { MADV_HUGEPAGE: 3, MADV_COLLAPSE: 4, MADV_FREE: 2, fork: 2 } }, [2], 10],
  // What paging out does on a machine with swap space is not what it does on the model's.
  ['rare advice', { wide: true, more: HAS_SWAP ? { MADV_PAGEOUT: 0 } : {} }, [1], 10],
  ['long', { ops: 1000, every: 100 }, [1, 2], 1],
];

const shift = Number(process.env['FAULTLINE_SEED'] ?? '0');
const RECORDED = fileURLToPath(new URL('../recordings/opfuzz', import.meta.url));

describe.runIf(why === null)('model and running kernel', () => {
  const run = opsKernel(why === null ? buildOpsrun() : '');

  it.each(BATCHES)('agree in random sequences: %s', (_name, options, modes, nr) => {
    for (const mode of modes) {
      const seeds = Array.from({ length: nr }, (_, i) => shift + 1 + i);
      const sequences = seeds.map((seed) => opsSequence({ seed, mode, ...options }));
      const logs = run(sequences);
      expect(logs.length).toBe(nr);
      for (const [i, log] of logs.entries()) {
        if (checkLog(log) === null) continue;
        // What does not come again was the kernel's: a batch, its collapser.
        const shrunk = shrinkOps(sequences[i] ?? [], run);
        if (shrunk !== null) expect.unreachable(`seed ${seeds[i]} mode ${mode}:\n${shrunk.log}`);
      }
    }
  });

  it('give a recorded sequence its answers again', () => {
    const texts = readdirSync(RECORDED)
      .filter((name) => name.endsWith('.ops.gz'))
      .map((name) => gunzipSync(readFileSync(`${RECORDED}/${name}`)).toString());
    const again = run(texts.map((text) => text.trimEnd().split('\n')));
    // The executors differ outside the window, so only their page tables do.
    const comparable = (log: string): string => log.trimEnd().replaceAll(/pgtables_kb=\d+/g, '');
    expect(again.map(comparable)).toEqual(texts.map(comparable));
    expect(again.map((log) => checkLog(log))).toEqual(texts.map(() => null));
  });
});

it('is Linux 6.18 with root and a C compiler', (context) => {
  if (why !== null) leaveOut(context, `random sequences on the running kernel: ${why}`);
  expect(why).toBeNull();
});
