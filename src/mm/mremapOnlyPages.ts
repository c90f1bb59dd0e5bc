/**
 * mremap with MREMAP_ONLYPAGES (seed 000, option B; no kernel has it): pages change their place and no vma does.
 *
 * It is UFFDIO_MOVE without a userfaultfd context: the same checks of the two vmas but for registration, the same rules for each page. Both ranges are
 * mapped already. mmap_lock is only read. Nobody is told of it and nobody is woken: who waits for one of the pages goes on after UFFDIO_WAKE.
 *
 *   all moved ............ the new address
 *   some moved ........... EAGAIN; how many tells the event `pagesMove`, because mremap has no field for it
 *   none moved ........... the errno of the first page
 *   `on`                   source and target are one vma each, as with MOVE
 *   `manyVmas`             they may span several, if each pair of vmas passes the checks; all are asked before a page is moved
 *
 * Cost    linear in pages
 * Source  seed 000; spec/userfaultfd.md 15.2 (proposed semantics: the thread names the flag and no more)
 */
import { EAGAIN, EFAULT, EINVAL } from '../abi/errno.ts';
import { MREMAP_FIXED, MREMAP_MAYMOVE, MREMAP_ONLYPAGES, MREMAP_ONLYPAGES_HOLES } from '../abi/mman.ts';
import { type Addr, isPageAligned, TASK_SIZE } from '../base/units.ts';
import type { Mm } from './mm.ts';
import type { MremapRequest } from './mremap.ts';
import { OK, ok, refused, type SysResult } from './result.ts';
import { areasVerdict, findAreas, type MoveAreas, movePagesBetween } from './uffdMove.ts';

/** Tells whether the kernel knows the flag. */
export const canMoveOnlyPages = (mm: Mm): boolean => mm.kernel.features.mremapOnlyPages !== 'off';

/** Tells whether the two ranges may span several vmas. */
const maySpanVmas = (mm: Mm): boolean => mm.kernel.features.mremapOnlyPages === 'manyVmas';

/** Checks that need no vma. */
function parametersVerdict({ addr, oldLen, newLen, flags, newAddr }: MremapRequest): SysResult {
  const needed = MREMAP_FIXED | MREMAP_MAYMOVE | MREMAP_ONLYPAGES;
  if ((flags & ~MREMAP_ONLYPAGES_HOLES) !== needed) return refused(EINVAL, 'bad-flags');
  if (oldLen !== newLen || oldLen <= 0 || !isPageAligned(oldLen)) return refused(EINVAL, 'bad-length');
  if (!isPageAligned(addr) || !isPageAligned(newAddr)) return refused(EINVAL, 'unaligned');
  return oldLen > TASK_SIZE - addr || oldLen > TASK_SIZE - newAddr ? refused(EINVAL, 'bad-range') : OK;
}

/** A part of the move that lies in one vma on either side; bytes from the start of both ranges. */
interface Part {
  readonly areas: MoveAreas;
  readonly from: number;
  readonly len: number;
}

/** Returns the parts of a move, all of which are allowed, or why one is not. */
function partsOf(mm: Mm, source: Addr, start: Addr, len: number): readonly Part[] | SysResult {
  const parts: Part[] = [];
  for (let from = 0; from < len; ) {
    const areas = findAreas(mm, start + from, source + from);
    if ('why' in areas) return refused(EFAULT, areas.why);
    const fits = Math.min(areas.source.end - source - from, areas.target.end - start - from, len - from);
    const part = maySpanVmas(mm) ? fits : len - from;
    const range = { start: start + from, source: source + from, len: part };
    const allowed = areasVerdict(areas, range, 'move', true);
    if (allowed.why !== 'ok') return allowed;
    parts.push({ areas, from, len: part });
    from += part;
  }
  return parts;
}

/**
 * mremap(old, len, len, MREMAP_FIXED|MREMAP_MAYMOVE|MREMAP_ONLYPAGES, new).
 * @param request  flags may have MREMAP_ONLYPAGES_HOLES too: what is not there counts as moved
 * @returns        the new address
 * Refusals   EINVAL bad-flags, bad-length, unaligned, bad-range, and what `areasVerdict` refuses · EFAULT not-mapped; not-movable (markers) ·
 *            ENOENT no-page · EEXIST page-exists · EBUSY not-movable (shared) · EAGAIN partial
 * Events     pagesMove
 */
export function moveOnlyPages(mm: Mm, request: MremapRequest): SysResult {
  const wrong = parametersVerdict(request);
  if (wrong.why !== 'ok') return wrong;
  const { addr: source, newAddr: start, oldLen: len } = request;
  const parts = partsOf(mm, source, start, len);
  if ('why' in parts) return parts;
  const holes = (request.flags & MREMAP_ONLYPAGES_HOLES) !== 0;
  let moved = 0;
  let stopped = OK;
  for (const part of parts) {
    const range = { start: start + part.from, source: source + part.from, len: part.len };
    const done = movePagesBetween(mm, part.areas, { ...range, holes, rules: 'move' });
    moved += done.moved;
    stopped = done.stopped;
    if (stopped.why !== 'ok') break;
  }
  mm.kernel.emit?.({
    kind: 'pagesMove',
    op: mm.kernel.opNr,
    mm: mm.id,
    from: source,
    to: start,
    len,
    moved,
    stopped: stopped.why,
  });
  if (moved === len) return ok(start);
  return moved === 0 ? stopped : refused(EAGAIN, 'partial');
}
