/**
 * The ring that io_setup maps: a shared mapping of a nameless file, visible in maps as `/[aio] (deleted)`.
 *
 * Linux   fs/aio.c: ioctx_alloc, aio_setup_ring
 */
import { type Addr, PAGE_SIZE } from '../base/units.ts';
import { mapRegion } from '../mm/mmap.ts';
import { settlePlacement } from '../mm/placement.ts';
import { getUnmappedArea } from '../mm/unmappedArea.ts';
import { VM_DONTEXPAND, VM_MAY_ALL, VM_MAYSHARE, VM_READ, VM_SHARED, VM_WRITE } from '../mm/vmFlags.ts';
import type { Caller } from './memoryCalls.ts';
import { type Outcome, outcomeOf } from './outcome.ts';

/** Bytes of the ring's header and of one event. */
const HEADER_BYTES = 32;
const EVENT_BYTES = 32;
/** The kernel asks for four events a CPU at least; the machine that was measured has two. */
const MIN_EVENTS = 8;

/** Maps the ring for `nrEvents`; the result of the call (0) says nothing about where. */
export function ioSetup(caller: Caller, nrEvents: number, chosen: Addr | null): Outcome {
  const { mm } = caller;
  const events = Math.max(nrEvents, MIN_EVENTS) * 2 + 2;
  const len = Math.ceil((HEADER_BYTES + EVENT_BYTES * events) / PAGE_SIZE) * PAGE_SIZE;
  const object = mm.kernel.newFileObject({ path: '/[aio] (deleted)', kind: 'other', size: len });
  const place = getUnmappedArea(mm, {
    hint: 0,
    len,
    fixed: false,
    shared: true,
    object,
    offset: 0,
    low32: false,
    above4G: false,
  });
  if (typeof place !== 'number') return outcomeOf(place);
  const start = settlePlacement(mm, { predicted: place, chosen, len });
  const file = mm.kernel.openFile(object, { readable: true, writable: true });
  const vmFlags = VM_READ | VM_WRITE | VM_MAY_ALL | VM_SHARED | VM_MAYSHARE | VM_DONTEXPAND;
  const mapped = mapRegion(mm, { start, len, vmFlags, file, pgoff: 0 });
  return mapped.why === 'ok' ? { kind: 'value', value: 0, why: 'ok' } : outcomeOf(mapped);
}
