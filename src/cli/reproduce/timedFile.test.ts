import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CALIBRATION, measured } from '../../../test/support/calibration.ts';
import { EXPERIMENTS, loadName } from '../../experiments/index.ts';
import { calibrationFigures } from '../../machine/index.ts';
import { settleParams } from '../../workloads/index.ts';
import { Samples } from '../calibrate/samples.ts';
import { readTimedFile, timedFileOf, timedLoadsOf, writeTimedFile } from './timedFile.ts';

const folder = mkdtempSync(join(tmpdir(), 'faultline-timed-'));
afterAll(() => rmSync(folder, { recursive: true }));

const LOAD = { kind: 'records', chunks: 10, purge: 'free', threads: 2 } as const;

function slowMachine() {
  const samples = new Samples();
  for (const name of ['fault_anon_write', 'syscall_null', 'copy_4k_hot'])
    samples.add(name, [2 * measured(name)]);
  return timedFileOf({
    seed: '002',
    measured: '2026-01-02',
    machine: { kernel: '6.18.0' },
    loads: [{ name: loadName(LOAD), figures: [1000, 0], rounds: [1000] }],
    primitives: samples.figures(),
  });
}

describe('what was timed', () => {
  it('comes back from its file, with prices that are whole', () => {
    const path = join(folder, 'kept.json');
    writeTimedFile(path, slowMachine());
    const timed = timedLoadsOf(readTimedFile('002', path));
    expect(timed.figures(LOAD)).toEqual([1000, 0]);
    expect(timed.figures({ ...LOAD, chunks: 11 })).toBeNull();
    const figures = calibrationFigures(timed.calibration);
    expect(figures.figure('fault_anon_write')).toBeCloseTo(2 * measured('fault_anon_write'), 0);
    // Nobody measured it there: as much dearer as what was.
    expect(figures.figure('munlock_512') / measured('munlock_512')).toBeCloseTo(2, 2);
    expect(timed.about).toContain(
      `in ${CALIBRATION.name} ${Math.round(measured('fault_anon_write'))} (2.00 times)`,
    );
  });

  it('comes with the program for every experiment that times loads, and has all of them at full size', () => {
    for (const { seed, timing, params, title } of EXPERIMENTS) {
      if (timing === undefined) continue;
      const timed = timedLoadsOf(readTimedFile(seed));
      for (const load of timing.loads(settleParams({ name: title, params })))
        expect([loadName(load), timed.figures(load)]).toEqual([
          loadName(load),
          [expect.any(Number), expect.any(Number)],
        ]);
    }
  });

  it.each([
    ['another seed', '003', JSON.stringify(slowMachine()), 'is about seed 002, not 003'],
    ['another file', '002', '{}', 'has not "schema": "mm-timed-loads/1"'],
    ['no JSON', '002', '{', 'cannot be read'],
  ])('%s is refused', (what, seed, text, message) => {
    const path = join(folder, `${what}.json`);
    writeFileSync(path, text);
    expect(() => readTimedFile(seed, path)).toThrow(message);
  });
});
