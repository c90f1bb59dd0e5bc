/**
 * `meta.json` of a recording: which process, how it was recorded, on what kernel with which switches.
 *
 * Only `pid` must be there; a part that is missing has a neutral value, because a recorder may know less than ours.
 */
import { UsageError } from '../base/assert.ts';
import { type InputFiles, pathIn } from './input.ts';
import type { Meta } from './item.ts';

const FORMAT = 1;

type Json = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const textsOf = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
const numbersOf = (value: unknown): readonly number[] =>
  Array.isArray(value) ? value.filter((each) => typeof each === 'number') : [];

const numberOf = (value: unknown): number => (typeof value === 'number' ? value : 0);

function countersOf(json: Json): Meta['faultCounters'] {
  const { minfltStart, majfltStart, minfltEnd, majfltEnd } = json;
  if (typeof minfltStart !== 'number' || typeof minfltEnd !== 'number') return null;
  return {
    start: { minflt: minfltStart, majflt: numberOf(majfltStart) },
    end: { minflt: minfltEnd, majflt: numberOf(majfltEnd) },
  };
}

/** Reads meta.json. */
export function readMeta(files: InputFiles, file: string): Meta {
  const path = pathIn(files, file);
  const json = parse([...files.lines(file)].join('\n'), path);
  if (!isObject(json))
    throw new UsageError('this is not a JSON object', '{ "format": 1, "pid": …, … }', {
      file: path,
      line: 1,
      column: 1,
    });
  if (json.format !== undefined && json.format !== FORMAT) {
    throw new UsageError(`"format" is ${String(json.format)}`, `a recording of format ${FORMAT}`, {
      file: path,
      line: 1,
      column: 1,
    });
  }
  if (typeof json.pid !== 'number')
    throw new UsageError('there is no "pid"', '"pid": a number', { file: path, line: 1, column: 1 });
  const thp = isObject(json.thp) ? json.thp : {};
  return {
    pid: json.pid,
    otherPids: numbersOf(json.otherPids),
    argv: textsOf(json.argv),
    mode: textOf(json.mode),
    aslr: json.aslr !== false,
    quiescent: json.quiescent !== false,
    kernel: textOf(json.kernel),
    sysctl: new Map(
      Object.entries(isObject(json.sysctl) ? json.sysctl : {}).flatMap(([name, value]) =>
        typeof value === 'number' ? [[name, value]] : [],
      ),
    ),
    thpEnabled: chosenSwitch(thp.enabled),
    shmemEnabled: chosenSwitch(thp.shmem_enabled),
    faultsLost: numberOf(json.faultsLost) + numberOf(json.faultsThrottled),
    faultLines: typeof json.faults === 'number' ? json.faults : null,
    faultCounters: countersOf(json),
    hasSwap: textOf(json.swaps) !== '',
  };
}

/** `always [madvise] never` -> `madvise`. */
const chosenSwitch = (value: unknown): string | null => /\[([^\]]+)\]/.exec(textOf(value))?.[1] ?? null;

function parse(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // Engines name the place as "position N" or as "line L column C".
    const message = error instanceof Error ? error.message : '';
    const position = /position (\d+)/.exec(message)?.[1];
    const before = text.slice(0, position === undefined ? text.length : Number(position)).split('\n');
    throw new UsageError('this is not JSON', 'a JSON object', {
      file,
      line: before.length,
      column: (before.at(-1)?.length ?? 0) + 1,
    });
  }
}
