/**
 * Damaged input: whatever is done to a file, the answer is items or a UsageError that names a line, never another error.
 *
 * Strategy    take a good file, change, drop, double or cut a few characters at random (seeded), read it
 * Invariants  no exception but UsageError (and Unmodelled, for calls that are refused by name); its place lies in the file
 * Not reached damage that needs two files to agree
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Unmodelled, UsageError } from '../base/assert.ts';
import { Prng } from '../base/prng.ts';
import { bpftraceItems } from './bpftrace.ts';
import { filesInMemory, type InputFiles } from './input.ts';
import type { ReplayItem } from './item.ts';
import { opsItems } from './ops.ts';
import { recordingItems } from './recording.ts';
import { mapsItems, perfItems } from './singleFiles.ts';
import { straceItems } from './strace.ts';

const TINY = fileURLToPath(new URL('../../test/fixtures/replay/tiny/', import.meta.url));
const PAGE = readFileSync(fileURLToPath(new URL('../../docs/bpftrace-format.md', import.meta.url)), 'utf8');
const tiny: Readonly<Record<string, string>> = Object.fromEntries(
  readdirSync(TINY).map((name) => [name, readFileSync(TINY + name, 'utf8')]),
);
const OPS = `# opfuzz format 1 seed 1 ops 200 window 0x200000000000-0x200000800000 mode 1
0 mmap(0x200000000000, 8388608, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = 0x200000000000 <flt 0>
snapshot 0
self pgtables_kb=116
vma 200000000000-200000800000 rw-s 00000000 /dev/zero (deleted) Rss=4 flags=rd wr mr mw me ac
pg 200000025000-2000000fa000 P------- v=1
end
1 touch_write(0x200000025000, 872448) = -1 SIGSEGV {si_code=SEGV_ACCERR, si_addr=0x200000600000} <flt 213>
19 fork() = child 0
`;
const CALLS = `execve("/x", ["x"], 0x7f /* 3 vars */) = 0
[pid    17] mmap(NULL, 4096, PROT_READ, MAP_SHARED, 4</memfd:a b)\\74c\\76,\\"d>(deleted), 0) = 0x7f0000001000 <0.000010>
[pid    17] ioctl(6, UFFDIO_REGISTER, {range={start=0x7f0000001000, len=0x2000}, mode=UFFDIO_REGISTER_MODE_MISSING}) = 0
[pid    17] process_madvise(3, [{iov_base=0x7f0000001000, iov_len=4096}], 1, MADV_COLD, 0) = 4096
[pid    17] clone3({flags=CLONE_VM|CLONE_THREAD, child_tid=0x7f00} => {parent_tid=[18]}, 88) = 18
[pid    18] mprotect(0x7f0000001000, 4096, PROT_READ <unfinished ...>
[pid    17] --- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_ACCERR, si_addr=0x7f58} ---
[pid    18] <... mprotect resumed>) = -1 ENOMEM (Cannot allocate memory)
[pid    17] +++ superseded by execve in pid 18 +++
`;

/** Damages a text in up to three places. */
function damage(text: string, random: Prng): string {
  let damaged = text;
  for (let times = random.below(3); times >= 0; times--) {
    const at = random.below(damaged.length);
    const length = random.below(4) === 0 ? random.below(60) : 1;
    const piece = random.pick([
      '',
      damaged.slice(at, at + length).repeat(2),
      '\0',
      '\n',
      '<',
      '>',
      '"',
      '(',
      ')',
      '{',
      ']',
      '/*',
      '|',
      '0x',
      '-',
      ' ',
      '=',
      'ä',
      '99999999999999999999',
    ]);
    damaged = damaged.slice(0, at) + piece + damaged.slice(at + length);
  }
  return damaged;
}

/** Reads a file to its end; returns how that ended. */
function fate(read: () => Iterable<ReplayItem>): 'read' | 'refused' {
  try {
    for (const item of read()) if (item.kind === 'end') [...item.pages()];
    return 'read';
  } catch (error) {
    if (error instanceof Unmodelled) return 'refused';
    if (!(error instanceof UsageError)) throw error;
    expect(error.wanted).not.toBe('');
    expect(error.place === null || (error.place.line >= 0 && error.place.column >= 0)).toBe(true);
    return 'refused';
  }
}

describe('a damaged file is read or refused', () => {
  const NR = 400;
  const inputs: readonly (readonly [
    name: string,
    text: string,
    read: (files: InputFiles) => Iterable<ReplayItem>,
  ])[] = [
    ['strace', CALLS, straceItems],
    ['perf', tiny['faults.perf.txt'] ?? '', perfItems],
    ['maps', tiny['maps.start'] ?? '', mapsItems],
    ['smaps', tiny['smaps.start'] ?? '', (files) => mapsItems(files, '', true)],
    ['ops', OPS, opsItems],
    ['bpftrace', /```\n(# faultline-bpftrace 1[^`]*)```/.exec(PAGE)?.[1] ?? '', bpftraceItems],
  ];
  for (const [index, [name, text, read]] of inputs.entries()) {
    it(name, () => {
      const random = new Prng(index + 1);
      const fates = new Set<string>();
      for (let i = 0; i < NR; i++) {
        const damaged = damage(text, random);
        fates.add(fate(() => read(filesInMemory('x', { '': damaged }))));
      }
      expect(fates).toContain('refused');
    });
  }

  it('recording', () => {
    const random = new Prng(99);
    const names = Object.keys(tiny);
    const fates = new Set<string>();
    for (let i = 0; i < NR; i++) {
      const name = random.pick(names);
      const damaged = { ...tiny, [name]: damage(tiny[name] ?? '', random) };
      fates.add(fate(() => recordingItems(filesInMemory('x', damaged))));
    }
    expect([...fates].sort()).toEqual(['read', 'refused']);
  });
});
