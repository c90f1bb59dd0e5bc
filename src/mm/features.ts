/**
 * The switches: one row for each proposal, and the profiles that are named rows of values.
 *
 * `features.x` is read only in functions named can…, should…, is…, may… or …Verdict; the mechanism underneath is shared by all
 * positions of a switch. `linux-6.18` is what the oracle runs; `as-5.18` and `as-3.9` are 6.18 with switches turned back and do not claim to be
 * those kernels. docs/adding-a-switch.md walks through adding one.
 */
import {
  isTunable,
  parseTunable,
  parseTunables,
  SCAN_TUNABLES,
  type ScanTunables,
  type TunableName,
} from './ptScanTunables.ts';

/** Every switch with its possible values; the first one is "as if the proposal did not exist". */
export interface Features {
  /** 004 patch 4: a faulted private-anonymous vma that is moved gets the pgoff of its new address. */
  readonly mergePgoffOnMove: 'off' | 'on';
  /** 004 patch 5: vmas with different anon_vmas merge when the incoming one is not shared. */
  readonly mergeAcrossAnonVma: 'off' | 'on';
  /** The cover letter's question: what tells that pages are shared, the anon_vma, each page's mapcount, or both. */
  readonly mergeSharingCheck: 'anonVma' | 'mapcount' | 'both';
  /** 004 patch 2 (mainline since 6.0): growing in place absorbs a compatible next vma. */
  readonly mergeAfterResize: 'off' | 'on';
  /** Mainline since 6.16: a faulted range merges with an unfaulted neighbour. */
  readonly mergeFaultedWithUnfaulted: 'off' | 'on';
  /** Mainline since 6.17: mremap moves several vmas at once. */
  readonly mremapManyVmas: 'off' | 'on';
  /** The successor of 004 (2025, not merged): MREMAP_RELOCATE_ANON and MREMAP_MUST_RELOCATE_ANON. */
  readonly mremapRelocateAnon: 'off' | 'on';
  /** 000 option A: pages change their place by an ioctl of userfaultfd. `remap` has the rules of the older UFFDIO_REMAP. */
  readonly uffdMove: 'off' | 'move' | 'remap';
  /** 000 option B: mremap with MREMAP_ONLYPAGES moves pages and no vma; `manyVmas` also across borders of vmas. */
  readonly mremapOnlyPages: 'off' | 'on' | 'manyVmas';
  /** 000, Peter Xu's experiment: mmap gives new private anonymous vmas the page offset 0. */
  readonly anonPgoffZero: 'off' | 'on';
  /** 001: pages that are not there can be write-protected; by markers in ptes, by mapping the zero page (the patch's first version), or by
   * markers for 2 MiB where there is no table (what the thread wishes for). */
  readonly wpUnpopulated: 'off' | 'pteMarkers' | 'populateZero' | 'pmdMarkers';
  /** Writes to protected pages are let through and noted for PAGEMAP_SCAN; `inverted`: the bit means written (the thread's other idea). */
  readonly wpAsync: 'off' | 'on' | 'inverted';
  /** CONFIG_MEM_SOFT_DIRTY: pagemap tells which pages were written since clear_refs. The kernel that was measured lacks it. */
  readonly softDirty: 'off' | 'on';
  /** 003: who frees page tables without entries. Mainline since 6.14: sync. */
  readonly ptReclaim: 'off' | 'sync' | 'async' | 'refcount' | 'sync+async';
  /** 003: whose tables are scanned for with async: everybody's, those of memory that asks for it, or nobody's. */
  readonly ptReclaimMode: 'always' | 'madvise' | 'never';
  /** 003: madvise knows MADV_PT_RECLAIM, and the two that mark memory for the scan. */
  readonly madvPtReclaim: 'off' | 'on';
  /** 002: vrange(2), memory that may be thrown away while its owner does not need it. */
  readonly vrange: 'off' | 'on';
  /** 002: what vrange(2) locks; none: a lock of its own (v7), read: mmap_lock for reading too (v8 to v10), write: volatility is a flag of vmas (v11 to v14). */
  readonly vrangeLock: 'none' | 'read' | 'write';
  /** CONFIG_ANON_VMA_NAME: prctl(PR_SET_VMA_ANON_NAME) works. */
  readonly anonVmaName: 'off' | 'on';
  /** Mainline since 6.4: faults, and discarding pages, lock one vma and not the whole address space. Read by the machine. */
  readonly perVmaLocks: 'off' | 'on';
  /** /sys/kernel/mm/transparent_hugepage/use_zero_page: a load of memory for huge pages maps the huge zero page, and not a new one. */
  readonly hugeZeroPage: 'off' | 'on';
  /** /sys/kernel/mm/transparent_hugepage/enabled. */
  readonly thp: 'never' | 'madvise' | 'always';
  /** No switch: what is set of the scan that `ptReclaim` begins; the values of the posting where nothing is. Written `ptReclaim.NAME=VALUE`. */
  readonly ptScan?: Partial<ScanTunables>;
}

/** The name of a switch. */
export type FeatureName = Exclude<keyof Features, 'ptScan'>;

/** What is written before the name of a tunable. */
const TUNABLE_OF = 'ptReclaim.';
/** The name of a tunable as it is written in settings. */
export type TunableSetting = `${typeof TUNABLE_OF}${TunableName}`;
/** The names of all tunables, as they are written in settings, in the order in which they are listed. */
export const TUNABLE_SETTINGS = Object.keys(SCAN_TUNABLES).map(
  (name) => `${TUNABLE_OF}${name}`,
) as readonly TunableSetting[];
/** Returns the tunable that is written `name`, or null. */
function tunableOf(name: string): TunableName | null {
  const own = name.startsWith(TUNABLE_OF) ? name.slice(TUNABLE_OF.length) : '';
  return isTunable(own) ? own : null;
}
/** Tells whether `name` can be set: a switch, or a tunable. */
export const isSetting = (name: string): name is FeatureName | TunableSetting =>
  Object.hasOwn(FEATURES, name) || tunableOf(name) !== null;

/** What a user is told about a switch. */
export interface FeatureInfo {
  readonly values: readonly string[];
  /** Which of the five threads it belongs to, or where it comes from. */
  readonly seed: string;
  readonly text: string;
}

/** Every switch in the order in which it is listed. */
export const FEATURES: {
  readonly [K in FeatureName]: Omit<FeatureInfo, 'values'> & { readonly values: readonly Features[K][] };
} = {
  mergePgoffOnMove: {
    values: ['off', 'on'],
    seed: '004 patch 4',
    text: 'mremap gives a faulted anonymous vma the page offset of its new address, so that it can merge there',
  },
  mergeAcrossAnonVma: {
    values: ['off', 'on'],
    seed: '004 patch 5',
    text: 'vmas with different anon_vmas merge when the incoming anon_vma is not shared by fork',
  },
  mergeSharingCheck: {
    values: ['anonVma', 'mapcount', 'both'],
    seed: '004 (question)',
    text: 'how the two above find out that pages are shared: by the anon_vma, by the mapcount of each page, or both',
  },
  mergeAfterResize: {
    values: ['off', 'on'],
    seed: '004 patch 2',
    text: 'mremap that grows in place absorbs a compatible vma it has reached (Linux 6.0 and later)',
  },
  mergeFaultedWithUnfaulted: {
    values: ['off', 'on'],
    seed: '– (6.16)',
    text: 'a faulted range merges with an unfaulted neighbour (Linux 6.16 and later)',
  },
  mremapManyVmas: {
    values: ['off', 'on'],
    seed: '000 (6.17)',
    text: 'mremap with MREMAP_FIXED and equal sizes moves several vmas at once (Linux 6.17 and later)',
  },
  mremapRelocateAnon: {
    values: ['off', 'on'],
    seed: '004 (successor)',
    text: 'mremap knows MREMAP_RELOCATE_ANON (8) and MREMAP_MUST_RELOCATE_ANON (16): move pages to a new anon_vma and offset',
  },
  uffdMove: {
    values: ['off', 'move', 'remap'],
    seed: '000 option A (6.8)',
    text: 'UFFDIO_MOVE moves pages within an address space without copying; remap: by the rules of the older UFFDIO_REMAP',
  },
  mremapOnlyPages: {
    values: ['off', 'on', 'manyVmas'],
    seed: '000 option B',
    text: 'mremap knows MREMAP_ONLYPAGES (32) and MREMAP_ONLYPAGES_HOLES (64): pages move and no vma does; manyVmas: across borders too',
  },
  anonPgoffZero: {
    values: ['off', 'on'],
    seed: '000 (experiment)',
    text: 'mmap gives new anonymous vmas the page offset 0 instead of their page number',
  },
  wpUnpopulated: {
    values: ['off', 'pteMarkers', 'populateZero', 'pmdMarkers'],
    seed: '001 (6.4)',
    text: 'userfaultfd write-protects anonymous pages that are not there: by markers in page tables, by mapping the zero page, or by markers for 2 MiB that need no table',
  },
  wpAsync: {
    values: ['off', 'on', 'inverted'],
    seed: '001 (6.7)',
    text: 'userfaultfd notes writes to protected pages without stopping anybody, and PAGEMAP_SCAN tells of them; inverted: the bit means written, and needs no markers',
  },
  softDirty: {
    values: ['off', 'on'],
    seed: '001 (config)',
    text: 'soft-dirty bits in pagemap, cleared by clear_refs (CONFIG_MEM_SOFT_DIRTY; not measured, the reference kernel lacks it)',
  },
  ptReclaim: {
    values: ['off', 'sync', 'async', 'refcount', 'sync+async'],
    seed: '003 (6.14)',
    text: 'who frees page tables without entries: MADV_DONTNEED (sync), a scan now and then (async), whoever takes the last entry out (refcount)',
  },
  ptReclaimMode: {
    values: ['always', 'madvise', 'never'],
    seed: '003',
    text: 'which memory is scanned for empty page tables: all, what MADV_PT_RECLAIM_MARK asks for, none',
  },
  madvPtReclaim: {
    values: ['off', 'on'],
    seed: '003',
    text: 'madvise knows MADV_PT_RECLAIM (104): free the empty page tables of a range; and 105, 106: let it be scanned, or not',
  },
  vrange: {
    values: ['off', 'on'],
    seed: '002',
    text: 'vrange(2): memory that the kernel may throw away while its owner does not need it',
  },
  vrangeLock: {
    values: ['none', 'read', 'write'],
    seed: '002',
    text: 'what vrange(2) locks: its own lock (v7), mmap_lock for reading (v8 to v10), or for writing, as a flag of vmas (v11 to v14)',
  },
  anonVmaName: {
    values: ['off', 'on'],
    seed: '– (config)',
    text: 'prctl(PR_SET_VMA_ANON_NAME) names anonymous vmas (CONFIG_ANON_VMA_NAME)',
  },
  perVmaLocks: {
    values: ['off', 'on'],
    seed: '– (6.4)',
    text: 'page faults lock their vma instead of mmap_lock; changes the times of several threads only',
  },
  hugeZeroPage: {
    values: ['off', 'on'],
    seed: '– (sysfs)',
    text: 'a load where huge pages are allowed maps the huge zero page; off: it takes a huge page of its own',
  },
  thp: {
    values: ['never', 'madvise', 'always'],
    seed: '– (sysfs)',
    text: 'transparent huge pages: never, only where MADV_HUGEPAGE asks, always',
  },
};

/** Linux 6.18 as the oracle runs it. */
export const LINUX_6_18: Features = {
  mergePgoffOnMove: 'off',
  mergeAcrossAnonVma: 'off',
  mergeSharingCheck: 'both',
  mergeAfterResize: 'on',
  mergeFaultedWithUnfaulted: 'on',
  mremapManyVmas: 'on',
  mremapRelocateAnon: 'off',
  uffdMove: 'move',
  mremapOnlyPages: 'off',
  anonPgoffZero: 'off',
  wpUnpopulated: 'pteMarkers',
  wpAsync: 'on',
  softDirty: 'off',
  ptReclaim: 'sync',
  ptReclaimMode: 'always',
  madvPtReclaim: 'off',
  vrange: 'off',
  vrangeLock: 'none',
  anonVmaName: 'off',
  perVmaLocks: 'on',
  hugeZeroPage: 'on',
  thp: 'madvise',
};

const AS_5_18: Features = {
  ...LINUX_6_18,
  mergeAfterResize: 'off',
  mergeFaultedWithUnfaulted: 'off',
  mremapManyVmas: 'off',
  uffdMove: 'off',
  wpUnpopulated: 'off',
  wpAsync: 'off',
  softDirty: 'on',
  ptReclaim: 'off',
  perVmaLocks: 'off',
};

/** The profiles by name. */
export const PROFILES: Readonly<Record<string, Features>> = {
  'linux-6.18': LINUX_6_18,
  'as-5.18': AS_5_18,
  'as-3.9': AS_5_18,
};

/** One change of a switch, as written after `--set`. */
export interface FeatureSetting {
  readonly name: FeatureName | TunableSetting;
  readonly value: string;
}

/**
 * Reads `name=value`.
 * @returns the setting, or a sentence that says what would be right
 */
export function parseFeatureSetting(text: string): FeatureSetting | string {
  const at = text.indexOf('=');
  const name = at < 0 ? text : text.slice(0, at);
  if (name.startsWith(TUNABLE_OF)) return parseTunableSetting(text, name);
  if (!Object.hasOwn(FEATURES, name))
    return `no feature '${name}'; there are ${Object.keys(FEATURES).join(', ')}`;
  const info = FEATURES[name as FeatureName];
  const value = at < 0 ? '' : text.slice(at + 1);
  if (!(info.values as readonly string[]).includes(value))
    return `${name} takes one of ${info.values.join(', ')}`;
  return { name: name as FeatureName, value };
}

function parseTunableSetting(text: string, name: string): FeatureSetting | string {
  const tunable = tunableOf(name);
  if (tunable === null) return `no '${name}'; there are ${TUNABLE_SETTINGS.join(', ')}`;
  const parsed = parseTunable(text.slice(TUNABLE_OF.length));
  if (typeof parsed === 'string') return `${TUNABLE_OF}${parsed}`;
  return { name: `${TUNABLE_OF}${tunable}`, value: text.slice(name.length + 1) };
}

/** Returns `base` with the settings applied in order. */
export function withSettings(base: Features, settings: readonly FeatureSetting[]): Features {
  const changes: Record<string, string> = {};
  const tunables: string[] = [];
  for (const { name, value } of settings)
    if (tunableOf(name) === null) changes[name] = value;
    else tunables.push(`${name.slice(TUNABLE_OF.length)}=${value}`);
  if (tunables.length === 0) return { ...base, ...changes };
  return { ...base, ...changes, ptScan: { ...base.ptScan, ...parseTunables(tunables.join(' ')) } };
}

/** Returns how page tables are scanned where `features` hold. */
export const scanOf = ({ ptScan }: Features): Partial<ScanTunables> => ptScan ?? {};
