import { describe, expect, it } from 'vitest';
import { CALIBRATION } from '../../test/support/calibration.ts';
import { CostTable } from '../machine/index.ts';
import type { KernelLoads } from './experiment.ts';
import type { Row } from './row.ts';
import { SEED_002 } from './seed002.ts';

function run(kernel: KernelLoads | null = null): Map<string, Row> {
  const input = {
    params: { cpus: 2 },
    recordings: [],
    kernel,
    costs: new CostTable(CALIBRATION),
    progress: () => {},
  };
  return new Map(SEED_002.run(input).rows.map((row) => [row.name, row]));
}

describe('seed 002', () => {
  const rows = run();
  const holding = [...rows.values()].filter(({ holds }) => holds).length;

  it('predicts three of four published figures from the fourth', () => {
    const four = [...rows.values()].filter(
      ({ unit, published }) => unit === 'records/s' && published !== null,
    );
    expect(four.map(({ published }) => published)).toEqual([203_414, 52_389, 40_746, 174_910]);
    expect(four.filter(({ holds }) => !holds)).toEqual([]);
    expect(rows.get('12 CPUs, idle memory: vrange / vanilla')?.modelled).toBeGreaterThan(3.3);
  });
  it('predicts the table of today but for one row, in which two calls cost less than none (docs/fidelity.md)', () => {
    expect([...rows.values()].filter(({ holds }) => !holds).map(({ name }) => name)).toEqual([
      '2 CPUs, 512 chunks: two empty calls (own lock, v7) / DONTNEED',
    ]);
    expect(holding).toBe(rows.size - 1);
  });
  it('makes the gain of parts, and it grows in a virtual machine and with CPUs', () => {
    const shares = [...rows.values()].filter(({ name }) => name.includes('share of the gain'));
    expect(shares).toHaveLength(5);
    const sum = shares.reduce((all, { modelled }) => all + modelled, 0);
    expect(sum).toBeGreaterThan(0.85);
    expect(sum).toBeLessThan(1.15);
    const virtual = rows.get('12 CPUs in a virtual machine: vrange / vanilla')?.modelled ?? 0;
    expect(virtual).toBeGreaterThan(rows.get('12 CPUs, idle memory: vrange / vanilla')?.modelled ?? 0);
  });
});
