/**
 * A whole recording: a directory with the beginning of a real one (test/fixtures/replay/tiny), and made-up ends.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { RLIMIT_STACK } from '../abi/mman.ts';
import { UsageError } from '../base/assert.ts';
import { filesInMemory } from './input.ts';
import type { ReplayItem, Start } from './item.ts';
import { recordingItems } from './recording.ts';

const TINY = fileURLToPath(new URL('../../test/fixtures/replay/tiny/', import.meta.url));
const texts: Record<string, string> = Object.fromEntries(
  readdirSync(TINY).map((name) => [name, readFileSync(TINY + name, 'utf8')]),
);
const META = '{"format": 1, "pid": 6542, "argv": ["/usr/bin/sqlite3"], "quiescent": false, "faultsLost": 2}';

const itemsOf = (
  more: Record<string, string> = {},
  without: readonly string[] = [],
): readonly ReplayItem[] => {
  const all = { ...texts, ...more };
  return [
    ...recordingItems(
      filesInMemory(
        'tiny',
        Object.fromEntries(Object.entries(all).filter(([name]) => !without.includes(name))),
      ),
    ),
  ];
};
const startOf = (items: readonly ReplayItem[]): Start => {
  const [first] = items;
  if (first?.kind !== 'start') throw new Error('a recording begins with its start');
  return first;
};
const warned = (items: readonly ReplayItem[]): readonly string[] =>
  items.flatMap((item) => (item.kind === 'warning' ? [item.what] : []));

describe('the start', () => {
  const { state, task } = startOf(itemsOf());
  it('is the snapshot taken after execve', () => {
    expect(task).toBe(6542);
    expect(state?.vmas.map((vma) => vma.name.split('/').at(-1))).toContain('[stack]');
    expect(state?.vmas.length).toBe(
      texts['maps.start']?.trim().split('\n').length
        ? (texts['maps.start']?.trim().split('\n').length ?? 0) - 1
        : 0,
    );
    expect(state?.limits?.get(RLIMIT_STACK)?.soft).toBe(8388608);
    expect(state?.auxv?.get(6)).toBe(4096);
    expect(state?.stat?.comm).toBe('sqlite3');
  });

  it('joins maps and smaps', () => {
    const stack = state?.vmas.find((vma) => vma.name === '[stack]');
    expect(stack?.vmFlags).toEqual(['rd', 'wr', 'mr', 'mw', 'me', 'gd', 'ac']);
    expect(stack?.anonymousKb).toBeGreaterThan(0);
  });

  it('knows files by device and inode, also those that only an end shows', () => {
    const end = '7f0000000000-7f0000001000 r--p 00000000 fe:00 99                        /lib/late.so\n';
    const files = startOf(itemsOf({ 'maps.end': end })).state?.files ?? [];
    expect(files.find((file) => file.name === '/lib/late.so')).toEqual({
      name: '/lib/late.so',
      dev: 'fe:00',
      inode: 99,
    });
  });

  it('refuses maps and smaps that do not agree', () => {
    const smaps = texts['smaps.start']?.replace('rw-p', 'r--p') ?? '';
    expect(() => itemsOf({ 'smaps.start': smaps })).toThrow(UsageError);
  });
});

describe('what happens', () => {
  it('leaves out the execve that the start snapshot already shows', () => {
    const calls = itemsOf().flatMap((item) => (item.kind === 'op' ? [item.op.call] : []));
    expect(calls.filter((call) => call === 'execve')).toEqual([]);
    expect(calls.slice(0, 3)).toEqual(['touch', 'touch', 'touch']);
  });

  it('merges calls and faults by time', () => {
    const moments = itemsOf().flatMap((item) => (item.kind === 'op' ? [item.at] : []));
    expect(moments).toEqual(moments.toSorted((a, b) => a - b));
    expect(itemsOf().at(-1)).toMatchObject({
      kind: 'summary',
      format: 'recording',
      calls: 41,
      touches: 41,
      overlapping: 0,
    });
  });

  it('is the same twice', () => {
    expect(itemsOf()).toEqual(itemsOf());
  });
});

describe('the ends', () => {
  const end = (comment: string): string => `00400000-00401000 rw-p 00000000 00:00 0 ${comment}\n`;
  it('come after everything else, the recorded process first, the others by pid', () => {
    const items = itemsOf({
      'meta.json': META,
      'maps.end': end(''),
      'procs/90/maps.end': end(''),
      'procs/9/maps.end': end(''),
      'procs/9/status.end': 'VmPTE:\t 4 kB\n',
    });
    const ends = items.flatMap((item) => (item.kind === 'end' ? [item] : []));
    expect(ends.map(({ task, isMain, afterExec }) => ({ task, isMain, afterExec }))).toEqual([
      { task: 6542, isMain: true, afterExec: false },
      { task: 9, isMain: false, afterExec: false },
      { task: 90, isMain: false, afterExec: false },
    ]);
    expect(ends[1]?.status?.get('VmPTE')).toBe('4 kB');
    expect(ends[1]?.files.maps).toBe('procs/9/maps.end');
    expect([...(ends[1]?.pages() ?? [])]).toEqual([]);
  });
});

describe('parts that are missing', () => {
  it('are said', () => {
    expect(warned(itemsOf({ 'meta.json': META, 'maps.end': '' }))).toEqual(['not-quiescent', 'faults-lost']);
    expect(warned(itemsOf({}, ['faults.perf.txt']))).toEqual(['no-faults', 'no-end']);
    expect(warned(itemsOf({}, ['maps.start']))).toEqual(['no-start', 'no-end']);
    const [execve, start] = itemsOf({}, ['maps.start']);
    expect([execve, start]).toMatchObject([
      { kind: 'op', op: { call: 'execve' } },
      { kind: 'start', format: 'recording', state: null, program: '/usr/bin/sqlite3' },
    ]);
    expect(startOf(itemsOf({}, ['smaps.start', 'stat.start'])).state?.vmas[0]?.vmFlags).toBeNull();
  });

  it('may be anything but the calls', () => {
    expect(() => itemsOf({}, ['syscalls.strace'])).toThrow('tiny has no syscalls.strace');
  });
});
