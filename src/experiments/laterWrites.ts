/**
 * Rows of seed 001 about what protecting costs later: first writes to a range that was protected in each way, and from which share of written pages
 * on filling in before would have been cheaper than markers.
 */
import { numberParam } from '../workloads/index.ts';
import type { ExperimentInput } from './experiment.ts';
import { LATER_BYTES, MEASURED_CROSSING, measuredProtect } from './protectFigures.ts';
import { type Method, type ProtectResult, protectRange } from './protectRange.ts';
import { msText } from './protectRows.ts';
import { type Row, rowOf } from './row.ts';

const PREPARED: readonly Method[] = ['pre-read', 'populate-read', 'wp-unpopulated'];

/** Preparing and writing together. */
const totalNs = ({ prefaultNs, protectNs, writeNs }: ProtectResult): number =>
  prefaultNs + protectNs + writeNs;
const writeNs = (result: ProtectResult): number => result.writeNs;

/** A run of the model and what stands beside it. */
interface Pair {
  readonly modelled: ProtectResult;
  readonly measured: ProtectResult | null;
}
type Runs = (method: Method, writesOfFour?: number) => Pair;

/** Runs each thing once. */
function runsOf({ params, costs, kernel }: ExperimentInput, huge: boolean): Runs {
  const bytes = numberParam(params, 'later') * 2 ** 20;
  const known = new Map<string, Pair>();
  return (method, writesOfFour = 4) => {
    const key = `${method} ${writesOfFour}`;
    const asked = { method, huge, bytes, writesOfFour };
    const pair = known.get(key) ?? {
      modelled: protectRange({ calibration: costs.calibration, ...asked }),
      measured: kernel === null ? measuredProtect(asked) : kernel.protect(asked),
    };
    known.set(key, pair);
    return pair;
  };
}

function quotient(
  of: (result: ProtectResult) => number,
  one: Pair,
  other: Pair,
): { modelled: number; measured: number | null } {
  const { measured } = one;
  const base = other.measured;
  return {
    modelled: of(one.modelled) / of(other.modelled),
    measured: measured === null || base === null ? null : of(measured) / of(base),
  };
}

function writeRows(name: string, runs: Runs, pages: number): Row[] {
  const plain = runs('no-uffd');
  const text = (pair: Pair, which: 'modelled' | 'measured'): string => {
    const result = pair[which];
    return result === null
      ? ''
      : `, ${which} ${msText(totalNs(result))}, ${msText(result.writeNs)} of it writes`;
  };
  return ([...PREPARED, 'no-uffd'] as const).flatMap((method) => {
    const run = runs(method);
    const faults = rowOf({
      name: `${name}, ${method}: minor faults of ${pages} first writes`,
      measured: run.measured?.writeFaults ?? null,
      modelled: run.modelled.writeFaults,
      unit: 'faults',
      note: 'a store to a marker faults twice: a page for the marker, then its protection',
    });
    if (method === 'no-uffd') return [faults];
    const note = `${method}${text(run, 'modelled')}${text(run, 'measured')}; no-uffd${text(plain, 'modelled')}${text(plain, 'measured')}`;
    return [
      faults,
      rowOf({
        name: `${name}: first writes, ${method} / no-uffd`,
        ...quotient(writeNs, run, plain),
        unit: 'times',
        tolerance: 0.25,
        note,
      }),
      rowOf({
        name: `${name}: with preparing, ${method} / no-uffd`,
        ...quotient(totalNs, run, plain),
        unit: 'times',
        tolerance: 0.25,
        note,
      }),
    ];
  });
}

function shareRows(name: string, runs: Runs): Row[] {
  return [1, 2, 3, 4].map((ofFour) =>
    rowOf({
      name: `${name}, ${ofFour * 25} % of the pages written: populate-read / wp-unpopulated`,
      ...quotient(totalNs, runs('populate-read', ofFour), runs('wp-unpopulated', ofFour)),
      unit: 'times',
      tolerance: 0.25,
      note:
        ofFour === 4
          ? 'above 1 markers are cheaper'
          : 'above 1 markers are cheaper; measured: preparing, and this share of the time that writing all pages takes',
    }),
  );
}

/** Where the lines cost = preparing + share of pages written × writing all of them cross. */
function crossingOf(populate: ProtectResult, markers: ProtectResult): number {
  const ahead = totalNs(populate) - populate.writeNs - (totalNs(markers) - markers.writeNs);
  return ahead / (markers.writeNs - populate.writeNs);
}

function crossingRow(name: string, input: ExperimentInput, runs: Runs): Row {
  const populate = runs('populate-read');
  const markers = runs('wp-unpopulated');
  const isMeasuredSize = numberParam(input.params, 'later') * 2 ** 20 === LATER_BYTES;
  const onKernel =
    populate.measured === null || markers.measured === null
      ? null
      : crossingOf(populate.measured, markers.measured);
  const recorded = isMeasuredSize ? MEASURED_CROSSING : null;
  return rowOf({
    name: `${name}: share of the pages written from which populate-read is cheaper than markers`,
    measured: input.kernel === null ? recorded : onKernel,
    modelled: crossingOf(populate.modelled, markers.modelled),
    unit: 'share',
    tolerance: 0.25,
    note: 'above 100 %: never. The quotient of two small differences, so what else a machine does moves it far: measured from the fastest runs; the medians of the same three runs give 60 %, for the runs with markers were disturbed most',
  });
}

/** All rows about later writes. */
export function laterRows(input: ExperimentInput): Row[] {
  const mib = numberParam(input.params, 'later');
  return [false, true].flatMap((huge) => {
    const name = `${mib === 1024 ? '1 GiB' : `${mib} MiB`}, ${huge ? 'huge' : 'small'} pages`;
    input.progress(`later writes, ${name}`);
    const runs = runsOf(input, huge);
    const rows = writeRows(name, runs, (mib * 2 ** 20) / 4096);
    return huge ? rows : [...rows, ...shareRows(name, runs), crossingRow(name, input, runs)];
  });
}
