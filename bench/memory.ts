/**
 * Memory of the model: bytes for each mapped page when 1 GiB is mapped densely, and when pages lie far apart over 1 TiB.
 *
 * Each figure is taken in a process of its own, which collects its garbage before it looks (memoryProbe.ts). Linux takes 72 bytes for a dense
 * page: 64 for its struct page, 8 for its entry. For pages far apart it is mostly page tables, which a C program reads off VmPTE here.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Benchmark, Row, Run } from './benchmark.ts';
import { hashOf } from './endState.ts';

/** What the probe prints. */
export interface Probed {
  /** Bytes more than before the pages were touched. */
  readonly bytes: number;
  readonly resident: number;
  readonly tableBytes: number;
}

const DENSE_PAGES = 262_144;
const SPARSE_PAGES = 4096;
const TIB_PAGES = 2 ** 28;
const LINUX_DENSE = 72;
const STRUCT_PAGE = 64;
const LIMIT_MS = 120_000;

/** Runs the probe in a process of its own. @param stride  pages from one touched page to the next */
function probe(pages: number, stride: number): Probed {
  const isSource = import.meta.url.endsWith('.ts');
  const program = fileURLToPath(new URL(`./memoryProbe.${isSource ? 'ts' : 'js'}`, import.meta.url));
  const loader = isSource ? ['--import', 'jiti/register'] : [];
  const args = ['--expose-gc', ...loader, program, String(pages), String(stride)];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: 'utf8',
    timeout: LIMIT_MS,
  });
  if (status !== 0) throw new Error(`memoryProbe: ${stderr}`);
  return JSON.parse(stdout) as Probed;
}

const digits = (n: number): number => Number(n.toPrecision(4));

function runDense({ tiny }: Run): Row[] {
  const pages = tiny ? DENSE_PAGES / 64 : DENSE_PAGES;
  const { bytes, resident, tableBytes } = probe(pages, 1);
  const ours = digits(bytes / pages);
  return [
    {
      bench: 'bytes-per-page',
      ours,
      reference: LINUX_DENSE,
      ratio: digits(ours / LINUX_DENSE),
      unit: 'B/page',
      hash: hashOf(`${resident} ${tableBytes}`),
      note: `${pages} pages resident, contents as fingerprints; the reference is Linux: struct page and entry`,
    },
  ];
}

function runSparse({ tiny, references }: Run): Row[] {
  // Not smaller: what the collector leaves behind by chance would be more than the pages take.
  const pages = tiny ? SPARSE_PAGES / 4 : SPARSE_PAGES;
  const stride = TIB_PAGES / pages;
  const { bytes, resident, tableBytes } = probe(pages, stride);
  const twice = probe(2 * pages, stride / 2);
  const ours = digits(bytes / pages);
  const answer = references.run('sparse', [pages, stride]);
  const vmPte = answer?.numbers.get('vmpte') ?? null;
  // The kernel's program may have had a table or two there before.
  if (vmPte !== null && Math.abs(vmPte - tableBytes) > 4 * 4096)
    throw new Error(`sparse: the model has ${tableBytes} bytes of page tables, the kernel ${vmPte}`);
  const reference = vmPte === null ? null : digits(vmPte / pages + STRUCT_PAGE);
  const growth = `twice as many take ${(twice.bytes / bytes).toFixed(2)} times the bytes`;
  return [
    {
      bench: 'sparse',
      ours,
      reference,
      ratio: reference === null ? null : digits(ours / reference),
      unit: 'B/page',
      hash: hashOf(`${resident} ${tableBytes} ${twice.tableBytes}`),
      note: `${references.missing ?? `${pages} pages over 1 TiB`}; ${growth}; the reference is Linux: page tables and struct page`,
    },
  ];
}

/** One benchmark a question. */
export const memoryBenchmarks: readonly Benchmark[] = [
  { rows: ['bytes-per-page'], run: runDense },
  { rows: ['sparse'], run: runSparse },
];
