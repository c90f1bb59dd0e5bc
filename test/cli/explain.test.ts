/**
 * `faultline explain`: groups of pairs with the operations behind them, lives, and views without a past.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { leaveOut } from '../kernel/leftOut.ts';
import { expectGolden } from './golden.ts';
import { faultline, ROOT } from './program.ts';

const BUNDLED = 'examples/recordings';

const withoutVersion = (text: string): string =>
  text.replaceAll(/faultline \d+\.\d+\.\d+\S*?(?=,)/g, 'faultline VERSION');

function explain(...args: string[]): string {
  const { status, stdout, stderr } = faultline(['explain', '--quiet', ...args]);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout;
}

interface Explained {
  readonly trials: readonly { readonly label: string; readonly joined: number }[];
  readonly processes: readonly {
    readonly vmas: number;
    readonly touching: number;
    readonly pairs: Readonly<Record<string, number>>;
    readonly groups: readonly { readonly count: number; readonly pairs: readonly unknown[] }[];
  }[];
}

describe('pairs', () => {
  it('are grouped, with the operations that made them so', () => {
    expectGolden('explain.txt', withoutVersion(explain('workload:realloc,slots=40,operations=600')));
    expectGolden('explain-fork.txt', withoutVersion(explain('workload:fork-server,blocks=30,rounds=20')));
    expectGolden('explain-cc1.txt', withoutVersion(explain(`${BUNDLED}/cc1`)));
  });

  it('are all listed on request', () => {
    const all = explain('workload:slide,pages=30', '--all');
    expect(all.match(/ \| /g)).toHaveLength(29);
    expect(explain('workload:slide,pages=30')).toContain('27 more (--all)');
  });

  it('are in JSON in full, and every pair that touches is in one group', () => {
    const found = JSON.parse(explain(`${BUNDLED}/beam`, '--json')) as Explained;
    const [main] = found.processes;
    expect(main?.pairs).toMatchObject({ pairs: 56, pgoff: 6, anon_vma: 0, both: 50, chain: 0, inherited: 0 });
    expect(found.trials).toEqual([
      { label: 'mergePgoffOnMove', joined: 27 },
      { label: 'mergeAcrossAnonVma', joined: 0 },
      { label: 'both', joined: 56 },
      { label: 'as mremap=relocate', joined: 56 },
    ]);
    expect(main?.groups.reduce((sum, { count }) => sum + count, 0)).toBe(main?.touching);
    for (const { count, pairs } of main?.groups ?? []) expect(pairs).toHaveLength(count);
  });

  it('of a configuration with a switch on are those that are left', () => {
    const left = explain('workload:slide,pages=30', '--set', 'mergePgoffOnMove=on');
    expect(left).toContain('kept apart by offset, anon_vma or fork alone: none');
  });

  it('are the same each time', () => {
    expect(explain('workload:fork-server')).toBe(explain('workload:fork-server'));
  });
});

describe('the life of a vma', () => {
  const args = ['workload:realloc,slots=40,operations=600'];
  it('is told from its birth', () => {
    const { processes } = JSON.parse(explain(...args, '--json')) as {
      processes: { groups: { pairs: { below: { range: string } }[] }[] }[];
    };
    const address = processes[0]?.groups[0]?.pairs[0]?.below.range.split('-')[0] ?? '';
    expectGolden('explain-life.txt', withoutVersion(explain(...args, address)));
    expect(explain(...args, `0x${address}`)).toBe(explain(...args, address));
  });

  it('is not there where nothing was mapped', () => {
    expect(explain(...args, '1000')).toContain('nothing was ever mapped at 0x1000');
  });

  it('is asked for by an address', () => {
    const { status, stderr } = faultline(['explain', ...args, 'here']);
    expect(status).toBe(2);
    expect(stderr).toContain('It is not an address in hex.');
  });
});

describe('a view without a past', () => {
  it('shows which neighbours look alike, and says what it cannot show', () => {
    const text = explain(`${BUNDLED}/beam/maps.end`);
    expectGolden('explain-maps.txt', text);
    expect(text).toContain('it is one of the two');
  });

  it('with flags shows as many pairs as the kernel fields do', () => {
    const { lookAlike } = JSON.parse(explain(`${BUNDLED}/beam/smaps.end.gz`, '--json')) as {
      lookAlike: { pairs: number; because: string };
    };
    expect(lookAlike.pairs).toBe(56);
    expect(lookAlike.because).not.toContain('only smaps shows');
  });

  it('is also a living process', (context) => {
    if (!existsSync('/proc/self/smaps')) leaveOut(context, 'there is no /proc/PID/smaps');
    const text = explain(String(process.pid));
    expect(text).toMatch(new RegExp(`^process ${process.pid} \\(.*\\): [\\d,]+ vmas, `));
    expect(explain(String(process.pid), '7fff00000000')).toContain('A view has no past');
  });

  it('is refused for a process that is not there', () => {
    const { status, stderr } = faultline(['explain', '4194999']);
    expect(status).toBe(2);
    expect(stderr).toContain('cannot read /proc/4194999/maps\nwanted: the id of a living process');
  });
});

describe('help', () => {
  it.each(['compare', 'explain'])('of %s is what it was when it was last read', (command) => {
    const { status, stdout, stderr } = faultline([command, '--help']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(122);
    expectGolden(`help-${command}.txt`, stdout);
    expect(readFileSync(join(ROOT, 'test/golden', `help-${command}.txt`), 'utf8')).toContain(
      'Exit status: 0',
    );
  });
});
