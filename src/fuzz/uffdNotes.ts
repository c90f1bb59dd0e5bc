/**
 * What a sequence with userfaultfd remembers while it is drawn: its profile, its contexts, and where a thread may sleep.
 *
 * It follows no rule and is often wrong; only what is drawn depends on it, never what is right.
 */
import { hex, PAGE_SIZE } from '../base/units.ts';
import type { Calls } from './drawMemory.ts';
import type { PageRange } from './opsWindow.ts';
import type { Scene } from './scene.ts';

/** The longest range that is filled from a buffer. */
const MOST_FILLED = 600;
/** How many places are remembered. */
const FORGOTTEN = 8;

/** Bits of the modes of registering. */
export const [MISSING, WP, MINOR] = [1, 2, 4];
/** Features, by bit. */
export const FEATURE = {
  fork: 1,
  remap: 2,
  remove: 3,
  unmap: 6,
  sigbus: 7,
  threadId: 8,
  exactAddress: 11,
  wpUnpopulated: 13,
  wpAsync: 15,
} as const;

/** What a kind of sequence draws more often. */
export interface UffdProfile {
  readonly features: readonly (keyof typeof FEATURE)[];
  readonly calls: Readonly<Record<string, number>>;
  readonly modes: readonly number[];
}

/** Markers, SIGBUS, WP_ASYNC and scans, events, forks, MOVE, shared memory with MINOR, anything: the profiles of the recorded sequences. */
export const UFFD_PROFILES: readonly UffdProfile[] = [
  { features: ['wpUnpopulated'], calls: { writeprotect: 90, poison: 40 }, modes: [WP, WP | MISSING, WP] },
  { features: ['sigbus'], calls: {}, modes: [MISSING, WP | MISSING] },
  { features: ['wpAsync'], calls: { scan: 140, writeprotect: 70 }, modes: [WP, WP, WP | MISSING] },
  {
    features: ['remap', 'remove', 'unmap'],
    calls: { uffd_read: 220, uffd_mremap: 60 },
    modes: [MISSING, WP | MISSING],
  },
  {
    features: ['fork'],
    calls: { uffd_fork: 60, child_touch: 60, uffd_read: 200 },
    modes: [MISSING, WP, WP | MISSING],
  },
  {
    features: [],
    calls: { move: 150, moveScene: 60, uffd_fork: 16 },
    modes: [MISSING, MISSING, WP | MISSING],
  },
  {
    features: [],
    calls: { continue: 110, uffd_file_write: 24 },
    modes: [MINOR, MINOR | MISSING, 7, MINOR | WP],
  },
  { features: [], calls: {}, modes: [MISSING, WP, MINOR, WP | MISSING, 7] },
];

/** What a sequence with userfaultfd remembers besides the window. */
export class UffdNotes {
  readonly profile: number;
  /** A guard marker over a page of shared memory that userfaultfd protects never returns on Linux 6.18, so a sequence has two of the three. */
  readonly without: 'guards' | 'shared' | 'protection';
  /** Contexts made so far; those that come with messages are numbered too, but nobody knows here. */
  contexts = 0;
  forks = 0;
  /** Operations that come next: a scene that chance would seldom make. */
  readonly coming: Calls[] = [];
  readonly hot: PageRange[] = [];
  readonly memfdPages: number;

  constructor(scene: Scene) {
    const { random } = scene;
    this.profile = random.below(UFFD_PROFILES.length);
    const canBeAlone = this.profile === 1 || this.profile === 3 || this.profile === 5 || this.profile === 7;
    this.without = random.pick(
      this.profile === 6
        ? ['guards', 'guards', 'protection']
        : canBeAlone
          ? ['guards', 'shared', 'protection']
          : ['guards', 'shared'],
    );
    this.memfdPages = scene.kind === 0 ? 16 : random.pick([256, 512]);
  }
}

/** Returns what the sequence remembers. */
export const notesOf = (scene: Scene): UffdNotes => scene.uffd as UffdNotes;
/** Returns what kind of sequence it is. */
export const profileOf = (scene: Scene): UffdProfile => UFFD_PROFILES[notesOf(scene).profile] as UffdProfile;
/** Tells whether anything may be write-protected. */
export const hasProtection = (scene: Scene): boolean => notesOf(scene).without !== 'protection';

/** Takes note of where something may happen. */
export function heat(scene: Scene, range: PageRange): PageRange {
  const { hot } = notesOf(scene);
  hot.push(range);
  if (hot.length > FORGOTTEN) hot.shift();
  return range;
}

/** Draws a range at a place where a thread may sleep, or any. */
export function near(scene: Scene, most = MOST_FILLED): PageRange {
  const { random, window } = scene;
  const { hot } = notesOf(scene);
  const cut = ({ first, end }: PageRange): PageRange => ({ first, end: Math.min(end, first + most) });
  if (hot.length === 0 || random.unit() < 0.3) return cut(window.mappedRange());
  const { first, end } = random.pick(hot);
  const shift = random.pick([0, 0, 0, 0, 1, random.below(Math.min(16, end - first) + 1), -1]);
  const start = Math.max(0, Math.min(window.pages - 1, first + shift));
  const pages = random.pick([1, 1, 1, 2, 3, end - first, 1 + random.below(8)]);
  return cut({ first: start, end: Math.max(start + 1, Math.min(window.pages, start + pages)) });
}

/** Draws a context. */
export const context = (scene: Scene): string => {
  const { random } = scene;
  const notes = notesOf(scene);
  // Now and then one that came with a message.
  return `u${random.below(notes.contexts + (random.unit() < 0.15 ? 3 : 0))}`;
};

/** Writes a structure; now and then one that is refused. */
export function ioctl(scene: Scene, name: string, fields: Readonly<Record<string, string>>): Calls {
  const { random } = scene;
  const on = context(scene);
  if (scene.chance(0.004)) return [`ioctl(${on}, UFFDIO_${name}, NULL)`];
  const made = { ...fields };
  if (scene.chance(scene.mode.odd)) {
    const key = random.pick(Object.keys(made));
    const old = Number(made[key]);
    if (key === 'len') made[key] = String(random.pick([0, old + 100, old - 1]));
    else if (key === 'mode') made[key] = hex(random.pick([8, 4, 3, 16]));
    else if (!Number.isNaN(old)) made[key] = hex(random.pick([old + 8, old + 2048, 0x7fff_ffff_f000]));
  }
  const text = Object.entries(made).map(([key, value]) => `${key}=${value}`);
  return [`ioctl(${on}, UFFDIO_${name}, {${text.join(', ')}})`];
}

/** Returns a range as fields of a structure. */
export const range = (scene: Scene, { first, end }: PageRange): { start: string; len: string } => ({
  start: scene.at(first),
  len: String((end - first) * PAGE_SIZE),
});
/** Draws whether nobody is woken. */
export const dontWake = (scene: Scene): number => (scene.chance(0.1) ? 1 : 0);
/** Draws whether pages are filled write-protected. */
export const wpMode = (scene: Scene): number => (hasProtection(scene) && scene.chance(0.25) ? 2 : 0);
