/**
 * A switch that is off leaves no trace: the events of a fixed sequence are those of `test/golden/events-SWITCH.txt`, which was written
 * when the switch was new. A row is missing here until a new switch has one, because the table does not compile without.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type FeatureName, type Features, LINUX_6_18, type MmEvent } from '../../src/mm/index.ts';
import { StripWorld } from './strip.ts';

/** A sequence in strips that the switch changes. */
interface Row {
  readonly off: Partial<Features>;
  readonly on: Partial<Features>;
  readonly script: string;
}

const MOVES = `
  start    |ww|..|W|.|WW|
  mremap   4..5 to 2
  mremap   7..8 to 3
  fork
  mremap   6..7 to 4
  write    4..5
  mremap   4..5 to 9
  child
  exit
  mremap   9..10 to 4
`;
const JOINS = `
  start    |WW|.|WW|R|WW|
  mmap     2..3 w
  mprotect 5..6 w
  fork
  mprotect 1..2 r
  mprotect 1..2 w
  child
  mprotect 5..6 r
  mprotect 5..6 w
  mmap     8..9 w
  exit
  munmap   2..3
  mremap   7..8 to 2
`;

/** Switches about pages or times alone, of which no event tells. */
type OtherSwitch =
  | 'hugeZeroPage'
  | 'madvPtReclaim'
  | 'perVmaLocks'
  | 'ptReclaim'
  | 'ptReclaimMode'
  | 'softDirty'
  | 'uffdMove'
  | 'vrange'
  | 'vrangeLock'
  | 'wpAsync'
  | 'wpUnpopulated';
const ROWS: Readonly<Record<Exclude<FeatureName, OtherSwitch>, Row>> = {
  mergePgoffOnMove: { off: { mergePgoffOnMove: 'off' }, on: { mergePgoffOnMove: 'on' }, script: MOVES },
  mergeAcrossAnonVma: { off: { mergeAcrossAnonVma: 'off' }, on: { mergeAcrossAnonVma: 'on' }, script: JOINS },
  mergeSharingCheck: {
    off: { mergeSharingCheck: 'mapcount' },
    on: { mergeSharingCheck: 'mapcount', mergePgoffOnMove: 'on' },
    script: MOVES,
  },
  mergeAfterResize: {
    off: { mergeAfterResize: 'off' },
    on: { mergeAfterResize: 'on' },
    script: `
      start    |ww|.|ww|..|WW|
      mremap   0..2 grow 1
      mremap   3..5 grow 2
      mprotect 1..8 r
      mprotect 1..8 w
    `,
  },
  mergeFaultedWithUnfaulted: {
    off: { mergeFaultedWithUnfaulted: 'off' },
    on: { mergeFaultedWithUnfaulted: 'on' },
    script: `
      start    |rrr|Www|rr|
      mprotect 3..6 r
      mprotect 2..5 w
      mlock    4..5
      munlock  4..5
      fork
      child
      mprotect 0..8 r
    `,
  },
  mremapManyVmas: {
    off: { mremapManyVmas: 'off' },
    on: { mremapManyVmas: 'on' },
    script: `
      start    |ww|.|RR|
      mremap   0..5 to 8
      mremap   0..2 to 14
      mremap   3..5 to 17
    `,
  },
  mremapRelocateAnon: {
    off: { mremapRelocateAnon: 'off' },
    on: { mremapRelocateAnon: 'on' },
    script: `
      start    |ww|..|W|.|WW|
      mremap   4..5 to 2 relocate
      mremap   6..7 to 10 must
      fork
      mremap   7..8 to 12 must
      mremap   7..8 to 12 relocate
      mremap   12..13 to 14
    `,
  },
  mremapOnlyPages: {
    off: { mremapOnlyPages: 'off' },
    on: { mremapOnlyPages: 'on' },
    script: `
      start    |WW|..|ww|
      mremap   0..1 to 4 onlypages
      mremap   0..2 to 4 onlypages
      mremap   1..2 to 5
    `,
  },
  anonPgoffZero: {
    off: { anonPgoffZero: 'off' },
    on: { anonPgoffZero: 'on' },
    script: `
      mmap     0..2 w
      mmap     2..4 w
      mprotect 1..2 r
      mprotect 1..2 w
      write    0..1
    `,
  },
  anonVmaName: {
    off: { anonVmaName: 'off' },
    on: { anonVmaName: 'on' },
    script: `
      start    |wwww|
      name     1..3 heap
      mprotect 2..3 r
      name     0..4
    `,
  },
  thp: {
    off: { thp: 'never' },
    on: { thp: 'always' },
    script: `
      mmap     0..1536 w
      read     0..1
      write    512..513
      mprotect 100..200 r
      munmap   1024..1536
    `,
  },
};

function eventsOf(script: string, features: Partial<Features>): readonly MmEvent[] {
  const world = new StripWorld({ ...LINUX_6_18, ...features });
  for (const line of script.split('\n').map((one) => one.trim())) {
    if (line.startsWith('start')) world.setUp(line.slice('start'.length).trim());
    else if (line !== '') world.act(line);
    world.verify();
  }
  return world.events;
}

const IS_HEX = /^(start|end|at|from|to|len|predicted|chosen|pgoff(Before|After)?)$/;

/** One event a line, `op kind name=value …`; addresses and page offsets in hex. */
function eventLine({ op, kind, ...rest }: MmEvent): string {
  const fields = Object.entries(rest).map(([name, value]) => {
    const isHex = typeof value === 'number' && value >= 4096 && IS_HEX.test(name);
    return `${name}=${isHex ? value.toString(16) : String(value)}`;
  });
  return [op, kind, ...fields].join(' ');
}
const textOf = (events: readonly MmEvent[]): string =>
  events.map((event) => `${eventLine(event)}\n`).join('');

function expectGolden(name: string, text: string): void {
  const path = new URL(`../golden/${name}`, import.meta.url);
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(path, text);
  expect(text).toBe(readFileSync(path, 'utf8'));
}

describe('a switch that is off changes no event', () => {
  it.each(Object.keys(ROWS) as (keyof typeof ROWS)[])('%s', (name) => {
    const { off, script } = ROWS[name];
    expectGolden(`events-${name}.txt`, textOf(eventsOf(script, off)));
  });
});

describe('the sequence is one that the switch does change', () => {
  it.each(Object.keys(ROWS) as (keyof typeof ROWS)[])('%s', (name) => {
    const { off, on, script } = ROWS[name];
    expect(textOf(eventsOf(script, on))).not.toBe(textOf(eventsOf(script, off)));
  });
});

describe('without the proposals it does not matter how sharing is found out', () => {
  it.each(['anonVma', 'both'] as const)('%s', (mergeSharingCheck) => {
    for (const script of [MOVES, JOINS])
      expect(textOf(eventsOf(script, { mergeSharingCheck }))).toBe(
        textOf(eventsOf(script, { mergeSharingCheck: 'mapcount' })),
      );
  });
});

describe('the same calls give the same events', () => {
  it.each(Object.keys(ROWS) as (keyof typeof ROWS)[])('%s', (name) => {
    const { on, script } = ROWS[name];
    expect(JSON.stringify(eventsOf(script, on))).toBe(JSON.stringify(eventsOf(script, on)));
  });
});
