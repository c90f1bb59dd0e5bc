/**
 * Views of one address space, as /proc prints them where Linux has such a view.
 */
import { hex, hexRange } from '../../base/units.ts';
import {
  kernelVmFlags,
  type Mm,
  mapsLine,
  mapsText,
  type VmaRow,
  vmaRows,
  vmFlagCodes,
} from '../../mm/index.ts';
import { textTable } from '../../report/index.ts';

/** The views that can be printed at the end. */
export const VIEWS = ['maps', 'smaps', 'status', 'vmas', 'internals'] as const;
/** The name of a view. */
export type View = (typeof VIEWS)[number];

/** What a view lacks that Linux's has; null where it is complete. */
export const LACKING: { readonly [V in View]: string | null } = {
  maps: null,
  smaps: 'figures of smaps (Rss, Anonymous, …) are not modelled yet: lines of maps and VmFlags only',
  status: 'figures of status about pages (VmRSS, VmPTE, …) and the peaks are not modelled yet',
  vmas: null,
  internals: null,
};

/** Returns the text of a view, each line with its newline. */
export function viewText(view: View, mm: Mm): string {
  switch (view) {
    case 'maps':
      return mapsText(mm);
    case 'smaps':
      return smapsText(mm);
    case 'status':
      return statusText(mm);
    case 'vmas':
      return `${vmasTable(vmaRows(mm))}\n`;
    case 'internals':
      return vmaRows(mm).map(internalsLine).join('');
  }
}

function smapsText(mm: Mm): string {
  let text = '';
  for (const vma of mm.vmas) text += `${mapsLine(mm, vma)}\nVmFlags: ${vmFlagCodes(vma.flags)} \n`;
  return text;
}

const KB_PER_PAGE = 4;

function statusText(mm: Mm): string {
  const lines: readonly (readonly [name: string, pages: number])[] = [
    ['VmSize', mm.totalVm],
    ['VmLck', mm.lockedVm],
    ['VmData', mm.dataVm],
    ['VmStk', mm.stackVm],
  ];
  return lines.map(([name, pages]) => `${name}:\t${String(pages * KB_PER_PAGE).padStart(8)} kB\n`).join('');
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
