/**
 * `--as` and `--probe`: what is printed of rewrites, bounds, probes and page tables, and the same numbers in every form.
 */
import { describe, expect, it } from 'vitest';
import { expectGolden } from './golden.ts';
import { faultline, type Ran } from './program.ts';

/** MADV_FREE, MADV_DONTNEED, forks and accesses between them; 7,481 page faults. */
const CHANGES = 'test/recordings/page-changes';
/** An allocator that purges in pieces; three page tables are left without entries. */
const JEMALLOC = 'test/recordings/jemalloc-mt';

/** Some calls fail because their memory was unmapped. */
const ODD = 'test/recordings/odd';

const withoutVersion = (text: string): string =>
  text.replaceAll(/faultline \d+\.\d+\.\d+\S*?(?=,)/g, 'faultline VERSION');

function run(command: string, ...args: string[]): Ran {
  const ran = faultline([command, '--quiet', ...args]);
  expect(ran.stderr).toBe('');
  expect(ran.status).toBe(0);
  return ran;
}

interface Lane {
  readonly label: string;
  readonly bound?: string;
  readonly bounds?: readonly string[];
  readonly numbers: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly acts?: readonly {
    readonly name: string;
    readonly applied: number;
    readonly figures: Readonly<Record<string, number>>;
    readonly remarks: readonly string[];
    readonly series?: { readonly rows: readonly (readonly number[])[] };
  }[];
  readonly diverged?: { readonly calls: number };
}
const lanesOf = (...args: string[]): readonly Lane[] =>
  (JSON.parse(run('compare', '--json', ...args).stdout) as { inputs: { configurations: Lane[] }[] }).inputs[0]
    ?.configurations ?? [];
const faultsOf = ({ numbers }: Lane): number => numbers['faults']?.['all'] ?? Number.NaN;

describe('compare --as', () => {
  const args = [CHANGES, '--as', 'dontneed=vrange', '--as', 'free=dontneed'];

  it('says what was changed, what is certain and what a bound', () => {
    expectGolden('whatif-as.txt', withoutVersion(run('compare', ...args).stdout));
    expectGolden('whatif-as.md', withoutVersion(run('compare', ...args, '--markdown').stdout));
  });

  it('has bounds in JSON as in the table, and the truth between them', () => {
    const lanes = lanesOf(...args);
    const least = lanes.find(({ label }) => label === 'as free=dontneed, least') as Lane;
    const most = lanes.find(({ label }) => label === 'as free=dontneed, most') as Lane;
    expect([least.bound, most.bound]).toEqual(['least', 'most']);
    for (const name of [
      'faults.all',
      'pages.allocated',
      'page tables.end, kB',
      'memory.resident at the end, kB',
    ]) {
      const [group = '', row = ''] = name.split('.');
      expect(least.bounds).toContain(name);
      expect(least.numbers[group]?.[row]).toBeLessThanOrEqual(most.numbers[group]?.[row] ?? 0);
    }
    expect(least.bounds).not.toContain('faults.anon');
    const [table] = /^ {2}faults +all .*$/m.exec(run('compare', ...args).stdout) ?? [''];
    expect(table).toContain(`≥${faultsOf(least).toLocaleString('en-US')} `);
    expect(table).toContain(`≤${faultsOf(most).toLocaleString('en-US')} `);
  });

  it('leaves the answers of the kernel as they were recorded, and says so where it does not', () => {
    for (const rule of ['dontneed=vrange', 'dontneed=free', 'dontneed=none', 'free=vrange'])
      for (const { diverged } of lanesOf(CHANGES, '--as', rule)) expect(diverged?.calls ?? 0).toBe(0);
    expect(run('compare', ODD, '--as', 'munmap=dontneed').stdout).toMatch(
      /diverges from op 161 syscalls\.strace:31: modelled 0, recorded -1 ENOMEM; /,
    );
  });

  it('never makes more faults of memory that stays', () => {
    const lanes = lanesOf(
      CHANGES,
      '--as',
      'dontneed=free',
      '--as',
      'dontneed=none',
      '--as',
      'dontneed=vrange',
    );
    const [baseline, ...others] = lanes.map(faultsOf) as [number, ...number[]];
    for (const faults of others) expect(faults).toBeLessThan(baseline);
  });

  it('says of a rule that finds no call that it finds none', () => {
    const { stdout } = run('compare', 'workload:slide,pages=10', '--as', 'dontneed=free');
    expect(stdout).toContain('dontneed=free finds no call to change');
  });
});

describe('--probe', () => {
  it('bloat shows page tables over time and changes nothing', () => {
    const args = [JEMALLOC, '--set', 'ptReclaim=refcount', '--probe', 'bloat'];
    expectGolden('whatif-bloat.txt', withoutVersion(run('compare', ...args).stdout));
    const numbers = (...more: string[]): unknown =>
      lanesOf(JEMALLOC, '--set', 'ptReclaim=refcount', ...more).map((lane) => lane.numbers);
    expect(numbers('--probe', 'bloat')).toEqual(numbers());
  });

  it('takes snapshots and asks for written pages, with both bounds', () => {
    const args = ['--probe', 'snapshot:wp-default@3000', '--probe', 'dirty:wp-async/10ms'];
    expectGolden('whatif-probes.txt', withoutVersion(run('compare', CHANGES, ...args).stdout));
  });

  it('makes memory short: what is killed is said, and where', () => {
    const { stdout } = run('compare', CHANGES, '--probe', 'pressure:2M');
    expect(stdout).toMatch(/out of memory: the program is killed at op [\d,]+ with /);
    const [, short] = lanesOf(CHANGES, '--probe', 'pressure:4M,swap=64M');
    expect(short?.bound).toBe('some');
    expect(short?.acts?.[0]?.figures['swapped out']).toBeGreaterThan(0);
  });

  it('makes memory short by a schedule: before operations, at times, and no longer', () => {
    const figures = (steps: string): Readonly<Record<string, number>> => {
      const [, lane] = lanesOf(CHANGES, '--probe', `pressure:${steps},swap=64M`);
      return lane?.acts?.[0]?.figures ?? {};
    };
    const always = figures('4M');
    expect(figures('4M@0')).toEqual(always);
    expect(figures('max')).toMatchObject({ 'times the limit was met': 0, 'swapped out': 0 });
    // What is there at once goes in one go, and nothing more once the limit is gone.
    const once = figures('4M@3000,max@3000');
    expect(once['swapped out']).toBeGreaterThan(0);
    expect(once['times the limit was met']).toBe(0);
    const asked = figures('-1M@3000');
    expect((asked['swapped out'] ?? 0) + (asked['pages of files dropped'] ?? 0)).toBeGreaterThanOrEqual(256);
    expect(figures('4M@10ms')['swapped out']).toBeGreaterThan(0);
    const [, late] = lanesOf(CHANGES, '--probe', 'pressure:4M@999999');
    expect(late?.acts?.[0]?.remarks).toContain('the input ended before 4M@999999');
  });

  it('makes memory of a workload short by a schedule, which tells no times', () => {
    const of = (steps: string): NonNullable<Lane['acts']>[number] | undefined => {
      const [, lane] = lanesOf('workload:reserve-commit,pages=512', '--probe', `pressure:${steps},swap=64M`);
      return lane?.acts?.[0];
    };
    expect(of('1M@400')?.figures['swapped out']).toBeGreaterThan(0);
    expect(of('1M@1s')?.remarks).toEqual([
      'not done: the input tells no times: steps before operations, as 24M@1000, would be right',
    ]);
  });

  it('is in run, too, with the same numbers', () => {
    const { acts } = JSON.parse(
      run('run', '--json', CHANGES, '--as', 'dontneed=vrange', '--probe', 'bloat').stdout,
    ) as {
      acts: Lane['acts'];
    };
    const [, compared] = lanesOf(CHANGES, '--as', 'dontneed=vrange', '--probe', 'bloat');
    expect(acts?.map(({ name }) => name)).toEqual(['as dontneed=vrange', 'probe bloat']);
    const inOrder = (each: Lane['acts']): unknown =>
      [...(each ?? [])].sort((a, b) => (a.name < b.name ? -1 : 1));
    expect(inOrder(acts)).toEqual(inOrder(compared?.acts));
  });

  it.each([
    ['bloats', 'There is bloat; pressure:STEPS'],
    ['snapshot:fork', 'snapshot:METHOD@OP with METHOD fork, wp-default,'],
    ['dirty:fork/10ms', 'PERIOD as 100ms or 1000ops'],
    ['pressure:much', 'with STEPS as 64M'],
    ['pressure:24M@', 'with STEPS as 64M'],
    ['pressure:-max', 'with STEPS as 64M'],
    ['pressure:swap=64M', 'with STEPS as 64M'],
  ])('%s is refused with what would be right', (probe, wanted) => {
    const { status, stdout, stderr } = faultline(['compare', CHANGES, '--probe', probe]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(wanted);
  });
});

describe('among threads', () => {
  const EBIZZY = 'workload:ebizzy,threads=2,ms=5';
  interface Timed {
    readonly configurations: readonly {
      readonly label: string;
      readonly figures: Readonly<Record<string, number>>;
      readonly acts?: Lane['acts'];
    }[];
  }
  const timed = (...args: string[]): Timed['configurations'] =>
    (JSON.parse(run('compare', '--json', ...args).stdout) as Timed).configurations;

  it('a call that is changed on its way does what a program does that makes the other call', () => {
    const [, free, none] = timed(
      `${EBIZZY},purge=dontneed`,
      '--as',
      'dontneed=free',
      '--as',
      'dontneed=none',
    );
    const [asFree, asNone] = timed(EBIZZY, '--vary', 'purge=free,none');
    expect(free?.figures['faults in 100 records']).toBe(asFree?.figures['faults in 100 records']);
    expect(free?.figures['records']).toBe(asFree?.figures['records']);
    expect(none?.figures['records']).toBe(asNone?.figures['records']);
    expect(free?.acts?.[0]?.applied).toBeGreaterThan(0);
  });

  it('tables are watched over time, and nothing else changes', () => {
    const load = 'workload:bloat/cover-split,tables=400';
    const [plain] = timed(load, '--set', 'ptReclaim=async');
    const [watched, scanned] = timed(load, '--set', 'ptReclaim=async', '--probe', 'bloat');
    expect(watched?.figures).toEqual(plain?.figures);
    const peak = (of: typeof watched): number =>
      of?.acts?.[0]?.figures['empty at the peak, kB'] ?? Number.NaN;
    expect(peak(watched)).toBe(1600);
    expect(peak(scanned)).toBeLessThan(1600);
  });

  it('what has to see accesses is refused, and what could not go on is left out', () => {
    const { status, stderr } = faultline(['run', EBIZZY, '--as', 'dontneed=vrange']);
    expect(status).toBe(2);
    expect(stderr).toContain('nobody sees their accesses');
    const left = faultline(['compare', EBIZZY, '--vary', 'purge=dontneed,vrange']);
    expect(left.status).toBe(0);
    expect(left.stderr).toMatch(/purge=vrange is left out: .*vrange was refused: ENOSYS/);
  });
});

describe('explain', () => {
  it('names empty page tables, who emptied them, and who would free them when', () => {
    const { stdout } = run('explain', JEMALLOC);
    expectGolden('explain-tables.txt', withoutVersion(stdout));
    const { tables } = JSON.parse(run('explain', '--json', JEMALLOC).stdout) as {
      tables: {
        processes: { empty: number; groups: { call: string; tables: number }[] }[];
        trials: { policy: string; empty: number }[];
      };
    };
    expect(tables.processes[0]).toMatchObject({
      empty: 3,
      groups: [{ call: 'madvise(MADV_DONTNEED)', tables: 3 }],
    });
    expect(tables.trials.map(({ policy }) => policy)).toEqual(['sync', 'off', 'async', 'refcount']);
    expect(tables.trials.find(({ policy }) => policy === 'refcount')?.empty).toBe(0);
  });

  it('shows what may be taken beside what is resident where MADV_FREE was used', () => {
    expect(run('explain', CHANGES).stdout).toMatch(
      /^resident: [\d,]+ kB; of it [\d,]+ kB were given to MADV_FREE and not written since/m,
    );
  });
});
