import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  MADV_HUGEPAGE,
  MADV_PAGEOUT,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from '../abi/mman.ts';
import { UFFD_FEATURE_WP_ASYNC } from '../abi/userfaultfd.ts';
import { ModelBug, must } from '../base/assert.ts';
import { PMD_SIZE } from '../base/units.ts';
import { AnonVma } from './anonVma.ts';
import { accessPage } from './fault.ts';
import { type Features, LINUX_6_18 } from './features.ts';
import { exitMm, forkMm } from './fork.ts';
import { FRAME_ANON, FRAME_CACHED, FRAME_SWAPCACHE } from './frames.ts';
import { Kernel } from './kernel.ts';
import { madvise } from './madvise.ts';
import { reclaimOf } from './memoryLimit.ts';
import { Mm } from './mm.ts';
import { mmap } from './mmap.ts';
import { EXCLUSIVE, MARKER, MARKER_PURGED, PRESENT, SWAP, WRITE, ZERO_PAGE } from './pte.ts';
import { UffdContext } from './uffdContext.ts';
import { INVARIANT_NAMES, verifyAround, verifyKernel, verifyMm } from './verify.ts';
import type { Vma } from './vma.ts';
import { VM_UFFD_MISSING, VM_UFFD_WP } from './vmFlags.ts';
import { VrangeLru, VrangeTree } from './vrangeTree.ts';

const PAGE = 4096;
const B = 0x1000_0000_0000;

/** A written private mapping, an unfaulted one, a shared one with a page in the page cache, a huge page, a page in swap, and a child of it all. */
interface World {
  readonly kernel: Kernel;
  readonly mm: Mm;
  readonly child: Mm;
  readonly written: Vma;
  readonly unfaulted: Vma;
  readonly shared: Vma;
  readonly huge: Vma;
}

function map(mm: Mm, page: number, flags: number, len = 4 * PAGE): Vma {
  mmap(mm, {
    addr: B + page * PAGE,
    len,
    prot: PROT_READ | PROT_WRITE,
    flags: flags | MAP_FIXED | MAP_ANONYMOUS,
    file: null,
    offset: 0,
    chosen: null,
  });
  return must(mm.vmas.at(B + page * PAGE), 'mmap made a vma');
}

/** Turns switches under the feet of what is there. */
function switchOn(kernel: Kernel, changes: Partial<Features>): void {
  Object.assign(kernel, { features: { ...kernel.features, ...changes } });
}

function smallWorld(): World {
  const kernel = new Kernel(LINUX_6_18, { totalSwapPages: 8 });
  const mm = new Mm(kernel);
  const written = map(mm, 0, MAP_PRIVATE);
  const unfaulted = map(mm, 8, MAP_PRIVATE);
  const shared = map(mm, 16, MAP_SHARED);
  const huge = map(mm, 512, MAP_PRIVATE, PMD_SIZE);
  madvise(mm, huge.start, PMD_SIZE, MADV_HUGEPAGE);
  accessPage(mm, { addr: written.start, access: 'write', stamp: 1 });
  accessPage(mm, { addr: written.start + 2 * PAGE, access: 'write', stamp: 3 });
  madvise(mm, written.start + 2 * PAGE, PAGE, MADV_PAGEOUT);
  accessPage(mm, { addr: shared.start, access: 'write', stamp: 2 });
  accessPage(mm, { addr: huge.start, access: 'write', stamp: 4 });
  const child = forkMm(mm);
  if (!(child instanceof Mm)) throw new Error('fork failed');
  return { kernel, mm, child, written, unfaulted, shared, huge };
}

function verifyAll({ kernel, mm, child }: World): void {
  for (const one of [mm, child]) verifyMm(one);
  verifyKernel(kernel, [mm, child]);
}

const anonVmaOf = (vma: Vma): AnonVma => must(vma.anonVma, 'it was written');
/** The frame of the page that was written. */
const inUse = ({ mm, written }: World): number => mm.pages.high(written.start);
/** Puts a present entry for `pfn` at `addr`, with the counts that belong to it. */
function mapAt({ mm, kernel }: World, addr: number, pfn: number): void {
  kernel.frames.addPte(pfn, 1);
  mm[kernel.frames.counterOf(pfn)]++;
  mm.pages.set(addr, PRESENT, pfn);
}

/** How each invariant is broken. */
const BREAKERS: Readonly<Record<string, (world: World) => void>> = {
  'vma-tree': ({ written }) => {
    written.end = written.start;
  },
  'vma-aligned': ({ huge }) => {
    huge.end += 1;
  },
  'vma-pgoff': ({ unfaulted }) => {
    unfaulted.pgoff = -1;
  },
  'map-count': ({ mm }) => {
    mm.mapCount++;
  },
  'total-vm': ({ mm }) => {
    mm.totalVm--;
  },
  'data-vm': ({ mm }) => {
    mm.dataVm++;
  },
  'exec-vm': ({ mm }) => {
    mm.execVm++;
  },
  'stack-vm': ({ mm }) => {
    mm.stackVm++;
  },
  'locked-vm': ({ mm }) => {
    mm.lockedLeak++;
  },
  'anon-vma-chain': ({ written }) => {
    written.chain = [...written.chain, anonVmaOf(written)];
  },
  'uffd-context': ({ unfaulted }) => {
    unfaulted.flags |= VM_UFFD_MISSING;
  },
  'vrange-tree': ({ mm, written }) => {
    mm.vranges = new VrangeTree(mm, mm.kernel.vrangeLru);
    mm.vranges.mark({ start: written.end, end: written.end + PAGE }, 'full');
  },
  'vrange-hint': ({ mm, written }) => {
    mm.pages.set(written.start + PAGE, MARKER, MARKER_PURGED);
  },
  'vrange-lru': ({ mm, written }) => {
    mm.vranges = new VrangeTree(mm, new VrangeLru());
    mm.vranges.mark({ start: written.start, end: written.end }, 'full');
  },
  'table-used': ({ kernel }) => {
    const { tables } = kernel;
    for (let page = 1; page < tables.arena.limit; page++) tables.count(page, 1);
  },
  rss: ({ child }) => {
    child.rssAnon--;
  },
  'pte-in-vma': ({ mm, written }) => {
    mm.pages.set(written.end, ZERO_PAGE, 0);
  },
  'pte-frame': ({ mm, written }) => {
    mm.rssFile++;
    mm.pages.set(written.start + PAGE, PRESENT, 100);
  },
  'fault-anon': (world) => {
    mapAt(world, world.unfaulted.start, inUse(world));
  },
  'rmap-reach': ({ kernel, mm, written }) => {
    kernel.frames.setOwner(mm.pages.high(written.start), anonVmaOf(written).id, written.pgoff + 1);
  },
  'frame-exclusive': ({ mm, written }) => {
    mm.pages.setLow(written.start, mm.pages.low(written.start) | EXCLUSIVE);
  },
  'soft-dirty': ({ kernel }) => switchOn(kernel, { softDirty: 'on' }),
  'uffd-inverted': ({ kernel, mm, written }) => {
    switchOn(kernel, { wpAsync: 'inverted' });
    written.uffd = new UffdContext(mm, 0, UFFD_FEATURE_WP_ASYNC);
    written.flags |= VM_UFFD_WP;
    mm.pages.setLow(written.start, mm.pages.low(written.start) | WRITE);
  },
  'anon-vma-attached': ({ written, unfaulted }) => {
    anonVmaOf(written).attached.add(unfaulted);
  },
  'anon-vma-active': ({ written }) => {
    anonVmaOf(written).nrActiveVmas--;
  },
  'anon-vma-children': ({ written }) => {
    anonVmaOf(written).nrChildren++;
  },
  'file-vmas': ({ shared, unfaulted }) => {
    must(shared.file, 'it is shared').object.vmas.add(unfaulted);
  },
  committed: ({ kernel }) => {
    kernel.commit(1);
  },
  'work-tables': ({ kernel }) => {
    kernel.work.tablesMade(1);
  },
  'frame-mapcount': (world) => {
    world.kernel.frames.addPte(inUse(world), 1);
  },
  'frame-used': ({ kernel }) => {
    kernel.frames.allocate(FRAME_ANON, 1, 0);
  },
  'swap-count': ({ kernel }) => {
    kernel.swap.allocate(5);
  },
  'lru-lists': ({ kernel, mm, written }) => {
    reclaimOf(kernel).lru.isolate(mm.pages.high(written.start));
  },
  'memory-charged': ({ kernel, mm }) => {
    reclaimOf(kernel);
    mm.memory.charged++;
  },
  'swap-cache': (world) => {
    const { kernel, mm, written } = world;
    kernel.swap.cache(kernel.frames, mm.pages.high(written.start + 2 * PAGE), inUse(world));
    kernel.frames.setFlags(inUse(world), 0, FRAME_SWAPCACHE);
  },
};

describe('every invariant is named when it is broken', () => {
  it('has a way to break each', () => {
    expect(Object.keys(BREAKERS).sort()).toEqual([...INVARIANT_NAMES].sort());
  });
  it.each(Object.keys(BREAKERS))('%s', (name) => {
    const world = smallWorld();
    verifyAll(world);
    BREAKERS[name]?.(world);
    expect(() => verifyAll(world)).toThrow(ModelBug);
    expect(() => verifyAll(world)).toThrow(`[${name}] `);
  });
});

type Broken = readonly [what: string, name: string, breakIt: (world: World) => void];

function expectNamed([, name, breakIt]: Broken): void {
  const world = smallWorld();
  breakIt(world);
  expect(() => verifyAll(world)).toThrow(`[${name}] `);
}

describe('what each check of vmas sees beyond one example', () => {
  const broken: readonly Broken[] = [
    [
      'a chain without an anon_vma',
      'anon-vma-chain',
      ({ unfaulted, written }) => (unfaulted.chain = [anonVmaOf(written)]),
    ],
    ['an anon_vma that is not in the chain', 'anon-vma-chain', ({ written }) => (written.chain = [])],
    [
      'two roots in one chain',
      'anon-vma-chain',
      ({ written }) => (written.chain = [new AnonVma(99, null), ...written.chain]),
    ],
    ['a border beyond the address space', 'vma-aligned', ({ huge }) => (huge.end = 2 ** 47)],
    ['half a page offset', 'vma-pgoff', ({ written }) => (written.pgoff += 0.5)],
    ['a page offset beyond every file', 'vma-pgoff', ({ written }) => (written.pgoff = 2 ** 52)],
    ['a promise that came back twice', 'committed', ({ kernel }) => kernel.commit(-1)],
  ];
  it.each(broken)('%s', (...row) => expectNamed(row));
});

describe('what each check of pages sees beyond one example', () => {
  const broken: readonly Broken[] = [
    [
      'a zero page with a frame',
      'pte-frame',
      ({ mm, written }) => mm.pages.set(written.end - PAGE, ZERO_PAGE, 1),
    ],
    [
      'a marker that marks nothing',
      'pte-frame',
      ({ mm, written }) => mm.pages.set(written.end - PAGE, MARKER, 0),
    ],
    [
      'an entry of a slot that is free',
      'pte-frame',
      ({ mm, written }) => {
        mm.nrSwap++;
        mm.pages.set(written.end - PAGE, SWAP, 8);
      },
    ],
    [
      'a huge page that reaches beyond its vma',
      'pte-in-vma',
      ({ mm, huge }) => {
        mm.vmas.resize(huge, huge.start, huge.end - PAGE);
        mm.totalVm--;
        mm.dataVm--;
      },
    ],
    [
      'a page of an anon_vma that does not lead here',
      'rmap-reach',
      (world) => {
        const { kernel, mm, huge, written } = world;
        kernel.frames.setOwner(inUse(world), anonVmaOf(huge).id, written.pgoff);
        mm.pages.setLow(written.start, mm.pages.low(written.start));
      },
    ],
    [
      'a page of a file at another offset',
      'rmap-reach',
      ({ kernel, mm, shared }) => {
        const pfn = mm.pages.high(shared.start);
        kernel.frames.setOwner(pfn, kernel.frames.owner(pfn), 3);
      },
    ],
    [
      'a huge page that is shared and exclusive',
      'frame-exclusive',
      ({ mm, huge }) => mm.pages.setHugeLow(huge.start, mm.pages.pmd(huge.start) | EXCLUSIVE),
    ],
    [
      'a slot that is shared and exclusive',
      'frame-exclusive',
      ({ child, written }) => child.pages.setLow(written.start + 2 * PAGE, SWAP | EXCLUSIVE),
    ],
    [
      'an exclusive page of a file',
      'frame-exclusive',
      ({ mm, shared }) => mm.pages.setLow(shared.start, mm.pages.low(shared.start) | EXCLUSIVE),
    ],
    ['shared pages counted wrong', 'rss', ({ mm }) => mm.rssShmem++],
    ['pages of files counted wrong', 'rss', ({ mm }) => mm.rssFile--],
    ['slots counted wrong', 'rss', ({ mm }) => mm.nrSwap--],
    [
      'one huge mapping too many',
      'frame-mapcount',
      ({ kernel, mm, huge }) => kernel.frames.addEntire(mm.pages.pmdHigh(huge.start), 1),
    ],
    [
      'a slot that counts too many entries',
      'swap-count',
      ({ kernel, mm, written }) => kernel.swap.dup(mm.pages.high(written.start + 2 * PAGE)),
    ],
    [
      'a page that is in the swap cache for no slot',
      'swap-cache',
      (world) => world.kernel.frames.setFlags(inUse(world), FRAME_SWAPCACHE),
    ],
    [
      'a page that left the page cache and is not unmapped',
      'frame-used',
      ({ kernel }) => kernel.frames.allocate(FRAME_CACHED, 1, 0),
    ],
  ];
  it.each(broken)('%s', (...row) => expectNamed(row));
});

describe('verifyAround', () => {
  it('sees a broken vma in or beside the range, and only there', () => {
    const { mm, written } = smallWorld();
    written.chain = [];
    expect(() => verifyAround(mm, written.end, written.end + PAGE)).toThrow('[around] its own anon_vma');
    expect(() => verifyAround(mm, B + 16 * PAGE, B + 20 * PAGE)).not.toThrow();
  });
  it('sees an overlap', () => {
    const { mm, written, unfaulted } = smallWorld();
    written.end = unfaulted.start + PAGE;
    expect(() => verifyAround(mm, written.start, written.start + PAGE)).toThrow('[vma-tree]');
  });
});

describe('a kernel after its processes', () => {
  it('has nothing left but the page cache', () => {
    const { kernel, mm, child } = smallWorld();
    exitMm(child);
    exitMm(mm);
    expect([kernel.committedPages, kernel.frames.nrUsed]).toEqual([0, 0]);
    verifyKernel(kernel, []);
  });
});

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

/** The names in brackets in the header of a source file. */
const namesInHeader = (path: string): string[] => {
  const header = /^\/\*\*[\s\S]*?\*\//.exec(read(path))?.[0] ?? '';
  return [...header.matchAll(/(?<![`/\w])\[([a-z]+(?:-[a-z]+)*)\]/g)].map(([, name]) => name as string);
};

describe('docs/invariants.md', () => {
  const headings = [...read('docs/invariants.md').matchAll(/^### (.+)$/gm)].map(([, name]) => name as string);
  const paths = ['base', 'mm', 'machine'].flatMap((folder) =>
    readdirSync(new URL(`../${folder}`, import.meta.url))
      .filter((file) => /(?<!\.test)\.ts$/.test(file))
      .map((file) => `src/${folder}/${file}`),
  );
  const named = new Set([...INVARIANT_NAMES, ...paths.flatMap(namesInHeader)]);

  it('has a paragraph for each name of verify.ts and of a header', () => {
    expect([...named].filter((name) => !headings.includes(name))).toEqual([]);
  });
  it('has no paragraph for a name that nobody uses, and none twice', () => {
    expect(headings.filter((name, i) => !named.has(name) || headings.indexOf(name) !== i)).toEqual([]);
  });
  it('says something in each', () => {
    const paragraphs = read('docs/invariants.md')
      .split(/^### .+$/m)
      .slice(1);
    for (const text of paragraphs) expect(text.trim().length).toBeGreaterThan(60);
  });
});
