/**
 * What is told of a snapshot: numbers by name, with their unit in the name. Counts are exact, times modelled.
 */
import type { Histogram } from '../../base/histogram.ts';
import { FACT, FAULTED, type FactName, type FaultName } from '../../mm/index.ts';
import type { Figures } from '../threaded.ts';
import type { Restored } from './lazyRestore.ts';
import { MISS_REASONS, type MissedPage, type MissReason } from './missed.ts';
import type { KernelCounts, Taking } from './taking.ts';

/** What is told where the kernel refuses the method. */
export const refusedFigures = (): Figures => ({ 'refused by the kernel': 1 });

/** Returns the figures of a snapshot that was taken. */
export function figuresOfTaking(
  taking: Taking,
  of: { before: KernelCounts; after: KernelCounts; missed: readonly MissedPage[] },
): Figures {
  const { times, guest, saver } = taking;
  const { before, after, missed } = of;
  const fact = (name: FactName): number =>
    (after.facts[FACT[name]] as number) - (before.facts[FACT[name]] as number);
  const faults = (...names: FaultName[]): number =>
    names.reduce(
      (sum, name) => sum + (after.faults[FAULTED[name]] as number) - (before.faults[FAULTED[name]] as number),
      0,
    );
  const isLost = (why: MissReason): number => missed.filter((page) => page.why === why).length;
  const reasons = (Object.keys(MISS_REASONS) as MissReason[]).map((why) => [
    `  ${MISS_REASONS[why]}`,
    isLost(why),
  ]);
  return {
    'pages lost': missed.length,
    ...Object.fromEntries(reasons),
    'to arm, µs': microseconds(times.armedNs - times.startNs),
    '  of it before the stop, µs': microseconds(times.preparedNs - times.startNs),
    'guest stopped, µs': microseconds(times.stoppedNs),
    'until all is saved, µs': microseconds(times.doneNs - times.startNs),
    ...stallFigures('stall of writers', guest.stalls),
    'stores meanwhile': guest.nrStores,
    'pages saved': saver.nrSaved,
    'pages saved on demand': taking.nrOnDemand,
    'messages read': taking.nrMessages,
    rounds: taking.nrRounds,
    'first touches': faults('anon', 'huge', 'shmem-new'),
    'writes after the zero page': faults('zero-to-write', 'huge-zero-to-write'),
    'copied or taken over on write': faults('cow', 'reuse', 'file-cow', 'shmem-cow'),
    'read faults': faults('zero-page', 'huge-zero', 'shmem-around', 'shmem-cached', 'file'),
    'pages allocated': fact('pagesAllocated'),
    'markers set': fact('markersSet'),
    'tables made by arming, kB': (taking.armedTableBytes - before.tablesBytes) / 1024,
    'tables more at the end, kB': (after.tablesBytes - before.tablesBytes) / 1024,
    'huge pages before': before.hugePages,
    'huge pages at the end': after.hugePages,
    'huge mappings split': fact('pmdsSplit'),
  };
}

/** Returns the figures of a restore. */
export const restoreFigures = ({ nrCopied, nrZero, stalls }: Restored): Figures => ({
  'restored: pages copied': nrCopied,
  'restored: zero pages': nrZero,
  ...stallFigures('restored: first access', stalls),
});

const microseconds = (ns: number): number => Math.round(ns / 1000);

const stallFigures = (what: string, stalls: Histogram): Figures => ({
  [`${what}: how many`]: stalls.count,
  [`${what}: half, ns`]: stalls.quantile(0.5),
  [`${what}: 99 %, ns`]: stalls.quantile(0.99),
  [`${what}: longest, ns`]: stalls.max,
});
