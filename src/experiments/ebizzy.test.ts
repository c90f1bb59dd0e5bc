import { describe, expect, it } from 'vitest';
import { CALIBRATION } from '../../test/support/calibration.ts';
import { timedLoads } from '../../test/support/timedLoads.ts';
import { CostTable } from '../machine/index.ts';
import type { Row } from './row.ts';
import { SEED_002 } from './seed002.ts';
import type { TimedLoads } from './timedLoads.ts';

function run(timed: TimedLoads | null): Map<string, Row> {
  const input = {
    params: { cpus: 2 },
    recordings: [],
    kernel: null,
    timed,
    costs: new CostTable(CALIBRATION),
    progress: () => {},
  };
  return new Map(SEED_002.run(input).rows.map((row) => [row.name, row]));
}

describe('seed 002', () => {
  const rows = run(timedLoads('002'));

  it('predicts three of four published figures from the fourth', () => {
    const four = [...rows.values()].filter(
      ({ unit, published }) => unit === 'records/s' && published !== null,
    );
    expect(four.map(({ published }) => published)).toEqual([203_414, 52_389, 40_746, 174_910]);
    expect(four.filter(({ holds }) => !holds)).toEqual([]);
    expect(rows.get('12 CPUs, idle memory: vrange / vanilla')?.modelled).toBeGreaterThan(3.3);
  });
  it('predicts the table of today with the prices of the same run', () => {
    const timed = [...rows.values()].filter(({ prices }) => prices !== null);
    expect(timed.map(({ name }) => name.slice(0, 17))).toEqual([
      ...new Array(5).fill('2 CPUs, 10 chunks'),
      ...new Array(5).fill('2 CPUs, 512 chunk'),
    ]);
    expect(timed.filter(({ measured }) => measured === null)).toEqual([]);
    expect([...rows.values()].filter(({ holds }) => !holds)).toEqual([]);
  });
  it('says nothing of what was measured where nobody timed it, nor of its prices', () => {
    const table = [...run(null).values()].filter(({ name }) => name.startsWith('2 CPUs, 10 chunks'));
    expect(table.map(({ measured, prices }) => [measured, prices])).toEqual(table.map(() => [null, null]));
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
