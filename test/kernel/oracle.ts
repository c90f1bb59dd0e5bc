/**
 * Runs cases on the running kernel: builds oracle/caserun on demand, hands it the cases, reads what it observed. One process runs any
 * number of cases.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { buildProgram, whyNoKernel } from '../../src/cli/fuzz/oraclePrograms.ts';
import type { Case } from '../spec/caseFile.ts';
import { type CaseObservation, parseOutput, scriptOf } from './protocol.ts';

/** Tells why the oracle cannot run here, in one line, or null when it can. */
export const whyNoOracle = (): string | null =>
  whyNoKernel() ?? (process.getuid?.() === 0 ? null : 'needs root');

/** Builds oracle/caserun unless it is there and newer than its sources; returns its path. */
export const buildOracle = (): string => buildProgram('caserun');

/** The same for oracle/opsrun. */
export const buildOpsrun = (): string => buildProgram('opsrun');

/** The same for oracle/views. */
export const buildViews = (): string => buildProgram('views');

/** Total memory plus swap of this machine in bytes. */
export function memoryAndSwap(): number {
  const info = readFileSync('/proc/meminfo', 'utf8');
  const kib = (key: string): number => Number(new RegExp(`^${key}: *(\\d+) kB`, 'm').exec(info)?.[1] ?? 0);
  return (kib('MemTotal') + kib('SwapTotal')) * 1024;
}

/** What a run of the oracle gave: how it saw VMAs (`bpf`, or `smaps: why`), and the observations, one a case. */
export interface OracleRun {
  readonly source: string;
  readonly observations: readonly CaseObservation[];
}

/** Runs `cases` on the running kernel; `--smaps` leaves BPF out. Throws when the oracle itself fails. */
export function runOracle(
  caserun: string,
  cases: readonly Case[],
  options: readonly '--smaps'[] = [],
): OracleRun {
  const scripts = cases.map((c, i) => scriptOf(c, String(i)));
  const result = spawnSync(caserun, options, {
    input: scripts.map((s) => s.text).join(''),
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  if (result.status !== 0) throw new Error(`caserun: ${result.error?.message ?? result.stderr}`);
  const source = /^vmas (.*)$/m.exec(result.stdout)?.[1] ?? 'unknown';
  return { source, observations: parseOutput(cases, scripts, result.stdout) };
}
