/**
 * The machine: processes, threads, and the door through which operations come in (`Machine.apply`).
 */
export {
  CALIBRATION_SCHEMA,
  type Calibration,
  type Charges,
  CostTable,
  type PathTime,
  type Price,
  type WorkTime,
} from './cost.ts';
export { DONE, Machine, type Outcome } from './machine.ts';
export type { Access, Chosen, FileKind, Op, OpenMode, OpName, OpRecord, Recorded } from './op.ts';
export { type Descriptor, FileTable, Process } from './process.ts';
export { type Program, runProgram, type Step, type StepListener } from './program.ts';
