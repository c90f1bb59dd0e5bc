import { afterEach, describe, expect, it, vi } from 'vitest';
import messageQueues from '../examples/workloads/message-queues.ts';
import ownGc from '../examples/workloads/own-gc.ts';
import stackPool from '../examples/workloads/stack-pool.ts';
import { Machine } from '../src/machine/index.ts';
import { FACT, type Features, Kernel, LINUX_6_18, verifyMm } from '../src/mm/index.ts';
import { FIRST_TASK, runThreaded, runWorkload, settleParams, type Workload } from '../src/workloads/index.ts';
import { faultline } from './cli/program.ts';
import { CALIBRATION } from './support/calibration.ts';

describe('examples/embed.ts', () => {
  afterEach(() => vi.restoreAllMocks());

  it('prints why vmas stay apart, and the maps with and without the proposal', async () => {
    const lines: string[] = [];
    vi.spyOn(console, 'log').mockImplementation((...words) => void lines.push(words.join(' ')));
    await import('../examples/embed.ts');
    expect(lines.map((line) => line.trimEnd())).toEqual([
      'op 6 joins one side only: the anon_vmas differ',
      'mergeAcrossAnonVma=off\n' +
        '7ffff7ffc000-7ffff7ffe000 rw-p 00000000 00:00 0 \n' +
        '7ffff7ffe000-7ffff7fff000 rw-p 00000000 00:00 0',
      'mergeAcrossAnonVma=on\n7ffff7ffc000-7ffff7fff000 rw-p 00000000 00:00 0',
    ]);
  });
});

function vmasOf(workload: Workload, given: Record<string, number>, on: Partial<Features> = {}): number {
  const machine = new Machine(new Kernel({ ...LINUX_6_18, ...on }));
  runWorkload(machine, { workload, params: settleParams(workload, given) }, 1);
  const mm = machine.process(FIRST_TASK)?.mm ?? null;
  if (mm === null) throw new Error('the workload has no memory at its end');
  verifyMm(mm);
  return mm.mapCount;
}

describe('examples/volatile.ops', () => {
  it('loses all of one range and a part of another', () => {
    const { status, stdout } = faultline([
      'run',
      'examples/volatile.ops',
      '--set',
      'vrange=on',
      '--print',
      'vranges',
    ]);
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout:
        '200000040000-200000080000 partial size_kb=256 rss_kb=192 swap_kb=0 purged_kb=64 turn=1\n' +
        '200000090000-2000000c0000 partial size_kb=192 rss_kb=192 swap_kb=0 purged_kb=0 turn=2\n',
    });
  });
});

describe('examples/workloads', () => {
  const both = { mergePgoffOnMove: 'on', mergeAcrossAnonVma: 'on' } as const;

  it('stack-pool has two vmas a stack, with the proposal too', () => {
    const few = { stacks: 10, threads: 50, size: 16 };
    expect(vmasOf(stackPool, few)).toBe(20);
    expect(vmasOf(stackPool, few, both)).toBe(20);
  });

  it('message-queues keeps moved buffers apart on 6.18 and loses most of them with the proposal', () => {
    const few = { queues: 50, messages: 2000 };
    const before = vmasOf(messageQueues, few);
    expect(before).toBeGreaterThan(20);
    expect(vmasOf(messageQueues, few, both)).toBeLessThan(before / 2);
  });

  it('own-gc allocates no page while it collects, and some pages are brought by its mutator', () => {
    const params = settleParams(ownGc, { pages: 64, cycles: 3 });
    const { figures, report, simulation } = runThreaded(
      { workload: ownGc, params },
      { calibration: CALIBRATION },
    );
    expect(figures['pages brought by the mutator']).toBeGreaterThan(0);
    const { facts } = simulation.kernel.work;
    // The pages of the heap, and nothing since.
    expect(facts[FACT.pagesAllocated]).toBe(64);
    expect(facts[FACT.ptesMoved]).toBe(2 * 3 * 64);
    expect(report.threads.find(({ name }) => name === 'mutator')?.faults.get('SIGBUS')).toBeGreaterThan(0);
  });

  it.each(['stack-pool', 'message-queues'])('%s is an input of the command line', (name) => {
    const args = ['compare', `examples/workloads/${name}.ts`, '--set', 'mergePgoffOnMove=on', '--quiet'];
    const { status, stdout, stderr } = faultline(args);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain(`${name}.ts`);
  });
});
