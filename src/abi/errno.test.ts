import { constants } from 'node:os';
import { describe, expect, it } from 'vitest';
import * as errno from './errno.ts';
import { errnoByName, errnoName } from './errno.ts';

const names = Object.entries<unknown>(errno).filter((entry): entry is [string, number] =>
  /^E[A-Z0-9]+$/.test(entry[0]),
);

describe('error numbers', () => {
  it.each(names)('%s goes from name to number and back', (name, value) => {
    expect(errnoByName(name)).toBe(value);
    expect(errnoName(value)).toBe(name);
  });
  it('are the numbers of this machine', () => {
    const here: Readonly<Record<string, number>> = constants.errno;
    const compared = names.filter(([name]) => here[name] !== undefined);
    expect(compared.length).toBeGreaterThan(20);
    for (const [name, value] of compared) expect(value, name).toBe(here[name]);
  });
  it('are told apart from what is no error', () => {
    expect([errnoByName('EWHAT'), errnoByName(''), errnoByName('toString')]).toEqual([null, null, null]);
    expect(errnoName(4095)).toBe('E4095');
  });
});
