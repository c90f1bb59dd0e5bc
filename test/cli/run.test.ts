/**
 * `faultline run`: facts, views, events, steps.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { leaveOut } from '../kernel/leftOut.ts';
import { expectGolden } from './golden.ts';
import { BIN, FIXTURES, faultline, jsonLines, ROOT } from './program.ts';

const RECORDING = `${FIXTURES}/true`;
const OPS = `${FIXTURES}/small.ops`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'faultline-run-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const fixture = (file: string): string => readFileSync(join(ROOT, RECORDING, file), 'utf8');

describe('views', () => {
  it('maps is what the kernel printed, but for [vsyscall]', () => {
    const { status, stdout, stderr } = faultline(['run', RECORDING, '--print', 'maps']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    // The inode of a file that was opened after the start is nowhere in the calls.
    const known = (text: string): string =>
      text
        .replace(/ fe:00 \d+ +\/usr\/lib\S+libc\.so\.6$/gm, ' LIBC')
        .replace(/ 00:00 0 +\/usr\/lib\S+libc\.so\.6$/gm, ' LIBC');
    expect(known(stdout)).toBe(known(fixture('maps.end').replace(/^.*\[vsyscall\]\n/m, '')));
  });

  it('smaps has the blocks of anonymous memory, and the flags of all, that the kernel printed', () => {
    const { stdout, stderr } = faultline(['run', RECORDING, '--print', 'smaps']);
    const flags = (text: string): string[] => text.split('\n').filter((line) => line.startsWith('VmFlags:'));
    expect(flags(stdout)).toEqual(flags(fixture('smaps.end')).slice(0, -1));
    const blocks = (text: string): string[] =>
      text
        .split(/^(?=[0-9a-f]+-)/m)
        .filter((block) => / 00:00 0 (?! *\[v|.*\/)/.test(block.split('\n')[0] ?? ''));
    expect(blocks(stdout)).toEqual(blocks(fixture('smaps.end')));
    expect(blocks(stdout).length).toBeGreaterThan(3);
    expect(stderr).toContain('fault-around');
  });

  it('status has the lines that the kernel printed, but for pages of files', () => {
    const { stdout } = faultline(['run', RECORDING, '--print', 'status', '--quiet']);
    const lines = stdout.split('\n').slice(0, -1);
    const recorded = fixture('status.end')
      .split('\n')
      .filter((line) => /^(Vm|Rss)/.test(line));
    const withoutFiles = (all: string[]): string[] =>
      all.filter((line) => !/^(VmHWM|VmRSS|RssFile)/.test(line));
    expect(lines.map((line) => line.split(':')[0])).toEqual(recorded.map((line) => line.split(':')[0]));
    expect(withoutFiles(lines)).toEqual(withoutFiles(recorded));
  });

  it('statm and the rollup are those of the whole process', () => {
    const statm = faultline(['run', RECORDING, '--print', 'statm', '--quiet']).stdout;
    const kB = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(fixture('status.end'))?.[1]);
    expect(statm).toMatch(new RegExp(`^${kB('VmSize') / 4} \\d+ \\d+ ${kB('VmExe') / 4} 0 \\d+ 0\n$`));
    const rollup = faultline(['run', RECORDING, '--print', 'smaps_rollup', '--quiet']).stdout;
    expect(rollup).toMatch(
      /^[0-9a-f]+-7ff[0-9a-f]+ ---p 00000000 00:00 0 {26}\[rollup\]\nRss: +\d+ kB\nPss: /,
    );
    expect(rollup).toContain(`Anonymous: ${String(kB('RssAnon')).padStart(13)} kB\n`);
  });

  it('of an ops file is that of its window, as the last snapshot has it', () => {
    const last =
      readFileSync(join(ROOT, OPS), 'utf8')
        .split(/^snapshot /m)
        .at(-1) ?? '';
    const self = last.slice(0, last.search(/^(child |end$)/m));
    const snapshot = [...self.matchAll(/^vma (\S+) .*?flags=(.*)$/gm)].map(([, range, flags]) => [
      range,
      flags,
    ]);
    const { stdout } = faultline(['run', OPS, '--print', 'smaps', '--quiet']);
    const ours = [...stdout.matchAll(/^([0-9a-f]+-[0-9a-f]+) [\s\S]*?^VmFlags: (.*) $/gm)];
    expect(ours.map(([, range, flags]) => [range, flags])).toEqual(snapshot);
    const pagemap = faultline(['run', OPS, '--print', 'pagemap', '--quiet']).stdout.split('\n').slice(0, -1);
    expect(pagemap.length).toBeGreaterThan(0);
    for (const line of pagemap) expect(line).toMatch(/^[0-9a-f]+-[0-9a-f]+ [P-][S-][F-][X-]$/);
  });

  it('internals has a line for each vma, with offsets and anon_vmas', () => {
    const { stdout } = faultline(['run', RECORDING, '--print', 'internals']);
    expect(stdout.split('\n')).toHaveLength(23);
    expect(stdout).toMatch(
      /^7f807a81a000-7f807a81d000 flags=100073 pgoff=7f807a81a anon_vma=a(\d+) root=a\1 parent=a\1 children=1 vmas=1 chain=1 file=-$/m,
    );
  });

  it('vmas is a table, and the same for a workload', () => {
    const { stdout } = faultline(['run', 'workload:slide,pages=3', '--print', 'vmas']);
    expect(stdout).toMatch(/^vma +range +perms +flags +name +pages +pgoff +anon_vma +chain\n#\d+ +7fff/);
  });

  it('of a process that is not there is refused', () => {
    const { status, stderr } = faultline(['run', RECORDING, '--print', 'maps', '--pid', '5']);
    expect(stderr).toBe(
      'faultline: process 5 has no address space at the end: it ended or called execve\nwanted: --pid with one of 16323\n',
    );
    expect(status).toBe(2);
  });
});

describe('facts', () => {
  it('are told in words', () => {
    const { status, stdout } = faultline(['run', OPS]);
    expectGolden('run-ops.txt', stdout);
    expect(status).toBe(0);
  });

  it('are the same in JSON, and change with a switch', () => {
    interface Facts {
      readonly profile: string;
      readonly set: Record<string, string>;
      readonly ops: { readonly total: number; readonly calls: number; readonly touches: number };
      readonly vmas: { readonly now: number; readonly peak: number };
      readonly processes: readonly { readonly pid: number; readonly vmas: number | null }[];
    }
    const slide = 'workload:slide,pages=50';
    const [off] = jsonLines<Facts>(faultline(['run', slide, '--json']).stdout);
    const set = ['--set', 'mergePgoffOnMove=on', '--profile', 'as-5.18', '--verify=every'];
    const [on] = jsonLines<Facts>(faultline(['run', slide, '--json', ...set]).stdout);
    expect(off).toMatchObject({ profile: 'linux-6.18', set: {}, vmas: { now: 50 } });
    expect(on).toMatchObject({ profile: 'as-5.18', set: { mergePgoffOnMove: 'on' }, vmas: { now: 1 } });
    expect(on?.ops).toEqual(off?.ops);
    expect(on?.processes).toEqual([{ pid: 1, vmas: 1, pageTables: 12288 }]);
  });
});

describe('events', () => {
  it('are lines in the order in which they happened, as text or JSON', () => {
    const text = faultline(['run', OPS, '--print', 'events']).stdout.split('\n').slice(0, -1);
    const events = jsonLines<{ kind: string; op: number }>(
      faultline(['run', OPS, '--print', 'events', '--json']).stdout,
    );
    expect(text).toHaveLength(events.length);
    expect(text.map((line) => Number(line.split(' ')[1]))).toEqual(events.map(({ op }) => op));
    expect(text.find((line) => line.includes('vma_split'))).toMatch(
      /^op 6 vma_split: mm=\d+ vma=\d+ other=\d+ side=\w+ at=0x200000600000 /,
    );
  });
});

describe('steps', () => {
  it('are each operation, its answer and what it changed in maps', () => {
    const { status, stdout } = faultline(['run', OPS, '--step']);
    expectGolden('run-step.txt', stdout);
    expect(status).toBe(0);
    expect(stdout).not.toContain('the kernel answered');
  });

  it('wait for the user on a terminal', async (context) => {
    if (spawnSync('script', ['--version']).error) leaveOut(context, 'script (bsdutils) is not installed');
    const command = `"${process.execPath}" "${BIN}" run --step ${OPS}`;
    const terminal = spawn('script', ['-qec', command, '/dev/null'], {
      cwd: ROOT,
      env: { ...process.env, NO_COLOR: '1' },
    });
    const keys = ['\n', 'n 3\n', 'm\n', 'what\n', 'q\n'];
    let shown = '';
    let asked = 0;
    terminal.stdout.on('data', (data: Buffer) => {
      shown += data.toString();
      // The next key is pressed when the next question stands there.
      while (shown.split('quit> ').length - 1 > asked) terminal.stdin.write(keys[asked++] ?? 'q\n');
    });
    const status = await new Promise((resolve) => {
      terminal.on('close', resolve);
    });
    expect(status).toBe(0);
    const parts = shown.replaceAll('\r', '').split(/^Enter next, n N, c to the end, m maps, q quit> .*\n/m);
    expect(parts.map((part) => part.match(/^\d+ line/gm)?.length ?? 0)).toEqual([1, 1, 3, 0, 0, 0]);
    expect(parts[3]).toBe('200000000000-200000800000 rw-p 00000000 00:00 0 \n');
    expect(parts[4]).toBe('no command "what"\n');
  });

  it('name the answer of the kernel where it is another', () => {
    const path = join(folder, 'other.ops');
    const ops = readFileSync(join(ROOT, OPS), 'utf8');
    writeFileSync(path, ops.replace('EFAULT (Bad address)', 'EINVAL (Invalid argument)'));
    expect(faultline(['run', path, '--step']).stdout).toMatch(
      / = -1 EFAULT \(.*\)\n {4}the kernel answered -1 EINVAL\n/,
    );
  });
});

describe('modules', () => {
  const source = (body: string): string =>
    `import { FIRST_TASK, Task, type Workload } from 'faultline/workloads';\n${body}`;
  const workload = (program: string): string =>
    source(`const w = new Task(FIRST_TASK);
      export default { name: 'mine', title: '', text: '', params: { pages: { default: 3, unit: 'pages', text: '' } },
        *program(params): ReturnType<Workload['program']> { ${program} } } satisfies Workload;`);
  const written = (name: string, text: string): string => {
    const path = join(folder, name);
    writeFileSync(path, text);
    return path;
  };

  it('in TypeScript are inputs', () => {
    const path = written('mine.ts', workload('yield* w.mmap(4096 * Number(params.pages));'));
    const { status, stdout } = faultline(['run', path, '--print', 'maps']);
    expect(stdout).toMatch(/^[0-9a-f]+c000-[0-9a-f]+f000 rw-p 00000000 00:00 0 \n$/);
    expect(status).toBe(0);
  });

  it('that cannot be used are refused with the reason', () => {
    const cases: readonly (readonly [path: string, stderr: RegExp])[] = [
      [
        written('none.js', 'export const x = 1;'),
        /none\.js exports no workload\nwanted: a module with `export default \{/,
      ],
      [written('broken.ts', 'export default {'), /broken\.ts cannot be loaded: .*\nwanted: a module/s],
      [
        written('refused.ts', workload('yield* w.munmap(1, 4096);')),
        /munmap\(0x1, 4096\) of the workload was refused: EINVAL \(unaligned\)\nwanted: /,
      ],
    ];
    for (const [path, stderr] of cases) {
      const ran = faultline(['run', path]);
      expect(ran.stderr).toMatch(stderr);
      expect(ran.status).toBe(2);
    }
  });
});
