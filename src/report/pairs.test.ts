import { describe, expect, it } from 'vitest';
import { type VmaRow, vmFlagCodes, vmFlagsOfCodes } from '../mm/index.ts';
import { blockersOf, countPairs, isDisplaced, type Neighbours, neighboursOf } from './index.ts';

const PAGE = 4096;
const BASE = 0x7f00_0000_0000;

/** What a row of the table says about one vma; everything else is that of fresh private anonymous memory. */
interface Said {
  /** Offset in pages against that of its address. */
  readonly off?: number;
  /** Its anon_vma; the root of another when `under` is given. */
  readonly av?: number;
  readonly under?: number;
  readonly chain?: number;
  readonly shared?: boolean;
  readonly codes?: string;
  readonly perms?: string;
  readonly file?: number;
  readonly name?: string;
  readonly anonName?: string;
  readonly policy?: string;
  readonly uffd?: number;
}

let ids = 0;
function vma(page: number, said: Said): VmaRow {
  const start = BASE + page * PAGE;
  const flags = vmFlagsOfCodes((said.codes ?? 'rd wr mr mw me ac').split(' '));
  if (typeof flags !== 'number') throw new RangeError(flags);
  const { av, under, shared = false, chain } = said;
  return {
    id: ++ids,
    start,
    end: start + PAGE,
    perms: said.perms ?? 'rw-p',
    flags,
    flagCodes: vmFlagCodes(flags),
    pgoff: said.file === undefined ? start / PAGE + (said.off ?? 0) : page + (said.off ?? 0),
    name: said.name ?? '',
    fileId: said.file ?? null,
    uffdId: said.uffd ?? null,
    policy: said.policy ?? null,
    anonName: said.anonName ?? null,
    anonymous: said.file === undefined,
    anonVma:
      av === undefined
        ? null
        : { id: av, root: under ?? av, parent: under ?? av, children: 1, vmas: 1, shared },
    chain: chain ?? (av === undefined ? 0 : 1),
    locked: false,
  };
}

function pairOf(below: Said, above: Said): Neighbours {
  const pair = neighboursOf([vma(0, below), vma(1, above)])[0];
  if (pair === undefined) throw new RangeError('they do not touch');
  return pair;
}

const remedyText = ({ remedy }: Neighbours): string =>
  remedy.kind === 'none' ? remedy.why : remedy.anyOf.map((set) => set.join('+')).join(' or ');

describe('what keeps two neighbours apart', () => {
  const PGOFF = 'mergePgoffOnMove';
  const ACROSS = 'mergeAcrossAnonVma';
  const RELOCATE = 'mremapRelocateAnon';
  type Line = readonly [below: Said, above: Said, blockers: string, kind: string | null, remedy: string];
  const table: readonly Line[] = [
    [{}, {}, '', 'mergeable', 'nothing-in-the-way'],
    [{ av: 1 }, { av: 1 }, '', 'mergeable', 'nothing-in-the-way'],
    [{ av: 1 }, {}, '', 'mergeable', 'nothing-in-the-way'],
    [{ av: 1 }, { av: 2 }, 'anon_vma', 'anon_vma', ACROSS],
    [{ av: 1, off: 9 }, { av: 1 }, 'pgoff', 'pgoff', `${PGOFF} or ${RELOCATE}`],
    [{ off: 9 }, { av: 1 }, 'pgoff', 'pgoff', `${PGOFF} or ${RELOCATE}`],
    [{ av: 1, off: 9 }, { av: 2 }, 'pgoff anon_vma', 'both', `${PGOFF}+${ACROSS} or ${RELOCATE}`],
    [{ av: 1, off: 9 }, { av: 2, off: 9 }, 'anon_vma', 'anon_vma', `${ACROSS} or ${RELOCATE}`],
    [{ av: 2, under: 1, chain: 2 }, {}, 'forked', 'chain', 'shared-by-fork'],
    [{ av: 2, under: 1, chain: 2, off: 9 }, {}, 'pgoff forked', 'pgoff', 'shared-by-fork'],
    [{ av: 1, shared: true }, { av: 2, shared: true }, 'anon_vma', 'anon_vma', 'shared-by-fork'],
    [{ av: 1, shared: true }, { av: 2 }, 'anon_vma', 'anon_vma', ACROSS],
    [{ av: 1, shared: true, off: 9 }, { av: 1 }, 'pgoff', 'pgoff', 'shared-by-fork'],
    [{ av: 1, name: '[stack]', off: 9 }, { av: 1 }, 'pgoff', 'pgoff', 'offset-of-execve'],
    [{ perms: '---p', codes: 'mr mw me ac' }, {}, 'permissions', null, 'attributes-differ'],
    [{ codes: 'rd wr mr mw me ac nh' }, {}, 'flags', null, 'attributes-differ'],
    [{ codes: 'rd wr mr mw me ac gu' }, {}, '', 'mergeable', 'nothing-in-the-way'],
    [{ perms: '---p', codes: 'mr mw me' }, {}, 'permissions flags', null, 'attributes-differ'],
    [{ policy: 'bind:0' }, {}, 'policy', null, 'attributes-differ'],
    [{ uffd: 3 }, {}, 'uffd', null, 'attributes-differ'],
    [{ anonName: 'a' }, { anonName: 'b' }, 'name', null, 'attributes-differ'],
    [{ file: 7 }, {}, 'file', null, 'attributes-differ'],
    [{ file: 7 }, { file: 8 }, 'file', null, 'attributes-differ'],
    [{ file: 7, av: 1 }, { file: 7, av: 2 }, 'anon_vma', null, ACROSS],
    [{ file: 7 }, { file: 7, off: 3 }, 'pgoff', null, 'file-offset'],
    [{ codes: 'rd wr mr mw me de' }, { codes: 'rd wr mr mw me de' }, 'special', null, 'attributes-differ'],
  ];
  it.each(table)('%j beside %j: %s', (below, above, blockers, kind, remedy) => {
    const pair = pairOf(below, above);
    expect(pair.blockers.map((blocker) => blocker.kind).join(' ')).toBe(blockers);
    expect(pair.kind).toBe(kind);
    expect(remedyText(pair)).toBe(remedy);
    // The other way round nothing but the sides changes.
    const turned = pairOf(above, below);
    expect(turned.blockers.map((blocker) => blocker.kind).join(' ')).toBe(blockers);
    expect(turned.kind).toBe(kind);
  });

  it('says by how much and which', () => {
    expect(blockersOf(vma(0, { av: 4 }), vma(1, { av: 5, off: -3, codes: 'rd wr mr mw me nr' }))).toEqual([
      { kind: 'flags', below: 'ac', above: 'nr' },
      { kind: 'pgoff', pages: -3 },
      { kind: 'anon_vma', below: 4, above: 5 },
    ]);
    expect(blockersOf(vma(0, { perms: '---p', codes: 'mr mw me' }), vma(1, {}))).toEqual([
      { kind: 'permissions', below: '---p', above: 'rw-p' },
      { kind: 'flags', below: '', above: 'ac' },
    ]);
  });

  it('looks at pairs that touch only', () => {
    const rows = [vma(0, {}), vma(2, {}), vma(3, {})];
    expect(neighboursOf(rows).map(({ below }) => below.start)).toEqual([BASE + 2 * PAGE]);
  });

  it('tells memory that was moved by its offset', () => {
    expect([
      isDisplaced(vma(0, { off: 1 })),
      isDisplaced(vma(0, {})),
      isDisplaced(vma(0, { file: 1 })),
    ]).toEqual([true, false, false]);
  });
});

describe('blocked pairs are counted', () => {
  it('by kind, with those that came from a fork', () => {
    const rows = [
      vma(0, { av: 1 }),
      vma(1, { av: 1, off: 5 }),
      vma(2, { av: 2, off: 5 }),
      vma(3, { av: 4, under: 3, chain: 2 }),
      vma(4, {}),
      vma(5, { codes: 'rd wr mr mw me ac nh' }),
    ];
    expect(countPairs(neighboursOf(rows))).toEqual({
      pairs: 4,
      pgoff: 1,
      anon_vma: 1,
      both: 1,
      chain: 1,
      mergeable: 0,
      inherited: 2,
    });
  });
});
