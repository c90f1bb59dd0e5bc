import { describe, expect, it } from 'vitest';
import { counted, grouped, markdownTable, signed, type Table, textTable } from './index.ts';

const TABLE: Table = {
  header: ['', 'name', 'off', 'switch'],
  nrLabels: 2,
  rows: [
    { heading: '' },
    { heading: 'first | input' },
    { cells: ['vmas', 'end', { value: 1259, change: null }, { value: 203, change: -1056 }] },
    { cells: ['', 'peak', { value: 7, change: null }, { value: 7, change: 0 }] },
    { cells: ['note', '', 'a', 'b|c'] },
  ],
};

describe('a table', () => {
  it('as text aligns numbers and their changes', () => {
    expect(textTable(TABLE)).toBe(
      [
        '      name    off  switch',
        '',
        'first | input',
        'vmas  end   1,259  203 -1,056',
        '      peak      7    7',
        'note            a         b|c',
      ].join('\n'),
    );
  });

  it('as Markdown has the same cells', () => {
    expect(markdownTable(TABLE)).toBe(
      [
        '|  | name | off | switch |',
        '|---|---|---:|---:|',
        '| **first \\| input** |  |  |  |',
        '| vmas | end | 1,259 | 203 (-1,056) |',
        '|  | peak | 7 | 7 |',
        '| note |  | a | b\\|c |',
      ].join('\n'),
    );
  });
});

describe('numbers', () => {
  it.each([
    [0, '0'],
    [999, '999'],
    [1000, '1,000'],
    [-1234567, '-1,234,567'],
  ])('%i is grouped', (value, text) => expect(grouped(value)).toBe(text));
  it('have a sign where they are changes', () => {
    expect([signed(5), signed(-5000), signed(0)]).toEqual(['+5', '-5,000', '']);
  });
  it('count things', () => {
    expect([counted(1, 'call'), counted(2000, 'call'), counted(2, 'touch', 'touches')]).toEqual([
      '1 call',
      '2,000 calls',
      '2 touches',
    ]);
  });
});
