import { describe, expect, it } from 'vitest';
import { type Features, LINUX_6_18, type MergeVerdict } from '../../src/mm/index.ts';
import { spec, specOfSwitch } from './spec.ts';
import { StripWorld } from './strip.ts';

describe('joining and splitting', () => {
  spec(
    'mmap fills a hole between two unfaulted vmas',
    `
    start     |ww|.|ww|
    mmap      2..3 w        -> 2
    expect    |wwwww|       maps 1   anonVmas 0
  `,
  );
  spec(
    'mprotect of the middle splits twice and back again joins all three',
    `
    start     |wwwwww|
    mprotect  2..4 r
    expect    |ww|rr|ww|    maps 3   anonVmas 0
    mprotect  2..4 w
    expect    |wwwwww|      maps 1
  `,
  );
  spec(
    'a first write beside a written vma shares its anon_vma, so that the two can join later',
    `
    start     |Ww|xx|
    write     3..4
    expect    |Ww|xX|       maps 2   anonVmas 1
    mprotect  2..4 w
    expect    |WwwW|        maps 1   anonVmas 1
  `,
  );
  spec(
    'compatible neighbours stay apart until something touches their border',
    `
    start     |ww|ww|
    write     0..4
    expect    |WW|WW|       maps 2   anonVmas 1
    mprotect  1..2 r
    mprotect  1..2 w
    expect    |WWWW|        maps 1   anonVmas 1
  `,
  );
  spec(
    'the next vma takes the range when only it fits',
    `
    start     |rr|ww|WW|
    mprotect  2..4 r
    expect    |rrrr|WW|     maps 2
    mprotect  2..4 w
    expect    |rr|wwWW|     maps 2   anonVmas 1
  `,
  );
  spec(
    'a written piece moves away and comes back into its hole',
    `
    start     |WWW|
    mremap    1..2 to 6     -> 6
    expect    |W|.|W|...|W| maps 3   anonVmas 1
    mremap    6..7 to 1     -> 1
    expect    |WWW|         maps 1   anonVmas 1
  `,
  );
  spec(
    'what MREMAP_DONTUNMAP leaves behind is unfaulted when all of it was moved',
    `
    start     |WW|
    mremap    0..2 to 4 dontunmap   -> 4
    expect    |ww|..|WW|    maps 2   anonVmas 1
  `,
  );
  spec(
    'guard markers do not split a vma and make it faulted',
    `
    start     |www|
    madvise   1..2 guard
    expect    |www|         maps 1   anonVmas 1
    read      1..2          -> SIGSEGV
    mprotect  1..2 r
    mprotect  1..2 w
    expect    |www|         maps 1
  `,
  );
  spec(
    'mprotect stops at a hole and keeps what it did',
    `
    start     |ww|.|ww|
    mprotect  0..5 r        -> ENOMEM
    expect    |rr|.|ww|
  `,
  );
  spec(
    'a child joins nothing that does not already carry its anon_vma',
    `
    start     |WW|.|ww|
    fork
    child
    mmap      2..3 w        -> 2
    expect    |WW|www|      maps 2   anonVmas 1
    exit
    mmap      2..3 w        -> 2
    expect    |WWwww|       maps 1   anonVmas 1
  `,
  );
});

describe('what the switches change', () => {
  specOfSwitch(
    { name: 'mergeFaultedWithUnfaulted' },
    'mprotect joins a faulted vma to an unfaulted one',
    `
    start     |rrr|Www|
    mprotect  3..6 r
    off expect |rrr|Rrr|    maps 2   anonVmas 1
    on expect  |rrrRrr|     maps 1   anonVmas 1
  `,
  );
  specOfSwitch(
    { name: 'mergeAfterResize' },
    'growth in place absorbs the vma that it reaches',
    `
    start     |ww|.|ww|
    mremap    0..2 grow 1
    off expect |www|ww|     maps 2
    on expect  |wwwww|      maps 1
  `,
  );
  specOfSwitch(
    { name: 'mremapManyVmas' },
    'one call moves several vmas and keeps the gap',
    `
    start     |ww|.|rr|
    off mremap 0..5 to 8    -> EFAULT
    off expect |ww|.|rr|
    on mremap  0..5 to 8    -> 8
    on expect  |........|ww|.|rr|
  `,
  );
  specOfSwitch(
    { name: 'mergePgoffOnMove' },
    'a written vma moved beside an unfaulted one joins it',
    `
    start     |ww|..|W|
    mremap    4..5 to 2     -> 2
    off expect |ww|W|       maps 2   anonVmas 1
    on expect  |wwW|        maps 1   anonVmas 1
  `,
  );
  specOfSwitch(
    { name: 'mergePgoffOnMove' },
    'two pieces of one vma moved in swapped order join',
    `
    start     |WW|
    mremap    0..1 to 5     -> 5
    mremap    1..2 to 4     -> 4
    off expect |....|W|W|   maps 2   anonVmas 1
    on expect  |....|WW|    maps 1   anonVmas 1
  `,
  );
  specOfSwitch(
    { name: 'mergePgoffOnMove' },
    'nothing changes while a forked child lives',
    `
    start     |ww|..|W|
    fork
    mremap    4..5 to 2     -> 2
    expect    |ww|W|        maps 2   anonVmas 1
  `,
  );
  specOfSwitch(
    { name: 'mergeAcrossAnonVma' },
    'mmap fills a hole between two written vmas',
    `
    start     |WW|.|WW|
    mmap      2..3 w        -> 2
    off expect |WWw|WW|     maps 2   anonVmas 2
    on expect  |WWwWW|      maps 1   anonVmas 1
  `,
  );
  specOfSwitch(
    { name: 'mergeAcrossAnonVma' },
    'mprotect makes a middle equal to two written neighbours',
    `
    start     |WW|Rr|WW|
    mprotect  2..4 w
    off expect |WW|Ww|WW|   maps 3   anonVmas 3
    on expect  |WWWwWW|     maps 1   anonVmas 1
  `,
  );
  specOfSwitch(
    { name: 'mergeAcrossAnonVma' },
    'memory that came by fork joins nothing',
    `
    start     |WW|R|
    fork
    child
    mprotect  2..3 w
    expect    |WW|W|        maps 2   anonVmas 2
  `,
  );
  specOfSwitch(
    {
      name: 'mergeSharingCheck',
      off: 'anonVma',
      on: 'mapcount',
      beside: { mergePgoffOnMove: 'on' },
    },
    'a page copied after a fork is shared by its anon_vma and not by its mapcount',
    `
    start     |ww|..|W|
    fork
    write     4..5
    mremap    4..5 to 2     -> 2
    off expect |ww|W|       maps 2   anonVmas 1
    on expect  |wwW|        maps 1   anonVmas 1
  `,
  );
  specOfSwitch(
    { name: 'mremapRelocateAnon' },
    'MREMAP_RELOCATE_ANON is known, and gives the page offset of the new place',
    `
    start     |ww|..|W|
    off mremap 4..5 to 2 relocate   -> EINVAL
    off expect |ww|..|W|    maps 2
    on mremap  4..5 to 2 relocate   -> 2
    on expect  |wwW|        maps 1   anonVmas 1
  `,
  );
  specOfSwitch(
    { name: 'anonVmaName' },
    'a name is part of what must be equal',
    `
    start     |www|
    off name  1..2 heap     -> EINVAL
    off expect |www|
    on name   1..2 heap
    on expect  |w|w|w|      maps 3
    on name    1..2
    on expect  |www|        maps 1
  `,
  );
});

/** The verdict on the vma below when the last vma of a strip becomes what it is. */
function verdictOf(strip: string, features: Features): MergeVerdict {
  const world = new StripWorld(features);
  const last = strip.lastIndexOf('|', strip.length - 2) + 1;
  const letter = strip[last] ?? '';
  const other = letter.toLowerCase() === 'r' ? 'w' : 'r';
  const swap = (page: string): string => (page === page.toLowerCase() ? other : other.toUpperCase());
  world.setUp(`${strip.slice(0, last)}${[...strip.slice(last, -1)].map(swap).join('')}|`);
  const from = strip.slice(0, last).replaceAll('|', '').length;
  world.act(`mprotect ${from}..${strip.replaceAll('|', '').length} ${letter.toLowerCase()}`);
  const merge = world.events.find((event) => event.kind === 'vmaMerge');
  return merge?.kind === 'vmaMerge' ? merge.predecessor : 'not-tried';
}

describe('verdicts', () => {
  const row = (strip: string, across: 'off' | 'on', verdict: MergeVerdict): void => {
    it(`${strip} across ${across}: ${verdict}`, () => {
      expect(verdictOf(strip, { ...LINUX_6_18, mergeAcrossAnonVma: across })).toBe(verdict);
    });
  };
  //   neighbours        across  verdict
  row('|rrr|rrr|', 'off', 'join-null');
  row('|rrr|RRR|', 'off', 'join-null');
  row('|RRR|rrr|', 'off', 'join-null');
  row('|RRR|RRR|', 'off', 'anon-vma-differs');
  row('|RRR|RRR|', 'on', 'join-different');
  row('|rrr|www|', 'on', 'flags-differ');
  row('|rr|..|rr|', 'on', 'gap');
  row('|...|rr|', 'on', 'none');
});
