/**
 * The decision table of seed 004 (spec/vma.md 15.5): every row and column on the model. Column B is also held against the running kernel,
 * in ../kernel/decisionTable.kernel.test.ts.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  MREMAP_MUST_RELOCATE_ANON,
  MREMAP_RELOCATE_ANON,
} from '../../src/abi/mman.ts';
import { PAGE_SIZE } from '../../src/base/units.ts';
import { COLUMNS, type Column, DECISION_TABLE, playCell } from '../../src/experiments/decisionTable.ts';
import { playSituation, WINDOW } from '../../src/experiments/situation.ts';
import { Machine } from '../../src/machine/index.ts';
import {
  type Features,
  Kernel,
  LINUX_6_18,
  type MmEvent,
  verifyAnonVmas,
  verifyMm,
  vmaRows,
} from '../../src/mm/index.ts';
import { FIRST_TASK, Task, type Workload } from '../../src/workloads/index.ts';
import { runWorkload } from '../../src/workloads/workload.ts';
import { decisionTableMarkdown } from './decisionDoc.ts';

describe('every cell of the decision table', () => {
  for (const row of DECISION_TABLE) {
    for (const column of COLUMNS) {
      const expected = row.cells[column];
      if (expected === undefined) continue;
      it(`${row.nr} ${row.title}: ${column} gives ${expected}`, () => {
        expect(playCell(row, column)).toBe(expected);
      });
    }
  }
});

describe('the table', () => {
  it('has every row of the specification, and in 17 and 18 every row they refer to', () => {
    const numbers = new Set(DECISION_TABLE.map(({ nr }) => Number.parseInt(nr, 10)));
    expect([...numbers].sort((a, b) => a - b)).toEqual(Array.from({ length: 25 }, (_, i) => i + 1));
    const ofForks = (nr: number): number[] =>
      DECISION_TABLE.flatMap((row) => new RegExp(`^${nr}\\.(\\d+)`).exec(row.nr)?.[1] ?? []).map(Number);
    expect([...new Set(ofForks(17))]).toEqual([3, 4, 5, 6, 7, 8]);
    expect([...new Set(ofForks(18))]).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
  });

  it('is the one that the page about the proposal shows', () => {
    const page = readFileSync(new URL('../../docs/proposals/anon-vma-merge.md', import.meta.url), 'utf8');
    const shown = page.slice(page.indexOf('| # | situation'), page.indexOf('\n\n¹ '));
    expect(shown.trim()).toBe(decisionTableMarkdown());
  });

  it('has a cell for B, P4 and P5 in every row', () => {
    for (const { nr, cells } of DECISION_TABLE)
      expect([nr, cells.B, cells.P4, cells.P5]).not.toContain(undefined);
  });
});

describe('the question of the cover letter: what tells that a page is shared', () => {
  const cell = (nr: string, column: Column, mergeSharingCheck: Features['mergeSharingCheck']): string => {
    const row = DECISION_TABLE.find((each) => each.nr === nr);
    if (row === undefined) throw new Error(`no row ${nr}`);
    return playCell(row, column, { mergeSharingCheck });
  };

  //  row      column     by the anon_vma   by each page's mapcount   by both, as posted
  it.each([
    ['19a', 'P4', '1', '2', '2'], // a page that is shared behind the back of the anon_vma
    ['19b', 'P4+P5', '1', '2', '2'],
    ['19c', 'P5', '1', '2', '1'], // patch 5 never looks at pages
    ['19d', 'P5', '1', '2', '1'],
    ['17.3', 'P4', '2', '2', '2'], // a child lives and shares the page
    ['18.16', 'P5', '2', '1', '2'], // the child's mlock has copied every page
  ] as const)('row %s, %s: %s %s %s', (nr, column, anonVma, mapcount, both) => {
    expect(cell(nr, column, 'anonVma')).toBe(anonVma);
    expect(cell(nr, column, 'mapcount')).toBe(mapcount);
    expect(cell(nr, column, 'both')).toBe(both);
  });

  it('by mapcount, a vma may move although a child lives, once the child has written every page', () => {
    const steps = 'map 0 1 rw pf; map 100 1 rw pf; touch 100; forkhold; touch 100; remap 100 1 1 mf 1';
    const vmas = (mergeSharingCheck: Features['mergeSharingCheck']): number => {
      const features: Features = { ...LINUX_6_18, mergePgoffOnMove: 'on', mergeSharingCheck };
      return playSituation(steps, { features }).vmas.length;
    };
    expect([vmas('anonVma'), vmas('mapcount'), vmas('both')]).toEqual([2, 1, 2]);
  });

  it('by mapcount, growth in place looks at the pages of the vma that grows', () => {
    const steps = 'map 0 4 rw pf; map 8 4 rw pf; touch 0; touch 8; share 0; remap 0 4 8 0';
    const vmas = (mergeSharingCheck: Features['mergeSharingCheck']): number => {
      const features: Features = { ...LINUX_6_18, mergeAcrossAnonVma: 'on', mergeSharingCheck };
      return playSituation(steps, { features }).vmas.length;
    };
    expect([vmas('anonVma'), vmas('mapcount'), vmas('both')]).toEqual([1, 2, 1]);
  });
});

/** Runs a program with the successor's flags known and returns the machine and the moves. */
function runMoves(program: Workload['program']): { machine: Machine; moves: readonly MmEvent[] } {
  const machine = new Machine(new Kernel({ ...LINUX_6_18, mremapRelocateAnon: 'on' }));
  const moves: MmEvent[] = [];
  machine.kernel.emit = (event) => {
    if (event.kind === 'vmaMove') moves.push(event);
  };
  const workload: Workload = { name: 'own', title: '', text: '', params: {}, program };
  runWorkload(machine, { workload, params: {} }, 1);
  const mms = machine.processes.flatMap(({ mm }) => (mm === null ? [] : [mm]));
  for (const mm of mms) verifyMm(mm);
  verifyAnonVmas(mms);
  return { machine, moves };
}

describe('the successor', () => {
  const FOUR = 4 * PAGE_SIZE;
  const away = WINDOW + 100 * PAGE_SIZE;

  it('relocates memory that comes back to the offset it still has', () => {
    const { machine, moves } = runMoves(function* () {
      const w = new Task(FIRST_TASK);
      const home = yield* w.mmap(FOUR, { at: WINDOW });
      yield* w.touch(home, FOUR);
      yield* w.mremap(home, FOUR, FOUR, { to: away });
      yield* w.mremap(away, FOUR, FOUR, { to: home, flags: MREMAP_RELOCATE_ANON });
    });
    expect(moves).toMatchObject([{ pgoffUpdate: 'kept' }, { pgoffUpdate: 'relocated' }]);
    const [row] = vmaRows(machine.process(FIRST_TASK)?.mm ?? (null as never));
    expect(row).toMatchObject({ start: WINDOW, pgoff: WINDOW / PAGE_SIZE, chain: 1 });
  });

  it('leaves the ordinary way alone where that merges: then MUST does not fail although a child lives', () => {
    const { moves } = runMoves(function* () {
      const w = new Task(FIRST_TASK);
      const home = yield* w.mmap(2 * FOUR, { at: WINDOW });
      yield* w.touch(home, 2 * FOUR);
      yield* w.fork();
      yield* w.mremap(home, FOUR, FOUR, { to: away });
      yield* w.mremap(away, FOUR, FOUR, { to: home, flags: MREMAP_MUST_RELOCATE_ANON });
    });
    expect(moves).toMatchObject([{ pgoffUpdate: 'kept' }, { pgoffUpdate: 'kept' }]);
  });

  it('is unknown to the kernel without the switch', () => {
    const machine = new Machine(new Kernel());
    machine.spawn(FIRST_TASK);
    const flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_RELOCATE_ANON;
    const op = { call: 'mremap', addr: 0, oldLen: 4096, newLen: 4096, flags, newAddr: 8192 } as const;
    expect(machine.apply(FIRST_TASK, op)).toMatchObject({ kind: 'errno', errno: 'EINVAL' });
  });
});
