/**
 * `--calibration`: the rows that a figure prices move with it and no others, and files that will not do are refused.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { CALIBRATION_TEXT } from '../support/calibration.ts';
import { faultline } from './program.ts';

interface File {
  schema: string;
  measured: string;
  primitives: { name: string; unit: string; median: number | string; floor?: number | null }[];
  models: { name: string; fixedNs: number; perPageNs: number }[];
}

const directory = mkdtempSync(join(tmpdir(), 'faultline-calibration-'));
afterAll(() => rmSync(directory, { recursive: true }));

/** Writes a changed copy of the bundled calibration. Returns its path. */
function changed(name: string, change: (file: File) => void): string {
  const file = JSON.parse(CALIBRATION_TEXT) as File;
  change(file);
  return written(name, JSON.stringify(file));
}

function written(name: string, text: string | Buffer): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

const doubled = (name: string, figure: string): string =>
  changed(name, ({ primitives }) => {
    const found = primitives.find((each) => each.name === figure);
    if (found?.floor != null) found.floor *= 2;
  });

interface Modelled {
  readonly calibration: string;
  readonly measured: string;
  readonly totalNs: number;
  readonly paths: readonly {
    readonly path: string;
    readonly calls: number;
    readonly pages: number;
    readonly ns: number;
  }[];
}

const LOAD = ['workload:reserve-commit,pages=40'];

function modelled(...args: string[]): Modelled {
  const { stdout } = faultline(['run', '--json', '--quiet', ...LOAD, ...args]);
  return (JSON.parse(stdout) as { modelled: Modelled }).modelled;
}

describe('another price', () => {
  it('moves exactly the rows that use it', () => {
    const before = modelled();
    const after = modelled('--calibration', doubled('merge.json', 'mprotect_merge'));
    const moved = before.paths.filter(
      ({ path, ns }) => after.paths.find((each) => each.path === path)?.ns !== ns,
    );
    expect(moved.map(({ path }) => path).sort()).toEqual(['merge', 'merge-written']);
    const counts = ({ paths }: Modelled): string[] =>
      paths.map(({ path, calls, pages }) => `${path} ${calls} ${pages}`).sort();
    expect(counts(after)).toEqual(counts(before));
    // The figure counts half in each row, and with another sign in the second.
    const merges = moved.map(({ path, pages }) => (path === 'merge' ? pages : -pages));
    const more = merges.reduce((sum, n) => sum + n, 0) * (1719 / 2);
    expect(after.totalNs - before.totalNs).toBeCloseTo(more, 3);
  });

  it('is named in what is printed', () => {
    expect(modelled().calibration).toBe('linux-6.18-x86_64');
    const path = doubled('mine.json', 'fault_cow_copy');
    expect(modelled('--calibration', path)).toMatchObject({ calibration: 'mine', measured: '2026-11-20' });
    const { stdout } = faultline(['compare', '--quiet', ...LOAD, '--calibration', path]);
    expect(stdout).toMatch(/^faultline .*times modelled with calibration mine; /m);
    expect(faultline(['run', '--quiet', ...LOAD, '--calibration', path]).stdout).toContain(
      'calibration mine, measured 2026-11-20',
    );
  });

  it('may come zipped, and with fields and figures that nobody asks for', () => {
    const path = changed('more.json', (file) => {
      Object.assign(file, { note: 'x', experiments: 7 });
      file.primitives.push({ name: 'nobody', unit: 'ns', median: 1 });
    });
    expect(modelled('--calibration', path).totalNs).toBe(modelled().totalNs);
    const zipped = written('zipped.json.gz', gzipSync(CALIBRATION_TEXT));
    expect(modelled('--calibration', zipped)).toMatchObject({
      calibration: 'zipped',
      totalNs: modelled().totalNs,
    });
  });

  it('falls back on the median', () => {
    const path = changed('medians.json', ({ primitives }) => {
      for (const each of primitives) delete each.floor;
    });
    expect(modelled('--calibration', path).totalNs).toBeGreaterThan(modelled().totalNs);
  });
});

describe('a file that will not do is refused:', () => {
  const withoutFigure = (name: string): string =>
    changed('missing.json', (file) => {
      file.primitives = file.primitives.filter((each) => each.name !== name);
    });

  it.each<[string, () => string, string]>([
    [
      'another schema',
      () => changed('two.json', (file) => Object.assign(file, { schema: 'mm-cost-calibration/2' })),
      'two.json: schema "mm-cost-calibration/2" is not known\nwanted: "schema": "mm-cost-calibration/1"',
    ],
    [
      'no schema',
      () => written('none.json', '[]'),
      'none.json: this has no "schema"\nwanted: "schema": "mm-cost-calibration/1"',
    ],
    [
      'a figure that prices need is missing',
      () => withoutFigure('fault_cow_copy'),
      'missing.json: calibration missing has no fault_cow_copy in primitives\nwanted: { "name": "fault_cow_copy", "unit": "ns", "median": …, "floor": … } there',
    ],
    [
      'a line is missing',
      () =>
        changed('line.json', (file) => {
          file.models = file.models.filter(({ name }) => name !== 'munmap');
        }),
      'line.json: calibration line has no munmap in models\nwanted: { "name": "munmap", "fixedNs": …, "perPageNs": … } there',
    ],
    [
      'a figure that is no number',
      () =>
        changed('text.json', ({ primitives }) => {
          if (primitives[3] !== undefined) primitives[3].median = 'fast';
        }),
      'text.json: primitives[3].median is wrong or missing\nwanted: a number there',
    ],
    [
      'a figure below 0',
      () =>
        changed('below.json', ({ primitives }) => {
          if (primitives[0] !== undefined) primitives[0].floor = -1;
        }),
      'below.json: primitives[0].floor is wrong or missing\nwanted: 0 or more',
    ],
    [
      'no list of figures',
      () => changed('empty.json', (file) => Object.assign(file, { primitives: undefined })),
      'empty.json: primitives is wrong or missing\nwanted: a list there',
    ],
    [
      'no JSON',
      () => written('no.json', '{\n  "schema": x\n'),
      'this is not JSON\nwanted: a calibration: JSON',
    ],
    ['no file', () => join(directory, 'nowhere.json'), 'nowhere.json cannot be read: ENOENT'],
  ])('%s', (_what, path, message) => {
    const { status, stdout, stderr } = faultline(['compare', '--quiet', ...LOAD, '--calibration', path()]);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
  });

  it('by run and reproduce, too', () => {
    const path = withoutFigure('munlock_512');
    for (const command of [
      ['run', ...LOAD],
      ['reproduce', '004'],
    ]) {
      const { status, stderr } = faultline([...command, '--quiet', '--calibration', path]);
      expect(status).toBe(2);
      expect(stderr).toContain('has no munlock_512 in primitives');
    }
  });
});
