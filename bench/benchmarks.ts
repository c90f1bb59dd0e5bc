/**
 * All benchmarks, in the order they run.
 */
import type { Benchmark } from './benchmark.ts';
import { bloatedTables } from './bloatedTables.ts';
import { compareCold } from './compareCold.ts';
import { gcCycles } from './gcCycle.ts';
import { mapUnmap } from './mapUnmap.ts';
import { memoryBenchmarks } from './memory.ts';
import { millionVmas } from './millionVmas.ts';
import { pageBenchmarks } from './pages.ts';
import { ptScan } from './ptScan.ts';
import { replays } from './replay.ts';
import { snapshot } from './snapshot.ts';
import { uffdBenchmarks } from './userfaultfd.ts';
import { vmaPair } from './vmaPair.ts';
import { vrangeCall } from './vrangeCall.ts';

/** All benchmarks. */
export const BENCHMARKS: readonly Benchmark[] = [
  vmaPair,
  mapUnmap,
  vrangeCall,
  ptScan,
  ...replays,
  compareCold,
  millionVmas,
  ...pageBenchmarks,
  ...uffdBenchmarks,
  ...memoryBenchmarks,
  snapshot,
  ...gcCycles,
  ...bloatedTables,
];
