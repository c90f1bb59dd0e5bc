/**
 * The life of a vma, told from events: born in which operation, split, grown, moved, joined, or why it did not join.
 *
 * A vma that was split off, copied by mremap or inherited by fork has the life of the one it came from before its own. Vmas are called by
 * their number, which is never used twice.
 *
 * Cost   keeps every event about vmas: only for the one question
 */
import { hex, hexRange } from '../base/units.ts';
import type { MmEvent, PgoffUpdate } from '../mm/index.ts';
import { vmFlagCodes } from '../mm/index.ts';
import { type MergeEvent, sidesOf } from './counts.ts';

/** One thing that happened to a vma. */
export interface Chapter {
  readonly op: number;
  readonly vma: number;
  readonly text: string;
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/** The life of one vma so far, and where it came from. */
interface Life {
  readonly chapters: Chapter[];
  range: Range;
  /** The vma whose life this one continues, and how many chapters that one had then. */
  readonly before: { readonly vma: number; readonly chapters: number } | null;
}

/** The fold. Hand it every event in order. */
export class LifeStories {
  readonly #lives = new Map<number, Life>();
  /** Where each vma was last, by address space, to find one by address after it is gone. */
  readonly #last: {
    readonly mm: number;
    readonly vma: number;
    readonly range: Range;
    readonly op: number;
  }[] = [];
  #refused: MergeEvent | null = null;
  /** The chapter of the last merge: the resize that carries it out is told in the same sentence. */
  #tookPart: Chapter | null = null;

  /** Takes one event. */
  add(event: MmEvent): void {
    switch (event.kind) {
      case 'vmaCreate':
        this.#create(event);
        return;
      case 'vmaSplit':
        this.#split(event);
        return;
      case 'vmaResize':
        this.#resize(event);
        return;
      case 'vmaRemove':
        this.#remove(event);
        return;
      case 'vmaMerge':
        this.#merge(event);
        return;
      case 'vmaMove':
        this.#tell(event, event.vma, moveText(event));
        return;
      case 'anonVmaCreate':
        this.#tell(
          event,
          event.vma,
          event.parent === null
            ? `written: gets anon_vma ${event.anonVma}, a new one`
            : `gets anon_vma ${event.anonVma} under its parent's ${event.parent}`,
        );
        return;
      case 'anonVmaShare':
        this.#tell(event, event.vma, `written: shares anon_vma ${event.anonVma} of vma ${event.from}`);
        return;
      case 'flags':
        this.#tell(
          event,
          event.vma,
          `flags set by ${event.cause}: ${vmFlagCodes(event.flags)}${this.#refusal(event.op)}`,
        );
        return;
      case 'pgoffMerge':
      case 'anonVmaRehome':
      case 'placement':
      case 'pagesMove':
      case 'markerSplit':
      case 'vrange':
      case 'vrangePurge':
        return;
    }
  }

  #tell({ op }: { readonly op: number }, vma: number, text: string): void {
    this.#lives.get(vma)?.chapters.push({ op, vma, text });
  }

  #create(event: Extract<MmEvent, { kind: 'vmaCreate' }>): void {
    const { vma, from, cause, op } = event;
    this.#begin(vma, from, event);
    const where = `${hexRange(event.start, event.end)}, offset ${hex(event.pgoff)}`;
    const text =
      from === null
        ? `born by ${cause === 'initial' ? 'execve' : cause}: ${where}`
        : `${cause === 'fork' ? 'inherited from' : 'copied from'} vma ${from}: ${where}`;
    this.#tell(event, vma, `${text}${this.#refusal(op)}`);
  }

  #begin(vma: number, from: number | null, { start, end }: Range): void {
    const origin = from === null ? undefined : this.#lives.get(from);
    this.#lives.set(vma, {
      chapters: [],
      range: { start, end },
      before: origin === undefined || from === null ? null : { vma: from, chapters: origin.chapters.length },
    });
  }

  #split(event: Extract<MmEvent, { kind: 'vmaSplit' }>): void {
    const { vma, other, side, at, cause } = event;
    const life = this.#lives.get(vma);
    if (life === undefined) return;
    this.#tell(event, vma, `split at ${hex(at)} by ${cause}; the part ${side} is vma ${other}`);
    const below = { start: life.range.start, end: at };
    const above = { start: at, end: life.range.end };
    life.range = side === 'below' ? above : below;
    const range = side === 'below' ? below : above;
    this.#begin(other, vma, range);
    this.#tell(event, other, `split off vma ${vma} by ${cause}: ${hexRange(range.start, range.end)}`);
  }

  #resize(event: Extract<MmEvent, { kind: 'vmaResize' }>): void {
    const life = this.#lives.get(event.vma);
    if (life === undefined) return;
    const was = life.range;
    life.range = { start: event.start, end: event.end };
    const range = hexRange(event.start, event.end);
    const last = life.chapters.at(-1);
    if (last !== undefined && last.op === event.op && this.#tookPart === last) {
      life.chapters[life.chapters.length - 1] = { ...last, text: `${last.text}; now ${range}` };
      return;
    }
    const how = event.end - event.start > was.end - was.start ? 'grown to' : 'cut to';
    this.#tell(event, event.vma, `${how} ${range} by ${event.cause}`);
  }

  #remove(event: Extract<MmEvent, { kind: 'vmaRemove' }>): void {
    const { vma, into, cause, op, mm } = event;
    const range = this.#lives.get(vma)?.range ?? null;
    if (range !== null) this.#last.push({ mm, vma, range, op });
    if (into === null) {
      this.#tell(event, vma, `gone by ${cause}`);
      return;
    }
    this.#tell(event, vma, `absorbed by vma ${into}`);
    this.#tell(event, into, `absorbs vma ${vma}`);
  }

  #merge(event: MergeEvent): void {
    if (!event.merged || event.survivor === null) {
      this.#refused = event;
      return;
    }
    const { below, above } = sidesOf(event);
    const range = hexRange(event.start, event.end);
    this.#tell(event, event.survivor, `takes ${range} for ${event.cause} (below: ${below}, above: ${above})`);
    this.#tookPart = this.#lives.get(event.survivor)?.chapters.at(-1) ?? null;
  }

  /** A merge that failed just before in the same operation is why a vma is born or stands alone. */
  #refusal(op: number): string {
    const event = this.#refused;
    this.#refused = null;
    if (event === null || event.op !== op) return '';
    const { below, above } = sidesOf(event);
    const said = [
      ...(below === 'nobody' ? [] : [`below: ${below}`]),
      ...(above === 'nobody' ? [] : [`above: ${above}`]),
    ];
    return said.length === 0 ? '' : `; did not join (${said.join(', ')})`;
  }

  /** Returns the vma that last had `addr`, though it is gone; null if none had. @param mm  its address space, or null for any */
  lastAt(addr: number, mm: number | null = null): number | null {
    const found = this.#last.filter(
      (each) => (mm === null || each.mm === mm) && each.range.start <= addr && addr < each.range.end,
    );
    return found.at(-1)?.vma ?? null;
  }

  /** Returns everything that happened to `vma`, with the lives it continues, oldest first. */
  story(vma: number): Chapter[] {
    const parts: Chapter[][] = [];
    let upTo = Number.POSITIVE_INFINITY;
    for (let id: number | null = vma; id !== null; ) {
      const life = this.#lives.get(id);
      if (life === undefined) break;
      parts.push(life.chapters.slice(0, upTo));
      id = life.before?.vma ?? null;
      upTo = life.before?.chapters ?? 0;
    }
    return parts.reverse().flat();
  }
}

function moveText(event: Extract<MmEvent, { kind: 'vmaMove' }>): string {
  const way = `moved from ${hex(event.from)} to ${hex(event.to)}`;
  return `${way}; ${offsetText(event.pgoffUpdate)} ${hex(event.pgoffAfter)}`;
}

function offsetText(update: PgoffUpdate): string {
  switch (update) {
    case 'not-anonymous':
      return "the file's offset goes along:";
    case 'unfaulted':
      return 'never written, so it gets the offset of its new address:';
    case 'kept':
      return 'written, so it keeps its offset';
    case 'updated':
      return 'gets the offset of its new address (mergePgoffOnMove):';
    case 'relocated':
      return 'relocated, offset';
    case 'shared-anon-vma':
      return 'shared by fork (anon_vma), so it keeps its offset';
    case 'shared-page':
      return 'shared by fork (a page), so it keeps its offset';
  }
}
