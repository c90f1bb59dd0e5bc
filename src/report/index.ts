/**
 * What `import … from 'faultline/report'` gives: folds over events and vma rows, and tables of their numbers.
 */
export { callText } from './callText.ts';
export {
  type Attempts,
  type Counts,
  EventCounts,
  type JoinVerdict,
  type MergeEvent,
  REFUSAL_WORDS,
  REFUSALS,
  type RefusedVerdict,
  type Side,
  sidesOf,
  type Tally,
  type VmaCount,
} from './counts.ts';
export { type Birth, History, type Move } from './history.ts';
export { type Chapter, LifeStories } from './life.ts';
export {
  type Blocker,
  type BlockerKind,
  blockersOf,
  countPairs,
  isDisplaced,
  type Neighbours,
  type NoRemedy,
  neighboursOf,
  PAIR_KINDS,
  type PairCounts,
  type PairKind,
  pgoffGap,
  type Remedy,
} from './pairs.ts';
export {
  type Cell,
  type Changed,
  counted,
  grouped,
  markdownTable,
  type Row,
  signed,
  type Table,
  textTable,
} from './table.ts';
export {
  censusText,
  emptyingText,
  type TableRun,
  tableRuns,
  tablesText,
} from './tablesText.ts';
export { type TimedRun, type TimeMetric, timeMetrics, timeTable } from './timeMetrics.ts';
export { type AvMerge, avMergeOf, eventText, type TraceVerdict, traceLine, traceVerdict } from './trace.ts';
export {
  type VisibleBlocker,
  type VisibleNeighbours,
  type VisibleVma,
  visibleNeighbours,
} from './visible.ts';
export { type WorkCounts, workCounts } from './workCounts.ts';
