/**
 * spec/volatile-ranges.md ends with 39 numbered cases. Each is a test whose name begins with its number, in one of the files below, or a row of
 * volatile.cases, whose name does; one that is missing fails here.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadVolatileCases } from './pageCases.ts';

const NR_CASES = 39;
const ROOT = new URL('../../', import.meta.url);

/** Where tests begin with numbers of the chapter. */
const FILES = [
  'src/mm/vrange.test.ts',
  'src/machine/vrangeCalls.test.ts',
  'test/kernel/vrange.kernel.test.ts',
];
/** Cases about the workload that the proposal was measured with: tests that are about more, by the beginning of their title. */
const BY_TITLE: ReadonlyMap<number, readonly [file: string, title: string]> = new Map([
  [34, ['src/experiments/ebizzy.test.ts', 'predicts three of four published figures']],
  [35, ['src/workloads/ebizzy/ebizzy.test.ts', 'of ebizzy returns 0 for ever']],
]);

const TITLE = /\(\s*'(\d[\d, ]*): /g;
const numbersIn = (text: string): number[] =>
  [...text.matchAll(TITLE)].flatMap(([, numbers = '']) => numbers.split(',').map(Number));

/** Where each number stands. */
const places = new Map<number, string[]>();
const enter = (nr: number, place: string): void => {
  places.set(nr, [...(places.get(nr) ?? []), place]);
};
for (const file of FILES)
  for (const nr of new Set(numbersIn(readFileSync(new URL(file, ROOT), 'utf8')))) enter(nr, file);
for (const [nr, [file, title]] of BY_TITLE)
  if (readFileSync(new URL(file, ROOT), 'utf8').includes(`it('${title}`)) enter(nr, file);
for (const { id } of loadVolatileCases()) {
  const nr = Number(/^V(\d\d)[a-z]?$/.exec(id)?.[1] ?? Number.NaN);
  if (!Number.isNaN(nr)) enter(nr, `volatile.cases ${id}`);
}

describe('each numbered case of the specification is somewhere', () => {
  const all = Array.from({ length: NR_CASES }, (_, i) => i + 1);
  it.each(all.map((nr) => [nr, (places.get(nr) ?? []).join(', ')] as const))('%i: %s', (_nr, where) => {
    expect(where).not.toBe('');
  });
  it('and no test has another number', () => {
    expect([...places.keys()].filter((nr) => !all.includes(nr))).toEqual([]);
  });
  it('finds numbers in titles', () => {
    expect(numbersIn("it('7, 8: joins', () => {});\n  it.each(x)('9: %s', y); it('none', z);")).toEqual([
      7, 8, 9,
    ]);
  });
});
