/**
 * Mutants about page tables: who frees them, who keeps them, who makes them. All of them leave every page where it is; only VmPTE shows them.
 */
import { type Mutant, mutant } from './mutant.ts';

/** Of mode `ptreclaim`. */
export const PTRECLAIM: readonly Mutant[] = [
  mutant(
    'ptreclaim',
    'table-of-a-part',
    'MADV_DONTNEED of a part of 2 MiB frees the table that it leaves empty.',
    [
      'mm/zap.ts',
      'options.reclaimTables && slotIsWhole && (pmd',
      'options.reclaimTables && (slotIsWhole || true) && (pmd',
    ],
  ),
  mutant('ptreclaim', 'table-empty-before', 'MADV_DONTNEED leaves a table that was empty already.', [
    'mm/zap.ts',
    'if (!shouldFreeTable(mm.kernel, options, whole, pages.pmd(base))) return;',
    'if ((pmd & KIND_MASK) === EMPTY_TABLE || !shouldFreeTable(mm.kernel, options, whole, pages.pmd(base))) return;',
  ]),
  mutant(
    'ptreclaim',
    'table-beside-nothing',
    'munmap of half a table leaves it although nobody needs the other half.',
    [
      'mm/tableTree.ts',
      'if (base >= floor && base + PMD_SIZE <= ceiling) this.freeTable(base);',
      'if (base >= floor && base + PMD_SIZE <= ceiling && base >= start && base + PMD_SIZE <= end) this.freeTable(base);',
    ],
  ),
  mutant('ptreclaim', 'table-above', 'With its last table the page of the level above goes, too.', [
    'mm/ptReclaim.ts',
    '  tlb.freedTable(base, base + PMD_SIZE);\n}',
    '  tlb.freedTable(base, base + PMD_SIZE);\n  freeUpperAt(mm, base);\n}',
  ]),
  mutant('ptreclaim', 'table-not-inherited', 'A child gets no table for an empty one.', [
    'mm/copyPages.ts',
    'if (child.pages.makeTable(base)) countCopy(parent, base);',
    'if (parent.pages.nrUsed(base) === 0) return;\n      child.pages.makeTable(base);',
  ]),
  mutant('ptreclaim', 'table-of-a-hole', 'A hole punched into a file frees tables, too.', [
    'mm/pageCache.ts',
    'reclaimTables: false, keepAnon',
    'reclaimTables: true, keepAnon',
  ]),
  mutant('ptreclaim', 'table-of-guards', 'Taking guards away frees the tables that it leaves empty.', [
    'mm/madvisePages.ts',
    `    return NONE;
  });
  return OK;
}

/** MADV_REMOVE:`,
    `    return NONE;
  });
  mm.pages.forEachSlot(range.start, range.end, (base, pmd) => {
    if ((pmd & KIND_MASK) === 7 && range.start <= base && base + PMD_SIZE <= range.end) mm.pages.freeTable(base);
  });
  return OK;
}

/** MADV_REMOVE:`,
  ]),
  mutant('ptreclaim', 'table-moved-from', 'mremap frees the table whose last entry it moves away.', [
    'mm/movePages.ts',
    'kernel.work.count(FACT.ptesMoved, pages.moveEntries(from, to, len));',
    `kernel.work.count(FACT.ptesMoved, pages.moveEntries(from, to, len));
  if ((pages.pmd(from) & 7) === 7) pages.freeTable(from - (from % PMD_SIZE));`,
  ]),
  mutant('ptreclaim', 'table-not-put-aside', 'A huge page has no table put aside for it.', [
    'mm/tableTree.ts',
    '    if ((low & NO_DEPOSIT) === 0) this.#countTable(1);',
    '',
  ]),
  mutant(
    'ptreclaim',
    'table-with-huge-page',
    'What replaces small pages by a huge one gives their table back.',
    ['mm/tableTree.ts', '    this.empties.covered(base, true);\n', '    this.#countTable(-1);\n'],
  ),
];
