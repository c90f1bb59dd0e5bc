/**
 * Page tables that hold nothing: which calls emptied them, in pieces of which size, and which policy would free them, and when.
 *
 * Which policy frees a table is not guessed but tried: the input is played with each of them. Why one of them leaves a table is read off the vmas around it.
 */
import { type Addr, PMD_SIZE } from '../base/units.ts';
import type { Op } from '../machine/index.ts';
import { FACT, type Features, type Mm } from '../mm/index.ts';
import { VM_HUGEPAGE, VM_UFFD_WP } from '../mm/vmFlags.ts';
import type { ReplayOp } from '../replay/index.ts';
import { callText } from '../report/index.ts';
import { type Configuration, configurations } from './configurations.ts';
import type { Lane } from './lane.ts';
import { memoryOf } from './memoryEnd.ts';
import { type OpPlace, placeOf } from './placeBook.ts';
import { bytesOf, type EmptyTable, TableWatch } from './tableWatch.ts';

/** Tables that calls of one kind emptied. */
export interface EmptiedGroup {
  /** The call, without its range: `madvise(MADV_DONTNEED)`; null: they were empty at the start. */
  readonly call: string | null;
  readonly tables: number;
  /** Bytes that these calls went over: the smallest, the one in the middle, the largest. */
  readonly bytes: { readonly least: number; readonly median: number; readonly most: number };
  readonly first: OpPlace | null;
  readonly bases: readonly Addr[];
}

/** What one policy leaves. */
export interface PolicyTrial {
  readonly policy: string;
  /** Bytes of page tables of all processes at the end, and at the peak. */
  readonly bytes: { readonly end: number; readonly peak: number };
  /** Empty tables at the end, of all processes. */
  readonly empty: number;
  /** The most that one address space had at a time. */
  readonly emptyPeak: number;
  /** Tables that calls freed with their last entry, and those that scans freed. */
  readonly freedAtOnce: number;
  readonly freedByScans: number;
  readonly scans: number;
  /** How long a table that a scan freed was empty at most, nanoseconds. */
  readonly longestNs: number;
  /** Why it leaves those that it leaves. */
  readonly left: Readonly<Record<string, number>>;
}

/** The page tables of one process. */
export interface ProcessTables {
  readonly pid: number;
  readonly tables: number;
  readonly bytes: number;
  readonly empty: number;
  readonly resident: number;
  /** Of it given to MADV_FREE and not written since. */
  readonly lazyFree: number;
  readonly groups: readonly EmptiedGroup[];
}

/** Tables that were empty on the way, of all processes, where nobody frees them. */
export interface OnTheWay {
  /** The most in one address space at a time. */
  readonly peak: number;
  /** How often one became empty, and what became of them. */
  readonly emptied: number;
  readonly refilled: number;
  readonly freed: number;
  readonly groups: readonly EmptiedGroup[];
}

/** A lane that is watched. */
export interface Watched {
  readonly lane: Lane;
  readonly watch: TableWatch;
}

/** Configurations of the policies that are tried beside the one that is explained. */
export function policyTrials(base: Configuration): Configuration[] {
  const values = ['off', 'sync', 'async', 'refcount'].filter((value) => value !== base.features.ptReclaim);
  const found = configurations({
    base: base.features,
    settings: values.map((value) => ({ name: 'ptReclaim', value })),
  });
  return found
    .filter(({ changes }) => changes.length === 1)
    .map((each) => ({ ...each, params: base.params }));
}

/** Feeds one item to a lane that is watched. */
export function feedWatched({ lane, watch }: Watched, item: Parameters<Lane['feed']>[0]): void {
  lane.feed(item);
  if (item.kind !== 'op') return;
  const mm = lane.process?.mm ?? null;
  if (mm === null) return;
  if (item.op.call === 'clone' && lane.outcome?.kind === 'value') {
    const child = lane.machine.processOf(lane.outcome.value)?.mm ?? null;
    if (child !== null && child !== mm) watch.forked(mm, child);
  }
  watch.look(item, mm);
}

/** Returns a lane of `configuration` that is watched. */
export const watched = (lane: Lane): Watched => ({ lane, watch: new TableWatch() });

/** Returns what is said of the tables of one address space. */
export function tablesOf(mm: Mm, watch: TableWatch): Omit<ProcessTables, 'pid'> {
  const empty = watch.emptyTables(mm);
  const { resident, lazyFree } = memoryOf([mm]);
  const { nrPtes, bytes } = mm.pages;
  return { tables: nrPtes, bytes, empty: empty.length, resident, lazyFree, groups: groupsOfTables(empty) };
}

/** Returns what was empty on the way. */
export const onTheWay = ({ peak, emptied, nrRefilled, nrFreed }: TableWatch): OnTheWay => ({
  peak,
  emptied: emptied.length,
  refilled: nrRefilled,
  freed: nrFreed,
  groups: groupsOfTables(emptied),
});

/** Groups empty tables by the calls that emptied them, the most frequent first. */
export function groupsOfTables(tables: readonly EmptyTable[]): EmptiedGroup[] {
  const groups = new Map<string | null, EmptyTable[]>();
  for (const table of tables) {
    const name = table.by === null ? null : callName(table.by.op);
    groups.set(name, [...(groups.get(name) ?? []), table]);
  }
  return [...groups]
    .map(([call, found]) => groupOf(call, found))
    .sort((a, b) => b.tables - a.tables || (String(a.call) < String(b.call) ? -1 : 1));
}

function groupOf(call: string | null, tables: readonly EmptyTable[]): EmptiedGroup {
  const by = tables.map((table) => table.by).filter((each): each is ReplayOp => each !== null);
  const sizes = by.map(({ op }) => bytesOf(op)).sort((a, b) => a - b);
  const [first] = by;
  return {
    call,
    tables: tables.length,
    bytes: { least: sizes[0] ?? 0, median: sizes[sizes.length >> 1] ?? 0, most: sizes.at(-1) ?? 0 },
    first: first === undefined ? null : placeOf(first),
    bases: tables.map(({ base }) => base),
  };
}

/** `madvise(MADV_DONTNEED)`: a call and, where there is one, what it was asked for. */
function callName(op: Op): string {
  const text = callText(op);
  const name = text.slice(0, text.indexOf('('));
  const advice = /MADV_[A-Z_]+/.exec(text)?.[0];
  return advice === undefined ? name : `${name}(${advice})`;
}

/** Returns what a policy came to at the end of the input. */
export function trialOf({ lane, watch }: Watched): PolicyTrial {
  const { work } = lane.machine.kernel;
  const fact = (name: keyof typeof FACT): number => work.facts[FACT[name]] as number;
  const mms = lane.machine.addressSpaces;
  const left = new Map<string, number>();
  let empty = 0;
  for (const mm of mms)
    for (const { base } of watch.emptyTables(mm)) {
      empty++;
      const why = whyLeft(lane.configuration.features.ptReclaim, mm, base);
      left.set(why, (left.get(why) ?? 0) + 1);
    }
  return {
    policy: lane.configuration.features.ptReclaim,
    bytes: { end: work.nrTables * 4096, peak: work.peakTables * 4096 },
    empty,
    emptyPeak: watch.peak,
    freedAtOnce: fact('ptFreedCounted') + fact('ptFreedSync'),
    freedByScans: fact('ptFreedAsync'),
    scans: fact('ptScans'),
    longestNs: watch.longestNs,
    left: Object.fromEntries(left),
  };
}

/** Says why a policy leaves an empty table. */
function whyLeft(policy: Features['ptReclaim'], mm: Mm, base: Addr): string {
  if (policy === 'off') return 'nothing frees it while a vma is there';
  if (policy === 'sync') return 'no MADV_DONTNEED covered all 2 MiB within one vma';
  const vma = mm.vmas.at(base);
  if (vma === null || vma.start > base || vma.end < base + PMD_SIZE) return 'it does not lie within one vma';
  if (vma.flags & VM_HUGEPAGE) return 'MADV_HUGEPAGE';
  if (vma.flags & VM_UFFD_WP) return 'registered for write-protection';
  return 'no scan came by since';
}
