/**
 * Rows of seed 001 about what else its thread thought of: mapping the zero page instead of markers (the first version of the patch), markers for 2 MiB at
 * once, and a bit that means written instead of protected. No kernel has any of them, so nothing is measured.
 */
import type { Features } from '../mm/index.ts';
import { numberParam } from '../workloads/index.ts';
import type { ExperimentInput } from './experiment.ts';
import { type Method, type ProtectResult, protectRange } from './protectRange.ts';
import { msText } from './protectRows.ts';
import { type Row, rowOf } from './row.ts';

interface Variant {
  readonly name: string;
  readonly features: Partial<Features>;
  /** Which of the page tables that markers need it has. */
  readonly tables: 'all' | 'upper' | 'none';
  /** Faults of all first writes per fault without userfaultfd, small pages: the least and the most. */
  readonly faults: readonly [number, number];
  readonly note: string;
}

/** KiB of lowest tables for a MiB. */
const TABLE_KIB = 2;

const VARIANTS: readonly Variant[] = [
  {
    name: 'zero pages',
    features: { wpUnpopulated: 'populateZero' },
    tables: 'all',
    faults: [1, 1],
    note: 'the first version of the patch: as many entries as markers, but a store to one faults once; setting one is priced as a marker',
  },
  {
    name: 'markers of 2 MiB',
    features: { wpUnpopulated: 'pmdMarkers' },
    tables: 'upper',
    faults: [2, 2],
    note: 'what the thread hopes for: no tables; with huge pages a store to one becomes a huge page and then small ones',
  },
  {
    name: 'inverted bit',
    features: { wpAsync: 'inverted' },
    tables: 'none',
    faults: [1, 1],
    note: 'the other idea of the thread: the bit means written, so nothing has to be marked, and a first store faults as without userfaultfd',
  },
];

function variantRows(input: ExperimentInput, huge: boolean): Row[] {
  const mib = numberParam(input.params, 'later');
  const size = mib % 1024 === 0 ? `${mib / 1024} GiB` : `${mib} MiB`;
  const { calibration } = input.costs;
  const run = (method: Method, features: Partial<Features>): ProtectResult =>
    protectRange({ calibration, method, bytes: mib * 2 ** 20, huge, features, writesOfFour: 4 });
  const markers = run('wp-unpopulated', {});
  const plain = run('no-uffd', {});
  return VARIANTS.flatMap(({ name, features, tables, faults, note }) => {
    const variant = run('wp-unpopulated', features);
    const label = `${size}, ${huge ? 'huge' : 'small'} pages, ${name}`;
    const bounds = ([least, most]: readonly [number, number], of: number): readonly [number, number] => [
      least * of,
      most * of,
    ];
    const all = markers.tableBytes / 1024;
    const kib = { all, upper: all - mib * TABLE_KIB, none: 0 };
    const times = `${note}; protecting ${msText(variant.protectNs)}, markers ${msText(markers.protectNs)}`;
    return [
      rowOf({
        name: `${label}: page tables`,
        modelled: variant.tableBytes / 1024,
        unit: 'KiB',
        within: [kib[tables], kib[tables]],
        note: times,
      }),
      rowOf({
        name: `${label}: protecting, markers / this`,
        modelled: markers.protectNs / variant.protectNs,
        unit: 'times',
        within: [1, Number.POSITIVE_INFINITY],
        note: times,
      }),
      rowOf({
        name: `${label}: minor faults of the first writes`,
        modelled: variant.writeFaults,
        unit: 'faults',
        within: huge ? [plain.writeFaults, markers.writeFaults] : bounds(faults, plain.writeFaults),
        note: times,
      }),
      rowOf({
        name: `${label}: first writes, this / no-uffd`,
        modelled: variant.writeNs / plain.writeNs,
        unit: 'times',
        within: [1, (1.05 * markers.writeNs) / plain.writeNs],
        note: times,
      }),
    ];
  });
}

/** All rows about the variants. */
export function protectVariantRows(input: ExperimentInput): Row[] {
  input.progress('variants');
  return [...variantRows(input, false), ...variantRows(input, true)];
}
