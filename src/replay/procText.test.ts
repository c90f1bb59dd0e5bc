/**
 * The texts of /proc and of the recorder: what is read from good ones, what a bad one is told.
 */
import { describe, expect, it } from 'vitest';
import { RLIM_INFINITY, RLIMIT_MEMLOCK, RLIMIT_STACK } from '../abi/mman.ts';
import { UsageError } from '../base/assert.ts';
import { filesInMemory, type InputFiles } from './input.ts';
import { readLimits } from './limits.ts';
import { mapsLines } from './maps.ts';
import { readMeta } from './meta.ts';
import { pageRuns } from './pagemapRle.ts';
import { smapsEntries } from './smaps.ts';
import { readAuxv, readStat, readStatus, statusBytes } from './stat.ts';
import { vmaInternals } from './vmasEnd.ts';

const inputOf = (text: string): InputFiles => filesInMemory('dir', { f: text });

/** Runs `read` on a text and returns what the UsageError says: place, problem, what would be right. */
function complaint(read: (files: InputFiles, file: string) => unknown, text: string): string {
  try {
    const result = read(inputOf(text), 'f');
    if (typeof result === 'object' && result !== null && Symbol.iterator in result)
      [...(result as Iterable<unknown>)];
  } catch (error) {
    if (error instanceof UsageError)
      return `${error.place?.file}:${error.place?.line}:${error.place?.column}: ${error.message} | ${error.wanted}`;
    throw error;
  }
  return 'accepted';
}

const HEAD = '00400000-00401000 r--p 00000000 fe:00 12';
const SMAPS = `${HEAD} /x\nSize:                  4 kB\nRss:                   4 kB\nTHPeligible:           0\nVmFlags: rd mr mw me \n`;
const VMA =
  '00400000-00401000 flags=100073 pgoff=400 anon_vma=a1 root=a1 parent=a1 children=1 vmas=2 chain=1 file=-';
const STAT = `17 (a) b) R ${Array.from({ length: 49 }, (_, i) => i + 4).join(' ')}`;
const LIMITS = `Limit                     Soft Limit           Hard Limit           Units     
Max data size             unlimited            unlimited            bytes     
Max stack size            8388608              unlimited            bytes     
Max locked memory         8388608              8388608              bytes     
Max address space         unlimited            unlimited            bytes     `;

describe('maps', () => {
  it('reads every field and keeps the text', () => {
    const text = '7ffe8464f000-7ffe84670000 rw-p 001ea000 fe:00 2170964                    /a b (deleted)';
    expect([...mapsLines(inputOf(text), 'f')]).toEqual([
      {
        start: 0x7ffe8464f000,
        end: 0x7ffe84670000,
        perms: 'rw-p',
        offset: 0x1ea000,
        dev: 'fe:00',
        inode: 2170964,
        name: '/a b (deleted)',
        text,
        line: 1,
      },
    ]);
  });

  it('gives plain anonymous memory an empty name and leaves out [vsyscall]', () => {
    const text =
      '00400000-00401000 rw-p 00000000 00:00 0 \nffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n';
    expect([...mapsLines(inputOf(text), 'f')].map((line) => line.name)).toEqual(['']);
  });
});

describe('smaps', () => {
  it('reads figures and flags of each vma', () => {
    const [entry, ...more] = [...smapsEntries(inputOf(SMAPS), 'f')];
    expect(more).toEqual([]);
    expect([...(entry?.figures ?? [])]).toEqual([
      ['Size', 4],
      ['Rss', 4],
      ['THPeligible', 0],
    ]);
    expect(entry?.vmFlags).toEqual(['rd', 'mr', 'mw', 'me']);
    expect(entry?.vmFlagsLine).toBe(5);
  });
});

describe('the other texts', () => {
  it('reads a line of vmas.end', () => {
    expect([...vmaInternals(inputOf(VMA), 'f')]).toEqual([
      {
        start: 0x400000,
        end: 0x401000,
        flags: 0x100073,
        pgoff: 0x400,
        anonVma: 'a1',
        root: 'a1',
        parent: 'a1',
        children: 1,
        vmas: 2,
        chain: 1,
        file: null,
        line: 1,
      },
    ]);
  });

  it('reads runs of pages', () => {
    expect([...pageRuns(inputOf('1000-3000 P--X\n4000-5000 -S--W\n'), 'f')]).toEqual([
      {
        start: 0x1000,
        end: 0x3000,
        present: true,
        swap: false,
        file: false,
        exclusive: true,
        uffdWp: false,
        line: 1,
      },
      {
        start: 0x4000,
        end: 0x5000,
        present: false,
        swap: true,
        file: false,
        exclusive: false,
        uffdWp: true,
        line: 2,
      },
    ]);
  });

  it('counts the fields of stat after the last parenthesis of the name', () => {
    expect(readStat(inputOf(STAT), 'f')).toMatchObject({
      pid: 17,
      comm: 'a) b',
      minflt: 10,
      startStack: 28,
      startBrk: 47,
      envEnd: 51,
    });
  });

  it('reads status, auxv and limits', () => {
    const status = readStatus(inputOf('Name:\tx\nVmPTE:\t     188 kB\n'), 'f');
    expect([statusBytes(status, 'VmPTE'), statusBytes(status, 'Name'), statusBytes(status, 'VmX')]).toEqual([
      188 * 1024,
      null,
      null,
    ]);
    expect([...readAuxv(inputOf('33 0x7f4078a0e000\n6 0x1000\n'), 'f')]).toEqual([
      [33, 0x7f4078a0e000],
      [6, 4096],
    ]);
    const limits = readLimits(inputOf(LIMITS), 'f');
    expect(limits.get(RLIMIT_STACK)).toEqual({ soft: 8388608, hard: RLIM_INFINITY });
    expect(limits.get(RLIMIT_MEMLOCK)).toEqual({ soft: 8388608, hard: 8388608 });
  });

  it('reads meta.json and takes what is missing as neutral', () => {
    const meta = readMeta(
      inputOf(
        '{"format": 1, "pid": 7, "sysctl": {"max_map_count": 65530}, "thp": {"enabled": "always [madvise] never"}}',
      ),
      'f',
    );
    expect(meta).toMatchObject({
      pid: 7,
      aslr: true,
      quiescent: true,
      argv: [],
      thpEnabled: 'madvise',
      shmemEnabled: null,
    });
    expect(meta.sysctl.get('max_map_count')).toBe(65530);
  });
});

describe('a bad text is told where and what would be right', () => {
  const rows: readonly (readonly [
    name: string,
    read: (files: InputFiles, file: string) => unknown,
    text: string,
    says: string,
  ])[] = [
    ['no address', mapsLines, 'hello', 'dir/f:1:1: found "hello" | the start address in hex'],
    [
      'no dash',
      mapsLines,
      '00400000 00401000 r--p',
      'dir/f:1:9: found " 00401000 r--p" | "-" between start and end',
    ],
    [
      'empty range',
      mapsLines,
      '00401000-00401000 r--p 0 0:0 0',
      'dir/f:1:1: the end 401000 is not above the start | START-END with START below END',
    ],
    [
      'permissions',
      mapsLines,
      '00400000-00401000 rw-q 00000000 00:00 0 ',
      'dir/f:1:19: "rw-q" are not permissions | four letters such as rw-p or r-xs',
    ],
    [
      'line cut off',
      mapsLines,
      '00400000-00401000 rw-p 000',
      'dir/f:1:27: the line ends here | a blank and the device',
    ],
    [
      'device',
      mapsLines,
      '00400000-00401000 rw-p 00000000 xx 0',
      'dir/f:1:33: "xx" is no device | MAJOR:MINOR in hex, such as fe:00',
    ],
    [
      'falling order',
      mapsLines,
      `${HEAD}\n${HEAD}`,
      'dir/f:2:1: this range starts below the end of the one before | ranges in rising order',
    ],
    [
      'figure before a vma',
      smapsEntries,
      'Size: 4 kB',
      'dir/f:1:1: found "Size: 4 kB" | a line START-END PERMS OFFSET DEV INODE NAME',
    ],
    [
      'flag code',
      smapsEntries,
      SMAPS.replace('mr', 'mrx'),
      'dir/f:5:13: "mrx" is no flag code | codes of two letters',
    ],
    [
      'figure',
      smapsEntries,
      SMAPS.replace('Rss:                   4', 'Rss: x'),
      'dir/f:3:6: found "x kB" | a number after "Rss:"',
    ],
    [
      'no flags',
      smapsEntries,
      HEAD,
      'dir/f:1:1: the block of 00400000-00401000 has no VmFlags line | a VmFlags line before the next vma',
    ],
    [
      'object',
      vmaInternals,
      VMA.replace('root=a1', 'root=x'),
      'dir/f:1:59: "x" is no object | a letter and a number (a5, f1), or "-"',
    ],
    ['missing key', vmaInternals, VMA.replace(' chain=1', ''), 'dir/f:1:89: found " file=-" | " chain="'],
    [
      'page flags',
      pageRuns,
      '1000-2000 PSX',
      'dir/f:1:11: "PSX" are no page flags | P S F X or - in four columns, then W or nothing',
    ],
    [
      'unaligned',
      pageRuns,
      '1000-2001 P--X',
      'dir/f:1:1: this is no range of pages | page-aligned START below END',
    ],
    ['short stat', readStat, '17 (x) R 1 2', 'dir/f:1:13: the line ends too early | at least 51 fields'],
    [
      'limits',
      readLimits,
      LIMITS.replace('8388608              8388608', 'many                 8388608'),
      'dir/f:4:27: found "many                 838" | a number or "unlimited"',
    ],
    ['no JSON', readMeta, '{"pid": 1,,}', 'dir/f:1:11: this is not JSON | a JSON object'],
    ['no pid', readMeta, '{}', 'dir/f:1:1: there is no "pid" | "pid": a number'],
    [
      'other format',
      readMeta,
      '{"format": 2, "pid": 1}',
      'dir/f:1:1: "format" is 2 | a recording of format 1',
    ],
  ];
  for (const [name, read, text, says] of rows) it(name, () => expect(complaint(read, text)).toBe(says));
});
