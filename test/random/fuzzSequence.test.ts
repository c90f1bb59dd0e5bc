/** Random sequences of every mode: what decides them, what they draw, that their lines are those of an ops file. */
import { describe, expect, it } from 'vitest';
import { FUZZ_MODES, fuzzSequence, isHeader, modeOf } from '../../src/fuzz/index.ts';
import { MODE_TABLES } from '../../src/fuzz/modes.ts';
import { DRAWS } from '../../src/fuzz/sequence.ts';

const NAMES = FUZZ_MODES.map(({ name }) => name);
const TABLES = Object.entries(MODE_TABLES);
const LO = 0x2000_0000_0000;
const draw = (mode: (typeof NAMES)[number], seed: number, ops = 200): readonly string[] =>
  fuzzSequence({ mode, seed, ops, every: 25 });

const ADDR = '(0x[0-9a-f]+|NULL|placed)';
const LEN = '(\\d+|0x[0-9a-f]+)';
const FLAGS = '([A-Z][A-Z0-9_]+|0x[0-9a-f]+|\\d+)(\\|([A-Z0-9_]+|0x[0-9a-f]+))*';
const FD = '(-1|m0ro|[mf][0-3])';
const WHO = '(self|child \\d+)';
const range = (name: string, rest = ''): string => `${name}\\(${ADDR}, ${LEN}${rest}\\)`;
/** Every call with its arguments, as docs/ops-files.md has them. */
const CALLS = [
  range('mmap', `, ${FLAGS}, ${FLAGS}, ${FD}, \\d+`),
  range('(munmap|mlock|munlock|mincore|touch_read|touch_write)'),
  range('(mprotect|madvise|mlock2|msync|mseal)', `, ${FLAGS}`),
  range('mremap', `, ${LEN}, ${FLAGS}(, ${ADDR})?`),
  `mlockall\\(${FLAGS}\\)`,
  '(munlockall|nop)\\(\\)',
  `process_vm_(read|write)v\\(${WHO}, ${ADDR}, ${LEN}\\)`,
  `process_madvise\\(${WHO}, ${ADDR}, ${LEN}, ${FLAGS}\\)`,
  `prctl\\(PR_SET_VMA, PR_SET_VMA_ANON_NAME, ${ADDR}, ${LEN}, ("[ab]"|NULL)\\)`,
  `prctl\\(PR_SET_(MDWE|MEMORY_MERGE), ${FLAGS}, 0, 0, 0\\)`,
  `prctl\\(PR_SET_THP_DISABLE, [01], ${FLAGS}, 0, 0\\)`,
  `memfd_create\\(m[0-3], ${FLAGS}\\)`,
  'open\\(f[0-3], \\d+\\)',
  'ftruncate\\([mf][0-3], \\d+\\)',
  `fallocate\\([mf][0-3], ${FLAGS}, \\d+, \\d+\\)`,
  'file_write\\([mf][0-3], \\d+, \\d+\\)',
  `add_seals\\([mf][0-3], ${FLAGS}\\)`,
  'shmget\\(s[0-3], \\d+\\)',
  `shmat\\(s[0-3], ${ADDR}, ${FLAGS}\\)`,
  `shmdt\\(${ADDR}\\)`,
  'setrlimit\\(RLIMIT_(AS|DATA|MEMLOCK|STACK), (now\\+)?\\d+\\)',
  'setuid\\(\\d+\\)',
  'fill\\(\\d+\\)',
  'overcommit\\([012]\\)',
  'memory\\.reclaim\\(\\d+\\)',
  'fork\\(\\)( = child \\d+)?',
  'child_exit\\(\\d+\\)',
];
/** What the sequences with userfaultfd have besides. A structure is `{field=…, …}` or NULL. */
const STRUCT = '(NULL|\\{[a-z_]+=[^,{}]+(, [a-z_]+=[^,{}]+)*\\})';
const UFFD_CALLS = [
  `userfaultfd\\(${FLAGS}\\)`,
  'close\\(u\\d+\\)',
  'uffd_read\\(u\\d+, \\d+\\)',
  `ioctl\\(u\\d+, UFFDIO_[A-Z]+, ${STRUCT}\\)`,
  `ioctl\\(pagemap ${WHO}, PAGEMAP_SCAN, ${STRUCT}\\)`,
  `child_touch_(read|write)\\(\\d+, ${ADDR}, ${LEN}\\)`,
  range('(process_vm_readv|process_vm_writev)'),
];
/** Draws that are named after their ioctl. */
const IOCTLS = new Set(
  'copy zeropage continue poison writeprotect move wake register unregister api'.split(' '),
);
const LINE = new RegExp(`^\\d+ (@\\d+ )?(${[...CALLS, ...UFFD_CALLS].join('|')})$`);

describe('a random sequence', () => {
  it('is decided by mode, seed and number of operations', () => {
    for (const mode of NAMES) {
      expect(draw(mode, 7)).toEqual(draw(mode, 7));
      expect(draw(mode, 7)).not.toEqual(draw(mode, 8));
      expect(draw(mode, 7, 300).slice(2, 200)).toEqual(draw(mode, 7).slice(2, 200));
    }
    expect(draw('vma', 7)).not.toEqual(draw('fault', 7));
  });

  it('of all modes is one of them', () => {
    const drawn = new Set<string>();
    for (let seed = 1; seed < 60; seed++) {
      const mode = modeOf('all', seed);
      drawn.add(mode);
      expect(draw('all', seed, 20)).toEqual(draw(mode, seed, 20));
    }
    // Those that came later are not among them.
    const later = ['pressure', 'ptreclaim'];
    expect([...drawn, ...later].sort()).toEqual(TABLES.map(([name]) => name).sort());
  });

  it('has as many operations and snapshots as asked for', () => {
    for (const mode of NAMES) {
      const lines = fuzzSequence({ mode, seed: 3, ops: 60, every: 20 });
      expect(isHeader(lines[0] ?? '')).toBe(true);
      const wanted = ['snapshot 0', 'snapshot 20', 'snapshot 40', 'snapshot 60'];
      expect(lines.filter((line) => line.startsWith('snapshot'))).toEqual(wanted);
      expect(lines.at(-2)?.split(' ')[0]).toBe('60');
    }
  });

  it.each(TABLES)('has lines of the format, in its window: %s', (name) => {
    for (let seed = 1; seed <= 30; seed++) {
      const [first = '', ...lines] = draw(name as keyof typeof MODE_TABLES, seed, 150);
      const end = Number(/-(0x[0-9a-f]+) mode [0-3]( swap \d+| profile [0-7] memfd \d+)?$/.exec(first)?.[1]);
      expect([96, 2048]).toContain((end - LO) / 4096);
      for (const line of lines) {
        if (line.startsWith('snapshot ')) continue;
        expect(line).toMatch(LINE);
        const at = Number(/(0x2[0-9a-f]{11})\b/.exec(line)?.[1] ?? LO);
        expect(at, line).toBeGreaterThanOrEqual(LO);
        expect(at, line).toBeLessThanOrEqual(end);
      }
    }
  });

  it.each(TABLES)('draws every call, advice and kind of mapping of its tables: %s', (name, table) => {
    const text = Array.from({ length: 250 }, (_, seed) =>
      draw(name as keyof typeof MODE_TABLES, seed).join('\n'),
    ).join('\n');
    const spoken: Record<string, string> = {
      name: 'PR_SET_VMA',
      mdwe: 'PR_SET_MDWE',
      memoryMerge: 'PR_SET_MEMORY_MERGE',
      thpDisable: 'PR_SET_THP_DISABLE',
      limitSpace: 'setrlimit(RLIMIT_AS',
      limitLocked: 'setrlimit(RLIMIT_MEMLOCK',
      limitStack: 'setrlimit(RLIMIT_STACK',
      enormous: 'mmap(NULL, 8796093022208',
      moveScene: 'UFFDIO_MOVE, {',
      memoryReclaim: 'memory.reclaim(',
      tableScene: ', 1048576)',
      scan: 'PAGEMAP_SCAN, {',
      child_touch: 'child_touch_write(',
      punch: 'fallocate(m0, FALLOC_FL_PUNCH_HOLE',
      stateScene: 'MAP_PRIVATE|MAP_FIXED, m0, ',
      uffd_vm_readv: 'process_vm_readv(',
      uffd_vm_writev: 'process_vm_writev(',
    };
    const spokenAs = (call: string): string => {
      const bare = call.replace(/^uffd_(?!read)/, '');
      if (call in spoken) return spoken[call] as string;
      return IOCTLS.has(call) ? `UFFDIO_${call.toUpperCase()}, {` : `${bare}(`;
    };
    const missing = (words: readonly string[]): string[] => words.filter((word) => !text.includes(word));
    expect(missing(Object.keys(table.calls).map(spokenAs))).toEqual([]);
    // Its calls bring advice, mappings and flags of their own (drawUffd*.ts).
    if (name === 'uffd') return;
    expect(missing(Object.keys(table.advice).map((advice) => `, ${advice})`))).toEqual([]);
    expect(missing(Object.keys(table.maps).map((kind) => kind.replace(/^[mf] /, '')))).toEqual([]);
    expect(missing(Object.keys(table.remaps).map((flags) => `, ${flags}`))).toEqual([]);
  });

  it('locks nothing in a sequence with requests that no machine can keep', () => {
    for (let seed = 1; seed <= 100; seed++) {
      const text = draw('limits', seed).join('\n');
      if (/\b8796093022208\b|\b13194139533312\b/.test(text)) expect(text).not.toMatch(/mlock|MAP_LOCKED/);
    }
  });

  it('draws nothing without a row, and has rows for all that comes only sometimes', () => {
    for (const [, { calls, advice, maps, sometimes }] of TABLES) {
      expect(Object.keys(calls).filter((name) => !(name in DRAWS))).toEqual([]);
      for (const name of Object.keys(sometimes))
        expect(name in DRAWS || name in advice || name in maps || /^M/.test(name), name).toBe(true);
    }
  });

  it('names children in the order of their forks, and none that is gone', () => {
    let most = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const living = new Set<number>();
      let forked = 0;
      for (const line of draw('fork', seed, 300)) {
        const who = /^\d+ @(\d+) /.exec(line)?.[1];
        if (who !== undefined) expect(living.has(Number(who)), line).toBe(true);
        const child = /fork\(\) = child (\d+)$/.exec(line)?.[1];
        const gone = /child_exit\((\d+)\)/.exec(line)?.[1];
        if (child !== undefined) {
          expect(Number(child)).toBe(forked++);
          living.add(Number(child));
        }
        if (gone !== undefined) expect(living.delete(Number(gone)), line).toBe(true);
        most = Math.max(most, living.size);
      }
      expect(forked).toBeGreaterThan(10);
    }
    expect(most).toBe(4);
  });

  it('goes to borders: of mappings, of 2 MiB, beside them', () => {
    let [aligned, beside, all] = [0, 0, 0];
    for (let seed = 1; seed <= 20; seed++)
      for (const line of draw('thp', seed)) {
        const page = (Number(/(0x2[0-9a-f]{11}), \d+/.exec(line)?.[1] ?? Number.NaN) - LO) / 4096;
        if (!Number.isInteger(page)) continue;
        all++;
        if (page % 512 === 0) aligned++;
        if (page % 512 === 1 || page % 512 === 511) beside++;
      }
    expect(aligned / all).toBeGreaterThan(0.25);
    expect(beside / all).toBeGreaterThan(0.02);
  });
});
