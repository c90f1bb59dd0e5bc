/**
 * Families of scenarios about private memory and its VMAs: giving back, first use, small maps, protections, moves, growth, forks, huge pages.
 */
import {
  MADV_DONTNEED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MREMAP_DONTUNMAP,
  PROT_NONE,
  PROT_READ,
} from '../../src/abi/mman.ts';
import { B, type Draw, filled, pieces, RW, type Situation, small, TABLE, timed, write } from './building.ts';
import type { Step } from './scenario.ts';

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

/** All of them. */
export const MEMORY_FAMILIES: readonly ((draw: Draw) => Situation)[] = [
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
];
