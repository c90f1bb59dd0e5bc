/**
 * What of this machine belongs to a result: release of the kernel, and settings on which answers depend.
 */
import { readFileSync } from 'node:fs';
import { release } from 'node:os';

/** Settings, as they stand in results. */
export interface MachineConfig {
  /** Huge pages: of private memory, and of shared memory. */
  readonly thp: string;
  readonly shmemThp: string;
  readonly overcommit: number;
  readonly maxMapCount: number;
  /** Swap space in kB. */
  readonly swapKb: number;
}

/** The machine that results come from. */
export interface MachineFacts {
  readonly kernel: string;
  readonly config: MachineConfig;
}

/** Reads them. */
export function machineFacts(): MachineFacts {
  const thp = '/sys/kernel/mm/transparent_hugepage';
  return {
    kernel: release(),
    config: {
      thp: chosen(`${thp}/enabled`),
      shmemThp: chosen(`${thp}/shmem_enabled`),
      overcommit: Number(read('/proc/sys/vm/overcommit_memory')),
      maxMapCount: Number(read('/proc/sys/vm/max_map_count')),
      swapKb: Number(/^SwapTotal: *(\d+)/m.exec(read('/proc/meminfo'))?.[1] ?? 0),
    },
  };
}

/** Returns the word in brackets of `always [madvise] never`. */
const chosen = (path: string): string => /\[(\w+)\]/.exec(read(path))?.[1] ?? 'never';

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1').trim();
  } catch {
    return '';
  }
}

/** Returns the settings in one line. */
export const configText = ({ thp, shmemThp, overcommit, maxMapCount, swapKb }: MachineConfig): string =>
  `huge pages ${thp}, of shared memory ${shmemThp}; vm.overcommit_memory=${overcommit} vm.max_map_count=${maxMapCount}; ${
    swapKb === 0 ? 'no swap space' : 'swap space'
  }`;
