/**
 * Differential fuzzing: draws sequences of operations, holds a kernel's log of them against the model, cuts one that differs down.
 *
 * Nothing here runs anything: who has a kernel hands a function that runs sequences (RunOps).
 */
export { FUZZ_MODES, type FuzzMode, type FuzzModeName, modeOf } from './modes.ts';
export {
  checkLog,
  isHeader,
  type LogCheck,
  logsIn,
  type OpsDifference,
  playLog,
} from './opsCheck.ts';
export { type RunOps, type ShrinkOptions, type ShrunkOps, shrinkOps } from './opsShrink.ts';
export { type FuzzOptions, fuzzSequence } from './sequence.ts';
export { specRow } from './specRow.ts';
