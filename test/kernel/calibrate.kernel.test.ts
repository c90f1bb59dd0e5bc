/**
 * `faultline calibrate` on this machine: the file it writes can be used, as root and without, whole and interrupted. Nothing here looks at a time.
 */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildProgram, whyNoPrograms } from '../../src/cli/fuzz/oraclePrograms.ts';
import { BIN, faultline, ROOT } from '../cli/program.ts';
import { leaveOut } from './leftOut.ts';

interface File {
  readonly schema: string;
  readonly primitives: readonly { readonly name: string; readonly n: number; readonly floor: number }[];
  readonly missing: readonly { readonly name: string; readonly why: string }[];
  readonly interrupted?: true;
}

const NOBODY = 65534;
const isRoot = process.getuid?.() === 0;
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'faultline-calibrate-'));
  chmodSync(folder, 0o777);
  if (whyNoPrograms() === null) buildProgram('cost');
});
afterAll(() => rmSync(folder, { recursive: true }));

const read = (path: string): File => JSON.parse(readFileSync(path, 'utf8')) as File;
/** Tells whether the swap device of a calibration is there: no other run has one of 192 MiB. */
const hasSwap = (): boolean => /\s196604\s/.test(readFileSync('/proc/swaps', 'utf8'));
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

const why = whyNoPrograms();

describe.runIf(why === null)('calibrate', () => {
  it('writes a file that run uses', () => {
    const path = join(folder, 'mine.json');
    const { status, stdout } = faultline([
      'calibrate',
      '--quick',
      '--quiet',
      '--only',
      'signals',
      'inspection',
      '-o',
      path,
    ]);
    expect(status).toBe(0);
    expect(stdout).toContain(`${path}: 8 figures measured`);
    const file = read(path);
    expect(file.schema).toBe('mm-cost-calibration/1');
    const measured = file.primitives.filter(({ n }) => n > 0);
    expect(measured.map(({ name }) => name)).toContain('sigsegv_mprotect_seq');
    for (const { floor } of measured) expect(floor).toBeGreaterThan(0);
    expect(new Set(file.missing.filter(({ name }) => name.startsWith('fork')).map(({ why }) => why))).toEqual(
      new Set(['group fork was not asked for']),
    );
    const run = faultline(['run', '--quiet', 'workload:reserve-commit,pages=4', '--calibration', path]);
    expect([run.status, run.stdout.includes('calibration mine')]).toEqual([0, true]);
  });

  it.runIf(isRoot)('without root names what it cannot measure, and what stands in for it', () => {
    const path = join(folder, 'nobody.json');
    const args = [BIN, 'calibrate', '--quick', '--only', 'swap', 'signals', '-o', path];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      uid: NOBODY,
      gid: NOBODY,
      cwd: folder,
      encoding: 'utf8',
    });
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(stderr).toContain('without root: no swap');
    expect(stdout).toContain('(needs root and zram); instead: linux-6.18-x86_64 times');
    expect(stdout).toContain('swap_out_half');
    const swap = read(path).primitives.find(({ name }) => name === 'swap_out_half');
    expect(swap).toMatchObject({ n: 0, standIn: true });
  });

  it.runIf(isRoot)(
    'interrupted writes what it has, names the rest, and takes its swap device away',
    async () => {
      const path = join(folder, 'partial.json');
      const child = spawn(process.execPath, [BIN, 'calibrate', '--only', 'swap', 'faults', '-o', path], {
        cwd: ROOT,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      let said = '';
      child.stderr.on('data', (text: Buffer) => {
        said += text.toString();
      });
      // The legend is out: it listens; and there is something to undo.
      while (!said.includes('figures  group') || !hasSwap()) await pause();
      child.kill('SIGINT');
      const status = await new Promise((resolve) => child.on('close', resolve));
      expect(status).toBe(130);
      const file = read(path);
      expect(file.interrupted).toBe(true);
      expect(file.missing.some(({ why }) => why === 'interrupted before it')).toBe(true);
      // Another test may have made one meanwhile; that goes too.
      while (hasSwap()) await pause();
    },
  );
});

it('has root and a C compiler', (context) => {
  if (why !== null) leaveOut(context, `calibration of this machine: ${why}`);
  if (!isRoot) leaveOut(context, 'calibration with swap, and as somebody else: needs root');
  expect([why, isRoot]).toEqual([null, true]);
});
