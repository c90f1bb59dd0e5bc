/**
 * A TLB in software against the tables: translations are remembered when a page is accessed and dropped only when mm/ says so. Whatever is
 * still remembered after an operation must be what the tables say, with no more access than they give. A flush that is missing shows here.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openInput } from '../../src/cli/inputs.ts';
import { type Mm, pageAt, type Tlb } from '../../src/mm/index.ts';
import { WRITE } from '../../src/mm/pte.ts';
import { VM_READ, VM_WRITE } from '../../src/mm/vmFlags.ts';
import type { ReplayOp } from '../../src/replay/item.ts';
import { Player } from '../../src/replay/play/player.ts';

const PAGE = 4096;

interface Translation {
  readonly pfn: number;
  readonly write: boolean;
}

/** Remembers translations until it is told to drop them. */
class SoftTlb implements Tlb {
  readonly entries = new Map<Mm, Map<number, Translation>>();
  nrDropped = 0;

  of(mm: Mm): Map<number, Translation> {
    const known = this.entries.get(mm) ?? new Map<number, Translation>();
    this.entries.set(mm, known);
    return known;
  }
  flush(mm: Mm, start: number, end: number): void {
    for (const page of [...this.of(mm).keys()]) if (page >= start && page < end) this.#drop(mm, page);
  }
  flushAll(mm: Mm): void {
    for (const page of [...this.of(mm).keys()]) this.#drop(mm, page);
  }
  #drop(mm: Mm, page: number): void {
    this.nrDropped++;
    this.of(mm).delete(page);
  }

  /** An access went through. */
  fill(mm: Mm, page: number): void {
    const { kind, number, low } = pageAt(mm, page);
    if (kind !== 'anonymous' && kind !== 'file' && kind !== 'zeroPage') return;
    this.of(mm).set(page, { pfn: number, write: (low & WRITE) !== 0 });
  }

  /** Returns what a stale translation would allow, in words, or null. */
  stale(): string | null {
    for (const [mm, translations] of this.entries)
      for (const [page, { pfn, write }] of translations) {
        const where = `mm ${mm.id} at 0x${page.toString(16)}`;
        const state = pageAt(mm, page);
        const flags = mm.vmas.at(page)?.flags ?? 0;
        if (state.number !== pfn || !['anonymous', 'file', 'zeroPage'].includes(state.kind))
          return `${where}: frame ${pfn} is remembered, the tables have ${state.kind} ${state.number}`;
        if (write && (state.low & WRITE) === 0) return `${where}: a store would go through`;
        if ((flags & (VM_READ | VM_WRITE)) === 0) return `${where}: a load would go through`;
      }
    return null;
  }
}

const FOLDER = join(import.meta.dirname, '../recordings/opfuzz');

describe('no translation outlives its entry', () => {
  it.each(readdirSync(FOLDER).filter((name) => name.endsWith('.ops.gz')))('%s', (name) => {
    const tlb = new SoftTlb();
    let current: ReplayOp | null = null;
    const player = new Player(
      { verify: 'never' },
      {
        operation: (item, outcome, process) => {
          current = item;
          if (item.op.call !== 'touch' || outcome.kind === 'signal' || process?.mm == null) return;
          for (let at = 0; at < item.op.len; at += PAGE) tlb.fill(process.mm, item.op.addr + at);
        },
      },
    );
    const input = openInput(join(FOLDER, name), { quiet: true });
    if (input.kind !== 'items') throw new Error('an ops file');
    for (const item of input.items()) {
      player.machine.kernel.tlb = tlb;
      player.feed(item);
      const stale = tlb.stale();
      if (stale !== null) expect.fail(`after op ${(current as ReplayOp | null)?.nr}: ${stale}`);
    }
    expect(tlb.nrDropped).toBeGreaterThan(50);
  });
});
