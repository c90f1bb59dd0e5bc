/**
 * Families of scenarios about what memory is made of and who looks after it: shared memory, userfaultfd, write tracking, swap, threads.
 */
import {
  MADV_COLD,
  MADV_DONTNEED,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_REMOVE,
  PROT_READ,
} from '../../src/abi/mman.ts';
import { UFFD_FEATURE_MINOR_SHMEM, UFFD_FEATURE_MOVE } from '../../src/abi/userfaultfd.ts';
import {
  ASYNC,
  B,
  C,
  type Draw,
  filled,
  MINOR,
  MISSING,
  pieces,
  RW,
  type Situation,
  small,
  timed,
  WP,
  write,
} from './building.ts';
import type { Step } from './scenario.ts';

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

/** All of them. */
export const SERVICE_FAMILIES: readonly ((draw: Draw) => Situation)[] = [
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
