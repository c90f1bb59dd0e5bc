/**
 * The ledger as data: what was compared on which kernel, what differed, what is accepted, what is not modelled.
 *
 * It is gathered from files of the repository: fidelity/results.jsonl, fidelity/accepted.json, fidelity/costs.json, test/spec/fuzzed.*, docs/scope.md.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Compared } from '../../replay/play/check.ts';
import { addCompared, NOTHING_COMPARED } from '../fuzz/batch.ts';
import type { MachineConfig } from '../fuzz/machineFacts.ts';
import type { CostResults } from './costVerdict.ts';
import type { CountedLine } from './counted.ts';

/** What was compared in one mode on one kernel. */
export interface ModeRow {
  readonly mode: string;
  readonly sequences: number;
  readonly ops: number;
  readonly compared: Compared;
  /** How many separate ranges the seeds lie in: runs with seeds of their own. */
  readonly ranges: number;
  /** Seeds that differed and have not agreed since; how many differed and have. */
  readonly open: readonly number[];
  readonly closed: number;
  readonly unsteady: number;
}

/** What was compared on one kernel with one choice of settings. */
export interface KernelPart {
  readonly kernel: string;
  readonly config: MachineConfig;
  readonly modes: readonly ModeRow[];
  /** Coverage keys reached. */
  readonly coverage: readonly string[];
}

/** A difference that is known and stays. */
export interface Accepted {
  readonly what: string;
  readonly kernel: string;
  readonly ours: string;
  readonly why: string;
}

/** Everything. */
export interface Ledger {
  readonly kernels: readonly KernelPart[];
  /** Rows of test/spec/fuzzed.cases and fuzzed.ops: differences that were found and fixed. */
  readonly fixed: { readonly cases: number; readonly sequences: number };
  readonly accepted: readonly Accepted[];
  /** The last run of modelled times against measured ones; null before the first. */
  readonly costs: CostResults | null;
  /** What is refused by name. */
  readonly notModelled: readonly string[];
}

/** Gathers it. @param root  of the repository or the package @param lines  of fidelity/results.jsonl */
export function gatherLedger(root: string, lines: readonly CountedLine[]): Ledger {
  const text = (path: string): string => {
    const file = join(root, path);
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  };
  return {
    kernels: kernelParts(lines),
    fixed: {
      cases: (text('test/spec/fuzzed.cases').match(/^\+ FZ\d+ /gm) ?? []).length,
      sequences: (text('test/spec/fuzzed.ops').match(/^# opfuzz(-uffd)? format 1 /gm) ?? []).length,
    },
    accepted: JSON.parse(text('fidelity/accepted.json') || '[]') as Accepted[],
    costs: JSON.parse(text('fidelity/costs.json') || 'null') as CostResults | null,
    notModelled: refusedByName(text('docs/scope.md')),
  };
}

function kernelParts(lines: readonly CountedLine[]): KernelPart[] {
  const parts = new Map<string, CountedLine[]>();
  for (const line of lines) {
    const key = line.kernel + JSON.stringify(line.config);
    parts.set(key, [...(parts.get(key) ?? []), line]);
  }
  return [...parts.values()].map((of) => {
    const { kernel, config } = of[0] as CountedLine;
    const modes = [...new Set(of.map(({ mode }) => mode))];
    return {
      kernel,
      config,
      modes: modes.map((mode) =>
        modeRow(
          mode,
          of.filter((line) => line.mode === mode),
        ),
      ),
      coverage: [...new Set(of.flatMap(({ coverage }) => coverage))].sort(),
    };
  });
}

function modeRow(mode: string, lines: readonly CountedLine[]): ModeRow {
  const sum = (of: (line: CountedLine) => number): number => lines.reduce((all, line) => all + of(line), 0);
  return {
    mode,
    sequences: sum(({ sequences }) => sequences),
    ops: sum(({ ops }) => ops),
    compared: lines.reduce((all, { compared }) => addCompared(all, compared), NOTHING_COMPARED),
    ranges: sum(({ seeds }) => seeds.length),
    open: lines.flatMap(({ open }) => open),
    closed: sum(({ closed }) => closed.length),
    unsteady: sum(({ unsteady }) => unsteady.length),
  };
}

/** Returns the names under "Refused by name" in docs/scope.md. */
function refusedByName(scope: string): string[] {
  const part = /^## Refused by name\n([\s\S]*?)(?=^## )/m.exec(scope)?.[1] ?? '';
  return [...part.matchAll(/^### (.+)$/gm)].map(([, name = '']) => name);
}
