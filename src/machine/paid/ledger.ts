/**
 * What the operation that is being carried out costs so far: each charge is priced when it is made, and put to the phase in which it is paid.
 *
 * Operations are carried out one at a time, whole, at the moment at which their lock is had; what they cost then takes its time. So one ledger serves
 * a machine.
 *
 * Invariant   [ledger-sum] the phases add up to the charges, priced as cost.ts prices them, and the interrupts of other CPUs
 * Cost        an addition a charge
 */
import { type Path, type PathName, WORK_NAMES, type Work } from '../../mm/work.ts';
import type { CostTable } from '../cost.ts';
import { type Phase, phaseOf, UNMAPPING } from './lockPlan.ts';

/** In their order in the sums. */
const PHASES: readonly Phase[] = ['before', 'main', 'anonVma', 'late', 'populate'];

const LATE = PHASES.indexOf('late');

/** Prices the charges of one kernel as they are made. */
export class Ledger {
  readonly #costs: CostTable;
  readonly #phaseNs = new Float64Array(PHASES.length);
  readonly #phaseOf: Uint8Array;
  readonly #callNs: Float64Array;
  readonly #pageNs: Float64Array;
  /** Of each call, so much is late. */
  readonly #lateNs: Float64Array;
  /** Interrupts of other CPUs that were waited for. */
  shootdowns = 0;

  /** Listens to the charges of `work` from now on. */
  constructor(work: Work, costs: CostTable) {
    this.#costs = costs;
    const unknown = { callNs: Number.NaN, pageNs: Number.NaN };
    const prices = WORK_NAMES.paths.map((path) => (costs.isPriced(path) ? costs.priceOf(path) : unknown));
    this.#callNs = Float64Array.from(prices, ({ callNs }) => callNs);
    this.#pageNs = Float64Array.from(prices, ({ pageNs }) => pageNs);
    const walkNs = costs.priceOf('dontneed-empty').callNs - costs.priceOf('syscall').callNs;
    this.#lateNs = Float64Array.from(WORK_NAMES.paths, (path) => (UNMAPPING.includes(path) ? walkNs : 0));
    this.#phaseOf = Uint8Array.from(WORK_NAMES.paths, (path) => PHASES.indexOf(phaseOf(path)));
    work.onCharge = (path, calls, pages) => this.#charge(path, calls, pages);
  }

  #charge(path: Path, calls: number, pages: number): void {
    const phase = this.#phaseOf[path] as number;
    const ns = calls * (this.#callNs[path] as number) + pages * (this.#pageNs[path] as number);
    // Says which figure is missing.
    if (Number.isNaN(ns)) this.#costs.priceOf(WORK_NAMES.paths[path] as PathName);
    const lateNs = Math.min(ns, calls * (this.#lateNs[path] as number));
    this.#phaseNs[phase] = (this.#phaseNs[phase] as number) + ns - lateNs;
    if (lateNs > 0) this.#phaseNs[LATE] = (this.#phaseNs[LATE] as number) + lateNs;
  }

  /** An operation begins. */
  begin(): void {
    for (let i = 0; i < PHASES.length; i++) this.#phaseNs[i] = 0;
    this.shootdowns = 0;
  }
  /** Returns what is to be paid in `phase`, nanoseconds. */
  ns(phase: Phase): number {
    return this.#phaseNs[PHASES.indexOf(phase)] as number;
  }
  /** Returns what is to be paid in all phases, without interrupts. */
  get totalNs(): number {
    let sum = 0;
    for (let i = 0; i < PHASES.length; i++) sum += this.#phaseNs[i] as number;
    return sum;
  }
}
