/**
 * What mremap is charged: moves of vmas, empty, entry by entry or by tables; growing and shrinking; moves of pages without vmas (seed 000).
 */
import { MREMAP_DONTUNMAP, MREMAP_ONLYPAGES } from '../abi/mman.ts';
import { FACT, PATH } from '../mm/work.ts';
import type { CallFacts } from './callFacts.ts';
import type { MemoryOp } from './memoryCalls.ts';
import {
  chargeMoreRemoved,
  chargeSplits,
  chargeZapMapped,
  chargeZapOthers,
  ownZapped,
} from './zapCharges.ts';

/** Charges mremap: a move, more room, less room, or nothing done. */
export function chargeRemap(call: CallFacts, op: Extract<MemoryOp, { call: 'mremap' }>): void {
  const moved = call.since(FACT.vmasMoved);
  if (op.flags & MREMAP_ONLYPAGES) moveOnlyPages(call, op);
  else if (moved > 0) move(call, moved, (op.flags & MREMAP_DONTUNMAP) !== 0);
  else if (call.isIdle(op)) call.charge(PATH.syscall, 1);
  else if (call.since(FACT.vmasRemoved) > 0) {
    call.charge(PATH['mremap-shrink'], 1);
    call.charge(PATH['split-written'], 0, call.since(FACT.writtenVmasSplit));
    chargeMoreRemoved(call, call.since(FACT.vmasRemoved) - 1);
    chargeZapMapped(call);
  } else call.charge(PATH['mremap-grow'], 1);
}

/** Moves of pages without vmas: a huge page that moves as a whole is one. */
function moveOnlyPages(call: CallFacts, op: MemoryOp): void {
  if (call.isIdle(op)) {
    call.charge(PATH.syscall, 1);
    return;
  }
  // As UFFDIO_MOVE: swapped entries and huge pages have prices of their own.
  const swapped = call.since(FACT.swapPtesMoved);
  call.charge(PATH['mremap-only-pages'], 1, call.since(FACT.ptesMoved) - swapped);
  call.charge(PATH['uffd-move-swapped'], 0, swapped);
  call.charge(PATH['uffd-move-huge'], 0, call.since(FACT.pmdsMoved));
  chargeSplits(call);
}

/** Moves of `moved` vmas, and what was unmapped to make room for them. */
function move(call: CallFacts, moved: number, isKept: boolean): void {
  const entries = call.since(FACT.ptesMoved);
  const tables = call.since(FACT.tablesMoved) + call.since(FACT.pmdsMoved);
  if (isKept) call.charge(PATH['mremap-dontunmap'], moved);
  else if (tables > 0) call.charge(PATH['mremap-move-tables'], moved);
  else call.charge(entries > 0 ? PATH['mremap-move-entries'] : PATH['mremap-move-empty'], moved);
  call.charge(PATH['mremap-move-tables'], 0, tables);
  call.charge(PATH['mremap-move-entries'], 0, entries);
  call.charge(PATH['mremap-split'], 0, call.since(FACT.vmasSplit));
  const cleared = call.since(FACT.vmasRemoved) - (isKept ? 0 : moved);
  if (cleared > 0) {
    call.charge(PATH['munmap-whole'], 1);
    chargeMoreRemoved(call, cleared - 1);
  }
  const own = ownZapped(call);
  if (own > 0) call.charge(PATH['munmap-pages'], 1, own);
  chargeZapOthers(call);
}
