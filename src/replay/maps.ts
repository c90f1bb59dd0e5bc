/**
 * `/proc/PID/maps`: one line per vma, `START-END PERMS OFFSET DEV INODE NAME`.
 *
 * The text of each line is kept, because a comparison is byte for byte; the fields are for everything else. The name is as printed
 * (a newline in a path is `\012`, a file that was unlinked ends in ` (deleted)`).
 *
 * Linux   fs/proc/task_mmu.c, show_map_vma()
 */
import type { Addr } from '../base/units.ts';
import { type InputFiles, pathIn } from './input.ts';
import { ownCopy, Scanner } from './scanner.ts';

/** One line of maps. */
export interface MapsLine {
  readonly start: Addr;
  /** Exclusive. For `[vsyscall]` above 2^47. */
  readonly end: Addr;
  /** `rwxp`, four characters. */
  readonly perms: string;
  /** Byte offset in the file; for anonymous memory 0. */
  readonly offset: number;
  /** `fe:00`. */
  readonly dev: string;
  /** As text where a double cannot hold it. */
  readonly inode: number | string;
  /** Path, `[heap]`, `[anon:name]` …; empty for plain anonymous memory. */
  readonly name: string;
  /** The line as it stands. */
  readonly text: string;
  /** Its number in the file, from 1. */
  readonly line: number;
}

/** The line that is a gate page and no vma. */
export const VSYSCALL = '[vsyscall]';

const isPerms = (perms: string): boolean => /^[r-][w-][x-][ps]$/.test(perms);

/** Reads the fields of a maps line at the scanner; in smaps the same line heads each block. */
export function scanMapsLine(at: Scanner): MapsLine {
  const start = at.hex('the start address in hex');
  at.expect('-', '"-" between start and end');
  const end = at.hex('the end address in hex');
  if (end <= start)
    at.fail(`the end ${end.toString(16)} is not above the start`, 'START-END with START below END', 0);
  at.expect(' ', 'a blank and four permission letters');
  const permsAt = at.pos;
  const perms = at.word();
  if (!isPerms(perms))
    at.fail(`"${perms}" are not permissions`, 'four letters such as rw-p or r-xs', permsAt);
  at.expect(' ', 'a blank and the offset in hex');
  const offset = at.hex('the offset in hex');
  at.expect(' ', 'a blank and the device');
  const devAt = at.pos;
  const dev = at.word();
  if (!/^[0-9a-f]{2,}:[0-9a-f]{2,}$/.test(dev))
    at.fail(`"${dev}" is no device`, 'MAJOR:MINOR in hex, such as fe:00', devAt);
  at.expect(' ', 'a blank and the inode');
  const digits = at.pos;
  const number = at.decimal('the inode in decimal');
  const inode = Number.isSafeInteger(number) ? number : at.text.slice(digits, at.pos);
  if (!at.atEnd && at.peek() !== 32) at.missing('a blank or the end of the line after the inode');
  at.blanks();
  return {
    start,
    end,
    perms,
    offset,
    dev: ownCopy(dev),
    inode,
    name: ownCopy(at.rest()),
    text: at.text,
    line: at.line,
  };
}

/**
 * Yields the vmas of a maps file in their order, without `[vsyscall]`.
 * @param order  `rising` refuses lines that overlap or go down, because nothing can be built from them; `as-is` is for what is only compared
 */
export function* mapsLines(
  files: InputFiles,
  file: string,
  order: 'rising' | 'as-is' = 'rising',
): Generator<MapsLine> {
  const at = new Scanner(pathIn(files, file));
  let line = 0;
  let below = 0;
  for (const text of files.lines(file)) {
    line++;
    at.start(text, line);
    const entry = scanMapsLine(at);
    if (order === 'rising' && entry.start < below)
      at.fail('this range starts below the end of the one before', 'ranges in rising order', 0);
    below = entry.end;
    if (entry.name !== VSYSCALL) yield entry;
  }
}
