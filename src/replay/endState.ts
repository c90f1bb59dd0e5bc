/**
 * The end snapshots of a recording: of the recorded process in the directory itself, of every other one in `procs/PID/`.
 */
import type { InputFiles } from './input.ts';
import type { EndState } from './item.ts';
import { mapsLines } from './maps.ts';
import { pageRuns } from './pagemapRle.ts';
import { smapsEntries } from './smaps.ts';
import { readStat, readStatus } from './stat.ts';
import { vmaInternals } from './vmasEnd.ts';

/** Where the other processes are. */
export const PROCS = 'procs';

/** Returns the pids of the other processes that have an end snapshot, ascending. */
export function otherPids(files: InputFiles, fromMeta: readonly number[]): readonly number[] {
  const listed =
    files
      .list?.(PROCS)
      .filter((name) => /^\d+$/.test(name))
      .map(Number) ?? fromMeta;
  return [...new Set(listed)].filter((pid) => files.has(`${PROCS}/${pid}/maps.end`)).sort((a, b) => a - b);
}

/** Reads the end snapshot in `directory` ('' for the recorded process, else `procs/PID/`). */
export function readEnd(files: InputFiles, task: number, directory: string, afterExec: boolean): EndState {
  const path = (name: string): string => directory + name;
  const names = {
    maps: path('maps.end'),
    smaps: path('smaps.end'),
    vmas: path('vmas.end'),
    pagemap: path('pagemap.end.rle'),
    status: path('status.end'),
    stat: path('stat.end'),
  };
  const optional = <T>(name: string, read: (files: InputFiles, file: string) => T): (() => T | null) =>
    once(() => (files.has(name) ? read(files, name) : null));
  const maps = once(() => [...mapsLines(files, names.maps, 'as-is')]);
  const smaps = optional(names.smaps, (from, file) => [...smapsEntries(from, file)]);
  const vmas = optional(names.vmas, (from, file) => [...vmaInternals(from, file)]);
  const status = optional(names.status, readStatus);
  const stat = optional(names.stat, readStat);
  // Read when asked for: only a check looks into them.
  return {
    kind: 'end',
    task,
    isMain: directory === '',
    afterExec,
    files: names,
    get maps() {
      return maps();
    },
    get smaps() {
      return smaps();
    },
    get vmas() {
      return vmas();
    },
    get status() {
      return status();
    },
    get stat() {
      return stat();
    },
    hasPages: files.has(names.pagemap),
    pages: () => (files.has(names.pagemap) ? pageRuns(files, names.pagemap) : []),
  };
}

/** Makes a function that computes its value at the first call and returns it at every one. */
function once<T>(compute: () => T): () => T {
  let computed: { readonly value: T } | null = null;
  return () => {
    computed ??= { value: compute() };
    return computed.value;
  };
}
