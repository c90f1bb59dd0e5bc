import { describe, expect, it } from 'vitest';
import { faultline } from './program.ts';

const CONTENTION = 'workload:contention,window=1000000';

describe('run of a workload of several threads', () => {
  it('prints where the time went, and says what the times are not', () => {
    const { status, stdout, stderr } = faultline(['run', CONTENTION]);
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /^workload:contention,window=1000000 +linux-6\.18\ntime\n {2}elapsed, µs +[\d,]+\n/,
    );
    for (const word of ['first: ns an operation', 'CPU 1 busy, %', 'fault-anon-hot'])
      expect(stdout).toContain(word);
    expect(stderr).toContain('times are modelled');
    expect(stderr).not.toContain('uncalibrated');
  });

  it('is the same twice, and says that four CPUs are uncalibrated', () => {
    const args = ['run', CONTENTION, '--cpus', '4', '--seed', '3'];
    const [a, b] = [faultline(args), faultline(args)];
    expect(a.stdout).toBe(b.stdout);
    expect(a.stderr).toContain('uncalibrated: 4 CPUs');
  });

  it('has no steps and no views to print', () => {
    const { status, stderr } = faultline(['run', CONTENTION, '--print', 'maps']);
    expect(status).toBe(2);
    expect(stderr).toContain('has several threads');
  });

  it('is nothing to explain', () => {
    const { status, stderr } = faultline(['explain', CONTENTION]);
    expect([status, stderr.includes('several threads')]).toEqual([2, true]);
  });

  it.each([
    ['page-server', 'requests'],
    ['own-gc', 'pages brought by the mutator'],
  ])('takes the example %s', (name, figure) => {
    const { status, stdout } = faultline(['run', `examples/workloads/${name}.ts`, '--quiet']);
    expect(status).toBe(0);
    expect(stdout).toContain(figure);
  });
});

describe('compare of a workload of several threads', () => {
  it('has a column for each value of a parameter', () => {
    const args = [
      'compare',
      'examples/workloads/arena-threads.ts',
      '--vary',
      'allocator=mmap,arena',
      '--json',
    ];
    const { status, stdout } = faultline(args);
    expect(status).toBe(0);
    const { configurations } = JSON.parse(stdout);
    const labels = configurations.map(({ label }: { label: string }) => label);
    expect(labels).toEqual(['allocator=mmap', 'allocator=arena']);
    const elapsed = configurations.map((each: { report: { elapsedNs: number } }) => each.report.elapsedNs);
    expect(elapsed[1]).toBeLessThan(elapsed[0]);
  });

  it('takes locks of single vmas away when nothing is asked for', () => {
    const { status, stdout } = faultline(['compare', CONTENTION, '--markdown', '--quiet']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/\| baseline \| perVmaLocks=off \|/);
  });

  it('leaves out what would have to make calls among the threads, and refuses parameters that there are not', () => {
    const rewritten = faultline(['compare', CONTENTION, '--as', 'dontneed=vrange', '--quiet']);
    expect([rewritten.status, rewritten.stderr]).toEqual([
      0,
      expect.stringContaining('dontneed=vrange is left out'),
    ]);
    const unknown = faultline(['compare', CONTENTION, '--vary', 'third=faults', '--quiet']);
    expect([unknown.status, unknown.stderr.includes("no parameter 'third'")]).toEqual([2, true]);
  });
});

describe('compare of ebizzy', () => {
  it('shows ways to give memory back side by side, each with the switch that one of them needs', () => {
    const ways = ['munmap', 'dontneed', 'free', 'vrange', 'none'];
    const args = [
      'compare',
      'workload:ebizzy,threads=2,ms=2',
      '--vary',
      `purge=${ways}`,
      '--set',
      'vrange=on',
    ];
    const { status, stdout, stderr } = faultline([...args, '--quiet']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout.split('\n')[0]?.match(/purge=\w+/g)).toEqual(ways.map((way) => `purge=${way}`));
    expect(stdout).toContain('model of linux-6.18 with vrange=on, seed 1');
  });
});

describe('compare of live-snapshot', () => {
  const args = [
    'compare',
    'workload:live-snapshot,size=32M,cluster=64',
    '--vary',
    'method=wp-default,wp-unpopulated',
  ];

  it('shows which method loses pages, and names them below the table', () => {
    const { status, stdout } = faultline([...args, '--quiet']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^ {2}pages lost +[1-9]\d* +0 +-[1-9]\d*$/m);
    expect(stdout).toMatch(
      /^method=wp-default: lost page \d+: not there when it was protected; memory held 0/m,
    );
    expect(stdout).not.toContain('method=wp-unpopulated: lost');
    expect(faultline([...args, '--quiet', '--markdown']).stdout).toMatch(/^method=wp-default: lost page/m);
  });

  it('has the same numbers and names in JSON', () => {
    const { configurations } = JSON.parse(faultline([...args, '--json']).stdout);
    const [lost, none] = configurations.map((each: { figures: object }) => each.figures);
    expect([lost['pages lost'] > 0, none['pages lost']]).toEqual([true, 0]);
    expect(configurations[0].remarks[0]).toMatch(/^lost page \d+: not there when it was protected/);
    expect(configurations[1].remarks).toEqual([]);
  });
});
