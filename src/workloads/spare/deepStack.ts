/**
 * deep-stack: a thread that once went deep gives its stack back, and goes deep again: Paul Turner's use in seed 002's thread.
 *
 * What counts is the time to free and the time until the stack can be used again. The frames that are in use are above what is let go, and hold what was
 * written. A stack that was let go lazily, or volatile and taken back before the next descent, may hold old data or zeros: a function writes its frame before it reads it.
 */
import { ModelBug } from '../../base/assert.ts';
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import type { Figures, ThreadedWorkload } from '../threaded.ts';
import { numberParam, type Param, type Params } from '../workload.ts';
import { limitMemory, machineFor, SpareMemory, WAYS, type Way, wholePages } from './ways.ts';

const PARAMS: Readonly<Record<string, Param>> = {
  way: {
    default: 'free',
    unit: '',
    text: 'how spent frames are let go; vrange takes them back before going deep again, because SIGBUS on a stack is fatal',
    choices: WAYS,
  },
  depth: { default: 60, unit: 'frames', text: 'how deep it goes', min: 2, max: 100_000 },
  frame: { default: 64 * 1024, unit: 'bytes', text: 'size of a frame', min: PAGE_SIZE, max: 2 ** 24 },
  shallow: { default: 1, unit: 'frames', text: 'frames that stay in use', min: 1, max: 1000 },
  rounds: { default: 50, unit: 'descents', text: 'how often it goes deep', min: 1, max: 1_000_000 },
  limit: { default: 0, unit: 'bytes', text: 'memory of the program; 0: no limit', max: 2 ** 46 },
};

/** The stack of one thread. */
interface Stack {
  readonly top: Addr;
  readonly frame: number;
}

/** Calls functions from frame `from` to `to`: each writes all pages of its frame, as its locals. Then all return, each looking at its frame. */
function* descend(t: Thread, { top, frame }: Stack, from: number, to: number): Running<void> {
  for (let depth = from; depth < to; depth++)
    for (let at = frame - PAGE_SIZE; at >= 0; at -= PAGE_SIZE) {
      const addr = top - (depth + 1) * frame + at;
      if (!t.store(addr, depth + 1)) yield* t.write(addr, depth + 1);
    }
  for (let depth = to - 1; depth >= from; depth--) yield* t.expect(top - (depth + 1) * frame, depth + 1);
}

function* run(t: Thread, params: Params): Running<Figures> {
  const frame = wholePages(params, 'frame');
  const depth = numberParam(params, 'depth');
  const shallow = Math.min(numberParam(params, 'shallow'), depth - 1);
  const rounds = numberParam(params, 'rounds');
  yield* limitMemory(t, numberParam(params, 'limit'));
  const bytes = depth * frame;
  const stack: Stack = { top: (yield* t.mmap(bytes)) + bytes, frame };
  const spent = { addr: stack.top - bytes, len: (depth - shallow) * frame };
  const spare = new SpareMemory(params['way'] as Way, 'partial');
  yield* descend(t, stack, 0, depth);
  const residentBefore = t.mm?.rssAnon ?? 0;
  let downNs = 0;
  let residentAfter = 0;
  for (let round = 0; round < rounds; round++) {
    yield* spare.letGo(t, spent.addr, spent.len);
    residentAfter = t.mm?.rssAnon ?? 0;
    // The frames in use are untouched.
    yield* t.expect(stack.top - shallow * frame, shallow);
    const startNs = t.nowNs;
    // Whatever is there is written over; only vrange has to be told.
    if (params['way'] === 'vrange') yield* spare.takeBack(t, spent.addr, spent.len);
    yield* descend(t, stack, shallow, depth);
    yield* t.owe(0);
    downNs += t.nowNs - startNs;
  }
  if (residentAfter > residentBefore) throw new ModelBug('[memory] letting go takes no memory');
  return {
    descents: rounds,
    'letting the spent stack go, ns': Math.round(spare.letGoNs / rounds),
    'going deep again, ns': Math.round(downNs / rounds),
    'both, us': Math.round((spare.letGoNs + downNs) / rounds / 1000),
    'resident before, KiB': (residentBefore * PAGE_SIZE) / 1024,
    'resident after letting go, KiB': (residentAfter * PAGE_SIZE) / 1024,
  };
}

/** The workload `deep-stack`. */
export const DEEP_STACK: ThreadedWorkload = {
  name: 'deep-stack',
  title: 'the frames of a deep call are given back, and used again soon',
  text: 'A thread that went 60 frames of 64 KiB deep lets its spent stack go and goes deep again: the time to free and the time to use it again, which is what the second use of vrange in its thread is about. Compare with way=free,vrange,dontneed,none.',
  params: PARAMS,
  machine: machineFor,
  main: run,
};
