/** Random sequences of operations, and how one in which kernel and model differ is made short; the kernel here is a function. */
import { describe, expect, it } from 'vitest';
import { checkLog, isHeader, logsIn } from '../../src/fuzz/opsCheck.ts';
import { type OpsMode, opsSequence } from '../../src/fuzz/opsSequence.ts';
import { type RunOps, shrinkOps } from '../../src/fuzz/opsShrink.ts';

const MODES: readonly OpsMode[] = [0, 1, 2];
const namesIn = (lines: readonly string[]): Set<string> =>
  new Set(lines.flatMap((line) => /^\d+ (\w+)\(/.exec(line)?.[1] ?? []));

describe('a random sequence', () => {
  it('is decided by seed and mode', () => {
    for (const mode of MODES) {
      expect(opsSequence({ seed: 7, mode })).toEqual(opsSequence({ seed: 7, mode }));
      expect(opsSequence({ seed: 7, mode })).not.toEqual(opsSequence({ seed: 8, mode }));
    }
  });
  it('has as many operations and snapshots as asked for', () => {
    for (const mode of MODES) {
      const lines = opsSequence({ seed: 3, mode, ops: 60, every: 20 });
      expect(isHeader(lines[0] ?? '')).toBe(true);
      expect(lines.filter((line) => line.startsWith('snapshot'))).toEqual([
        'snapshot 0',
        'snapshot 20',
        'snapshot 40',
        'snapshot 60',
      ]);
      expect(lines.at(-2)?.split(' ')[0]).toBe('60');
    }
  });
  it('draws every operation and stays in its window', () => {
    for (const mode of MODES) {
      const lines = opsSequence({ seed: 5, mode, ops: 3000 });
      expect([...namesIn(lines)].sort()).toEqual(
        (
          'child_exit child_touch_read child_touch_write fork madvise mlock mlock2 mmap mprotect mremap munlock munmap nop ' +
          'prctl touch_read touch_write'
        ).split(' '),
      );
      const end = 0x2000_0000_0000 + (mode === 0 ? 96 : 2048) * 4096;
      for (const line of lines) {
        const range = /(0x2[0-9a-f]{11}), (\d+)/.exec(line);
        if (range !== null && !isHeader(line))
          expect(Number(range[1]) + Number(range[2]), line).toBeLessThanOrEqual(end);
      }
    }
  });
  it('names children in the order of their forks, and none that is gone', () => {
    const living = new Set<number>();
    let forked = 0;
    for (const line of opsSequence({ seed: 2, mode: 0, ops: 2000, children: 3 })) {
      const [, call = '', child = ''] = /^\d+ (fork|child_\w+)\(\)?(?: = child )?(\d+)/.exec(line) ?? [];
      if (call === '') continue;
      if (call === 'fork') {
        expect(Number(child)).toBe(forked++);
        living.add(Number(child));
        expect(living.size).toBeLessThanOrEqual(3);
      } else expect(living.has(Number(child)), line).toBe(true);
      if (call === 'child_exit') living.delete(Number(child));
    }
    expect(forked).toBeGreaterThan(20);
  });
});

const LO = 0x2000_0000_0000;
const at = (page: number): string => `0x${(LO + page * 4096).toString(16)}`;
const HEADER = `# opfuzz format 1 seed 1 ops 9 window ${at(0)}-${at(96)} mode 0`;
const FIXED = 'PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0';

/** A kernel that says nothing but this: after an mlock of page 40, mprotect of that page and others is refused. */
const wrongKernel: RunOps = (sequences) =>
  sequences.map((lines) => {
    let locked = false;
    const log = lines
      .filter((line) => !line.startsWith('snapshot'))
      .map((line) => {
        locked ||= line.includes(`mlock(${at(40)}`);
        return locked && line.includes('mprotect(') ? `${line} = -1 EPERM (Operation not permitted)` : line;
      });
    return log.join('\n');
  });

describe('a difference', () => {
  const lines = [
    HEADER,
    `1 mmap(${at(0)}, 393216, ${FIXED})`,
    `2 mprotect(${at(3)}, 8192, PROT_NONE)`,
    'snapshot 2',
    `3 mlock(${at(40)}, 16384)`,
    `4 munmap(${at(80)}, 4096)`,
    `5 mmap(${at(90)}, 8192, ${FIXED})`,
    `5 madvise(${at(90)}, 8192, MADV_HUGEPAGE)`,
    `6 mprotect(${at(10)}, 40960, PROT_READ)`,
    `7 munlock(${at(3)}, 8192)`,
    'snapshot 7',
  ];
  it('is found in a log', () => {
    const [log = ''] = wrongKernel([lines]);
    expect(checkLog(log)).toMatchObject({ kernel: '-1 EPERM', ours: '0' });
    expect(checkLog(lines.slice(0, 2).join('\n'))).toBeNull();
    expect(checkLog(`${HEADER}\ndied with status 0x9`)).toMatchObject({ kernel: 'died with status 0x9' });
  });
  it('keeps only the operations it takes, and small ranges', () => {
    const shrunk = shrinkOps(lines, wrongKernel);
    expect(shrunk?.lines).toEqual([
      HEADER,
      `1 mlock(${at(40)}, 4096)`,
      'snapshot 1',
      `2 mprotect(${at(10)}, 4096, PROT_READ)`,
      'snapshot 2',
    ]);
  });
  it('that does not come again is none', () => {
    expect(shrinkOps(lines, (sequences) => sequences.map((each) => each.slice(0, 2).join('\n')))).toBeNull();
  });
  it('is looked for in each log of an output', () => {
    expect(logsIn(`noise\n${HEADER}\n1 nop()\n${HEADER}\n2 nop()\n`)).toEqual([
      `${HEADER}\n1 nop()`,
      `${HEADER}\n2 nop()`,
    ]);
  });
});
