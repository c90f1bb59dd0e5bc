/**
 * What snapshots of files with userfaultfd tell besides vmas and pages: categories as PAGEMAP_SCAN tells them, contexts, the memfd, who sleeps
 * and which children live.
 */
import {
  categoriesText,
  PAGE_IS_SOFT_DIRTY,
  PM_SCAN_ARG_SIZE,
  PM_SCAN_CATEGORIES,
} from '../../abi/pagemapScan.ts';
import { type Addr, ceilTo, hexRange, PAGE_SIZE, PMD_SIZE } from '../../base/units.ts';
import type { Machine } from '../../machine/index.ts';
import { type FileObject, type Mm, pagemapScan, type UffdContext } from '../../mm/index.ts';
import type { Sleeper, Snapshot, SnapshotCategories, SnapshotProcess, SnapshotUffd } from '../item.ts';
import { MEMFD } from '../opsCalls.ts';
import { CHILD, SELF, UFFD_FD } from '../opsSnapshot.ts';
import type { Difference } from './difference.ts';
import type { Workers } from './workers.ts';

/** Bit 31 of what fdinfo calls features: UFFDIO_API was done. Linux: UFFD_FEATURE_INITIALIZED */
const INITIALIZED = 2 ** 31;
const FDINFO_IOCTLS = '80000000000001ff';

type Found = { readonly line: number; readonly what: string; readonly kernel: string; readonly ours: string };
/** Is called for each difference. */
type Tell = (kind: Difference['kind'], found: Found) => void;

/** Compares what is told of one process. Returns how many lines that were. */
export function compareCategories(
  recorded: SnapshotProcess,
  mm: Mm,
  window: { readonly start: Addr; readonly end: Addr },
  tell: Tell,
): number {
  const ours = modelCategories(mm, window);
  const kernel = joined(recorded.categories);
  const at = kernel.findIndex((k, i) => categoryLine(k) !== categoryLine(ours[i]));
  if (at >= 0 || ours.length > kernel.length) {
    const differing = kernel[at];
    tell('page', {
      line: differing?.line ?? recorded.line,
      what: `categories in process ${recorded.task}`,
      kernel: categoryLine(differing),
      ours: categoryLine(ours[at < 0 ? kernel.length : at]),
    });
  }
  return kernel.length;
}

type Categories = Pick<SnapshotCategories, 'start' | 'end' | 'categories'>;

const categoryLine = (run: Categories | undefined): string =>
  run === undefined ? '(nothing)' : `${hexRange(run.start, run.end)} ${categoriesText(run.categories)}`;

/** Joins neighbours of equal categories, wherever the file happens to break them. */
function joined(runs: readonly SnapshotCategories[]): SnapshotCategories[] {
  const all: SnapshotCategories[] = [];
  for (const run of runs) {
    const last = all.at(-1);
    if (last !== undefined && last.end === run.start && last.categories === run.categories)
      all[all.length - 1] = { ...last, end: run.end };
    else all.push(run);
  }
  return all;
}

function modelCategories(mm: Mm, { start, end }: { start: Addr; end: Addr }): readonly Categories[] {
  const masks = { inverted: 0, mask: 0, anyof: 0, returned: PM_SCAN_CATEGORIES & ~PAGE_IS_SOFT_DIRTY };
  const vecLen = (end - start) / PAGE_SIZE + 1;
  const request = { size: PM_SCAN_ARG_SIZE, flags: 0, start, end, vec: 'set', vecLen, maxPages: 0, ...masks };
  return pagemapScan(mm, request as Parameters<typeof pagemapScan>[1]).regions;
}

/** Compares what is told once in a snapshot. Returns how many lines that were. */
export function compareUffd(
  snapshot: Snapshot,
  uffd: SnapshotUffd,
  machine: Machine,
  workers: Workers,
  tell: Tell,
): number {
  compareChildren(snapshot, workers, tell);
  compareContexts(snapshot, uffd, machine, workers, tell);
  compareMemfd(uffd, machine, tell);
  compareSleepers(snapshot, uffd, workers, tell);
  return uffd.contexts.length + uffd.sleepers.length + 1;
}

function compareChildren(snapshot: Snapshot, workers: Workers, tell: Tell): void {
  const told = new Set(snapshot.processes.map(({ task }) => task));
  for (const task of workers.children)
    if (!told.has(task))
      tell('vma', {
        line: snapshot.line,
        what: 'a child that the kernel does not have',
        kernel: '',
        ours: String(task - CHILD),
      });
  for (const { task, line } of snapshot.processes)
    if (task !== SELF && !workers.children.includes(task))
      tell('vma', { line, what: 'a child that we do not have', kernel: String(task - CHILD), ours: '' });
}

function contextLine(context: UffdContext): string {
  const { pending, total } = context.counts;
  const features = context.features === null ? 0 : context.features + INITIALIZED;
  return `pending=${pending} total=${total} API=aa:${features.toString(16)}:${FDINFO_IOCTLS}`;
}

function compareContexts(
  snapshot: Snapshot,
  { contexts }: SnapshotUffd,
  machine: Machine,
  { nrContexts }: Workers,
  tell: Tell,
): void {
  const { files } = machine.processOf(SELF) ?? {};
  const told = new Map(contexts.map((context) => [context.number, context]));
  const numbers = new Set([...Array.from({ length: nrContexts }, (_, i) => i), ...told.keys()]);
  for (const number of numbers) {
    const descriptor = files?.get(UFFD_FD + number);
    const ours = descriptor?.kind === 'uffd' ? contextLine(descriptor.context) : '(not open)';
    const context = told.get(number);
    const kernel =
      context === undefined
        ? '(not open)'
        : `pending=${context.pending} total=${context.total} API=${context.api}`;
    if (kernel !== ours)
      tell('count', { line: context?.line ?? snapshot.line, what: `userfaultfd u${number}`, kernel, ours });
  }
}

function compareMemfd({ memfd }: SnapshotUffd, machine: Machine, tell: Tell): void {
  const descriptor = machine.processOf(SELF)?.files.get(MEMFD);
  const object = descriptor?.kind === 'file' ? descriptor.file.object : null;
  const ours = object === null ? '(none)' : memfdLine(machine, object);
  const kernel = lineOfMemfd(memfd.size, memfd.blocksKb, memfd.data);
  if (kernel !== ours) tell('page', { line: memfd.line, what: 'memfd m0', kernel, ours });
}

const lineOfMemfd = (
  size: number,
  blocksKb: number,
  data: readonly { readonly start: number; readonly end: number }[],
): string =>
  `size=${size} blocks_kb=${blocksKb} data=${data.map(({ start, end }) => hexRange(start, end)).join(',')}`;

/** What there is of a file in shared memory: in the page cache or in swap. */
function memfdLine({ kernel }: Machine, object: FileObject): string {
  const size = object.size ?? 0;
  const data: { start: number; end: number }[] = [];
  let pages = 0;
  // A huge page counts whole, also behind the end of the file.
  for (let pgoff = 0; pgoff * PAGE_SIZE < ceilTo(size, PMD_SIZE); pgoff++) {
    if (!kernel.cache.has(object, pgoff) && kernel.sharedSwap.slotOf(object, pgoff) === null) continue;
    pages++;
    const start = pgoff * PAGE_SIZE;
    if (start >= size) continue;
    const end = Math.min(start + PAGE_SIZE, size);
    const last = data.at(-1);
    if (last?.end === start) last.end = end;
    else data.push({ start, end });
  }
  return lineOfMemfd(size, (pages * PAGE_SIZE) / 1024, data);
}

const sleeperName = ({ kind, number }: Sleeper): string =>
  kind === 'child' ? `child ${number}` : `${number}`;

function compareSleepers(snapshot: Snapshot, uffd: SnapshotUffd, workers: Workers, tell: Tell): void {
  const ours = new Map(workers.sleepers.map(({ who, number }) => [sleeperName(who), number]));
  const told = new Map(uffd.sleepers.map((each) => [sleeperName(each.who), each]));
  for (const name of new Set([...told.keys(), ...ours.keys()])) {
    const text = (number: number | undefined): string =>
      number === undefined ? 'awake' : `sleeps in op ${number}`;
    const recorded = told.get(name);
    const kernel = text(recorded?.number);
    if (kernel !== text(ours.get(name)))
      tell('result', {
        line: recorded?.line ?? snapshot.line,
        what: `thread ${name}`,
        kernel,
        ours: text(ours.get(name)),
      });
  }
}
