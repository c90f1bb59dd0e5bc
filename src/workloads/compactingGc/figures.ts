/**
 * The figures of a run, by name: what a table of strategies shows.
 */
import { PAGE_SIZE } from '../../base/units.ts';
import type { Thread } from '../../machine/index.ts';
import { FACT, FAULTED, type FactName, type FaultName } from '../../mm/index.ts';
import type { Figures } from '../threaded.ts';
import type { Tally } from './tally.ts';

/** Counters of the kernel at one moment. */
export interface Counts {
  readonly facts: Float64Array;
  readonly faults: Float64Array;
}

/** Returns the counters as they are now. */
export const countsOf = ({ simulation }: Thread): Counts => ({
  facts: simulation.kernel.work.facts.slice(),
  faults: simulation.kernel.work.faults.slice(),
});

const KIB = 1024;
const US = 1000;
const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0);

/** Returns the figures. @param before  the counters when the heap was built */
export function figuresOf(t: Thread, tally: Tally, before: Counts): Figures {
  const { work } = t.simulation.kernel;
  const fact = (name: FactName): number =>
    (work.facts[FACT[name]] as number) - (before.facts[FACT[name]] as number);
  const faults = (...names: readonly FaultName[]): number =>
    sum(
      names.map((name) => (work.faults[FAULTED[name]] as number) - (before.faults[FAULTED[name]] as number)),
    );
  const kernelNs = tally.placeNs + tally.faultNs + tally.giveBackNs + tally.flipNs;
  const compactionNs = kernelNs + tally.makeNs;
  const share = (ns: number): number => (compactionNs === 0 ? 0 : (100 * ns) / compactionNs);
  const { faultsOn } = tally;
  return {
    cycles: tally.cycles,
    'objects checked': tally.objectsChecked,
    'pauses, all, µs': sum(tally.pauses) / US,
    'pauses, longest, µs': Math.max(0, ...tally.pauses) / US,
    'calls in pauses': tally.callsInPauses,
    'mutator stalls': tally.stalls.count,
    'mutator stalls, p50, µs': tally.stalls.quantile(0.5) / US,
    'mutator stalls, p99, µs': tally.stalls.quantile(0.99) / US,
    'mutator stalls, longest, µs': tally.stalls.max / US,
    'faults on dense pages': faultsOn.dense,
    'faults on fragmented pages': faultsOn.slid,
    'faults on cold pages': faultsOn.cold,
    'faults on free pages': faultsOn.fresh,
    'faults on pages in the making': faultsOn.busy,
    'kernel faults, anonymous': faults('anon', 'zero-page', 'zero-to-write'),
    'kernel faults, shared memory': faults('shmem-new', 'shmem-cached', 'shmem-around'),
    'kernel faults, swap': faults('swap-in', 'swap-cached'),
    signals: faults('signal'),
    'pages allocated': fact('pagesAllocated'),
    'pages zeroed': fact('pagesZeroed'),
    'pages copied by the kernel': fact('pagesCopied'),
    'pages copied in user space': tally.pagesCopied,
    'pages moved': fact('ptesMoved'),
    'calls that give back': tally.giveBackCalls,
    'pages given back': tally.pagesGivenBack,
    'pages read from swap': fact('pagesSwappedIn'),
    'pages written to swap': fact('pagesSwappedOut'),
    'vmas, peak': tally.peakVmas,
    'calls refused by max_map_count': tally.mapLimitHits,
    'mremaps of the heap refused (EFAULT)': tally.remapsRefused,
    'resident, peak, KiB': (tally.peakRssPages * PAGE_SIZE) / KIB,
    'memory in use, peak, KiB': (tally.peakFrames * PAGE_SIZE) / KIB,
    'page tables, peak, KiB': (work.peakTables * PAGE_SIZE) / KIB,
    'compaction, CPU time, µs': compactionNs / US,
    'of it making pages, %': share(tally.makeNs),
    'of it handing over, %': share(tally.placeNs),
    'of it faults, %': share(tally.faultNs),
    'of it giving back, %': share(tally.giveBackNs),
    'of it in pauses, %': share(tally.flipNs),
    'of it fault, alloc, copy, madvise, %': share(tally.placeNs + tally.faultNs + tally.giveBackNs),
    'marking and planning, CPU time, µs': tally.markNs / US,
  };
}
