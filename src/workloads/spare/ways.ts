/**
 * Ways to let the kernel have memory that could be needed again, and to take it back.
 *
 *   none       it is kept
 *   dontneed   it goes at once, and is made again
 *   free       it goes if memory gets short, page by page and silently: a word in each page tells (MADV_FREE)
 *   vrange     it goes if memory gets short, and taking it back tells (seed 002)
 */
import { MADV_DONTNEED, MADV_FREE } from '../../abi/mman.ts';
import { type Addr, PAGE_SIZE } from '../../base/units.ts';
import type { Running, Thread } from '../../machine/index.ts';
import type { MachineNeeds } from '../threaded.ts';
import { numberParam, type Param, type Params } from '../workload.ts';

/** How memory is let go. */
export type Way = 'none' | 'dontneed' | 'free' | 'vrange';
/** All of them. */
export const WAYS: readonly Way[] = ['vrange', 'free', 'dontneed', 'none'];

/** The parameter for it. @param what  what is let go, in words */
export const wayParam = (what: string): Param => ({
  default: 'vrange',
  unit: '',
  text: `how ${what} is let go: volatile, lazily freed, given back, kept`,
  choices: WAYS,
});

/** The machine of a workload with that parameter: it knows vrange if that is the way. */
export const machineFor = (params: Params): MachineNeeds => ({
  cpus: 1,
  contents: 'fingerprint',
  features: params['way'] === 'vrange' ? { vrange: 'on' } : {},
});

/** Returns the bytes that parameter `name` asks for, as far as they are whole pages. */
export const wholePages = (params: Params, name: string): number =>
  Math.floor(numberParam(params, name) / PAGE_SIZE) * PAGE_SIZE;

/** Memory that may be gone: what a spare piece is when it is wanted again. */
export type Found = 'kept' | 'lost';

/** Lets memory go and takes it back, and how long that takes. */
export class SpareMemory {
  readonly #way: Way;
  readonly #behavior: 'full' | 'partial';
  /** Nanoseconds in calls that let go, and in what taking back takes; how often. */
  letGoNs = 0;
  takeBackNs = 0;
  calls = 0;

  constructor(way: Way, behavior: 'full' | 'partial') {
    this.#way = way;
    this.#behavior = behavior;
  }

  /** Nobody needs [addr, addr+len) for now. */
  *letGo(t: Thread, addr: Addr, len: number): Running<void> {
    const startNs = t.nowNs;
    if (this.#way === 'dontneed') yield* t.madvise(addr, len, MADV_DONTNEED);
    else if (this.#way === 'free') yield* t.madvise(addr, len, MADV_FREE);
    else if (this.#way === 'vrange') yield* t.vrange(addr, len, 'volatile', this.#behavior);
    this.letGoNs += t.nowNs - startNs;
    this.calls++;
  }

  /** [addr, addr+len) is needed again. Whether all of it is as it was; what is lost reads as zeros. Every page of it had a first word other than 0. */
  *takeBack(t: Thread, addr: Addr, len: number): Running<Found> {
    const startNs = t.nowNs;
    const found = yield* this.#found(t, addr, len);
    this.takeBackNs += t.nowNs - startNs;
    return found;
  }
  *#found(t: Thread, addr: Addr, len: number): Running<Found> {
    if (this.#way === 'none') return 'kept';
    if (this.#way === 'dontneed') return 'lost';
    if (this.#way === 'vrange')
      return (yield* t.vrange(addr, len, 'novolatile', this.#behavior)) ? 'lost' : 'kept';
    let found: Found = 'kept';
    // A store keeps the page, and what it held tells whether it was there.
    for (let at = addr; at < addr + len; at += PAGE_SIZE) {
      const word = t.load(at) ?? (yield* t.read(at));
      if (word === 0) found = 'lost';
      if (!t.store(at, word)) yield* t.write(at, word);
    }
    return found;
  }
}

/** Limits the memory of the program, and all that it forks, to `bytes`; 0: not at all. */
export function* limitMemory(t: Thread, bytes: number): Running<void> {
  if (bytes > 0) yield* t.call({ call: 'set_memory_limit', bytes });
}
/** The machine gets a swap device of `bytes`; 0: none. */
export function* addSwap(t: Thread, bytes: number): Running<void> {
  if (bytes > 0) yield* t.call({ call: 'swapon', bytes });
}

/** Writes `word` to the first word of each page of [addr, addr+len). */
export function* stamp(t: Thread, addr: Addr, len: number, word: number): Running<void> {
  for (let at = addr; at < addr + len; at += PAGE_SIZE) if (!t.store(at, word)) yield* t.write(at, word);
}
