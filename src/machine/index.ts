/**
 * The machine: processes, threads, and the door through which operations come in (`Machine.apply`).
 */
export {
  CALIBRATION_SCHEMA,
  type Calibration,
  type Charges,
  type CostLine,
  CostTable,
  type Figure,
  figuresOf as calibrationFigures,
  type PathTime,
  type Price,
  type WorkTime,
} from './cost.ts';
export type { LockMode } from './locks/lockStats.ts';
export { Machine } from './machine.ts';
export type { Access, Chosen, FileKind, Op, OpenMode, OpName, OpRecord, Recorded } from './op.ts';
export { DONE, type ErrorOutcome, type Outcome, type PlainOutcome, resultOf } from './outcome.ts';
export { type CrossCpuPrices, type SmpPrices, smpPricesOf } from './paid/smpPrices.ts';
export { type Descriptor, FileTable, Process } from './process.ts';
export { type Program, runProgram, type Step, type StepListener } from './program.ts';
export type { Running } from './sched/schedTask.ts';
export { type Pollable, WaitQueue, type Woken } from './sched/waitQueue.ts';
export type { ScanTimes } from './tableReclaim.ts';
export type { Calling, CallWatch } from './threads/callWatch.ts';
export { readPagemap, type ScanHow, scanPagemap } from './threads/pagemapFile.ts';
export { Pipe } from './threads/pipe.ts';
export { Simulation, type SimulationOptions } from './threads/simulation.ts';
export { Barrier, Mutex } from './threads/sync.ts';
export { type MapHow, Thread, type ThreadMain, type ThreadOptions } from './threads/thread.ts';
export type { FaultSignal, SignalHandler, SignalInfo } from './threads/threadGroup.ts';
export type {
  CpuReport,
  LockReport,
  Quantiles,
  ThreadReport,
  Throughput,
  TimeReport,
} from './threads/timeReport.ts';
export { Userfaultfd } from './threads/userfaultfd.ts';
export type { DoneField, IoctlOutput, ReadMessage } from './uffdCalls.ts';
export {
  type CopyBuffer,
  type UffdIoctlName,
  type UffdOp,
  type UffdRequest,
  uffdIoctl,
} from './uffdOp.ts';
