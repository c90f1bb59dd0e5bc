/**
 * Files that are only a part of a recording: page faults alone, a maps or smaps text alone.
 */
import { type InputFiles, pathIn } from './input.ts';
import type { ReplayItem, ReplayOp } from './item.ts';
import { PerfReader } from './perf.ts';
import { rawLinesOf } from './rawLines.ts';
import { startOfMaps } from './startState.ts';

/** Yields the touches of a `perf script` text. Nothing says what is mapped, so each process starts unknown. */
export function* perfItems(files: InputFiles, file = ''): Generator<ReplayItem> {
  const path = pathIn(files, file);
  const reader = new PerfReader(rawLinesOf(files, file), path, -1);
  const processes = new Set<number>();
  let touches = 0;
  for (let fault = reader.next(); fault !== null; fault = reader.next()) {
    const { pid, tid: task, addr, access, by, time, line } = fault;
    if (!processes.has(pid)) yield { kind: 'start', task: pid, format: 'perf', state: null, program: null };
    processes.add(pid);
    yield {
      kind: 'op',
      op: { call: 'touch', addr, len: 1, access, by },
      nr: ++touches,
      line,
      file: path,
      task,
      chosen: {},
      recorded: { kind: 'none' },
      entry: time,
      exit: time,
      at: time,
      overlaps: false,
    } satisfies ReplayOp;
  }
  yield {
    kind: 'warning',
    what: 'no-start',
    text: 'page faults alone do not say what is mapped: record the system calls, too',
    count: 1,
    file: path,
    line: 0,
  };
  yield {
    kind: 'summary',
    format: 'perf',
    lines: reader.nrLines,
    calls: 0,
    touches,
    skipped: new Map(),
    overlapping: 0,
  };
}

/** Yields the address space that a maps (or smaps) text describes, and nothing that happens in it. */
export function* mapsItems(files: InputFiles, file = '', isSmaps = false): Generator<ReplayItem> {
  const state = startOfMaps(files, file, isSmaps);
  yield { kind: 'start', task: 1, format: isSmaps ? 'smaps' : 'maps', state, program: null };
  yield {
    kind: 'summary',
    format: isSmaps ? 'smaps' : 'maps',
    lines: state.vmas.length,
    calls: 0,
    touches: 0,
    skipped: new Map(),
    overlapping: 0,
  };
}
