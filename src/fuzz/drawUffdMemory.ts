/**
 * Draws of what happens to memory that userfaultfd looks at: accesses, mappings, advice, a file that everybody maps, children that only touch.
 */
import { hex, PAGE_SIZE } from '../base/units.ts';
import { Deck } from './deck.ts';
import type { Draw } from './drawMemory.ts';
import type { PageRange } from './opsWindow.ts';
import { accessOf, type Scene, WINDOW } from './scene.ts';
import { context, heat, near, notesOf } from './uffdNotes.ts';
import { UFFD_PROTECTIONS } from './weights.ts';

/** An access that need not begin at the start of a page. */
const touch =
  (call: string): Draw =>
  (scene) => {
    const at = heat(scene, scene.chance(0.45) ? near(scene, scene.window.pages) : scene.window.mappedRange());
    // Which pages of a huge one hold nothing but zeros is known by their first words.
    const off = scene.kind !== 2 && scene.chance(0.25) ? 8 * scene.random.below(PAGE_SIZE / 8) : 0;
    const len = (at.end - at.first) * PAGE_SIZE - off;
    return [`${call}(${hex(WINDOW + at.first * PAGE_SIZE + off)}, ${len})`];
  };

const copyOwn =
  (call: string): Draw =>
  (scene) => {
    const { first, end } = near(scene, 64);
    return [`${call}(${scene.text(heat(scene, { first, end }))})`];
  };

const maps = new Deck({ anon: 60, memfd: 14, private: 10, shared: 12, readOnly: 3 });
const protections = new Deck(UFFD_PROTECTIONS);

/** One mapping, at a place in the window. */
function mapping(scene: Scene, at: PageRange): string {
  const notes = notesOf(scene);
  const drawn = maps.draw(scene.random);
  const kind = notes.without === 'shared' ? 'anon' : drawn;
  const how = scene.chance(0.9) ? 'MAP_FIXED' : 'MAP_FIXED_NOREPLACE';
  const prot = protections.draw(scene.random);
  const populate = scene.chance(0.06) ? '|MAP_POPULATE' : '';
  const page = scene.chance(0.6) ? at.first % notes.memfdPages : scene.random.below(notes.memfdPages);
  const offset = page * PAGE_SIZE;
  const text = scene.text(at);
  if (how === 'MAP_FIXED' || scene.window.isFree(at))
    scene.window.map(at, kind === 'readOnly' ? 'read' : accessOf(prot));
  switch (kind) {
    case 'memfd':
      return `mmap(${text}, ${prot}, MAP_SHARED|${how}${populate}, m0, ${offset})`;
    case 'private':
      return `mmap(${text}, ${prot}, MAP_PRIVATE|${how}${populate}, m0, ${offset})`;
    case 'readOnly':
      return `mmap(${text}, PROT_READ, MAP_SHARED|${how}, m0ro, ${offset})`;
    case 'shared':
      return `mmap(${text}, ${prot}, MAP_SHARED|MAP_ANONYMOUS|${how}${populate}, -1, 0)`;
    default:
      return `mmap(${text}, ${prot}, MAP_PRIVATE|MAP_ANONYMOUS|${how}${populate}, -1, 0)`;
  }
}
const mmap: Draw = (scene) => [mapping(scene, scene.window.range())];

const mremap: Draw = (scene) => {
  const { random, window } = scene;
  const at = window.mappedRange();
  const old = at.end - at.first;
  const fresh = scene.chance(0.75) ? old : window.otherLength(at);
  if (scene.chance(0.2)) return [`mremap(${scene.text(at)}, ${fresh * PAGE_SIZE}, 0)`];
  const leaves = scene.chance(0.35) && scene.mayLeaveBehind;
  const to = window.place(Math.max(fresh, old));
  window.move(at, to, fresh, leaves);
  heat(scene, { first: to, end: Math.min(window.pages, to + fresh) });
  const flags = `MREMAP_MAYMOVE|MREMAP_FIXED${leaves ? '|MREMAP_DONTUNMAP' : ''}`;
  const length = leaves && random.unit() < 0.95 ? old : fresh;
  return [`mremap(${scene.text(at)}, ${length * PAGE_SIZE}, ${flags}, ${scene.at(to)})`];
};

const madvise: Draw = (scene) => {
  const drawn = scene.advice.draw(scene.random);
  const isGuard = drawn === 'MADV_GUARD_INSTALL';
  const chosen = isGuard && notesOf(scene).without === 'guards' ? 'MADV_DONTNEED' : drawn;
  const at = scene.chance(0.4) ? near(scene, scene.window.pages) : scene.window.mappedRange();
  return [`madvise(${scene.text(at)}, ${chosen})`];
};

/** Writes to the file. */
export const fileWrite: Draw = (scene) => {
  const { memfdPages } = notesOf(scene);
  const first = scene.random.below(memfdPages);
  const pages = 1 + scene.random.below(Math.min(24, memfdPages - first + 2));
  return [`file_write(m0, ${first * PAGE_SIZE}, ${pages * PAGE_SIZE})`];
};
const punch: Draw = (scene) => {
  const { memfdPages } = notesOf(scene);
  const first = scene.random.below(memfdPages);
  const pages = 1 + scene.random.below(16);
  return [
    `fallocate(m0, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, ${first * PAGE_SIZE}, ${pages * PAGE_SIZE})`,
  ];
};
const ftruncate: Draw = (scene) => {
  const { memfdPages } = notesOf(scene);
  return [`ftruncate(m0, ${scene.random.pick([memfdPages, memfdPages, memfdPages >> 1, 3]) * PAGE_SIZE})`];
};

// ---- children -------------------------------------------------------------------------------------------------------------------

/** Children get their numbers in the order of their forks; who makes a sequence short has to know them. */
const fork: Draw = (scene) => {
  if (scene.living.length >= scene.mode.children) return childExit(scene);
  const child = notesOf(scene).forks++;
  scene.living.push(child);
  return [`fork() = child ${child}`];
};
const childExit: Draw = (scene) => {
  if (scene.living.length === 0) return [`uffd_read(${context(scene)}, 1)`];
  const child = scene.random.pick(scene.living);
  scene.living.splice(scene.living.indexOf(child), 1);
  return [`child_exit(${child})`];
};
const childTouch: Draw = (scene) => {
  if (scene.living.length === 0) return [`uffd_read(${context(scene)}, 1)`];
  const access = scene.random.pick(['read', 'write', 'write']);
  const { first, end } = near(scene, scene.window.pages);
  return [`child_touch_${access}(${scene.random.pick(scene.living)}, ${scene.text({ first, end })})`];
};

/** By the names that the tables of modes use. */
export const UFFD_MEMORY_DRAWS: Readonly<Record<string, Draw>> = {
  uffd_touch_read: touch('touch_read'),
  uffd_touch_write: touch('touch_write'),
  uffd_vm_readv: copyOwn('process_vm_readv'),
  uffd_vm_writev: copyOwn('process_vm_writev'),
  uffd_mmap: mmap,
  uffd_mremap: mremap,
  uffd_madvise: madvise,
  uffd_file_write: fileWrite,
  punch,
  uffd_ftruncate: ftruncate,
  uffd_fork: fork,
  uffd_child_exit: childExit,
  child_touch: childTouch,
};
