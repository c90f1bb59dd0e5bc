import { describe, expect, it } from 'vitest';
import { CALIBRATION } from '../../test/support/calibration.ts';
import { Simulation } from '../machine/index.ts';
import { textTable } from './table.ts';
import { type TimedRun, timeMetrics, timeTable } from './timeMetrics.ts';

function run(label: string, pages: number): TimedRun {
  const simulation = new Simulation({ calibration: CALIBRATION });
  simulation.start('main', function* (t) {
    const a = yield* t.mmap(pages * 4096);
    yield* t.touch(a, pages * 4096);
    t.count('pages', pages);
    yield* t.work(1_000_000);
  });
  return { label, report: simulation.run(), figures: { answer: 42 } };
}

describe('the rows of a run in virtual time', () => {
  it('tell its time, what the program tells, CPUs, locks and paths', () => {
    const metrics = timeMetrics(run('x', 100));
    const named = (name: string): number | undefined => metrics.find((each) => each.name === name)?.value;
    expect(named('elapsed, µs')).toBeGreaterThan(1100);
    expect(named('pages')).toBe(100);
    expect(named('answer')).toBe(42);
    expect(named('CPU 0 busy, %')).toBe(100);
    expect(named('CPU 1 busy, %')).toBe(0);
    expect(named('mmap_lock, write: had to wait')).toBe(0);
    expect(named('fault-anon-cold')).toBeGreaterThan(100);
  });

  it('stand side by side with what changed, zeros left out', () => {
    const lines = textTable(timeTable('two runs', [run('few', 100), run('many', 200)])).split('\n');
    expect(lines[0]).toMatch(/^two runs +few +many/);
    expect(lines.find((line) => line.startsWith('  pages '))).toMatch(/100 +200 +\+100$/);
    expect(lines.find((line) => line.includes('answer'))).toMatch(/42 +42$/);
    expect(lines.some((line) => line.includes('had to wait'))).toBe(false);
    expect(lines.filter((line) => line === 'locks')).toEqual([]);
  });
});
