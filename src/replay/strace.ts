/**
 * A bare strace text: calls without start snapshot, faults or end.
 *
 * The order of the lines is the order of events; clocks, if there are any, are not needed. The first successful execve begins an
 * address space of which nothing is known; each further one begins another. Lines that are not strace's (the program's own output on
 * a terminal, the summary of -C, stacks of -k) are passed over and counted.
 */
import { type InputFiles, pathIn } from './input.ts';
import type { ReplayItem, Summary } from './item.ts';
import type { OrderOptions } from './reading.ts';
import { StraceReader } from './straceReader.ts';
import { Timeline } from './timeline.ts';
import { Warnings } from './warnings.ts';

/** Yields what a strace file holds. @param file  its name within `files`; '' if the input is that file */
export function* straceItems(
  files: InputFiles,
  file = '',
  options: OrderOptions = {},
): Generator<ReplayItem> {
  const warnings = new Warnings();
  const path = pathIn(files, file);
  const calls = new StraceReader(files.lines(file), { file: path, clock: 'lines', strict: false, warnings });
  const timeline = new Timeline(calls, null, {
    ...options,
    format: 'strace',
    warnings,
    afterExec: 'restart',
    startLine: 0,
    callsFile: path,
    faultsFile: path,
  });
  warnings.add(
    'no-start',
    'a bare strace has no start snapshot: the address space is built from the calls alone',
    path,
    0,
  );
  warnings.add(
    'no-faults',
    'a bare strace has no page faults: which vmas were touched is not known',
    path,
    0,
  );
  let nrClones = 0;
  let isFirst = true;
  for (const item of timeline.items()) {
    if (isFirst && item.kind === 'op' && item.op.call !== 'execve') {
      warnings.add(
        'no-execve',
        'the first call is not an execve: what was mapped before it is not known',
        path,
        item.line,
      );
      yield { kind: 'start', task: item.task, format: 'strace', state: null, program: null };
    }
    isFirst = false;
    if (item.kind === 'op' && item.op.call === 'clone') nrClones++;
    yield item;
  }
  if (nrClones > 0 && !calls.hasOthers) {
    warnings.add(
      'not-followed',
      'threads and children were made, but nothing they did is in the file: record with strace -f',
      path,
      0,
    );
  }
  yield* warnings.items();
  yield {
    kind: 'summary',
    format: 'strace',
    lines: calls.nrLines,
    skipped: calls.skipped,
    ...timeline.counts,
  } satisfies Summary;
}
