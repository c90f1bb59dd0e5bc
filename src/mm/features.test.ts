import { describe, expect, it } from 'vitest';
import {
  FEATURES,
  type FeatureName,
  LINUX_6_18,
  PROFILES,
  parseFeatureSetting,
  withSettings,
} from './features.ts';

const names = Object.keys(FEATURES) as FeatureName[];

describe('the table of switches', () => {
  it.each(names)('%s has a text, an origin, and its value in every profile among its values', (name) => {
    const { values, text, seed } = FEATURES[name];
    expect(values.length).toBeGreaterThan(1);
    expect(new Set(values).size).toBe(values.length);
    expect([text.length > 20, seed.length > 0]).toEqual([true, true]);
    for (const profile of Object.values(PROFILES)) expect(values).toContain(profile[name]);
  });
  it('has the proposals of seed 004 off in every profile', () => {
    for (const profile of Object.values(PROFILES))
      expect([profile.mergePgoffOnMove, profile.mergeAcrossAnonVma, profile.mremapRelocateAnon]).toEqual([
        'off',
        'off',
        'off',
      ]);
  });
  it('has what came into Linux later off in the older profiles', () => {
    for (const name of ['mergeAfterResize', 'mergeFaultedWithUnfaulted', 'mremapManyVmas'] as const)
      expect([LINUX_6_18[name], PROFILES['as-5.18']?.[name], PROFILES['as-3.9']?.[name]]).toEqual([
        'on',
        'off',
        'off',
      ]);
  });
});

describe('settings', () => {
  it('are read from name=value', () => {
    expect(parseFeatureSetting('mergePgoffOnMove=on')).toEqual({ name: 'mergePgoffOnMove', value: 'on' });
    for (const name of names)
      for (const value of FEATURES[name].values)
        expect(parseFeatureSetting(`${name}=${value}`)).toEqual({ name, value });
  });
  it.each([
    ['mergePgoff=on', "no feature 'mergePgoff'"],
    ['toString=on', "no feature 'toString'"],
    ['', "no feature ''"],
    ['=on', "no feature ''"],
    ['mergePgoffOnMove', 'mergePgoffOnMove takes one of off, on'],
    ['mergePgoffOnMove=', 'mergePgoffOnMove takes one of off, on'],
    ['mergePgoffOnMove=On', 'mergePgoffOnMove takes one of off, on'],
    ['mergePgoffOnMove=on=on', 'mergePgoffOnMove takes one of off, on'],
    ['thp=on', 'thp takes one of never, madvise, always'],
  ])('"%s" is answered with what would be right', (text, says) => {
    expect(parseFeatureSetting(text)).toContain(says);
  });
  it('are applied in order, and leave the base alone', () => {
    const changed = withSettings(LINUX_6_18, [
      { name: 'thp', value: 'never' },
      { name: 'thp', value: 'always' },
      { name: 'mergePgoffOnMove', value: 'on' },
    ]);
    expect(changed).toEqual({ ...LINUX_6_18, thp: 'always', mergePgoffOnMove: 'on' });
    expect(LINUX_6_18.thp).toBe('madvise');
  });
});
