/**
 * `vmas.end`: what /proc does not show, one line per vma in the order of maps, read from the stopped process by a BPF iterator.
 *
 *   START-END flags=F pgoff=O anon_vma=aN root=aN parent=aN children=N vmas=N chain=N file=fN
 *
 * Equal names are the same object in all processes of one recording; `-` is none.
 */
import type { Addr, Pgoff } from '../base/units.ts';
import { type InputFiles, pathIn } from './input.ts';
import { ownCopy, Scanner } from './scanner.ts';

/** One line of vmas.end. */
export interface VmaInternals {
  readonly start: Addr;
  readonly end: Addr;
  /** The kernel's `vm_flags` word. */
  readonly flags: number;
  readonly pgoff: Pgoff;
  /** Names of anon_vmas (`a5`), null for none. */
  readonly anonVma: string | null;
  readonly root: string | null;
  readonly parent: string | null;
  /** `num_children` of the anon_vma (a root counts itself), 0 where there is none. */
  readonly children: number;
  /** `num_active_vmas` of the anon_vma. */
  readonly vmas: number;
  /** Length of the vma's anon_vma chain. */
  readonly chain: number;
  /** Name of the open file (`f1`), null for none. */
  readonly file: string | null;
  readonly line: number;
}

function scanName(at: Scanner, key: string): string | null {
  at.expect(` ${key}=`, `" ${key}="`);
  const from = at.pos;
  const name = at.word();
  if (!/^(-|[af]\d+)$/.test(name))
    at.fail(`"${name}" is no object`, 'a letter and a number (a5, f1), or "-"', from);
  return name === '-' ? null : ownCopy(name);
}

function scanNumber(at: Scanner, key: string, radix: 10 | 16): number {
  at.expect(` ${key}=`, `" ${key}="`);
  return radix === 16 ? at.hex(`${key} in hex`) : at.decimal(`${key} in decimal`);
}

/** Yields the lines of a vmas.end file. */
export function* vmaInternals(files: InputFiles, file: string): Generator<VmaInternals> {
  const at = new Scanner(pathIn(files, file));
  let line = 0;
  for (const text of files.lines(file)) {
    line++;
    at.start(text, line);
    const start = at.hex('the start address in hex');
    at.expect('-', '"-" between start and end');
    const end = at.hex('the end address in hex');
    const flags = scanNumber(at, 'flags', 16);
    const pgoff = scanNumber(at, 'pgoff', 16);
    const anonVma = scanName(at, 'anon_vma');
    const root = scanName(at, 'root');
    const parent = scanName(at, 'parent');
    const children = scanNumber(at, 'children', 10);
    const vmas = scanNumber(at, 'vmas', 10);
    const chain = scanNumber(at, 'chain', 10);
    const name = scanName(at, 'file');
    at.finish('the end of the line after file=');
    yield { start, end, flags, pgoff, anonVma, root, parent, children, vmas, chain, file: name, line };
  }
}
