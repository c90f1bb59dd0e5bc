import { describe, expect, it } from 'vitest';
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_READ,
  PROT_WRITE,
} from '../abi/mman.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { accessPage } from './fault.ts';
import { type Features, LINUX_6_18 } from './features.ts';
import { exitMm, forkMm } from './fork.ts';
import { Kernel } from './kernel.ts';
import { endMigration, startMigration } from './migration.ts';
import { Mm } from './mm.ts';
import { mmap } from './mmap.ts';
import { mprotect } from './mprotect.ts';
import { mremap } from './mremap.ts';
import { pageAt } from './pageState.ts';
import { verifyKernel, verifyMm } from './verify.ts';
import { FACT } from './work.ts';

const B = 0x1000_0000_0000;
const at = (page: number): number => B + page * PAGE_SIZE;

function world(features: Partial<Features> = {}): { kernel: Kernel; mm: Mm } {
  const kernel = new Kernel({ ...LINUX_6_18, ...features });
  const mm = new Mm(kernel);
  const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  mmap(mm, {
    addr: B,
    len: 4 * PAGE_SIZE,
    prot: PROT_READ | PROT_WRITE,
    flags,
    offset: 0,
    file: null,
    chosen: null,
  });
  for (let page = 0; page < 4; page++) accessPage(mm, { addr: at(page), access: 'write', stamp: page + 1 });
  return { kernel, mm };
}
const waited = (kernel: Kernel): number => kernel.work.facts[FACT.migrationsWaitedFor] as number;
const stamps = (mm: Mm): number[] => [0, 1, 2, 3].map((page) => pageAt(mm, at(page)).stamp);

describe('migration', () => {
  it('gives each page another frame with the same content and access', () => {
    const { kernel, mm } = world();
    const before = pageAt(mm, at(1)).number;
    expect(startMigration(mm, at(1), at(3))).toBe(2);
    expect([pageAt(mm, at(1)).kind, mm.rssAnon]).toEqual(['migration', 4]);
    verifyMm(mm);
    expect(endMigration(mm, at(0), at(4))).toBe(2);
    expect(pageAt(mm, at(1)).number).not.toBe(before);
    expect([stamps(mm), mm.minFlt, waited(kernel)]).toEqual([[1, 2, 3, 4], 4, 0]);
    accessPage(mm, { addr: at(1), access: 'write', stamp: 9 });
    expect(mm.minFlt).toBe(4);
    verifyKernel(kernel, [mm]);
  });
  it('makes an access wait, which is a fault', () => {
    const { kernel, mm } = world();
    startMigration(mm, at(0), at(4));
    expect(accessPage(mm, { addr: at(2), access: 'write', stamp: 7 })).toMatchObject({ what: 'spurious' });
    expect([pageAt(mm, at(2)).stamp, pageAt(mm, at(3)).kind, waited(kernel), mm.minFlt]).toEqual([
      7,
      'migration',
      1,
      5,
    ]);
  });
  it('goes on through fork and mprotect: both processes get the page, neither may write it unasked', () => {
    const { kernel, mm } = world();
    startMigration(mm, at(0), at(1));
    const child = forkMm(mm) as Mm;
    mprotect(mm, at(0), PAGE_SIZE, PROT_READ);
    verifyKernel(kernel, [mm, child]);
    endMigration(child, at(0), at(1));
    expect(pageAt(mm, at(0)).number).toBe(pageAt(child, at(0)).number);
    accessPage(child, { addr: at(0), access: 'write', stamp: 5 });
    expect([pageAt(mm, at(0)).stamp, pageAt(child, at(0)).stamp]).toEqual([1, 5]);
    exitMm(child);
    verifyKernel(kernel, [mm]);
  });
  it('is waited for by a move that rewrites offsets (seed 004), not by one that does not', () => {
    const move = { addr: B, oldLen: 4 * PAGE_SIZE, newLen: 4 * PAGE_SIZE, newAddr: at(64), chosen: null };
    const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    for (const [setting, pages] of [
      ['off', 0],
      ['on', 2],
    ] as const) {
      const { kernel, mm } = world({ mergePgoffOnMove: setting });
      startMigration(mm, at(1), at(3));
      expect(mremap(mm, { ...move, flags }).ret).toBe(at(64));
      expect(waited(kernel)).toBe(pages);
      expect(pageAt(mm, at(65)).kind).toBe(pages === 0 ? 'migration' : 'anonymous');
      verifyMm(mm);
    }
  });
});
