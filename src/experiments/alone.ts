/**
 * Runs a program of one experiment in virtual time: one process on one CPU, its first thread the program. Times are what its charges come to.
 *
 * Only first words of pages are kept: an experiment marks each page and looks at the mark.
 */

import { must } from '../base/assert.ts';
import {
  type Calibration,
  calibrationFigures,
  type Running,
  Simulation,
  type SimulationOptions,
  type Thread,
} from '../machine/index.ts';
import { type Features, LINUX_6_18, type Mm, verifyMm } from '../mm/index.ts';

/** What a program is run with. */
export interface AloneOptions {
  readonly calibration: Calibration;
  readonly features?: Partial<Features>;
  readonly config?: SimulationOptions['config'];
  /** CPUs, for programs that start threads; 1 unless told. */
  readonly cpus?: number;
}

/** Runs `program` and returns what it returns. Throws what `Simulation.run` throws, and ModelBug when the model is inconsistent afterwards. */
export function runAlone<T>(options: AloneOptions, program: (t: Thread) => Running<T>): T {
  const { calibration, features = {}, config = {}, cpus = 1 } = options;
  const simulation = new Simulation({
    calibration,
    features: { ...LINUX_6_18, ...features },
    config,
    cpus,
    contents: 'fingerprint',
    jitter: 0,
  });
  let result: { readonly value: T } | null = null;
  simulation.start('main', function* (t) {
    result = { value: yield* program(t) };
    verifyMm(memoryOf(t));
  });
  simulation.run();
  return must<{ readonly value: T }>(result, '[experiment] a program that ends has a result').value;
}

/** The address space of a thread that runs. */
export const memoryOf = (t: Thread): Mm => must(t.mm, '[experiment] a thread that runs has memory');

/** Runs `part` and returns the nanoseconds that it took. */
export function* timed(t: Thread, part: Running<unknown>): Running<number> {
  yield* t.owe(0);
  const startNs = t.nowNs;
  yield* part;
  yield* t.owe(0);
  return t.nowNs - startNs;
}

/**
 * What a program's own work on pages costs, nanoseconds a page: nobody has measured it apart, and copying is what comes nearest.
 *
 * Updating references reads and writes every line of a page, as copying a page does. Gathering objects reads lines of two pages and
 * writes one.
 */
export function ownWorkOf(calibration: Calibration): {
  readonly updateNs: number;
  readonly gatherNs: number;
} {
  const copyNs = calibrationFigures(calibration).figure('copy_4k_cold');
  return { updateNs: copyNs, gatherNs: 2 * copyNs };
}
