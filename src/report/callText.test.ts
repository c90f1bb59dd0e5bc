import { describe, expect, it } from 'vitest';
import type { Op } from '../machine/index.ts';
import { callText, type VisibleVma, visibleNeighbours } from './index.ts';

describe('an operation as strace would write it', () => {
  const table: readonly (readonly [Op, string])[] = [
    [
      { call: 'mmap', addr: 0, len: 8192, prot: 3, flags: 0x22, fd: -1, offset: 0 },
      'mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0)',
    ],
    [
      { call: 'mmap', addr: 0x7f00_0000_0000, len: 4096, prot: 0, flags: 0x4000032, fd: 3, offset: 4096 },
      'mmap(0x7f0000000000, 4096, PROT_NONE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS|0x4000000, 3, 4096)',
    ],
    [
      { call: 'mremap', addr: 0x1000, oldLen: 4096, newLen: 8192, flags: 1, newAddr: 0 },
      'mremap(0x1000, 4096, 8192, MREMAP_MAYMOVE)',
    ],
    [
      { call: 'mremap', addr: 0x1000, oldLen: 4096, newLen: 4096, flags: 11, newAddr: 0x5000 },
      'mremap(0x1000, 4096, 4096, MREMAP_MAYMOVE|MREMAP_FIXED|MREMAP_RELOCATE_ANON, 0x5000)',
    ],
    [{ call: 'mprotect', addr: 0x1000, len: 4096, prot: 1 }, 'mprotect(0x1000, 4096, PROT_READ)'],
    [{ call: 'madvise', addr: 0x1000, len: 4096, advice: 4 }, 'madvise(0x1000, 4096, MADV_DONTNEED)'],
    [
      { call: 'vrange', addr: 0x1000, len: 4096, mode: 'novolatile', behavior: 'partial' },
      'vrange(0x1000, 4096, VRANGE_NOVOLATILE, VRANGE_PARTIAL)',
    ],
    [{ call: 'munmap', addr: 0x1000, len: 4096 }, 'munmap(0x1000, 4096)'],
    [{ call: 'brk', addr: 0 }, 'brk(NULL)'],
    [{ call: 'touch', addr: 0x1018, len: 1, access: 'write', by: 'user' }, 'write at 0x1018'],
    [
      { call: 'touch', addr: 0x1000, len: 8192, access: 'read', by: 'kernel' },
      'kernel read at 0x1000, 2 pages',
    ],
    [{ call: 'set_vma_name', addr: 0x1000, len: 4096, name: 'x' }, 'set_vma_name(0x1000, 4096, "x")'],
  ];
  it.each(table)('%o', (op, text) => expect(callText(op)).toBe(text));
});

describe('what /proc shows of neighbours', () => {
  const vma = (page: number, said: Partial<VisibleVma> = {}): VisibleVma => ({
    start: 0x1000_0000 + page * 4096,
    end: 0x1000_1000 + page * 4096,
    perms: 'rw-p',
    offset: 0,
    dev: '00:00',
    inode: 0,
    name: '',
    vmFlags: null,
    ...said,
  });
  const file = { dev: 'fe:00', inode: 7, name: '/x' };
  const codes = (text: string): Partial<VisibleVma> => ({ vmFlags: text.split(' ') });
  const table: readonly (readonly [Partial<VisibleVma>, Partial<VisibleVma>, string, boolean])[] = [
    [{}, {}, '', true],
    [{ name: '[heap]' }, {}, '', true],
    [{ name: '[anon:a]' }, {}, 'name', false],
    [{ perms: 'r--p' }, {}, 'permissions', false],
    [codes('rd wr ac'), codes('rd wr nr'), 'flags', false],
    [codes('rd wr ac gu'), codes('rd wr ac'), '', true],
    [{ name: '[vdso]' }, {}, 'special', false],
    [file, {}, 'file', false],
    [file, { ...file, inode: 8 }, 'file', false],
    [file, { ...file, offset: 4096 }, '', false],
    [file, { ...file, offset: 8192 }, 'offset', false],
    [{ perms: 'rw-s' }, { perms: 'rw-s' }, '', false],
  ];
  it.each(table)('%j beside %j: %s', (below, above, blockers, isHidden) => {
    const [pair] = visibleNeighbours([vma(0, below), vma(1, above)]);
    expect(pair?.blockers.join(' ')).toBe(blockers);
    expect(pair?.isHidden).toBe(isHidden);
  });
  it('is asked of pairs that touch only', () => {
    expect(visibleNeighbours([vma(0), vma(2)])).toEqual([]);
  });
});
