import { describe, expect, it } from 'vitest';
import { PAGE_SIZE } from '../base/units.ts';
import { prepareAnonVma } from './anonVma.ts';
import { forkMm } from './fork.ts';
import { Kernel } from './kernel.ts';
import { linkVma, Mm } from './mm.ts';
import { mapsLine, mapsText, vmaDisplayName, vmaRows } from './procfs.ts';
import { type FileObject, Vma } from './vma.ts';
import { VM_LOCKED, VM_MAY_ALL, VM_MAYSHARE, VM_READ, VM_SHARED, VM_WRITE } from './vmFlags.ts';

const RW = VM_MAY_ALL | VM_READ | VM_WRITE;

interface Put {
  readonly start: number;
  readonly nrPages?: number;
  readonly flags?: number;
  readonly pgoff?: number;
  readonly object?: FileObject;
}
function put(mm: Mm, { start, nrPages = 1, flags = RW, pgoff = 0, object }: Put): Vma {
  const file = object === undefined ? null : mm.kernel.openFile(object, { readable: true, writable: true });
  const vma = new Vma(mm.kernel.nextVmaId(), { start, end: start + nrPages * PAGE_SIZE, flags, pgoff, file });
  linkVma(mm, vma, 'initial');
  return vma;
}
const empty = (): Mm => new Mm(new Kernel());

describe('a line of maps', () => {
  it('of anonymous memory ends in one blank and shows no offset', () => {
    const mm = empty();
    const vma = put(mm, { start: 0x7fff_f7ff_e000, pgoff: 77 });
    expect(mapsLine(mm, vma)).toBe('7ffff7ffe000-7ffff7fff000 rw-p 00000000 00:00 0 ');
  });
  it('of a file pads its name to column 73 and shows the offset in bytes', () => {
    const mm = empty();
    const object = mm.kernel.newFileObject({
      path: '/usr/bin/sqlite3',
      kind: 'regular',
      dev: 'fe:00',
      inode: 260885,
    });
    const vma = put(mm, { start: 0x55b7_362c_7000, nrPages: 46, flags: VM_READ, pgoff: 8, object });
    expect(mapsLine(mm, vma)).toBe(
      '55b7362c7000-55b7362f5000 r--p 00008000 fe:00 260885                     /usr/bin/sqlite3',
    );
  });
  //   a head of 71 to 74 characters, its own blank included
  it.each([
    [123456789012, '123456789012   /x'],
    [1234567890123, '1234567890123  /x'],
    [12345678901234, '12345678901234  /x'],
    [123456789012345, '123456789012345  /x'],
  ])('with a long head and inode %d has two blanks before the name at least', (inode, tail) => {
    const mm = empty();
    const object = mm.kernel.newFileObject({ path: '/x', kind: 'regular', dev: 'ffff:ffff', inode });
    const vma = put(mm, { start: 0x7fff_f7ff_e000, pgoff: 2 ** 50, object });
    expect(mapsLine(mm, vma)).toBe(`7ffff7ffe000-7ffff7fff000 rw-p 4000000000000000 ffff:ffff ${tail}`);
  });
  it('of an object that nobody told us about has inode 0', () => {
    const mm = empty();
    const vma = put(mm, { start: 0x1000, object: mm.kernel.newFileObject({ path: '/x', kind: 'regular' }) });
    expect(mapsLine(mm, vma)).toContain('00001000-00002000 rw-p 00000000 00:00 0 ');
  });
  it('is one of all of them, in order', () => {
    const mm = empty();
    put(mm, { start: 0x3000 });
    put(mm, { start: 0x1000, flags: VM_READ | VM_MAYSHARE | VM_SHARED });
    expect(mapsText(mm)).toBe(
      '00001000-00002000 r--s 00000000 00:00 0 \n00003000-00004000 rw-p 00000000 00:00 0 \n',
    );
  });
});

describe('the name', () => {
  it('is [heap] for all that lies between start_brk and brk, even in part', () => {
    const mm = empty();
    mm.startBrk = 0x1_1800;
    mm.brk = 0x1_3800;
    const names = [0x1_0000, 0x1_1000, 0x1_2000, 0x1_3000, 0x1_4000].map((start) =>
      vmaDisplayName(mm, put(mm, { start })),
    );
    expect(names).toEqual(['', '[heap]', '[heap]', '[heap]', '']);
  });
  it('is [stack] where start_stack is', () => {
    const mm = empty();
    const below = put(mm, { start: 0x1_0000 });
    const stack = put(mm, { start: 0x2_0000, nrPages: 4 });
    expect(vmaDisplayName(mm, stack)).toBe('');
    mm.startStack = 0x2_3f00;
    expect([vmaDisplayName(mm, stack), vmaDisplayName(mm, below)]).toEqual(['[stack]', '']);
  });
  it('of a file escapes newlines, and gives way to a given name only for shared anonymous memory', () => {
    const mm = empty();
    const vma = put(mm, {
      start: 0x1000,
      object: mm.kernel.newFileObject({ path: '/a\nb (deleted)', kind: 'regular' }),
    });
    expect(vmaDisplayName(mm, vma)).toBe('/a\\012b (deleted)');
    vma.name = 'pool';
    expect(vmaDisplayName(mm, vma)).toBe('[anon_shmem:pool]');
  });
  it('given to anonymous memory comes last', () => {
    const mm = empty();
    const vma = put(mm, { start: 0x1000 });
    vma.name = 'gc';
    expect(vmaDisplayName(mm, vma)).toBe('[anon:gc]');
    vma.special = '[vdso]';
    expect(vmaDisplayName(mm, vma)).toBe('[vdso]');
  });
});

describe('a row', () => {
  it('shows what maps does not: flags, anon_vma, chain, lock', () => {
    const mm = empty();
    const vma = put(mm, { start: 0x1000, flags: RW | VM_LOCKED, pgoff: 5 });
    expect(vmaRows(mm)[0]).toMatchObject({
      pgoff: 5,
      perms: 'rw-p',
      flagCodes: 'rd wr mr mw me lo',
      anonymous: true,
      anonVma: null,
      chain: 0,
      locked: true,
    });
    prepareAnonVma(mm.kernel, vma);
    expect(vmaRows(mm)[0]?.anonVma).toMatchObject({ children: 1, vmas: 1, shared: false });
    const child = forkMm(mm) as Mm;
    expect(vmaRows(mm)[0]?.anonVma).toMatchObject({ children: 2, vmas: 1, shared: true });
    const [row] = vmaRows(child);
    expect([row?.chain, row?.locked, row?.anonVma?.root]).toEqual([2, false, vmaRows(mm)[0]?.anonVma?.id]);
  });
});
