/**
 * The random operations: each is a generator that yields steps in the notation of the case files and is handed back what each answered.
 *
 * The weights follow what programs and fuzzers of these calls do most; what is rare takes part only in cases that drew it.
 */
import type { Prng } from '../../src/base/prng.ts';
import { type Places, PMD_PAGES } from './places.ts';
import { refusedArguments } from './refusedArguments.ts';

/** What may take part in a case besides private anonymous memory of one process. */
export const RARITIES = [
  'fork',
  'guard',
  'shared',
  'memfd',
  'file',
  'seal',
  'growsdown',
  'droppable',
  'stack',
  'lock',
  'refused',
  'elsewhere',
  'limits',
  'policy',
  'ksm',
  'look',
  'unprivileged',
  'sysv',
  'process',
  'mdwe',
] as const;
/** What changes so much that it takes part only where it is asked for: registered memory, the map limit. */
export const ON_DEMAND = ['uffd', 'full'] as const;
/** Any of these. */
export type Rarity = (typeof RARITIES)[number] | (typeof ON_DEMAND)[number];

/** Steps to be made, each answered in the notation. */
export type Steps = Generator<string, void, string>;

/** What draws need to know of a case. */
export interface Scene {
  readonly rng: Prng;
  readonly places: Places;
  readonly has: ReadonlySet<Rarity>;
  /** Most ranges are whole 2 MiB. */
  readonly huge: boolean;
  /** The children left behind that are alive, by number. */
  readonly held: number[];
  nrHeld: number;
  turn: number;
}

type Draw = (scene: Scene) => Steps;

const MOST_HELD = 4;

export const PLAIN_ADVICE = [
  'NORMAL',
  'RANDOM',
  'SEQUENTIAL',
  'WILLNEED',
  'DONTNEED',
  'DONTNEED',
  'DONTNEED_LOCKED',
  'FREE',
  'FREE',
  'REMOVE',
  'DONTFORK',
  'DOFORK',
  'WIPEONFORK',
  'KEEPONFORK',
  'DONTDUMP',
  'DODUMP',
  'COLD',
  'PAGEOUT',
  'POPULATE_READ',
  'POPULATE_WRITE',
  'POPULATE_WRITE',
];
const HUGE_ADVICE = ['HUGEPAGE', 'HUGEPAGE', 'HUGEPAGE', 'NOHUGEPAGE', 'COLLAPSE', 'COLLAPSE'];

/** Returns the advice to draw from, each as often as it stands there. */
function adviceOf({ has, huge, places }: Scene): readonly string[] {
  if (has.has('uffd')) return PLAIN_ADVICE.filter((advice) => !advice.startsWith('POPULATE'));
  if (has.has('ksm') && places.chance(30)) return ['MERGEABLE', 'UNMERGEABLE'];
  if (places.pages > PMD_PAGES && places.chance(huge ? 45 : 10)) return HUGE_ADVICE;
  // Page-out drops clean and droppable pages, which is not modelled and would be seen.
  return has.has('look') ? PLAIN_ADVICE.filter((advice) => advice !== 'PAGEOUT') : PLAIN_ADVICE;
}

function* advise(scene: Scene): Steps {
  const advice = scene.rng.pick(adviceOf(scene));
  const own = advice === 'COLLAPSE' && scene.places.chance(70);
  const [a, n] = own ? scene.places.windowsOfOne() : scene.places.range();
  yield `adv ${a} ${n} ${advice}`;
}

/** Mappings that need something rare: the flags, and the protection if it matters. */
const SPECIAL_MAPS: readonly (readonly [
  needs: Rarity,
  flags: readonly string[],
  prot?: readonly string[],
])[] = [
  ['shared', ['sf', 'sf', 'sfn', 'sfP', 'sr', 'sfL']],
  ['memfd', ['sf0', 'sf0', 'pf0', 'pf0', 'pf0P', 'sf0n', 'pf0n']],
  ['file', ['pf1', 'pf1', 'sf1'], ['r', 'rw', 'rx']],
  ['growsdown', ['pfg', 'pfg', 'pfgn']],
  ['droppable', ['Df', 'DfP']],
  ['stack', ['pfS', 'pfnS', 'pfgS']],
  ['lock', ['pfL', 'pfLP', 'pfgL', 'DfL']],
];

function* map({ rng, places, has }: Scene): Steps {
  const [a, n] = places.range();
  let flags = rng.pick(['pf', 'pf', 'pf', 'pf', 'pf', 'pf', 'pr', 'pfn', 'pfn', 'pfP']);
  let prot = rng.pick(['rw', 'rw', 'rw', 'rw', 'r', '-', 'rwx']);
  const special = SPECIAL_MAPS.filter(([needs]) => has.has(needs));
  if (special.length > 0 && places.chance(35)) {
    const [, someFlags, someProt] = rng.pick(special);
    flags = rng.pick(someFlags);
    prot = someProt === undefined ? prot : rng.pick(someProt);
  }
  if (has.has('uffd')) flags = flags.replace('P', '');
  const offset = /[01]/.test(flags) ? ` ${places.chance(40) ? a % 64 : rng.below(64)}` : '';
  yield `map ${a} ${n} ${prot} ${flags}${offset}`;
}

/** Memory over much of the window, written, maybe huge: without it a long case ends in crumbs. */
function* fresh({ rng, places, has, huge }: Scene): Steps {
  if (!huge) {
    yield `map 0 ${places.pages} rw pf`;
    return;
  }
  const [a, n] = places.wholeRange();
  yield `map ${a} ${n} rw ${has.has('shared') && places.chance(25) ? 'sf' : 'pf'}`;
  if (places.chance(60)) yield `adv ${a} ${n} HUGEPAGE`;
  if (!has.has('uffd')) yield `touchto ${a + rng.below(n)} 1`;
}

/** What the kernel put outside the window comes back, or goes. */
function* bringBack({ rng, places }: Scene, answer: string, pages: number): Steps {
  if (!answer.startsWith('elsewhere')) return;
  if (places.chance(30)) yield `touch last+0 ${1 + rng.below(Math.min(pages, 4))}`;
  yield places.chance(60) ? `remap last+0 ${pages} ${pages} mf ${places.page()}` : `unmap last+0 ${pages}`;
}

function* elsewhere(scene: Scene): Steps {
  const { rng, places, has } = scene;
  const [a, n] = places.range();
  const flags = rng.pick(['p', 'p', 'pz', 'pn', 'pP', has.has('shared') ? 's' : 'p']);
  const answer = yield `map ${a} ${n} ${rng.pick(['rw', 'rw', 'r'])} ${flags}`;
  yield* bringBack(scene, answer, n);
}

function* remap(scene: Scene): Steps {
  const { rng, places, has } = scene;
  const [a, n] = places.range();
  const kind = rng.below(20);
  const to = places.chance(60) ? places.page() : rng.below(places.pages);
  const other = places.chance(50) ? places.reach(a) : Math.max(1, n + rng.below(9) - 4);
  if (kind < 9) yield `remap ${a} ${n} ${n} mf ${to}`;
  else if (kind < 12) yield `remap ${a} ${n} ${n} mdf ${to}`;
  else if (kind < 15) yield `remap ${a} ${n} ${other} mf ${to}`;
  else if (kind < 18 || !has.has('elsewhere')) yield `remap ${a} ${n} ${other} 0`;
  else if (kind === 18) yield* bringBack(scene, yield `remap ${a} ${n} ${other} m`, other);
  else yield* bringBack(scene, yield `remap ${a} ${n} ${n} md`, n);
}

const touch = (op: 'touch' | 'read'): Draw =>
  function* ({ places }) {
    const [a, n] = places.range();
    yield n <= 16 ? `${op} ${a} ${n}` : `${op}to ${a} ${n}`;
  };

function* protect({ rng, places, has }: Scene): Steps {
  const [a, n] = places.range();
  const growing = has.has('growsdown') ? ['rd', 'rwd'] : [];
  yield `prot ${a} ${n} ${rng.pick(['r', 'rw', 'rw', 'rw', '-', 'rwx', 'rx', 'w', ...growing])}`;
}

function* lock({ rng, places }: Scene): Steps {
  const [a, n] = places.range();
  const kind = rng.below(10);
  if (kind < 4) yield `lock ${a} ${n}`;
  else yield kind < 6 ? `lock2 ${a} ${n} ${rng.below(2)}` : `unlock ${a} ${n}`;
}

function* endOne({ rng, held, turn }: Scene): Steps {
  const others = held.filter((k) => k !== turn);
  if (others.length === 0) return;
  const gone = rng.pick(others);
  held.splice(held.indexOf(gone), 1);
  yield `drop ${gone}`;
}

function* fork(scene: Scene): Steps {
  if (scene.held.length >= MOST_HELD) {
    yield* endOne(scene);
    return;
  }
  scene.nrHeld++;
  scene.held.push(scene.nrHeld);
  yield 'forkhold';
}

function* takeTurn(scene: Scene): Steps {
  scene.turn = scene.places.chance(40) ? 0 : scene.rng.pick([0, ...scene.held]);
  yield `at ${scene.turn}`;
}

function* limit({ rng, places }: Scene): Steps {
  const value = places.chance(50) ? `+${rng.below(40)}` : '0x7fffffffffff0000';
  yield places.chance(30) ? `limit stack ${rng.below(64)}` : `limit ${rng.pick(['as', 'data'])} ${value}`;
}

/** What a fault brings in around it is not modelled for files, so pages are looked at only where there are none. */
function* look(scene: Scene): Steps {
  const { rng, places } = scene;
  const [a, n] = places.range();
  const kind = rng.below(4);
  if (kind === 0) yield `val ${a} ${Math.min(n, 8)}`;
  else if (kind === 3) yield `msync ${a} ${n} ${rng.pick([1, 2, 4, 5, 6, 3])}`;
  else if (!hasFiles(scene)) yield `${kind === 1 ? 'pfn' : 'mincore'} ${a} ${Math.min(n, 32)}`;
}

/** Tells whether memory of files, or registered memory, takes part: of its pages and tables less is modelled. */
export const hasFiles = ({ has }: Pick<Scene, 'has'>): boolean =>
  (['shared', 'memfd', 'file', 'sysv', 'uffd'] as const).some((rarity) => has.has(rarity));

function* adviseProcess(scene: Scene): Steps {
  const { rng, places } = scene;
  const ranges = Array.from({ length: 1 + rng.below(3) }, () => places.range().join(' '));
  yield `padv ${rng.pick(adviceOf(scene))} ${ranges.join(' ')}`;
}

function* register({ rng, places }: Scene): Steps {
  const [a, n] = places.range();
  yield places.chance(65) ? `uffdreg ${a} ${n} ${rng.pick([1, 1, 2, 3])}` : `uffdunreg ${a} ${n}`;
}

/** An operation on a range, with what `rest` adds. */
const onRange = (write: (range: string, scene: Scene) => string): Draw =>
  function* (scene) {
    yield write(scene.places.range().join(' '), scene);
  };
const oneOf = (texts: readonly string[]): Draw =>
  function* ({ rng }) {
    yield rng.pick(texts);
  };

/** Each operation: how often it is drawn, what must take part for it, whether it makes faults. */
const OPERATIONS: readonly {
  readonly weight: number;
  readonly draw: Draw;
  readonly needs?: Rarity;
  readonly faults?: boolean;
}[] = [
  { weight: 34, draw: map },
  { weight: 5, draw: fresh },
  { weight: 8, draw: onRange((range) => `unmap ${range}`) },
  { weight: 27, draw: protect },
  { weight: 30, draw: remap },
  { weight: 26, draw: touch('touch'), faults: true },
  { weight: 18, draw: touch('read'), faults: true },
  { weight: 34, draw: advise },
  { weight: 1, draw: onRange((range) => `name ${range}`) },
  { weight: 5, draw: elsewhere, needs: 'elsewhere' },
  {
    weight: 8,
    draw: onRange((range, { places }) => `adv ${range} GUARD_${places.chance(70) ? 'INSTALL' : 'REMOVE'}`),
    needs: 'guard',
  },
  { weight: 10, draw: lock, needs: 'lock', faults: true },
  { weight: 2, draw: oneOf(['lockall 2', 'lockall 6', 'unlockall']), needs: 'lock', faults: true },
  { weight: 4, draw: fork, needs: 'fork' },
  { weight: 12, draw: takeTurn, needs: 'fork' },
  { weight: 2, draw: endOne, needs: 'fork' },
  {
    weight: 2,
    draw: onRange((range, { rng, places }) =>
      places.chance(20) ? `seal ${range}` : `seal ${places.page()} ${1 + rng.below(8)}`,
    ),
    needs: 'seal',
  },
  {
    weight: 4,
    draw: onRange((range, { places }) => (places.chance(60) ? `mbind ${range} 2` : `mbind0 ${range}`)),
    needs: 'policy',
  },
  { weight: 1, draw: oneOf(['ksmall 0', 'ksmall 1']), needs: 'ksm' },
  { weight: 3, draw: limit, needs: 'limits' },
  { weight: 2, draw: oneOf(['brk 0', 'brk 1', 'brk 4096', 'brk 12289', 'brk 28672']), needs: 'limits' },
  { weight: 12, draw: refusedArguments, needs: 'refused' },
  { weight: 8, draw: look, needs: 'look', faults: true },
  {
    weight: 3,
    draw: onRange((_range, { rng, places }) => `shmat ${rng.below(2)} ${places.page()}`),
    needs: 'sysv',
  },
  { weight: 5, draw: adviseProcess, needs: 'process' },
  { weight: 14, draw: register, needs: 'uffd' },
];

/** Returns the operations that may be drawn, each as often as its weight says. With userfaultfd nothing may fault: nobody would answer. */
export const deckOf = (has: ReadonlySet<Rarity>): readonly Draw[] =>
  OPERATIONS.filter(
    ({ needs, faults }) => (needs === undefined || has.has(needs)) && !(has.has('uffd') && faults === true),
  ).flatMap(({ draw, weight }) => Array.from({ length: weight }, () => draw));

/** The steps that make what a case needs before its first operation. */
export function* prepare({ rng, places, has }: Scene): Steps {
  if (has.has('memfd')) {
    yield 'fd 0 64';
    yield 'fillfd 0 8';
    if (places.chance(30)) yield `seals 0 ${rng.pick([8, 16])}`;
  }
  if (has.has('file')) yield `file 1 64 ${rng.pick(['rw', 'ro'])}`;
  if (has.has('sysv')) yield 'shmget 0 8';
  if (has.has('sysv')) yield 'shmget 1 600';
  if (has.has('uffd')) yield 'uffd';
  if (has.has('mdwe') && places.chance(30)) yield 'mdwe';
  if (has.has('full')) yield `fill ${1 + rng.below(12)}`;
  // A segment is its maker's, and so is a file: nobody else may attach the one, or learn from mincore what of the other is in memory.
  if (has.has('unprivileged') && !has.has('sysv') && !has.has('file')) {
    yield `limit memlock ${rng.pick([0, 8, 64])}`;
    yield 'uid';
  }
  if (places.chance(80)) yield `map 0 ${places.pages} rw pf`;
}
