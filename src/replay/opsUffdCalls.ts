/**
 * The calls of an ops file on userfaultfds (u0, u1, …) and pagemap.
 *
 *   userfaultfd(O_CLOEXEC|O_NONBLOCK)          uffd_read(u0, 3)          close(u0)
 *   ioctl(u0, UFFDIO_COPY, {dst=0x200000001000, src=buf, len=8192, mode=0x0})          ioctl(u0, UFFDIO_WAKE, NULL)
 *   ioctl(pagemap child 1, PAGEMAP_SCAN, {size=96, flags=0x0, …})
 *
 * A source `buf`, `buf+8` is memory outside the window that is full of the operation's stamp; `bufend-4096` the last bytes of it before memory that
 * is not there.
 */
import { PAGE_SIZE } from '../base/units.ts';
import type { Op } from '../machine/op.ts';
import type { CopyBuffer, UffdIoctlName, UffdRequest } from '../machine/uffdOp.ts';
import type { ScanRequest } from '../mm/index.ts';
import type { Call, OpsLine } from './opsCalls.ts';
import { CHILD, UFFD_FD } from './opsSnapshot.ts';
import type { CallText } from './straceArgs.ts';

/** Added to the number of an operation in what COPY fills pages with from its buffer. */
const BUFFER_STAMP = 0x20_0000;
/** Where the buffer is, for the checks of its address; it lies at the end of an area of so many bytes, below memory that is not there. */
const BUFFER = 0x3000_0000_0000;
const BUFFER_BYTES = 0x100_0000;

const IOCTLS: readonly UffdIoctlName[] = [
  'UFFDIO_API',
  'UFFDIO_REGISTER',
  'UFFDIO_UNREGISTER',
  'UFFDIO_WAKE',
  'UFFDIO_WRITEPROTECT',
  'UFFDIO_ZEROPAGE',
  'UFFDIO_CONTINUE',
  'UFFDIO_POISON',
  'UFFDIO_COPY',
  'UFFDIO_MOVE',
];

const uffd = (a: CallText): number => UFFD_FD + Number(a.text(0).slice(1));
const field = (a: CallText, name: string): number => a.number(a.member(2, name));

/** Where a COPY or MOVE takes its pages from. */
function source(a: CallText, number: number): { readonly src: number; readonly buffer?: CopyBuffer } {
  const i = a.member(2, 'src');
  const text = a.text(i);
  const found = /^buf(?:\+(\d+)|end-(\d+))?$/.exec(text);
  if (found === null) {
    if (a.startsWithLetter(i)) a.fail(i, 'an address, buf, buf+BYTES or bufend-BYTES');
    return { src: a.number(i) };
  }
  const stamp = number + BUFFER_STAMP;
  const end = found[2] === undefined ? null : Number(found[2]);
  const bytes = end ?? BUFFER_BYTES - Number(found[1] ?? 0);
  return { src: BUFFER + BUFFER_BYTES - bytes, buffer: { stamp, bytes: bytes - (bytes % PAGE_SIZE) } };
}

function request(a: CallText, name: UffdIoctlName, number: number): UffdRequest | null {
  if (a.isNull(2)) return null;
  if (!a.isOpened(2)) a.fail(2, 'a structure, or NULL');
  switch (name) {
    case 'UFFDIO_API':
      return { name, api: field(a, 'api'), features: field(a, 'features') };
    case 'UFFDIO_UNREGISTER':
    case 'UFFDIO_WAKE':
      return { name, start: field(a, 'start'), len: field(a, 'len') };
    case 'UFFDIO_COPY':
    case 'UFFDIO_MOVE':
      return {
        name,
        dst: field(a, 'dst'),
        ...source(a, number),
        len: field(a, 'len'),
        mode: field(a, 'mode'),
      };
    case 'UFFDIO_REGISTER':
    case 'UFFDIO_WRITEPROTECT':
    case 'UFFDIO_ZEROPAGE':
    case 'UFFDIO_CONTINUE':
    case 'UFFDIO_POISON':
      return { name, start: field(a, 'start'), len: field(a, 'len'), mode: field(a, 'mode') };
  }
}

function scanRequest(a: CallText): ScanRequest | null {
  if (a.isNull(2)) return null;
  if (!a.isOpened(2)) a.fail(2, 'a structure, or NULL');
  const vec = a.text(a.member(2, 'vec'));
  if (vec !== 'set' && vec !== '0') a.fail(a.member(2, 'vec'), 'vec=set or vec=0');
  return {
    size: field(a, 'size'),
    flags: field(a, 'flags'),
    start: field(a, 'start'),
    end: field(a, 'end'),
    vec: vec === 'set' ? 'set' : 'none',
    vecLen: field(a, 'vec_len'),
    maxPages: field(a, 'max_pages'),
    inverted: field(a, 'inverted'),
    mask: field(a, 'mask'),
    anyof: field(a, 'anyof'),
    returned: field(a, 'return'),
  };
}

function ioctl(a: CallText, { number }: OpsLine): Op {
  const name = a.text(1);
  const who = a.text(0);
  if (name === 'PAGEMAP_SCAN') {
    if (!who.startsWith('pagemap ')) a.fail(0, 'pagemap self, or pagemap child and a number');
    const child = /^pagemap child (\d+)$/.exec(who);
    return {
      call: 'pagemap_scan',
      target: child === null ? 'self' : CHILD + Number(child[1]),
      request: scanRequest(a),
    };
  }
  const known = IOCTLS.find((each) => each === name);
  if (known === undefined) return a.fail(1, `PAGEMAP_SCAN, ${IOCTLS.join(', ')}`);
  if (!who.startsWith('u')) a.fail(0, 'u and the number of a userfaultfd');
  return { call: 'uffd_ioctl', fd: uffd(a), name: known, request: request(a, known, number) };
}

/** The calls. */
export const UFFD_CALLS: readonly (readonly [name: string, call: Call])[] = [
  ['userfaultfd', { args: 1, decode: (a) => ({ call: 'userfaultfd', flags: a.flags(0) }) }],
  ['close', { args: 1, named: [0, 'uffd'], decode: (a) => ({ call: 'close', fd: uffd(a) }) }],
  [
    'uffd_read',
    {
      args: 2,
      named: [0, 'uffd'],
      decode: (a) => ({ call: 'uffd_read', fd: uffd(a), times: a.number(1) }),
    },
  ],
  ['ioctl', { args: 3, named: [0, 'target'], decode: ioctl }],
];
