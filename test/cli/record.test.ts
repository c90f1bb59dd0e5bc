/**
 * `faultline record`, run for real: what it writes must be what a replay needs. Needs strace; with root and perf the page
 * faults are looked at, too.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { Command, CommanderError } from 'commander';
import { afterEach, beforeEach, describe, expect, it, type TestContext } from 'vitest';
import { registerRecordCommand } from '../../src/cli/record/command.ts';
import { isGone } from '../../src/cli/record/processes.ts';
import { RecordError } from '../../src/cli/record/recordError.ts';
import { LOST_WITHOUT_FAULTS, record } from '../../src/cli/record/recording.ts';
import { findTools, type Tools } from '../../src/cli/record/requirements.ts';
import { leaveOut } from '../kernel/leftOut.ts';

function toolsOrWhyNot(): Tools | string {
  try {
    return findTools();
  } catch (error) {
    if (error instanceof RecordError) return error.message;
    throw error;
  }
}

const tools = toolsOrWhyNot();
const hasFaults = typeof tools !== 'string' && tools.perf !== null && process.getuid?.() === 0;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'faultline-record-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A test that records; where strace is missing it is left out. */
function recording(name: string, test: (context: TestContext) => Promise<void>): void {
  it(name, async (context) => {
    if (typeof tools === 'string') leaveOut(context, tools);
    await test(context);
  });
}

/** Runs `faultline record --quiet` and returns the exit status and what the command line itself complained about. */
async function run(...args: string[]): Promise<{ status: number; complaint: string }> {
  let complaint = '';
  const writeErr = (text: string): void => {
    complaint += text;
  };
  const program = new Command('faultline').exitOverride().configureOutput({ writeErr });
  registerRecordCommand(program);
  try {
    await program.parseAsync(['record', '--quiet', ...args], { from: 'user' });
    return { status: 0, complaint };
  } catch (error) {
    if (error instanceof CommanderError) return { status: error.exitCode, complaint };
    throw error;
  }
}

const text = (...path: string[]): string => readFileSync(join(folder, ...path), 'latin1');
const unzipped = (...path: string[]): string =>
  gunzipSync(readFileSync(join(folder, ...path))).toString('latin1');
const linesOf = (content: string): string[] => content.split('\n').filter((line) => line !== '');
const meta = (name: string): Record<string, unknown> => JSON.parse(text(name, 'meta.json'));

describe('recording a program to its exit', () => {
  recording('gives the whole directory, from the first instruction to exit_group', async () => {
    expect(await run('-o', join(folder, 'r'), '--', '/bin/true')).toEqual({ status: 0, complaint: '' });
    expect(readdirSync(folder)).toEqual(['r']);
    expect(readdirSync(join(folder, 'r')).sort()).toEqual([
      ...['auxv.start', 'faults.perf.txt.gz', 'limits.start', 'maps.end', 'maps.start', 'meta.json'],
      ...['pagemap.end.rle.gz', 'smaps.end.gz', 'smaps.start.gz', 'stat.end', 'stat.start'],
      ...['status.end', 'status.start', 'syscalls.strace.gz'],
    ]);
    const { pid, ...facts } = meta('r');
    expect(facts).toMatchObject({
      format: 1,
      argv: ['/bin/true'],
      mode: 'exit',
      otherPids: [],
      threadsAtEnd: 1,
    });
    expect(facts).toMatchObject({
      quiescent: true,
      faultsLost: 0,
      faultsThrottled: 0,
      faultsRecorded: hasFaults,
    });

    const calls = linesOf(unzipped('r', 'syscalls.strace.gz'));
    expect(calls.length).toBe(facts['lines']);
    const began = [
      / execve\("\/bin\/true", .* = 0 <[0-9.]+>$/,
      / --- SIGSTOP /,
      / --- stopped by SIGSTOP ---$/,
      / --- SIGCONT /,
    ];
    for (const [i, pattern] of began.entries()) expect(calls[i]).toMatch(pattern);
    for (const line of calls) expect(line).toMatch(new RegExp(`^${pid} +\\d+\\.\\d{9} `));
    expect(calls.filter((line) => line.includes('exit_group'))).toEqual([]);

    expect(linesOf(text('r', 'maps.start')).some((line) => line.endsWith('[heap]'))).toBe(false);
    expect(text('r', 'maps.end')).toContain('libc.so');
    expect(unzipped('r', 'smaps.end.gz')).toContain('VmFlags:');
    expect(unzipped('r', 'pagemap.end.rle.gz')).toMatch(/^[0-9a-f]+-[0-9a-f]+ P-FX$/m);
    expect(text('r', 'auxv.start')).toMatch(/^\d+ 0x[0-9a-f]+\n/);
  });

  recording('has one line for each fault that the kernel counted', async (context) => {
    if (!hasFaults) leaveOut(context, 'page faults need root and perf (apt-get install linux-perf)');
    await run('-o', join(folder, 'r'), '--', '/bin/true');
    const facts = meta('r') as Record<string, number>;
    const counted = facts['minfltEnd']! + facts['majfltEnd']! - facts['minfltStart']! - facts['majfltStart']!;
    const faults = linesOf(unzipped('r', 'faults.perf.txt.gz'));
    expect(faults.length).toBe(facts['faults']);
    expect(faults.length).toBe(counted);
    const pid = facts['pid'];
    for (const line of faults) {
      expect(line).toMatch(
        new RegExp(`^${pid}/${pid} \\d+\\.\\d{9}: exceptions:page_fault_(user|kernel): address=0x`),
      );
    }
  });

  recording('without randomisation and with a variable, as another argument list says', async () => {
    const arguments_ = [
      '--no-aslr',
      '--no-faults',
      '--env',
      'FROM_TEST=a b',
      '--',
      'sh',
      '-c',
      'test "$FROM_TEST" = "a b"; exit $?',
    ];
    expect((await run('-o', join(folder, 'r'), ...arguments_)).status).toBe(0);
    expect(meta('r')).toMatchObject({ aslr: false, env: ['FROM_TEST=a b'], faultsRecorded: false });
    expect(text('r', 'maps.start')).toMatch(/^[0-9a-f]+-7ffffffff000 rw-p .*\[stack\]$/m);
  });
});

describe('recording a wrapper', () => {
  recording('that replaces itself begins with the program it becomes', async () => {
    const wrapper = 'x=$(echo done); PATH=/nowhere:/usr/bin:/bin; exec env true';
    expect((await run('-o', join(folder, 'r'), '--', 'sh', '-c', wrapper)).status).toBe(0);
    const calls = linesOf(unzipped('r', 'syscalls.strace.gz'));
    expect(calls[0]).toMatch(/ execve\("[^"]*\/true", .* = 0 <[0-9.]+>$/);
    expect(calls[2]).toMatch(/ --- stopped by SIGSTOP ---$/);
    expect(calls.filter((line) => line.includes('execve')).length).toBe(1);
    expect(text('r', 'maps.start')).toContain('/true\n');
    const facts = meta('r') as Record<string, number>;
    const counted = facts['minfltEnd']! + facts['majfltEnd']! - facts['minfltStart']! - facts['majfltStart']!;
    if (hasFaults) expect(facts['faults']).toBe(counted);
  });
});

describe('recording processes that do not end', () => {
  recording('ends after a time and shows every process that is alive', async () => {
    // The parent of the first sleep ends at once: nobody of the recording is its parent any more.
    const script = '(sleep 60 &); sleep 60; :';
    const seconds = ['--seconds', '0.7', '--no-faults'];
    expect((await run('-o', join(folder, 'r'), ...seconds, '--', 'sh', '-c', script)).status).toBe(0);
    const facts = meta('r') as { otherPids: number[]; mode: string; quiescent: boolean };
    expect(facts).toMatchObject({ mode: 'time', quiescent: true });
    expect(facts.otherPids.length).toBe(2);
    for (const pid of facts.otherPids) {
      expect(readdirSync(join(folder, 'r', 'procs', String(pid))).sort()).toEqual([
        ...['cmdline', 'maps.end', 'pagemap.end.rle.gz', 'smaps.end.gz', 'stat.end', 'status.end'],
      ]);
      expect(isGone(pid)).toBe(true);
    }
  });

  recording('ends when the load returns, and Ctrl-C before that still gives a whole recording', async () => {
    const load = ['--load', `kill -INT ${process.pid}; sleep 60`, '--load-delay', '0.1', '--no-faults'];
    const { status } = await run('-o', join(folder, 'interrupted'), ...load, '--', 'sleep', '60');
    expect(status).toBe(130);
    expect(meta('interrupted')).toMatchObject({ mode: 'time', quiescent: true });
    expect(
      (await run('-o', join(folder, 'r'), '--load', 'true', '--no-faults', '--', 'sleep', '60')).status,
    ).toBe(0);
    expect(meta('r')).toMatchObject({ mode: 'load', load: 'true' });
  });
});

describe('what cannot be recorded', () => {
  for (const [what, args, complaint] of [
    [
      'a program that a signal kills',
      ['--', 'sh', '-c', 'kill -SEGV $$'],
      /was killed by SIGSEGV|a program that a signal kills/,
    ],
    ['a program that does not exist', ['--', 'no-such-program'], /no program no-such-program/],
    ['an end before the time is up', ['--seconds', '5', '--', 'true'], /exited with 0/],
  ] as const)
    recording(`${what} is refused in words, and leaves nothing`, async () => {
      const outcome = await run('-o', join(folder, 'r'), '--no-faults', ...args);
      expect(outcome.status).toBe(2);
      expect(outcome.complaint).toMatch(complaint);
      expect(readdirSync(folder)).toEqual([]);
    });

  it('a missing tool is named with its package', (context) => {
    if (process.platform !== 'linux') leaveOut(context, 'recording needs Linux');
    expect(() => findTools(folder)).toThrow(
      'recording needs strace, which is not installed: apt-get install strace',
    );
  });

  recording('page faults without perf: the recording says what it lacks', async () => {
    const notes: string[] = [];
    const made = await record(
      {
        dir: join(folder, 'r'),
        argv: ['/bin/true'],
        variables: [],
        user: null,
        aslr: true,
        end: { atExit: true, seconds: null, load: null, loadDelayMs: 0 },
        faults: true,
        programOutput: 'stderr',
      },
      { ...(tools as Tools), perf: null },
      { interrupts: 0, note: (note) => notes.push(note) },
    );
    expect(made.faults).toBe(null);
    expect(notes).toContain(
      'only system calls are recorded: perf is not installed: apt-get install linux-perf',
    );
    expect(notes).toContain(LOST_WITHOUT_FAULTS);
    expect(unzipped('r', 'faults.perf.txt.gz')).toBe('');
    expect(meta('r')).toMatchObject({ faultsRecorded: false, faults: 0 });
  });
});
