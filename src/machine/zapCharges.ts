/**
 * What a call is charged for entries that it took out of tables, and for unmapping. Pages of the program's own, which are freed with their entry, have a price by
 * call; others one by what they are.
 */
import { FACT, PATH, type Path } from '../mm/work.ts';
import type { CallFacts } from './callFacts.ts';

/** An unmapping that takes whole vmas, that trims one, that leaves both ends of one. */
const MUNMAP_BY_SPLITS = [PATH['munmap-whole'], PATH['munmap-trim'], PATH['munmap-split']] as const;

/** Charges an unmapping: by what it left of vmas, and by what it took out of tables. */
export function chargeUnmapping(call: CallFacts): void {
  const removed = call.since(FACT.vmasRemoved);
  if (removed === 0) {
    call.charge(PATH.syscall, 1);
    return;
  }
  const splits = call.since(FACT.vmasSplit);
  call.charge(MUNMAP_BY_SPLITS[Math.min(splits, 2)] as Path, 1);
  call.charge(PATH['split-written'], 0, call.since(FACT.writtenVmasSplit));
  chargeMoreRemoved(call, removed - 1);
  chargeZapMapped(call);
}

/** Charges `more` vmas beyond the first of an unmapping; the first is taken for a written one if there are any. */
export function chargeMoreRemoved(call: CallFacts, more: number): void {
  const written = Math.min(more, Math.max(0, call.since(FACT.writtenVmasRemoved) - 1));
  call.charge(PATH['munmap-more-written-vmas'], 0, written);
  call.charge(PATH['munmap-more-vmas'], 0, more - written);
}

/** Charges the pages and tables of an unmapping. */
export function chargeZapMapped(call: CallFacts): void {
  const own = ownZapped(call);
  if (own > 0 || call.since(FACT.pteTablesFreed) > 0) call.charge(PATH['munmap-pages'], 1, own);
  chargeZapOthers(call);
}

/** Returns how many anonymous pages were unmapped and freed. */
export const ownZapped = (call: CallFacts): number =>
  call.since(FACT.anonPtesZapped) - call.since(FACT.sharedPtesZapped);

/** Charges whatever else than pages of one's own was taken out of tables. */
export function chargeZapOthers(call: CallFacts): void {
  const parts = call.since(FACT.hugePartsZapped);
  call.charge(PATH['zap-shared'], 0, call.since(FACT.sharedPtesZapped) - parts);
  call.charge(PATH['zap-huge-parts'], 0, parts);
  call.charge(PATH['zap-file'], 0, call.since(FACT.filePtesZapped));
  call.work.visitedRecords(call.since(FACT.filePtesZapped));
  call.charge(PATH['zap-zero'], 0, call.since(FACT.zeroPtesZapped));
  call.charge(PATH['zap-swap'], 0, call.since(FACT.swapPtesZapped));
  const mappings = call.since(FACT.pmdsZapped);
  const freed = Math.min(mappings, call.since(FACT.hugePagesFreed));
  call.charge(PATH['zap-huge'], 0, mappings - freed);
  call.charge(PATH['zap-huge-freed'], 0, freed);
  chargeSplits(call);
}

/** Charges huge pages and huge mappings that were broken up. */
export function chargeSplits(call: CallFacts): void {
  // Splitting a folio splits what maps it; that is in its price.
  const folios = call.since(FACT.foliosSplit);
  call.charge(PATH['folio-split'], 0, folios);
  call.charge(PATH['pmd-split'], 0, Math.max(0, call.since(FACT.pmdsSplit) - folios));
}
