/**
 * Draws of calls on userfaultfds and pagemap.
 *
 * Much of what is drawn is meant for pages at which a thread may sleep: those that were touched last, and the borders of what was registered.
 * Whether one does sleep there, and whether an operation can be carried out at all, only the kernel knows: it leaves out what is not possible.
 */
import { hex, PAGE_SIZE } from '../base/units.ts';
import type { Calls, Draw } from './drawMemory.ts';
import { fileWrite, UFFD_MEMORY_DRAWS } from './drawUffdMemory.ts';
import { stateScene } from './drawUffdScenes.ts';
import { type Scene, WINDOW } from './scene.ts';
import {
  context,
  dontWake,
  FEATURE,
  hasProtection,
  heat,
  ioctl,
  MISSING,
  near,
  notesOf,
  profileOf,
  range,
  WP,
  wpMode,
} from './uffdNotes.ts';

const PAGES_OF_2_MIB = 512;

// ---- contexts -------------------------------------------------------------------------------------------------------------------

function features(scene: Scene): number {
  const wanted = profileOf(scene).features.filter(() => scene.chance(0.9));
  let bits = 0;
  for (const name of wanted) bits += 2 ** FEATURE[name];
  const others: readonly (readonly [keyof typeof FEATURE, number])[] = [
    ['threadId', 0.6],
    ['exactAddress', 0.5],
    ['wpUnpopulated', 0.35],
    ['wpAsync', 0.1],
    ['sigbus', 0.07],
    ['fork', 0.1],
    ['remap', 0.15],
    ['remove', 0.12],
    ['unmap', 0.12],
  ];
  for (const [name, likelihood] of others)
    if (!wanted.includes(name) && scene.chance(likelihood)) bits += 2 ** FEATURE[name];
  for (const bit of [0, 4, 5, 9, 10, 12, 14, 16]) if (scene.chance(0.3)) bits += 2 ** bit;
  return scene.chance(0.02) ? bits + 2 ** 20 : bits;
}

const handshake = (scene: Scene, on: string): string =>
  `ioctl(${on}, UFFDIO_API, {api=${scene.chance(0.02) ? '0xab' : '0xaa'}, features=${hex(features(scene))}})`;

/** A new context; most are of use at once. */
const userfaultfd: Draw = (scene) => {
  const notes = notesOf(scene);
  if (scene.chance(0.04)) return ['userfaultfd(0x10)'];
  if (notes.contexts >= 4) return read(scene);
  const flags = scene.random.pick(['O_NONBLOCK', 'O_CLOEXEC|O_NONBLOCK', 'O_CLOEXEC|O_NONBLOCK']);
  notes.contexts++;
  return [`userfaultfd(${flags})`];
};
const api: Draw = (scene) => [handshake(scene, context(scene))];
const close: Draw = (scene) => [`close(${context(scene)})`];
const read: Draw = (scene) => [`uffd_read(${context(scene)}, ${1 + scene.random.below(3)})`];

// ---- ranges ---------------------------------------------------------------------------------------------------------------------

const register: Draw = (scene) => {
  const drawn = scene.random.pick(scene.chance(0.85) ? profileOf(scene).modes : [1, 2, 4, 3, 5, 6, 7]);
  const mode = hasProtection(scene) ? drawn : drawn & ~WP || MISSING;
  return ioctl(scene, 'REGISTER', {
    ...range(scene, heat(scene, scene.window.mappedRange())),
    mode: hex(mode),
  });
};
const unregister: Draw = (scene) => ioctl(scene, 'UNREGISTER', range(scene, scene.window.mappedRange()));
const wake: Draw = (scene) =>
  ioctl(scene, 'WAKE', range(scene, scene.chance(0.5) ? { first: 0, end: scene.window.pages } : near(scene)));

const copy: Draw = (scene) => {
  const { random } = scene;
  const at = near(scene);
  const roll = random.unit();
  const pages = at.end - at.first;
  const src =
    roll < 0.82
      ? 'buf'
      : roll < 0.86
        ? 'buf+8'
        : roll < 0.92
          ? `bufend-${random.pick([0, 4096, 8192])}`
          : scene.at(random.below(Math.max(1, scene.window.pages - pages)));
  const { start, len } = range(scene, at);
  return ioctl(scene, 'COPY', { dst: start, src, len, mode: hex(wpMode(scene) + dontWake(scene)) });
};
const zeropage: Draw = (scene) =>
  ioctl(scene, 'ZEROPAGE', { ...range(scene, near(scene)), mode: hex(dontWake(scene)) });
const continueFault: Draw = (scene) =>
  ioctl(scene, 'CONTINUE', { ...range(scene, near(scene)), mode: hex(wpMode(scene) + dontWake(scene)) });
const poison: Draw = (scene) =>
  ioctl(scene, 'POISON', { ...range(scene, near(scene)), mode: hex(dontWake(scene)) });
const writeprotect: Draw = (scene) => {
  if (!hasProtection(scene)) return zeropage(scene);
  const mode = scene.random.pick([1, 1, 1, 0, 0, 2, 3]);
  const at = scene.chance(0.5) ? heat(scene, scene.window.mappedRange()) : near(scene, scene.window.pages);
  return ioctl(scene, 'WRITEPROTECT', { ...range(scene, at), mode: hex(mode) });
};

/** Two ranges of one length; of whole 2 MiB now and then, beside or over each other now and then. */
const move: Draw = (scene) => {
  const { random, window } = scene;
  const source = scene.chance(0.6) ? window.mappedRange('write') : near(scene);
  const isHuge = scene.kind === 2 && scene.chance(0.35);
  const pages = isHuge
    ? PAGES_OF_2_MIB
    : Math.min(source.end - source.first, random.pick([1, 2, 4, 16, 600]));
  const aligned = (page: number): number => page - (page % PAGES_OF_2_MIB);
  const target = scene.chance(0.6) ? near(scene).first : window.page();
  const beside = source.first + random.pick([-pages, pages, -1, 1, 0]);
  const drawn = scene.chance(0.12) ? beside : target;
  const within = (page: number): number => Math.max(0, Math.min(window.pages - pages, page));
  const mode = random.pick([0, 0, 0, 2, 2, 1]);
  const [dst, src] = isHuge ? [aligned(drawn), aligned(source.first)] : [drawn, source.first];
  return ioctl(scene, 'MOVE', {
    dst: scene.at(within(dst)),
    src: scene.at(within(src)),
    len: String(pages * PAGE_SIZE),
    mode: hex(mode),
  });
};

/** What becomes of a page before it is moved: protected, written out, shared with a child that is gone. */
const moveScene: Draw = (scene) => {
  const { random, window } = scene;
  const { coming } = notesOf(scene);
  const { first } = window.mappedRange('write');
  const source = { first, end: Math.min(window.pages, first + 1 + random.below(3)) };
  const pages = source.end - source.first;
  const place = window.place(pages);
  const isBeside = Math.abs(place - source.first) >= pages;
  // What is moved onto itself is not there.
  const to = isBeside ? place : source.first >= pages ? source.first - pages : source.end;
  const target = { first: to, end: Math.min(window.pages, to + pages) };
  const { start, len } = range(scene, source);
  const protect = [`ioctl(u0, UFFDIO_WRITEPROTECT, {start=${start}, len=${len}, mode=0x1})`];
  const out = [`madvise(${scene.text(source)}, MADV_PAGEOUT)`];
  const child = notesOf(scene).forks;
  const shared = [[`fork() = child ${child}`], ['uffd_read(u0, 3)'], [`child_exit(${child})`]];
  const before = random.pick<Calls[]>([
    [protect],
    [out],
    [protect, out],
    [out, protect],
    shared,
    [...shared, out],
  ]);
  if (before.length >= shared.length) notesOf(scene).forks++;
  const mode = hasProtection(scene) ? '0x3' : '0x1';
  const whole = range(scene, { first: 0, end: window.pages });
  const move = `{dst=${scene.at(to)}, src=${start}, len=${len}, mode=0x0}`;
  coming.push(
    // A store would have to wait where pages are missing.
    [`ioctl(u0, UFFDIO_COPY, {dst=${start}, src=buf, len=${len}, mode=0x0})`],
    [`madvise(${scene.text(target)}, MADV_DONTNEED)`],
    ...(hasProtection(scene) ? before : [out]),
    [`ioctl(u0, UFFDIO_MOVE, ${move})`],
  );
  return [`ioctl(u0, UFFDIO_REGISTER, {start=${whole.start}, len=${whole.len}, mode=${mode}})`];
};

// ---- pagemap --------------------------------------------------------------------------------------------------------------------

const CATEGORIES = 0x17f;

const scan: Draw = (scene) => {
  const { random, living } = scene;
  const isOdd = scene.chance(0.03);
  const wide = scene.chance(0.2);
  const at = wide ? { first: 0, end: scene.window.pages } : near(scene, scene.window.pages);
  const some = (): number =>
    random.pick([0, 0, 2, 8, 16, 1 << random.below(7), random.below(0x180) & CATEGORIES]);
  const flags = random.pick(hasProtection(scene) ? [0, 0, 1, 1, 3, 2] : [0, 0, 2]);
  const who = living.length > 0 && scene.chance(0.25) ? `child ${random.pick(living)}` : 'self';
  const vec = scene.chance(0.9);
  const fields: Record<string, string> = {
    size: isOdd && scene.chance(0.3) ? '88' : '96',
    flags: hex(isOdd && scene.chance(0.3) ? 4 : flags),
    start: hex(WINDOW + at.first * PAGE_SIZE + (isOdd && scene.chance(0.3) ? 8 : 0)),
    end: hex(WINDOW + at.end * PAGE_SIZE + (scene.chance(0.03) ? 100 : 0)),
    vec: vec ? 'set' : '0',
    vec_len: String(vec ? random.pick([64, 64, 64, 1, 2, 5]) : isOdd ? 3 : 0),
    max_pages: String(random.pick([0, 0, 0, 1, 3, random.below(64)])),
    inverted: hex(scene.chance(0.3) ? some() : 0),
    mask: hex(some()),
    anyof: hex(some()),
    return: hex(random.pick([CATEGORIES, CATEGORIES, some(), random.below(0x180) & CATEGORIES])),
  };
  const text = Object.entries(fields).map(([key, value]) => `${key}=${value}`);
  return [`ioctl(pagemap ${who}, PAGEMAP_SCAN, {${text.join(', ')}})`];
};

/** By the names that the tables of modes use. */
export const UFFD_DRAWS: Readonly<Record<string, Draw>> = {
  userfaultfd,
  api,
  close,
  uffd_read: read,
  register,
  unregister,
  wake,
  copy,
  zeropage,
  continue: continueFault,
  poison,
  writeprotect,
  move,
  moveScene,
  stateScene,
  scan,
  ...UFFD_MEMORY_DRAWS,
};

/** What a sequence begins with: mappings, one or two contexts, registrations, some pages. */
export function uffdSetup(scene: Scene): Calls[] {
  const { random, window } = scene;
  const notes = notesOf(scene);
  const calls: Calls[] = [];
  const all = { first: 0, end: window.pages };
  window.map(all, 'write');
  calls.push([`mmap(${scene.text(all)}, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0)`]);
  if (scene.kind === 2 && scene.chance(0.7)) calls.push([`madvise(${scene.text(all)}, MADV_HUGEPAGE)`]);
  const kinds = notes.without === 'shared' ? 0 : notes.profile === 6 ? 3 : random.below(3);
  for (let i = 0; i < kinds; i++) {
    const range = window.range();
    const first = Math.min(range.first, window.pages - 1);
    const at = { first, end: Math.min(range.end, first + 2 * notes.memfdPages) };
    window.map(at, 'write');
    const how = random.pick(['MAP_SHARED', 'MAP_SHARED', 'MAP_PRIVATE']);
    calls.push([`mmap(${scene.text(at)}, PROT_READ|PROT_WRITE, ${how}|MAP_FIXED, m0, 0)`]);
  }
  if (kinds > 0 && scene.chance(0.6)) calls.push(fileWrite(scene));
  if (scene.chance(0.5)) calls.push([`touch_write(${scene.text(window.mappedRange('write'))})`]);
  for (let i = 0, n = random.pick([1, 1, 2]); i < n; i++) {
    notes.contexts++;
    calls.push(['userfaultfd(O_CLOEXEC|O_NONBLOCK)']);
    calls.push([handshake(scene, `u${i}`)]);
  }
  for (let i = 0, n = 1 + random.below(3); i < n; i++) calls.push(register(scene));
  return calls;
}
