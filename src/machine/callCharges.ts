/**
 * What a system call is charged: the priced paths that it took, read off the facts that it caused.
 *
 * Facts are counted where things are done, deep in mm/; which path a call took is a matter of the whole call: a munmap that splits and one that
 * takes a whole vma are measured calls of their own. So the facts are looked at before and after. Faults charge themselves (mm/work.ts); the
 * pages that a call populates are faults.
 *
 *   mmap over an old mapping     a munmap and an mmap
 *   mprotect, advice, locks      one change of attributes, its splits and merges, its pages
 *   mremap                       a move of each vma: empty, entry by entry, or by tables; and its splits
 *   vrange                       a system call, one that reads mmap_lock, or a change of attributes; and entries that it looks at
 *   refused, nothing done        the system call alone
 *
 * Which call is charged how stands here; families of calls have files of their own: attributeCharges.ts, adviceCharges.ts, moveCharges.ts, zapCharges.ts.
 *
 * Cost    one pass over the facts that a call can be charged for
 */
import { MAP_FIXED, MAP_FIXED_NOREPLACE, PROT_WRITE } from '../abi/mman.ts';
import { PAGE_SIZE } from '../base/units.ts';
import type { VrangeLock } from '../mm/vrange.ts';
import { FACT, PATH, type Work } from '../mm/work.ts';
import { chargeAdvice } from './adviceCharges.ts';
import {
  chargeAttributes,
  chargeLock,
  chargeProtect,
  chargeVrange,
  reprotected,
} from './attributeCharges.ts';
import { CallFacts } from './callFacts.ts';
import type { MemoryOp } from './memoryCalls.ts';
import { chargeRemap } from './moveCharges.ts';
import { chargeSplits, chargeUnmapping, chargeZapOthers, ownZapped } from './zapCharges.ts';

/** Charges the calls of one kernel. */
export class CallCharges {
  readonly #call: CallFacts;
  readonly #vrangeLock: VrangeLock;

  /** @param work  the counters that are read and charged; @param vrangeLock  what vrange locks */
  constructor(work: Work, vrangeLock: VrangeLock = 'none') {
    this.#call = new CallFacts(work);
    this.#vrangeLock = vrangeLock;
  }

  /** A call begins. @param op  which; a fork and an exit are none */
  begin(op: MemoryOp | null): void {
    this.#call.begin(op);
  }

  /** The call that began is over. @param isRefused  it returned an error */
  end(op: MemoryOp, isRefused: boolean): void {
    const call = this.#call;
    if (isRefused && call.isIdle(op)) call.charge(PATH.syscall, 1);
    else chargeCall(call, op, this.#vrangeLock);
    call.charge(PATH['sharing-check'], 0, call.since(FACT.pagesAskedForSharing));
    // A page that gets both a new index and a new anon_vma is visited once.
    const rewritten = Math.max(call.since(FACT.indexesRewritten), call.since(FACT.anonVmasRewritten));
    call.charge(PATH.rehome, 0, rewritten);
    call.work.settle();
  }

  /** The call that began has to wait, and others are made meanwhile: what it has done so far is kept. */
  suspend(): void {
    this.#call.turn();
  }
  /** The call that was suspended goes on. */
  resume(): void {
    this.#call.turn();
  }

  /** The fork that began is over. */
  endFork(): void {
    const call = this.#call;
    const written = call.since(FACT.writtenVmasCopied);
    call.charge(PATH.fork, 1);
    call.charge(PATH['fork-vmas'], 0, call.since(FACT.vmasCopied) - written);
    call.charge(PATH['fork-written-vmas'], 0, written);
    call.charge(PATH['fork-pages'], 0, call.since(FACT.ptesCopied));
    call.charge(PATH['fork-huge-pages'], 0, call.since(FACT.pmdsCopied));
    const empty = call.since(FACT.ptCopiedEmptyByFork) + call.since(FACT.pmdPagesCopiedEmptyByFork);
    call.charge(PATH['fork-empty-tables'], 0, empty);
    call.work.settle();
  }

  /** The end of an address space is over. @param isExit  of its process, too; execve replaces the one by another */
  endExit(isExit: boolean): void {
    const call = this.#call;
    const written = call.since(FACT.writtenVmasRemoved);
    call.charge(PATH.exit, isExit ? 1 : 0);
    call.charge(PATH['exit-vmas'], 0, call.since(FACT.vmasRemoved) - written);
    call.charge(PATH['exit-written-vmas'], 0, written);
    call.charge(PATH['exit-pages'], 0, ownZapped(call));
    chargeZapOthers(call);
    call.work.settle();
  }
}

/** Charges `op`, which has done something or was not refused. */
function chargeCall(call: CallFacts, op: MemoryOp, vrangeLock: VrangeLock): void {
  switch (op.call) {
    // What the kernel migrates is no call of the program's.
    case 'migrate':
    case 'fill_maps':
      return;
    case 'mmap':
      chargeMapping(call, (op.flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) === 0);
      return;
    case 'shmat':
    case 'io_setup':
      chargeMapping(call, true);
      return;
    case 'munmap':
    case 'shmdt':
      chargeUnmapping(call);
      return;
    case 'brk':
      chargeBrk(call, op);
      return;
    case 'mremap':
      chargeRemap(call, op);
      return;
    case 'mprotect':
      chargeProtect(call, (op.prot & PROT_WRITE) !== 0);
      return;
    case 'madvise':
    case 'process_madvise':
      chargeAdvice(call, op.advice, vrangeLock);
      return;
    case 'mlock':
    case 'mlock2':
    case 'munlock':
    case 'mlockall':
    case 'munlockall':
      chargeLock(call);
      return;
    case 'mseal':
    case 'mbind':
    case 'set_vma_name':
      chargeAttributes(call);
      return;
    case 'vrange':
      chargeVrange(call, vrangeLock);
      return;
    case 'process_vm':
    case 'clear_refs':
    case 'mincore':
      chargeVisit(call, op);
      return;
    case 'msync':
    case 'set_memory_merge':
    case 'set_mdwe':
    case 'set_thp_disable':
    case 'prctl_pt_reclaim':
    case 'pt_scan_write':
    case 'setrlimit':
    case 'set_uid':
    case 'overcommit':
      call.charge(PATH.syscall, 1);
      return;
  }
  // A new call fails to compile until it is charged.
  op satisfies never;
}

/** A call that goes over pages and leaves vmas alone. */
function chargeVisit(
  call: CallFacts,
  op: Extract<MemoryOp, { call: 'process_vm' | 'clear_refs' | 'mincore' }>,
): void {
  if (op.call === 'mincore') call.charge(PATH.mincore, 1, Math.ceil(op.len / PAGE_SIZE));
  else if (op.call === 'clear_refs') call.charge(PATH['clear-refs'], 1, reprotected(call));
  else {
    call.charge(PATH['kernel-copy'], 1, call.since(FACT.pagesCopiedByKernel));
    chargeSplits(call);
  }
}

/** A new mapping, and the unmapping of what it covers. @param isPlaced  the kernel chose where */
function chargeMapping(call: CallFacts, isPlaced: boolean): void {
  if (call.since(FACT.vmasRemoved) > 0) chargeUnmapping(call);
  if (call.since(FACT.vmasCreated) > 0) call.charge(isPlaced ? PATH['mmap-new-placed'] : PATH['mmap-new'], 1);
  else call.charge(call.since(FACT.vmasMerged) > 0 ? PATH['mmap-merge-both'] : PATH['mmap-merge'], 1);
  call.charge(PATH['populate-resident'], 0, call.since(FACT.pagesFoundResident));
}

function chargeBrk(call: CallFacts, op: MemoryOp): void {
  if (call.since(FACT.vmasRemoved) > 0) chargeUnmapping(call);
  else if (call.isIdle(op)) call.charge(PATH.syscall, 1);
  else call.charge(PATH['brk-grow'], 1);
}
