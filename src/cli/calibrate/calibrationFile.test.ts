import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CALIBRATION } from '../../../test/support/calibration.ts';
import { loadCosts } from '../calibration.ts';
import { calibrationFile, isWhole } from './calibrationFile.ts';
import { FIGURES, GROUPS, LINES } from './figureList.ts';
import { type MeasuredFigure, Samples } from './samples.ts';

const folder = mkdtempSync(join(tmpdir(), 'faultline-calibrate-'));
afterAll(() => rmSync(folder, { recursive: true }));

const figuresOf = (...rounds: readonly (readonly number[])[]): MeasuredFigure[] => {
  const samples = new Samples();
  for (const round of rounds) samples.add('syscall_null', round);
  return samples.figures();
};
const fileOf = (figures: readonly MeasuredFigure[]) =>
  calibrationFile({
    measured: '2026-01-02',
    machine: {},
    figures,
    whyNot: ({ group }) => `no ${group}`,
    other: CALIBRATION,
    isInterrupted: false,
  });

describe('the list of figures', () => {
  it('has every figure of the bundled calibration in the same unit, each once', () => {
    const units = new Map(FIGURES.map(({ name, unit }) => [name, unit]));
    expect(units.size).toBe(FIGURES.length);
    const normal = (unit: string | undefined): string => unit ?? 'none';
    for (const { name, unit } of CALIBRATION.primitives)
      expect([name, normal(units.get(name))]).toEqual([name, unit]);
  });
  it('has every group, and both ends of every line', () => {
    expect(new Set(FIGURES.map(({ group }) => group))).toEqual(new Set(Object.keys(GROUPS)));
    const names = new Set(FIGURES.map(({ name }) => name));
    expect(LINES.flatMap(([, low, , high]) => [low, high]).filter((name) => !names.has(name))).toEqual([]);
    expect(LINES.map(([name]) => name)).toEqual(CALIBRATION.models.map(({ name }) => name));
  });
});

describe('samples', () => {
  it('become median and quantiles of all, and the floor of the rounds', () => {
    const [figure] = figuresOf([10, 12, 11], [20, 22, 21]);
    expect(figure).toMatchObject({ median: 20, p10: 10, p90: 22, n: 6, floor: 11, runMedians: [11, 21] });
    expect([figure?.noisy, figure?.floorConfirmed]).toEqual([true, false]);
  });
  it('that lie close together are not noisy, and two rounds that agree confirm the floor', () => {
    const [figure] = figuresOf([100, 101, 102], [103, 104, 105]);
    expect([figure?.noisy, figure?.floorConfirmed]).toEqual([false, true]);
  });
  it('of one round confirm nothing', () => {
    expect(figuresOf([100, 100])[0]?.floorConfirmed).toBe(false);
  });
  it('of a figure that nobody knows are refused', () => {
    expect(() => new Samples().add('nobody', [1])).toThrow('no figure is called nobody');
  });
});

describe('the file', () => {
  it('can be read again, and prices are made of it', () => {
    const path = join(folder, 'mine.json');
    const file = fileOf(figuresOf([200, 200]));
    writeFileSync(path, JSON.stringify(file));
    const costs = loadCosts(path);
    expect([costs.calibration.name, costs.calibration.measured]).toEqual(['mine', '2026-01-02']);
    expect(costs.priceOf('syscall').callNs).toBe(200);
    expect(isWhole(file)).toBe(true);
  });
  it('has scaled figures of the other calibration in the place of what is missing, and says so', () => {
    const theirs = CALIBRATION.primitives.find(({ name }) => name === 'syscall_null')?.floor ?? 0;
    const { primitives, missing } = fileOf(figuresOf([2 * theirs, 2 * theirs]));
    const cow = primitives.find(({ name }) => name === 'fault_cow_copy');
    expect(cow).toMatchObject({ floor: 2 * 1468, n: 0, standIn: true, noisy: true });
    expect(missing.find(({ name }) => name === 'fault_cow_copy')).toEqual({
      name: 'fault_cow_copy',
      why: 'no faults',
      instead: 'linux-6.18-x86_64 times 2',
    });
    expect(missing.length).toBe(FIGURES.length - 1);
  });
  it('draws the same lines through the bundled figures as the bundled calibration has', () => {
    const { models } = fileOf([]);
    for (const line of CALIBRATION.models) {
      const ours = models.find(({ name }) => name === line.name);
      expect(Math.abs((ours?.fixedNs ?? 0) - line.fixedNs)).toBeLessThan(Math.abs(line.fixedNs) * 0.01);
      expect(Math.abs((ours?.perPageNs ?? 0) - line.perPageNs)).toBeLessThan(line.perPageNs * 0.01);
    }
  });
});
