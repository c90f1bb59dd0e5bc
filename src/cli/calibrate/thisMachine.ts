/**
 * What of this machine belongs to a calibration: kernel, processor, and settings that prices depend on.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { machine as arch, cpus, release, totalmem } from 'node:os';
import { rounded } from './samples.ts';

const CONFIG = [
  'HZ',
  'PT_RECLAIM',
  'PER_VMA_LOCK',
  'PARAVIRT_XXL',
  'LRU_GEN',
  'MEMCG',
  'PTE_MARKER_UFFD_WP',
  'MITIGATION_PAGE_TABLE_ISOLATION',
  'PREEMPT_DYNAMIC',
  'THP_SWAP',
  'ZRAM_DEF_COMP',
] as const;
const MITIGATIONS = ['meltdown', 'spectre_v1', 'spectre_v2', 'spec_rstack_overflow', 'retbleed'] as const;

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return null;
  }
}

/** Returns the word in brackets of `always [madvise] never`. */
const chosen = (path: string): string | null => /\[(.*?)\]/.exec(read(path) ?? '')?.[1] ?? null;

/** The kernel's configuration where it shows it, as text. */
function configText(): string {
  const zipped = spawnSync('zcat', ['/proc/config.gz'], { encoding: 'utf8' });
  return (zipped.status === 0 ? zipped.stdout : read(`/boot/config-${release()}`)) ?? '';
}

/** Returns the facts, as they stand in a calibration. */
export function thisMachine(): Record<string, unknown> {
  const thp = '/sys/kernel/mm/transparent_hugepage';
  const info = read('/proc/cpuinfo') ?? '';
  const config = configText();
  return {
    kernel: release(),
    arch: arch(),
    cpu: cpus()[0]?.model ?? '',
    cpus: cpus().length,
    tscMHz: Number(/cpu MHz\s*:\s*([\d.]+)/.exec(info)?.[1] ?? 0),
    memGiB: rounded(totalmem() / 2 ** 30),
    virtual: info.includes('hypervisor'),
    clocksource: read('/sys/devices/system/clocksource/clocksource0/current_clocksource'),
    thp: chosen(`${thp}/enabled`),
    thpDefrag: chosen(`${thp}/defrag`),
    thpZeroPage: read(`${thp}/use_zero_page`) === '1',
    pageCluster: Number(read('/proc/sys/vm/page-cluster')),
    maxMapCount: Number(read('/proc/sys/vm/max_map_count')),
    memoryCgroup: !/:memory:\/$/m.test(read('/proc/self/cgroup') ?? ''),
    config: Object.fromEntries(
      CONFIG.map((key) => [key, new RegExp(`^CONFIG_${key}=(.*)$`, 'm').exec(config)?.[1] ?? null]),
    ),
    mitigations: Object.fromEntries(
      MITIGATIONS.map((key) => [key, read(`/sys/devices/system/cpu/vulnerabilities/${key}`)]),
    ),
  };
}
