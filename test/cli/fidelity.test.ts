/**
 * The ledger: what the command prints, what it takes from other machines, and that docs/fidelity.md holds what it generates.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withGeneratedParts } from '../../src/cli/fidelity/generatedParts.ts';
import { gatherLedger } from '../../src/cli/fidelity/ledger.ts';
import { ledgerMarkdown } from '../../src/cli/fidelity/ledgerText.ts';
import { readCounted } from '../../src/cli/fidelity/resultFiles.ts';
import { faultline, ROOT } from './program.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'faultline-fidelity-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A line as `faultline fuzz` writes it, of a kernel that nobody has. */
const RUN = {
  format: 1,
  faultline: '0.1.0',
  kernel: '6.18.999-other',
  config: { thp: 'always', shmemThp: 'never', overcommit: 0, maxMapCount: 65_530, swapKb: 0 },
  mode: 'vma',
  draws: 'abc',
  seed: 5,
  every: 25,
  sequences: 10,
  ops: 2000,
  compared: { results: 2000, vmas: 300, touches: 40, pages: 5000, counts: 600 },
  differing: [7],
  unsteady: [],
  coverage: ['predecessor:gap'],
  kernelMs: 1,
  modelMs: 2,
};

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

interface Printed {
  readonly kernels: readonly {
    readonly kernel: string;
    readonly modes: readonly Record<string, unknown>[];
  }[];
  readonly notModelled: readonly string[];
}

describe('faultline fidelity', () => {
  it('prints what is fixed, accepted and not modelled', () => {
    const { status, stdout, stderr } = faultline(['fidelity']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(
      /^Found and fixed\n {2}\d+ cases in test\/spec\/fuzzed.cases and \d+ sequences? in /m,
    );
    expect(stdout).toMatch(/^Accepted\n {2}\S.*\n {4}kernel {2}\S.*\n {4}ours {4}\S.*\n {4}why {5}\S/m);
    expect(stdout).toMatch(/^Not modelled .*\n {2}hugetlb, userfaultfd, /m);
  });

  it('adds results of other machines, once, and keeps nothing without --write', () => {
    const path = file(
      'results.jsonl',
      `${JSON.stringify(RUN)}\n${JSON.stringify({ ...RUN, seed: 7, sequences: 1 })}\n`,
    );
    const { status, stdout, stderr } = faultline(['fidelity', '--merge', path, path, '--json']);
    expect(status).toBe(0);
    const { kernels, notModelled } = JSON.parse(stdout) as Printed;
    expect(notModelled).toContain('hugetlb');
    expect(kernels.find(({ kernel }) => kernel === RUN.kernel)?.modes).toMatchObject([
      { mode: 'vma', ops: 2000, sequences: 10, ranges: 1, open: [7], closed: 0, compared: RUN.compared },
    ]);
    expect(stderr).toContain(`${path}: mode vma, seeds 7 to 7: counted already`);
    expect(stderr).toContain(`${path}: mode vma, seeds 5 to 14: counted already`);
    expect(faultline(['fidelity', '--json']).stdout).not.toContain(RUN.kernel);
    const text = faultline(['fidelity', '--merge', path, '--quiet']).stdout;
    expect(text).toContain('Linux 6.18.999-other\n  huge pages always, of shared memory never; ');
    expect(text).toMatch(
      /^ {2}mode {2}operations .* open +closed +unsteady\n {2}vma +2,000 +10 +1 +2,000 +40 +300 +5,000 +600 +1 +0 +0$/m,
    );
    expect(text).toContain('open in mode vma: seeds 7');
  });

  it.each([
    ['there is none', null, /^faultline: --merge .* cannot be read: ENOENT/],
    ['it is no JSON', '{"format":1,\n', /none:1:1: this is not JSON\nwanted: results\.jsonl of /],
    ['a field is missing', JSON.stringify({ ...RUN, ops: undefined }), /none:1:1: ops is wrong or missing\n/],
    [
      'the format is another',
      JSON.stringify({ ...RUN, format: 2 }),
      /none:1:1: format is wrong or missing\n/,
    ],
  ])('refuses a file: %s', (_, text, message) => {
    const path = text === null ? join(folder, 'missing') : file('none', text);
    const { status, stdout, stderr } = faultline(['fidelity', '--merge', path]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });
});

describe('docs/fidelity.md', () => {
  it('holds what `npm run ledger` generates', () => {
    const path = join(ROOT, 'docs/fidelity.md');
    const ledger = gatherLedger(ROOT, readCounted(join(ROOT, 'fidelity/results.jsonl')));
    const text = readFileSync(path, 'utf8');
    expect(text).toBe(withGeneratedParts(text, ledgerMarkdown(ledger), path));
  });
});
