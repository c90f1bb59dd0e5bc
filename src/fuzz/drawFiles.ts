/**
 * Draws of calls about files and System V segments: what makes them, changes their size or contents, and attaches them.
 */
import { PAGE_SIZE } from '../base/units.ts';
import type { Calls, Draw } from './drawMemory.ts';
import type { FileNote, Scene } from './scene.ts';

/** The most pages that a file has. */
const MOST_PAGES = 48;
const isRegular = ({ name }: FileNote): boolean => name.startsWith('f');

/** What a private mapping of a file is drawn from, as long as the sequence has none. */
const NO_FILE: FileNote = { name: 'm0', pages: 0 };

const anyFile = ({ random, files }: Scene): FileNote => (files.length === 0 ? NO_FILE : random.pick(files));

/** Draws a range of a file in bytes; mostly whole pages. */
function fileRange({ random }: Scene): { offset: number; length: number } {
  const first = random.below(MOST_PAGES);
  const length = random.pick([1, 1, 2, 1 + random.below(8), 1 + random.below(MOST_PAGES)]) * PAGE_SIZE;
  const isOdd = random.unit() < 0.06;
  return { offset: first * PAGE_SIZE + (isOdd ? 100 : 0), length: length - (isOdd ? 300 : 0) };
}

const ftruncate: Draw = (scene) => {
  const { random } = scene;
  const file = anyFile(scene);
  if (isRegular(file)) {
    // Only ever smaller.
    file.pages = Math.min(file.pages, random.below(file.pages + 1));
    return [`ftruncate(${file.name}, ${file.pages * PAGE_SIZE})`];
  }
  const pages = random.pick([0, 1, random.below(16), random.below(MOST_PAGES + 1), MOST_PAGES]);
  const odd = random.unit() < 0.15 ? 100 : 0;
  return [`ftruncate(${file.name}, ${pages * PAGE_SIZE + odd})`];
};
const fallocate: Draw = (scene) => {
  const { offset, length } = fileRange(scene);
  const punch = 'FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE';
  const mode = scene.random.pick([punch, punch, punch, '0', 'FALLOC_FL_KEEP_SIZE', 'FALLOC_FL_PUNCH_HOLE']);
  const file = anyFile(scene);
  return [`fallocate(${file.name}, ${isRegular(file) ? 'FALLOC_FL_KEEP_SIZE' : mode}, ${offset}, ${length})`];
};
const fileWrite: Draw = (scene) => {
  const file = anyFile(scene);
  const most = isRegular(file) ? Math.max(1, file.pages) : MOST_PAGES;
  const first = scene.random.below(most);
  const pages = 1 + scene.random.below(Math.min(8, most - first));
  if (isRegular(file)) file.pages = Math.max(file.pages, 1);
  return [`file_write(${file.name}, ${first * PAGE_SIZE}, ${pages * PAGE_SIZE})`];
};
const addSeals: Draw = (scene) => [
  `add_seals(${anyFile(scene).name}, ${scene.random.pick(['F_SEAL_SHRINK', 'F_SEAL_GROW', 'F_SEAL_SHRINK|F_SEAL_GROW', 'F_SEAL_WRITE', 'F_SEAL_FUTURE_WRITE', 'F_SEAL_SEAL'])})`,
];

const shmat: Draw = (scene) => {
  const { random, window, segments } = scene;
  const { name, pages } = segments.length === 0 ? { name: 's0', pages: 1 } : random.pick(segments);
  const first = window.page();
  const range = { first, end: Math.min(window.pages, first + pages) };
  const flags = random.pick(['0', 'SHM_REMAP', 'SHM_REMAP', 'SHM_RDONLY', 'SHM_REMAP|SHM_RDONLY', 'SHM_RND']);
  if (window.isFree(range) || flags.includes('REMAP'))
    window.map(range, flags.includes('RDONLY') ? 'read' : 'write');
  if (random.unit() < 0.06) return [`shmat(${name}, NULL, ${flags})`, 'shmdt(placed)'];
  return [`shmat(${name}, ${scene.at(first)}, ${flags})`];
};
const shmdt: Draw = (scene) => [`shmdt(${scene.at(scene.window.mappedRange().first)})`];

/** What a sequence with files begins with. */
export function filesSetup(scene: Scene): Calls[] {
  const { random, files, segments } = scene;
  const calls: Calls[] = [];
  for (let i = 0, n = 1 + random.below(3); i < n; i++) {
    const name = `m${i}`;
    const pages = 1 + random.below(MOST_PAGES);
    files.push({ name, pages });
    const flags = random.pick(['MFD_ALLOW_SEALING', 'MFD_CLOEXEC|MFD_ALLOW_SEALING', 'MFD_CLOEXEC']);
    calls.push([`memfd_create(${name}, ${flags})`], [`ftruncate(${name}, ${pages * PAGE_SIZE})`]);
    const written = 1 + random.below(pages);
    if (random.unit() < 0.5) calls.push([`file_write(${name}, 0, ${written * PAGE_SIZE})`]);
  }
  for (let i = 0, n = scene.hasRegular ? 1 + random.below(2) : 0; i < n; i++) {
    // The only page of a file is not mapped with its neighbours before somebody has faulted it in: nothing says why (docs/fidelity.md).
    const pages = 2 + random.below(MOST_PAGES - 1);
    files.push({ name: `f${i}`, pages });
    calls.push([`open(f${i}, ${pages})`]);
  }
  for (let i = 0, n = random.below(3); i < n; i++) {
    const pages = 1 + random.below(24);
    segments.push({ name: `s${i}`, pages });
    calls.push([`shmget(s${i}, ${pages * PAGE_SIZE - (random.unit() < 0.2 ? 1000 : 0)})`]);
  }
  return calls;
}

/** By the names that the tables of modes use. */
export const FILE_DRAWS: Readonly<Record<string, Draw>> = {
  ftruncate,
  fallocate,
  file_write: fileWrite,
  add_seals: addSeals,
  shmat,
  shmdt,
};
