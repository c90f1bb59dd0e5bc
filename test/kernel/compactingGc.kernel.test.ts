/**
 * The compacting collector on the running kernel: what its strategies do, call by call and fault by fault, comes out there as in the model. Results of
 * calls, page faults and signals of each access, VMAs and resident pages after each call.
 */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { buildProgram } from '../../src/cli/fuzz/oraclePrograms.ts';
import { type ScriptLine, scriptOfRun } from './gcScript.ts';
import { leaveOut } from './leftOut.ts';
import { whyNoOracle } from './oracle.ts';

function replay(script: readonly ScriptLine[]): string[] {
  const { status, stdout, stderr } = spawnSync(buildProgram('gcReplay'), {
    input: script.map(({ text }) => `${text}\n`).join(''),
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  expect(stderr).toBe('');
  expect(status).toBe(0);
  return stdout.trimEnd().split('\n');
}

const counted = (lines: readonly string[]): Record<string, number> => ({
  signals: lines.filter((line) => line === 'signal').length,
  faults: lines.reduce((sum, line) => sum + Number(/^faults (\d+)$/.exec(line)?.[1] ?? 0), 0),
  peak: Math.max(...lines.map((line) => Number(/vmas (\d+)/.exec(line)?.[1] ?? 0))),
});

const RUNS = {
  'with mutators that fault': { mutators: 1, cycles: 2 },
  'by the collector alone': { mutators: 0, cycles: 1, pages: 64 },
  'on a heap that stays registered': { mutators: 1, cycles: 2, register: 'once', pages: 1 },
} as const;

describe.each(['protnone', 'uffd-copy', 'uffd-continue', 'uffd-move', 'mremap'])('%s', (strategy) => {
  const reason = whyNoOracle();
  for (const [name, given] of Object.entries(RUNS))
    it(`does on the kernel what it does in the model, ${name}`, { timeout: 120_000 }, (context) => {
      if (reason !== null) leaveOut(context, reason);
      const script = scriptOfRun({ strategy, heap: '2M', ...given });
      const kernel = replay(script);
      const model = script.map(({ came }) => came);
      const at = model.findIndex((line, i) => line !== kernel[i]);
      expect(at < 0 ? null : { at, done: script[at]?.text, model: model[at], kernel: kernel[at] }).toBeNull();
      expect(counted(kernel)).toEqual(counted(model));
      expect(kernel.length).toBe(script.length);
      expect(counted(kernel)['faults']).toBeGreaterThan(400);
    });
});
