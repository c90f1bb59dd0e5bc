/**
 * The output of oracle/record.bt: a running process, recorded without being stopped.
 *
 * The start is a snapshot of a moving target: page offsets, anon_vmas and limits of what was there before are not known, and a call that
 * returned while /proc was read may be in the snapshot or not. What follows is as exact as a recording.
 */
import { BpftraceReader, type BpftraceSnapshot, filePaths } from './bpftraceReader.ts';
import { type InputFiles, pathIn } from './input.ts';
import type { EndState, ReplayItem, StartState, Summary } from './item.ts';
import type { OrderOptions } from './reading.ts';
import { Timeline } from './timeline.ts';
import { Warnings } from './warnings.ts';

/** Yields what a file of record.bt holds. @param file  its name within `files`; '' if the input is that file */
export function* bpftraceItems(
  files: InputFiles,
  file = '',
  options: OrderOptions = {},
): Generator<ReplayItem> {
  const warnings = new Warnings();
  const path = pathIn(files, file);
  const reader = new BpftraceReader(files.lines(file), path, filePaths(files.lines(file)), warnings);
  reader.readStart();
  const { pid: task, start } = reader;
  if (start === null)
    warnings.add(
      'no-start',
      'there is no start snapshot: the address space is built from the calls alone',
      path,
      0,
    );
  else
    warnings.add(
      'moving-start',
      'the start snapshot was taken of a running process: what its vmas had been through is not known',
      path,
      0,
    );
  yield {
    kind: 'start',
    task,
    format: 'bpftrace',
    state: start === null ? null : startState(start),
    program: start?.stat?.comm ?? null,
  };

  const timeline = new Timeline(reader, null, {
    ...options,
    format: 'bpftrace',
    warnings,
    afterExec: 'drop',
    startLine: 0,
    callsFile: path,
    faultsFile: path,
    firstTask: task,
  });
  yield* timeline.items();
  if (reader.end !== null && reader.end.maps.length > 0)
    yield endState(reader.end, { task, path, afterExec: timeline.hasExeced(task) });
  yield* warnings.items();
  yield {
    kind: 'summary',
    format: 'bpftrace',
    lines: reader.nrLines,
    skipped: new Map(),
    ...timeline.counts,
  } satisfies Summary;
}

function startState({ maps, stat }: BpftraceSnapshot): StartState {
  const vmas = maps.map((line) => ({ ...line, vmFlags: null, anonymousKb: null, rssKb: null }));
  const files = maps.filter((line) => line.inode !== 0).map(({ name, dev, inode }) => ({ name, dev, inode }));
  return { vmas, stat, limits: null, auxv: null, status: null, meta: null, window: null, files };
}

function endState(
  { maps }: BpftraceSnapshot,
  of: { task: number; path: string; afterExec: boolean },
): EndState {
  return {
    kind: 'end',
    task: of.task,
    isMain: true,
    afterExec: of.afterExec,
    files: { maps: of.path, smaps: '', vmas: '', pagemap: '', status: '', stat: '' },
    maps,
    smaps: null,
    vmas: null,
    status: null,
    stat: null,
    hasPages: false,
    pages: () => [],
  };
}
