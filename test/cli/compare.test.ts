/**
 * `faultline compare`: the table, what is said below it, and the same numbers in every form.
 */
import { describe, expect, it } from 'vitest';
import { expectGolden } from './golden.ts';
import { faultline, type Ran } from './program.ts';

const SEED_004 = ['--set', 'mergePgoffOnMove=on', '--set', 'mergeAcrossAnonVma=on'];
const BUNDLED = 'examples/recordings';
const SMALL = [
  'workload:reserve-commit,pages=40',
  'workload:realloc,slots=40,operations=600',
  `${BUNDLED}/cc1`,
];

/** The version changes with each release; what is printed otherwise does not. */
const withoutVersion = (text: string): string =>
  text.replaceAll(/faultline \d+\.\d+\.\d+\S*?(?=,)/g, 'faultline VERSION');

function compare(...args: string[]): Ran {
  const ran = faultline(['compare', '--quiet', ...args]);
  expect(ran.stderr).toBe('');
  expect(ran.status).toBe(0);
  return ran;
}

interface Numbers {
  readonly inputs: readonly {
    readonly input: string;
    readonly sentence: string | null;
    readonly configurations: readonly {
      readonly label: string;
      readonly numbers: Readonly<Record<string, Readonly<Record<string, number>>>>;
      readonly processes: readonly { readonly pairs: Readonly<Record<string, number>> }[];
    }[];
  }[];
}

const numbersOf = (...args: string[]): Numbers => JSON.parse(compare('--json', ...args).stdout) as Numbers;

describe('the table', () => {
  it('of three inputs is what it was when it was last read', () => {
    const { stdout } = compare(...SMALL, ...SEED_004);
    expectGolden('compare.txt', withoutVersion(stdout));
    for (const line of stdout.split('\n')) expect(line).not.toMatch(/\s$/);
  });

  it('as Markdown has the same numbers', () => {
    const { stdout } = compare(...SMALL, ...SEED_004, '--markdown');
    expectGolden('compare.md', withoutVersion(stdout));
  });

  it('says how often a rewrite was applied', () => {
    const { stdout } = compare('workload:slide,pages=30', '--as', 'mremap=relocate');
    expectGolden('compare-as.txt', withoutVersion(stdout));
  });

  it('compares the switches of seed 004 when nothing is asked for', () => {
    expect(compare('workload:slide,pages=30').stdout).toBe(
      compare('workload:slide,pages=30', ...SEED_004).stdout,
    );
  });

  it('is the same each time', () => {
    const args = ['--seed', '7', 'workload:reserve-commit,pages=200', `${BUNDLED}/node-gc`, ...SEED_004];
    expect(compare(...args).stdout).toBe(compare(...args).stdout);
  });

  it('has the rows in JSON under the same two words', () => {
    const { inputs } = numbersOf('workload:slide,pages=30', ...SEED_004);
    const rows = compare('workload:slide,pages=30', ...SEED_004).stdout;
    expect(inputs[0]?.configurations.map(({ label, numbers }) => [label, numbers['vmas']?.['end']])).toEqual([
      ['baseline', 30],
      ['mergePgoffOnMove', 1],
      ['mergeAcrossAnonVma', 30],
      ['both', 1],
    ]);
    expect(rows).toMatch(/^ {2}vmas +end +30 +1 +-29 +30 +1 +-29$/m);
  });

  it('of varied parameters holds the values against the first', () => {
    const { stdout } = compare('workload:slide', '--vary', 'pages=10,30');
    expect(stdout).toMatch(/^ +pages=10 +pages=30$/m);
    expect(stdout).toMatch(/^ {2}vmas +end +10 +30 +\+20$/m);
    expect(stdout).toContain('another program');
  });
});

describe('the bundled recordings', () => {
  // Blocked pairs at the end as the kernel's own fields show them: examples/recordings/README.md.
  const pairs: readonly (readonly [string, number, number, number, string, string])[] = [
    //name           only pgoff, only anon_vma, both    vmas end: baseline, pgoff, anon_vma, both switches
    ['beam', 6, 0, 50, '259 232 259 203', 'null'],
    ['ruby-mimalloc', 0, 12, 0, '182 182 170 170', 'null'],
    ['cc1', 0, 1, 0, '68 68 67 67', 'null'],
    ['redis', 0, 0, 0, '122 122 122 122', 'redis: neither switch changes anything: '],
    ['node-gc', 0, 0, 0, '74 74 74 74', 'null'],
  ];
  it.each(pairs)('%s has %i, %i and %i blocked pairs', (name, pgoff, anonVma, both, ends, sentence) => {
    const [input] = numbersOf(`${BUNDLED}/${name}`, ...SEED_004).inputs;
    const configurations = input?.configurations ?? [];
    const found = configurations[0]?.processes[0]?.pairs;
    expect(found).toMatchObject({ pgoff, anon_vma: anonVma, both, chain: 0, mergeable: 0, inherited: 0 });
    expect(configurations.map(({ numbers }) => numbers['vmas']?.['end']).join(' ')).toBe(ends);
    expect(String(input?.sentence).slice(0, sentence.length)).toBe(sentence);
    // Everything that blocks a pair of these recordings goes away with both switches.
    expect(configurations[3]?.numbers['blocked pairs']?.['all']).toBe(0);
  });
});

describe('mistakes', () => {
  it.each([
    [['compare'], "missing required argument 'input'"],
    [
      ['compare', 'workload:slide', '--as', 'mremap=copy'],
      'There is mremap=relocate, dontneed=vrange, dontneed=free,',
    ],
    [['compare', 'workload:slide', '--vary', 'pages'], "'pages' names nothing to vary"],
    [['compare', 'workload:slide', '--vary', 'colour=1,2'], "slide has no parameter 'colour'"],
    [
      ['compare', `${BUNDLED}/cc1`, '--vary', 'colour=1,2', '--quiet'],
      'is no workload, so there is no colour to vary',
    ],
    [['compare', 'nowhere'], 'nowhere'],
    [['compare', `${BUNDLED}/cc1/maps.end`], 'is a view: nothing happens in it'],
    [['explain', `${BUNDLED}/cc1/faults.perf.txt.gz`], 'has page faults alone'],
  ])('%j is refused with what would be right', (args, problem) => {
    const { status, stdout, stderr } = faultline(args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain(problem);
  });

  it('in one input do not keep the others from being compared', () => {
    const { status, stdout, stderr } = faultline(['compare', 'nowhere', 'workload:slide,pages=30']);
    expect(status).toBe(2);
    expect(stderr).toContain('nowhere');
    expect(stdout).toContain('workload:slide,pages=30');
    expect(stderr.endsWith('faultline: 1 of 2 inputs left out: nowhere\n')).toBe(true);
  });

  it('in what a shell pattern matches leave the recordings to be compared', () => {
    const readme = `${BUNDLED}/README.md`;
    const { status, stdout, stderr } = faultline(['compare', '--quiet', readme, `${BUNDLED}/cc1`]);
    expect(status).toBe(2);
    expect(stderr).toMatch(
      /README\.md:1:1: this is no format that can be read: text that begins with "# Rec/,
    );
    expect(stderr).toContain(`1 of 2 inputs left out: ${readme}\n`);
    expect(stdout).toContain('cc1  (233 calls');
  });
});

describe('a directory of inputs', () => {
  it('stands for what is in it', () => {
    const { inputs } = numbersOf('test/fixtures/cli', '--set', 'mergePgoffOnMove=on');
    expect(inputs.map(({ input }) => input)).toEqual([
      `test/fixtures/cli/true`,
      'test/fixtures/cli/small.ops',
    ]);
  });
});
