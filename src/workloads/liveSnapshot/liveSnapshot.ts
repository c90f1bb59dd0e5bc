/**
 * live-snapshot: saves the memory of a guest while it goes on writing, and tells whether that is what memory was.
 *
 * What counts is exact: pages that were lost, messages, faults, markers, tables. How long it takes is priced by the calibration.
 */

import type { Prng } from '../../base/prng.ts';
import { PAGE_SIZE } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import type { ThreadedWorkload } from '../threaded.ts';
import { numberParam, type Param, type Params } from '../workload.ts';
import { figuresOfTaking, refusedFigures, restoreFigures } from './figures.ts';
import { Guest } from './guest.ts';
import { BACKINGS, type Backing, GuestMemory, type MemoryShape } from './guestMemory.ts';
import { restoreLazily } from './lazyRestore.ts';
import { METHOD, METHODS, type MethodName } from './method.ts';
import { MISS_REASONS, type MissedPage } from './missed.ts';
import { takeAtOnce } from './pointInTime.ts';
import { takeByCopying } from './precopy.ts';
import type { Finding } from './saver.ts';
import { countsOf, MethodRefused, Taking, type TakingOptions } from './taking.ts';

const PARAMS: Readonly<Record<string, Param>> = {
  method: {
    default: 'wp-unpopulated',
    unit: '',
    text: 'how writes are noticed; soft-dirty is unmeasured',
    choices: METHODS,
  },
  use: {
    default: 'snapshot',
    unit: '',
    text: 'a snapshot of one moment, or copies until little is left (wp-async and soft-dirty always do that)',
    choices: ['snapshot', 'precopy'],
  },
  backing: { default: 'anon', unit: '', text: 'what the memory is made of', choices: BACKINGS },
  hugepage: { default: 'off', unit: '', text: 'MADV_HUGEPAGE on all of it', choices: ['off', 'on'] },
  size: { default: 2 ** 28, unit: 'bytes', text: 'memory of the guest', min: 2 ** 21, max: 2 ** 42 },
  touched: { default: 10, unit: '%', text: 'how much of it was touched before', max: 100 },
  read: { default: 10, unit: '%', text: 'how much of that was only read', max: 100 },
  cluster: { default: 512, unit: 'pages', text: 'how many pages in a row were touched', min: 1 },
  writers: { default: 2, unit: 'threads', text: 'threads that write', max: 64 },
  rate: { default: 100_000, unit: 'stores', text: 'stores a second of each writer', min: 1 },
  anywhere: { default: 30, unit: '%', text: 'how many of these go anywhere, mostly to holes', max: 100 },
  balloon: { default: 0, unit: 'pages', text: 'pages a second that a balloon gives back, and takes again' },
  find: {
    default: 'auto',
    unit: '',
    text: 'how pages to save are found: PAGEMAP_SCAN, or by reading them all; auto scans anonymous memory',
    choices: ['auto', 'scan', 'read'],
  },
  batch: { default: 512, unit: 'pages', text: 'pages saved, and given free, at a time', min: 1 },
  rounds: {
    default: 8,
    unit: 'rounds',
    text: 'precopy: rounds before the guest is stopped, at most',
    min: 1,
  },
  threshold: { default: 64, unit: 'pages', text: 'precopy: pages left that stop the guest' },
  names: { default: 5, unit: 'pages', text: 'pages that were lost and are named, at most' },
  restore: { default: 0, unit: 'reads', text: 'reads of a guest restored from the image page by page' },
};

const shapeOf = (params: Params): MemoryShape => ({
  nrPages: Math.floor(numberParam(params, 'size') / PAGE_SIZE),
  backing: params['backing'] as Backing,
  hugepage: params['hugepage'] === 'on',
});

function optionsOf(params: Params): TakingOptions {
  const auto: Finding = params['backing'] === 'anon' ? 'scan' : 'read';
  return {
    method: params['method'] as MethodName,
    finding: params['find'] === 'auto' ? auto : (params['find'] as Finding),
    batch: numberParam(params, 'batch'),
    rounds: numberParam(params, 'rounds'),
    threshold: numberParam(params, 'threshold'),
  };
}

/** Tells whether copies are made until little is left. */
const isRepeated = (params: Params): boolean => {
  const { by } = METHOD[params['method'] as MethodName];
  return params['use'] === 'precopy' || by === 'scan' || by === 'soft-dirty';
};

/** The guest runs so long before anybody saves it, nanoseconds. */
const WARM_UP_NS = 1_000_000;

function* run(t: Thread, params: Params, prng: Prng): Running<Readonly<Record<string, number>>> {
  const shape = shapeOf(params);
  const memory = yield* GuestMemory.map(t, shape);
  const load = {
    writers: numberParam(params, 'writers'),
    touched: numberParam(params, 'touched'),
    onlyRead: numberParam(params, 'read'),
    cluster: numberParam(params, 'cluster'),
    rate: numberParam(params, 'rate'),
    anywhere: numberParam(params, 'anywhere'),
    balloon: numberParam(params, 'balloon'),
  };
  const guest = new Guest(t.simulation, { memory, load, prng });
  yield* guest.populate(t);
  const taking = new Taking(t, guest, optionsOf(params));
  yield* guest.start(t);
  yield* t.sleep(WARM_UP_NS);
  const before = countsOf(taking.mm, guest);
  guest.isTimed = true;
  const refusal = yield* take(t, taking, isRepeated(params));
  guest.isTimed = false;
  const after = countsOf(taking.mm, guest);
  yield* guest.end(t);
  guest.look(taking.mm);
  if (refusal !== null) {
    t.simulation.remark(`refused: ${refusal}`);
    return refusedFigures();
  }
  if (taking.options.method === 'soft-dirty') t.simulation.remark(UNMEASURED);
  const missed = taking.watch.missed(taking.memory, taking.saver.image);
  for (const line of missedText(missed, numberParam(params, 'names'))) t.simulation.remark(line);
  const figures = figuresOfTaking(taking, { before, after, missed });
  const nrReads = numberParam(params, 'restore');
  if (nrReads === 0) return figures;
  yield* t.munmap(memory.at, memory.len);
  const restored = yield* restoreLazily(t, { image: taking.saver.image, shape, nrReads, prng });
  return { ...figures, ...restoreFigures(restored) };
}

const UNMEASURED =
  'unmeasured: soft-dirty bits are modelled from the text of the kernel; the one of the calibration keeps none';

/** Takes the snapshot; returns why the kernel refused it, or null. */
function* take(t: Thread, taking: Taking, repeated: boolean): Running<string | null> {
  try {
    yield* repeated ? takeByCopying(t, taking) : takeAtOnce(t, taking);
    return null;
  } catch (error) {
    if (error instanceof MethodRefused) return error.message;
    throw error;
  }
}

function missedText(missed: readonly MissedPage[], most: number): string[] {
  const lines = missed
    .slice(0, most)
    .map(
      ({ page, why, held, saved }) =>
        `lost page ${page}: ${MISS_REASONS[why]}; memory held ${held}, the snapshot holds ${saved}`,
    );
  const rest = missed.length - lines.length;
  return rest > 0 ? [...lines, `and ${rest} more pages are lost`] : lines;
}

/** The workload `live-snapshot`. */
export const LIVE_SNAPSHOT: ThreadedWorkload = {
  name: 'live-snapshot',
  title: 'the memory of a guest is saved while it goes on writing',
  text: 'A guest with holes in its memory, threads that keep writing, and somebody who saves it as it was at one moment, or copies it until little is left. The image is compared with memory, page by page; pages that a method lost are named, with the reason. Compare with method=fork,wp-default,pre-read,populate-read,wp-unpopulated,wp-async.',
  machine: { contents: 'fingerprint' },
  params: PARAMS,
  main: run,
};
