/**
 * A live snapshot of a guest of 10 GiB, of which 5 % were touched: how long the model takes, and how much memory. In a process of its own, start included in
 * the memory and not in the time. The references are limits.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Benchmark, Row, Run } from './benchmark.ts';
import { hashOf } from './endState.ts';
import { ROOT } from './references.ts';
import { median } from './rounds.ts';

/** What the probe prints. */
export interface SnapshotProbed {
  readonly seconds: number;
  readonly maxBytes: number;
  readonly lost: number;
  readonly counted: string;
}

const BYTES = 10 * 2 ** 30;
const TINY_BYTES = 2 ** 25;
const LIMIT_SECONDS = 5;
const LIMIT_MIB = 1024;
const LIMIT_MS = 120_000;

function probe(bytes: number): SnapshotProbed {
  const isSource = import.meta.url.endsWith('.ts');
  const program = fileURLToPath(new URL(`./snapshotProbe.${isSource ? 'ts' : 'js'}`, import.meta.url));
  const loader = isSource ? ['--import', 'jiti/register'] : [];
  const calibration = `${ROOT}calibration/linux-6.18-x86_64.json`;
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [...loader, program, calibration, String(bytes)],
    { encoding: 'utf8', timeout: LIMIT_MS },
  );
  if (status !== 0) throw new Error(`snapshotProbe: ${stderr}`);
  const probed = JSON.parse(stdout) as SnapshotProbed;
  if (probed.lost !== 0) throw new Error(`snapshot: ${probed.lost} pages were lost`);
  return probed;
}

const digits = (n: number): number => Number(n.toPrecision(4));

function run({ tiny }: Run): Row[] {
  const rounds = Array.from({ length: tiny ? 1 : 3 }, () => probe(tiny ? TINY_BYTES : BYTES));
  const seconds = digits(median(rounds.map((each) => each.seconds)));
  const mib = digits(median(rounds.map((each) => each.maxBytes)) / 2 ** 20);
  const hash = hashOf(rounds[0]?.counted ?? '');
  const note = 'wp-unpopulated, one word a page, no page lost; the reference is the limit';
  const row = (bench: string, ours: number, of: { limit: number; unit: string }): Row => ({
    bench,
    ours,
    reference: of.limit,
    ratio: digits(ours / of.limit),
    unit: of.unit,
    hash,
    note,
  });
  return [
    row('snapshot', seconds, { limit: LIMIT_SECONDS, unit: 's' }),
    row('snapshot-memory', mib, { limit: LIMIT_MIB, unit: 'MiB' }),
  ];
}

/** How long a snapshot takes, and how much memory. */
export const snapshot: Benchmark = { rows: ['snapshot', 'snapshot-memory'], run };
