/**
 * Edges of userfaultfd and PAGEMAP_SCAN that neither recorded sequences nor cases reach as operations; rows as in edgeRows.ts.
 */
import * as mman from '../../src/abi/mman.ts';
import type { Op, UffdRequest } from '../../src/machine/index.ts';
import type { EdgeRow } from './edgeRows.ts';

const B = 0x2000_0000_0000;
const PG = 4096;
const CHILD = 7;
const FLAGS = mman.MAP_PRIVATE | mman.MAP_ANONYMOUS | mman.MAP_FIXED;

const map: Op = { call: 'mmap', addr: B, len: 4 * PG, prot: 3, flags: FLAGS, fd: -1, offset: 0 };
const open = (flags = 0): Op => ({ call: 'userfaultfd', flags });
const read = (fd: number, times = 1): Op => ({ call: 'uffd_read', fd, times });
const scan = (target: 'self' | number, end = B + PG): Op => ({
  call: 'pagemap_scan',
  target,
  request: {
    size: 96,
    flags: 0,
    start: B,
    end,
    vec: 'none',
    vecLen: 0,
    maxPages: 0,
    inverted: 0,
    mask: 0,
    anyof: 0,
    returned: 0,
  },
});
/** The descriptor of the first userfaultfd. */
const FD = 3;
const ask = (request: UffdRequest, fd = FD): Op => ({ call: 'uffd_ioctl', fd, name: request.name, request });
const api = (features = 0): Op => ask({ name: 'UFFDIO_API', api: 0xaa, features });
const register = (page: number, pages: number, mode = 1, fd = FD): Op =>
  ask({ name: 'UFFDIO_REGISTER', start: B + page * PG, len: pages * PG, mode }, fd);

const row = (title: string, gives: string, ...ops: readonly Op[]): EdgeRow => ({
  title,
  gives,
  ops: ops.map((op) => [op] as const),
});

/** The rows. */
export const UFFD_EDGE_ROWS: readonly EdgeRow[] = [
  row('userfaultfd with an unknown flag', 'EINVAL', open(0x10)),
  row('userfaultfd by nobody', 'EPERM', { call: 'set_uid', uid: 65534 }, open()),
  row('reading what is not open', 'EBADF', read(9)),
  row('reading before UFFDIO_API', 'EINVAL', open(), read(FD)),
  row('reading where nothing is', 'EAGAIN', open(), api(), read(FD)),
  row('an ioctl on what is not open', 'EBADF', api()),
  row('an ioctl on another file', 'ENOTTY', { call: 'memfd_create', name: 'm', flags: 0 }, api()),
  row(
    'registering a part at the map limit by its ioctl',
    'ENOMEM',
    map,
    open(),
    api(),
    { call: 'fill_maps', room: 0 },
    register(1, 1),
  ),
  row('EVENT_FORK by nobody', 'EPERM', { call: 'set_uid', uid: 65534 }, open(1), api(2)),
  row(
    'registering what another has, by its ioctl',
    'EBUSY',
    map,
    open(),
    api(),
    open(),
    register(0, 4),
    ask({ name: 'UFFDIO_API', api: 0xaa, features: 0 }, 4),
    register(0, 4, 1, 4),
  ),
  {
    title: 'COPY into memory of a child that has ended',
    gives: 'ESRCH',
    ops: [
      [map],
      [{ call: 'clone', flags: mman.CLONE_FILES | 17, child: CHILD }],
      [open(), {}, CHILD],
      [api(), {}, CHILD],
      [{ call: 'exit_group' }, {}, CHILD],
      [ask({ name: 'UFFDIO_ZEROPAGE', start: B, len: PG, mode: 0 })],
    ],
  },
  row('scanning a process that is not there', 'ESRCH', scan(99)),
  row('scanning from behind', 'EFAULT', map, scan('self', B - PG)),
];
