import { describe, expect, it } from 'vitest';
import { type CostRow, meetsGoal, verdictOf } from '../../src/cli/fidelity/costVerdict.ts';
import { CALIBRATION, measured } from '../../test/support/calibration.ts';
import { drawScenarios } from './draw.ts';
import { modelScenario } from './model.ts';
import { type Scenario, type Step, scenarioText } from './scenario.ts';

const scenario = (...steps: readonly Step[]): Scenario => ({
  situation: 'a',
  way: 'b',
  steps,
  needs: [],
  waits: false,
});

describe('drawing', () => {
  it('gives the same scenarios for a seed, and others for another', () => {
    expect(drawScenarios(7)).toEqual(drawScenarios(7));
    expect(drawScenarios(8)).not.toEqual(drawScenarios(7));
  });
  it('gives sixty scenarios or more, each of a situation with several ways, and each timed', () => {
    const scenarios = drawScenarios(3);
    expect(scenarios.length).toBeGreaterThanOrEqual(60);
    for (const { situation, way, steps } of scenarios) {
      expect(scenarios.filter((each) => each.situation === situation).length).toBeGreaterThan(1);
      const words = steps.map(([word]) => word);
      expect([way, words.includes('end') || words.includes('join')]).toEqual([way, true]);
    }
  });
  it('writes a scenario as lines', () => {
    expect(scenarioText(scenario(['map', 0, 4, 3], ['begin'], ['write', 0, 4, 1], ['end']), 5)).toBe(
      'scenario 5 0\nmap 0 4 3\nbegin\nwrite 0 4 1\nend\nrun\n',
    );
  });
});

describe('the model', () => {
  it.each(drawScenarios(11).map((each) => [`${each.situation}: ${each.way}`, each] as const))(
    'plays %s',
    (_, each) => {
      expect(modelScenario(each, CALIBRATION).ns).toBeGreaterThan(0);
    },
  );
  it('takes the second turn, and only what is between begin and end', () => {
    const writes: Step = ['write', 0, 4, 1];
    const { ns } = modelScenario(
      scenario(
        ['map', 0, 4, 3],
        ['begin'],
        writes,
        ['end'],
        writes,
        ['begin'],
        ['protect', 0, 4, 1],
        ['end'],
      ),
      CALIBRATION,
    );
    const { ns: twice } = modelScenario(
      scenario(['map', 0, 4, 3], ['begin'], writes, ['end'], ['begin'], ['protect', 0, 4, 1], ['end']),
      CALIBRATION,
    );
    expect(ns).toBeCloseTo(twice, 6);
    expect(ns).toBeGreaterThan(4 * measured('fault_anon_write'));
    expect(ns).toBeLessThan(6 * measured('fault_anon_write') + 2 * measured('fault_zero_new_pt'));
  });
  it('lets two threads do in the same time what one does twice', () => {
    const work: Step[] = Array.from({ length: 20 }, () => ['write', 0, 64, 1]);
    const map: Step[] = [
      ['map', 0, 64, 3],
      ['map', 100, 64, 3],
    ];
    const other = work.map((): Step => ['write', 100, 64, 1]);
    const one = modelScenario(scenario(...map, ['thread', 0], ...work, ...other, ['join']), CALIBRATION).ns;
    const two = modelScenario(
      scenario(...map, ['thread', 0], ...work, ['thread', 1], ...other, ['join']),
      CALIBRATION,
    ).ns;
    expect(two).toBeLessThan(one * 0.75);
  });
});

describe('the verdict', () => {
  const row = (situation: string, measuredNs: number, modelledNs: number): CostRow => ({
    situation,
    way: `${measuredNs}`,
    measuredNs,
    modelledNs,
    noisy: false,
  });
  it('counts rows that are near, and pairs of one situation that clearly differ', () => {
    const rows = [row('a', 100, 110), row('a', 200, 105), row('a', 210, 400), row('b', 1000, 1290)];
    expect(verdictOf(rows)).toEqual({ scenarios: 4, within15: 1, within30: 2, pairs: 2, ordered: 1 });
    expect(meetsGoal(verdictOf(rows))).toBe(false);
    expect(meetsGoal(verdictOf([row('a', 100, 110), row('a', 200, 205)]))).toBe(true);
  });
});
