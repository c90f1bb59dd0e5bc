/**
 * The numbered cases of spec/volatile-ranges.md 10 that have a side on the running kernel: 38, by way of markers that stand for what was purged.
 */
import { describe, expect, it } from 'vitest';
import { MADV_FREE } from '../../src/abi/mman.ts';
import { buildProgram } from '../../src/cli/fuzz/oraclePrograms.ts';
import { leaveOut } from './leftOut.ts';
import { whyNoOracle } from './oracle.ts';
import {
  drawVrangeScript,
  shrinkVrangeScript,
  vrangeDifference,
  vrangeOnKernel,
  vrangeOnModel,
} from './vrangeScripts.ts';

const SEEDS = 24;
const STEPS = 480;

const why = whyNoOracle();

describe.runIf(why === null)('random sequences', () => {
  it('38: agree on values, SIGBUS, SIGSEGV and EFAULT', { timeout: 300_000 }, () => {
    const program = buildProgram('vrangePoison');
    const onKernel = (lines: readonly string[]): string[] => vrangeOnKernel(program, lines);
    const tally = new Map<string, number>();
    for (let seed = 1; seed <= SEEDS; seed++) {
      const lines = drawVrangeScript(seed, STEPS);
      const shrunk = vrangeDifference(lines, onKernel) === null ? null : shrinkVrangeScript(lines, onKernel);
      expect({ seed, shrunk }).toEqual({ seed, shrunk: null });
      for (const [i, said] of vrangeOnModel(lines).entries()) {
        const key = `${lines[i]?.split(' ')[1]}: ${said.replace(/value .*/, 'value').replace(/pages [1-9].*/, 'pages')}`;
        tally.set(key, (tally.get(key) ?? 0) + 1);
      }
    }
    // They would agree on nothing, too: each of these came often.
    const often = [
      ...['read: value', 'read: SIGBUS 2', 'write: SIGBUS 2', 'read: SIGSEGV 1', 'read: SIGSEGV 2'],
      ...['volatile: EINVAL', 'volatile: ENOMEM', 'novolatile: 0', 'novolatile: 1', 'novolatile: ENOMEM'],
      ...['purge: pages', 'copyin: EFAULT', 'copyout: EFAULT', 'peek: EFAULT', 'lock: ENOMEM'],
      ...['fork: 0', 'move: 0', 'resize: 0', 'exit: 0'],
    ];
    expect(often.filter((key) => (tally.get(key) ?? 0) < 15)).toEqual([]);
  });

  it('36: the first MADV_FREE counts whole batches of 31 pages, the next one all', () => {
    const program = buildProgram('vrangePoison');
    const lines = ['0 map 0 256', ...Array.from({ length: 256 }, (_, i) => `0 write ${i} 1`)];
    const free = `0 advise 0 256 ${MADV_FREE}`;
    // The batch is of a CPU: if another process frees pages there in between, the number is another.
    const seen = Array.from({ length: 12 }, () =>
      vrangeOnKernel(program, [...lines, free, '0 lazy', free, '0 lazy']).slice(-4),
    );
    expect(seen).toContainEqual(['0', '992', '0', '1024']);
  });

  it('find a mistake, and cut the sequence down to it', { timeout: 120_000 }, () => {
    const program = buildProgram('vrangePoison');
    const wrong = (lines: readonly string[]): string[] => vrangeOnKernel(program, lines, ['forget']);
    const found = Array.from({ length: 4 }, (_, i) => drawVrangeScript(i + 1, STEPS)).find(
      (lines) => vrangeDifference(lines, wrong) !== null,
    );
    const shrunk = shrinkVrangeScript(found ?? [], wrong);
    // A page that is volatile for both is thrown away, and not where the child has forgotten.
    expect(shrunk?.lines.map((line) => line.split(' ')[1])).toEqual([
      'map',
      'write',
      'volatile',
      'fork',
      'purge',
    ]);
    expect([shrunk?.difference.model, shrunk?.difference.kernel]).toEqual(['pages 1', 'pages 0']);
  });
});

it('is Linux 6.18 with root and a C compiler', (context) => {
  if (why !== null) leaveOut(context, `volatile ranges on the running kernel: ${why}`);
  expect(why).toBeNull();
});
