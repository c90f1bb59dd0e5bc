/**
 * Runs cases on the running kernel: builds oracle/caserun on demand, hands it the cases, reads what it observed. One process runs any
 * number of cases.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Case } from '../spec/caseFile.ts';
import { type CaseObservation, parseOutput, scriptOf } from './protocol.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** Tells why the oracle cannot run here, in one line, or null when it can. */
export function whyNoOracle(): string | null {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    return `needs x86-64 Linux, this is ${process.platform}`;
  if (!release().startsWith('6.18.')) return `needs Linux 6.18, this is ${release()}`;
  if (process.getuid?.() !== 0) return 'needs root';
  if (spawnSync('cc', ['--version']).status !== 0 || spawnSync('make', ['--version']).status !== 0)
    return 'needs cc and make';
  return null;
}

/** Builds oracle/caserun unless it is there and newer than its sources; returns its path. */
export const buildOracle = (): string => `${build()}/caserun`;

/** The same for oracle/opsrun. */
export const buildOpsrun = (): string => `${build()}/opsrun`;

/** The same for oracle/views. */
export const buildViews = (): string => `${build()}/views`;

function build(): string {
  const out = `${ROOT}node_modules/.cache/faultline/oracle`;
  execFileSync('make', ['--silent', '-C', `${ROOT}oracle`, `OUT=${out}`], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return out;
}

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
