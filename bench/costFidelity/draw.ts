/**
 * Draws scenarios from a seed: situations with sizes, batches and shares at random, and in each some ways to do the same.
 *
 * None of them is an experiment of a calibration, and none is measured when the figures are: prices are only ever made of primitives.
 */
// Long because: the families stand here, one beside the other.
import {
  MADV_COLD,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_NOHUGEPAGE,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  MREMAP_DONTUNMAP,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/abi/mman.ts';
import {
  UFFD_FEATURE_MINOR_SHMEM,
  UFFD_FEATURE_MOVE,
  UFFD_FEATURE_WP_ASYNC,
  UFFD_FEATURE_WP_UNPOPULATED,
} from '../../src/abi/userfaultfd.ts';
import { Prng } from '../../src/base/prng.ts';
import type { Need, Scenario, Step } from './scenario.ts';

const RW = PROT_READ | PROT_WRITE;
const TABLE = 512;
/** Where a second and a third area begin. */
const [B, C] = [2 ** 20, 2 ** 21];
const ASYNC = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED;
const [MISSING, WP, MINOR] = [1, 2, 4];
const [BEGIN, END]: readonly [Step, Step] = [['begin'], ['end']];

/** Draws sizes. */
interface Draw {
  readonly prng: Prng;
  /** A number of pages from `low` to `high`, small ones as likely as large ones. */
  size(low: number, high: number): number;
  pick<T>(items: readonly T[]): T;
}

interface Way {
  readonly way: string;
  readonly steps: readonly Step[];
}
interface Situation {
  readonly what: string;
  readonly ways: readonly Way[];
  readonly needs?: readonly Need[];
  readonly waits?: boolean;
}

/** [from, from+n) in pieces of `batch` pages. */
function pieces(from: number, n: number, batch: number, step: (page: number, nr: number) => Step): Step[] {
  const steps: Step[] = [];
  for (let at = 0; at < n; at += batch) steps.push(step(from + at, Math.min(batch, n - at)));
  return steps;
}
const small = (page: number, n: number): Step[] => [
  ['map', page, n, RW],
  ['advise', page, n, MADV_NOHUGEPAGE],
];
const filled = (page: number, n: number): Step[] => [
  ...small(page, n),
  ['advise', page, n, MADV_POPULATE_WRITE],
];
const timed = (...steps: readonly Step[]): Step[] => [BEGIN, ...steps, END];
const write = (page: number, n: number, stride = 1): Step => ['write', page, n, stride];

function giveBack({ size, pick }: Draw): Situation {
  const n = size(64, 8192);
  const batch = Math.min(n, pick([1, 4, 16, 64, 512, 8192]));
  const advised = (advice: number): Step[] => pieces(0, n, batch, (page, nr) => ['advise', page, nr, advice]);
  return {
    what: `give back ${n} pages in calls of ${batch}, write them again`,
    ways: [
      { way: 'MADV_DONTNEED', steps: [...filled(0, n), ...timed(...advised(MADV_DONTNEED), write(0, n))] },
      { way: 'MADV_FREE', steps: [...filled(0, n), ...timed(...advised(MADV_FREE), write(0, n))] },
      {
        way: 'munmap and mmap',
        steps: [
          ...filled(0, n),
          ...timed(...pieces(0, n, batch, (page, nr) => ['unmap', page, nr]), ['map', 0, n, RW], write(0, n)),
        ],
      },
    ],
  };
}

function firstUse({ size }: Draw): Situation {
  const n = size(32, 12000);
  return {
    what: `first use of ${n} pages`,
    ways: [
      { way: 'write', steps: [...small(0, n), ...timed(write(0, n))] },
      { way: 'read, write', steps: [...small(0, n), ...timed(['read', 0, n, 1], write(0, n))] },
      {
        way: 'MADV_POPULATE_WRITE, write',
        steps: [...small(0, n), ...timed(['advise', 0, n, MADV_POPULATE_WRITE], write(0, n))],
      },
      {
        way: 'MADV_POPULATE_READ, write',
        steps: [...small(0, n), ...timed(['advise', 0, n, MADV_POPULATE_READ], write(0, n))],
      },
    ],
  };
}

function sparse({ size, pick }: Draw): Situation {
  const tables = size(16, 512);
  const each = pick([1, 2, 8]);
  const n = tables * TABLE;
  const stride = TABLE / each;
  const start = [...small(0, n), ...timed(write(0, n, stride))];
  return {
    what: `${each} pages in each of ${tables} tables, given back and written again`,
    ways: [
      {
        way: 'one MADV_DONTNEED',
        steps: [...start, ...timed(['advise', 0, n, MADV_DONTNEED], write(0, n, stride))],
      },
      {
        way: 'MADV_DONTNEED of each',
        steps: [
          ...start,
          ...timed(
            ...pieces(0, n, stride, (page) => ['advise', page, 1, MADV_DONTNEED]),
            write(0, n, stride),
          ),
        ],
      },
      { way: 'munmap', steps: [...start, ...timed(['unmap', 0, n])] },
    ],
  };
}

function smallMaps({ size, pick }: Draw): Situation {
  const maps = size(32, 1024);
  const pages = pick([1, 2, 4, 16]);
  const touched = pick([0, 1, pages]);
  const step = pages + 1;
  const all = maps * step;
  const use = (page: number): Step[] => (touched > 0 ? [write(page, touched)] : []);
  const each = (make: (page: number) => readonly Step[]): Step[] =>
    Array.from({ length: maps }, (_, i) => make(i * step)).flat();
  return {
    what: `${maps} areas of ${pages} pages, ${touched} written`,
    ways: [
      {
        way: 'mapped and unmapped one by one',
        steps: timed(
          ...each((page) => [['map', page, pages, RW], ...use(page)]),
          ...each((page) => [['unmap', page, pages]]),
        ),
      },
      {
        way: 'mapped one by one, unmapped at once',
        steps: timed(...each((page) => [['map', page, pages, RW], ...use(page)]), ['unmap', 0, all]),
      },
      {
        way: 'reserved, committed by mprotect',
        steps: timed(
          ['map', 0, all, PROT_NONE],
          ...each((page) => [['protect', page, pages, RW], ...use(page)]),
          ['unmap', 0, all],
        ),
      },
    ],
  };
}

function protections({ size, pick }: Draw): Situation {
  const n = size(64, 4096);
  const stride = pick([2, 3, 8]);
  const some = (prot: number): Step[] =>
    pieces(0, n, stride, (page): Step => ['protect', page + 1, 1, prot]).slice(0, Math.floor(n / stride));
  const writes = write(0, n);
  return {
    what: `${n} pages read only and back, written after`,
    ways: [
      {
        way: 'all in one call',
        steps: [...filled(0, n), ...timed(['protect', 0, n, PROT_READ], ['protect', 0, n, RW], writes)],
      },
      {
        way: `every page ${stride} apart`,
        steps: [...filled(0, n), ...timed(...some(PROT_READ), ...some(RW), writes)],
      },
      {
        way: 'page by page, growing',
        steps: [
          ...filled(0, n),
          ...timed(
            ...pieces(0, n, 1, (page): Step => ['protect', page, 1, PROT_READ]),
            ['protect', 0, n, RW],
            writes,
          ),
        ],
      },
    ],
  };
}

function moves({ size, pick }: Draw): Situation {
  const n = TABLE * size(1, 16);
  const batch = pick([8, 32, 128]);
  return {
    what: `move ${n} pages`,
    ways: [
      { way: 'mremap, by tables', steps: [...filled(0, n), ...timed(['move', 0, n, B, 0])] },
      { way: 'mremap, by entries', steps: [...filled(0, n), ...timed(['move', 0, n, B + 3, 0])] },
      {
        way: `mremap, ${batch} pages a call`,
        steps: [
          ...filled(0, n),
          ...timed(...pieces(0, n, batch, (page, nr): Step => ['move', page, nr, B + 1 + page, 0])),
        ],
      },
      {
        way: 'MREMAP_DONTUNMAP',
        steps: [...filled(0, n), ...timed(['move', 0, n, B + 3, MREMAP_DONTUNMAP])],
      },
    ],
  };
}

function growing({ size, pick }: Draw): Situation {
  const step = pick([1, 4, 16]);
  const times = size(16, 256);
  const n = step * times;
  const grown = (at: number): Step[] =>
    Array.from({ length: times - 1 }, (_, i): Step[] => [
      ['resize', at, (i + 1) * step, (i + 2) * step],
      write(at + (i + 1) * step, step),
    ]).flat();
  return {
    what: `a buffer grows to ${n} pages, ${step} at a time`,
    ways: [
      { way: 'mremap in place', steps: [...timed(['map', 0, step, RW], write(0, step), ...grown(0))] },
      {
        way: 'mmap beside it',
        steps: timed(...pieces(0, n, step, (page, nr): Step => ['map', page, nr, RW]), write(0, n)),
      },
      { way: 'all at once', steps: timed(['map', 0, n, RW], write(0, n)) },
    ],
  };
}

function forking({ size, pick }: Draw): Situation {
  const n = size(256, 12000);
  const stride = pick([1, 2, 4]);
  return {
    what: `fork with ${n} pages, the parent writes every page ${stride} apart`,
    waits: true,
    ways: [
      {
        way: 'while the child lives',
        steps: [...filled(0, n), ...timed(['fork'], write(0, n, stride), ['reap'])],
      },
      {
        way: 'after its end',
        steps: [...filled(0, n), ...timed(['fork'], ['reap'], write(0, n, stride))],
      },
      { way: 'before', steps: [...filled(0, n), ...timed(write(0, n, stride), ['fork'], ['reap'])] },
    ],
  };
}

function huge({ size }: Draw): Situation {
  const blocks = size(2, 24);
  const n = blocks * TABLE;
  const area: Step[] = [
    ['map', 0, n, RW],
    ['advise', 0, n, MADV_HUGEPAGE],
  ];
  return {
    what: `${blocks} times 2 MiB written and given back`,
    needs: ['huge'],
    ways: [
      {
        way: 'huge pages',
        steps: [...area, ...timed(write(0, n), ['advise', 0, n, MADV_DONTNEED])],
      },
      {
        way: 'huge pages, read first',
        steps: [...area, ...timed(['read', 0, n, TABLE], write(0, n), ['advise', 0, n, MADV_DONTNEED])],
      },
      {
        way: 'huge pages, one page of each first',
        steps: [
          ...area,
          ...timed(write(0, n), ...pieces(3, n, TABLE, (page): Step => ['advise', page, 1, MADV_DONTNEED]), [
            'advise',
            0,
            n,
            MADV_DONTNEED,
          ]),
        ],
      },
      { way: 'small pages', steps: [...small(0, n), ...timed(write(0, n), ['advise', 0, n, MADV_DONTNEED])] },
    ],
  };
}

function hugePieces({ size }: Draw): Situation {
  const blocks = size(2, 16);
  const n = blocks * TABLE;
  const area: Step[] = [
    ['map', 0, n, RW],
    ['advise', 0, n, MADV_HUGEPAGE],
    ['advise', 0, n, MADV_POPULATE_WRITE],
  ];
  return {
    what: `a page out of each of ${blocks} huge pages`,
    needs: ['huge'],
    ways: [
      {
        way: 'protected',
        steps: [...area, ...timed(...pieces(7, n, TABLE, (page): Step => ['protect', page, 1, PROT_READ]))],
      },
      {
        way: 'given back',
        steps: [
          ...area,
          ...timed(...pieces(7, n, TABLE, (page): Step => ['advise', page, 1, MADV_DONTNEED])),
        ],
      },
      { way: 'moved away whole', steps: [...area, ...timed(['move', 0, n, B, 0])] },
    ],
  };
}

function shared({ size }: Draw): Situation {
  const n = 16 * size(4, 512);
  const two: Step[] = [
    ['file', 0, n],
    ['mapfile', 0, n, 0, 1],
    ['mapfile', B, n, 0, 1],
  ];
  const there = [...two, write(0, n)];
  return {
    what: `${n} pages of shared memory`,
    ways: [
      { way: 'new ones written', steps: [...two, ...timed(write(0, n))] },
      { way: 'cached ones written', steps: [...there, ...timed(write(B, n))] },
      { way: 'cached ones read', steps: [...there, ...timed(['read', B, n, 1])] },
      {
        way: 'discarded, written again',
        steps: [...there, ...timed(['advise', 0, n, MADV_DONTNEED], write(0, n))],
      },
      {
        way: 'removed, written again',
        steps: [...there, ...timed(['advise', 0, n, MADV_REMOVE], write(0, n))],
      },
    ],
  };
}

function privateCopies({ size }: Draw): Situation {
  const n = size(64, 4096);
  const file: Step[] = [['file', 0, n], ['mapfile', 0, n, 0, 1], write(0, n), ['mapfile', B, n, 0, 0]];
  return {
    what: `a private view of ${n} pages of a memfd`,
    ways: [
      { way: 'written', steps: [...file, ...timed(write(B, n))] },
      { way: 'read, written', steps: [...file, ...timed(['read', B, n, 1], write(B, n))] },
      {
        way: 'written, discarded, read',
        steps: [...file, ...timed(write(B, n), ['advise', B, n, MADV_DONTNEED], ['read', B, n, 1])],
      },
    ],
  };
}

function fills({ size, pick }: Draw): Situation {
  const n = size(64, 4096);
  const batch = Math.min(n, pick([1, 2, 8, 32, 128, 1024]));
  const open = (features: number, mode: number): Step[] => [
    ['uffd', 0, features],
    ['register', 0, 0, n, mode],
  ];
  return {
    what: `userfaultfd fills ${n} pages, ${batch} an ioctl, and they are written`,
    ways: [
      {
        way: 'COPY',
        steps: [
          ...small(0, n),
          ...filled(B, n),
          ...open(0, MISSING),
          ...timed(...pieces(0, n, batch, (page, nr): Step => ['copy', 0, page, B + page, nr]), write(0, n)),
        ],
      },
      {
        way: 'ZEROPAGE',
        steps: [
          ...small(0, n),
          ...open(0, MISSING),
          ...timed(...pieces(0, n, batch, (page, nr): Step => ['zero', 0, page, nr]), write(0, n)),
        ],
      },
      {
        way: 'MOVE',
        steps: [
          ...small(0, n),
          ...filled(B, n),
          ...open(UFFD_FEATURE_MOVE, MISSING),
          ...timed(
            ...pieces(0, n, batch, (page, nr): Step => ['moveto', 0, page, B + page, nr]),
            write(0, n),
          ),
        ],
      },
      {
        way: 'CONTINUE',
        steps: [
          ['file', 0, n],
          ['mapfile', B, n, 0, 1],
          write(B, n),
          ['mapfile', 0, n, 0, 1],
          ...open(UFFD_FEATURE_MINOR_SHMEM, MINOR),
          ...timed(...pieces(0, n, batch, (page, nr): Step => ['continue', 0, page, nr]), write(0, n)),
        ],
      },
    ],
  };
}

function writeProtection({ size, pick }: Draw): Situation {
  const n = size(128, 8192);
  const batch = Math.min(n, pick([8, 64, 512, 8192]));
  const stride = pick([1, 2, 4]);
  const open: Step[] = [
    ['uffd', 0, ASYNC],
    ['register', 0, 0, n, WP],
  ];
  const armed = pieces(0, n, batch, (page, nr): Step => ['wp', 0, page, nr, 1]);
  return {
    what: `protect ${n} pages, ${batch} a call, write every page ${stride} apart`,
    ways: [
      { way: 'resident', steps: [...filled(0, n), ...open, ...timed(...armed, write(0, n, stride))] },
      { way: 'absent', steps: [...small(0, n), ...open, ...timed(...armed, write(0, n, stride))] },
      {
        way: 'absent, read by the kernel first',
        steps: [
          ...small(0, n),
          ...open,
          ...timed(['advise', 0, n, MADV_POPULATE_READ], ...armed, write(0, n, stride)),
        ],
      },
      {
        way: 'resident, on and off',
        steps: [
          ...filled(0, n),
          ...open,
          ...timed(
            ...armed,
            ...pieces(0, n, batch, (page, nr): Step => ['wp', 0, page, nr, 0]),
            write(0, n, stride),
          ),
        ],
      },
    ],
  };
}

function dirtyTracking({ size, pick }: Draw): Situation {
  const n = size(512, 12000);
  const stride = pick([1, 3, 16, 64]);
  const start: Step[] = [...filled(0, n), ['uffd', 0, ASYNC], ['register', 0, 0, n, WP], ['scan', 0, n, 1]];
  const writes = write(0, n, stride);
  return {
    what: `two rounds of tracking ${n} pages, every page ${stride} apart written`,
    ways: [
      {
        way: 'scan that protects',
        steps: [...start, ...timed(writes, ['scan', 0, n, 1], writes, ['scan', 0, n, 1])],
      },
      {
        way: 'scan, then protect all',
        steps: [
          ...start,
          ...timed(
            writes,
            ['scan', 0, n, 0],
            ['wp', 0, 0, n, 1],
            writes,
            ['scan', 0, n, 0],
            ['wp', 0, 0, n, 1],
          ),
        ],
      },
      { way: 'scan only', steps: [...start, ...timed(writes, ['scan', 0, n, 0], writes, ['scan', 0, n, 0])] },
    ],
  };
}

function swapping({ size, pick }: Draw): Situation {
  const n = size(256, 4096);
  const stride = pick([1, 1, 2]);
  const out: Step[] = [...filled(0, n), ['contents', 0, n]];
  return {
    what: `${n} pages go to swap; every page ${stride} apart`,
    needs: ['swap'],
    ways: [
      {
        way: 'read again',
        steps: [...out, ...timed(['advise', 0, n, MADV_PAGEOUT], ['read', 0, n, stride])],
      },
      {
        way: 'written again',
        steps: [...out, ...timed(['advise', 0, n, MADV_PAGEOUT], write(0, n, stride))],
      },
      {
        way: 'given back',
        steps: [...out, ...timed(['advise', 0, n, MADV_PAGEOUT], ['advise', 0, n, MADV_DONTNEED])],
      },
      {
        way: 'moved, then read',
        steps: [
          ...out,
          ...small(B, n),
          ['uffd', 0, UFFD_FEATURE_MOVE],
          ['register', 0, B, n, MISSING],
          ['advise', 0, n, MADV_PAGEOUT],
          ...timed(['moveto', 0, B, 0, n], ['read', B, n, stride]),
        ],
      },
    ],
  };
}

function answered({ size }: Draw): Situation {
  const n = size(32, 512);
  const ways: readonly (readonly [way: string, features: number, mode: number])[] = [
    ['COPY', 0, MISSING],
    ['ZEROPAGE', 0, MISSING],
    ['CONTINUE', UFFD_FEATURE_MINOR_SHMEM, MINOR],
    ['MOVE', UFFD_FEATURE_MOVE, MISSING],
    ['WRITEPROTECT', 0, WP],
  ];
  return {
    what: `${n} faults answered by a thread on the same CPU`,
    waits: true,
    ways: ways.map(([way, features, mode], how) => ({
      way,
      steps: [
        ...(how === 2
          ? ([
              ['file', 0, n + 1],
              ['mapfile', C, n + 1, 0, 1],
              write(C, n + 1),
              ['mapfile', 0, n + 1, 0, 1],
            ] satisfies Step[])
          : how === 4
            ? filled(0, n + 1)
            : small(0, n + 1)),
        ...filled(B, n + 1),
        ['uffd', 0, features],
        ['register', 0, 0, n + 1, mode],
        ...(how === 4 ? ([['wp', 0, 0, n + 1, 1]] satisfies Step[]) : []),
        ['answer', 0, how, 0, B],
        ...timed(write(0, n)),
        ['silence', n],
      ],
    })),
  };
}

function inspecting({ size }: Draw): Situation {
  const n = size(256, 8192);
  const start = filled(0, n);
  return {
    what: `${n} pages looked at or marked`,
    ways: [
      { way: 'mincore', steps: [...start, ...timed(['mincore', 0, n])] },
      { way: 'MADV_COLD', steps: [...start, ...timed(['advise', 0, n, MADV_COLD])] },
      { way: 'mlock, munlock', steps: [...start, ...timed(['lock', 0, n], ['unlock', 0, n])] },
      { way: 'populate again', steps: [...start, ...timed(['advise', 0, n, MADV_POPULATE_WRITE])] },
    ],
  };
}

function threads({ size, pick }: Draw): Situation {
  const n = size(256, 2048);
  const rounds = pick([2, 4]);
  const work = pick(['faults', 'protections'] as const);
  const of = (base: number): Step[] =>
    Array.from({ length: rounds }, (): Step[] =>
      work === 'faults'
        ? [write(base, n), ['advise', base, n, MADV_DONTNEED]]
        : Array.from({ length: n / 4 }, (_, i): Step => ['protect', base, 1, i & 1 ? RW : PROT_READ]),
    ).flat();
  const start = [...small(0, n), ...small(B, n)];
  return {
    what: `${rounds} rounds of ${work} over ${n} pages`,
    needs: ['cpus'],
    waits: true,
    ways: [
      { way: 'one thread', steps: [...start, ['thread', 0], ...of(0), ['join']] },
      { way: 'two threads', steps: [...start, ['thread', 0], ...of(0), ['thread', 1], ...of(B), ['join']] },
      { way: 'one after the other', steps: [...start, ['thread', 0], ...of(0), ...of(B), ['join']] },
    ],
  };
}

const FAMILIES: readonly ((draw: Draw) => Situation)[] = [
  giveBack,
  firstUse,
  sparse,
  smallMaps,
  protections,
  moves,
  growing,
  forking,
  huge,
  hugePieces,
  shared,
  privateCopies,
  fills,
  writeProtection,
  dirtyTracking,
  swapping,
  answered,
  inspecting,
  threads,
];

/** Draws scenarios: as many situations of each family as `times`. The same seed gives the same ones. */
export function drawScenarios(seed: number, times = 1): Scenario[] {
  const prng = new Prng(seed);
  const draw: Draw = {
    prng,
    size: (low, high) => Math.round(low * (high / low) ** prng.unit()),
    pick: (items) => prng.pick(items),
  };
  return Array.from({ length: times }, () => FAMILIES)
    .flat()
    .flatMap((family) => {
      const { what, ways, needs = [], waits = false } = family(draw);
      return ways.map(({ way, steps }) => ({ situation: what, way, steps, needs, waits }));
    });
}
