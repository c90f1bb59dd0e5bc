/**
 * The question of seed 004's cover letter: is it necessary to look at the mapcount of each page, or does the anon_vma tell alone that pages
 * are shared? Answered by looking at every small state.
 *
 * Strategy   A process has one mapping of two pages. Each process may write a page, fork, exit, unmap a page, or move one away and back;
 *            states are visited breadth first, so the first one of a kind is a smallest, and states that are equal up to names once.
 *            In each state, every written vma is asked both ways.
 * Invariant  Deterministic: no seed, one order of trying.
 * Not reached   more pages, more processes, longer sequences; KSM and whatever else maps a page without an anon_vma
 * Cost       states x operations x depth replayed operations
 */
import { MREMAP_FIXED, MREMAP_MAYMOVE } from '../abi/mman.ts';
import { PAGE_SIZE } from '../base/units.ts';
import { Machine, type Op, type Process } from '../machine/index.ts';
import { isUnsharedAnonVma } from '../mm/anonVma.ts';
import {
  type AnonVma,
  type Features,
  isAnonymousVma,
  Kernel,
  LINUX_6_18,
  type Mm,
  type Vma,
} from '../mm/index.ts';
import { countAnonPages, hasSharedPage } from '../mm/pages.ts';
import { WINDOW } from './situation.ts';

/** How far to look. */
export interface SharingBound {
  /** Operations in a row, after the mapping was made. */
  readonly depth: number;
  /** Pages of the mapping. */
  readonly pages: number;
  /** Processes alive at a time. */
  readonly processes: number;
  /** The model to look at; 6.18 unless told. */
  readonly features?: Features;
}

/** What was found. */
export interface SharingAnswer {
  /** Different states visited. */
  readonly states: number;
  /** States with a vma whose anon_vma passes the test although one of its pages is mapped elsewhere. */
  readonly missed: number;
  /** States with a vma whose anon_vma fails the test although it has pages and none of them is mapped elsewhere. */
  readonly cautious: number;
  /** A shortest sequence to a state of each kind, or null where there is none. */
  readonly smallestMissed: readonly string[] | null;
  readonly smallestCautious: readonly string[] | null;
}

/** One thing a process may do: what it is called, and the operation. */
interface Move {
  readonly who: number;
  readonly does: string;
  readonly op: Op;
}

/** The place a page is moved to, and back from: away from everything, so that nothing merges there by chance. */
const AWAY = 1000;
const addressOf = (page: number): number => WINDOW + page * PAGE_SIZE;
const NAMES = ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'H'] as const;

function movesOf(who: number, { pages, processes }: SharingBound, alive: number): Move[] {
  const moves: Move[] = [];
  const add = (does: string, op: Op): number => moves.push({ who, does, op });
  for (let page = 0; page < pages; page++) {
    for (const [at, where] of [
      [page, ''],
      [AWAY + page, ' where it was moved to'],
    ] as const) {
      const addr = addressOf(at);
      add(`writes page ${page}${where}`, {
        call: 'touch',
        addr,
        len: PAGE_SIZE,
        access: 'write',
        by: 'user',
      });
      add(`unmaps page ${page}${where}`, { call: 'munmap', addr, len: PAGE_SIZE });
    }
    add(`moves page ${page} away`, moveOp(page, AWAY + page));
    add(`moves page ${page} back`, moveOp(AWAY + page, page));
  }
  if (alive < processes) add('forks', { call: 'clone', flags: 0, child: 0 });
  if (alive > 1) add('exits', { call: 'exit_group' });
  return moves;
}

const moveOp = (from: number, to: number): Op => ({
  call: 'mremap',
  addr: addressOf(from),
  oldLen: PAGE_SIZE,
  newLen: PAGE_SIZE,
  flags: MREMAP_MAYMOVE | MREMAP_FIXED,
  newAddr: addressOf(to),
});

/** One state, reached again by doing everything from the start. */
class State {
  readonly machine: Machine;
  /** Pids in the order of birth; those that exited stay. */
  readonly pids: number[] = [];
  readonly told: string[] = [];

  constructor({ pages, features = LINUX_6_18 }: SharingBound, path: readonly Move[]) {
    this.machine = new Machine(new Kernel(features));
    this.pids.push(this.machine.spawn().pid);
    const map: Op = {
      call: 'mmap',
      addr: WINDOW,
      len: pages * PAGE_SIZE,
      prot: 3,
      flags: 0x32,
      fd: -1,
      offset: 0,
    };
    this.machine.apply(this.pids[0] as number, map);
    for (const move of path) this.do(move);
  }

  /** Tells whether there is anything at the address of a move. Asking first saves most of the cost. */
  canDo({ who, op }: Move): boolean {
    return !('addr' in op) || mmOf(this.machine.process(this.pids[who] as number))?.vmas.at(op.addr) !== null;
  }

  /** Does one thing. Returns false when it was not possible, or changed nothing. */
  do({ who, does, op }: Move): boolean {
    const outcome = this.machine.apply(this.pids[who] as number, op);
    if (outcome.kind !== 'value') return false;
    if (op.call === 'clone') this.pids.push(outcome.value);
    this.told.push(
      op.call === 'clone' ? `${NAMES[who]} forks ${NAMES[this.pids.length - 1]}` : `${NAMES[who]} ${does}`,
    );
    return true;
  }

  /** The living processes: their numbers by birth. */
  get alive(): number[] {
    return this.pids.flatMap((pid, who) => (this.machine.process(pid) === null ? [] : [who]));
  }
}

const mmOf = (process: Process | null): Mm | null => process?.mm ?? null;

/** The anonymous vmas of all living processes. */
function* writtenVmas(state: State): Generator<{ mm: Mm; vma: Vma; anonVma: AnonVma }> {
  for (const pid of state.pids) {
    const mm = mmOf(state.machine.process(pid));
    if (mm === null) continue;
    for (const vma of mm.vmas)
      if (isAnonymousVma(vma) && vma.anonVma !== null) yield { mm, vma, anonVma: vma.anonVma };
  }
}

/** Returns a text that two states have in common exactly when they differ only in names: of anon_vmas, frames, dead processes. */
function keyOf(state: State): string {
  const anonVmas = new Map<AnonVma, number>();
  const frames = new Map<number, number>();
  const label = <T>(seen: Map<T, number>, thing: T): number => {
    const known = seen.get(thing) ?? seen.size;
    seen.set(thing, known);
    return known;
  };
  let key = '';
  for (const pid of state.pids) {
    const mm = mmOf(state.machine.process(pid));
    if (mm === null) continue;
    key += '|';
    for (const vma of mm.vmas) {
      const own = vma.anonVma === null ? '-' : label(anonVmas, vma.anonVma);
      key += `${vma.start},${vma.end},${vma.pgoff},${own}[${vma.chain.map((each) => label(anonVmas, each)).join()}]`;
    }
    mm.pages.forEach(WINDOW, addressOf(2 * AWAY), (addr, kind, frame) => {
      key += `;${addr}${kind}${label(frames, frame)}`;
    });
  }
  // The map grows while it is walked: ancestors that hang on nothing any more count, too.
  for (const [anonVma, n] of anonVmas)
    key += `/${n}<${label(anonVmas, anonVma.parent)}:${anonVma.nrChildren},${anonVma.nrActiveVmas},${anonVma.attached.size}`;
  return key;
}

/** Tells how the two tests disagree about some vma of a state. */
function disagreements(state: State): { missed: boolean; cautious: boolean } {
  const found = { missed: false, cautious: false };
  for (const { mm, vma, anonVma } of writtenVmas(state)) {
    const passes = isUnsharedAnonVma(anonVma);
    const shared = hasSharedPage(mm, vma.start, vma.end);
    if (passes && shared) found.missed = true;
    if (!passes && !shared && countAnonPages(mm, vma.start, vma.end) > 0) found.cautious = true;
  }
  return found;
}

/** Visits every state within the bound. */
export function exploreSharing(bound: SharingBound): SharingAnswer {
  const start = new State(bound, []);
  const seen = new Set([keyOf(start)]);
  const answer = {
    missed: 0,
    cautious: 0,
    smallestMissed: null as readonly string[] | null,
    smallestCautious: null as readonly string[] | null,
  };
  let level: (readonly Move[])[] = [[]];
  for (let depth = 0; depth < bound.depth; depth++) {
    const next: (readonly Move[])[] = [];
    for (const path of level) {
      const here = new State(bound, path);
      const { alive } = here;
      for (const move of alive.flatMap((who) => movesOf(who, bound, alive.length))) {
        if (!here.canDo(move)) continue;
        const state = new State(bound, path);
        if (!state.do(move)) continue;
        const key = keyOf(state);
        if (seen.has(key)) continue;
        seen.add(key);
        next.push([...path, move]);
        const { missed, cautious } = disagreements(state);
        if (missed) answer.missed++;
        if (cautious) answer.cautious++;
        if (missed) answer.smallestMissed ??= state.told;
        if (cautious) answer.smallestCautious ??= state.told;
      }
    }
    level = next;
  }
  return { states: seen.size, ...answer };
}
