/**
 * TLB shootdowns: a flush interrupts every other CPU that runs the address space, and waits for them.
 *
 * A CPU that idles, or runs another program, holds no translations that matter: it drops them when it comes back. So a sleeping thread costs nothing.
 * The interrupted CPUs lose their time when the operation is carried out; who asked pays with the rest of it.
 *
 * Linux   arch/x86/mm/tlb.c: flush_tlb_mm_range, native_flush_tlb_multi, lazy mode
 */
import type { Addr } from '../../base/units.ts';
import type { Mm } from '../../mm/mm.ts';
import type { Tlb } from '../../mm/tlb.ts';
import type { Cpu } from '../sched/cpu.ts';
import type { Scheduler } from '../sched/scheduler.ts';
import type { Ledger } from './ledger.ts';

/** What a shootdown needs to know. */
export interface ShootdownOptions {
  readonly scheduler: Scheduler;
  readonly ledger: Ledger;
  /** What a CPU loses by an interrupt, nanoseconds. */
  readonly targetNs: number;
  /** Returns the address space that `cpu` runs, or null. */
  readonly mmOn: (cpu: Cpu) => Mm | null;
  /** Is told, too, and counts. */
  readonly next: Tlb;
}

/** Interrupts the CPUs that run an address space when it is flushed. */
export class Shootdowns implements Tlb {
  readonly #options: ShootdownOptions;

  constructor(options: ShootdownOptions) {
    this.#options = options;
  }

  flush(mm: Mm, start: Addr, end: Addr, freedTables: boolean): void {
    this.#options.next.flush(mm, start, end, freedTables);
    this.#interrupt(mm);
  }
  flushAll(mm: Mm): void {
    this.#options.next.flushAll(mm);
    this.#interrupt(mm);
  }

  #interrupt(mm: Mm): void {
    const { scheduler, ledger, targetNs, mmOn } = this.#options;
    const own = scheduler.current?.cpu;
    let isAsked = false;
    for (const cpu of scheduler.cpus) {
      if (cpu.id === own || mmOn(cpu) !== mm) continue;
      isAsked = true;
      scheduler.interrupt(cpu, targetNs);
    }
    if (isAsked) ledger.shootdowns++;
  }
}
