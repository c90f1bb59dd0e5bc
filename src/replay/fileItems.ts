/**
 * Reads a single file by its format.
 */
import { bpftraceItems } from './bpftrace.ts';
import type { InputFiles } from './input.ts';
import type { InputFormat, ReplayItem } from './item.ts';
import { opsItems } from './ops.ts';
import { type RecordingOptions, recordingItems } from './recording.ts';
import { mapsItems, perfItems } from './singleFiles.ts';
import { straceItems } from './strace.ts';

/** Returns the items of an input of a known format. @param options  other orders to try where the input has several threads, and what to leave out */
export function fileItems(
  files: InputFiles,
  format: InputFormat,
  options: RecordingOptions = {},
): Generator<ReplayItem> {
  switch (format) {
    case 'recording':
      return recordingItems(files, options);
    case 'strace':
      return straceItems(files, '', options);
    case 'opfuzz':
    case 'opfuzz-uffd':
      // Its operations come one after the other.
      return options.isForOrder === true ? nothing() : opsItems(files);
    case 'perf':
      return perfItems(files);
    case 'maps':
      return mapsItems(files);
    case 'smaps':
      return mapsItems(files, '', true);
    case 'bpftrace':
      return bpftraceItems(files, '', options);
  }
}

function* nothing(): Generator<ReplayItem> {}
