/**
 * Snapshots step by step, on the model and on the running kernel: drawn from a seed, written as oracle/snapshot reads them.
 */
import { spawnSync } from 'node:child_process';
import { Prng } from '../../src/base/prng.ts';
import { Simulation } from '../../src/machine/index.ts';
import { LINUX_6_18 } from '../../src/mm/index.ts';
import type { Backing } from '../../src/workloads/liveSnapshot/guestMemory.ts';
import type { MethodName } from '../../src/workloads/liveSnapshot/method.ts';
import { runScript, type Script, type ScriptStep } from '../../src/workloads/liveSnapshot/script.ts';
import { CALIBRATION } from '../support/calibration.ts';

/** What came of a script, in the same words on both sides. */
export interface Seen {
  readonly lost: readonly string[];
  readonly messages: number;
  readonly refused: string | null;
}

/** What a script is drawn for. */
export interface Drawn {
  readonly method: MethodName;
  readonly use: 'snapshot' | 'precopy';
  readonly backing: Backing;
  readonly hugepage: boolean;
  readonly finding: 'scan' | 'read';
}

const HUGE = 512;

/** Draws steps: memory is touched, armed, and then written and given back between steps of who saves it. */
export function drawScript(of: Drawn, seed: number): Script {
  const prng = new Prng(seed);
  const nrPages = of.hugepage ? 4 * HUGE : 96;
  const page = (): number => prng.below(nrPages);
  const steps: ScriptStep[] = [];
  const someOf = (nr: number, kinds: readonly ('write' | 'read' | 'discard')[]): void => {
    for (let i = 0; i < nr; i++) steps.push({ step: prng.pick(kinds), page: page() });
  };
  someOf(of.hugepage ? 2 : 30, ['write', 'write', 'read', 'discard']);
  steps.push({ step: 'arm' });
  const batch = nrPages / 8;
  for (let first = 0; first < nrPages; first += batch) {
    someOf(6, ['write', 'write', 'write', 'read', 'discard']);
    steps.push({ step: 'save', first, end: first + batch });
    if (of.use === 'precopy' && prng.below(3) === 0) steps.push({ step: 'round' });
  }
  someOf(6, ['write', 'read', 'discard']);
  const { method, use, backing, hugepage, finding } = of;
  return { shape: { nrPages, backing, hugepage }, method, use, finding, steps };
}

/** Returns the script as the program reads it. Words are those of the model: stores are numbered. */
export function scriptText({ shape, method, use, finding, steps }: Script): string {
  let word = 0;
  const lines = steps.map((step) => {
    if (step.step === 'save') return `save ${step.first} ${step.end}`;
    if (step.step === 'arm' || step.step === 'round') return step.step;
    return step.step === 'write' ? `write ${step.page} ${++word}` : `${step.step} ${step.page}`;
  });
  return [
    `memory ${shape.backing} ${shape.nrPages} ${shape.hugepage ? 1 : 0}`,
    `method ${method} ${use} ${finding}`,
    ...lines,
    'finish\n',
  ].join('\n');
}

/** Runs a script on the model. */
export function seenOnModel(script: Script): Seen {
  const result = runScript(
    new Simulation({ calibration: CALIBRATION, features: LINUX_6_18, contents: 'fingerprint' }),
    script,
  );
  if ('refused' in result) {
    const [, call = '', errno = ''] = /^(\w+).*?: (\w+)/.exec(result.refused) ?? [];
    return { lost: [], messages: 0, refused: `${call} ${errno}` };
  }
  const { lost, nrMessages } = result;
  return {
    lost: lost.map(({ page, held, saved }) => `${page} ${held} ${saved}`),
    messages: nrMessages,
    refused: null,
  };
}

/** Runs a script on the kernel of this machine. @param program  oracle/snapshot */
export function seenOnKernel(program: string, script: Script): Seen {
  const { stdout, stderr, status } = spawnSync(program, {
    input: scriptText(script),
    encoding: 'utf8',
    timeout: 60_000,
  });
  const refused = /^refused (.*)$/m.exec(stdout)?.[1] ?? null;
  if (status !== 0 || (refused === null && !stdout.endsWith('end\n')))
    throw new Error(`snapshot: ${stderr || stdout}`);
  return {
    lost: [...stdout.matchAll(/^lost (.*)$/gm)].map(([, line = '']) => line),
    messages: Number(/^messages (\d+)$/m.exec(stdout)?.[1] ?? 0),
    refused,
  };
}
