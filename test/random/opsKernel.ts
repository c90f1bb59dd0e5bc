/**
 * Runs sequences of operations on the kernel of this machine, with oracle/opsrun.
 */
import { spawnSync } from 'node:child_process';
import { logsIn } from '../../src/fuzz/opsCheck.ts';
import type { RunOps } from '../../src/fuzz/opsShrink.ts';

/** Returns what runs sequences. @param opsrun  the program @param cpu  where it stays; anywhere if not given */
export function opsKernel(opsrun: string, cpu: number | null = null): RunOps {
  return (sequences) => {
    const [command, args] = cpu === null ? [opsrun, []] : ['taskset', ['-c', String(cpu), opsrun]];
    const result = spawnSync(command, args, {
      input: sequences.map((lines) => `${lines.join('\n')}\n`).join(''),
      encoding: 'utf8',
      maxBuffer: 1 << 29,
    });
    if (result.status !== 0) throw new Error(`opsrun: ${result.error?.message ?? result.stderr}`);
    return logsIn(result.stdout);
  };
}
