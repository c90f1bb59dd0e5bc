/**
 * Two threads are inside mmap at once; the one that returns first got the place below the other.
 *
 *      | first | second | anchor |        first was placed after second, or it would lie where second is
 */
import { describe, expect, it } from 'vitest';
import { fileItems } from '../fileItems.ts';
import { filesInMemory } from '../input.ts';
import type { ReplayItem } from '../item.ts';
import type { ReadingOptions } from '../reading.ts';
import { orderOfCalls, type Pass, playInSettledOrder, type Rereadable } from './settledOrder.ts';

const ARGS = 'NULL, 4096, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0';
const ANCHOR = 0x7f_0010_0000;
const PAGE = 0x1000;

function input(first: number, second: number): Rereadable & { readings: ReadingOptions[] } {
  const lines = [
    '10 1.0 execve("/bin/x", ["x"], 0x7ffc /* 1 var */) = 0 <0.000001>',
    '10 2.0 clone(child_stack=0x7f0000, flags=CLONE_VM|CLONE_THREAD|CLONE_SIGHAND) = 11 <0.000001>',
    `10 3.0 mmap(${ARGS}) = 0x${ANCHOR.toString(16)} <0.000001>`,
    `10 4.0 mmap(${ARGS} <unfinished ...>`,
    `11 5.0 mmap(${ARGS} <unfinished ...>`,
    `10 6.0 <... mmap resumed>) = 0x${first.toString(16)} <2.0>`,
    `11 7.0 <... mmap resumed>) = 0x${second.toString(16)} <2.0>`,
  ];
  const files = filesInMemory('x', { '': lines.join('\n') });
  const readings: ReadingOptions[] = [];
  return {
    readings,
    items: (reading = {}) => {
      readings.push(reading);
      return fileItems(files, 'strace', reading);
    },
  };
}

/** Notes where mappings went. Says it would have placed those in `elsewhere` at another address. */
class Notes implements Pass {
  readonly led: number[] = [];
  readonly followed: number[] = [];
  readonly #elsewhere: readonly number[];

  constructor(elsewhere: readonly number[] = []) {
    this.#elsewhere = elsewhere;
  }

  lead(item: ReplayItem): boolean {
    const addr = addressOf(item);
    if (addr === null) return false;
    this.led.push(addr);
    return this.#elsewhere.includes(addr);
  }

  follow(item: ReplayItem): void {
    const addr = addressOf(item);
    if (addr !== null) this.followed.push(addr);
  }
}

const addressOf = (item: ReplayItem): number | null =>
  item.kind === 'op' && item.op.call === 'mmap' ? (item.chosen.addr ?? null) : null;

describe('the order of overlapping calls', () => {
  it('is found among the calls, so that everything is played once', () => {
    const [first, second] = [ANCHOR - 2 * PAGE, ANCHOR - PAGE];
    const source = input(first, second);
    const passes: Notes[] = [];
    const settled = playInSettledOrder(source, {}, () => {
      passes.push(new Notes());
      return passes.at(-1) as Notes;
    });
    expect(passes).toHaveLength(1);
    expect(settled.led).toEqual([ANCHOR, second, first]);
    expect(settled.followed).toEqual(settled.led);
    expect(source.readings.filter(({ isForOrder }) => !isForOrder)).toHaveLength(1);
  });

  it('is that of the rules where the addresses agree with it', () => {
    const source = input(ANCHOR - PAGE, ANCHOR - 2 * PAGE);
    expect(orderOfCalls(source, {}).size).toBe(0);
    expect(source.readings).toHaveLength(1);
  });

  it('is followed in another pass where only that shows it', () => {
    // The calls alone say nothing: here nothing ends where another begins but by what the lanes know.
    const [first, second] = [ANCHOR - 9 * PAGE, ANCHOR - 8 * PAGE];
    const source: Rereadable = {
      items: (reading = {}) => (reading.isForOrder ? [] : input(first, second).items(reading)),
    };
    const passes: Notes[] = [];
    const settled = playInSettledOrder(source, {}, () => {
      passes.push(new Notes([first]));
      return passes.at(-1) as Notes;
    });
    expect(passes.map(({ led }) => led)).toEqual([
      [ANCHOR, first, second],
      [ANCHOR, second, first],
    ]);
    expect(passes[0]?.followed).toEqual([ANCHOR, first]);
    expect(settled.followed).toEqual(settled.led);
  });
});
