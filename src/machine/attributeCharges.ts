/**
 * What a call is charged for changing attributes of vmas: mprotect, locks, names, advice that sets flags; and vrange, which is one of them where it locks as they do.
 */
import type { VrangeLock } from '../mm/vrange.ts';
import { FACT, PATH } from '../mm/work.ts';
import type { CallFacts } from './callFacts.ts';
import { chargeSplits } from './zapCharges.ts';

/** Returns how many entries got other access, or lost what they had noted. */
export const reprotected = (call: CallFacts): number =>
  call.since(FACT.ptesReprotected) + call.since(FACT.pmdsReprotected);

/** Charges a change of attributes: the call, its splits and merges. */
export function chargeAttributes(call: CallFacts): void {
  call.charge(PATH['vma-attributes'], 1);
  call.charge(PATH.split, 0, call.since(FACT.vmasSplit));
  call.charge(PATH['split-written'], 0, call.since(FACT.writtenVmasSplit));
  call.charge(PATH.merge, 0, call.since(FACT.vmasMerged));
  call.charge(PATH['merge-written'], 0, call.since(FACT.writtenVmasMerged));
  call.charge(PATH.border, 0, call.since(FACT.bordersMoved));
}

/** Charges mprotect. @param isWritable  to write access */
export function chargeProtect(call: CallFacts, isWritable: boolean): void {
  chargeAttributes(call);
  const entries = reprotected(call);
  if (entries > 0)
    call.charge(isWritable ? PATH['mprotect-writable'] : PATH['mprotect-read-only'], 1, entries);
  chargeSplits(call);
}

/** Charges a lock or an unlock. */
export function chargeLock(call: CallFacts): void {
  chargeAttributes(call);
  call.charge(PATH['mlock-resident'], 0, call.since(FACT.pagesLocked));
  call.charge(PATH.munlock, 0, call.since(FACT.pagesUnlocked));
}

/** Charges vrange by what it locks; entries are looked at only where something was purged. */
export function chargeVrange(call: CallFacts, vrangeLock: VrangeLock): void {
  if (vrangeLock === 'write') chargeAttributes(call);
  else call.charge(vrangeLock === 'read' ? PATH['vrange-read'] : PATH.vrange, 1);
  const taken = call.since(FACT.markersZapped);
  call.charge(PATH['guard-remove'], 0, taken);
  call.charge(PATH.mincore, 0, call.since(FACT.vrangePagesWalked) - taken);
}
