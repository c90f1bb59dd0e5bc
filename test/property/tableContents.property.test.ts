/**
 * Who frees page tables, and when, never changes what a program finds (spec/pt-reclaim.md 6.35): sequences about page tables, drawn as `faultline fuzz`
 * draws them, are played under every policy and held against `off`: each answer, each access, and at the end what loads would find of every page.
 *
 * Huge pages are left out: where a table went there may be one at once, which shows in mincore. FAULTLINE_SEQUENCES has more of them played.
 */
import { describe, expect, it } from 'vitest';
import { Unmodelled } from '../../src/base/assert.ts';
import { PAGE_SIZE } from '../../src/base/units.ts';
import { fuzzSequence } from '../../src/fuzz/index.ts';
import { type Features, LINUX_6_18, type Mm } from '../../src/mm/index.ts';
import { KIND_MASK, MARKER, NONE, PRESENT, SWAP } from '../../src/mm/pte.ts';
import { filesInMemory, opsItems } from '../../src/replay/index.ts';
import { outcomeText } from '../../src/replay/play/difference.ts';
import { Player } from '../../src/replay/play/player.ts';
import { COSTS } from '../support/calibration.ts';

const SEQUENCES = Number(process.env['FAULTLINE_SEQUENCES'] ?? 12);
const OPS = 200;

const POLICIES: Readonly<Record<string, Partial<Features>>> = {
  sync: { ptReclaim: 'sync' },
  async: { ptReclaim: 'async', ptScan: { interval: 0.5 } },
  'async, lockless, everything': {
    ptReclaim: 'async',
    ptScan: { interval: 0.5, lock: 'gupFast', scanUffdWp: true, upper: true, idle: true, batchFlush: true },
  },
  'async that waits, in pieces': {
    ptReclaim: 'async',
    ptScan: { interval: 0.5, stop: 'exact', size: 2 ** 22, minAge: 1, maxPerStop: 2 },
  },
  'sync+async': { ptReclaim: 'sync+async', ptScan: { interval: 0.5 } },
  refcount: { ptReclaim: 'refcount' },
  'refcount, upper': { ptReclaim: 'refcount', ptScan: { upper: true } },
};

/** What loads would find of an address space, page by page; markers by what they are. */
function contentsOf(mm: Mm): string[] {
  const { frames, swap } = mm.kernel;
  const found: string[] = [];
  for (const vma of mm.vmas)
    mm.pages.forEach(vma.start, vma.end, (addr, low, high) => {
      const kind = low & KIND_MASK;
      const page = addr / PAGE_SIZE;
      if (kind === PRESENT && frames.stamp(high) !== 0) found.push(`${page} ${frames.stamp(high)}`);
      else if (kind === SWAP) found.push(`${page} ${JSON.stringify(swap.content(high))}`);
      else if (kind === MARKER) found.push(`${page} marker ${high}`);
    });
  return found;
}

interface Played {
  readonly answers: readonly string[];
  readonly contents: readonly string[];
  readonly kib: number;
  readonly nrEmpty: number;
}

function play(text: string, name: string, features: Partial<Features>): Played {
  const answers: string[] = [];
  const player = new Player(
    {
      features: { ...LINUX_6_18, ...features },
      verify: 'end',
      costs: COSTS,
      outcomes: (op, outcome) => answers.push(`${op.call} ${outcomeText(outcome)}`),
    },
    {},
  );
  try {
    player.play(opsItems(filesInMemory(name, { '': text })));
  } catch (error) {
    if (!(error instanceof Unmodelled)) throw error;
  }
  const spaces = player.machine.addressSpaces;
  const contents = spaces.flatMap((mm) => contentsOf(mm));
  const { nrEmptyTables } = player.machine.kernel.work;
  return {
    answers,
    contents,
    kib: spaces.reduce((sum, { pages }) => sum + pages.bytes, 0) / 1024,
    nrEmpty: nrEmptyTables,
  };
}

describe('35: what a program finds', () => {
  it.each(Array.from({ length: SEQUENCES }, (_, i) => i + 1))('sequence %i', (seed) => {
    const lines = fuzzSequence({ mode: 'ptreclaim', seed, ops: OPS, every: OPS + 1 });
    const text = lines.filter((line) => !/^snapshot|MADV_HUGEPAGE|MADV_COLLAPSE/.test(line)).join('\n');
    const off = play(text, `${seed}`, { ptReclaim: 'off' });
    expect(off.answers.length).toBeGreaterThan(OPS / 2);
    for (const [policy, features] of Object.entries(POLICIES)) {
      const other = play(text, `${seed}`, features);
      expect(other.answers, policy).toEqual(off.answers);
      expect(other.contents, policy).toEqual(off.contents);
      expect(other.kib, policy).toBeLessThanOrEqual(off.kib);
      if (policy.startsWith('refcount')) expect(other.nrEmpty, policy).toBe(0);
    }
  });
  it('is told apart where it differs', () => {
    expect(NONE).toBe(0);
    const text = (stamp: number): string =>
      [
        '# opfuzz format 1 seed 1 ops 2 window 0x200000000000-0x200000800000 mode 3',
        '1 mmap(0x200000000000, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0)',
        `${stamp} touch_write(0x200000000000, 4096)`,
      ].join('\n');
    expect(play(text(2), 'a', {}).contents).not.toEqual(play(text(3), 'a', {}).contents);
  });
});
