/**
 * The frame around the commands: help, mistakes in arguments, outputs that end early, Ctrl-C.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectGolden } from './golden.ts';
import { BIN, FIXTURES, faultline, ROOT } from './program.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'faultline-commands-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('help', () => {
  const commands = faultline(['--help']).stdout.matchAll(/^ {2}([a-z]+) {2,}/gm);
  for (const [, command = ''] of commands)
    it(`of ${command} is what it was when it was last read`, () => {
      const { status, stdout, stderr } = faultline([command, '--help']);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout).toMatch(/^Usage: faultline .*\n {2}--help .*\nExit status: 0 /s);
      for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(125);
      expectGolden(`help-${command}.txt`, stdout);
      expect(faultline(['help', command]).stdout).toBe(stdout);
    });

  it('without arguments goes to standard error and is a mistake', () => {
    const { status, stdout, stderr } = faultline([]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain('Usage: faultline <command>');
    expect(faultline(['--help'])).toEqual({ status: 0, stdout: stderr, stderr: '' });
  });

  it('names the version', () => {
    expect(faultline(['--version']).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('mistakes in arguments', () => {
  const mistakes: readonly (readonly [args: readonly string[], stderr: string | RegExp])[] = [
    [['chek'], "faultline: unknown command 'chek'\n(Did you mean check?)\n"],
    [['check'], "faultline: missing required argument 'input'\n"],
    [['run', 'a', 'b'], "faultline: too many arguments for 'run'. Expected 1 argument but got 2.\n"],
    [['run', '--prnt', 'maps', 'a'], "faultline: unknown option '--prnt'\n(Did you mean --print?)\n"],
    [
      ['check', '--verify=often', 'a'],
      "faultline: option '--verify <when>' argument 'often' is invalid. Allowed choices are never, end, every.\n",
    ],
    [
      ['run', '--set', 'thp=sometimes', 'a'],
      "faultline: option '--set <feature=value>' argument 'thp=sometimes' is invalid. thp takes one of never, madvise, always.\n",
    ],
    [
      ['run', '--step', '--json', 'a'],
      'faultline: --step prints operations, and --json and --print something else\nwanted: one of them\n',
    ],
    [
      ['run', 'workload:nothing'],
      /^faultline: there is no workload 'nothing'\nwanted: one of reserve-commit, /,
    ],
    [['run', 'workload:slide,page=3'], /^faultline: .*slide has no parameter 'page'\nwanted: one of pages, /],
  ];
  for (const [args, stderr] of mistakes)
    it(`${args.join(' ')} is refused with what would be right`, () => {
      const ran = faultline(args);
      if (typeof stderr === 'string') expect(ran.stderr).toBe(stderr);
      else expect(ran.stderr).toMatch(stderr);
      expect({ status: ran.status, stdout: ran.stdout }).toEqual({ status: 2, stdout: '' });
    });
});

describe('features', () => {
  it('are listed with a value for each profile', () => {
    const { status, stdout } = faultline(['features']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^feature +values +linux-6\.18 +as-5\.18 +as-3\.9 +seed\n/);
    expect(stdout).toMatch(/^mremapManyVmas +off, on +on +off +off +000 /m);
    // Without a terminal there are no colours.
    expect(stdout).not.toContain('\x1b');
  });

  it('have the same values in JSON', () => {
    const rows = JSON.parse(faultline(['features', '--json']).stdout) as Record<string, unknown>[];
    expect(rows.find(({ name }) => name === 'thp')).toMatchObject({
      values: ['never', 'madvise', 'always'],
      profiles: { 'linux-6.18': 'madvise' },
    });
  });
});

describe('a reader that goes away', () => {
  it('ends the program without a complaint', () => {
    const command = `"${process.execPath}" "${BIN}" run --print events ${FIXTURES}/true | head -1`;
    const { status, stdout, stderr } = spawnSync('bash', ['-o', 'pipefail', '-c', command], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect({ status, lines: stdout.split('\n').length, stderr }).toEqual({ status: 0, lines: 2, stderr: '' });
  });
});

/** Runs `faultline`, interrupts it as soon as standard output matches, and returns how it ended. */
async function interruptedAt(
  args: readonly string[],
  pattern: RegExp,
): Promise<{ status: number | null; stdout: string; stderr: string }> {
  // Standard input stays open, so that who reads it waits.
  const child = spawn(process.execPath, [BIN, ...args], { cwd: ROOT, stdio: 'pipe' });
  let [stdout, stderr, isInterrupted] = ['', '', false];
  child.stderr.on('data', (data: Buffer) => {
    stderr += data.toString();
  });
  child.stdout.on('data', (data: Buffer) => {
    stdout += data.toString();
    if (isInterrupted || !pattern.test(stdout)) return;
    isInterrupted = true;
    child.kill('SIGINT');
  });
  const status = await new Promise<number | null>((resolve) => {
    child.on('close', resolve);
  });
  return { status, stdout, stderr };
}

describe('Ctrl-C', () => {
  const said = 'faultline: interrupted; what was finished has been printed\n';

  it('while waiting for input leaves what was finished', async () => {
    const { status, stdout, stderr } = await interruptedAt(
      ['check', '--json', `${FIXTURES}/true`, '-'],
      /\n/,
    );
    expect({ status, stderr }).toEqual({ status: 130, stderr: said });
    expect(stdout.split('\n')).toHaveLength(2);
    expect(JSON.parse(stdout)).toMatchObject({ input: `${FIXTURES}/true`, ok: true });
  });

  it('is heard while the model computes', async () => {
    const module = join(folder, 'endless.ts');
    writeFileSync(
      module,
      `import { FIRST_TASK, Task, type Workload } from 'faultline/workloads';
       export const endless: Workload = { name: 'endless', title: '', text: '', params: {},
         *program() { for (const w = new Task(FIRST_TASK); ; ) yield* w.munmap(yield* w.mmap(4096), 4096); } };`,
    );
    const { status, stdout, stderr } = await interruptedAt(['run', '--step', module], /^1,000 /m);
    expect({ status, stderr }).toEqual({ status: 130, stderr: said });
    expect(stdout).toMatch(/^1 \[1\] mmap\(NULL, 4096, /);
  });
});
