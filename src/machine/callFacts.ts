/**
 * What one system call has caused, as far as it can be charged for: facts since it began, and charges for them.
 *
 * Charges by family: attributeCharges.ts, adviceCharges.ts, moveCharges.ts, zapCharges.ts; callCharges.ts knows which call is charged how.
 *
 * Cost    one pass over the facts that a call can be charged for when it begins
 */
import { FACT, type Fact, type Path, type Work } from '../mm/work.ts';
import type { MemoryOp } from './memoryCalls.ts';

/** Numbers of the facts that a change of attributes is charged for: what mprotect, locks, names and their like do to vmas and entries. */
const OF_ATTRIBUTES = Uint8Array.of(
  FACT.vmasSplit,
  FACT.writtenVmasSplit,
  FACT.vmasMerged,
  FACT.writtenVmasMerged,
  FACT.bordersMoved,
  FACT.ptesReprotected,
  FACT.pmdsReprotected,
  FACT.pmdsSplit,
  FACT.foliosSplit,
  FACT.pagesLocked,
  FACT.pagesUnlocked,
  FACT.pagesAskedForSharing,
  FACT.indexesRewritten,
  FACT.anonVmasRewritten,
);
/** Numbers of the facts that vrange is charged for. */
const OF_VRANGES = Uint8Array.of(...OF_ATTRIBUTES, FACT.markersZapped, FACT.vrangePagesWalked);
/** Numbers of the facts that any call is charged for. */
const OF_CALLS = Uint8Array.of(
  ...OF_ATTRIBUTES,
  FACT.vmasCreated,
  FACT.vmasGrown,
  FACT.vmasRemoved,
  FACT.writtenVmasRemoved,
  FACT.vmasMoved,
  FACT.vmasCopied,
  FACT.writtenVmasCopied,
  FACT.ptesCopied,
  FACT.pmdsCopied,
  FACT.anonPtesZapped,
  FACT.sharedPtesZapped,
  FACT.hugePartsZapped,
  FACT.filePtesZapped,
  FACT.zeroPtesZapped,
  FACT.swapPtesZapped,
  FACT.pmdsZapped,
  FACT.hugePagesFreed,
  FACT.pteTablesFreed,
  FACT.ptesMoved,
  FACT.swapPtesMoved,
  FACT.pmdsMoved,
  FACT.tablesMoved,
  FACT.markersSet,
  FACT.markersZapped,
  FACT.pagesLazyFreed,
  FACT.pagesDeactivated,
  FACT.pagesSwappedOut,
  FACT.zerosSwappedOut,
  FACT.pagesPunched,
  FACT.windowsCollapsed,
  FACT.pagesFoundResident,
  FACT.pagesCopiedByKernel,
  FACT.vrangePagesWalked,
  FACT.ptCopiedEmptyByFork,
  FACT.pmdPagesCopiedEmptyByFork,
);

/** Tells whether a call changes attributes of vmas and nothing else. */
const isAboutAttributes = ({ call }: MemoryOp): boolean =>
  call === 'mprotect' || call === 'mlock' || call === 'munlock' || call === 'set_vma_name';

/** Returns the numbers of the facts that a call, or the fork or exit that is none, is charged for. */
function factsFor(op: MemoryOp | null): Uint8Array {
  if (op === null) return OF_CALLS;
  if (op.call === 'vrange') return OF_VRANGES;
  return isAboutAttributes(op) ? OF_ATTRIBUTES : OF_CALLS;
}

/** The facts of a call that was begun. */
export class CallFacts {
  readonly work: Work;
  readonly #before: Float64Array;

  /** @param work  the counters that are read and charged */
  constructor(work: Work) {
    this.work = work;
    this.#before = new Float64Array(work.facts.length);
  }

  /** A call begins. @param op  which; a fork and an exit are none */
  begin(op: MemoryOp | null): void {
    const { facts } = this.work;
    const before = this.#before;
    const list = factsFor(op);
    for (let i = 0; i < list.length; i++) {
      const fact = list[i] as number;
      before[fact] = facts[fact] as number;
    }
  }
  /** The call stops for others, or goes on: from counts when it began to counts of what it did, and back. */
  turn(): void {
    const { facts } = this.work;
    for (let fact = 0; fact < facts.length; fact++)
      this.#before[fact] = (facts[fact] as number) - (this.#before[fact] as number);
  }

  /** Returns how often `fact` was counted since the call began; one that it can be charged for. */
  since(fact: Fact): number {
    return (this.work.facts[fact] as number) - (this.#before[fact] as number);
  }
  /** Tells whether nothing was done that `op` can be charged for. */
  isIdle(op: MemoryOp): boolean {
    return factsFor(op).every((fact) => this.since(fact as Fact) === 0);
  }
  /** Charges `path`, unless it was not taken. @param pages  or vmas, tables, windows: what the path is about */
  charge(path: Path, calls: number, pages = 0): void {
    if (calls !== 0 || pages !== 0) this.work.charge(path, calls, pages);
  }
}
