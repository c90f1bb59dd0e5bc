/**
 * System V shared memory: which segment a key or an id means. Attaching one is a mapping (mm/shm.ts).
 *
 * Linux   ipc/shm.c: newseg; ipc/util.c: ipcget
 */
import { EEXIST, EINVAL, ENOENT } from '../abi/errno.ts';
import { IPC_CREAT, IPC_EXCL, IPC_PRIVATE } from '../abi/ipc.ts';
import { PAGE_SIZE } from '../base/units.ts';
import type { Machine } from './machine.ts';
import type { Chosen, Op } from './op.ts';
import { failure, type Outcome } from './outcome.ts';
import type { Segment } from './process.ts';

/** shmget(2): the segment of a key, or a new one. A recording that tells the id knows better than we whether there was one. */
export function shmget(machine: Machine, op: Extract<Op, { call: 'shmget' }>, chosen: Chosen): Outcome {
  const { segments } = machine;
  const { key, size, flags } = op;
  const known = segmentOf(segments, key, chosen.handle);
  if (known !== null && chosen.handle === undefined) {
    if (flags & IPC_CREAT && flags & IPC_EXCL) return failure(EEXIST, 'exists');
    if (size > (known.object.size ?? 0)) return failure(EINVAL, 'bad-length');
  }
  if (known !== null) return { kind: 'value', value: known.id, why: 'ok' };
  if (chosen.handle === undefined && key !== IPC_PRIVATE && (flags & IPC_CREAT) === 0)
    return failure(ENOENT, 'no-such-segment');
  const isNew = key === IPC_PRIVATE || (flags & IPC_CREAT && flags & IPC_EXCL) !== 0;
  if (size === 0 && (chosen.handle === undefined || isNew)) return failure(EINVAL, 'bad-length');
  const id = chosen.handle ?? segments.size;
  const object = machine.kernel.newFileObject({
    path: `/SYSV${(key >>> 0).toString(16).padStart(8, '0')} (deleted)`,
    kind: 'sysv',
    size: Math.ceil(size / PAGE_SIZE) * PAGE_SIZE,
    dev: '00:01',
    inode: id,
  });
  segments.set(id, { id, key, object });
  return { kind: 'value', value: id, why: 'ok' };
}

/** Returns the segment with this id, or with this key where no id is told. */
function segmentOf(
  segments: ReadonlyMap<number, Segment>,
  key: number,
  id: number | undefined,
): Segment | null {
  if (id !== undefined) {
    const segment = segments.get(id);
    return segment?.key === key ? segment : null;
  }
  if (key === IPC_PRIVATE) return null;
  for (const segment of segments.values()) if (segment.key === key) return segment;
  return null;
}
