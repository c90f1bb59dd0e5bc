/**
 * Draws of calls about a process as a whole: forks and exits, switches, limits.
 */
import { PAGE_SIZE } from '../base/units.ts';
import { type Calls, type Draw, mmap } from './drawMemory.ts';
import type { Scene } from './scene.ts';

/** The most children of one sequence. */
const MOST_FORKS = 200;
/** More than any machine has, and little enough to reach nothing of the executor's above the window. */
const ENORMOUS = 2 ** 43;
const ENORMOUS_GROWN = ENORMOUS + 2 ** 42;
/** As good as no limit. */
const NO_LIMIT = 2 ** 46;
/** Who is nobody in particular. */
const NOBODY = 65534;

/** Who makes the call gets a child, or an older child ends. */
const fork: Draw = (scene) => {
  if (scene.living.length >= scene.mode.children || scene.forked >= MOST_FORKS) return childExit(scene);
  return [`fork() = child ${scene.fork()}`];
};

/** Any child ends, at the wish of the first process. */
function childExit(scene: Scene): Calls {
  if (scene.living.length === 0) return scene.forked < MOST_FORKS ? fork(scene) : ['nop()'];
  const child = scene.random.pick(scene.living);
  scene.exit(child);
  return [`child_exit(${child})`];
}

const mdwe: Draw = (scene) => [
  `prctl(PR_SET_MDWE, ${scene.random.pick(['PR_MDWE_REFUSE_EXEC_GAIN', 'PR_MDWE_REFUSE_EXEC_GAIN', 'PR_MDWE_REFUSE_EXEC_GAIN|PR_MDWE_NO_INHERIT', '0'])}, 0, 0, 0)`,
];
const memoryMerge: Draw = (scene) => [`prctl(PR_SET_MEMORY_MERGE, ${scene.random.below(2)}, 0, 0, 0)`];
const thpDisable: Draw = (scene) => {
  const on = scene.random.below(2);
  const flags = on === 1 && scene.chance(0.3) ? 'PR_THP_DISABLE_EXCEPT_ADVISED' : '0';
  return [`prctl(PR_SET_THP_DISABLE, ${on}, ${flags}, 0, 0)`];
};

/** A little more than is used, or none to speak of. */
const limitSpace: Draw = (scene) => {
  const resource = scene.random.pick(['RLIMIT_AS', 'RLIMIT_AS', 'RLIMIT_DATA']);
  if (scene.chance(0.35)) return [`setrlimit(${resource}, ${NO_LIMIT})`];
  scene.hasSpaceLimit = true;
  const over = scene.random.pick([0, 1, 2, scene.random.below(40), scene.random.below(40)]) * PAGE_SIZE;
  return [`setrlimit(${resource}, now+${scene.chance(0.1) ? over + 100 : over})`];
};
const limitLocked: Draw = (scene) => [
  `setrlimit(RLIMIT_MEMLOCK, ${scene.random.pick([0, 4096, 8192, 32768, 65536, 100_000, 1 << 20, NO_LIMIT])})`,
];
const limitStack: Draw = (scene) => [
  `setrlimit(RLIMIT_STACK, ${scene.random.pick([8192, 16384, 65536, 65536 + 100, 1 << 20, 8 << 20])})`,
];
const setuid: Draw = () => [`setuid(${NOBODY})`];
/** Not with little address space left: what fills takes some, and how much differs a little between the kernel and the model. */
const fill: Draw = (scene) => [scene.hasSpaceLimit ? 'nop()' : `fill(${scene.random.below(12)})`];
/** More than there is: all that can go does, whatever the order. */
const memoryReclaim: Draw = () => [`memory.reclaim(${2 ** 30})`];
/** Without mode 2: what it allows depends on what all the machine has promised. */
const overcommit: Draw = (scene) => [`overcommit(${scene.random.below(2)})`];

/** A request that no machine can keep. Nothing may be locked in such a sequence: it would be populated. */
const enormous: Draw = (scene) => {
  const { random, window } = scene;
  if (scene.chance(0.4)) {
    const first = window.page();
    const text = scene.text({ first, end: Math.min(first + 1, window.pages) });
    return [`mremap(${text}, ${ENORMOUS_GROWN}, MREMAP_MAYMOVE)`, `munmap(placed, ${ENORMOUS_GROWN})`];
  }
  const prot = scene.protections.draw(random);
  const kind = random.pick(['MAP_PRIVATE', 'MAP_PRIVATE', 'MAP_PRIVATE|MAP_NORESERVE', 'MAP_SHARED']);
  const call = `mmap(NULL, ${ENORMOUS}, ${prot}, ${kind}|MAP_ANONYMOUS, -1, 0)`;
  // One may stay: there is no place for many. With another mode of overcommit it would be promised, and nothing else any more.
  const isAlone = !scene.hasEnormous && !scene.calls.names.includes('overcommit');
  if (!isAlone || scene.chance(0.7)) return [call, `munmap(placed, ${ENORMOUS})`];
  scene.hasEnormous = true;
  return [call, `mprotect(placed, ${ENORMOUS}, PROT_READ|PROT_WRITE)`];
};

/** What a sequence at the limits begins with. */
export function limitsSetup(scene: Scene): Calls[] {
  const calls: Calls[] = [];
  const may = (call: string, likelihood: number): boolean =>
    scene.chance(likelihood) && scene.calls.names.includes(call);
  if (may('overcommit', 0.6)) calls.push(overcommit(scene));
  if (may('fill', 0.6)) calls.push(fill(scene));
  if (may('limitSpace', 0.6)) calls.push(limitSpace(scene));
  if (may('setuid', 0.6)) calls.push(limitLocked(scene), setuid(scene));
  return calls.length === 0 ? [mmap(scene)] : calls;
}

/** By the names that the tables of modes use. */
export const PROCESS_DRAWS: Readonly<Record<string, Draw>> = {
  fork,
  child_exit: childExit,
  mdwe,
  memoryMerge,
  thpDisable,
  limitSpace,
  limitLocked,
  limitStack,
  setuid,
  fill,
  overcommit,
  memoryReclaim,
  enormous,
  nop: () => ['nop()'],
};
