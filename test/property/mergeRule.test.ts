/**
 * Every small address space, every call in its middle: the model's merges against the rules written a second time.
 *
 * Strategy    all placements of three vmas on six pages, each read-only or writable, each with no anon_vma, one of its own or one of another's;
 *             then one mmap, mprotect, mremap (move, growth) at every place between the outer two; nothing is sampled
 * Invariants  the list of vmas, with page offsets and anon_vmas, is what mergeRule.ts says; what verifyMm and verifyKernel know
 * Not reached other flags, files, several calls in a row (the property tests), pages
 */
import { describe, expect, it } from 'vitest';
import { MREMAP_FIXED, MREMAP_MAYMOVE } from '../../src/abi/mman.ts';
import { cloneAnonVma, prepareAnonVma } from '../../src/mm/anonVma.ts';
import {
  accountVm,
  type Features,
  forkMm,
  Kernel,
  LINUX_6_18,
  linkVma,
  Mm,
  mmap,
  mprotect,
  mremap,
  Vma,
  verifyKernel,
  verifyMm,
} from '../../src/mm/index.ts';
import { VM_MAY_ALL, VM_NORESERVE, VM_READ, VM_WRITE } from '../../src/mm/vmFlags.ts';
import { type Area, growRule, mapRule, moveRule, protectRule, type Rules } from './mergeRule.ts';

const PAGE = 4096;
const BASE = 0x1000_0000_0000 / PAGE;
const BOTH = VM_MAY_ALL | VM_NORESERVE | VM_READ;
const FLAGS = [BOTH, BOTH | VM_WRITE] as const;

type Range = readonly [start: number, end: number];
type Three<T> = readonly [T, T, T];
/** Where three vmas are, what they allow, and which anon_vma each has (0: none; equal numbers: the same). */
interface State {
  readonly ranges: Three<Range>;
  readonly flags: Three<number>;
  readonly anonVmas: Three<number>;
}

function rangesWithin(from: number, to: number): Range[] {
  const found: Range[] = [];
  for (let start = from; start < to; start++)
    for (let end = start + 1; end <= to; end++) found.push([start, end]);
  return found;
}

/** All ways to put three vmas on so many pages, touching or not. */
const placementsOn = (nrPages: number): Three<Range>[] =>
  rangesWithin(0, nrPages).flatMap((a) =>
    rangesWithin(a[1], nrPages).flatMap((b) => rangesWithin(b[1], nrPages).map((c) => [a, b, c] as const)),
  );
const SIX = placementsOn(6);
/** Where the outer two are as small as can be: nothing about them but their inner border matters to a merge. */
const FIVE = placementsOn(5).filter(([a, , c]) => a[1] - a[0] === 1 && c[1] - c[0] === 1);

/** All ways in which three vmas can have none, own or common anon_vmas. */
const ANON_VMAS: readonly Three<number>[] = [0, 1].flatMap((a) =>
  [...Array(a + 2).keys()].flatMap((b) =>
    [...Array(Math.max(a, b) + 2).keys()].map((c) => [a, b, c] as const),
  ),
);

/** Makes the vmas of a state, unmerged. */
function build(state: State, kernel: Kernel): Mm {
  const mm = new Mm(kernel);
  const givers = new Map<number, Vma>();
  state.ranges.forEach(([from, to], i) => {
    const at = { start: (BASE + from) * PAGE, end: (BASE + to) * PAGE, pgoff: BASE + from, file: null };
    const vma = new Vma(kernel.nextVmaId(), { ...at, flags: state.flags[i] ?? 0 });
    const label = state.anonVmas[i] ?? 0;
    const giver = givers.get(label);
    if (giver !== undefined) cloneAnonVma(vma, giver);
    else if (label !== 0) {
      prepareAnonVma(kernel, vma);
      givers.set(label, vma);
    }
    linkVma(mm, vma, 'initial');
    accountVm(mm, vma.flags, to - from);
  });
  return mm;
}

/** The vmas as the rules see them. */
const areasOf = (mm: Mm): Area[] =>
  [...mm.vmas].map((vma) => ({
    start: vma.start / PAGE - BASE,
    end: vma.end / PAGE - BASE,
    flags: vma.flags,
    pgoff: vma.pgoff - BASE,
    anonVma: vma.anonVma?.id ?? null,
    chain: vma.chain.map(({ id }) => id),
  }));

/** One call: what it does to the model and what it must do. */
interface Step {
  readonly text: string;
  readonly act: (mm: Mm) => unknown;
  readonly rule: (areas: readonly Area[], rules: Rules) => Area[];
}

const bytes = ([from, to]: Range): { addr: number; len: number } => ({
  addr: (BASE + from) * PAGE,
  len: (to - from) * PAGE,
});

function mapStep(range: Range, flags: number): Step {
  const [start, end] = range;
  const prot = flags & VM_WRITE ? 3 : 1;
  const request = { ...bytes(range), prot, flags: 0x4032, file: null, offset: 0, chosen: null };
  return {
    text: `mmap ${start}..${end} ${prot}`,
    act: (mm) => mmap(mm, request),
    rule: (areas, rules) => mapRule(areas, { start, end, flags }, rules),
  };
}

function protectStep(range: Range, flags: number): Step {
  const [start, end] = range;
  const { addr, len } = bytes(range);
  const prot = flags & VM_WRITE ? 3 : 1;
  return {
    text: `mprotect ${start}..${end} ${prot}`,
    act: (mm) => mprotect(mm, addr, len, prot),
    rule: (areas, rules) => protectRule(areas, { start, end, flags }, rules),
  };
}

function moveStep(range: Range, to: number): Step {
  const [start, end] = range;
  const { addr, len } = bytes(range);
  const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
  const request = { addr, oldLen: len, newLen: len, flags, newAddr: (BASE + to) * PAGE, chosen: null };
  return {
    text: `mremap ${start}..${end} to ${to}`,
    act: (mm) => mremap(mm, request),
    rule: (areas, rules) => moveRule(areas, { start, end, to }, rules),
  };
}

function growStep([start, end]: Range, by: number): Step {
  const { addr, len } = bytes([start, end]);
  const request = { addr, oldLen: len, newLen: len + by * PAGE, flags: 0, newAddr: 0, chosen: null };
  return {
    text: `mremap ${start}..${end} grow ${by}`,
    act: (mm) => mremap(mm, request),
    rule: (areas, rules) => {
      const area = areas.find((one) => one.start === start);
      return area === undefined ? [...areas] : growRule(areas, area, by, rules);
    },
  };
}

/** Every call between the outer vmas of a placement. */
function stepsOf([a, b, c]: Three<Range>): Step[] {
  const inner = rangesWithin(b[0], b[1]);
  const steps = [...rangesWithin(a[1], c[0]), [a[0], c[1]] as const].flatMap((range) =>
    FLAGS.map((flags) => mapStep(range, flags)),
  );
  for (const range of [...inner, [a[0], c[1]] as const])
    for (const flags of FLAGS) steps.push(protectStep(range, flags));
  for (const [start, end] of inner)
    for (let to = 0; to <= c[1]; to++)
      if (to >= end || to + end - start <= start) steps.push(moveStep([start, end], to));
  for (let by = 1; by <= b[0] - a[1]; by++) steps.push(growStep(a, by));
  for (let by = 1; by <= c[0] - b[1]; by++) steps.push(growStep(b, by));
  return steps;
}

const rulesOf = (on: Features, shared: ReadonlySet<number>): Rules => ({
  across: on.mergeAcrossAnonVma === 'on',
  freshPgoff: on.mergePgoffOnMove === 'on',
  faultedWithUnfaulted: on.mergeFaultedWithUnfaulted === 'on',
  afterResize: on.mergeAfterResize === 'on',
  shared,
});

/** The address space a call is made in, with the anon_vmas that another process may map. */
interface Scene {
  readonly mm: Mm;
  readonly mms: readonly Mm[];
  readonly shared: ReadonlySet<number>;
}

const alone = (state: State, kernel: Kernel): Scene => {
  const mm = build(state, kernel);
  return { mm, mms: [mm], shared: new Set() };
};

/** In the parent or in the child of a fork: every anon_vma is shared. */
const afterFork =
  (who: 'parent' | 'child') =>
  (state: State, kernel: Kernel): Scene => {
    const parent = build(state, kernel);
    const child = forkMm(parent) as Mm;
    const mm = who === 'child' ? child : parent;
    return { mm, mms: [parent, child], shared: new Set(areasOf(mm).flatMap(({ chain }) => chain)) };
  };

/** The first vma is writable: read-only and writable may be swapped, the calls come in both. */
const FLAGS_OF_THREE = FLAGS.flatMap((b) => FLAGS.map((c): Three<number> => [FLAGS[1], b, c]));

/** Plays every call on every state. Returns how many there were. */
function enumerate(features: Features, placements: readonly Three<Range>[], makeScene = alone): number {
  const makeKernel = (): Kernel => new Kernel(features, { overcommit: 1 });
  // Making one costs more than a call, so that most calls share it; what it knows of other address spaces does not matter to them.
  const common = makeKernel();
  let played = 0;
  for (const ranges of placements) {
    const steps = stepsOf(ranges);
    for (const anonVmas of ANON_VMAS)
      for (const flags of FLAGS_OF_THREE)
        for (const step of steps) {
          const isVerified = played++ % 16 === 0;
          const scene = makeScene({ ranges, flags, anonVmas }, isVerified ? makeKernel() : common);
          playStep(scene, step, features);
          if (isVerified) {
            verifyMm(scene.mm);
            verifyKernel(scene.mm.kernel, scene.mms);
          }
        }
  }
  return played;
}

function playStep({ mm, shared }: Scene, step: Step, features: Features): void {
  const before = areasOf(mm);
  const wanted = step.rule(before, rulesOf(features, shared));
  step.act(mm);
  const now = areasOf(mm);
  if (!isSame(now, wanted))
    expect({ before, step: step.text, now }).toEqual({ before, step: step.text, now: wanted });
}

const isSame = (a: readonly Area[], b: readonly Area[]): boolean =>
  a.length === b.length &&
  a.every((one, i) => {
    const other = b[i] as Area;
    return (
      one.start === other.start &&
      one.end === other.end &&
      one.flags === other.flags &&
      one.pgoff === other.pgoff &&
      one.anonVma === other.anonVma &&
      one.chain.length === other.chain.length &&
      one.chain.every((id, k) => id === other.chain[k])
    );
  });

const on = (features: Partial<Features>): Features => ({ ...LINUX_6_18, ...features });

describe('every call between three vmas', () => {
  it('starts from all placements and all anon_vmas', () => {
    expect([SIX.length, FIVE.length, ANON_VMAS.length]).toEqual([84, 15, 15]);
  });
  it('merges what the rules merge, on six pages', () => {
    expect(enumerate(LINUX_6_18, SIX)).toBe(136_620);
  });
  it.each<[string, Features]>([
    ['as-5.18', on({ mergeFaultedWithUnfaulted: 'off', mergeAfterResize: 'off', mremapManyVmas: 'off' })],
    ['mergePgoffOnMove', on({ mergePgoffOnMove: 'on' })],
    ['mergeAcrossAnonVma', on({ mergeAcrossAnonVma: 'on' })],
    ['both', on({ mergePgoffOnMove: 'on', mergeAcrossAnonVma: 'on' })],
  ])('merges what the rules merge with %s, on five pages', (_name, features) => {
    expect(enumerate(features, FIVE)).toBe(21_540);
  });
  it.each<[string, Features, 'parent' | 'child']>([
    ['parent, linux-6.18', LINUX_6_18, 'parent'],
    ['child, linux-6.18', LINUX_6_18, 'child'],
    ['parent, both', on({ mergePgoffOnMove: 'on', mergeAcrossAnonVma: 'on' }), 'parent'],
    ['child, both', on({ mergePgoffOnMove: 'on', mergeAcrossAnonVma: 'on' }), 'child'],
  ])('merges what the rules merge after a fork, in the %s, on five pages', (_name, features, who) => {
    expect(enumerate(features, FIVE, afterFork(who))).toBe(21_540);
  });
});
