/**
 * Mutants of what swap and userfaultfd bring: entries in swap, protection, markers, who is woken, what comes first.
 */
import { type Mutant, mutant } from './mutant.ts';

/** Found with mode swap. */
export const SWAP: readonly Mutant[] = [
  mutant('swap', 'swap-exclusive-lost', 'A page that goes to swap is no longer known to be of one process.', [
    'mm/madvisePages.ts',
    'pages.set(addr, SWAP | (low & (EXCLUSIVE | UFFD_WP | SOFT_DIRTY)), slot);',
    'pages.set(addr, SWAP | (low & (UFFD_WP | SOFT_DIRTY)), slot);',
  ]),
  mutant('swap', 'swap-exclusive-fork', 'fork leaves entries in swap to the parent alone.', [
    'mm/copyPages.ts',
    'return (low & ~EXCLUSIVE) | ((low & ~(dropped | EXCLUSIVE)) << COPY);',
    'return low | ((low & ~(dropped | EXCLUSIVE)) << COPY);',
  ]),
  mutant('swap', 'swap-count-fork', 'fork does not count the entries in swap of the child.', [
    'mm/copyPages.ts',
    'child.nrSwap += swapped;',
    '',
  ]),
  mutant('swap', 'pageout-shared', 'PAGEOUT takes pages that another process maps too.', [
    'mm/madvisePages.ts',
    `if (!frames.isLarge(pfn) && frames.mapcount(pfn) !== 1) return;
      frames.clearAccessed(pfn);
      if (frames.isAnon(pfn)) pageOut(mm, vma, addr);`,
    `frames.clearAccessed(pfn);
      if (frames.isAnon(pfn)) pageOut(mm, vma, addr);`,
  ]),
  mutant('swap', 'swap-cache-read', 'A page that was read back stays in no swap cache.', [
    'mm/swapFault.ts',
    'if (cached === 0 && (swap.count(slot) > 1 || swap.readAtOnce > 1)) swap.cache(frames, slot, pfn);',
    '',
  ]),
  mutant('swap', 'swap-free-kept', 'MADV_FREE keeps what is in swap.', [
    'mm/lazyFree.ts',
    'if (kind !== SWAP && (kind !== MARKER ||',
    'if ((kind !== MARKER ||',
  ]),
  mutant('swap', 'pageout-lazy', 'PAGEOUT writes out at once what was freed lazily and written since.', [
    'mm/madvisePages.ts',
    'frames.setFlags(pfn, FRAME_SWAPBACKED | FRAME_DIRTY);\n    return;\n  }\n  const kept',
    'frames.setFlags(pfn, FRAME_SWAPBACKED | FRAME_DIRTY);\n  }\n  const kept',
  ]),
];

/** Found with mode uffd. */
export const UFFD: readonly Mutant[] = [
  mutant('uffd', 'move-keeps-wp', 'A page that MOVE takes along stays write-protected.', [
    'mm/uffdMovePage.ts',
    'settle(mm, move, PRESENT | writeBit(areas.target) | YOUNG | EXCLUSIVE | dirty, pfn);',
    'settle(mm, move, PRESENT | (low & UFFD_WP ? UFFD_WP : writeBit(areas.target)) | YOUNG | EXCLUSIVE | dirty, pfn);',
  ]),
  mutant('uffd', 'move-marker', 'MOVE finds nothing where there is a marker.', [
    'mm/uffdMovePage.ts',
    "return refused(EFAULT, 'not-movable');\n  }\n}",
    "return refused(ENOENT, 'no-page');\n  }\n}",
  ]),
  mutant('uffd', 'copy-marker', 'COPY stops at a marker.', [
    'mm/uffdFillPage.ts',
    "if (low !== NONE && !(kind === 'copy' && low === MARKER)) return",
    'if (low !== NONE) return',
  ]),
  mutant('uffd', 'poison-guard', 'POISON leaves guard markers.', [
    'mm/uffdFillPage.ts',
    'mm.pages.set(addr, MARKER, MARKER_POISON);',
    'mm.pages.set(addr, MARKER, 4);',
  ]),
  mutant('uffd', 'swap-unprotected', 'WRITEPROTECT forgets pages that are in swap.', [
    'mm/uffdProtect.ts',
    'if (kind === SWAP) return on ? low | UFFD_WP : low & ~UFFD_WP;',
    'if (kind === SWAP) return low;',
  ]),
  mutant('uffd', 'marker-always', 'Anonymous memory that is not there is protected for everybody.', [
    'mm/uffdProtect.ts',
    "vma.uffd?.has(UFFD_FEATURE_WP_UNPOPULATED) === true ? mm.kernel.features.wpUnpopulated : 'off';",
    'mm.kernel.features.wpUnpopulated;',
  ]),
  mutant('uffd', 'wake-beside', 'Who waits for the page behind the range is woken too.', [
    'mm/uffdContext.ts',
    'message.addr >= start && message.addr < end) this.#release(wait);',
    'message.addr >= start && message.addr <= end) this.#release(wait);',
  ]),
  mutant('uffd', 'wake-other', 'UFFDIO_WAKE wakes who waits for the context that watches the page.', [
    'machine/uffdCalls.ts',
    'context.wake(range.start, range.len);',
    '(context.mm.vmas.at(range.start)?.uffd ?? context).wake(range.start, range.len);',
  ]),
  mutant(
    'uffd',
    'move-just-own',
    'MOVE takes a written page that a child had, too, once the child is gone.',
    [
      'mm/uffdMovePage.ts',
      '? (low & EXCLUSIVE) !== 0 && !mm.kernel.frames.isPinned(pfn)',
      '? (low & (EXCLUSIVE | DIRTY)) !== 0 && mm.kernel.frames.mapcount(pfn) <= 1 && !mm.kernel.frames.isPinned(pfn)',
    ],
  ),
  mutant('uffd', 'event-first', 'An event is read before a fault that waits.', [
    'mm/uffdContext.ts',
    'const fault = this.#faults.shift();\n    if (fault !== undefined) {',
    'const fault = this.#events.length > 0 ? undefined : this.#faults.shift();\n    if (fault !== undefined) {',
  ]),
  mutant('uffd', 'changing-ignored', 'Ioctls do not mind an event that was not read.', [
    'mm/uffdContext.ts',
    'return this.changing > 0;',
    'return false;',
  ]),
  mutant('uffd', 'protect-no-wake', 'Taking protection away wakes nobody.', [
    'mm/uffdProtect.ts',
    'if (mode === 0) context.wake(start, len);',
    '',
  ]),
  mutant('uffd', 'fork-keeps-marker', 'A child that is not watched has the marks of its parent.', [
    'mm/copyPages.ts',
    'return high === MARKER_UFFD_WP && !what.keepsWp ? low : low | (MARKER << COPY);',
    'return low | (MARKER << COPY);',
  ]),
];
