/**
 * Random sequences of operations in the format of ops files (docs/ops-files.md), without the kernel's answers: what oracle/opsrun carries
 * out and the model plays.
 *
 * Mode, seed and number of operations are the whole sequence; the model has no part in it, and neither have clock or machine.
 * Cost   a few microseconds an operation
 */
import { hex, PAGE_SIZE } from '../base/units.ts';
import { FILE_DRAWS, filesSetup } from './drawFiles.ts';
import { type Draw, MEMORY_DRAWS } from './drawMemory.ts';
import { PAGE_DRAWS } from './drawPages.ts';
import { limitsSetup, PROCESS_DRAWS } from './drawProcess.ts';
import { TABLE_DRAWS } from './drawTables.ts';
import { UFFD_DRAWS, uffdSetup } from './drawUffd.ts';
import { type FuzzModeName, MODE_TABLES, modeOf } from './modes.ts';
import { Scene, SELF, WINDOW } from './scene.ts';

/** What a sequence is. */
export interface FuzzOptions {
  readonly mode: FuzzModeName;
  readonly seed: number;
  /** Operations. */
  readonly ops: number;
  /** A snapshot follows each operation whose number this divides. */
  readonly every: number;
}

/** By the names that the tables of modes use. */
export const DRAWS: Readonly<Record<string, Draw>> = {
  ...MEMORY_DRAWS,
  ...PAGE_DRAWS,
  ...PROCESS_DRAWS,
  ...FILE_DRAWS,
  ...UFFD_DRAWS,
  ...TABLE_DRAWS,
};

/** What only the first process does. */
const OWN = /^(child_exit|fill|overcommit|memory\.reclaim|nop)\(/;

/** The first mapping: all of the window, most often. */
function firstMapping(scene: Scene): readonly string[] {
  const { window } = scene;
  const range = { first: 0, end: window.pages };
  window.map(range, 'write');
  const text = scene.text(range);
  const call = `mmap(${text}, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0)`;
  return scene.kind === 2 && scene.chance(0.5) ? [call, `madvise(${text}, MADV_HUGEPAGE)`] : [call];
}

/** Draws the operations that a sequence begins with. */
function setup(scene: Scene): (readonly string[])[] {
  const first = scene.chance(0.7) ? [firstMapping(scene)] : [];
  if (scene.mode.setup === 'swap' && scene.chance(0.5)) return [...filesSetup(scene), ...first];
  if (scene.mode.setup === 'files') return [...filesSetup(scene), ...first];
  return scene.mode.setup === 'limits' ? [...first, ...limitsSetup(scene)] : first;
}

/**
 * Draws a sequence.
 * @returns its lines, without newlines: the first with seed and window, `snapshot 0`, operations numbered from 1
 */
export function fuzzSequence({ mode, seed, ops, every }: FuzzOptions): readonly string[] {
  const scene = new Scene(MODE_TABLES[modeOf(mode, seed)], seed);
  const end = hex(scene.window.at(scene.window.pages));
  const what = `format 1 seed ${seed} ops ${ops} window ${hex(WINDOW)}-${end} mode ${scene.kind}`;
  const swap = scene.swapPages === 0 ? '' : ` swap ${scene.swapPages}`;
  const { uffd } = scene;
  const lines =
    uffd === null
      ? [`# opfuzz ${what}${swap}`]
      : [`# opfuzz-uffd ${what} profile ${uffd.profile} memfd ${uffd.memfdPages * PAGE_SIZE}`];
  lines.push('snapshot 0');
  const first = uffd === null ? setup(scene) : uffdSetup(scene);
  for (let number = 1; number <= ops; number++) {
    const begun = first.shift() ?? uffd?.coming.shift();
    if (begun === undefined) scene.takeTurn();
    const calls = begun ?? (DRAWS[scene.calls.draw(scene.random)] as Draw)(scene);
    for (const call of calls) {
      const who = scene.turn === SELF || OWN.test(call) ? '' : `@${scene.turn} `;
      lines.push(`${number} ${who}${call}`);
    }
    if (number % every === 0) lines.push(`snapshot ${number}`);
  }
  return lines;
}
