/**
 * What madvise and process_madvise are charged: each advice is a path of its own, over the pages that it did something to.
 */
import {
  MADV_COLD,
  MADV_COLLAPSE,
  MADV_DONTNEED,
  MADV_DONTNEED_LOCKED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_NONVOLATILE,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_PT_RECLAIM,
  MADV_REMOVE,
  MADV_VOLATILE,
} from '../abi/mman.ts';
import type { VrangeLock } from '../mm/vrange.ts';
import { FACT, PATH } from '../mm/work.ts';
import { chargeAttributes, chargeVrange } from './attributeCharges.ts';
import type { CallFacts } from './callFacts.ts';
import { chargeSplits, chargeZapOthers, ownZapped } from './zapCharges.ts';

/** The calibration's slow rate for pages begins beyond the largest call that still had the fast one. */
const LARGE_PAGES = 32768;

/** Charges madvise, by its advice. @param vrangeLock  what vrange locks */
export function chargeAdvice(call: CallFacts, advice: number, vrangeLock: VrangeLock): void {
  switch (advice) {
    case MADV_DONTNEED:
    case MADV_DONTNEED_LOCKED:
      chargeDiscard(call);
      return;
    case MADV_FREE:
      call.charge(PATH['madv-free'], 1, call.since(FACT.pagesLazyFreed));
      call.charge(PATH['zap-swap'], 0, call.since(FACT.swapPtesZapped));
      chargeSplits(call);
      return;
    case MADV_COLD:
      call.charge(PATH['madv-cold'], 1, call.since(FACT.pagesDeactivated));
      chargeSplits(call);
      return;
    case MADV_PAGEOUT:
      call.charge(
        PATH['madv-pageout'],
        1,
        call.since(FACT.pagesSwappedOut) - call.since(FACT.zerosSwappedOut),
      );
      call.charge(PATH['madv-pageout-zero'], 0, call.since(FACT.zerosSwappedOut));
      chargeSplits(call);
      return;
    case MADV_REMOVE:
      call.charge(PATH['madv-remove'], 1, call.since(FACT.pagesPunched));
      call.work.visitedRecords(call.since(FACT.pagesPunched));
      return;
    case MADV_COLLAPSE:
      call.charge(PATH['madv-collapse'], 1, call.since(FACT.windowsCollapsed));
      return;
    case MADV_GUARD_INSTALL:
      call.charge(PATH['guard-install'], 1, call.since(FACT.markersSet));
      call.charge(PATH.dontneed, 0, ownZapped(call));
      chargeZapOthers(call);
      return;
    case MADV_GUARD_REMOVE:
      call.charge(PATH['guard-remove'], 1, call.since(FACT.markersZapped));
      return;
    case MADV_VOLATILE:
    case MADV_NONVOLATILE:
      chargeVrange(call, vrangeLock);
      return;
    case MADV_PT_RECLAIM:
      // What it reads and frees charges itself.
      call.charge(PATH.syscall, 1);
      return;
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
      call.charge(PATH.syscall, 1);
      call.charge(PATH['populate-resident'], 0, call.since(FACT.pagesFoundResident));
      return;
    default:
      chargeAttributes(call);
      return;
  }
}

/** Charges MADV_DONTNEED. The slow rate is that of large calls. */
function chargeDiscard(call: CallFacts): void {
  const own = ownZapped(call);
  const some = own > LARGE_PAGES ? PATH['dontneed-large'] : PATH.dontneed;
  call.charge(own === 0 ? PATH['dontneed-empty'] : some, 1, own);
  call.charge(PATH['dontneed-tables'], 0, call.since(FACT.pteTablesFreed));
  chargeZapOthers(call);
}
