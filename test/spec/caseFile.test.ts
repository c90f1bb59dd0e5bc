import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseCaseFile } from './caseFile.ts';
import { PAGE, WINDOW } from './caseStep.ts';
import { difference, formatExpectation, parseVmas } from './expectation.ts';
import { applyDeviations, caseFileText, loadVmaCases, parseDeviations } from './vmaCases.ts';

const SPEC = new URL('../../../shared/spec/vma.md', import.meta.url);

/** The lines of a step: what is not a header, a comment, a quotation or empty. */
const stepLines = (text: string): string[] => text.split('\n').filter((line) => line.startsWith('    '));
const arrows = (lines: readonly string[]): number =>
  lines.reduce((n, line) => n + (line.match(/[-=]>/g)?.length ?? 0), 0);

describe('the case file', () => {
  const cases = parseCaseFile(caseFileText());

  it('has the numbered cases 1 to 310, in order, and each name once', () => {
    const numbered = cases.flatMap((c) => (c.nr === null ? [] : [c.nr]));
    expect(numbered).toEqual(Array.from({ length: 310 }, (_, i) => i + 1));
    expect(new Set(cases.map((c) => c.id)).size).toBe(cases.length);
    expect(cases.filter((c) => c.steps.length === 0)).toEqual([]);
  });

  it('represents every arrow by exactly one expectation', () => {
    const marks = cases.flatMap((c) => c.steps.map((s) => s.mark));
    expect(marks.filter((mark) => mark === '->' || mark === '=>').length).toBe(
      arrows(stepLines(caseFileText())),
    );
  });

  it('represents everything that is written: each step reads back as its own text', () => {
    const items = stepLines(caseFileText()).flatMap((line) => line.trim().split(';'));
    const traps = cases.flatMap((c) =>
      c.steps.flatMap((s) => (s.expected.kind === 'traps' ? s.expected.traps : [])),
    );
    const steps = cases.flatMap((c) => c.steps);
    expect(steps.length + traps.length).toBe(items.length);
    expect(
      steps.filter(
        (s) => s.expected.kind !== 'vmas' && s.mark !== 'none' && formatExpectation(s.expected) === '',
      ),
    ).toHaveLength(1);
  });

  // The specification is no part of this project: where it does not lie beside the checkout, there is nothing to compare with.
  if (!existsSync(SPEC))
    console.warn('left out: comparison with the specification, ../shared/spec/vma.md is not there');
  const itCompares = existsSync(SPEC) ? it : (): void => {};
  itCompares('has every case, arrow and block of the specification', () => {
    const spec = readFileSync(SPEC, 'utf8');
    const list = (/## 18\. Test cases[\s\S]*?\n```\n([\s\S]*?)\n```/.exec(spec)?.[1] ?? '').split('\n');
    const prose = list.findIndex((line) => line.startsWith('V02 '));
    const ours = caseFileText().split('\n');
    const from = ours.indexOf(list[0] as string);
    expect(ours.slice(from, from + prose)).toEqual(list.slice(0, prose));
    expect(arrows(list.slice(0, prose))).toBeGreaterThan(1500);
    const quoted = ours.filter((line) => line.startsWith('> ')).map((line) => line.slice(2));
    expect(quoted).toEqual(list.slice(prose));
    for (const name of quoted.flatMap((line) => /^([A-Z]+[0-9]*) /.exec(line)?.[1] ?? [])) {
      expect(
        cases.some((c) => c.nr === null && c.id.startsWith(name)),
        `${name} has cases`,
      ).toBe(true);
    }
  });
});

describe('the notation', () => {
  const only = (line: string) => parseCaseFile(`001 T01 test\n    ${line}`)[0]?.steps ?? [];

  it('counts pages from B, bytes after a plus, and takes absolute addresses', () => {
    const addr = (text: string): unknown => {
      const step = only(`unmap ${text} 1 -> 0`)[0]?.step;
      return step?.op === 'unmap' ? step.addr : null;
    };
    expect(addr('4')).toEqual({ from: 'zero', bytes: WINDOW + 4n * PAGE });
    expect(addr('4+100')).toEqual({ from: 'zero', bytes: WINDOW + 4n * PAGE + 100n });
    expect(addr('0x1000')).toEqual({ from: 'zero', bytes: 0x1000n });
    expect(addr('brk0+8')).toEqual({ from: 'brk0', bytes: 8n * PAGE });
  });

  it('decodes flags to what the system call takes', () => {
    expect(only('map 0 2 rw pf -> B+0')[0]?.step).toMatchObject({
      prot: 3,
      flags: 0x32,
      fd: null,
      len: 8192n,
    });
    expect(only('map 0 2 r sf1 0x2000 -> B+0')[0]?.step).toMatchObject({
      prot: 1,
      flags: 0x11,
      fd: 1,
      offset: 0x2000n,
    });
    expect(only('remap 0 4 4 mdf 100 -> -EINVAL')[0]?.step).toMatchObject({ flags: 7, oldLen: 4n * PAGE });
  });

  it('keeps vmas as data', () => {
    const [step] = only('=> [0,2) rw-p o=B+0 a2<a1,ch2 nr ac | [4,5) ---s o=3 unf sh file  locked_vm=2');
    expect(step?.expected).toEqual({
      kind: 'vmas',
      lockedVm: 2,
      vmas: [
        {
          start: 0,
          end: 2,
          perms: 'rw-p',
          pgoff: 'B+0',
          anon: { label: 'a2', root: 'a1', chain: 2 },
          flags: ['ac', 'nr'],
          file: false,
        },
        { start: 4, end: 5, perms: '---s', pgoff: '3', anon: 'unf', flags: ['sh'], file: true },
      ],
    });
  });

  it('gives a trap to the touch before it', () => {
    const [touch, next] = only('touch 9 2; page +1: SIGSEGV code 1; read 9');
    expect(touch?.expected).toEqual({ kind: 'traps', traps: [{ page: 1, signal: 'SIGSEGV', code: 1 }] });
    expect(next?.expected).toEqual({ kind: 'traps', traps: [] });
  });

  it.each([
    ['frobnicate 0 1 -> 0', 'unknown operation'],
    ['map 0 1 rw pf', 'map without an expectation'],
    ['map 0 1 rw pk -> B+0', 'unknown letter "k"'],
    ['map 0 1 rw pf -> nowhere', 'no answer of map'],
    ['unmap 0 -> 0', 'does not take 1 operands'],
    ['adv 0 1 GUARD -> 0', 'unknown advice'],
    ['=> [0,2) rw-p', 'is not a vma'],
    ['page +0: SIGSEGV code 1', 'a trap without a touch'],
    ['fd 0 4 -> 0', 'fd has no answer'],
  ])('refuses %s', (line, message) => {
    expect(() => only(line)).toThrow(`line 2: `);
    expect(() => only(line)).toThrow(message);
  });
});

describe('the comparison', () => {
  const written = parseVmas('[0,2) rw-p o=B+0 a1 ac');

  it('counts what an observer cannot see as model-only, and compares the rest', () => {
    let modelOnly = 0;
    expect(difference(written, parseVmas('[0,2) rw-p o=? ? ac'), () => modelOnly++)).toBeNull();
    expect(modelOnly).toBe(1);
    expect(difference(written, parseVmas('[0,3) rw-p o=? ? ac'))).not.toBeNull();
  });

  it('finds another pgoff, another anon_vma and another flag', () => {
    expect(difference(written, parseVmas('[0,2) rw-p o=B+1 a1 ac'))).not.toBeNull();
    expect(difference(written, parseVmas('[0,2) rw-p o=B+0 unf ac'))).not.toBeNull();
    expect(difference(written, parseVmas('[0,2) rw-p o=B+0 a1 ac nh'))?.seen).toBe(
      '[0,2) rw-p o=B+0 a1 ac nh',
    );
  });
});

describe('the table of deviations', () => {
  const table = (row: string): string => `| case |\n|---|---|---|---|---|\n${row}\n`;
  const cases = parseCaseFile('001 T01 test\n    unmap 0 1 -> 0; unmap 1 1 -> 0');

  it('is read, and meets the cases', () => {
    expect(loadVmaCases()).toHaveLength(parseCaseFile(caseFileText()).length);
  });

  it('replaces exactly the expectation it names', () => {
    const changed = applyDeviations(
      cases,
      parseDeviations(table('| T01 | `->` 2 | `0` | `-EINVAL` | why |')),
    );
    expect(changed[0]?.steps.map((s) => formatExpectation(s.expected))).toEqual(['0', '-EINVAL']);
  });

  it('refuses a row that is out of date, meets nothing, or gives no reason', () => {
    const apply = (row: string) => () => applyDeviations(cases, parseDeviations(table(row)));
    expect(apply('| T01 | `->` 1 | `-EPERM` | `-EINVAL` | why |')).toThrow('the table');
    expect(apply('| T01 | `->` 3 | `0` | `-EINVAL` | why |')).toThrow('has no');
    expect(apply('| T01 | `->` 1 | `0` | `-EINVAL` |  |')).toThrow('not a deviation');
  });
});
