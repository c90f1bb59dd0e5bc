import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseCaseFile } from './caseFile.ts';
import { formatExpectation } from './expectation.ts';
import { loadPageCases, loadUffdCases, pageCaseText, whyNotOn } from './pageCases.ts';
import { isPageStep, PAGE_GRAMMAR } from './pageStep.ts';

const SPEC = new URL('../../../shared/spec/', import.meta.url);

const cases = loadPageCases();
/** The numbers of the cases named LETTERS plus a number; a letter behind it makes several of one number. */
const numbersOf = (letters: string): number[] => [
  ...new Set(
    cases.flatMap((c) => {
      const match = /^([A-Z]+)(\d+)[a-z]?$/.exec(c.id);
      return match?.[1] === letters ? [Number(match[2])] : [];
    }),
  ),
];
const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);

describe('the cases about pages', () => {
  it('have every row of the matrix of page-table reclaim', () => {
    expect(numbersOf('T')).toEqual(upTo(46));
  });
  it('have every numbered case of page-table reclaim that the kernel answers alike', () => {
    expect(numbersOf('S')).toEqual(expect.arrayContaining(upTo(24)));
  });
  it('have every fact about counting', () => {
    expect(numbersOf('C')).toEqual(upTo(12));
  });

  it('have a name each, and steps', () => {
    expect(new Set(cases.map((c) => c.id)).size).toBe(cases.length);
    expect(cases.filter((c) => c.steps.length === 0)).toEqual([]);
  });

  it('run somewhere, and say why where they do not run', () => {
    expect(cases.filter((c) => whyNotOn('kernel', c) !== null && whyNotOn('model', c) !== null)).toEqual([]);
    for (const c of cases)
      if (c.title.includes('[not on'))
        expect(whyNotOn('kernel', c) ?? whyNotOn('model', c), c.id).toMatch(/\w/);
  });

  it('use every operation about pages', () => {
    const used = new Set(cases.flatMap((c) => c.steps.map(({ step }) => step.op as string)));
    const fills = new Set(loadUffdCases().flatMap((c) => c.steps.map((s) => s.text.split(' ')[0])));
    for (const c of loadUffdCases()) for (const { step } of c.steps) used.add(step.op);
    expect([...PAGE_GRAMMAR.keys()].filter((op) => !used.has(op) && !fills.has(op))).toEqual([]);
  });

  it('represent everything that is written: each step reads back as its own text', () => {
    const lines = pageCaseText()
      .split('\n')
      .filter((line) => line.startsWith('    '));
    const items = lines.flatMap((line) => line.trim().split(';'));
    const steps = cases.flatMap((c) => c.steps);
    const traps = steps.flatMap((s) => (s.expected.kind === 'traps' ? s.expected.traps : []));
    expect(steps.length + traps.length).toBe(items.length);
    const empty = steps.filter((s) => s.mark !== 'none' && formatExpectation(s.expected) === '');
    expect(empty).toEqual([]);
  });

  // The specification is no part of this project: where it does not lie beside the checkout, there is nothing to compare with.
  const spec = new URL('pt-reclaim.md', SPEC);
  const itCompares = existsSync(spec) ? it : (): void => {};
  if (!existsSync(spec))
    console.warn('left out: comparison with ../shared/spec/pt-reclaim.md, which is not there');
  itCompares('have as many rows as the specification', () => {
    const text = readFileSync(spec, 'utf8');
    const matrix = [...text.matchAll(/^\| (\d+) \|/gm)].map((m) => Number(m[1]));
    expect(matrix).toEqual(upTo(46));
    expect(text).toContain('1-24 must equal the real kernel');
  });
});

describe('the notation of pages', () => {
  const only = (line: string) => parseCaseFile(`001 T01 test\n    ${line}`)[0]?.steps ?? [];

  it('takes MiB and GiB, and accesses that lie apart', () => {
    expect(only('touch 2M 4 1G')[0]?.step).toMatchObject({
      addr: { from: 'zero', bytes: 0x1000_0020_0000n },
      nrPages: 4,
      stride: 1n << 30n,
    });
    expect(only('pm 1G 2M -> -*512')[0]?.step).toMatchObject({ nrPages: 512 });
  });

  it('tells its own operations from the others', () => {
    expect(only('vmpte -> 8; unmap 0 1 -> 0').map(({ step }) => isPageStep(step))).toEqual([true, false]);
  });

  it.each([
    ['pm 0 4 -> b*4', 'no answer of pm'],
    ['pm 0 4', 'pm without an expectation'],
    ['faults -> -1', 'no answer of faults'],
    ['figures 0 4 Size -> 0', '"Size" is none of Rss'],
    ['status VmHWM -> 0', '"VmHWM" is none of VmPTE'],
    ['uffdwp 0 4 maybe -> 0', '"maybe" is none of on, off'],
    ['uffdopen WP -> 0', '"WP" is none of none, SIGBUS'],
    ['vmread 0 4 child -> 0', '"child" is none of parent'],
    ['pm 0 1b -> -', 'is not a number of pages'],
  ])('refuses %s', (line, message) => {
    expect(() => only(line)).toThrow(message);
  });
});
