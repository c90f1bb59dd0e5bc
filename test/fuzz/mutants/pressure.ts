/**
 * Mutants of what happens when memory is asked back: what must stay, what must go, and how.
 */
import { type Mutant, mutant } from './mutant.ts';

const FOLIO = 'mm/shrinkFolio.ts';

/** Found with mode pressure. */
export const PRESSURE: readonly Mutant[] = [
  mutant('pressure', 'reclaim-locked', 'Pages that are locked in memory go.', [
    FOLIO,
    'isLocked = true;',
    'isLocked = false;',
  ]),
  mutant('pressure', 'reclaim-unlocked', 'Pages that were locked in memory once stay for ever.', [
    'mm/vmscan.ts',
    'while (group.last(LRU.unevictable) !== 0) {',
    'while (group.index < 0) {',
  ]),
  mutant('pressure', 'reclaim-young', 'Pages that were used once stay for ever.', [
    FOLIO,
    'pages.setLow(addr, low & ~YOUNG);',
    '',
  ]),
  mutant(
    'pressure',
    'reclaim-lazy-written',
    'Pages that were freed lazily go although they were written since.',
    [
      FOLIO,
      'if (mm.pages.low(addr) & DIRTY) frames.setFlags(pfn, FRAME_DIRTY);\n    if (frames',
      'if (frames',
    ],
  ),
  mutant('pressure', 'reclaim-lazy-kept', 'Pages that were freed lazily stay.', [
    FOLIO,
    'if ((flags & (FRAME_ANON | FRAME_SWAPBACKED)) === FRAME_ANON)',
    'if (flags === -1)',
  ]),
  mutant('pressure', 'reclaim-droppable', 'Droppable pages that were written stay.', [
    FOLIO,
    'if (frames.flags(pfn) & FRAME_DIRTY && (vma.flags & VM_DROPPABLE) === 0) {',
    'if (frames.flags(pfn) & FRAME_DIRTY) {',
  ]),
  mutant(
    'pressure',
    'reclaim-exclusive',
    'A page that goes to swap is no longer known to be of one process.',
    [
      FOLIO,
      'mm.pages.set(addr, SWAP | (low & (EXCLUSIVE | UFFD_WP | SOFT_DIRTY)), slot);',
      'mm.pages.set(addr, SWAP | (low & (UFFD_WP | SOFT_DIRTY)), slot);',
    ],
  ),
  mutant('pressure', 'reclaim-first-only', 'A page that several processes have stays.', [
    FOLIO,
    'if (frames.isPinned(pfn) || places.length !== frames.mapcount(pfn)',
    'if (places.length > 1',
  ]),
  mutant('pressure', 'reclaim-shared-clean', 'Pages of shared memory that were never written go to swap.', [
    FOLIO,
    'if (isDirty) kernel.cache.swapOut(object, index);\n  else kernel.cache.evict(object, index);',
    'kernel.cache.swapOut(object, index);',
  ]),
  mutant('pressure', 'reclaim-huge-zeros', 'Of a huge page that goes to swap pages of zeros are spared.', [
    FOLIO,
    'if (mayGoWhole(kernel, head)) dissolveFolio({ kernel }, head);\n  else splitFolio',
    'splitFolio',
  ]),
  mutant(
    'pressure',
    'reclaim-lock-missed',
    'A page that is read from swap into locked memory is locked with it.',
    ['mm/swapFault.ts', 'if (vma.flags & VM_LOCKED) frames.setFlags(pfn, FRAME_LOCK_MISSED);', ''],
  ),
  mutant(
    'pressure',
    'reclaim-behind-end',
    'A mapping of a whole file is not told what lies behind its end.',
    ['mm/smaps.ts', 'if (!hasCopies && vma.pgoff === 0 && object.size', 'if (vma.pgoff < 0 && object.size'],
  ),
  mutant('pressure', 'reclaim-set-aside', 'What was set aside of shared memory does not go to swap.', [
    'mm/vmscan.ts',
    'if (this.kernel.swap.hasRoom) this.kernel.cache.materialiseReserved();',
    '',
  ]),
];
