/**
 * Edges that neither sequences nor cases reach: calls that they do not have, and refusals that take a particular order of calls.
 *
 * A row is a few operations of one process (and the children it makes) and what the last one gives: 0 (or any value), or the error. That is
 * what man pages say and Linux 6.18 does.
 */
// Long because: it is one table of rows.
import { FALLOC_FL_KEEP_SIZE } from '../../src/abi/fcntl.ts';
import { IPC_CREAT, IPC_EXCL, IPC_PRIVATE, SHM_EXEC } from '../../src/abi/ipc.ts';
import * as mman from '../../src/abi/mman.ts';
import { type Chosen, type Op, uffdIoctl } from '../../src/machine/index.ts';
import type { Features } from '../../src/mm/index.ts';

/** A row: its title, the operations, and what the last one gives. */
export interface EdgeRow {
  readonly title: string;
  /** Switches in other positions than linux-6.18 has them. */
  readonly features?: Partial<Features>;
  readonly ops: readonly (readonly [op: Op, chosen?: Chosen, task?: number])[];
  readonly gives: 'ok' | string;
}

const B = 0x2000_0000_0000;
const PG = 4096;
/** The process that begins. */
export const TASK = 1;
const CHILD = 7;
const RW = mman.PROT_READ | mman.PROT_WRITE;
const ANON = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_FIXED;

const map = (page: number, pages: number, prot = RW, flags = ANON, fd = -1): Op => ({
  call: 'mmap',
  addr: B + page * PG,
  len: pages * PG,
  prot,
  flags,
  fd,
  offset: 0,
});
const at = (page: number, pages: number) => ({ addr: B + page * PG, len: pages * PG });
const bind = (page: number, nodes: string): Op => ({
  call: 'mbind',
  ...at(page, 1),
  mode: 2,
  nodes,
  flags: 0,
});
const seal = (page: number, pages: number): Op => ({ call: 'mseal', ...at(page, pages), flags: 0 });
const uffd: Op = { call: 'userfaultfd', flags: 0 };
const api = (fd: number, features = 0): Op => uffdIoctl(fd, { name: 'UFFDIO_API', api: 0xaa, features });
const register = (fd: number, page: number, pages = 1, mode = 2): Op =>
  uffdIoctl(fd, { name: 'UFFDIO_REGISTER', start: B + page * PG, len: pages * PG, mode });
const unregister = (fd: number, page: number, pages = 1): Op =>
  uffdIoctl(fd, { name: 'UFFDIO_UNREGISTER', start: B + page * PG, len: pages * PG });
const memfd = (flags = 2): Op => ({ call: 'memfd_create', name: 'm', flags });
const nobody: Op = { call: 'set_uid', uid: 65534 };
const full: Op = { call: 'fill_maps', room: 0 };
const fork: Op = { call: 'clone', flags: 17, child: CHILD };
const advise = (target: 'self' | number, advice: number, page = 0, pages = 1): Op => ({
  call: 'process_madvise',
  target,
  ranges: [at(page, pages)],
  advice,
  flags: 0,
});
const shmget = (key: number, size: number, flags: number): Op => ({ call: 'shmget', key, size, flags });
const shmat = (addr: number, flags = 0): Op => ({ call: 'shmat', id: 0, addr, flags });
const open = (path: string, mode: 'read' | 'write' | 'read-write', kind: 'regular' | 'device'): Op => ({
  call: 'open',
  path,
  mode,
  kind,
  size: 4 * PG,
});
const limit = (resource: number, soft: number): Op => ({ call: 'setrlimit', resource, soft, hard: null });
const truncate = (fd: number, size: number): Op => ({ call: 'ftruncate', fd, size });
const allocate = (fd: number, offset: number, len: number, mode = FALLOC_FL_KEEP_SIZE): Op => ({
  call: 'fallocate',
  fd,
  mode,
  offset,
  len,
});
const write = (fd: number, offset: number): Op => ({ call: 'write_file', fd, offset, len: PG, stamp: 1 });
const ring: Op = { call: 'io_setup', nrEvents: 8 };

const named = (page: number, name: string | null): Op => ({ call: 'set_vma_name', ...at(page, 1), name });

const row = (
  title: string,
  gives: string,
  ...ops: readonly (Op | readonly [Op, Chosen?, number?])[]
): EdgeRow => ({
  title,
  gives,
  ops: ops.map((op) => ('call' in op ? [op] : op)),
});

/** Vmas that are special, bound to nodes, sealed, registered, moved. */
const VMAS: readonly EdgeRow[] = [
  row('a ring for events between two others', 'ok', map(0, 4), [ring, { addr: B + 4 * PG }], map(6, 1), [
    ring,
    { addr: B + 5 * PG },
  ]),
  row('mremap of a ring to more than it is', 'EFAULT', [ring, { addr: B }], {
    call: 'mremap',
    addr: B,
    oldLen: PG,
    newLen: 2 * PG,
    flags: mman.MREMAP_MAYMOVE,
    newAddr: 0,
  }),
  row('MADV_DODUMP of a ring', 'EINVAL', [ring, { addr: B }], {
    call: 'madvise',
    ...at(0, 1),
    advice: mman.MADV_DODUMP,
  }),
  row('a ring where no vma may come', 'ENOMEM', limit(mman.RLIMIT_AS, 0), ring),
  row('mbind between other policies', 'ok', map(0, 3), bind(0, '0'), bind(2, '0,1'), bind(1, '1')),
  row('mbind that has to split, at the map limit', 'ENOMEM', map(0, 3), full, bind(1, '0')),
  row('mseal beside sealed memory', 'ok', map(0, 3), seal(0, 1), seal(2, 1), seal(1, 1)),
  row(
    'an access where the page is under way',
    'ok',
    map(0, 1),
    touch(0, 'write'),
    migrate('start'),
    touch(0, 'read'),
  ),
  row('a mapping larger than every gap', 'ENOMEM', map(0, 1), {
    call: 'mmap',
    addr: 0,
    len: 2 ** 47 - 2 ** 20,
    prot: 0,
    flags: mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_NORESERVE,
    fd: -1,
    offset: 0,
  }),
  row('a mapping at address 0, not as root', 'EPERM', nobody, { ...mapAt(0) }),
  row('mlockall of more than may be locked', 'ENOMEM', map(0, 64), limit(mman.RLIMIT_MEMLOCK, PG), nobody, {
    call: 'mlockall',
    flags: mman.MCL_CURRENT,
  }),
  row(
    'fork of more than may be promised',
    'ENOMEM',
    map(0, 2 ** 19),
    { call: 'overcommit', mode: 2 },
    ...[1, 2, 3, 4, 5].map((i) => map(i * 2 ** 20, 2 ** 19)),
    fork,
  ),
];

function touch(page: number, access: 'read' | 'write'): Op {
  return { call: 'touch', ...at(page, 1), access, by: 'user' };
}
function migrate(step: 'start' | 'end'): Op {
  return { call: 'migrate', ...at(0, 1), step };
}
function mapAt(addr: number): Op {
  return { call: 'mmap', addr, len: PG, prot: mman.PROT_READ, flags: ANON, fd: -1, offset: 0 };
}

/** userfaultfd: descriptors that are none, ranges that are taken. */
const UFFD: readonly EdgeRow[] = [
  row(
    'pages registered with two contexts side by side',
    'ok',
    map(0, 3),
    uffd,
    uffd,
    api(3),
    api(4),
    register(3, 0),
    register(3, 2),
    register(4, 1),
  ),
  row(
    'registering what another context has',
    'EBUSY',
    map(0, 1),
    uffd,
    uffd,
    api(3),
    api(4),
    register(3, 0),
    register(4, 0),
  ),
  row('registering with no descriptor', 'EBADF', map(0, 1), register(3, 0)),
  row('registering with a file', 'ENOTTY', map(0, 1), memfd(), register(3, 0)),
  row('registering where nothing is mapped', 'EINVAL', uffd, api(3), register(3, 0)),
  row('registering a part at the map limit', 'ENOMEM', map(0, 3), uffd, api(3), full, register(3, 1)),
  row(
    'registering a file that is sealed against writes',
    'EPERM',
    memfd(),
    truncate(3, PG),
    { call: 'add_seals', fd: 3, seals: 8 },
    map(0, 1, mman.PROT_READ, mman.MAP_SHARED | mman.MAP_FIXED, 3),
    uffd,
    api(4),
    register(4, 0, 1, 1),
  ),
  row(
    'MADV_COLLAPSE where user space would be asked for pages',
    'EBUSY',
    map(0, 512),
    touch(0, 'write'),
    uffd,
    api(3),
    register(3, 0, 512, 1),
    { call: 'madvise', ...at(0, 512), advice: mman.MADV_COLLAPSE },
  ),
  row(
    'the same by process_madvise',
    'EBUSY',
    map(0, 512),
    touch(0, 'write'),
    uffd,
    api(3),
    register(3, 0, 512, 1),
    advise('self', mman.MADV_COLLAPSE, 0, 512),
  ),
  row('unregistering with no descriptor', 'EBADF', map(0, 1), unregister(3, 0)),
  row('unregistering with a file', 'ENOTTY', map(0, 1), memfd(), unregister(3, 0)),
  row('unregistering where nothing is mapped', 'EINVAL', uffd, api(3), unregister(3, 0)),
  row(
    'unregistering a part at the map limit',
    'ENOMEM',
    map(0, 3),
    uffd,
    api(3),
    register(3, 0, 3),
    full,
    unregister(3, 1),
  ),
];

/** Advice and copies for others. */
const OTHERS: readonly EdgeRow[] = [
  row(
    'MADV_REMOVE of a device',
    'EOPNOTSUPP',
    open('/dev/x', 'read-write', 'device'),
    map(0, 1, RW, mman.MAP_SHARED | mman.MAP_FIXED, 3),
    { call: 'madvise', ...at(0, 1), advice: mman.MADV_REMOVE },
  ),
  row(
    'the same by process_madvise',
    'EOPNOTSUPP',
    open('/dev/x', 'read-write', 'device'),
    map(0, 1, RW, mman.MAP_SHARED | mman.MAP_FIXED, 3),
    advise('self', mman.MADV_REMOVE),
  ),
  row(
    'process_madvise that has to split, at the map limit',
    'EAGAIN',
    map(0, 3),
    full,
    advise('self', mman.MADV_DONTFORK, 1),
  ),
  row('process_madvise of a process that is not there', 'ESRCH', map(0, 1), advise(99, mman.MADV_COLD)),
  row(
    'process_madvise that discards sealed memory',
    'EPERM',
    map(0, 1, mman.PROT_READ),
    seal(0, 1),
    advise('self', mman.MADV_DONTNEED),
  ),
  row(
    'process_madvise of root’s memory by nobody',
    'EACCES',
    map(0, 1),
    fork,
    [nobody, {}, CHILD],
    [advise(TASK, mman.MADV_COLD), {}, CHILD],
  ),
  row(
    'process_vm_readv of root’s memory by nobody',
    'EPERM',
    map(0, 1),
    fork,
    [nobody, {}, CHILD],
    [{ call: 'process_vm', target: TASK, ranges: [at(0, 1)], max: PG, write: false }, {}, CHILD],
  ),
];

/** Files and segments. */
const FILES: readonly EdgeRow[] = [
  row('close of what is not open', 'EBADF', { call: 'close', fd: 9 }),
  row('close_range from behind', 'EINVAL', { call: 'close_range', first: 9, last: 3, flags: 0 }),
  row('memfd_create with an unknown flag', 'EINVAL', memfd(0x800)),
  row('ftruncate of what is not open', 'EBADF', truncate(9, 0)),
  row('ftruncate to less than nothing', 'EINVAL', memfd(), truncate(3, -1)),
  row(
    'ftruncate beyond the largest file',
    'EFBIG',
    open('/f', 'read-write', 'regular'),
    truncate(3, 2 ** 62),
  ),
  row(
    'ftruncate of a file sealed against growth',
    'EPERM',
    memfd(),
    { call: 'add_seals', fd: 3, seals: 4 },
    truncate(3, PG),
  ),
  row('fallocate of what is not open', 'EBADF', allocate(9, 0, PG)),
  row('fallocate of nothing', 'EINVAL', memfd(), allocate(3, 0, 0)),
  row(
    'fallocate beyond the largest file',
    'EFBIG',
    open('/f', 'read-write', 'regular'),
    allocate(3, 2 ** 62, PG),
  ),
  row(
    'fallocate of a file sealed against growth',
    'EPERM',
    memfd(),
    { call: 'add_seals', fd: 3, seals: 4 },
    allocate(3, 0, PG, 0),
  ),
  row('a write to what is not open', 'EBADF', write(9, 0)),
  row('a write before the beginning', 'EINVAL', memfd(), write(3, -PG)),
  row('seals for what is not open', 'EBADF', { call: 'add_seals', fd: 9, seals: 8 }),
  row('fallocate in an unknown mode', 'EOPNOTSUPP', memfd(), allocate(3, 0, PG, 0x80)),
  row('seals for a file on a disk', 'EINVAL', open('/f', 'read-write', 'regular'), {
    call: 'add_seals',
    fd: 3,
    seals: 8,
  }),
  row('seals for what may get none', 'EPERM', memfd(0), { call: 'add_seals', fd: 3, seals: 8 }),
  row(
    'a write to a file that is sealed',
    'EPERM',
    memfd(),
    truncate(3, PG),
    { call: 'add_seals', fd: 3, seals: 8 },
    write(3, 0),
  ),
  row('a segment at an odd address', 'EINVAL', shmget(IPC_PRIVATE, PG, 0), shmat(B + 1)),
  row(
    'a segment that would be locked, beyond RLIMIT_MEMLOCK',
    'EAGAIN',
    shmget(IPC_PRIVATE, 4 * PG, 0),
    { call: 'mlockall', flags: mman.MCL_FUTURE },
    limit(mman.RLIMIT_MEMLOCK, PG),
    nobody,
    shmat(B),
  ),
  row('shmdt where no segment is', 'EINVAL', map(0, 1), { call: 'shmdt', addr: B }),
  row('a segment that there is', 'EEXIST', shmget(5, PG, IPC_CREAT), shmget(5, PG, IPC_CREAT | IPC_EXCL)),
  row('a segment that is smaller', 'EINVAL', shmget(5, PG, IPC_CREAT), shmget(5, 2 * PG, 0)),
  row('a segment that there is not', 'ENOENT', shmget(5, PG, 0)),
  row(
    'an executable segment under MDWE',
    'EACCES',
    shmget(IPC_PRIVATE, PG, 0),
    { call: 'set_mdwe', flags: 1 },
    shmat(B, SHM_EXEC),
  ),
  row('a segment beyond RLIMIT_AS', 'ENOMEM', shmget(IPC_PRIVATE, PG, 0), limit(mman.RLIMIT_AS, 0), shmat(B)),
  row(
    'a segment at an address that is rounded down to 0, not as root',
    'EPERM',
    shmget(IPC_PRIVATE, PG, 0),
    nobody,
    shmat(1, 0o20000),
  ),
  row('a segment attached and detached', 'ok', shmget(IPC_PRIVATE, PG, 0), shmat(B), {
    call: 'shmdt',
    addr: B,
  }),
];

const withSwitch = (features: Partial<Features>, row: EdgeRow): EdgeRow => ({ ...row, features });
/** A row on a machine that scans for empty page tables. */
const scanning = (title: string, gives: string, ...ops: readonly Op[]): EdgeRow =>
  withSwitch({ ptReclaim: 'async' }, row(title, gives, ...ops));

/** Settings. */
const SETTINGS: readonly EdgeRow[] = [
  row('mlock2 by who may lock nothing', 'EPERM', map(0, 1), limit(mman.RLIMIT_MEMLOCK, 0), nobody, {
    call: 'mlock2',
    ...at(0, 1),
    flags: 0,
  }),
  row('PR_SET_MDWE with a flag that needs another', 'EINVAL', { call: 'set_mdwe', flags: 2 }),
  row('PR_SET_MDWE taken back', 'EPERM', { call: 'set_mdwe', flags: 1 }, { call: 'set_mdwe', flags: 0 }),
  row('PR_SET_THP_DISABLE off with a flag', 'EINVAL', { call: 'set_thp_disable', on: false, flags: 2 }),
  row('PR_SET_PT_RECLAIM where nothing scans', 'EINVAL', { call: 'prctl_pt_reclaim', mode: 2 }),
  scanning('PR_SET_PT_RECLAIM', 'ok', { call: 'prctl_pt_reclaim', mode: 2 }),
  scanning('PR_SET_PT_RECLAIM to what there is not', 'EINVAL', { call: 'prctl_pt_reclaim', mode: 3 }),
  row('the file of the scan where nothing scans', 'ENOENT', {
    call: 'pt_scan_write',
    settings: 'interval=50',
  }),
  scanning('settings of the scan', 'ok', { call: 'pt_scan_write', settings: 'interval=50 size=64M' }),
  scanning('a setting of the scan that is none', 'EINVAL', {
    call: 'pt_scan_write',
    settings: 'interval=0',
  }),
  scanning('the file of the scan, not as root', 'EACCES', nobody, {
    call: 'pt_scan_write',
    settings: 'interval=50',
  }),
  row('a name where names are not configured', 'EINVAL', map(0, 1), named(0, 'a')),
  row('a soft limit above the hard one', 'EINVAL', {
    call: 'setrlimit',
    resource: mman.RLIMIT_AS,
    soft: 2,
    hard: 1,
  }),
  row('nobody becomes root', 'EPERM', nobody, { call: 'set_uid', uid: 0 }),
  row('more mappings than RLIMIT_AS has room for', 'ENOMEM', limit(mman.RLIMIT_AS, 2 ** 20), full),
  row('a third way to overcommit', 'EINVAL', { call: 'overcommit', mode: 3 }),
  row('more memory back than there is', 'EAGAIN', { call: 'reclaim', bytes: 2 ** 30 }),
];

const adviseOwn = (page: number, advice: number): Op => ({ call: 'madvise', ...at(page, 1), advice });
const moveAway = (flags: number): Op => ({
  call: 'mremap',
  addr: B,
  oldLen: PG,
  newLen: PG,
  flags: mman.MREMAP_MAYMOVE | mman.MREMAP_FIXED | flags,
  newAddr: B + 9 * PG,
});

const markVolatile = (page: number, pages: number): Op => ({
  call: 'vrange',
  ...at(page, pages),
  mode: 'volatile',
  behavior: 'full',
});

/** What the proposals would do. */
const SWITCHED: readonly EdgeRow[] = [
  withSwitch({ vrange: 'on' }, row('volatile memory with a hole', 'ENOMEM', map(0, 2), markVolatile(0, 3))),
  withSwitch(
    { vrange: 'on' },
    row(
      'volatile memory of a file',
      'EINVAL',
      memfd(),
      truncate(3, PG),
      map(0, 1, RW, mman.MAP_SHARED | mman.MAP_FIXED, 3),
      markVolatile(0, 1),
    ),
  ),
  row('volatile memory without the proposal', 'ENOSYS', map(0, 1), markVolatile(0, 1)),
  withSwitch(
    { anonVmaName: 'on' },
    row(
      'names that differ, and one like its neighbour',
      'ok',
      map(0, 3),
      named(0, 'a'),
      named(2, 'b'),
      named(1, 'a'),
      named(2, 'c'),
    ),
  ),
  withSwitch(
    { anonVmaName: 'on' },
    row('a name that takes the rest of a vma away', 'ok', map(0, 2), named(0, 'a'), named(1, 'a')),
  ),
  withSwitch(
    { anonVmaName: 'on' },
    row(
      'a name for a file',
      'EBADF',
      memfd(),
      truncate(3, PG),
      map(0, 1, RW, mman.MAP_SHARED | mman.MAP_FIXED, 3),
      named(0, 'a'),
    ),
  ),
  withSwitch({ anonVmaName: 'on' }, row('a name for nothing', 'ENOMEM', named(0, 'a'))),
  withSwitch(
    { mergeAcrossAnonVma: 'on' },
    row(
      'neighbours that fork shares: below',
      'ok',
      map(0, 2),
      adviseOwn(1, mman.MADV_RANDOM),
      touch(0, 'write'),
      touch(1, 'write'),
      fork,
      adviseOwn(1, mman.MADV_NORMAL),
    ),
  ),
  withSwitch(
    { mergeAcrossAnonVma: 'on' },
    row(
      'neighbours that fork shares: above',
      'ok',
      map(0, 2),
      adviseOwn(0, mman.MADV_RANDOM),
      touch(0, 'write'),
      touch(1, 'write'),
      fork,
      adviseOwn(0, mman.MADV_NORMAL),
    ),
  ),
  withSwitch(
    { mergeAcrossAnonVma: 'on' },
    row(
      'neighbours that fork shares: both',
      'ok',
      map(0, 3),
      adviseOwn(1, mman.MADV_RANDOM),
      touch(0, 'write'),
      touch(2, 'write'),
      fork,
      adviseOwn(1, mman.MADV_NORMAL),
    ),
  ),
  withSwitch(
    { mremapRelocateAnon: 'on' },
    row('a move that relocates', 'ok', map(0, 1), touch(0, 'write'), moveAway(mman.MREMAP_RELOCATE_ANON)),
  ),
  withSwitch(
    { mremapRelocateAnon: 'on' },
    row(
      'a move that has to relocate what fork shares',
      'EFAULT',
      map(0, 1),
      touch(0, 'write'),
      fork,
      moveAway(mman.MREMAP_RELOCATE_ANON | mman.MREMAP_MUST_RELOCATE_ANON),
    ),
  ),
];

/** All rows. */
export const EDGE_ROWS: readonly EdgeRow[] = [
  ...VMAS,
  ...UFFD,
  ...OTHERS,
  ...FILES,
  ...SETTINGS,
  ...SWITCHED,
];
