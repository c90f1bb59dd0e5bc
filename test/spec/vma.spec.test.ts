import { describe, expect, it } from 'vitest';
import { type Features, LINUX_6_18 } from '../../src/mm/features.ts';
import type { Case } from './caseFile.ts';
import { compareCase } from './compareCase.ts';
import { loadVmaCases } from './vmaCases.ts';
import { runOnModel } from './vmaModel.ts';

const cases = loadVmaCases();

describe('the model answers as the kernel does', () => {
  it.each(cases.map((c, i) => [c.id, c.title, i] as const))('%s %s', (_id, _title, i) => {
    const c = cases[i] as Case;
    expect(compareCase(c, runOnModel(c))).toEqual({ differences: [], modelOnly: 0 });
  });
});

describe('a switch in another position shows in the cases that are about it', () => {
  it.each<[keyof Features, string, string[]]>([
    ['mergeAfterResize', 'off', ['R05', 'R07', 'Y16', 'AB1']],
    ['mergeFaultedWithUnfaulted', 'off', ['G01', 'G02', 'G03', 'G04', 'G05', 'G09', 'G10', 'G11', 'M21']],
    ['mremapManyVmas', 'off', ['R36', 'R37', 'R39', 'R40', 'R42', 'X09', 'Y05', 'Z06', 'Z07']],
    ['mergePgoffOnMove', 'on', ['R14', 'R16', 'R19', 'G21', 'G35', 'Y07', 'Y09']],
    ['mergeAcrossAnonVma', 'on', ['M02', 'M10', 'X11', 'X28', 'Y23', 'R06', 'RNDa']],
  ])('%s=%s', (name, value, ids) => {
    const features = { ...LINUX_6_18, [name]: value } as Features;
    for (const id of ids) {
      const c = cases.find((one) => one.id === id) as Case;
      expect(compareCase(c, runOnModel(c, features)).differences, id).not.toEqual([]);
    }
  });
});
