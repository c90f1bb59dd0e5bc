import { afterEach, describe, expect, it, vi } from 'vitest';
import messageQueues from '../examples/workloads/message-queues.ts';
import stackPool from '../examples/workloads/stack-pool.ts';
import { Machine } from '../src/machine/index.ts';
import { type Features, Kernel, LINUX_6_18, verifyMm } from '../src/mm/index.ts';
import { FIRST_TASK, runWorkload, settleParams, type Workload } from '../src/workloads/index.ts';
import { faultline } from './cli/program.ts';

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

  it.each(['stack-pool', 'message-queues'])('%s is an input of the command line', (name) => {
    const args = ['compare', `examples/workloads/${name}.ts`, '--set', 'mergePgoffOnMove=on', '--quiet'];
    const { status, stdout, stderr } = faultline(args);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain(`${name}.ts`);
  });
});
