/**
 * Draws of accesses, locks and questions: what needs pages and leaves the mappings as they are, but for marks.
 */
import type { Draw } from './drawMemory.ts';
import { type Scene, SELF } from './scene.ts';

/** The longest range that is copied from process to process at once. */
const MOST_COPIED = 64;

const touchRead: Draw = (scene) => [
  `touch_read(${scene.text(scene.window.mappedRange(scene.chance(0.9) ? 'read' : 'none'))})`,
];
const touchWrite: Draw = (scene) => [
  `touch_write(${scene.text(scene.window.mappedRange(scene.chance(0.9) ? 'write' : 'mapped'))})`,
];

const mlock: Draw = (scene) => [`mlock(${scene.args(scene.window.mappedRange('read'))})`];
const mlock2: Draw = (scene) => {
  const flags = scene.random.pick(['MLOCK_ONFAULT', 'MLOCK_ONFAULT', 'MLOCK_ONFAULT', '0']);
  const text = scene.args(scene.window.mappedRange());
  return [`mlock2(${text}, ${scene.chance(0.02) ? '4' : flags})`];
};
const munlock: Draw = (scene) => [`munlock(${scene.args(scene.window.mappedRange())})`];
const mlockall: Draw = (scene) => [
  `mlockall(${scene.random.pick([
    'MCL_CURRENT',
    'MCL_FUTURE',
    'MCL_FUTURE',
    'MCL_CURRENT|MCL_FUTURE',
    'MCL_FUTURE|MCL_ONFAULT',
    'MCL_CURRENT|MCL_ONFAULT',
    'MCL_CURRENT|MCL_FUTURE|MCL_ONFAULT',
    'MCL_ONFAULT',
    '0',
    '8',
  ])})`,
];
const munlockall: Draw = () => ['munlockall()'];

const mincore: Draw = (scene) => {
  const { first, end } = scene.window.mappedRange();
  return [`mincore(${scene.args({ first, end: Math.min(end, first + MOST_COPIED) })})`];
};
const msync: Draw = (scene) => {
  const drawn = scene.random.pick([
    'MS_ASYNC',
    'MS_SYNC',
    'MS_SYNC|MS_INVALIDATE',
    'MS_ASYNC|MS_INVALIDATE',
    'MS_INVALIDATE',
    'MS_ASYNC|MS_SYNC',
    '0',
    '8',
  ]);
  // What is written back is clean and asks again for the first store, which is not modelled; shared memory is never written back.
  const flags = scene.hasRegular ? drawn.replace(/^MS_SYNC/, 'MS_ASYNC') : drawn;
  return [`msync(${scene.args(scene.window.mappedRange())}, ${flags})`];
};

/** Draws of whom a call speaks that may be about another process. */
function whom({ random, living, turn, mode }: Scene): string {
  const others = living.filter((child) => child !== turn);
  const isOther = others.length > 0 && mode.setup !== 'limits' && random.unit() < 0.6;
  return isOther ? `child ${random.pick(others)}` : 'self';
}

const copy =
  (call: string): Draw =>
  (scene) => {
    const { first, end } = scene.window.mappedRange(scene.chance(0.8) ? 'read' : 'none');
    const range = { first, end: Math.min(end, first + MOST_COPIED) };
    return [`${call}(${whom(scene)}, ${scene.text(range)})`];
  };

/** Advice that may be given to others is drawn more often, and so is oneself. */
const processMadvise: Draw = (scene) => {
  const who = scene.turn === SELF && scene.chance(0.5) ? 'self' : whom(scene);
  const remote = ['MADV_COLD', 'MADV_WILLNEED', 'MADV_COLD', ...(scene.mayCollapse ? ['MADV_COLLAPSE'] : [])];
  const advice =
    who !== 'self' && scene.chance(0.7) ? scene.random.pick(remote) : scene.advice.draw(scene.random);
  return [`process_madvise(${who}, ${scene.args(scene.window.mappedRange())}, ${advice})`];
};

/** By the names that the tables of modes use. */
export const PAGE_DRAWS: Readonly<Record<string, Draw>> = {
  touch_read: touchRead,
  touch_write: touchWrite,
  mlock,
  mlock2,
  munlock,
  mlockall,
  munlockall,
  mincore,
  msync,
  process_vm_readv: copy('process_vm_readv'),
  process_vm_writev: copy('process_vm_writev'),
  process_madvise: processMadvise,
};
