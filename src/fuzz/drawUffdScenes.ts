/**
 * Scenes of a sequence with userfaultfd: a few pages are brought into one state, then one operation meets them. Chance alone would seldom make most of
 * these pairs: a page in swap that is protected and filled without waking, a huge zero page that is moved.
 *
 *   memory   as it is, or mapped anew: anonymous, shared, a private mapping of the file
 *   state    none, page, zero page, swap, each protected or not; marker, poison, guard; freed lazily; shared with a child that is gone; huge, huge zero
 *   meets    every ioctl with every flag; moves from there and onto it; accesses by the program, by the kernel, by a child; advice, locks, protection, mremap, fork
 *
 * Whether a state comes about, and what then happens, only the kernel knows.
 */
import { hex, PAGE_SIZE } from '../base/units.ts';
import { Deck } from './deck.ts';
import type { Calls, Draw } from './drawMemory.ts';
import type { PageRange } from './opsWindow.ts';
import type { Scene } from './scene.ts';
import { hasProtection, heat, MINOR, MISSING, notesOf, range, WP } from './uffdNotes.ts';

const PAGES_OF_2_MIB = 512;

/** What the calls of a scene say. */
interface Place {
  readonly scene: Scene;
  /** The context that is asked. */
  readonly on: string;
  readonly at: PageRange;
  /** `ADDR, LEN` of its pages. */
  readonly text: string;
  /** `start=ADDR, len=LEN`. */
  readonly fields: string;
}

const ioctl = ({ on }: Place, name: string, fields: string): Calls => [
  `ioctl(${on}, UFFDIO_${name}, {${fields}})`,
];
const fill = (place: Place, name: string, mode: number): Calls =>
  ioctl(place, name, `${place.fields}, mode=${hex(mode)}`);
const copy = (place: Place, mode: number): Calls => {
  const { scene, at } = place;
  const len = (at.end - at.first) * PAGE_SIZE;
  return ioctl(place, 'COPY', `dst=${scene.at(at.first)}, src=buf, len=${len}, mode=${hex(mode)}`);
};
const readOf = ({ on }: Place): string => `uffd_read(${on}, 3)`;
const advise = ({ text }: Place, advice: string): Calls => [`madvise(${text}, ${advice})`];

// ---- states ---------------------------------------------------------------------------------------------------------------------

/** How a state is brought about where nothing is. */
const STATES: Readonly<Record<string, (place: Place) => readonly Calls[]>> = {
  none: () => [],
  page: (p) => [copy(p, 0)],
  pageProtected: (p) => [copy(p, 2)],
  zero: (p) => [fill(p, 'ZEROPAGE', 0)],
  zeroProtected: (p) => [fill(p, 'ZEROPAGE', 0), fill(p, 'WRITEPROTECT', 1)],
  swap: (p) => [copy(p, 0), advise(p, 'MADV_PAGEOUT')],
  swapProtected: (p) => [copy(p, 2), advise(p, 'MADV_PAGEOUT')],
  marker: (p) => [fill(p, 'WRITEPROTECT', 1)],
  poison: (p) => [fill(p, 'POISON', 0)],
  guard: (p) => [advise(p, 'MADV_GUARD_INSTALL')],
  guardProtected: (p) => [advise(p, 'MADV_GUARD_INSTALL'), fill(p, 'WRITEPROTECT', 1)],
  lazy: (p) => [copy(p, 0), advise(p, 'MADV_FREE')],
  cached: (p) => [copy(p, 0), advise(p, 'MADV_DONTNEED')],
  once: (p) => {
    const child = notesOf(p.scene).forks++;
    return [copy(p, 0), [`fork() = child ${child}`], [readOf(p)], [`child_exit(${child})`]];
  },
};
/** The same of 2 MiB: as pages are not missing where they are made, this comes before registering. */
const HUGE_STATES: Readonly<Record<string, (place: Place) => readonly Calls[]>> = {
  huge: (p) => [[`touch_write(${p.text})`]],
  hugeZero: (p) => [[`touch_read(${p.text})`]],
};

const PLAIN_STATES = new Deck({
  none: 4,
  page: 6,
  pageProtected: 6,
  zero: 6,
  zeroProtected: 8,
  swap: 8,
  swapProtected: 10,
  marker: 10,
  poison: 8,
  guard: 6,
  guardProtected: 2,
  lazy: 5,
  cached: 5,
  once: 5,
});

// ---- what meets them ------------------------------------------------------------------------------------------------------------

const OPERATIONS = new Deck({
  copy: 12,
  zeropage: 8,
  continue: 8,
  poison: 6,
  writeprotect: 12,
  moveFrom: 14,
  moveOnto: 8,
  scan: 8,
  touch: 10,
  kernel: 6,
  child: 5,
  advice: 12,
  lock: 5,
  protect: 4,
  mremap: 4,
  fork: 3,
  unregister: 3,
  mincore: 2,
});

const ADVICE: readonly string[] = [
  'MADV_DONTNEED',
  'MADV_FREE',
  'MADV_PAGEOUT',
  'MADV_COLD',
  'MADV_WILLNEED',
  'MADV_POPULATE_READ',
  'MADV_POPULATE_WRITE',
  'MADV_GUARD_REMOVE',
  'MADV_COLLAPSE',
  'MADV_DONTNEED_LOCKED',
  'MADV_REMOVE',
];

/** What the sequence has: some of it would bring about what is not modelled. */
const may = (scene: Scene, advice: string): boolean => scene.advice.names.includes(advice);
const adviceOf = (scene: Scene): string => {
  const chosen = scene.random.pick(ADVICE);
  return may(scene, chosen) ? chosen : 'MADV_DONTNEED';
};

function move(place: Place, isSource: boolean): readonly Calls[] {
  const { scene, at, on } = place;
  const { random, window } = scene;
  const pages = at.end - at.first;
  const unit = pages === PAGES_OF_2_MIB ? pages : 1;
  const other = Math.floor(window.place(pages) / unit) * unit;
  const [dst, src] = isSource ? [other, at.first] : [at.first, other];
  const mode = random.below(4);
  const part = scene.chance(0.2) ? 1 : pages;
  const prepared: Calls = isSource
    ? [`madvise(${scene.text({ first: other, end: Math.min(window.pages, other + pages) })}, MADV_DONTNEED)`]
    : [`ioctl(${on}, UFFDIO_COPY, {dst=${scene.at(other)}, src=buf, len=${pages * PAGE_SIZE}, mode=0x0})`];
  const fields = `dst=${scene.at(dst)}, src=${scene.at(src)}, len=${part * PAGE_SIZE}, mode=${hex(mode)}`;
  return [prepared, ioctl(place, 'MOVE', fields)];
}

function scan({ scene, at }: Place): Calls {
  const { random } = scene;
  const flags = hasProtection(scene) ? random.pick([0, 1, 1, 3]) : 0;
  const fields = [
    'size=96',
    `flags=${hex(flags)}`,
    `start=${scene.at(at.first)}`,
    `end=${scene.at(at.end)}`,
    'vec=set, vec_len=64',
    `max_pages=${random.pick([0, 0, 1, 100])}`,
    'inverted=0x0',
    `mask=${hex(random.pick([0, 2]))}`,
    'anyof=0x0, return=0x17f',
  ];
  return [`ioctl(pagemap self, PAGEMAP_SCAN, {${fields.join(', ')}})`];
}

function byChild(place: Place): readonly Calls[] {
  const { scene, text } = place;
  const notes = notesOf(scene);
  const child = notes.forks++;
  const write = scene.chance(0.6);
  const access = scene.chance(0.5)
    ? `child_touch_${write ? 'write' : 'read'}(${child}, ${text})`
    : `process_vm_${write ? 'writev' : 'readv'}(child ${child}, ${text})`;
  return [[`fork() = child ${child}`], [readOf(place)], [access], [`child_exit(${child})`]];
}

function locked(place: Place): readonly Calls[] {
  const { scene, text } = place;
  // With locks there is no MREMAP_DONTUNMAP in a sequence.
  if (scene.mayLeaveBehind) return [[`munlock(${text})`]];
  const lock = scene.random.pick([`mlock(${text})`, `mlock2(${text}, MLOCK_ONFAULT)`]);
  return [[lock], [readOf(place)], [`munlock(${text})`]];
}

function closed({ scene, text }: Place): readonly Calls[] {
  const prot = scene.random.pick(['PROT_READ', 'PROT_NONE']);
  return [
    [`mprotect(${text}, ${prot})`],
    [`touch_read(${text})`],
    [`mprotect(${text}, PROT_READ|PROT_WRITE)`],
  ];
}

function mremap({ scene, at, text }: Place): Calls {
  const pages = at.end - at.first;
  const leaves = scene.chance(0.4) && scene.mayLeaveBehind;
  const to = scene.window.place(pages);
  scene.window.move(at, to, pages, leaves);
  const flags = `MREMAP_MAYMOVE|MREMAP_FIXED${leaves ? '|MREMAP_DONTUNMAP' : ''}`;
  return [`mremap(${text}, ${pages * PAGE_SIZE}, ${flags}, ${scene.at(to)})`];
}

function forked(place: Place): readonly Calls[] {
  const { scene } = place;
  if (scene.living.length >= scene.mode.children) return [[readOf(place)]];
  const child = notesOf(scene).forks++;
  scene.living.push(child);
  return [[`fork() = child ${child}`], [readOf(place)]];
}

/** One operation on the pages of `place`; some bring a call that prepares them. */
function meeting(place: Place): readonly Calls[] {
  const { scene, text, fields } = place;
  const { random } = scene;
  const wp = hasProtection(scene) ? 2 : 0;
  switch (OPERATIONS.draw(random)) {
    case 'copy':
      return [copy(place, random.pick([0, 1, wp, wp + 1]))];
    case 'zeropage':
      return [fill(place, 'ZEROPAGE', random.below(2))];
    case 'continue':
      return [fill(place, 'CONTINUE', random.pick([0, 1, wp, wp + 1]))];
    case 'poison':
      return [fill(place, 'POISON', random.below(2))];
    case 'writeprotect':
      return [fill(place, 'WRITEPROTECT', random.pick(wp === 0 ? [0, 2] : [0, 1, 1, 2]))];
    case 'moveFrom':
      return move(place, true);
    case 'moveOnto':
      return move(place, false);
    case 'scan':
      return [scan(place)];
    case 'touch':
      return [[`touch_${random.pick(['read', 'write', 'write'])}(${text})`]];
    case 'kernel':
      return [[`process_vm_${random.pick(['readv', 'writev'])}(${text})`]];
    case 'child':
      return byChild(place);
    case 'lock':
      return locked(place);
    case 'protect':
      return closed(place);
    case 'mremap':
      return [mremap(place)];
    case 'fork':
      return forked(place);
    case 'unregister':
      return [ioctl(place, 'UNREGISTER', fields)];
    case 'mincore':
      return [[`mincore(${text})`]];
    default:
      return [advise(place, adviceOf(scene))];
  }
}

// ---- a scene --------------------------------------------------------------------------------------------------------------------

/** Maps the pages anew now and then. */
function mapping({ scene, at, text }: Place): readonly Calls[] {
  const notes = notesOf(scene);
  if (scene.chance(0.4)) return [];
  const kind = notes.without === 'shared' ? 'anon' : scene.random.pick(['anon', 'anon', 'shared', 'private']);
  scene.window.map(at, 'write');
  const offset = (at.first % notes.memfdPages) * PAGE_SIZE;
  const how = {
    anon: 'MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED, -1, 0',
    shared: `MAP_SHARED|MAP_FIXED, m0, ${offset}`,
    private: `MAP_PRIVATE|MAP_FIXED, m0, ${offset}`,
  };
  return [[`mmap(${text}, PROT_READ|PROT_WRITE, ${how[kind as keyof typeof how]})`]];
}

function placeOf(scene: Scene, isHuge: boolean): Place {
  const { random, window } = scene;
  const pages = isHuge ? PAGES_OF_2_MIB : 1 + random.below(3);
  const first = isHuge
    ? PAGES_OF_2_MIB * random.below(window.pages / PAGES_OF_2_MIB)
    : Math.min(window.mappedRange('write').first, window.pages - pages);
  const at = heat(scene, { first, end: first + pages });
  const { start, len } = range(scene, at);
  const { contexts } = notesOf(scene);
  const on = `u${scene.chance(0.3) ? random.below(contexts) : 0}`;
  return { scene, on, at, text: scene.text(at), fields: `start=${start}, len=${len}` };
}

function modeOf(scene: Scene): number {
  const wp = hasProtection(scene) ? WP : 0;
  const shared = notesOf(scene).without !== 'shared' && scene.chance(0.3) ? MINOR : 0;
  return (MISSING | wp | shared) & (scene.chance(0.25) && wp !== 0 ? WP : 7);
}

/** Pages in one state, and what meets them. Returns the first call; the others come next. */
export const stateScene: Draw = (scene) => {
  const { coming } = notesOf(scene);
  const isHuge = scene.kind === 2 && scene.chance(0.4);
  const place = placeOf(scene, isHuge);
  const mode = modeOf(scene);
  const register = ioctl(place, 'REGISTER', `${place.fields}, mode=${hex(mode)}`);
  // A mode that not all memory takes: then it is left as it was registered before.
  const empty = advise(place, 'MADV_DONTNEED');
  if (isHuge) {
    const made = HUGE_STATES[scene.random.pick(['huge', 'huge', 'hugeZero'])] as (
      place: Place,
    ) => readonly Calls[];
    const unregister = ioctl(place, 'UNREGISTER', place.fields);
    coming.push(unregister, advise(place, 'MADV_HUGEPAGE'), ...made(place), register);
    if (hasProtection(scene) && scene.chance(0.5)) coming.push(fill(place, 'WRITEPROTECT', 1));
    coming.push(...meeting(place));
    return empty;
  }
  const drawn = PLAIN_STATES.draw(scene.random);
  const isGuard = drawn.startsWith('guard') && notesOf(scene).without === 'guards';
  const isProtected = /Protected|marker/.test(drawn) && !hasProtection(scene);
  const isSwapped = drawn.startsWith('swap') && !may(scene, 'MADV_PAGEOUT');
  const state = STATES[isGuard || isProtected || isSwapped ? 'page' : drawn] as (
    place: Place,
  ) => readonly Calls[];
  coming.push(...mapping(place), register, ...state(place), ...meeting(place));
  return empty;
};
