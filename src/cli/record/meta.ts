/**
 * meta.json of a recording: what was recorded, how, on which machine, and whether it is complete.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism, release } from 'node:os';
import { join } from 'node:path';
import { statFields } from './processes.ts';
import type { Tools } from './requirements.ts';

/** How a recording ended: held at exit_group, after the load, or after a time or an interrupt. */
export type EndMode = 'exit' | 'load' | 'time';

/** What only the recorder knows; the rest of meta.json is read from the files and the machine. */
export interface MetaFacts {
  readonly argv: readonly string[];
  readonly env: readonly string[];
  readonly mode: EndMode;
  readonly load: string;
  readonly aslr: boolean;
  readonly pid: number;
  readonly otherPids: readonly number[];
  readonly threadsAtEnd: number;
  readonly notQuiescentTids: readonly number[];
  readonly endTime: string;
  readonly realtimeMinusMonotonicUs: readonly [number, number];
  readonly lines: number;
  readonly faults: number;
  readonly faultsLost: number;
  readonly faultsThrottled: number;
  /** False: page faults were not recorded, and 0 faults means nothing. */
  readonly faultsRecorded: boolean;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8').trimEnd().split('\n').join(' ');
  } catch {
    return '';
  }
}

const sysctl = (name: string): number => Number(read(`/proc/sys/${name.replaceAll('.', '/')}`));

function faultCounters(dir: string, when: 'start' | 'end'): { minor: number; major: number } {
  const fields = statFields(readFileSync(join(dir, `stat.${when}`), 'utf8'));
  return { minor: Number(fields[7]), major: Number(fields[9]) };
}

function hugePageSettings(): object {
  const root = '/sys/kernel/mm/transparent_hugepage';
  let sizes: string[] = [];
  try {
    sizes = readdirSync(root).filter((name) => name.startsWith('hugepages-'));
  } catch {
    // A kernel without huge pages.
  }
  return {
    enabled: read(`${root}/enabled`),
    defrag: read(`${root}/defrag`),
    shmem_enabled: read(`${root}/shmem_enabled`),
    sizes: Object.fromEntries(
      sizes.map((name) => [name.slice('hugepages-'.length), read(`${root}/${name}/enabled`)]),
    ),
  };
}

function swaps(): string {
  const lines =
    read('/proc/swaps') === '' ? [] : readFileSync('/proc/swaps', 'utf8').trimEnd().split('\n').slice(1);
  return lines.map((line) => `${line.split(/\s+/).slice(1, 3).join(' ')};`).join('');
}

/** Returns the value of meta.json for the recording in `dir`, whose snapshots are already written. */
export function describeRecording(dir: string, facts: MetaFacts, tools: Tools): object {
  const start = faultCounters(dir, 'start');
  const end = faultCounters(dir, 'end');
  const { argv, env, mode, load, aslr, pid, otherPids, threadsAtEnd, notQuiescentTids, ...counts } = facts;
  return {
    format: 1,
    ...{ argv, env, mode, load, aslr, pid, otherPids, threadsAtEnd },
    quiescent: notQuiescentTids.length === 0,
    notQuiescentTids,
    ...counts,
    minfltStart: start.minor,
    minfltEnd: end.minor,
    majfltStart: start.major,
    majfltEnd: end.major,
    kernel: release(),
    machine: 'x86_64',
    pageSize: 4096,
    cpus: availableParallelism(),
    distribution: /PRETTY_NAME="?([^"\n]*)/.exec(read('/etc/os-release'))?.[1] ?? '',
    strace: tools.straceVersion,
    perf: tools.perfVersion,
    sysctl: {
      randomize_va_space: sysctl('kernel.randomize_va_space'),
      overcommit_memory: sysctl('vm.overcommit_memory'),
      max_map_count: sysctl('vm.max_map_count'),
      legacy_va_layout: sysctl('vm.legacy_va_layout'),
      mmap_min_addr: sysctl('vm.mmap_min_addr'),
      swappiness: sysctl('vm.swappiness'),
    },
    thp: hugePageSettings(),
    swaps: swaps(),
  };
}

/** Prints meta.json with one field a line, small values unbroken. */
export function printMeta(meta: object): string {
  const fields = Object.entries(meta).map(
    ([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`,
  );
  return `{\n${fields.join(',\n')}\n}\n`;
}
