/**
 * Everybody who maps a page, as a list that stays true while entries are taken away; and the flushes that follow.
 *
 * Linux   mm/rmap.c: rmap_walk; arch_tlbbatch_flush()
 */
import { type Addr, PAGE_SIZE } from '../base/units.ts';
import type { Pfn } from './frames.ts';
import type { Kernel } from './kernel.ts';
import type { Mm } from './mm.ts';
import { walkRmap } from './rmap.ts';
import { TlbGather } from './tlb.ts';
import type { Vma } from './vma.ts';

/** One entry that maps a page. */
export interface Place {
  readonly mm: Mm;
  readonly vma: Vma;
  readonly addr: Addr;
}

/** Returns who maps `pfn`. Cost: the vmas attached to its anon_vma, or mapping its object. */
export function placesOf(kernel: Kernel, pfn: Pfn): Place[] {
  const places: Place[] = [];
  walkRmap(kernel, pfn, (mm, vma, addr) => places.push({ mm, vma, addr }));
  return places;
}

/** One flush for each address space whose entries were taken away. */
export class FlushBatch {
  readonly #gathers = new Map<Mm, TlbGather>();

  /** The entry at `addr` was taken away. */
  changed(mm: Mm, addr: Addr): void {
    const gather = this.#gathers.get(mm) ?? new TlbGather(mm);
    this.#gathers.set(mm, gather);
    gather.changed(addr, addr + PAGE_SIZE);
  }
  /** Flushes. */
  finish(): void {
    for (const gather of this.#gathers.values()) gather.finish();
  }
}
