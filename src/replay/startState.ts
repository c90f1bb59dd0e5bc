/**
 * The start snapshot of a recording: maps, smaps, stat, limits, auxv, meta.json; and a maps or smaps text on its own.
 */
import { UsageError } from '../base/assert.ts';
import { type InputFiles, pathIn } from './input.ts';
import type { FileIdentity, Meta, StartState, StartVma } from './item.ts';
import { readLimits } from './limits.ts';
import { type MapsLine, mapsLines } from './maps.ts';
import { type SmapsEntry, smapsEntries } from './smaps.ts';
import { readAuxv, readStat, readStatus } from './stat.ts';

/** Names of the files of a start snapshot. */
export const START = {
  maps: 'maps.start',
  smaps: 'smaps.start',
  stat: 'stat.start',
  limits: 'limits.start',
  auxv: 'auxv.start',
  status: 'status.start',
} as const;

/** Reads the start snapshot; null when there is no maps.start. `ends` are the maps files from which names of files are learnt. */
export function readStart(files: InputFiles, meta: Meta | null, ends: readonly string[]): StartState | null {
  if (!files.has(START.maps)) return null;
  const maps = [...mapsLines(files, START.maps)];
  const smaps = files.has(START.smaps) ? [...smapsEntries(files, START.smaps)] : null;
  if (smaps !== null) requireSameVmas(files, maps, smaps);
  return {
    vmas: maps.map((line, i) => startVma(line, smaps?.[i])),
    stat: files.has(START.stat) ? readStat(files, START.stat) : null,
    limits: files.has(START.limits) ? readLimits(files, START.limits) : null,
    auxv: files.has(START.auxv) ? readAuxv(files, START.auxv) : null,
    status: files.has(START.status) ? readStatus(files, START.status) : null,
    meta,
    window: null,
    files: identities(files, maps, ends),
  };
}

/** Makes a start state of a maps or smaps text alone. */
export function startOfMaps(files: InputFiles, file: string, isSmaps: boolean): StartState {
  const smaps = isSmaps ? [...smapsEntries(files, file)] : null;
  const maps = smaps === null ? [...mapsLines(files, file)] : smaps.map((entry) => entry.maps);
  if (maps.length === 0)
    throw new UsageError('no line describes a vma', 'lines START-END PERMS OFFSET DEV INODE NAME', {
      file: pathIn(files, file),
      line: 1,
      column: 1,
    });
  const vmas = maps.map((line, i) => startVma(line, smaps?.[i]));
  return {
    vmas,
    stat: null,
    limits: null,
    auxv: null,
    status: null,
    meta: null,
    window: null,
    files: identities(files, maps, []),
  };
}

function startVma(line: MapsLine, smaps: SmapsEntry | undefined): StartVma {
  return {
    ...line,
    vmFlags: smaps?.vmFlags ?? null,
    anonymousKb: smaps?.figures.get('Anonymous') ?? null,
    rssKb: smaps?.figures.get('Rss') ?? null,
  };
}

function requireSameVmas(files: InputFiles, maps: readonly MapsLine[], smaps: readonly SmapsEntry[]): void {
  for (let i = 0; i < Math.max(maps.length, smaps.length); i++) {
    const [inMaps, inSmaps] = [maps[i], smaps[i]?.maps];
    if (inMaps?.text === inSmaps?.text) continue;
    const place = { file: pathIn(files, START.smaps), line: inSmaps?.line ?? 0, column: 1 };
    throw new UsageError(
      `${START.smaps} and ${START.maps} differ: ${inSmaps?.text ?? 'no more vmas'}`,
      inMaps?.text ?? 'the end of the file',
      place,
    );
  }
}

/** Collects names with their device and inode, each pair once, from the start and the ends. */
function identities(
  files: InputFiles,
  start: readonly MapsLine[],
  ends: readonly string[],
): readonly FileIdentity[] {
  const found = new Map<string, FileIdentity>();
  const add = ({ name, dev, inode }: MapsLine): void => {
    if (inode !== 0) found.set(`${dev} ${inode} ${name}`, { name, dev, inode });
  };
  start.forEach(add);
  for (const end of ends) for (const line of mapsLines(files, end, 'as-is')) add(line);
  return [...found.values()];
}
