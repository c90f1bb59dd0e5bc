/**
 * `/proc/PID/smaps`: for each vma its maps line, then `Name:  N kB` lines, `THPeligible: N` and `VmFlags: rd wr …`.
 *
 * Linux   fs/proc/task_mmu.c, show_smap(), show_smap_vma_flags()
 */
import { type InputFiles, pathIn } from './input.ts';
import { type MapsLine, scanMapsLine, VSYSCALL } from './maps.ts';
import { hexDigit, Scanner } from './scanner.ts';

/** One block of smaps. */
export interface SmapsEntry {
  /** The maps line that heads it; `line` is its number in the smaps file. */
  readonly maps: MapsLine;
  /** `Rss`, `Anonymous`, … in kB, as printed, and `THPeligible`. */
  readonly figures: ReadonlyMap<string, number>;
  /** Two-letter codes in the order printed. */
  readonly vmFlags: readonly string[];
  /** Number of the VmFlags line. */
  readonly vmFlagsLine: number;
}

interface Block {
  readonly maps: MapsLine;
  readonly figures: Map<string, number>;
  vmFlags: readonly string[];
  vmFlagsLine: number;
}

function scanFigure(at: Scanner, block: Block): void {
  const colon = at.text.indexOf(':');
  if (colon <= 0)
    at.fail(`"${at.text.slice(0, 24)}" is no line of smaps`, 'START-END …, "Name: N kB" or "VmFlags: …"', 0);
  const name = at.text.slice(0, colon);
  at.pos = colon + 1;
  at.blanks();
  if (name === 'VmFlags') {
    const codes = at.rest().trim();
    block.vmFlags = codes === '' ? [] : codes.split(' ');
    block.vmFlagsLine = at.line;
    const wrong = block.vmFlags.find((code) => !/^[a-z?]{2}$/.test(code));
    if (wrong !== undefined)
      at.fail(`"${wrong}" is no flag code`, 'codes of two letters', at.text.indexOf(` ${wrong}`) + 1);
    return;
  }
  block.figures.set(name, at.decimal(`a number after "${name}:"`));
  at.accept(' kB');
  at.finish('the end of the line after the number');
}

function finished(block: Block, at: Scanner): SmapsEntry {
  if (block.vmFlagsLine === 0)
    at.fail(
      `the block of ${block.maps.text.split(' ')[0]} has no VmFlags line`,
      'a VmFlags line before the next vma',
      0,
    );
  return block;
}

/** Yields the blocks of an smaps file in their order, without `[vsyscall]`. */
export function* smapsEntries(files: InputFiles, file: string): Generator<SmapsEntry> {
  const at = new Scanner(pathIn(files, file));
  let line = 0;
  let block: Block | null = null;
  for (const text of files.lines(file)) {
    line++;
    at.start(text, line);
    // A header starts with a lower-case hex digit, a figure with an upper-case letter and has no "-" before its colon.
    if (hexDigit(text.charCodeAt(0)) >= 0 && /^[0-9a-f]+-/.test(text)) {
      if (block !== null && block.maps.name !== VSYSCALL) yield finished(block, at);
      block = { maps: scanMapsLine(at), figures: new Map(), vmFlags: [], vmFlagsLine: 0 };
    } else if (block === null) {
      at.missing('a line START-END PERMS OFFSET DEV INODE NAME');
    } else {
      scanFigure(at, block);
    }
  }
  if (block !== null && block.maps.name !== VSYSCALL) yield finished(block, at);
}
