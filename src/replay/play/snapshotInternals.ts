/**
 * What the kernel's own structures say of the vmas in a snapshot, against the model: page offsets, anon_vmas, chains.
 *
 * The log numbers the kernel's anon_vmas by their addresses, and an address is used again once an anon_vma is gone. So a number and one of
 * our ids are partners, one to one over all processes and snapshots, as long as our anon_vma lives.
 */
import { hexRange } from '../../base/units.ts';
import type { AnonVma, Kernel, Mm, Vma } from '../../mm/index.ts';
import type { SnapshotInternals } from '../item.ts';

/** What differs, in the words of a difference. */
export interface WrongInternals {
  readonly line: number;
  readonly what: string;
  readonly kernel: string;
  readonly ours: string;
  readonly about: { readonly vmas: readonly number[]; readonly anonVmas: readonly number[] };
}

/** The partners of one log. */
export class InternalsComparison {
  readonly #idOf = new Map<number, number>();
  readonly #numberOf = new Map<number, number>();
  /** Vmas compared. */
  compared = 0;

  /** Returns the first vma of `mm` that differs from what the kernel has, or null. */
  firstDifference(mm: Mm, recorded: readonly SnapshotInternals[]): WrongInternals | null {
    for (const row of recorded) {
      const wrong = this.differenceOf(mm, row);
      if (wrong === null) continue;
      const vma = mm.vmas.at(row.start);
      const anonVmas = [this.#idOf.get(row.anonVma), vma?.anonVma?.id].filter((id) => id !== undefined);
      return {
        line: row.line,
        what: `${wrong} of ${hexRange(row.start, row.end)}`,
        kernel: rowText(row),
        ours: vma === null ? '' : this.#vmaText(vma),
        about: { vmas: vma === null ? [] : [vma.id], anonVmas },
      };
    }
    return null;
  }

  /** Returns what of one vma of `mm` differs from what the kernel has, or null. */
  differenceOf(mm: Mm, row: SnapshotInternals): string | null {
    this.compared++;
    const vma = mm.vmas.at(row.start);
    return vma === null ? 'a vma we do not have' : this.#wrongField(mm.kernel, row, vma);
  }

  #wrongField(kernel: Kernel, row: SnapshotInternals, vma: Vma): string | null {
    const { anonVma } = vma;
    if (row.start !== vma.start || row.end !== vma.end) return 'range';
    if (row.pgoff !== vma.pgoff) return 'pgoff';
    if (row.chain !== vma.chain.length) return 'chain length';
    if (!this.#arePartners(kernel, row.anonVma, anonVma)) return 'anon_vma';
    if (anonVma === null) return null;
    if (!this.#arePartners(kernel, row.root, anonVma.root)) return 'root anon_vma';
    if (!this.#arePartners(kernel, row.parent, anonVma.parent)) return 'parent anon_vma';
    if (row.vmas !== anonVma.nrActiveVmas) return 'number of vmas of the anon_vma';
    return row.children === anonVma.nrChildren ? null : 'number of children of the anon_vma';
  }

  /** Tells whether number and anon_vma are partners, making them so if neither has one that lives. */
  #arePartners(kernel: Kernel, number: number, anonVma: AnonVma | null): boolean {
    if (number === 0 || anonVma === null) return number === 0 && anonVma === null;
    const known = this.#idOf.get(number);
    if (known === anonVma.id) return true;
    if (this.#numberOf.has(anonVma.id)) return false;
    if (known !== undefined && kernel.anonVmas.has(known)) return false;
    if (known !== undefined) this.#numberOf.delete(known);
    this.#idOf.set(number, anonVma.id);
    this.#numberOf.set(anonVma.id, number);
    return true;
  }

  #vmaText({ pgoff, anonVma, chain }: Vma): string {
    const number = (one: AnonVma | undefined): string =>
      one === undefined ? '0' : String(this.#numberOf.get(one.id) ?? `new(${one.id})`);
    return `pgoff=${pgoff} anon=${number(anonVma ?? undefined)} root=${number(anonVma?.root)} parent=${number(anonVma?.parent)} children=${anonVma?.nrChildren ?? 0} vmas=${anonVma?.nrActiveVmas ?? 0} chain=${chain.length}`;
  }
}

const rowText = (row: SnapshotInternals): string =>
  `pgoff=${row.pgoff} anon=${row.anonVma} root=${row.root} parent=${row.parent} children=${row.children} vmas=${row.vmas} chain=${row.chain}`;
