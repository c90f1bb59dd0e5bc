import { describe, expect, it } from 'vitest';
import { RLIM_INFINITY } from '../../abi/mman.ts';
import { ModelBug, Unmodelled } from '../../base/assert.ts';
import { hex } from '../../base/units.ts';
import type { Op, Outcome } from '../../machine/index.ts';
import { LINUX_6_18, type MmEvent, mapsText } from '../../mm/index.ts';
import { filesInMemory } from '../input.ts';
import type { ReplayItem, ReplayOp } from '../item.ts';
import { recordingItems } from '../recording.ts';
import { describeOp, Player, type PlayOptions, placeError } from './player.ts';

const B = 0x1000_0000_0000;
const PAGE = 4096;

const item = (nr: number, op: Op, rest: Partial<ReplayOp> = {}): ReplayOp => ({
  kind: 'op',
  op,
  nr,
  line: nr * 10,
  file: 'small',
  task: 1,
  chosen: {},
  recorded: { kind: 'none' },
  entry: nr,
  exit: nr,
  at: nr,
  overlaps: false,
  ...rest,
});
const START: ReplayItem = { kind: 'start', task: 1, format: 'strace', state: null, program: null };
const map = (addr: number, flags: number): Op => ({
  call: 'mmap',
  addr,
  len: 4 * PAGE,
  prot: 3,
  flags,
  fd: -1,
  offset: 0,
});

/** Plays items. Returns what each operation gave, and the player. */
function play(
  items: readonly ReplayItem[],
  options: PlayOptions = {},
): { outcomes: Outcome[]; player: Player } {
  const outcomes: Outcome[] = [];
  const player = new Player(options, { operation: (_item, outcome) => outcomes.push(outcome) });
  player.play(items);
  return { outcomes, player };
}

describe('a player', () => {
  it('takes the address that the kernel chose, and says where it would have put the mapping', () => {
    const events: MmEvent[] = [];
    const at = { chosen: { addr: B } };
    const { outcomes } = play([START, item(1, map(0, 0x22), at)], { events: (event) => events.push(event) });
    expect(outcomes).toMatchObject([{ kind: 'value', value: B }]);
    expect(events.find(({ kind }) => kind === 'placement')).toMatchObject({ chosen: B, op: 1 });
  });
  it('does not take results: a call that must fail fails, whatever is recorded', () => {
    const { outcomes } = play([
      START,
      item(1, { call: 'munmap', addr: 1, len: PAGE }, { recorded: { kind: 'value', value: 0 } }),
    ]);
    expect(outcomes).toMatchObject([{ kind: 'errno', errno: 'EINVAL' }]);
  });
  it('numbers the events by the operations of the input', () => {
    const ops = new Set<number>();
    play([START, item(7, map(B, 0x32)), item(9, { call: 'munmap', addr: B + PAGE, len: PAGE })], {
      events: ({ op }) => ops.add(op),
    });
    expect([...ops]).toEqual([7, 9]);
  });
  it('tells the listener of everything else that comes by', () => {
    const seen: string[] = [];
    const player = new Player(
      {},
      {
        signal: ({ signal }) => seen.push(signal),
        snapshot: ({ number }) => seen.push(`snapshot ${number}`),
        other: ({ kind }) => seen.push(kind),
      },
    );
    player.play([
      START,
      { kind: 'signal', task: 1, signal: 'SIGSEGV', code: 'SEGV_MAPERR', addr: 0, file: '', line: 1 },
      { kind: 'snapshot', number: 3, processes: [], uffd: null, file: '', line: 2 },
      { kind: 'warning', what: 'truncated', text: '', count: 1, file: '', line: 3 },
    ]);
    expect(seen).toEqual(['start', 'SIGSEGV', 'snapshot 3', 'warning']);
  });
  it.each(['every', 'end'] as const)('finds a broken address space when it verifies: %s', (verify) => {
    const player = new Player({ verify }, {});
    player.feed(START);
    player.feed(item(1, map(B, 0x32)));
    const mm = player.machine.process(1)?.mm;
    if (mm?.vmas.first) mm.vmas.first.pgoff = -1;
    const next = item(2, { call: 'mprotect', addr: B, len: PAGE, prot: 3 });
    expect(() => player.play([next])).toThrow('a page offset of -1');
    expect(() => new Player({ verify: 'never' }, {}).play([START, next])).not.toThrow();
  });
});

describe('errors of the model', () => {
  const op = item(4, map(B, 0x32));
  it('get the place in the input', () => {
    const bug = placeError(new ModelBug('[map-count] off by one'), op);
    expect(bug).toBeInstanceOf(ModelBug);
    expect(String(bug)).toContain(`[map-count] off by one\n  small:40: op 4 mmap(addr=${hex(B)}`);
    const left = placeError(new Unmodelled('MAP_HUGETLB', 'docs/scope.md#hugetlb'), op);
    expect(left).toBeInstanceOf(Unmodelled);
    expect(String(left)).toMatch(/MAP_HUGETLB \(op 4 .*docs\/scope\.md#hugetlb/);
    expect(left).toMatchObject({ place: { file: 'small', line: 40 } });
  });
  it('of other kinds, and outside operations, stay as they are', () => {
    const error = new RangeError('x');
    expect(placeError(error, op)).toBe(error);
    const bug = new ModelBug('x');
    expect(placeError(bug, START)).toBe(bug);
  });
  it('name the operation with its arguments', () => {
    expect(describeOp({ call: 'munmap', addr: 4096, len: 4096 })).toBe('munmap(addr=0x1000, len=4096)');
    expect(describeOp({ call: 'open', path: '/x', mode: 'read', kind: 'regular', size: null })).toContain(
      'path="/x"',
    );
  });
});

const MAPS = `00400000-00401000 r--p 00000000 fe:00 12                                 /bin/p
00401000-00402000 rw-p 00001000 fe:00 12                                 /bin/p
00500000-00502000 rw-p 00000000 00:00 0                                  [heap]
7ffff7ffc000-7ffff7ffe000 r-xp 00000000 00:00 0                          [vdso]
7ffff7ffe000-7ffff7fff000 rw-p 00000000 00:00 0 
7fffffffd000-7ffffffff000 rw-p 00000000 00:00 0                          [stack]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`;
const RECORDING = {
  'maps.start': MAPS,
  'meta.json': JSON.stringify({
    pid: 1,
    argv: ['p'],
    mode: 'launch',
    aslr: false,
    quiescent: true,
    kernel: '6.18.44',
    sysctl: { max_map_count: 100, overcommit_memory: 1, mmap_min_addr: 4096 },
    thp: { enabled: 'always madvise [never]' },
  }),
  'limits.start': `Limit                     Soft Limit           Hard Limit           Units     
Max data size             1048576              unlimited            bytes     
Max stack size            8388608              unlimited            bytes     
Max locked memory         8388608              8388608              bytes     
Max address space         unlimited            unlimited            bytes     
`,
  'syscalls.strace': '1 1.000000000 execve("/bin/p", ["p"], 0x7ff /* 3 vars */) = 0 <0.000100>\n',
};

describe('the start of a recording', () => {
  const started = (texts: Readonly<Record<string, string>>, options: PlayOptions = {}): Player => {
    const player = new Player({ verify: 'never', ...options }, {});
    player.play(recordingItems(filesInMemory('r', texts)));
    return player;
  };

  it('is the address space that execve left, line by line', () => {
    const mm = started(RECORDING).machine.process(1)?.mm;
    expect(mm === undefined || mm === null ? '' : mapsText(mm).replaceAll(/ +\[heap\]/g, ' ')).toContain(
      '00401000-00402000 rw-p 00001000 fe:00 12                                 /bin/p\n',
    );
    expect(mm?.mapCount).toBe(6);
    expect(mm?.mmapBase).toBe(0x7fff_f7ff_f000);
  });
  it('maps one path as one open file, of one object', () => {
    const vmas = [...(started(RECORDING).machine.process(1)?.mm?.vmas ?? [])];
    expect(vmas[0]?.file).not.toBeNull();
    expect(vmas[0]?.file).toBe(vmas[1]?.file);
  });
  it('has page offsets that /proc does not show: those of fresh memory, and of a stack that was slid down', () => {
    const vmas = [...(started(RECORDING).machine.process(1)?.mm?.vmas ?? [])];
    expect(vmas[4]?.pgoff).toBe(0x7fff_f7ff_e000 / PAGE);
    expect(vmas[5]?.pgoff).toBe(0x7fff_ffff_d000 / PAGE);
  });
  it('sets limits and sysctls of the recorded machine, unless the caller has others', () => {
    const { machine } = started(RECORDING);
    expect(machine.process(1)?.mm?.limits.data).toEqual({ soft: 2 ** 20, hard: RLIM_INFINITY });
    expect([machine.kernel.config.maxMapCount, machine.kernel.config.overcommit]).toEqual([100, 1]);
    expect(machine.kernel.features.thp).toBe('never');
    expect(started(RECORDING, { config: { maxMapCount: 7 } }).machine.kernel.config.maxMapCount).toBe(7);
    expect(
      started(RECORDING, { features: { ...LINUX_6_18, thp: 'always' } }).machine.kernel.features.thp,
    ).toBe('always');
  });
});
