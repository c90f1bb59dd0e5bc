/** Marks for 2 MiB at once (seed 001): why they are broken up, and what they save. The rules are cases M01 to M20 of test/spec/proposals.cases. */
import { describe, expect, it } from 'vitest';
import { type Memory, oneProcess, TABLE_PAGES } from '../../test/support/memory.ts';
import { PROT_READ } from '../abi/mman.ts';
import { UFFD_FEATURE_WP_UNPOPULATED } from '../abi/userfaultfd.ts';
import { PAGE_SIZE } from '../base/units.ts';
import type { MmEvent } from './events.ts';
import type { Features } from './features.ts';
import { UffdContext } from './uffdContext.ts';
import { UffdFill } from './uffdFill.ts';
import { uffdWriteProtect } from './uffdProtect.ts';
import { uffdRegister } from './userfaultfd.ts';
import { FACT } from './work.ts';

const PAGES = 8 * TABLE_PAGES;
const WP = 2;
const MISSING_AND_WP = 3;

/** `PAGES` pages that are registered and protected; nothing of them was touched. */
function protectedMemory(
  features: Partial<Features> = {},
  mode = MISSING_AND_WP,
): { memory: Memory; context: UffdContext } {
  const memory = oneProcess(0, { wpUnpopulated: 'pmdMarkers', ...features });
  memory.map(0, PAGES);
  const context = new UffdContext(memory.mm, 0, UFFD_FEATURE_WP_UNPOPULATED);
  const range = { start: memory.addr(0), len: PAGES * PAGE_SIZE };
  uffdRegister(context, { ...range, mode });
  uffdWriteProtect(context, { ...range, mode: 1 });
  memory.machine.verify();
  return { memory, context };
}

/** Returns why 2 MiB were broken up while `act` ran. */
function splits(memory: Memory, act: () => void): string[] {
  const whys: string[] = [];
  memory.machine.kernel.emit = (event: MmEvent) => {
    if (event.kind === 'markerSplit') whys.push(event.why);
  };
  act();
  memory.machine.kernel.emit = null;
  memory.machine.verify();
  return whys;
}

describe('what marks for 2 MiB save', () => {
  it('is a table for each of them', () => {
    const tables = (features: Partial<Features>): number => protectedMemory(features).memory.mm.pages.nrPtes;
    expect([tables({}), tables({ wpUnpopulated: 'pteMarkers' })]).toEqual([0, PAGES / TABLE_PAGES]);
  });
  it('and all entries but one', () => {
    const { facts } = protectedMemory().memory.machine.kernel.work;
    expect([facts[FACT.pmdMarkersSet], facts[FACT.markersSet]]).toEqual([PAGES / TABLE_PAGES, 0]);
  });
});

describe('a mark is broken up', () => {
  it('by a copy into it', () => {
    const { memory, context } = protectedMemory();
    memory.map(PAGES, 1);
    memory.write(PAGES);
    const request = { start: memory.addr(5), source: memory.addr(PAGES), len: PAGE_SIZE, mode: 0 };
    const copy = (): unknown => new UffdFill(context, 'copy', request, { mm: memory.mm }).step();
    expect(splits(memory, copy)).toEqual(['fill']);
  });
  it('by a border of vmas, once on either side of one 2 MiB', () => {
    const { memory } = protectedMemory();
    expect(splits(memory, () => memory.protect(100, 100, PROT_READ))).toEqual(['border']);
  });
  it('where a part is unprotected, not where all is', () => {
    const { memory, context } = protectedMemory();
    const off = (page: number, pages: number): unknown =>
      uffdWriteProtect(context, { start: memory.addr(page), len: pages * PAGE_SIZE, mode: 0 });
    expect(splits(memory, () => off(0, TABLE_PAGES))).toEqual([]);
    expect(splits(memory, () => off(TABLE_PAGES + 1, TABLE_PAGES))).toEqual(['part', 'part']);
  });
  it('by a fault, when nobody is asked for missing pages', () => {
    const { memory } = protectedMemory({}, WP);
    expect(splits(memory, () => memory.read(7))).toEqual(['fault']);
    expect(splits(memory, () => memory.read(8))).toEqual([]);
  });
});
