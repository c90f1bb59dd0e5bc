/**
 * The decision table of seed 004: what is left of each situation on 6.18, with each half of the proposal, with both, and with its successor.
 *
 * Rows follow spec/vma.md 15.5 with its footnotes (¹ ² ³). Column B is what the running kernel does; the columns of the proposals say
 * what the cover letter and the patch texts mean, not what the posted code does where it contradicts them
 * (docs/proposals/anon-vma-merge.md). A cell is the number of vmas left, or where a row is about the page offset of the moved vma whether
 * it is `kept` or `new`, or the errno of a move.
 */
import { MREMAP_MUST_RELOCATE_ANON, MREMAP_RELOCATE_ANON } from '../abi/mman.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { type Features, LINUX_6_18 } from '../mm/index.ts';
import { type Played, playSituation, WINDOW } from './situation.ts';

/** The columns: baseline, patch 4, patch 5, both, MREMAP_RELOCATE_ANON, MREMAP_MUST_RELOCATE_ANON. */
export type Column = 'B' | 'P4' | 'P5' | 'P4+P5' | 'R' | 'M';

/** The columns in the order of the cells of a row. */
export const COLUMNS: readonly Column[] = ['B', 'P4', 'P5', 'P4+P5', 'R', 'M'];

/** One situation and what each column makes of it. */
export interface DecisionRow {
  /** Number in the specification, a letter where one row there stands for several situations. */
  readonly nr: string;
  readonly title: string;
  /** The situation (situation.ts). */
  readonly steps: string;
  /** Expected cells by column; a column that does not apply has none. */
  readonly cells: Readonly<Partial<Record<Column, string>>>;
  /** Switches under all columns; footnote ³ is about a kernel before 6.16. */
  readonly base: Partial<Features>;
  /** Why the running kernel cannot be asked, or null. */
  readonly modelOnly: string | null;
  /** The cells are about the page offset of the vma at this page, not about the number of vmas. */
  readonly pgoffAt: number | null;
}

interface Extra {
  readonly base?: Partial<Features>;
  readonly modelOnly?: string;
  readonly pgoffAt?: number;
}

function row(nr: string, title: string, steps: string, cells: string, extra: Extra = {}): DecisionRow {
  const expected: Partial<Record<Column, string>> = {};
  cells.split(/\s+/).forEach((cell, i) => {
    const column = COLUMNS[i];
    if (column !== undefined && cell !== '–') expected[column] = cell;
  });
  const { base = {}, modelOnly = null, pgoffAt = null } = extra;
  return { nr, title, steps, cells: expected, base, modelOnly, pgoffAt };
}

const NO_SHARE = 'nothing on a kernel without KSM makes such a page';
const NO_NAMES = 'the measured kernel is built without CONFIG_ANON_VMA_NAME';
const BEFORE_6_16 = { mergeFaultedWithUnfaulted: 'off' } as const;

// biome-ignore format: a table
const ROWS_1_TO_16: readonly DecisionRow[] = [
  //  nr     situation                                                    steps                                                                   B P4 P5 P4+P5 R M
  row('1a',  'unfaulted vma moved next to a neighbour',                   'map 0 4 rw pf; map 100 4 rw pf; remap 100 4 4 mf 4',                   '1 1 1 1 1 1'),
  row('1b',  'unfaulted vma moved between two neighbours',                'map 0 4 rw pf; map 8 4 rw pf; map 100 4 rw pf; remap 100 4 4 mf 4',    '1 1 1 1 1 1'),
  row('2',   'faulted vma moved alone: its page offset',                  'map 0 4 rw pf; touch 0 4; remap 0 4 4 mf 100',                         'kept new kept new new new', { pgoffAt: 100 }),
  row('3a',  'faulted moved above an unfaulted neighbour',                'map 0 4 rw pf; map 100 4 rw pf; touch 100; remap 100 4 4 mf 4',        '2 1 2 1 1 1'),
  row('3b',  'faulted moved below an unfaulted neighbour',                'map 4 4 rw pf; map 100 4 rw pf; touch 100; remap 100 4 4 mf 0',        '2 1 2 1 1 1'),
  row('3³',  'the same on a kernel before 6.16, the base of the series',  'map 0 4 rw pf; map 100 4 rw pf; touch 100; remap 100 4 4 mf 4',        '2 2 2 2', { base: BEFORE_6_16, modelOnly: 'an older kernel' }),
  row('4',   'faulted moved next to a vma with another anon_vma',         'map 0 4 rw pf; touch 0; map 100 4 rw pf; touch 100; remap 100 4 4 mf 4', '2 2 2 1 1 1'),
  row('5',   'faulted piece moved away and back to its own hole',         'map 0 6 rw pf; touch 0 6; remap 2 2 2 mf 100; remap 100 2 2 mf 2',     '1 1 1 1 1 1'),
  row('6',   'two faulted pieces moved by the same delta',                'map 0 4 rw pf; touch 0 4; remap 0 2 2 mf 100; remap 2 2 2 mf 102',     '1 1 1 1 1 1'),
  row('7',   'two faulted pieces of one vma moved in swapped order',      'map 0 4 rw pf; touch 0 4; remap 0 2 2 mf 102; remap 2 2 2 mf 100',     '2 1 2 1 1 1'),
  row('8a¹', '1,000 faulted pages of one vma slid together',              'map 0 2000 rw pf; touch 0 2000; gather 0 1000; unmap 1000 1000',       '1000 1 1000 1 1 1'),
  row('8b¹', 'three independently faulted pages slid together',           'map 0 1 rw pf; touch 0; map 2 1 rw pf; touch 2; map 4 1 rw pf; touch 4; gather 0 3', '3 3 3 1 1 1'),
  row('9',   'mmap fills the hole between independently faulted vmas',    'map 0 2 rw pf; map 4 2 rw pf; touch 0; touch 4; map 2 2 rw pf',        '2 2 1 1'),
  row('10a', 'mprotect makes the middle equal, left and right faulted',   'map 0 1 rw pf; map 2 1 rw pf; touch 0; touch 2; map 1 1 r pf; prot 1 1 rw', '2 2 1 1'),
  row('10b', 'a block committed between two written ones',               'map 0 3 - pfn; prot 0 1 rw; touch 0; prot 2 1 rw; touch 2; prot 1 1 rw', '2 2 1 1'),
  row('11',  '1,000 pages committed and written in random order',         'map 0 1000 - pf; commit 0 1000 1',                                     '325 325 1 1'),
  row('12',  'growth in place up to an independently faulted vma',        'map 0 4 rw pf; map 8 4 rw pf; touch 0; touch 8; remap 0 4 8 0',        '2 2 1 1'),
  row('13a', 'growth in place up to an unfaulted vma',                    'map 0 4 rw pf; map 8 4 rw pf; remap 0 4 8 0',                          '1 1 1 1'),
  row('13b', 'unfaulted growth in place up to a faulted vma',             'map 0 4 rw pf; map 8 4 rw pf; touch 8; remap 0 4 8 0',                 '1 1 1 1'),
  row('13c', 'growth in place up to a vma with the same anon_vma',        'map 0 8 rw pf; touch 0 8; unmap 4 2; remap 0 4 6 0',                   '1 1 1 1'),
  row('14',  'new mapping behind a faulted vma that was moved',           'map 0 4 rw pf; touch 0; remap 0 4 4 mf 100; map 104 4 rw pf',          '2 1 2 1 1 1'),
  row('15',  'moved faulted vma grows up to an unfaulted one',            'map 0 4 rw pf; touch 0; remap 0 4 4 mf 100; map 108 4 rw pf; remap 100 4 8 0', '2 1 2 1 1 1'),
  row('16',  'mlock and munlock of separately populated parts',           'map 0 6 rw pf; lock 0 2; lock 4 2; unlock 0 6',                        '2 2 1 1'),
];

// biome-ignore format: a table
const ROWS_OF_FORKS: readonly DecisionRow[] = [
  //  nr       in the parent, while a forked child lives
  row('17.3',  'row 3 while a child lives',                              'map 0 4 rw pf; map 100 4 rw pf; touch 100; forkhold; remap 100 4 4 mf 4', '2 2 2 2 2 EFAULT'),
  row('17.4',  'row 4 while a child lives',                              'map 0 4 rw pf; touch 0; map 100 4 rw pf; touch 100; forkhold; remap 100 4 4 mf 4', '2 2 2 2 2 EFAULT'),
  row('17.5',  'row 5 while a child lives',                              'map 0 6 rw pf; touch 0 6; forkhold; remap 2 2 2 mf 100; remap 100 2 2 mf 2', '1 1 1 1 1 EFAULT'),
  row('17.6',  'row 6 while a child lives',                              'map 0 4 rw pf; touch 0 4; forkhold; remap 0 2 2 mf 100; remap 2 2 2 mf 102', '1 1 1 1 1 EFAULT'),
  row('17.7',  'row 7 while a child lives',                              'map 0 4 rw pf; touch 0 4; forkhold; remap 0 2 2 mf 102; remap 2 2 2 mf 100', '2 2 2 2 2 EFAULT'),
  row('17.8',  'row 8 while a child lives',                              'map 0 2000 rw pf; touch 0 2000; forkhold; gather 0 1000; unmap 1000 1000', '1000 1000 1000 1000 1000 EFAULT'),
  row('17²a',  'hole between a forked and a never forked vma filled',    'map 0 2 rw pf; touch 0; forkhold; map 4 2 rw pf; touch 4; map 2 2 rw pf', '2 2 1 1'),
  row('17²b',  'hole between a never forked and a forked vma filled',    'map 4 2 rw pf; touch 4; forkhold; map 0 2 rw pf; touch 0; map 2 2 rw pf', '2 2 2 2'),
  row('17²c',  'never forked vma moved next to a forked one',            'map 0 4 rw pf; touch 0; forkhold; map 100 4 rw pf; touch 100; remap 100 4 4 mf 4', '2 2 2 1 1 1'),
  row('17²d',  'forked vma grows in place up to a never forked one',     'map 0 4 rw pf; touch 0; forkhold; map 8 4 rw pf; touch 8; remap 0 4 8 0', '2 2 2 2'),
  //  nr       in the child, on memory that it inherited
  row('18.3',  'row 3 in the child',                                     'map 0 4 rw pf; map 100 4 rw pf; touch 100; fork; remap 100 4 4 mf 4', '2 2 2 2 2 EFAULT'),
  row('18.4',  'row 4 in the child',                                     'map 0 4 rw pf; touch 0; map 100 4 rw pf; touch 100; fork; remap 100 4 4 mf 4', '2 2 2 2 2 EFAULT'),
  row('18.5',  'row 5 in the child',                                     'map 0 6 rw pf; touch 0 6; fork; remap 2 2 2 mf 100; remap 100 2 2 mf 2', '1 1 1 1 1 EFAULT'),
  row('18.6',  'row 6 in the child',                                     'map 0 4 rw pf; touch 0 4; fork; remap 0 2 2 mf 100; remap 2 2 2 mf 102', '1 1 1 1 1 EFAULT'),
  row('18.7',  'row 7 in the child',                                     'map 0 4 rw pf; touch 0 4; fork; remap 0 2 2 mf 102; remap 2 2 2 mf 100', '2 2 2 2 2 EFAULT'),
  row('18.8',  'row 8 in the child',                                     'map 0 2000 rw pf; touch 0 2000; fork; gather 0 1000; unmap 1000 1000', '1000 1000 1000 1000 1000 EFAULT'),
  row('18.9',  'row 9 in the child',                                     'map 0 2 rw pf; map 4 2 rw pf; touch 0; touch 4; fork; map 2 2 rw pf', '3 3 3 3'),
  row('18.10', 'row 10 in the child',                                    'map 0 1 rw pf; map 2 1 rw pf; touch 0; touch 2; map 1 1 r pf; fork; prot 1 1 rw', '3 3 3 3'),
  row('18.11', 'a reservation of which the parent wrote every fourth page', 'map 0 12 - pf; prot 0 1 rw; touch 0; prot 4 1 rw; touch 4; prot 8 1 rw; touch 8; fork; commit 0 12 1', '7 7 6 6'),
  row('18.12', 'row 12 in the child',                                    'map 0 4 rw pf; map 8 4 rw pf; touch 0; touch 8; fork; remap 0 4 8 0', '2 2 2 2'),
  row('18.13a', 'an inherited vma grows up to an unfaulted one',         'map 0 4 rw pf; touch 0; map 8 4 rw pf; fork; remap 0 4 8 0', '1 1 1 1'),
  row('18.13b', 'row 13c in the child, where the halves got two anon_vmas', 'map 0 8 rw pf; touch 0 8; unmap 4 2; fork; remap 0 4 6 0', '2 2 2 2'),
  row('18.14', 'row 14 in the child',                                    'map 0 4 rw pf; touch 0; fork; remap 0 4 4 mf 100; map 104 4 rw pf', '2 2 2 2 2 EFAULT'),
  row('18.15', 'row 15 in the child',                                    'map 0 4 rw pf; touch 0; fork; remap 0 4 4 mf 100; map 108 4 rw pf; remap 100 4 8 0', '2 2 2 2 2 EFAULT'),
  row('18.16', 'row 16 in the child: the part it populates itself is absorbed²', 'map 0 6 rw pf; lock 0 2; lock 4 2; fork; lock 0 6; unlock 0 6', '3 3 2 2'),
  row('18²',   'the child\'s own faulted vma made equal to an inherited one', 'map 0 2 rw pf; touch 0; fork; map 2 2 rwx pf; touch 2; prot 2 2 rw', '2 2 1 1'),
];

// biome-ignore format: a table
const ROWS_OF_PAGES: readonly DecisionRow[] = [
  //  nr     one page is mapped twice although the anon_vma passes its test
  row('19a', 'row 3 with one shared page',                               'map 0 4 rw pf; map 100 4 rw pf; touch 100; share 100; remap 100 4 4 mf 4', '2 2 2 2 2 EFAULT', { modelOnly: NO_SHARE }),
  row('19b', 'row 4 with one shared page',                               'map 0 4 rw pf; touch 0; map 100 4 rw pf; touch 100; share 100; remap 100 4 4 mf 4', '2 2 2 2 2 EFAULT', { modelOnly: NO_SHARE }),
  row('19c', 'row 9 with one shared page on either side',                'map 0 2 rw pf; map 4 2 rw pf; touch 0; touch 4; share 0; share 4; map 2 2 rw pf', '2 2 1 1', { modelOnly: NO_SHARE }),
  row('19d', 'row 18² with one shared page, in a process without parent', 'map 0 2 rw pf; touch 0; map 4 2 rw pf; touch 4; map 2 2 rwx pf; touch 2; share 4; prot 2 2 rw', '2 2 1 1', { modelOnly: NO_SHARE }),
  row('19e', 'the shared page is in the part that stays: patch 4 looks at the whole vma', 'map 0 4 rw pf; map 100 8 rw pf; touch 100 8; share 107; remap 100 4 4 mf 4', '3 3 3 3 2 2', { modelOnly: NO_SHARE }),
  //  nr     part of the range is swapped out
  row('20a', 'row 3, half swapped out',                                  'map 0 4 rw pf; map 100 4 rw pf; touch 100 4; adv 100 2 PAGEOUT; remap 100 4 4 mf 4', '2 1 2 1 1 1'),
  row('20b', 'row 4, half swapped out',                                  'map 0 4 rw pf; touch 0; map 100 4 rw pf; touch 100 4; adv 100 2 PAGEOUT; remap 100 4 4 mf 4', '2 2 2 1 1 1'),
  row('20c', 'row 7, half swapped out',                                  'map 0 4 rw pf; touch 0 4; adv 1 2 PAGEOUT; remap 0 2 2 mf 102; remap 2 2 2 mf 100', '2 1 2 1 1 1'),
  row('20d', 'row 9, one side swapped out',                              'map 0 2 rw pf; map 4 2 rw pf; touch 0 2; touch 4; adv 0 1 PAGEOUT; map 2 2 rw pf', '2 2 1 1'),
];

// biome-ignore format: a table
const ROWS_OF_ATTRIBUTES: readonly DecisionRow[] = [
  //  nr     other attributes differ
  row('21a', 'faulted moved next to one with MAP_NORESERVE',             'map 0 4 rw pfn; touch 0; map 100 4 rw pf; touch 100; remap 100 4 4 mf 4', '2 2 2 2 2 2'),
  row('21b', 'faulted moved next to a locked one',                       'map 0 4 rw pf; lock 0 4; map 100 4 rw pf; touch 100; remap 100 4 4 mf 4', '2 2 2 2 2 2'),
  row('21c', 'faulted moved next to one with MADV_HUGEPAGE',             'map 0 4 rw pf; touch 0; adv 0 4 HUGEPAGE; map 100 4 rw pf; touch 100; remap 100 4 4 mf 4', '2 2 2 2 2 2'),
  row('21d', 'faulted moved next to one with MADV_NOHUGEPAGE',           'map 0 4 rw pf; touch 0; adv 0 4 NOHUGEPAGE; map 100 4 rw pf; touch 100; remap 100 4 4 mf 4', '2 2 2 2 2 2'),
  row('21e', 'faulted moved next to one with MADV_DONTDUMP',             'map 0 4 rw pf; touch 0; adv 0 4 DONTDUMP; map 100 4 rw pf; touch 100; remap 100 4 4 mf 4', '2 2 2 2 2 2'),
  row('21f', 'decommitted PROT_NONE beside fresh PROT_NONE',             'map 0 4 - pf; prot 0 2 rw; touch 0; prot 0 2 -', '2 2 2 2'),
  row('22a', 'faulted moved next to one with another policy',            'map 0 4 rw pf; touch 0; mbind 0 4 2; map 100 4 rw pf; touch 100; remap 100 4 4 mf 4', '2 2 2 2 2 2'),
  row('22b', 'faulted beside faulted, each with its own userfaultfd',    'map 0 4 rw pf; touch 0; map 4 4 r pf; uffd; uffdreg 0 4 1; uffd; uffdreg 4 4 1; prot 4 4 rw', '2 2 2 2', { modelOnly: 'a case has one userfaultfd' }),
  row('22c', 'private mappings of two files, offsets that would fit',    'fd 0 8; fd 1 8; map 0 4 rw pf0 0; touch 0; map 100 4 rw pf1 0x4000; touch 100; remap 100 4 4 mf 4', '2 2 2 2 2'),
  row('22d', 'faulted moved next to one with another name',              'map 0 4 rw pf; touch 0; name 0 4 left; map 100 4 rw pf; touch 100; remap 100 4 4 mf 4', '2 2 2 2 2 2', { base: { anonVmaName: 'on' }, modelOnly: NO_NAMES }),
  //  nr     page offsets of other moves
  row('23',  'MREMAP_DONTUNMAP of a faulted vma: its page offset',       'map 0 4 rw pf; touch 0 4; remap 0 4 4 mdf 100', 'kept new kept new new new', { pgoffAt: 100 }),
  row('24',  'written private file mapping moved: its page offset',      'fd 0 8; map 0 4 rw pf0 0; touch 0 4; remap 0 4 4 mf 100', 'kept kept kept kept kept', { pgoffAt: 100 }),
  row('25a', 'shared memory moved: its page offset',                     'fd 0 8; map 0 4 rw sf0 0; touch 0 4; remap 0 4 4 mf 100', 'kept kept kept kept kept', { pgoffAt: 100 }),
  row('25b', 'shared memory moved to where the file offset continues',   'fd 0 8; map 0 2 rw sf0 0; map 100 2 rw sf0 0x2000; remap 100 2 2 mf 2', '1 1 1 1 1'),
];

/** Every row, in the order of the specification. */
export const DECISION_TABLE: readonly DecisionRow[] = [
  ...ROWS_1_TO_16,
  ...ROWS_OF_FORKS,
  ...ROWS_OF_PAGES,
  ...ROWS_OF_ATTRIBUTES,
];

const SWITCHES: Readonly<Record<Column, Partial<Features>>> = {
  B: {},
  P4: { mergePgoffOnMove: 'on' },
  P5: { mergeAcrossAnonVma: 'on' },
  'P4+P5': { mergePgoffOnMove: 'on', mergeAcrossAnonVma: 'on' },
  R: { mremapRelocateAnon: 'on' },
  M: { mremapRelocateAnon: 'on' },
};

const REMAP_FLAGS: Readonly<Record<Column, number>> = {
  B: 0,
  P4: 0,
  P5: 0,
  'P4+P5': 0,
  R: MREMAP_RELOCATE_ANON,
  M: MREMAP_MUST_RELOCATE_ANON,
};

/** Plays a row with the switches of a column, and `more` on top. Returns the cell. */
export function playCell(rowOf: DecisionRow, column: Column, more: Partial<Features> = {}): string {
  const features = { ...LINUX_6_18, ...rowOf.base, ...SWITCHES[column], ...more };
  return cellOf(rowOf, playSituation(rowOf.steps, { features, remapFlags: REMAP_FLAGS[column] }));
}

function cellOf({ pgoffAt }: DecisionRow, { vmas, refused }: Played): string {
  if (refused !== null) return refused;
  if (pgoffAt === null) return String(vmas.length);
  const moved = vmas.find(({ start }) => start === WINDOW + pgoffAt * PAGE_SIZE);
  if (moved === undefined) return 'gone';
  return moved.pgoff * PAGE_SIZE === moved.start ? 'new' : 'kept';
}

/** A cell of the table with what the model makes of it. */
export interface Cell {
  readonly row: DecisionRow;
  readonly column: Column;
  readonly expected: string;
  readonly modelled: string;
}

/** Plays the whole table. */
export function playTable(): Cell[] {
  return DECISION_TABLE.flatMap((each) =>
    COLUMNS.flatMap((column): Cell[] => {
      const expected = each.cells[column];
      return expected === undefined
        ? []
        : [{ row: each, column, expected, modelled: playCell(each, column) }];
    }),
  );
}
