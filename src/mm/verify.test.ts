import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE } from '../abi/mman.ts';
import { ModelBug, must } from '../base/assert.ts';
import { AnonVma } from './anonVma.ts';
import { accessPage } from './fault.ts';
import { exitMm, forkMm } from './fork.ts';
import { Kernel } from './kernel.ts';
import { Mm } from './mm.ts';
import { mmap } from './mmap.ts';
import { INVARIANT_NAMES, verifyAround, verifyKernel, verifyMm } from './verify.ts';
import type { Vma } from './vma.ts';
import { VM_UFFD_MISSING } from './vmFlags.ts';

const PAGE = 4096;
const B = 0x1000_0000_0000;

/** A written private mapping, an unfaulted one, a shared one with a page in the page cache, and a child of it all. */
interface World {
  readonly kernel: Kernel;
  readonly mm: Mm;
  readonly child: Mm;
  readonly written: Vma;
  readonly unfaulted: Vma;
  readonly shared: Vma;
}

function map(mm: Mm, page: number, flags: number): Vma {
  mmap(mm, {
    addr: B + page * PAGE,
    len: 4 * PAGE,
    prot: PROT_READ | PROT_WRITE,
    flags: flags | MAP_FIXED | MAP_ANONYMOUS,
    file: null,
    offset: 0,
    chosen: null,
  });
  return must(mm.vmas.at(B + page * PAGE), 'mmap made a vma');
}

function smallWorld(): World {
  const kernel = new Kernel();
  const mm = new Mm(kernel);
  const written = map(mm, 0, MAP_PRIVATE);
  const unfaulted = map(mm, 8, MAP_PRIVATE);
  const shared = map(mm, 16, MAP_SHARED);
  accessPage(mm, { addr: written.start, access: 'write', stamp: 1 });
  accessPage(mm, { addr: shared.start, access: 'write', stamp: 2 });
  const child = forkMm(mm);
  if (!(child instanceof Mm)) throw new Error('fork failed');
  return { kernel, mm, child, written, unfaulted, shared };
}

function verifyAll({ kernel, mm, child }: World): void {
  for (const one of [mm, child]) verifyMm(one);
  verifyKernel(kernel, [mm, child]);
}

const anonVmaOf = (vma: Vma): AnonVma => must(vma.anonVma, 'it was written');
const inUse = ({ mm, written }: World): number => mm.pages.frame(written.start);

/** How each invariant is broken. */
const BREAKERS: Readonly<Record<string, (world: World) => void>> = {
  'vma-tree': ({ written }) => {
    written.end = written.start;
  },
  'vma-aligned': ({ shared }) => {
    shared.end += 1;
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
  'leaf-used': ({ mm, written }) => {
    mm.pages.retype(written.start + PAGE, 'anon');
  },
  'pte-in-vma': ({ mm, written }) => {
    mm.pages.set(written.end, 'zero');
  },
  'pte-frame': ({ mm, written }) => {
    mm.pages.set(written.start + PAGE, 'anon');
  },
  'fault-anon': (world) => {
    world.mm.pages.set(world.unfaulted.start, 'anon', inUse(world));
  },
  'anon-vma-attached': ({ written }) => {
    anonVmaOf(written).nrAttached++;
  },
  'anon-vma-active': ({ written }) => {
    anonVmaOf(written).nrActiveVmas--;
  },
  'anon-vma-children': ({ written }) => {
    anonVmaOf(written).nrChildren++;
  },
  'file-vmas': ({ shared }) => {
    must(shared.file, 'it is shared').object.nrVmas++;
  },
  'frame-mapcount': (world) => {
    world.kernel.frames.addMapping(inUse(world), 1);
  },
  'frame-used': ({ kernel }) => {
    kernel.frames.allocate(0);
  },
  committed: ({ kernel }) => {
    kernel.commit(1);
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

describe('what each check sees beyond one example', () => {
  const broken: readonly (readonly [string, string, (world: World) => void])[] = [
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
    ['a border beyond the address space', 'vma-aligned', ({ shared }) => (shared.end = 2 ** 47)],
    ['half a page offset', 'vma-pgoff', ({ written }) => (written.pgoff += 0.5)],
    ['a page offset beyond every file', 'vma-pgoff', ({ written }) => (written.pgoff = 2 ** 52)],
    [
      'a guard marker with a frame',
      'pte-frame',
      (world) => world.mm.pages.set(world.written.end - PAGE, 'guard', inUse(world)),
    ],
    ['a promise that came back twice', 'committed', ({ kernel }) => kernel.commit(-1)],
  ];
  it.each(broken)('%s', (_what, name, breakIt) => {
    const world = smallWorld();
    breakIt(world);
    expect(() => verifyAll(world)).toThrow(`[${name}] `);
  });
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
