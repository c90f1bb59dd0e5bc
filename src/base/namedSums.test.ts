/**
 * Sums by name, against a map.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { NamedSums } from './namedSums.ts';

it('adds up by name, in the order in which names came', () => {
  const additions = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 0, max: 9 })));
  fc.assert(
    fc.property(additions, (all) => {
      const sums = new NamedSums();
      const expected = new Map<string, number>();
      for (const [name, n] of all) {
        sums.add(name, n);
        expected.set(name, (expected.get(name) ?? 0) + n);
      }
      expect([...sums.toMap()]).toEqual([...expected]);
    }),
  );
});

it('goes on after it was looked at', () => {
  const sums = new NamedSums();
  sums.add('a', 1);
  expect(sums.toMap()).toEqual(new Map([['a', 1]]));
  sums.add('a', 2);
  expect(sums.toMap()).toEqual(new Map([['a', 3]]));
});
