/** Rows of seed 003 about the field case, 55 TiB virtual, 590 GiB resident, 110 GiB of tables, scaled down: what each policy leaves and costs. */
import type { Features } from '../mm/index.ts';
import { numberParam, type ParamValue } from '../workloads/index.ts';
import { type BloatRun, runBloat } from './bloatRun.ts';
import type { ExperimentInput } from './experiment.ts';
import { type Row, rowOf } from './row.ts';

const GIB_IN_KIB = 2 ** 20;

interface Policy {
  readonly name: string;
  readonly features: Partial<Features>;
  readonly params?: Readonly<Record<string, ParamValue>>;
  /** It frees what is empty. */
  readonly frees: boolean;
}

const POLICIES: readonly Policy[] = [
  { name: 'off', features: { ptReclaim: 'off' }, frees: false },
  { name: 'sync', features: { ptReclaim: 'sync' }, frees: false },
  { name: 'async', features: { ptReclaim: 'async' }, params: { settle: 250 }, frees: true },
  {
    name: 'MADV_PT_RECLAIM at the end',
    features: { ptReclaim: 'off' },
    params: { advise: 'end' },
    frees: true,
  },
  { name: 'refcount', features: { ptReclaim: 'refcount' }, frees: true },
];

/** CPU time of the memory management, nanoseconds. */
const workNs = ({ report }: BloatRun): number => report.work.totalNs;

/** A row for what is left and one for what it costs, for each policy. */
export function fieldRows(input: ExperimentInput): Row[] {
  const scale = numberParam(input.params, 'scale');
  const label = `field case 1:${scale}`;
  let base: BloatRun | null = null;
  return POLICIES.flatMap(({ name, features, params, frees }) => {
    input.progress(`${label}, ${name}`);
    const { calibration } = input.costs;
    const run = runBloat({ calibration, recipe: 'jvm-like', params: { scale, ...params }, features });
    base ??= run;
    const neededKib = run.endKib - run.emptyKib;
    const rows = [
      rowOf({
        name: `${label}, ${name}: VmPTE`,
        published: frees ? null : (110 * GIB_IN_KIB) / scale,
        modelled: run.endKib,
        unit: 'KiB',
        tolerance: 0.05,
        ...(frees ? { within: [0, 1.05 * neededKib] as const } : {}),
        note: `of the tables ${neededKib} KiB are needed; the posting: 110 GB, of which 1.2 GB would do`,
      }),
    ];
    if (run === base) return rows;
    rows.push(
      rowOf({
        name: `${label}, ${name}: time of memory management more than off`,
        modelled: workNs(run) / workNs(base) - 1,
        unit: 'share',
        within: [-0.05, 0.5],
        note: 'each table is used for one page and given back: the most that freeing can cost',
      }),
    );
    return rows;
  });
}
