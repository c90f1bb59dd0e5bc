/**
 * What `import … from 'faultline/replay'` gives: readers that turn recordings, traces and ops files into a sequence of items.
 *
 * Start with `requireFormat` and `fileItems` for a file, `recordingItems` for a directory; item.ts says what comes out.
 */
export { bpftraceItems } from './bpftrace.ts';
export { CpuTime } from './cpuTime.ts';
export { detectFormat, NR_DETECT_LINES, requireFormat } from './detect.ts';
export { fileItems } from './fileItems.ts';
export { filesInMemory, type InputFiles, pathIn } from './input.ts';
export type {
  EndState,
  FileIdentity,
  InputFormat,
  Meta,
  ReplayItem,
  ReplayOp,
  SignalItem,
  Snapshot,
  SnapshotPages,
  SnapshotProcess,
  SnapshotVma,
  Start,
  StartState,
  StartVma,
  Summary,
  Warning,
  WarningKind,
} from './item.ts';
export { KeptCalls } from './keptCalls.ts';
export { KeptFaults } from './keptFaults.ts';
export type { Limit } from './limits.ts';
export { type MapsLine, mapsLines } from './maps.ts';
export { opsItems, opsLogItems } from './ops.ts';
export { CHILD, SELF } from './opsSnapshot.ts';
export { type PageRun, pageRuns } from './pagemapRle.ts';
export type { RawLines } from './rawLines.ts';
export type { OrderOptions, ReadingOptions } from './reading.ts';
export { type RecordingOptions, recordingItems } from './recording.ts';
export { mapsItems, perfItems } from './singleFiles.ts';
export { type SmapsEntry, smapsEntries } from './smaps.ts';
export { type ProcStat, readStat, readStatus, statusBytes } from './stat.ts';
export { straceItems } from './strace.ts';
export { type VmaInternals, vmaInternals } from './vmasEnd.ts';
