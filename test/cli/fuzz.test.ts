/**
 * `faultline fuzz`: on the running kernel where that is Linux 6.18 and there is a compiler; what it refuses, everywhere.
 *
 * How a difference is found, repeated, shrunk and told is tried with a kernel that lies: opsrun behind a filter.
 */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Batch, Differing, Setup } from '../../src/cli/fuzz/batch.ts';
import { OpsrunProcess } from '../../src/cli/fuzz/opsKernel.ts';
import { buildProgram } from '../../src/cli/fuzz/oraclePrograms.ts';
import type { ResultLine, RunState } from '../../src/cli/fuzz/runFiles.ts';
import { runBatch, shrink } from '../../src/cli/fuzz/worker.ts';
import { fuzzSequence, specRow } from '../../src/fuzz/index.ts';
import { leaveOut } from '../kernel/leftOut.ts';
import { whyNoOracle } from '../kernel/oracle.ts';
import { BIN, faultline, jsonLines, ROOT } from './program.ts';

const why = whyNoOracle();

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'faultline-fuzz-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const results = (name: string): ResultLine[] =>
  jsonLines(readFileSync(join(folder, name, 'results.jsonl'), 'utf8'));
const state = (name: string): RunState =>
  JSON.parse(readFileSync(join(folder, name, 'state'), 'utf8')) as RunState;

/** Runs `faultline fuzz`, with its folder below ours. */
const fuzz = (name: string, ...args: string[]) => faultline(['fuzz', '-o', join(folder, name), ...args]);

it('runs where Linux is 6.18, with root and a C compiler', (context) => {
  if (why !== null) leaveOut(context, `fuzzing on the running kernel: ${why}`);
  expect(why).toBeNull();
});

describe('arguments of faultline fuzz', () => {
  it.each([
    [
      ['--mode', 'vmas'],
      /argument 'vmas' is invalid\. Allowed choices are vma, fault, fork, thp, limits, files, swap, uffd, pressure, ptreclaim, all\.\n$/,
    ],
    [
      ['--minutes', '1', '--ops', '5'],
      /^faultline: --minutes and --ops both say when to end\nwanted: one of them\n$/,
    ],
    [['--minutes', '0'], /argument '0' is invalid\. Minutes, for example 10 or 0\.5\.\n$/],
    [['--every', '0'], /argument '0' is invalid\. It must be 1 or more\.\n$/],
    [['--seed', '4294967296'], /argument '4294967296' is invalid\. It must be below 2\^32\.\n$/],
    [['input'], /too many arguments for 'fuzz'/],
  ])('%j are refused with what would be right', (args, message) => {
    const { status, stdout, stderr } = faultline(['fuzz', ...args]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(message);
  });

  it.runIf(why === null)('that name no folder, or none with a run, are refused', () => {
    const path = join(folder, 'file');
    writeFileSync(path, '');
    expect(fuzz('file', '--ops', '200')).toMatchObject({ status: 2, stdout: '' });
    const { status, stderr } = fuzz('nothing', '--resume');
    expect(status).toBe(2);
    expect(stderr).toBe(
      `faultline: there is no run to resume: no file ${join(folder, 'nothing/state')}\nwanted: a directory that --output named before\n`,
    );
  });
});

describe.runIf(why === null)('faultline fuzz on the running kernel', () => {
  it('compares 2,000 operations of mode vma', () => {
    const { status, stdout, stderr } = fuzz('vma', '--mode', 'vma', '--ops', '2000', '--seed', '1');
    expect(stdout).toMatch(
      /^mode +ops +sequences +results +touches +vmas +pages +counts +ops\/s\/core +differences +unsteady\n/,
    );
    expect(stdout).toMatch(/^vma +2,000 +10 +\d,\d{3} /m);
    expect(stdout).toMatch(/^coverage: \d+ of \d+ verdicts, /m);
    expect(stdout).toMatch(/^ {2}predecessor +\d+\/\d+ /m);
    expect(stdout).toMatch(/^2,000 operations, [\d,]+ a second: model and kernel agree\n$/m);
    expect(stderr).toMatch(/^mode vma, seed 1, compared every 25, \d+ at a time, results in /);
    expect(stderr).toMatch(/^ops +operations carried out/m);
    expect(stderr).toMatch(/^ +time +ops +ops\/s +\/core +coverage +diff +unsteady\n/m);
    expect(status).toBe(0);
    const [line] = results('vma');
    expect(results('vma').length).toBe(1);
    expect(line).toMatchObject({ mode: 'vma', seed: 1, sequences: 10, ops: 2000, every: 25, differing: [] });
    expect(line?.kernel).toMatch(/^6\.18\./);
    expect(line?.compared.results).toBeGreaterThan(1500);
    expect(line?.compared.vmas).toBeGreaterThan(500);
    expect(line?.coverage).toContain('create:mmap');
  });

  it('goes on where it ended, and tells the sums of all parts', () => {
    const first = fuzz('parts', '--mode', 'vma', '--ops', '1000', '--seed', '3', '--quiet');
    expect({ status: first.status, stderr: first.stderr }).toEqual({ status: 0, stderr: '' });
    const second = fuzz('parts', '--resume', '--ops', '600', '--json', '--quiet');
    expect(second.status).toBe(0);
    const whole = JSON.parse(second.stdout) as { all: { ops: number; sequences: number }; seed: number };
    expect(whole).toMatchObject({ seed: 3, all: { ops: 1600, sequences: 8, differing: [] } });
    expect(results('parts')).toMatchObject([
      { seed: 3, sequences: 5, ops: 1000 },
      { seed: 8, sequences: 3, ops: 600 },
    ]);
    expect(state('parts')).toMatchObject({ mode: 'vma', seed: 3, modes: { vma: { next: 11 } } });
    const other = fuzz('parts', '--resume', '--seed', '4');
    expect(other.status).toBe(2);
    expect(other.stderr).toContain('has --seed 3\nwanted: --resume without --seed, or another --output\n');
  });

  it('has the modes take turns, and the same numbers whatever the number of jobs', () => {
    const run = (name: string, jobs: string) =>
      JSON.parse(fuzz(name, '--ops', '3600', '--seed', '1', '--jobs', jobs, '--quiet', '--json').stdout) as {
        modes: Record<string, { ops: number; compared: object }>;
      };
    const { modes } = run('one', '1');
    expect(Object.keys(modes)).toEqual([
      ...['vma', 'fault', 'fork', 'thp', 'limits', 'files', 'swap', 'uffd', 'ptreclaim'],
    ]);
    for (const { ops } of Object.values(modes)) expect(ops).toBe(400);
    const again = run('three', '3').modes;
    // Of a sequence that differs not all is compared, and when the kernel batches, it may differ elsewhere.
    expect(again['vma']?.compared).toEqual(modes['vma']?.compared);
  });

  it('ends with Ctrl-C after the sequences under way, and writes what was done', async () => {
    const args = [
      'fuzz',
      '--mode',
      'vma',
      '--minutes',
      '5',
      '--seed',
      '1',
      '-o',
      join(folder, 'interrupted'),
    ];
    const child = spawn(process.execPath, [BIN, ...args], { cwd: ROOT, stdio: 'pipe' });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (data: Buffer) => {
      stdout += data.toString();
    });
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString();
    });
    const look = setInterval(() => {
      if (existsSync(join(folder, 'interrupted/state'))) {
        clearInterval(look);
        child.kill('SIGINT');
      }
    }, 50);
    const status = await new Promise((resolve) => {
      child.on('close', resolve);
    });
    expect(status).toBe(130);
    expect(stderr).toContain('faultline fuzz: ending after the sequences under way');
    const [line] = results('interrupted');
    expect(line?.sequences).toBeGreaterThan(0);
    expect(state('interrupted').modes['vma']?.next).toBe(1 + (line?.sequences ?? 0));
    expect(stdout).toMatch(/^vma +[\d,]+ /m);
  });
});

describe.runIf(why === null)('a kernel that lies', () => {
  /** Makes an opsrun whose output goes through sed. */
  function liar(name: string, rule: string): Setup {
    const path = join(folder, name);
    writeFileSync(path, `#!/bin/sh\n${buildProgram('opsrun')} "$@" | sed -u '${rule}'\n`);
    chmodSync(path, 0o755);
    return { opsrun: path, thp: 'madvise' };
  }
  const batch = (setup: Setup, sequences: number): Batch => ({
    setup,
    mode: 'vma',
    seed: 1,
    sequences,
    ops: 200,
    lastOps: 200,
    every: 25,
  });

  it('is found out, and one call is left of it', async () => {
    const setup = liar('munlock', 's/^\\([0-9]* munlock(.*) = \\)0 /\\1-1 EPERM (no) /');
    const { differing, unsteady, ops } = await runBatch(batch(setup, 6));
    expect(ops).toBe(1200);
    expect(unsteady).toEqual([]);
    expect(differing.length).toBeGreaterThan(0);
    const [first] = differing as [Differing, ...Differing[]];
    expect(first.difference).toMatchObject({ kernel: '-1 EPERM', ours: '0' });
    expect(first.lines).toEqual(fuzzSequence({ mode: 'vma', seed: first.seed, ops: 200, every: 25 }));

    const short = shrink({ setup, differing: first, seconds: 30 });
    const calls = short?.lines.filter((line) => /^\d/.test(line)) ?? [];
    expect(calls.length).toBeLessThanOrEqual(2);
    expect(calls.at(-1)).toMatch(/munlock\(/);
    const row = specRow(short as Differing, { mode: 'vma', seed: first.seed, ops: 200, every: 25 });
    expect(row).toContain(`npx faultline fuzz --mode vma --seed ${first.seed} --ops 200 --every 25\n`);
    expect(row).toMatch(/munlock\(.*\) = -1 EPERM \(no\)/);
  });

  it('once is unsteady', async () => {
    const once = join(folder, 'once');
    const path = join(folder, 'liesOnce');
    const real = buildProgram('opsrun');
    // The first process lies, and breaks off so that there is a second.
    writeFileSync(
      path,
      `#!/bin/sh\nif [ -e ${once} ]; then exec ${real} "$@"; fi\ntouch ${once}\nhead -1\nkill -9 $$\n`,
    );
    chmodSync(path, 0o755);
    const { differing, unsteady } = await runBatch({
      ...batch({ opsrun: path, thp: 'madvise' }, 3),
      seed: 100,
    });
    expect({ differing, unsteady }).toEqual({ differing: [], unsteady: [100] });
  });
});

describe.runIf(why === null)('opsrun as it is kept running', () => {
  const sequence = (seed: number) => fuzzSequence({ mode: 'vma', seed, ops: 30, every: 10 });

  it('carries out batches one after the other that were handed over at once', async () => {
    const kernel = new OpsrunProcess(buildProgram('opsrun'), null);
    const [a, b, none] = await Promise.all([
      kernel.run([sequence(1), sequence(2)]),
      kernel.run([sequence(3)]),
      kernel.run([]),
    ]);
    const heads = [a, b, none].map(({ logs }) => logs.map((log) => log.split('\n')[0]));
    expect(heads).toEqual([[sequence(1)[0], sequence(2)[0]], [sequence(3)[0]], []]);
  });

  it('says what it cannot read', async () => {
    const kernel = new OpsrunProcess(buildProgram('opsrun'), null);
    const [header = ''] = sequence(1);
    await expect(kernel.run([[header, '1 sing(0x200000000000)']])).rejects.toThrow(/^opsrun: .*sing/);
    expect((await kernel.run([sequence(2)])).logs.length).toBe(1);
  });

  it('is begun anew when it breaks off, and what it was at is told', async () => {
    const path = join(folder, 'breaks');
    // Nothing from the sequence with seed 2 on is carried out.
    writeFileSync(path, `#!/bin/sh\nsed -u '/seed 2 /Q' | ${buildProgram('opsrun')} "$@"\nkill -9 $$\n`);
    chmodSync(path, 0o755);
    const kernel = new OpsrunProcess(path, null);
    const [first, second, third] = await Promise.all([1, 2, 3].map((seed) => kernel.run([sequence(seed)])));
    expect(first?.logs[0]).not.toMatch(/^died/m);
    expect(second?.logs).toEqual([`${sequence(2)[0]}\ndied with opsrun: SIGKILL`]);
    expect(third?.logs[0]).toMatch(/^snapshot 30$/m);
    expect(third?.logs[0]).not.toMatch(/^died/m);
  });
});
