/**
 * Draws of the calls that make, change and end mappings.
 *
 * Where the kernel may place a mapping outside the window, a second call of the same number brings it back or unmaps it; `placed`
 * stands for its address.
 */
import { hex, PAGE_SIZE } from '../base/units.ts';
import type { PageRange } from './opsWindow.ts';
import { accessOf, type Scene } from './scene.ts';

/** What one operation is: a call, and a second one that belongs to it. */
export type Calls = readonly string[];
/** How an operation is drawn. */
export type Draw = (scene: Scene) => Calls;

/** How often a protection is drawn that is refused or means a whole stack. */
const ODD_PROTECTION = 0.03;
const ODD_REMAP = 0.03;
/** Offsets of files: the page's own, so that neighbours can join, or any of the first. */
const OFFSETS = 16;
/** A name that no sequence gives to a file. */
const NO_SUCH_FILE = 'm3';

/** Returns the file of a kind of mapping, its flags and its offset. */
function mappedFile(scene: Scene, first: number): { flags: string; file: string } {
  const kind = scene.maps.draw(scene.random);
  const anonymous = (flags: string): { flags: string; file: string } => ({
    flags: `${flags}|MAP_ANONYMOUS`,
    file: '-1, 0',
  });
  const [letter = '', flags = ''] = kind.split(' ');
  if (flags === '') return anonymous(kind);
  const files = scene.files.filter(({ name }) => name.startsWith(letter));
  if (files.length === 0) return anonymous(flags);
  const name = scene.chance(scene.mode.odd) ? NO_SUCH_FILE : scene.random.pick(files).name;
  const page = scene.chance(0.6) ? first % (2 * OFFSETS) : scene.random.below(OFFSETS);
  const odd = scene.chance(0.2 * scene.mode.odd) ? 100 : 0;
  return { flags, file: `${name}, ${page * PAGE_SIZE + odd}` };
}

/** mmap at a place in the window, or with a hint that the kernel may follow. */
export const mmap: Draw = (scene) => {
  const { random, window } = scene;
  const range = window.range();
  const prot = scene.protections.draw(random);
  const { flags, file } = mappedFile(scene, range.first);
  const place = random.unit();
  if (place < 0.77) {
    const args = scene.args(range);
    const text = scene.text(range);
    const call = `mmap(${args}, ${prot}, ${flags}|MAP_FIXED, ${file})`;
    if (args !== text) return [call];
    window.map(range, accessOf(prot));
    const isHuge = scene.kind === 2 && scene.chance(0.45);
    return isHuge ? [call, `madvise(${text}, MADV_HUGEPAGE)`] : [call];
  }
  const isFree = window.isFree(range);
  if (isFree) window.map(range, accessOf(prot));
  if (place < 0.87) return [`mmap(${scene.args(range)}, ${prot}, ${flags}|MAP_FIXED_NOREPLACE, ${file})`];
  const args = place < 0.97 ? scene.args(range) : `NULL, ${scene.bytes(range)}`;
  return [`mmap(${args}, ${prot}, ${flags}, ${file})`, backOrGone(scene, range)];
};

/** What the kernel placed outside the window comes back into it, or goes. */
function backOrGone(scene: Scene, range: PageRange): string {
  const bytes = scene.bytes(range);
  if (scene.chance(0.6)) return `munmap(placed, ${bytes})`;
  const to = scene.window.place(range.end - range.first);
  return `mremap(placed, ${bytes}, ${bytes}, MREMAP_MAYMOVE|MREMAP_FIXED, ${scene.at(to)})`;
}

const munmap: Draw = (scene) => {
  const range = scene.window.mappedRange();
  const args = scene.args(range);
  if (args === scene.text(range)) scene.window.unmap(range);
  return [`munmap(${args})`];
};

const mprotect: Draw = (scene) => {
  const range = scene.window.mappedRange();
  const args = scene.args(range);
  if (scene.chance(ODD_PROTECTION)) return [`mprotect(${args}, ${scene.oddProtections.draw(scene.random)})`];
  const prot = scene.protections.draw(scene.random);
  if (args === scene.text(range)) scene.window.protect(range, accessOf(prot));
  return [`mprotect(${args}, ${prot})`];
};

const madvise: Draw = (scene) => {
  const range = scene.window.mappedRange();
  return [`madvise(${scene.args(range)}, ${scene.advice.draw(scene.random)})`];
};

const mremap: Draw = (scene) => {
  const { random, window } = scene;
  const range = window.mappedRange();
  const old = range.end - range.first;
  const isOdd = scene.chance(ODD_REMAP);
  const flags = isOdd ? scene.oddRemaps.draw(random) : scene.remaps.draw(random);
  const isPlain = flags === '0';
  const same = isPlain ? 0.15 : flags === 'MREMAP_MAYMOVE' ? 0.3 : 0.85;
  const isSame = flags.includes('DONTUNMAP') ? scene.chance(0.97) : scene.chance(same);
  const fresh = isSame ? old : window.otherLength(range);
  const to = scene.chance(0.1) ? besideItself(scene, range, fresh) : window.place(Math.max(fresh, old));
  const args = scene.args(range);
  // An old length of 0 asks for a second mapping of shared memory.
  const isCopy = scene.chance(scene.mode.setup === 'files' ? 0.12 : 0.03);
  const source = isCopy ? `${args.split(', ')[0]}, 0` : args;
  const text = `mremap(${source}, ${fresh * PAGE_SIZE - (scene.chance(0.2 * scene.mode.odd) ? 100 : 0)}, ${flags}`;
  if (isPlain) return [`${text})`];
  const target = scene.at(to);
  if (flags.includes('FIXED')) {
    const isMove = source === scene.text(range) && !isOdd;
    if (isMove) window.move(range, to, fresh, flags.includes('DONTUNMAP'));
    const odd = scene.chance(0.5 * scene.mode.odd) ? random.pick([2048, 0x5fff_ffff_f000]) : 0;
    return [`${text}, ${odd === 0 ? target : hex(window.at(to) + odd)})`];
  }
  const bytes = fresh * PAGE_SIZE;
  const back = `mremap(placed, ${bytes}, ${bytes}, MREMAP_MAYMOVE|MREMAP_FIXED, ${target})`;
  return [flags.includes('DONTUNMAP') ? `${text}, NULL)` : `${text})`, back];
};

/** Draws a target that overlaps the source or lies right beside it. */
function besideItself({ random, window }: Scene, { first, end }: PageRange, pages: number): number {
  const to = random.pick([first - 1, first + 1, end - 1, end, first - pages, first - pages + 1]);
  return Math.max(0, Math.min(to, window.pages - pages));
}

const name: Draw = (scene) => {
  const range = scene.window.mappedRange();
  const text = scene.random.pick(['"a"', '"b"', 'NULL']);
  return [`prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, ${scene.args(range)}, ${text})`];
};

const mseal: Draw = (scene) => {
  const first = scene.window.page();
  const end = Math.min(scene.window.pages, first + 1 + scene.random.below(4));
  return [`mseal(${scene.args({ first, end })}, ${scene.chance(0.05) ? 1 : 0})`];
};

/** By the names that the tables of modes use. */
export const MEMORY_DRAWS: Readonly<Record<string, Draw>> = {
  mmap,
  munmap,
  mprotect,
  mremap,
  madvise,
  name,
  mseal,
};
