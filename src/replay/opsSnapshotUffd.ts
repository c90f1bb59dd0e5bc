/**
 * The lines that snapshots of opfuzz-uffd files have more than others: categories, userfaultfds, the memfd, who sleeps.
 *
 *   cat START-END WRITTEN|PRESENT
 *   uffd u0 pending=0 total=1 API=aa:80017d21:80000000000001ff
 *   memfd m0 size=2097152 blocks_kb=984 data=af000-1a2000,1ed000-1f0000
 *   blocked 0 op 1                    blocked child 2 op 17
 */
import { PAGE_CATEGORIES } from '../abi/pagemapScan.ts';
import type {
  SnapshotCategories,
  SnapshotContext,
  SnapshotMemfd,
  SnapshotSleeper,
  SnapshotUffd,
} from './item.ts';
import { ownCopy, type Scanner } from './scanner.ts';

/** Reads `START-END` in hex. */
function range(at: Scanner): { start: number; end: number } {
  const start = at.hex('the start address in hex');
  at.expect('-', '"-" between start and end');
  const end = at.hex('the end address in hex');
  return { start, end };
}

/** Reads what follows `cat `. */
export function readCategories(at: Scanner): SnapshotCategories {
  const where = range(at);
  at.expect(' ', 'a blank and the categories');
  const from = at.pos;
  const word = at.word();
  let categories = 0;
  if (word !== '0')
    for (const name of word.split('|')) {
      const bit = PAGE_CATEGORIES.get(name);
      if (bit === undefined)
        at.fail(`"${name}" is no category of pages`, `0, or ${[...PAGE_CATEGORIES.keys()].join('|')}`, from);
      categories |= bit;
    }
  at.finish('the end of the line');
  return { ...where, categories, line: at.line };
}

/** Collects the lines about the whole of a snapshot. */
export class UffdLines {
  readonly #at: Scanner;
  #contexts: SnapshotContext[] = [];
  #memfd: SnapshotMemfd | null = null;
  #sleepers: SnapshotSleeper[] = [];

  constructor(at: Scanner) {
    this.#at = at;
  }

  /** Reads the line if it is one of these. */
  accept(): boolean {
    const at = this.#at;
    if (at.accept('uffd u')) this.#contexts.push(this.#context());
    else if (at.accept('memfd m0 ')) this.#memfd = this.#readMemfd();
    else if (at.accept('blocked ')) this.#sleepers.push(this.#sleeper());
    else return false;
    at.finish('the end of the line');
    return true;
  }

  /** Returns what was read since the last call. */
  take(): SnapshotUffd {
    const memfd =
      this.#memfd ??
      this.#at.fail('the snapshot has no line about the memfd', 'a line "memfd m0 size=…" before "end"', 0);
    const taken = { contexts: this.#contexts, memfd, sleepers: this.#sleepers };
    this.#contexts = [];
    this.#memfd = null;
    this.#sleepers = [];
    return taken;
  }

  #field(name: string): number {
    this.#at.expect(`${name}=`, `${name}= and a number`);
    return this.#at.decimal('a decimal number');
  }

  #context(): SnapshotContext {
    const at = this.#at;
    const number = at.decimal('the number of a userfaultfd');
    at.expect(' ', 'a blank and pending=');
    const pending = this.#field('pending');
    at.expect(' ', 'a blank and total=');
    const total = this.#field('total');
    at.expect(' API=', '" API=" and what fdinfo has there');
    const from = at.pos;
    const api = at.word();
    if (!/^[0-9a-f]+:[0-9a-f]+:[0-9a-f]+$/.test(api))
      at.fail(
        `"${api}" is no line of fdinfo`,
        'three numbers in hex such as aa:80000001:80000000000001ff',
        from,
      );
    return { number, pending, total, api: ownCopy(api), line: at.line };
  }

  #readMemfd(): SnapshotMemfd {
    const at = this.#at;
    const size = this.#field('size');
    at.expect(' ', 'a blank and blocks_kb=');
    const blocksKb = this.#field('blocks_kb');
    at.expect(' data=', '" data=" and ranges in hex');
    const data: { start: number; end: number }[] = [];
    while (!at.atEnd && at.text[at.pos] !== ' ') {
      if (data.length > 0) at.expect(',', '"," between ranges');
      data.push(range(at));
    }
    return { size, blocksKb, data, line: at.line };
  }

  #sleeper(): SnapshotSleeper {
    const at = this.#at;
    const kind = at.accept('child ') ? 'child' : 'worker';
    const number = at.decimal(`the number of a ${kind}`);
    at.expect(' op ', '" op " and the number of the operation');
    const op = at.decimal('the number of the operation');
    return { who: { kind, number }, number: op, line: at.line };
  }
}
