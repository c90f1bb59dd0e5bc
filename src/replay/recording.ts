/**
 * A recording directory: start snapshot, system calls and faults in one order, end snapshots.
 *
 * Only `syscalls.strace` must be there. The start snapshot is taken after the return of the execve in its first line, so that call is part
 * of it. Without a snapshot each execve begins an address space of which nothing is known, without `faults.perf.txt` no page
 * is touched, without `maps.end` there is nothing to compare with; each of these is said in a warning.
 * Lines that are not strace's are errors here, because a recorder wrote the file.
 */
import { UsageError } from '../base/assert.ts';
import { otherPids, PROCS, readEnd } from './endState.ts';
import { type InputFiles, pathIn } from './input.ts';
import type { Meta, ReplayItem, Summary } from './item.ts';
import { callsOf, type KeptCalls } from './keptCalls.ts';
import type { KeptFaults } from './keptFaults.ts';
import { readMeta } from './meta.ts';
import { PerfReader } from './perf.ts';
import { rawLinesOf } from './rawLines.ts';
import type { ReadingOptions } from './reading.ts';
import { Scanner } from './scanner.ts';
import { readStart, START } from './startState.ts';
import { StraceLine } from './straceLine.ts';
import { StraceReader } from './straceReader.ts';
import { Timeline } from './timeline.ts';
import { Warnings } from './warnings.ts';

const CALLS = 'syscalls.strace';
const FAULTS = 'faults.perf.txt';
const META = 'meta.json';

/** How to read a recording. */
export interface RecordingOptions extends ReadingOptions {
  /** Remember the calls and the faults from one pass over the same recording to the next. */
  readonly keptCalls?: KeptCalls;
  readonly keptFaults?: KeptFaults;
}

/** Yields what a recording directory holds. @param options  other orders to try, see order.ts */
export function* recordingItems(files: InputFiles, options: RecordingOptions = {}): Generator<ReplayItem> {
  if (!files.has(CALLS)) {
    throw new UsageError(
      `${files.name} has no ${CALLS}`,
      `a recording directory with ${CALLS} and maps.start, or an .ops or .strace file`,
    );
  }
  const warnings = new Warnings();
  const meta = files.has(META) ? readMeta(files, META) : null;
  const others = otherPids(files, meta?.otherPids ?? []);
  const ends = [
    ...(files.has('maps.end') ? ['maps.end'] : []),
    ...others.map((pid) => `${PROCS}/${pid}/maps.end`),
  ];
  const state = readStart(files, meta, ends);
  const first = firstLine(files);
  const task = state?.stat?.pid ?? meta?.pid ?? first.tid;
  warnAboutFiles(files, meta, warnings);
  const beginsWithExec = first.name === 'execve';
  // Without a snapshot that execve begins the address space, and the timeline says so.
  if (state !== null || !beginsWithExec)
    yield { kind: 'start', task, format: 'recording', state, program: meta?.argv[0] ?? null };

  const readCalls = (toldOfCalls: Warnings) =>
    new StraceReader(files.lines(CALLS), {
      file: pathIn(files, CALLS),
      clock: 'ns',
      strict: true,
      warnings: toldOfCalls,
    });
  const calls = options.keptCalls?.open(readCalls) ?? callsOf(readCalls);
  const readFaults = () => new PerfReader(rawLinesOf(files, FAULTS), pathIn(files, FAULTS), secondsOf(first));
  const hasFaults = files.has(FAULTS) && options.isForOrder !== true;
  const faults = hasFaults ? (options.keptFaults?.open(readFaults) ?? readFaults()) : null;
  const timeline = new Timeline(calls, faults, {
    ...options,
    format: 'recording',
    warnings,
    afterExec: state === null ? 'restart' : 'drop',
    startLine: state !== null && beginsWithExec ? 1 : 0,
    callsFile: CALLS,
    faultsFile: FAULTS,
  });
  yield* timeline.items();
  for (const pid of [task, ...others]) {
    const directory = pid === task ? '' : `${PROCS}/${pid}/`;
    if (files.has(`${directory}maps.end`)) yield readEnd(files, pid, directory, timeline.hasExeced(pid));
  }
  yield* calls.warnings.items();
  yield* warnings.items();
  yield {
    kind: 'summary',
    format: 'recording',
    lines: calls.nrLines + (faults?.nrLines ?? 0),
    ...(faults === null ? {} : { faultLines: faults.nrLines }),
    skipped: calls.skipped,
    ...timeline.counts,
  } satisfies Summary;
}

function warnAboutFiles(files: InputFiles, meta: Meta | null, warnings: Warnings): void {
  if (!files.has(START.maps))
    warnings.add(
      'no-start',
      'there is no start snapshot: the address space is built from the calls alone',
      START.maps,
      0,
    );
  if (!files.has(FAULTS))
    warnings.add(
      'no-faults',
      'no page faults were recorded: which vmas were touched is not known',
      FAULTS,
      0,
    );
  if (!files.has('maps.end'))
    warnings.add('no-end', 'there is no end snapshot: nothing to compare with', 'maps.end', 0);
  if (meta !== null && !meta.quiescent)
    warnings.add('not-quiescent', 'some threads were not seen to stop before the end snapshot', META, 0);
  if (meta !== null && meta.faultsLost > 0)
    warnings.add('faults-lost', `perf lost ${meta.faultsLost} page faults`, META, 0);
}

/** Reads the first line of the calls, which names thread and time. */
function firstLine(files: InputFiles): StraceLine {
  const at = new Scanner(pathIn(files, CALLS));
  const line = new StraceLine();
  for (const text of files.lines(CALLS)) {
    at.start(text, 1);
    line.read(at);
    break;
  }
  return line;
}

const secondsOf = (line: StraceLine): number =>
  line.clock === 'epoch' || line.clock === 'day' ? line.seconds : 0;
