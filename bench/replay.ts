/**
 * Replays of recordings, warm: the items are in memory, the machine is new each time, the code has run before. What a command does
 * besides (reading, comparing, checking invariants) is not in it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { must } from '../src/base/assert.ts';
import { openInput } from '../src/cli/inputs.ts';
import type { ReplayItem } from '../src/replay/index.ts';
import { Player } from '../src/replay/play/player.ts';
import type { Benchmark, Row, Run } from './benchmark.ts';
import { type EndState, endState, expectSameEnd, hashOf } from './endState.ts';
import { type KernelReplay, moved, writeKernelReplay } from './kernelReplay.ts';
import { type References, ROOT } from './references.ts';
import { nowNs, summarize, takeTurns } from './rounds.ts';

const TINY_OPS = 2000;

const RECORDINGS = [
  { bench: 'replay-redis', path: 'examples/recordings/redis' },
  { bench: 'replay-stress-mremap', path: 'bench/data/stress-mremap' },
] as const;

export const replays: readonly Benchmark[] = RECORDINGS.map(({ bench, path }) => ({
  rows: [bench],
  run: (options: Run): Row[] => [measure(bench, path, options)],
}));

/** Returns the items of a recording; of a tiny run those up to its first operations. */
function itemsOf(path: string, tiny: boolean): ReplayItem[] {
  const input = openInput(join(ROOT, path), { quiet: true });
  if (input.kind !== 'items') throw new Error(`${path} is no recording`);
  const items: ReplayItem[] = [];
  let ops = 0;
  for (const item of input.items()) {
    if (item.kind === 'end') continue;
    if (item.kind === 'op' && ++ops > TINY_OPS && tiny) break;
    items.push(item);
  }
  return items;
}

function measure(bench: string, path: string, { tiny, references }: Run): Row {
  const items = itemsOf(path, tiny);
  const ops = items.filter((item) => item.kind === 'op').length;
  let end: EndState = { vmas: 0, hash: '' };
  let events = 0;
  const ours = (): number => {
    events = 0;
    const options = { verify: 'never', events: () => void events++ } as const;
    const began = nowNs();
    const player = new Player(options, {});
    for (const item of items) player.feed(item);
    const ns = nowNs() - began;
    end = endOf(player);
    return ns / ops;
  };
  const written = references.missing === null ? writeKernelReplay(items) : null;
  const kernel = new KernelSide(bench, references, written);
  const times = takeTurns(tiny ? 1 : 15, tiny ? 0 : 10, ours, () => kernel.replay(end, ops));
  kernel.remove();
  const row = summarize(times);
  const speed = `${(1000 / row.ours).toFixed(2)} M ops/s`;
  const note = [
    speed,
    references.missing ?? describe(must(written, '[bench] there are references'), ops),
  ].join('; ');
  return { bench, ...row, unit: 'ns/op', hash: hashOf(`${end.hash} ${events}`), note };
}

/** The address space of the recorded process itself, where the kernel's side has it. */
function endOf(player: Player): EndState {
  const mm = player.machine.processOf(player.start?.task ?? -1)?.mm ?? null;
  return endState(must(mm, '[bench] the recorded process lives'), { low: 0, high: 2 ** 47 }, moved);
}

function describe(written: KernelReplay, ops: number): string {
  const leftOut = [...written.leftOut]
    .toSorted((a, b) => b[1] - a[1])
    .map(([what, count]) => `${count} ${what}`);
  const what = leftOut.length === 0 ? 'nothing' : leftOut.join(', ');
  return `same VMAs at the end as on the kernel, which did ${written.written} of ${ops} operations; left out: ${what}`;
}

/** The kernel's side: a file of operations, and the program that carries them out. */
class KernelSide {
  readonly #bench: string;
  readonly #references: References;
  readonly #folder: string | null;

  constructor(bench: string, references: References, written: KernelReplay | null) {
    this.#bench = bench;
    this.#references = references;
    this.#folder = written === null ? null : mkdtempSync(join(tmpdir(), 'faultline-bench-'));
    if (written !== null) writeFileSync(this.#file, written.text);
  }

  get #file(): string {
    return join(this.#folder ?? '', 'operations');
  }

  /** Returns ns an operation of the recording, whether or not the kernel's side does all of them. */
  replay(end: EndState, ops: number): number | null {
    if (this.#folder === null) return null;
    const answer = this.#references.run('replay', [this.#file]);
    if (answer === null) return null;
    const wrong = answer.numbers.get('wrong') ?? 0;
    if (wrong !== 0)
      throw new Error(`${this.#bench}: the kernel answered ${wrong} operations otherwise than recorded`);
    expectSameEnd(this.#bench, end, { vmas: answer.numbers.get('vmas') ?? 0, hash: answer.hash });
    return (answer.numbers.get('ns') ?? 0) / ops;
  }

  remove(): void {
    if (this.#folder !== null) rmSync(this.#folder, { recursive: true });
  }
}
