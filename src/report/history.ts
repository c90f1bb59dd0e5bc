/**
 * History: from which operation a vma has its page offset and an anon_vma its existence. One fold over events.
 *
 * An offset stays with the memory: a part that is split off has it, a vma that absorbs a part has the same one already (else they would not
 * have merged), a child has its parent's. So what is kept is, by vma, the last move that left the offset behind.
 *
 * Invariant   only living vmas are kept; an anon_vma is kept for good, because its birth is asked for after its vma is gone
 * Cost        a map entry a moved vma and an anon_vma
 */
import type { Addr } from '../base/units.ts';
import type { MmEvent, PgoffUpdate } from '../mm/index.ts';

/** A move by mremap that kept the page offset. */
export interface Move {
  readonly op: number;
  readonly from: Addr;
  readonly to: Addr;
  readonly len: number;
  readonly update: PgoffUpdate;
}

/** How an anon_vma came to be. */
export interface Birth {
  readonly op: number;
  /** The vma that was written first, or the child's copy of one. */
  readonly vma: number;
  /** The anon_vma of the parent when it was made by fork, else null. */
  readonly parent: number | null;
}

/** The fold. Hand it every event in order. */
export class History {
  readonly #moves = new Map<number, Move>();
  readonly #births = new Map<number, Birth>();

  /** Returns the last move after which `vma` kept a page offset that is not that of its address, or null. */
  moveOf(vma: number): Move | null {
    return this.#moves.get(vma) ?? null;
  }
  /** Returns how `anonVma` came to be, or null for one we never heard of. */
  birthOf(anonVma: number): Birth | null {
    return this.#births.get(anonVma) ?? null;
  }

  /** Takes one event. */
  add(event: MmEvent): void {
    switch (event.kind) {
      case 'vmaCreate':
        if (event.from !== null) this.#inherit(event.vma, event.from);
        return;
      case 'vmaSplit':
        this.#inherit(event.other, event.vma);
        return;
      case 'vmaRemove':
        if (event.into !== null && !this.#moves.has(event.into)) this.#inherit(event.into, event.vma);
        this.#moves.delete(event.vma);
        return;
      case 'vmaMove':
        this.#move(event);
        return;
      case 'anonVmaCreate':
        this.#births.set(event.anonVma, { op: event.op, vma: event.vma, parent: event.parent });
        return;
      case 'vmaResize':
      case 'vmaMerge':
      case 'pgoffMerge':
      case 'anonVmaShare':
      case 'anonVmaRehome':
      case 'flags':
      case 'placement':
      case 'pagesMove':
      case 'markerSplit':
      case 'vrange':
      case 'vrangePurge':
        return;
    }
  }

  #inherit(to: number, from: number): void {
    const move = this.#moves.get(from);
    if (move !== undefined) this.#moves.set(to, move);
  }

  #move(event: Extract<MmEvent, { kind: 'vmaMove' }>): void {
    const { op, from, to, len, pgoffUpdate: update } = event;
    if (event.pgoffAfter === event.pgoffBefore && update !== 'not-anonymous')
      this.#moves.set(event.vma, { op, from, to, len, update });
    else this.#moves.delete(event.vma);
  }
}
