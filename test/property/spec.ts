/**
 * Specifications in strips: what is there, what is done, what is there afterwards.
 *
 *   spec('mprotect joins an unfaulted vma to a faulted one', `
 *     start     |rrr|Www|
 *     mprotect  3..6 r        -> 0
 *     expect    |rrrRrr|      maps 1   anonVmas 1
 *   `);
 *
 * `-> value` is what the call gives (0 when it is not written). Lines that begin with `off` or `on` hold in that position of the switch that the
 * specification is about; every other line in both. After the last line the common assertion checks every invariant, forks and ends a
 * child, and plays the whole text again: the events must be the same.
 */
import { expect, it } from 'vitest';
import {
  type FeatureName,
  type Features,
  LINUX_6_18,
  type MmEvent,
  withSettings,
} from '../../src/mm/index.ts';
import { StripWorld } from './strip.ts';

/** The switch a specification is about, with its two positions. */
export interface Switch {
  readonly name: FeatureName;
  readonly off?: string;
  readonly on?: string;
  /** Other switches that both tests set. */
  readonly beside?: Partial<Features>;
}

/** Declares a test as linux-6.18, or with other switches. */
export function spec(title: string, text: string, settings: Partial<Features> = {}): void {
  it(title, () => play(text, { ...LINUX_6_18, ...settings }, null));
}

/** Declares two tests: one with the switch off, one with it on. */
export function specOfSwitch(about: Switch, title: string, text: string): void {
  const { name, off = 'off', on = 'on', beside = {} } = about;
  const base = { ...LINUX_6_18, ...beside };
  for (const [position, value] of [
    ['off', off],
    ['on', on],
  ] as const)
    it(`${title}, ${name}=${value}`, () => {
      play(text, withSettings(base, [{ name, value }]), position);
    });
}

function play(text: string, features: Features, position: 'off' | 'on' | null): void {
  const first = playOnce(text, features, position);
  expect(JSON.stringify(playOnce(text, features, position))).toBe(JSON.stringify(first));
}

function playOnce(text: string, features: Features, position: 'off' | 'on' | null): MmEvent[] {
  const world = new StripWorld(features);
  for (const line of text.split('\n').map((one) => one.trim())) {
    const [first = '', ...rest] = line.split(/\s+/);
    const isFor = first === 'off' || first === 'on' ? first : null;
    if (line === '' || (isFor !== null && isFor !== position)) continue;
    step(world, isFor === null ? line : rest.join(' '));
    world.verify();
  }
  const { before, after } = world.forkAndBack();
  expect(after).toBe(before);
  return world.events;
}

function step(world: StripWorld, line: string): void {
  const [verb = '', strip = ''] = line.split(/\s+/);
  if (verb === 'start') world.setUp(strip, line.endsWith('accounted'));
  else if (verb === 'expect') {
    expect(world.draw(), line).toBe(strip);
    const maps = /\bmaps (\d+)/.exec(line)?.[1];
    if (maps !== undefined) expect(world.mm.mapCount, line).toBe(Number(maps));
    const anonVmas = /\banonVmas (\d+)/.exec(line)?.[1];
    if (anonVmas !== undefined) expect(world.nrAnonVmas, line).toBe(Number(anonVmas));
  } else {
    const [action = '', wanted = '0'] = line.split('->').map((part) => part.trim());
    expect(world.act(action), line).toBe(wanted);
  }
}
