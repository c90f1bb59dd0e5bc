import { describe, expect, it } from 'vitest';
import { FACT, FAULTED, PATH, type PathName, WORK_NAMES, Work } from './work.ts';

const paths = (work: Work): Partial<Record<PathName, number>> =>
  Object.fromEntries(
    WORK_NAMES.paths.flatMap((path, i) => ((work.calls[i] ?? 0) > 0 ? [[path, work.calls[i]]] : [])),
  );

describe('names', () => {
  it('occur once in their list, and number the counters', () => {
    for (const names of Object.values(WORK_NAMES)) expect(new Set<string>(names).size).toBe(names.length);
    expect(WORK_NAMES.facts[FACT.pagesCopied]).toBe('pagesCopied');
    expect(WORK_NAMES.faults[FAULTED['swap-in']]).toBe('swap-in');
    expect(WORK_NAMES.paths[PATH.rehome]).toBe('rehome');
  });
});

describe('a fault', () => {
  it('is counted under its kind and charges its path', () => {
    const work = new Work();
    work.fault(FAULTED['zero-page']);
    work.fault(FAULTED.cow);
    work.fault(FAULTED.cow);
    expect(work.faults[FAULTED.cow]).toBe(2);
    expect(paths(work)).toEqual({ 'fault-zero-page': 1, 'fault-cow': 2 });
  });

  it('that takes a new page is hot as long as pages were given back a moment ago', () => {
    const work = new Work();
    work.fault(FAULTED.anon);
    work.count(FACT.pagesFreed, 2);
    for (let i = 0; i < 3; i++) work.fault(FAULTED.anon);
    expect(paths(work)).toEqual({ 'fault-anon-hot': 2, 'fault-anon-cold': 2 });
    work.count(FACT.pagesFreed, 1001);
    work.fault(FAULTED.anon, 1001);
    expect(paths(work)).toEqual({ 'fault-anon-hot': 1003, 'fault-anon-cold': 2 });
    work.count(FACT.pagesFreed, 100_000);
    work.fault(FAULTED.anon, 3000);
    expect(paths(work)).toEqual({ 'fault-anon-hot': 1003 + 2048, 'fault-anon-cold': 2 + 3000 - 2048 });
  });

  it('pays for the table it had to make, unless that is in its figure', () => {
    const work = new Work();
    work.tablesMade(1, 2);
    work.fault(FAULTED['zero-page']);
    work.fault(FAULTED['zero-page']);
    work.tablesMade(1);
    work.fault(FAULTED.anon);
    expect(paths(work)).toEqual({
      'fault-zero-page': 1,
      'fault-zero-new-table': 1,
      'fault-table': 1,
      'fault-anon-cold': 1,
    });
    work.tablesMade(7);
    work.settle();
    work.fault(FAULTED['zero-page']);
    expect(paths(work)['fault-table']).toBe(1);
  });

  it('that takes a page not given back a moment ago says so where its figure is of others', () => {
    const work = new Work();
    work.count(FACT.pagesFreed, 2);
    work.fault(FAULTED['zero-to-write'], 3);
    expect(paths(work)).toEqual({ 'fault-zero-to-write': 3 });
    expect(work.pages[PATH['fault-cold-page']]).toBe(1);
  });

  it('of a huge zero page pays for a table that comes cold, when the kernel populates; by the program it is in the figure', () => {
    const work = new Work();
    work.tablesMade(1);
    work.fault(FAULTED['huge-zero']);
    work.origin = 'populate';
    work.tablesMade(1);
    work.fault(FAULTED['huge-zero']);
    expect(paths(work)).toEqual({ 'fault-huge-zero': 1, 'populate-huge-zero': 1 });
    expect(work.pages[PATH['fault-cold-page']]).toBe(1);
  });

  it('that finds a page of a file pays for its record where many pages are in use', () => {
    const work = new Work();
    work.fault(FAULTED['shmem-cached'], 5);
    expect(work.pages[PATH['cold-record']]).toBe(0);
    work.count(FACT.pagesAllocated, 40_000);
    work.fault(FAULTED['shmem-cached'], 5);
    expect(work.pages[PATH['cold-record']]).toBe(5);
  });

  it('by the kernel costs less, and none of it is a table', () => {
    const work = new Work();
    work.origin = 'populate';
    work.tablesMade(1);
    work.fault(FAULTED['zero-page'], 512);
    work.fault(FAULTED.anon, 512);
    work.origin = 'mlock';
    work.fault(FAULTED.anon, 3);
    expect(paths(work)).toEqual({ 'populate-read': 512, 'populate-write-cold': 512, 'mlock-absent': 3 });
  });
});

describe('tables', () => {
  it('are counted, and the most there were at once', () => {
    const work = new Work();
    work.tablesMade(3, 2);
    work.tablesGone(2);
    work.tablesMade(1);
    expect([work.nrTables, work.peakTables]).toEqual([4, 5]);
    expect(work.facts[FACT.pteTablesAllocated]).toBe(4);
  });
});

describe('what is not counted', () => {
  it('leaves the counters as they were, but not the tables', () => {
    const work = new Work();
    work.fault(FAULTED.cow);
    work.uncounted(() => {
      work.tablesMade(2);
      work.count(FACT.pagesFreed, 50);
      work.fault(FAULTED.anon, 9);
    });
    work.fault(FAULTED.anon);
    expect(paths(work)).toEqual({ 'fault-cow': 1, 'fault-anon-cold': 1 });
    expect(work.facts[FACT.pteTablesAllocated]).toBe(0);
    expect(work.nrTables).toBe(2);
  });
});
