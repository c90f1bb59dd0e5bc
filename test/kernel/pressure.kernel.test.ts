/**
 * Memory that gets short on the running kernel, in a memory cgroup of its own that the executor makes and removes: what can go and what stays, what a later
 * access finds, who is killed. Everything the kernel shows is held against the model; below that, what a row is about is said of the kernel's answer itself.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkLog, playLog } from '../../src/fuzz/index.ts';
import type { Outcome } from '../../src/machine/index.ts';
import { FACT } from '../../src/mm/index.ts';
import { opsKernel } from '../random/opsKernel.ts';
import { leaveOut } from './leftOut.ts';
import { buildOpsrun, whyNoOracle } from './oracle.ts';
import { ALL_BACK, at, map, ROWS, range, SWAP, sequence, W } from './pressureRows.ts';

const CGROUPS = ['/sys/fs/cgroup/memory', '/sys/fs/cgroup'];
/** The device of another run, which takes it away before it lets us run. */
const OF_A_RUN = /^\/(?:dev\/)?zram\d+ +\S+\s+(?:1048576|65536|128)\s/;
const hasSwap = (): boolean =>
  readFileSync('/proc/swaps', 'utf8')
    .trimEnd()
    .split('\n')
    .slice(1)
    .some((line) => !OF_A_RUN.test(line));

function whyNot(): string | null {
  const why = whyNoOracle();
  if (why !== null) return why;
  if (hasSwap()) return 'needs a machine without swap space of its own';
  if (!existsSync('/sys/class/zram-control/hot_add')) return 'needs the module zram';
  return existsSync(`${CGROUPS[0]}/memory.usage_in_bytes`) || existsSync(`${CGROUPS[1]}/cgroup.controllers`)
    ? null
    : 'needs the memory controller of cgroups';
}
const why = whyNot();

/** A figure of smaps in kB, summed over the mappings of the first process of the last snapshot. */
function figure(log: string, name: string): number {
  return [...ownAtEnd(log).matchAll(new RegExp(` ${name}=(\\d+)`, 'g'))].reduce(
    (sum, [, kB]) => sum + Number(kB),
    0,
  );
}
/** What the last snapshot shows of the first process. */
const ownAtEnd = (log: string): string =>
  log.slice(log.lastIndexOf('\nself ')).split(/\n(?:child \d|end)/)[0] ?? '';

/** What the kernel answered to a line. */
const answerOf = (log: string, line: number): string | undefined =>
  log
    .split('\n')
    .find((each) => each.startsWith(`${line} `))
    ?.split(' = ')[1];

const BIG = 4096;
const LIMIT = BIG * 2048;

/** What the model makes of the calls: the outcome of each. */
function modelled(lines: readonly string[]): Outcome[] {
  const outcomes: Outcome[] = [];
  checkLog(lines.join('\n').replace(/\nsnapshot \d+/g, ''), {
    outcomes: (_op, outcome) => outcomes.push(outcome),
  });
  return outcomes;
}

describe.runIf(why === null)('when memory gets short', () => {
  const run = opsKernel(why === null ? buildOpsrun() : '');

  it.each(ROWS.map((row) => [row.name, row] as const))('%s', (_name, row) => {
    const [log = ''] = run([sequence(row.calls, row.swapPages)]);
    expect(checkLog(log)).toBeNull();
    for (const [name, kB] of Object.entries(row.shows)) expect([name, figure(log, name)]).toEqual([name, kB]);
    for (const [line, answer] of Object.entries(row.answers))
      expect(answerOf(log, Number(line))).toBe(answer);
  });

  it('a limit with swap: nothing is lost of twice as much as it allows', () => {
    const calls = [
      map(0, BIG),
      `memory.max(${LIMIT})`,
      `touch_write(${range(0, BIG)})`,
      'memory.max(max)',
      `touch_read(${range(0, BIG)})`,
    ];
    const [log = ''] = run([sequence(calls, SWAP)]);
    // How many pages had to be read back depends on which went; that they hold what was written does not.
    const answers = log.slice(0, log.indexOf('\nsnapshot')).replaceAll(/(touch_read\(.*) <flt \d+>/g, '$1');
    expect(checkLog(answers)).toBeNull();
    const end = (W + BIG * 4096).toString(16);
    expect(/^pg .*$/m.exec(log)?.[0]).toBe(`pg ${W.toString(16)}-${end} P--X---- v=3`);
    expect(figure(log, 'Rss')).toBe(BIG * 4);
    const readBack = Number(/touch_read\(.* <flt (\d+)>/.exec(log)?.[1]);
    expect(readBack).toBeGreaterThanOrEqual(BIG / 2);
  });

  it('a limit with swap: what is used again and again stays, what was used once goes', () => {
    const calls = [map(0, BIG), `touch_write(${range(0, 64)})`, `memory.max(${LIMIT / 2})`];
    const again: number[] = [];
    for (let page = 128; page < BIG; page += 128)
      again.push(calls.push(`touch_write(${range(page, 128)})`, `touch_read(${range(0, 64)})`));
    const lines = sequence(calls, SWAP);
    const [log = ''] = run([lines]);
    const faults = (line: number): number => Number(/<flt (\d+)>$/.exec(answerOf(log, line) ?? '')?.[1]);
    // Pages that were used once would all have to be read back each time.
    const most = (again.length * 64) / 4;
    expect(again.reduce((sum, line) => sum + faults(line), 0)).toBeLessThan(most);
    const { checker } = playLog(lines.join('\n'), {});
    const { facts } = checker.player.machine.kernel.work;
    expect(facts[FACT.pagesSwappedOut]).toBeGreaterThan(BIG / 2);
    expect(facts[FACT.pagesSwappedIn]).toBeLessThan(most);
    expect(figure(log, 'Swap')).toBeGreaterThan(BIG * 2);
  });

  it('a full swap device: what has no room stays, in either', () => {
    const lines = sequence([map(0, 64), `touch_write(${range(0, 64)})`, ALL_BACK], 32);
    const [log = ''] = run([lines]);
    const [rss, swap] = [figure(log, 'Rss'), figure(log, 'Swap')];
    expect(rss + swap).toBe(256);
    expect(swap).toBeGreaterThan(0);
    expect(swap).toBeLessThanOrEqual(32 * 4);
  });

  it('a limit without swap: the process is killed; when the limit is gone, or all is freed lazily, it is not', () => {
    const touched = `touch_write(${range(0, BIG)})`;
    const calls = [map(0, BIG), `memory.max(${LIMIT})`, touched];
    const [log = ''] = run([sequence(calls, 0)]);
    expect(log).toContain('died with status 0x9');
    expect(modelled(sequence(calls, 0)).at(-1)).toMatchObject({ kind: 'signal', signal: 'SIGKILL' });
    const half = [1, 2, 3, 4].flatMap((i) => [
      `touch_write(${range(0, BIG / 4)})`,
      `madvise(${range(0, BIG / 4)}, MADV_FREE)`,
      `mremap(${range(0, BIG / 4)}, ${BIG * 1024}, MREMAP_MAYMOVE|MREMAP_FIXED, ${at(i * 2048)})`,
      map(0, BIG / 4),
    ]);
    const lazily = sequence([map(0, BIG), `memory.max(${LIMIT})`, ...half], 0);
    const [lived = ''] = run([lazily]);
    expect(lived).not.toContain('died');
    expect(modelled(lazily).every(({ kind }) => kind === 'value')).toBe(true);
  });

  it('leaves nothing behind', () => {
    run([sequence(['nop()', ALL_BACK], 0)]);
    const left = CGROUPS.filter((folder) => existsSync(folder)).flatMap((folder) =>
      readdirSync(folder).filter((name) => /^faultline-ops-/.test(name)),
    );
    // Others may be at it.
    expect(left.filter((name) => !existsSync(`/proc/${name.slice('faultline-ops-'.length)}`))).toEqual([]);
    expect(hasSwap()).toBe(false);
  });
});

it('is Linux 6.18 with root, zram and memory cgroups', (context) => {
  if (why !== null) leaveOut(context, `memory that gets short on the running kernel: ${why}`);
  expect(why).toBeNull();
});
