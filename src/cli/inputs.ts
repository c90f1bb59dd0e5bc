/**
 * Opens what a command is given as INPUT: a recording directory, a file of strace, perf script, maps, bpftrace or ops (zipped or not),
 * `-` for standard input, `workload:NAME[,key=value…]`, or a module that exports a workload.
 *
 * An input can be played any number of times; each time it is read again from the start, and no more than a window of it is in memory.
 */
import { Unmodelled, UsageError } from '../base/assert.ts';
import { DEFAULT_CONFIG, type KernelConfig } from '../mm/index.ts';
import {
  fileItems,
  type InputFormat,
  KeptCalls,
  KeptFaults,
  type ReadingOptions,
  type ReplayItem,
} from '../replay/index.ts';
import { readMeta } from '../replay/meta.ts';
import { parseWorkloadSpec, settleParams, type WorkloadSpec } from '../workloads/index.ts';
import { openBytes, STDIN, statOf } from './input/byteSource.ts';
import { CALLS, directoryFiles, findFile, formatOf, recordingBytes, singleFile } from './input/inputFiles.ts';
import { Progress } from './input/progress.ts';
import { isModule, loadWorkload } from './input/workloadModule.ts';

/** Seed of a workload when no other is asked for. */
export const DEFAULT_SEED = 1;

/** How to open an input. */
export interface OpenOptions {
  /** Show no progress. */
  readonly quiet?: boolean;
  /** Seed of what is random in a workload; DEFAULT_SEED unless told. */
  readonly seed?: number;
}

/** An input that is a record of what a program did. */
export interface ItemsInput {
  readonly kind: 'items';
  /** As the user gave it. */
  readonly name: string;
  readonly format: InputFormat;
  /** It tells how the address space began, so that the kernel's answers and views can be compared with ours. */
  readonly isComparable: boolean;
  /** Settings of the machine it was recorded on, where it tells. */
  readonly config: Partial<KernelConfig>;
  /** Returns its items from the start. @param reading  which, and in which order (replay/order.ts) */
  items(reading?: ReadingOptions): Iterable<ReplayItem>;
}

/** An input that is a program of ours. */
export interface WorkloadInput {
  readonly kind: 'workload';
  /** As the user gave it. */
  readonly name: string;
  /** What `runWorkload` takes. */
  readonly spec: WorkloadSpec;
  readonly seed: number;
}

/** An opened input. */
export type CliInput = ItemsInput | WorkloadInput;

/** Opens an input; throws UsageError when there is none, or none that can be read. Contents are looked at later, in `items`. */
export function openInput(text: string, options: OpenOptions = {}): CliInput {
  if (isWorkloadName(text)) return workloadInput(text, parseWorkloadSpec(text), options);
  if (text === STDIN) return fileInput(text, options);
  const isDirectory = statOf(text).isDirectory();
  if (!isDirectory && isModule(text)) {
    const workload = loadWorkload(text);
    return workloadInput(text, { workload, params: settleParams(workload) }, options);
  }
  return isDirectory ? recordingInput(text, options) : fileInput(text, options);
}

/** Returns something found in an input with the path of its file: a recording names its files within it. */
export function placedIn<T extends { readonly file: string }>(input: CliInput, found: T): T {
  const { file } = found;
  const isWithin = input.kind === 'items' && input.format === 'recording';
  return isWithin && !file.startsWith(`${input.name}/`) ? { ...found, file: `${input.name}/${file}` } : found;
}

/** Does something with an input; what it asks for that is not modelled is told with the path of the file that asks. */
export function reading<T>(input: CliInput, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof Unmodelled) || error.place === null) throw error;
    throw new Unmodelled(error.what, error.where, placedIn(input, error.place));
  }
}

/** Tells whether an argument names a workload of ours. */
export const isWorkloadName = (text: string): boolean => text.startsWith('workload:');

const workloadInput = (name: string, spec: WorkloadSpec, options: OpenOptions): WorkloadInput => ({
  kind: 'workload',
  name,
  spec,
  seed: options.seed ?? DEFAULT_SEED,
});

function recordingInput(text: string, options: OpenOptions): ItemsInput {
  const directory = text.replace(/(?<=.)\/+$/, '');
  if (findFile(directory, CALLS) === null)
    throw new UsageError(
      `this directory has no ${CALLS}`,
      `a recording directory with ${CALLS} (or ${CALLS}.gz) and maps.start, as faultline record makes one`,
      { file: directory, line: 0, column: 0 },
    );
  const kept = { keptCalls: new KeptCalls(), keptFaults: new KeptFaults() };
  return {
    kind: 'items',
    name: directory,
    format: 'recording',
    isComparable: findFile(directory, 'maps.start') !== null,
    config: configOf(directory),
    items: (reading) =>
      watched(directory, recordingBytes(directory), options, (onRead) =>
        fileItems(directoryFiles(directory, onRead), 'recording', { ...reading, ...kept }),
      ),
  };
}

function fileInput(path: string, options: OpenOptions): ItemsInput {
  const source = openBytes(path);
  const format = formatOf(source);
  return {
    kind: 'items',
    name: path,
    format,
    // A bpftrace recording begins while the program runs: its start snapshot and its events overlap.
    isComparable: format === 'opfuzz' || format === 'opfuzz-uffd',
    config: {},
    items: (reading) =>
      watched(path, source.size, options, (onRead) => fileItems(singleFile(source, onRead), format, reading)),
  };
}

/** Reads from meta.json how the kernel was set that the recording was made on. */
function configOf(directory: string): Partial<KernelConfig> {
  const files = directoryFiles(directory, () => {});
  if (!files.has('meta.json')) return {};
  const { sysctl, shmemEnabled } = readMeta(files, 'meta.json');
  const maxMapCount = sysctl.get('max_map_count');
  const overcommit = sysctl.get('overcommit_memory');
  const minAddr = sysctl.get('mmap_min_addr');
  return {
    ...(maxMapCount === undefined ? {} : { maxMapCount }),
    ...(overcommit === 0 || overcommit === 1 || overcommit === 2 ? { overcommit } : {}),
    ...(minAddr === undefined
      ? {}
      : { sysctlMmapMinAddr: minAddr, mmapMinAddr: Math.max(minAddr, DEFAULT_CONFIG.mmapMinAddr) }),
    shmemHuge: shmemEnabled === 'always',
  };
}

/** Returns the items, showing how far they are unless that is not wanted. */
function watched(
  name: string,
  bytes: number,
  options: OpenOptions,
  open: (onRead: (bytes: number) => void) => Iterable<ReplayItem>,
): Iterable<ReplayItem> {
  return options.quiet ? open(() => {}) : showing(name, bytes, open);
}

function* showing(
  name: string,
  bytes: number,
  open: (onRead: (bytes: number) => void) => Iterable<ReplayItem>,
): Generator<ReplayItem> {
  const progress = new Progress(name, bytes);
  try {
    for (const item of open((read) => progress.read(read))) {
      if (item.kind === 'op') progress.played();
      yield item;
    }
  } finally {
    progress.end();
  }
}
