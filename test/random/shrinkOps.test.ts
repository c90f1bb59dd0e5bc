/** How a sequence in which kernel and model differ is made short; the kernel here is a function. */
import { describe, expect, it } from 'vitest';
import {
  checkLog,
  fuzzSequence,
  logsIn,
  playLog,
  type RunOps,
  shrinkOps,
  specRow,
} from '../../src/fuzz/index.ts';

const LO = 0x2000_0000_0000;
const at = (page: number): string => `0x${(LO + page * 4096).toString(16)}`;
const header = (ops: number): string =>
  `# opfuzz format 1 seed 1 ops ${ops} window ${at(0)}-${at(96)} mode 0`;
const FIXED = 'PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0';

/** A kernel that says nothing but what `answer` gives for a line: it is told all lines of a sequence in order. */
const kernel =
  (answers: () => (line: string) => string): RunOps =>
  (sequences) =>
    sequences.map((lines) => {
      const answer = answers();
      return lines
        .filter((line) => !line.startsWith('snapshot'))
        .map((line) => line + answer(line))
        .join('\n');
    });

/** After an mlock of page 40, mprotect is refused. */
const wrongAfterLock = kernel(() => {
  let locked = false;
  return (line) => {
    locked ||= line.includes(`mlock(${at(40)}`);
    return locked && line.includes('mprotect(') ? ' = -1 EPERM (Operation not permitted)' : '';
  };
});

const LINES = [
  header(9),
  `1 mmap(${at(0)}, 393216, ${FIXED})`,
  `2 mprotect(${at(3)}, 8192, PROT_NONE)`,
  'snapshot 2',
  `3 mlock(${at(40)}, 16384)`,
  `4 munmap(${at(80)}, 4096)`,
  `5 mmap(${at(90)}, 8192, ${FIXED})`,
  `5 madvise(${at(90)}, 8192, MADV_HUGEPAGE)`,
  `6 mprotect(${at(10)}, 40960, PROT_READ|PROT_WRITE)`,
  `7 munlock(${at(3)}, 8192)`,
  'snapshot 7',
];

describe('a difference', () => {
  it('is found in a log, with how much was compared', () => {
    const [log = ''] = wrongAfterLock([LINES]);
    expect(checkLog(log)).toMatchObject({ kernel: '-1 EPERM', ours: '0' });
    expect(checkLog(LINES.slice(0, 2).join('\n'))).toBeNull();
    expect(checkLog(`${header(9)}\ndied with status 0x9`)).toMatchObject({ kernel: 'died with status 0x9' });
    expect(playLog(`${header(9)}\n1 munmap(${at(0)}, 4096) = 0 <flt 0>`).compared).toMatchObject({
      results: 1,
      counts: 1,
    });
  });

  it('is told with every outcome and event of the model', () => {
    const calls: string[] = [];
    const events = new Set<string>();
    playLog([header(2), ...LINES.slice(1, 3)].join('\n'), {
      outcomes: (op) => calls.push(op.call),
      events: ({ kind }) => events.add(kind),
    });
    expect(calls).toEqual(['mmap', 'mprotect']);
    expect(events).toContain('vmaSplit');
  });

  it('keeps only the operations it takes, small ranges, few flags, low addresses and no snapshot', () => {
    expect(shrinkOps(LINES, wrongAfterLock)?.lines).toEqual([
      header(2),
      `1 mlock(${at(40)}, 4096)`,
      `2 mprotect(${at(0)}, 4096, PROT_WRITE)`,
    ]);
  });

  it('keeps what it takes for answers that can be read', () => {
    // Without the munmap the kernel answers with what no file of operations has.
    const odd = kernel(() => {
      let isCut = false;
      return (line) => {
        isCut ||= line.includes('munmap(');
        if (!line.includes('mprotect(')) return '';
        return isCut ? ' = -1 EPERM (Operation not permitted)' : ' = blocked on what nobody knows';
      };
    });
    const asked = LINES.filter((line) => !line.startsWith('2 '));
    const lines = shrinkOps(asked, odd)?.lines ?? [];
    expect(lines.map((line) => line.replace(/^\d+ (\w+).*/, '$1')).slice(1)).toEqual(['munmap', 'mprotect']);
  });

  it('loses its children, or names the one it needs child 0', () => {
    const lines = [
      header(6),
      '1 fork() = child 0',
      '2 fork() = child 1',
      '3 @1 fork() = child 2',
      '4 child_exit(0)',
      `5 @1 mmap(${at(7)}, 4096, ${FIXED})`,
      `6 mmap(${at(9)}, 4096, ${FIXED})`,
    ];
    /** Every call that matches is wrong if its process lives. */
    const without = (wrong: RegExp): readonly string[] | undefined =>
      shrinkOps(lines, (sequences) => sequences.map((each) => each.join('\n')), {
        check(log) {
          const living = new Set(['']);
          for (const [i, line] of log.split('\n').entries()) {
            const who = /^\d+ (?:@(\d+) )?/.exec(line)?.[1] ?? '';
            const child = /fork\(\) = child (\d+)/.exec(line)?.[1];
            if (child !== undefined && living.has(who)) living.add(child);
            if (wrong.test(line) && living.has(who))
              return { what: `line ${i + 1}: mmap`, kernel: '', ours: '' };
          }
          return null;
        },
      })?.lines;
    expect(without(/mmap\(/)).toEqual([
      header(1),
      `1 mmap(${at(0)}, 4096, PROT_WRITE, MAP_ANONYMOUS, -1, 0)`,
    ]);
    expect(without(/ @\d+ mmap\(/)).toEqual([
      header(2),
      '1 fork() = child 0',
      `2 @0 mmap(${at(0)}, 4096, PROT_WRITE, MAP_ANONYMOUS, -1, 0)`,
    ]);
  });

  it('is cut out of a long random sequence within its budget', () => {
    const drawn = Array.from({ length: 50 }, (_, seed) =>
      fuzzSequence({ mode: 'vma', seed, ops: 200, every: 25 }).filter(
        (line) => !/touch|@|placed|process_/.test(line),
      ),
    );
    const lines = drawn.find((each) => /PR_SET_VMA.*munmap/s.test(each.join('\n'))) ?? [];
    let asked = 0;
    const wrong = kernel(() => {
      let named = false;
      return (line) => {
        named ||= line.includes('PR_SET_VMA');
        return named && line.includes('munmap(0x') ? ' = -1 EAGAIN (Try again)' : '';
      };
    });
    const shrunk = shrinkOps(lines, (sequences) => {
      for (const each of sequences) asked += each.length;
      return wrong(sequences);
    });
    expect(shrunk?.lines).toHaveLength(3);
    expect(asked).toBeLessThan(60_000);
  });

  it('that does not come again is none', () => {
    const none: RunOps = (sequences) => sequences.map(() => header(0));
    expect(shrinkOps(LINES, none)).toBeNull();
  });

  it('leaves a row with both answers and how to see it again', () => {
    const shrunk = shrinkOps(LINES, wrongAfterLock);
    if (shrunk === null) throw new Error('no difference');
    const row = specRow(shrunk, { mode: 'vma', seed: 3, ops: 200, every: 25 });
    expect(row).toContain('#   kernel  -1 EPERM\n#   ours    -1 ENOMEM (hole)\n');
    expect(row).toContain('npx faultline fuzz --mode vma --seed 3 --ops 200 --every 25\n# opfuzz format 1');
    expect(logsIn(`# a file of rows\n${row}${row}`)).toEqual([shrunk.log, shrunk.log]);
  });
});
