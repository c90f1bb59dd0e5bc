/**
 * spec/pt-reclaim.md ends with 44 numbered cases. Each is a row of pages.cases, which the model and the running kernel answer (what Linux does today), or a test
 * whose name begins with its number, in one of the files below; so is the matrix of what was measured (2.2). One that is missing fails here.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { loadPageCases, whyNotOn } from './pageCases.ts';

const NR_CASES = 44;
/** So many of them, and all of the matrix, are about Linux as it is. */
const NR_ON_LINUX = 25;
const NR_ROWS = 46;
const ROOT = new URL('../../', import.meta.url);

/** Where tests begin with numbers of the chapter. */
const FILES = [
  'src/mm/ptReclaim.test.ts',
  'src/machine/tableCases.test.ts',
  'src/machine/threads/timedScan.test.ts',
  'test/property/tableContents.property.test.ts',
];
/** Tests of workloads, which have names of their own. */
const BY_NAME: readonly (readonly [nr: number, file: string, title: string])[] = [
  [
    40,
    'src/workloads/bloat/bloat.test.ts',
    'of which one gives back at each free: sync frees next to nothing, scans all',
  ],
  [43, 'src/workloads/bloat/bloat.test.ts', 'needs a hundredth of its tables'],
];

const TITLE = /\(\s*'(\d[\d, ]*): /g;
const numbersIn = (text: string): number[] =>
  [...text.matchAll(TITLE)].flatMap(([, numbers = '']) => numbers.split(',').map(Number));
const textOf = (file: string): string => readFileSync(new URL(file, ROOT), 'utf8');

/** Where each number stands. */
const places = new Map<number, string[]>();
const enter = (nr: number, place: string): void => {
  places.set(nr, [...(places.get(nr) ?? []), place]);
};
const cases = loadPageCases();
const rowsOf = (letter: string, nr: number): typeof cases =>
  cases.filter(
    ({ id }) => Number(new RegExp(`^${letter}(\\d\\d)[a-z]?$`).exec(id)?.[1] ?? Number.NaN) === nr,
  );
for (let nr = 1; nr <= NR_CASES; nr++) for (const { id } of rowsOf('S', nr)) enter(nr, `pages.cases ${id}`);
for (const file of FILES) for (const nr of new Set(numbersIn(textOf(file)))) enter(nr, file);
for (const [nr, file, title] of BY_NAME) if (textOf(file).includes(title)) enter(nr, `${file}: ${title}`);

describe('each numbered case of the specification is somewhere', () => {
  const all = Array.from({ length: NR_CASES }, (_, i) => i + 1);
  it.each(all.map((nr) => [nr, (places.get(nr) ?? []).join(', ')] as const))('%i: %s', (_nr, where) => {
    expect(where).not.toBe('');
  });
  it('and no test has another number', () => {
    expect([...places.keys()].filter((nr) => !all.includes(nr))).toEqual([]);
  });
});

describe('what is about Linux as it is runs on the model and on the running kernel', () => {
  it.each(Array.from({ length: NR_ON_LINUX }, (_, i) => i + 1))('case %i', (nr) => {
    const rows = rowsOf('S', nr);
    expect(rows).not.toEqual([]);
    for (const row of rows)
      expect([whyNotOn('model', row), whyNotOn('kernel', row)], row.id).toEqual([null, null]);
  });
  it.each(Array.from({ length: NR_ROWS }, (_, i) => i + 1))('row %i of the matrix', (nr) => {
    const rows = rowsOf('T', nr);
    expect(rows).not.toEqual([]);
    for (const row of rows) expect(whyNotOn('kernel', row), row.id).toBeNull();
    // The last one is a race of two threads: its model is in virtual time (timedScan.test.ts).
    if (nr < NR_ROWS) for (const row of rows) expect(whyNotOn('model', row), row.id).toBeNull();
  });
});
