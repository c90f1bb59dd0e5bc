/**
 * The modes of `faultline fuzz`: what each draws and how often.
 *
 * A mode is a row of tables; the draws themselves are in drawMemory.ts, drawPages.ts, drawProcess.ts and drawFiles.ts. `sometimes` has
 * what would spoil every sequence if it were in all of them (a sealed window stays as it is): a sequence draws first which of these it may have.
 */
// Long because: one table of all modes.
import { Prng } from '../base/prng.ts';
import { type ModeTable, SOMETIMES, STAPLES, VMA } from './modeTable.ts';
import { PRESSURE, PTRECLAIM, SWAP, UFFD } from './swapModes.ts';
import {
  ADVICE,
  FILE_ADVICE,
  FILE_MAPS,
  FORK_ADVICE,
  HUGE_ADVICE,
  MAPS,
  PAGE_ADVICE,
  RARE_MAPS,
} from './weights.ts';

/** The names of the modes. */
export type FuzzModeName =
  | 'vma'
  | 'fault'
  | 'fork'
  | 'thp'
  | 'limits'
  | 'files'
  | 'swap'
  | 'uffd'
  | 'pressure'
  | 'ptreclaim'
  | 'all';

/** A mode as it is shown to the user. */
export interface FuzzMode {
  readonly name: FuzzModeName;
  /** One sentence. */
  readonly what: string;
  /** What a sequence of it needs of the machine: root, where it advises other processes, locks more than a user may, or sets limits; zram to swap to; a memory cgroup of its own. */
  readonly needs: readonly ('root' | 'zram' | 'memory cgroup')[];
}

const FAULT: ModeTable = {
  ...VMA,
  windows: { '0': 75, '1': 25 },
  calls: {
    touch_write: 190,
    touch_read: 150,
    mmap: 90,
    munmap: 20,
    mprotect: 110,
    mremap: 60,
    madvise: 170,
    process_vm_readv: 34,
    process_vm_writev: 44,
    process_madvise: 12,
    mlock: 9,
    mlock2: 9,
    munlock: 12,
    mincore: 12,
    fork: 18,
    child_exit: 14,
  },
  advice: PAGE_ADVICE,
  odd: 0.015,
  children: 2,
  turn: 0.3,
  stream: 2,
};

const FORK: ModeTable = {
  ...VMA,
  windows: { '0': 80, '1': 12, '2': 8 },
  calls: {
    fork: 80,
    child_exit: 60,
    touch_write: 140,
    touch_read: 60,
    mmap: 70,
    munmap: 45,
    mprotect: 70,
    mremap: 90,
    madvise: 90,
    process_vm_readv: 12,
    process_vm_writev: 20,
    process_madvise: 8,
    mlock: 6,
    munlock: 8,
    name: 4,
    mlockall: 2,
  },
  advice: FORK_ADVICE,
  maps: { ...MAPS, ...RARE_MAPS, MAP_SHARED: 30 },
  sometimes: { ...SOMETIMES, mlock: 0.2, mlockall: 0.08 },
  staples: [...STAPLES, 'fork'],
  odd: 0.01,
  children: 4,
  turn: 0.6,
  stream: 3,
};

const THP: ModeTable = {
  ...VMA,
  windows: { '2': 85, '1': 15 },
  calls: {
    mmap: 110,
    munmap: 50,
    mprotect: 80,
    mremap: 100,
    madvise: 200,
    touch_write: 130,
    touch_read: 70,
    process_vm_writev: 8,
    mlock: 10,
    mlock2: 6,
    munlock: 12,
    fork: 24,
    child_exit: 20,
    thpDisable: 8,
    mincore: 4,
    name: 3,
  },
  advice: HUGE_ADVICE,
  maps: { ...MAPS, ...RARE_MAPS, MAP_SHARED: 6 },
  sometimes: { ...SOMETIMES, thpDisable: 0.15, MADV_COLLAPSE: 0.7, mlock: 0.3, mlock2: 0.3 },
  staples: [...STAPLES, 'madvise', 'MADV_HUGEPAGE'],
  odd: 0.01,
  children: 2,
  turn: 0.3,
  stream: 4,
};

const LIMITS: ModeTable = {
  ...VMA,
  windows: { '0': 90, '1': 10 },
  calls: {
    mmap: 190,
    munmap: 60,
    mprotect: 130,
    mremap: 140,
    madvise: 90,
    touch_write: 60,
    touch_read: 20,
    mlock: 40,
    mlock2: 20,
    munlock: 25,
    mlockall: 16,
    munlockall: 8,
    limitSpace: 24,
    limitLocked: 14,
    limitStack: 8,
    setuid: 5,
    fill: 4,
    overcommit: 6,
    enormous: 24,
    fork: 10,
    child_exit: 9,
  },
  advice: ADVICE,
  maps: { ...MAPS, ...RARE_MAPS, 'MAP_PRIVATE|MAP_LOCKED': 14, 'MAP_PRIVATE|MAP_GROWSDOWN': 14 },
  sometimes: {
    ...SOMETIMES,
    setuid: 0.4,
    fill: 0.4,
    overcommit: 0.4,
    enormous: 0.4,
    mlockall: 0.5,
    limitSpace: 0.7,
    'MAP_PRIVATE|MAP_GROWSDOWN': 0.5,
  },
  odd: 0.02,
  children: 1,
  turn: 0.2,
  stream: 5,
  setup: 'limits',
};

const FILES: ModeTable = {
  ...VMA,
  windows: { '0': 80, '1': 20 },
  calls: {
    mmap: 150,
    munmap: 40,
    mprotect: 70,
    mremap: 80,
    madvise: 110,
    touch_write: 130,
    touch_read: 110,
    ftruncate: 40,
    fallocate: 40,
    file_write: 24,
    add_seals: 8,
    shmat: 24,
    shmdt: 20,
    mincore: 24,
    msync: 18,
    process_vm_readv: 10,
    process_vm_writev: 10,
    mlock: 5,
    munlock: 5,
    fork: 24,
    child_exit: 20,
  },
  advice: FILE_ADVICE,
  maps: FILE_MAPS,
  sometimes: { add_seals: 0.4, MADV_PAGEOUT: 0.3, mlock: 0.2, MADV_COLLAPSE: 0.1, shmat: 0.5 },
  odd: 0.015,
  children: 2,
  turn: 0.3,
  stream: 6,
  setup: 'files',
};

/** By name, without `all`. */
export const MODE_TABLES: Readonly<Record<Exclude<FuzzModeName, 'all'>, ModeTable>> = {
  vma: VMA,
  fault: FAULT,
  fork: FORK,
  thp: THP,
  limits: LIMITS,
  files: FILES,
  swap: SWAP,
  uffd: UFFD,
  pressure: PRESSURE,
  ptreclaim: PTRECLAIM,
};

/** The modes, in the order in which they are shown. */
export const FUZZ_MODES: readonly FuzzMode[] = [
  {
    name: 'vma',
    what: 'Every call that makes, splits, joins, moves or marks VMAs, with arguments at borders and arguments that are refused.',
    needs: ['root'],
  },
  {
    name: 'fault',
    what: 'Accesses of every kind to pages in every state, by the process itself and by others.',
    needs: ['root'],
  },
  {
    name: 'fork',
    what: 'Trees of processes that share pages and anon_vmas, change them and end in any order.',
    needs: ['root'],
  },
  {
    name: 'thp',
    what: 'Huge pages, whole and in part: made, split, moved, copied, collapsed, locked, freed.',
    needs: [],
  },
  {
    name: 'limits',
    what: 'Calls at the limits: number of mappings, RLIMIT_AS, _DATA, _MEMLOCK and _STACK, overcommit.',
    needs: ['root'],
  },
  {
    name: 'files',
    what: 'Memory of files and segments: shared and private, truncated, punched, sealed, past the end.',
    needs: [],
  },
  {
    name: 'swap',
    what: 'Memory that is written out to swap, private and shared: brought back, copied, moved, marked, given up.',
    needs: ['root', 'zram'],
  },
  {
    name: 'uffd',
    what: 'Threads that sleep in userfaultfd and who wakes them: every ioctl, markers, events, children, MOVE, PAGEMAP_SCAN, swap.',
    needs: ['root', 'zram'],
  },
  {
    name: 'pressure',
    what: 'Memory of a memory cgroup that is asked back, with swap and without: what stays, what goes, and what a later access finds.',
    needs: ['root', 'zram', 'memory cgroup'],
  },
  {
    name: 'ptreclaim',
    what: 'Page tables: emptied in whole and in part, by every call that can, pinned, moved, copied by fork, freed; and what is left of them.',
    needs: ['root', 'zram'],
  },
  { name: 'all', what: 'Each sequence in one of the other modes, drawn from its seed.', needs: ['root'] },
];

/** What `all` draws from. Modes that came later are not among them: a seed goes on drawing what it drew. */
const NAMES = (Object.keys(MODE_TABLES) as (keyof typeof MODE_TABLES)[]).filter(
  (name) => name !== 'pressure' && name !== 'ptreclaim',
);

/** Returns the mode of a sequence: `mode` itself, or for `all` the one that the seed draws. */
export const modeOf = (mode: FuzzModeName, seed: number): keyof typeof MODE_TABLES =>
  mode === 'all' ? new Prng(seed).pick(NAMES) : mode;
