/**
 * Views of one address space, as /proc prints them where Linux has such a view.
 */
import { type Addr, hex, hexRange } from '../../base/units.ts';
import {
  kernelVmFlags,
  type Mm,
  mapsText,
  pagemapText,
  smapsRollupText,
  smapsText,
  statmText,
  statusText,
  tableCensus,
  type VmaRow,
  vmaRows,
  vrangesText,
} from '../../mm/index.ts';
import { tableRuns, tablesText, textTable } from '../../report/index.ts';

/** The views that can be printed at the end. */
export const VIEWS = [
  'maps',
  'smaps',
  'smaps_rollup',
  'status',
  'statm',
  'pagemap',
  'pagetables',
  'vmas',
  'internals',
  'vranges',
] as const;
/** The name of a view. */
export type View = (typeof VIEWS)[number];

const SHOWS_PAGES: ReadonlySet<View> = new Set(['smaps', 'smaps_rollup', 'status', 'statm', 'pagemap']);

/** Returns what a view lacks that Linux's has, or null where it is complete. */
export function lackOf(view: View, mm: Mm): string | null {
  if (!SHOWS_PAGES.has(view)) return null;
  for (const { file } of mm.vmas)
    if (file?.object.kind === 'regular')
      return 'of files only pages that were touched are shown: fault-around brings their neighbours too, as far as they are cached';
  return null;
}

/** A part of an address space. */
export interface Window {
  readonly start: Addr;
  readonly end: Addr;
}

/** Returns the text of a view, each line with its newline. @param window  what the input speaks about; null: everything */
export function viewText(view: View, mm: Mm, window: Window | null): string {
  const isShown = ({ start, end }: Window): boolean =>
    window === null || (start < window.end && end > window.start);
  switch (view) {
    case 'maps':
      return mapsText(mm, isShown);
    case 'smaps':
      return smapsText(mm, isShown);
    case 'smaps_rollup':
      return smapsRollupText(mm);
    case 'status':
      return statusText(mm);
    case 'statm':
      return statmText(mm);
    case 'pagemap':
      return pagemapText(mm, isShown);
    case 'pagetables':
      return tablesText(tableCensus(mm), tableRuns(mm, window));
    case 'vmas':
      return `${vmasTable(vmaRows(mm).filter(isShown))}\n`;
    case 'vranges':
      return vrangesText(mm, isShown);
    case 'internals':
      return vmaRows(mm).filter(isShown).map(internalsLine).join('');
  }
}

/** One line as `vmas.end` of a recording has it; names of anon_vmas and files are our own numbers. */
function internalsLine({ start, end, flags, pgoff, anonVma, chain, fileId }: VmaRow): string {
  const named = (id: number | undefined): string => (id === undefined ? '-' : `a${id}`);
  return (
    `${hexRange(start, end)} flags=${kernelVmFlags(flags).toString(16)} pgoff=${pgoff.toString(16)} ` +
    `anon_vma=${named(anonVma?.id)} root=${named(anonVma?.root)} parent=${named(anonVma?.parent)} ` +
    `children=${anonVma?.children ?? 0} vmas=${anonVma?.vmas ?? 0} chain=${chain} ` +
    `file=${fileId === null ? '-' : `f${fileId}`}\n`
  );
}

function vmasTable(rows: readonly VmaRow[]): string {
  return textTable({
    header: ['vma', 'range', 'perms', 'flags', 'name', 'pages', 'pgoff', 'anon_vma', 'chain'],
    nrLabels: 5,
    rows: rows.map((row) => ({
      cells: [
        `#${row.id}`,
        hexRange(row.start, row.end),
        row.perms,
        row.flagCodes,
        row.name,
        String((row.end - row.start) / 4096),
        hex(row.pgoff),
        row.anonVma === null ? '-' : `a${row.anonVma.id}`,
        String(row.chain),
      ],
    })),
  });
}
