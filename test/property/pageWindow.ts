/**
 * Another stupid model: what each page of a window of some MiB holds, for calls that move, share, protect and discard whole tables and huge pages.
 *
 * pageModel.ts knows all flags of 20 pages; this one knows only what a load finds, but of 3,072 pages, so that ranges cover tables and
 * huge pages whole and in part. An entry a page, no tables, no frames. What a page holds follows from the calls but for one thing: a page that
 * was freed lazily may be there or gone once the kernel has looked for memory, and then the kernel decides.
 */
import {
  MADV_DONTNEED,
  MADV_FREE,
  MADV_GUARD_INSTALL,
  MADV_GUARD_REMOVE,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  PROT_READ,
  PROT_WRITE,
} from '../../src/abi/mman.ts';
import type { FileObject } from '../../src/mm/index.ts';
import { type Machine, type Memory, RW } from '../support/memory.ts';

/** Pages of the window: six tables. */
export const NR_PAGES = 6 * 512;
/** Pages of the file at the start. */
export const FILE_PAGES = 2 * 512 + 100;

/** A file: first words by page, 0 where there is none. */
export class WindowFile {
  readonly object: FileObject;
  readonly contents = new Map<number, number>();
  pages = FILE_PAGES;

  constructor(object: FileObject) {
    this.object = object;
  }
}

/** What a process has to itself at one page. fork shares it. */
interface Own {
  readonly word: number;
  /** Somebody freed it lazily. */
  lazy: boolean;
}

/** One mapped page. */
interface WindowPage {
  prot: number;
  readonly file: WindowFile | null;
  readonly pgoff: number;
  readonly shared: boolean;
  own: Own | null;
  /** It was written through this mapping since it was last freed or paged out. */
  dirty: boolean;
  guard: boolean;
}

/** A process: its memory, and what should be in it. */
export class WindowProcess {
  readonly memory: Memory;
  readonly pages = new Map<number, WindowPage>();

  constructor(memory: Memory) {
    this.memory = memory;
  }

  #forEach(page: number, n: number, each: (of: WindowPage, page: number) => void): void {
    for (let i = page; i < page + n; i++) {
      const of = this.pages.get(i);
      if (of !== undefined) each(of, i);
    }
  }
  /** Tells whether every page of the range is mapped. */
  isMapped(page: number, n: number): boolean {
    for (let i = page; i < page + n; i++) if (!this.pages.has(i)) return false;
    return true;
  }

  map(page: number, n: number, how: { file: WindowFile | null; shared: boolean; pgoff: number }): void {
    const { file, shared, pgoff } = how;
    this.memory.map(page, n, file === null ? {} : { object: file.object, shared, pgoff });
    for (let i = 0; i < n; i++)
      this.pages.set(page + i, {
        ...{ prot: RW, file, shared, own: null, dirty: false, guard: false },
        pgoff: file === null ? 0 : pgoff + i,
      });
  }
  unmap(page: number, n: number): void {
    this.memory.unmap(page, n);
    for (let i = page; i < page + n; i++) this.pages.delete(i);
  }
  protect(page: number, n: number, prot: number): void {
    this.memory.protect(page, n, prot);
    // It stops at the first page that is not mapped.
    for (let i = page; i < page + n; i++) {
      const of = this.pages.get(i);
      if (of === undefined) return;
      of.prot = prot;
    }
  }
  /** Stores (a word that tells the store and the page) or loads, one a page; it stops at the first signal. */
  touch(page: number, n: number, how: { step: number; store: number | null }): void {
    const { step, store } = how;
    for (let i = page; i < page + n; i += step) {
      const expected = this.#answer(i, store !== null);
      if (expected !== 'ok') {
        // A signal ends a run of accesses: what came before it is done first.
        this.#access(page, i - page, how);
        const came = store === null ? this.memory.read(i) : this.memory.write(i);
        if (came !== expected) throw new Error(`page ${i} answers ${came}, not ${expected}`);
        return;
      }
    }
    this.#access(page, n, how);
  }
  #access(page: number, n: number, { step, store }: { step: number; store: number | null }): void {
    if (n <= 0) return;
    const came = this.memory.touch(
      page,
      store === null ? 'read' : 'write',
      store === null ? { pages: n, step } : { pages: n, step, stamp: store },
    );
    const signal = came.findIndex((one) => one.startsWith('SEGV') || one.startsWith('BUS'));
    if (signal >= 0) throw new Error(`page ${page + signal * step} answers ${came[signal]}`);
    if (store === null) return;
    for (let i = page; i < page + n; i += step) this.#store(i, store + i);
  }
  #store(page: number, word: number): void {
    const of = this.pages.get(page) as WindowPage;
    if (of.shared) of.file?.contents.set(of.pgoff, word);
    else of.own = { word, lazy: false };
    of.dirty = true;
  }
  #answer(page: number, store: boolean): string {
    const of = this.pages.get(page);
    if (of === undefined) return 'SEGV_MAPERR';
    if ((of.prot & (store ? PROT_WRITE : RW)) === 0) return 'SEGV_ACCERR';
    if (of.guard) return 'SEGV_MAPERR';
    return isBeyondEnd(of) ? 'BUS_ADRERR' : 'ok';
  }

  advise(page: number, n: number, advice: number): void {
    this.memory.advise(page, n, advice);
    if (advice === MADV_POPULATE_READ || advice === MADV_POPULATE_WRITE) {
      this.#populate(page, n, advice === MADV_POPULATE_WRITE);
      return;
    }
    for (let i = page; i < page + n; i++) {
      const of = this.pages.get(i);
      if (of === undefined) continue;
      // MADV_FREE stops at the first mapping that is not private anonymous memory.
      if (advice === MADV_FREE && of.file !== null) return;
      this.#advisePage(of, i, advice);
    }
  }
  #advisePage(of: WindowPage, page: number, advice: number): void {
    switch (advice) {
      case MADV_DONTNEED:
        of.own = null;
        return;
      case MADV_GUARD_INSTALL:
        of.own = null;
        of.guard = true;
        return;
      case MADV_GUARD_REMOVE:
        of.guard = false;
        return;
      case MADV_FREE:
        if (of.own !== null) of.own.lazy = true;
        of.dirty = false;
        this.#mayBeGone(of, page);
        return;
      case MADV_PAGEOUT:
        if (of.file === null && of.own?.lazy === true && !of.dirty) this.#mayBeGone(of, page);
        of.dirty = false;
    }
  }
  /** The kernel says whether the page is still there. */
  #mayBeGone(of: WindowPage, page: number): void {
    if (this.memory.holds(page) === 0) of.own = null;
  }
  #populate(page: number, n: number, write: boolean): void {
    for (let i = page; i < page + n; i++) {
      const of = this.pages.get(i);
      if (of === undefined || (of.prot & (write ? PROT_WRITE : PROT_READ)) === 0) return;
      if (of.guard || isBeyondEnd(of)) return;
      if (write && !of.shared && of.own === null) of.own = { word: contentOf(of), lazy: false };
      if (write) of.dirty = true;
    }
  }

  /** Moves a range of mapped pages. @param dontUnmap  the source stays mapped, and is empty */
  move(from: number, to: number, n: number, dontUnmap: boolean): void {
    const why = this.memory.move(from, to, n, dontUnmap);
    if (why !== 'ok') throw new Error(`the move is refused: ${why}`);
    for (let i = 0; i < n; i++) {
      const of = this.pages.get(from + i) as WindowPage;
      this.pages.set(to + i, of);
      if (dontUnmap) this.pages.set(from + i, { ...of, own: null, dirty: false, guard: false });
      else this.pages.delete(from + i);
    }
  }
  fork(): WindowProcess {
    const child = new WindowProcess(this.memory.fork());
    for (const [page, of] of this.pages) child.pages.set(page, { ...of });
    return child;
  }
  /** Pages of `file` from `first` to below `end` are gone; copies in private mappings too if `copiesToo`. */
  loseFile(file: WindowFile, range: { first: number; end: number }, copiesToo: boolean): void {
    if (!copiesToo) return;
    this.#forEach(0, NR_PAGES, (of) => {
      if (of.file === file && of.pgoff >= range.first && of.pgoff < range.end) of.own = null;
    });
  }

  /** Returns what is wrong with the first page of [from, to) that is not as it should be, or null. */
  difference(from = 0, to = NR_PAGES): string | null {
    for (let page = from; page < to; page++) {
      const of = this.pages.get(page);
      if (of === undefined) continue;
      const wrong = wrongPage(this.memory, page, of);
      if (wrong !== null) return `page ${page} ${wrong}`;
    }
    return null;
  }
}

const isBeyondEnd = (of: WindowPage): boolean =>
  of.file !== null && of.pgoff >= of.file.pages && of.own === null;
const contentOf = (of: WindowPage): number => of.own?.word ?? of.file?.contents.get(of.pgoff) ?? 0;

function wrongPage(memory: Memory, page: number, of: WindowPage): string | null {
  const { kind, stamp } = memory.at(page);
  if ((kind === 'guard') !== of.guard) return `is ${kind}, guard should be ${of.guard}`;
  if (of.guard) return null;
  const own = kind === 'anonymous' || kind === 'swap' || kind === 'zeroPage';
  if (own && of.shared) return `is ${kind} in a shared mapping`;
  if (kind === 'file' && of.own !== null) return 'lost the copy of the process';
  if (kind === 'none' && of.file !== null && of.own !== null) return 'is gone, and was a copy of the process';
  if (own && of.file !== null && of.own === null) return `is ${kind}, and should be the file's`;
  const holds = kind === 'none' ? inCache(memory.machine, of) : stamp;
  return holds === contentOf(of) ? null : `holds ${holds} (${kind}), not ${contentOf(of)}`;
}

/** What a load would bring where there is no entry. */
function inCache({ kernel }: Machine, { file, pgoff }: WindowPage): number {
  if (file === null) return 0;
  const pfn = kernel.cache.find(file.object, pgoff);
  if (pfn !== null) return kernel.frames.stamp(pfn);
  const slot = kernel.sharedSwap.slotOf(file.object, pgoff);
  return slot === null ? 0 : kernel.swap.stamp(slot);
}
