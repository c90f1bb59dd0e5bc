/**
 * Which pages of a snapshot are not as memory was, and why: the detector of lost writes.
 *
 * Each store and each page given back is looked at before it happens. If the method will not be told of it, and the page was not saved yet, the reason is
 * noted. What was lost is decided by contents alone, page by page, against memory as it was; the reason is then looked up.
 *
 * Invariant   [snapshot-why] a page that was lost has a reason
 */
import { must } from '../../base/assert.ts';
import { type Mm, pagemapBits } from '../../mm/index.ts';
import type { GuestObserver } from './guest.ts';
import type { GuestMemory } from './guestMemory.ts';
import type { PageWords } from './pageWords.ts';

/** Why a page is not in a snapshot as it was. */
export const MISS_REASONS = {
  'not-there': 'not there when it was protected',
  'gone-again': 'read in, given back, not there when it was protected',
  discarded: 'given back, and nobody was told',
  shared: 'shared with the child that saved it',
  unseen: 'of shared memory, and not mapped by who looked for it',
} as const;
/** One of them. */
export type MissReason = keyof typeof MISS_REASONS;

/** A page of a snapshot that is not as it was. */
export interface MissedPage {
  readonly page: number;
  readonly why: MissReason;
  /** What memory held, and what the snapshot holds. */
  readonly held: number;
  readonly saved: number;
}

/**
 * How a method hears of stores.
 *
 *   entries   by the bit in the entry: who writes an entry without it is not noticed
 *   copy      not at all, because it has a copy of its own
 *   none      not at all
 *   stores    of every store; of pages given back it depends on the kernel and on what the memory is made of
 */
export type Notice = 'entries' | 'copy' | 'none' | 'stores';

/** What a watch looks at. */
export interface Watched {
  readonly mm: Mm;
  readonly memory: GuestMemory;
  readonly notice: Notice;
  /** Tells whether what happens to the page does not matter any more, or is known of already. */
  readonly isSettled: (page: number) => boolean;
}

/** Looks on while a snapshot is taken. */
export class MissWatch implements GuestObserver {
  readonly #of: Watched;
  readonly #reasons = new Map<number, MissReason>();
  /** Pages given back before the others were protected, and after. */
  readonly #goneBefore = new Set<number>();
  readonly #goneLater = new Set<number>();
  /** Pages are protected now; what is given back before that may have been read in to be protected. */
  isArmed = false;

  constructor(of: Watched) {
    this.#of = of;
  }

  beforeStore(page: number): void {
    const { mm, memory, notice } = this.#of;
    if (!this.isArmed) return;
    if (notice === 'none') this.#note(page, 'shared');
    if (notice === 'entries' && !pagemapBits(mm, memory.addrOf(page)).uffdWp)
      this.#note(page, this.#whyNot(page));
  }
  #whyNot(page: number): MissReason {
    if (this.#goneLater.has(page)) return 'discarded';
    return this.#goneBefore.has(page) ? 'gone-again' : 'not-there';
  }

  beforeDiscard(page: number): void {
    const { notice } = this.#of;
    if (!this.isArmed) {
      this.#goneBefore.add(page);
      return;
    }
    this.#goneLater.add(page);
    if (notice === 'none') this.#note(page, 'shared');
    if (notice === 'entries' || notice === 'stores') this.#note(page, 'discarded');
  }

  #note(page: number, why: MissReason): void {
    if (!this.#of.isSettled(page)) this.#reasons.set(page, why);
  }

  /** Compares a snapshot, page by page, with memory as it was. */
  missed(memory: PageWords, image: PageWords): MissedPage[] {
    return memory.differences(image).map(({ page, here, there }) => ({
      page,
      why: must(this.#whyLost(page, there), `[snapshot-why] page ${page} was lost for a reason`),
      held: here,
      saved: there,
    }));
  }
  #whyLost(page: number, saved: number): MissReason | null {
    const noted = this.#reasons.get(page);
    if (noted !== undefined) return noted;
    return this.#of.memory.backing === 'shmem' && saved === 0 ? 'unseen' : null;
  }
}
