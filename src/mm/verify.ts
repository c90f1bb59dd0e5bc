/**
 * One checker that walks everything: each invariant by name, recounted the slow way.
 *
 * docs/invariants.md has a paragraph for each; verify.test.ts breaks each on purpose. `verifyMm` visits every vma and every entry of one
 * address space, `verifyKernel` what all address spaces of a kernel must agree on; `verifyAround` only the vmas that touch a range, for
 * big address spaces between full checks.
 */
import { ModelBug } from '../base/assert.ts';
import { type Addr, hex, isPageAligned, PAGE_SIZE, TASK_SIZE } from '../base/units.ts';
import type { AnonVma } from './anonVma.ts';
import type { Kernel } from './kernel.ts';
import { type Mm, recount } from './mm.ts';
import {
  countHolders,
  ENTRY_INVARIANTS,
  FRAME_INVARIANTS,
  firstBrokenEntry,
  TABLE_INVARIANTS,
} from './verifyPages.ts';
import { VRANGE_INVARIANTS, wrongVrangeLru } from './verifyVranges.ts';
import { type FileObject, nrPagesOf, type Vma } from './vma.ts';
import { VM_ACCOUNT, VM_UFFD_MASK } from './vmFlags.ts';

/** One invariant of an address space: `broken` returns null, or a sentence with the values. */
interface Invariant {
  readonly name: string;
  readonly broken: (mm: Mm) => string | null;
}

/** One invariant of a kernel and all its address spaces. */
interface KernelInvariant {
  readonly name: string;
  readonly broken: (kernel: Kernel, mms: readonly Mm[]) => string | null;
}

function firstBroken(mm: Mm, broken: (vma: Vma) => string | null): string | null {
  for (const vma of mm.vmas) {
    const sentence = broken(vma);
    if (sentence !== null) return `${sentence} (vma ${vma.id} at ${hex(vma.start)})`;
  }
  return null;
}

const counter = (name: string, has: number, is: number): string | null =>
  has === is ? null : `${name} says ${has}, the vmas say ${is}`;

const misaligned = (vma: Vma): string | null =>
  isPageAligned(vma.start) && isPageAligned(vma.end) && vma.end <= TASK_SIZE
    ? null
    : 'not page aligned or out of range';

/** Page numbers of the largest object there can be: 2^64 bytes. */
const MAX_PGOFF = 2 ** 52;

const impossiblePgoff = (vma: Vma): string | null =>
  Number.isInteger(vma.pgoff) && vma.pgoff >= 0 && vma.pgoff + nrPagesOf(vma) <= MAX_PGOFF
    ? null
    : `a page offset of ${vma.pgoff}`;

function badChain(vma: Vma): string | null {
  if (vma.anonVma === null) return vma.chain.length === 0 ? null : 'a chain without an anon_vma';
  if (!vma.chain.includes(vma.anonVma)) return 'its own anon_vma is not in its chain';
  if (new Set(vma.chain).size !== vma.chain.length) return 'an anon_vma twice in the chain';
  return vma.chain.every((anonVma) => anonVma.root === vma.anonVma?.root) ? null : 'two roots in the chain';
}

const orphanUffd = (vma: Vma): string | null =>
  vma.uffd === null && vma.flags & VM_UFFD_MASK ? 'userfaultfd modes without a context' : null;

const INVARIANTS: readonly Invariant[] = [
  { name: 'vma-tree', broken: (mm) => mm.vmas.verify() },
  { name: 'vma-aligned', broken: (mm) => firstBroken(mm, misaligned) },
  { name: 'vma-pgoff', broken: (mm) => firstBroken(mm, impossiblePgoff) },
  { name: 'map-count', broken: (mm) => counter('mapCount', mm.mapCount, recount(mm).mapCount) },
  { name: 'total-vm', broken: (mm) => counter('totalVm', mm.totalVm, recount(mm).totalVm) },
  { name: 'data-vm', broken: (mm) => counter('dataVm', mm.dataVm, recount(mm).dataVm) },
  { name: 'exec-vm', broken: (mm) => counter('execVm', mm.execVm, recount(mm).execVm) },
  { name: 'stack-vm', broken: (mm) => counter('stackVm', mm.stackVm, recount(mm).stackVm) },
  {
    name: 'locked-vm',
    broken: (mm) => counter('lockedVm', mm.lockedVm - mm.lockedLeak, recount(mm).lockedVm),
  },
  { name: 'anon-vma-chain', broken: (mm) => firstBroken(mm, badChain) },
  { name: 'uffd-context', broken: (mm) => firstBroken(mm, orphanUffd) },
  ...VRANGE_INVARIANTS,
  ...TABLE_INVARIANTS,
];

/** How often each anon_vma is what the vmas of all address spaces say it is. */
interface AnonVmaUses {
  readonly active: Map<AnonVma, number>;
  readonly attached: Map<AnonVma, number>;
  readonly children: Map<AnonVma, number>;
}

const addOne = <K>(counts: Map<K, number>, key: K): void => {
  counts.set(key, (counts.get(key) ?? 0) + 1);
};

function countAnonVmas(mms: readonly Mm[]): AnonVmaUses {
  const uses: AnonVmaUses = { active: new Map(), attached: new Map(), children: new Map() };
  for (const mm of mms) {
    for (const vma of mm.vmas) {
      for (const anonVma of vma.chain) addOne(uses.attached, anonVma);
      if (vma.anonVma !== null) addOne(uses.active, vma.anonVma);
    }
  }
  for (const anonVma of uses.attached.keys()) addOne(uses.children, anonVma.parent);
  return uses;
}

const size = (count: number | ReadonlySet<Vma>): number => (typeof count === 'number' ? count : count.size);

function wrongAnonVma(
  { attached }: AnonVmaUses,
  field: 'nrActiveVmas' | 'attached' | 'nrChildren',
  uses: ReadonlyMap<AnonVma, number>,
): string | null {
  for (const anonVma of attached.keys()) {
    const wrong = counter(field, size(anonVma[field]), uses.get(anonVma) ?? 0);
    if (wrong !== null) return `${wrong} (anon_vma ${anonVma.id})`;
  }
  return null;
}

const ANON_VMA_INVARIANTS: readonly {
  readonly name: string;
  readonly broken: (uses: AnonVmaUses) => string | null;
}[] = [
  { name: 'anon-vma-attached', broken: (uses) => wrongAnonVma(uses, 'attached', uses.attached) },
  { name: 'anon-vma-active', broken: (uses) => wrongAnonVma(uses, 'nrActiveVmas', uses.active) },
  { name: 'anon-vma-children', broken: (uses) => wrongAnonVma(uses, 'nrChildren', uses.children) },
];

function wrongFileUse(mms: readonly Mm[]): string | null {
  const uses = new Map<FileObject, number>();
  for (const mm of mms) for (const { file } of mm.vmas) if (file !== null) addOne(uses, file.object);
  for (const [object, count] of uses) {
    const wrong = counter('vmas', object.vmas.size, count);
    if (wrong !== null) return `${wrong} (object ${object.id}, ${object.path})`;
  }
  return null;
}

function wrongCommitment(kernel: Kernel, mms: readonly Mm[]): string | null {
  const alive = new Set<FileObject>();
  let pages = kernel.committedLeak;
  for (const mm of mms) {
    for (const vma of mm.vmas) {
      if (vma.flags & VM_ACCOUNT) pages += nrPagesOf(vma);
      if (vma.file !== null) alive.add(vma.file.object);
    }
  }
  for (const { chargedPages } of alive) pages += chargedPages;
  return counter('committedPages', kernel.committedPages, pages);
}

function wrongTableCount({ work }: Kernel, mms: readonly Mm[]): string | null {
  const tables = mms.reduce((sum, { pages }) => sum + pages.bytes / PAGE_SIZE, 0);
  return work.nrTables === tables ? null : `work counts ${work.nrTables} tables, there are ${tables}`;
}

const KERNEL_INVARIANTS: readonly KernelInvariant[] = [
  { name: 'file-vmas', broken: (_kernel, mms) => wrongFileUse(mms) },
  { name: 'committed', broken: wrongCommitment },
  { name: 'work-tables', broken: wrongTableCount },
  { name: 'vrange-lru', broken: wrongVrangeLru },
  { name: 'lru-lists', broken: ({ reclaim }) => reclaim?.lru.verify() ?? null },
  { name: 'memory-charged', broken: ({ reclaim }) => reclaim?.lru.wrongCharge() ?? null },
];

/** The names of the invariants, for docs and tests. */
export const INVARIANT_NAMES: readonly string[] = [
  ...INVARIANTS,
  ...ENTRY_INVARIANTS,
  ...ANON_VMA_INVARIANTS,
  ...KERNEL_INVARIANTS,
  ...FRAME_INVARIANTS,
].map(({ name }) => name);

function report(name: string, sentence: string | null): void {
  if (sentence !== null) throw new ModelBug(`[${name}] ${sentence}`);
}

/** Throws ModelBug naming the first invariant of `mm` that does not hold. Visits everything. */
export function verifyMm(mm: Mm): void {
  for (const { name, broken } of INVARIANTS) report(name, broken(mm));
  const entry = firstBrokenEntry(mm);
  if (entry !== null) report(entry.name, entry.sentence);
}

/** Throws ModelBug if the counts of anon_vmas do not agree with all address spaces of one kernel. Visits every vma's chain. */
export function verifyAnonVmas(mms: readonly Mm[]): void {
  const uses = countAnonVmas(mms);
  for (const { name, broken } of ANON_VMA_INVARIANTS) report(name, broken(uses));
}

/**
 * Throws ModelBug naming the first invariant that `kernel` and `mms`, all its address spaces, break together: anon_vmas, files, frames,
 * promises. Visits every vma and every entry.
 */
export function verifyKernel(kernel: Kernel, mms: readonly Mm[]): void {
  verifyAnonVmas(mms);
  for (const { name, broken } of KERNEL_INVARIANTS) report(name, broken(kernel, mms));
  const holders = countHolders(kernel, mms);
  for (const { name, broken } of FRAME_INVARIANTS) report(name, broken(holders));
}

/** Throws ModelBug if a vma that touches [start, end), or its neighbours, is broken. Cost: the vmas of the range. */
export function verifyAround(mm: Mm, start: Addr, end: Addr): void {
  const first = mm.vmas.firstEndingAbove(start);
  for (let vma = first?.prev ?? first; vma !== null && vma.start <= end; vma = vma.next) {
    const sentence = misaligned(vma) ?? impossiblePgoff(vma) ?? badChain(vma) ?? orphanUffd(vma);
    if (sentence !== null) throw new ModelBug(`[around] ${sentence} (vma ${vma.id})`);
    if (vma.next !== null && vma.next.start < vma.end)
      throw new ModelBug(`[vma-tree] vma ${vma.id} overlaps the next`);
  }
}
