import { describe, expect, it } from 'vitest';
import type { MergeVerdict, MmEvent } from '../mm/index.ts';
import { avMergeOf, eventText, type MergeEvent, sidesOf, traceLine, traceVerdict } from './index.ts';

const merge = (
  merged: boolean,
  predecessor: MergeVerdict,
  successor: MergeVerdict,
  both: MergeVerdict = 'not-tried',
): MergeEvent => ({
  kind: 'vmaMerge',
  op: 3,
  mm: 1,
  cause: 'mprotect',
  start: 0x7f00_0000_0000,
  end: 0x7f00_0000_2000,
  merged,
  survivor: merged ? 5 : null,
  predecessor,
  successor,
  both,
});

describe('the words of the seed for our verdicts', () => {
  const words: Readonly<Record<MergeVerdict, string>> = {
    'join-null': 'AV_MERGE_NULL',
    'join-same': 'AV_MERGE_SAME',
    'join-different': 'AV_MERGE_DIFFERENT',
    'anon-vma-differs': 'AV_MERGE_FAILED',
    'anon-vma-shared': 'AV_MERGE_FAILED',
    'fork-child': 'AV_MERGE_FAILED',
    'unfaulted-neighbour': 'AV_MERGE_FAILED',
    none: 'MERGE_FAILED',
    gap: 'MERGE_FAILED',
    'not-tried': 'MERGE_FAILED',
    special: 'MERGE_FAILED',
    'policy-differs': 'MERGE_FAILED',
    'flags-differ': 'MERGE_FAILED',
    'file-differs': 'MERGE_FAILED',
    'uffd-differs': 'MERGE_FAILED',
    'name-differs': 'MERGE_FAILED',
    'pgoff-gap': 'MERGE_FAILED',
    'has-close': 'MERGE_FAILED',
  };
  it.each(Object.entries(words))('%s is %s', (verdict, word) => {
    expect(traceVerdict(verdict as MergeVerdict)).toBe(word);
  });
});

describe('vm_av_merge', () => {
  it.each([
    [
      merge(true, 'join-same', 'join-different', 'join-different'),
      'vm_av_merge: merged=1 predecessor=AV_MERGE_SAME successor=AV_MERGE_DIFFERENT predecessor_with_successor=AV_MERGE_DIFFERENT same_count=1 diff_count=2 failed_count=0',
    ],
    [
      merge(false, 'anon-vma-differs', 'pgoff-gap'),
      'vm_av_merge: merged=0 predecessor=AV_MERGE_FAILED successor=MERGE_FAILED predecessor_with_successor=MERGE_FAILED same_count=0 diff_count=0 failed_count=1',
    ],
    [
      merge(true, 'join-null', 'join-null', 'anon-vma-differs'),
      'vm_av_merge: merged=1 predecessor=AV_MERGE_NULL successor=AV_MERGE_NULL predecessor_with_successor=AV_MERGE_FAILED same_count=0 diff_count=0 failed_count=1',
    ],
    [
      merge(false, 'gap', 'none'),
      'vm_av_merge: merged=0 predecessor=MERGE_FAILED successor=MERGE_FAILED predecessor_with_successor=MERGE_FAILED same_count=0 diff_count=0 failed_count=0',
    ],
  ])('%#', (event, line) => {
    expect(traceLine(event)).toBe(line);
  });

  it('asks whether the two neighbours would join only when both would take the range', () => {
    expect(avMergeOf(merge(true, 'join-null', 'gap')).predecessorWithSuccessor).toBe('MERGE_FAILED');
  });
});

describe('vm_pgoff_merge', () => {
  it('says whether the source was written and whether its offset was recomputed', () => {
    const event: MmEvent = { kind: 'pgoffMerge', op: 1, mm: 1, faulted: true, updated: false };
    expect(traceLine(event)).toBe('vm_pgoff_merge: faulted=1 updated=0');
  });
});

describe('the sides of an attempt', () => {
  it.each([
    [merge(true, 'join-same', 'gap'), 'join-same', 'nobody'],
    [merge(true, 'join-null', 'join-null', 'anon-vma-differs'), 'join-null', 'anon-vma-differs'],
    [merge(true, 'join-null', 'join-same', 'join-null'), 'join-null', 'join-same'],
    [merge(true, 'join-same', 'has-close', 'join-same'), 'join-same', 'has-close'],
    [merge(false, 'join-same', 'has-close', 'join-same'), 'has-close', 'has-close'],
    [merge(false, 'flags-differ', 'not-tried'), 'flags-differ', 'nobody'],
  ])('%#', (event, below, above) => {
    expect(sidesOf(event)).toEqual({ below, above });
  });
});

describe('other events', () => {
  const events: readonly (readonly [MmEvent, string])[] = [
    [
      {
        kind: 'vmaCreate',
        op: 1,
        mm: 2,
        vma: 3,
        start: 0x1000,
        end: 0x3000,
        pgoff: 1,
        cause: 'mmap',
        from: null,
      },
      'vma_create: mm=2 vma=3 range=00001000-00003000 pgoff=0x1 cause=mmap',
    ],
    [
      { kind: 'vmaSplit', op: 1, mm: 2, vma: 3, other: 4, side: 'above', at: 0x2000, cause: 'munmap' },
      'vma_split: mm=2 vma=3 other=4 side=above at=0x2000 cause=munmap',
    ],
    [
      { kind: 'vmaRemove', op: 1, mm: 2, vma: 3, cause: 'mmap', into: 9 },
      'vma_remove: mm=2 vma=3 cause=mmap into=9',
    ],
    [
      {
        kind: 'vmaMove',
        op: 1,
        mm: 2,
        source: 3,
        vma: 4,
        from: 0x1000,
        to: 0x5000,
        len: 4096,
        pgoffBefore: 1,
        pgoffAfter: 5,
        pgoffUpdate: 'updated',
      },
      'vma_move: mm=2 vma=4 source=3 from=0x1000 to=0x5000 len=4096 pgoff=0x1->0x5 update=updated',
    ],
    [
      { kind: 'anonVmaCreate', op: 1, anonVma: 7, vma: 3, parent: 6 },
      'anon_vma_create: anon_vma=7 vma=3 parent=6',
    ],
    [
      { kind: 'placement', op: 1, mm: 2, len: 4096, predicted: 0x1000, chosen: 0x2000, taken: false },
      'placement: mm=2 len=4096 predicted=0x1000 chosen=0x2000',
    ],
  ];
  it.each(events)('%o', (event, line) => {
    expect(traceLine(event)).toBe(line);
    expect(eventText(event)).toBe(line);
  });

  it('a merge with our own reasons', () => {
    expect(eventText(merge(false, 'pgoff-gap', 'gap'))).toBe(
      'vma_merge: mm=1 range=7f0000000000-7f0000002000 cause=mprotect merged=0 predecessor=pgoff-gap successor=gap both=not-tried',
    );
  });
});
