/**
 * What the ioctls of userfaultfd and pagemap are charged: one measured path each, by what they met.
 *
 *   COPY, ZEROPAGE, CONTINUE, POISON   so much a call and a page; COPY into a file more a page
 *   MOVE                               pages; entries that are in swap, and huge pages, have figures of their own
 *   WRITEPROTECT                       entries that were there, markers put, markers that were there already
 *   REGISTER, UNREGISTER               what mprotect of memory without pages costs, splits and merges, and the end of protection
 *   PAGEMAP_SCAN                       entries looked at, memory without tables, pages found, pages protected, regions
 *
 * A call that met several kinds pays the fixed part of the one it met most of, and for each page the price of its own kind.
 *
 * Cost    one pass over a dozen facts
 */
import { FACT, type Fact, PATH, type PathName, type Work } from '../mm/work.ts';

const WATCHED = Uint8Array.of(
  FACT.vmasSplit,
  FACT.writtenVmasSplit,
  FACT.vmasMerged,
  FACT.writtenVmasMerged,
  FACT.bordersMoved,
  FACT.ptesMoved,
  FACT.swapPtesMoved,
  FACT.pmdsMoved,
  FACT.foliosSplit,
  FACT.pmdsSplit,
  FACT.ptesReprotected,
  FACT.pmdsReprotected,
  FACT.markersSet,
  FACT.pmdMarkersSet,
  FACT.pmdMarkersZapped,
  FACT.markersKept,
  FACT.markersZapped,
  FACT.ptesSet,
  FACT.entriesScanned,
  FACT.absentScanned,
  FACT.pagesScanned,
);

const FILL_PATHS = {
  copy: PATH['uffd-copy'],
  zeropage: PATH['uffd-zeropage'],
  continue: PATH['uffd-continue'],
  poison: PATH['uffd-poison'],
} as const;

/** Calls beyond this many entries pay the rate that was measured with 65,536; MADV_DONTNEED has its border there, too. */
const LARGE_ENTRIES = 32768;

/** Charges these calls of one kernel. */
export class UffdCharges {
  readonly #work: Work;
  readonly #before: Float64Array;

  /** @param work  the counters that are read and charged */
  constructor(work: Work) {
    this.#work = work;
    this.#before = new Float64Array(work.facts.length);
  }

  /** A call begins. */
  begin(): void {
    const { facts } = this.#work;
    for (let i = 0; i < WATCHED.length; i++) {
      const fact = WATCHED[i] as number;
      this.#before[fact] = facts[fact] as number;
    }
  }

  /** UFFDIO_COPY, ZEROPAGE, CONTINUE or POISON is over. @param pages  that were filled; @param intoFile  new pages of a file */
  endFill(kind: 'copy' | 'zeropage' | 'continue' | 'poison', pages: number, intoFile: boolean): void {
    // Shared memory cannot map the zero page: it gets a page, which COPY of one page comes nearest to.
    const isNewInFile = intoFile && (kind === 'copy' || kind === 'zeropage');
    if (pages === 0) this.#charge('syscall', 1);
    else if (isNewInFile) {
      this.#charge('uffd-copy', 1);
      this.#charge('uffd-copy-file', 0, pages);
    } else this.#work.charge(FILL_PATHS[kind], 1, pages);
    if (kind === 'continue') this.#work.visitedRecords(pages);
    if (kind === 'copy' && !intoFile) this.#work.tookPages(pages);
    this.#work.settle();
  }

  /** UFFDIO_MOVE is over. */
  endMove(): void {
    const swapped = this.#since(FACT.swapPtesMoved);
    const pages = this.#since(FACT.ptesMoved) - swapped;
    const huge = this.#since(FACT.pmdsMoved);
    if (pages + swapped + huge === 0) this.#charge('syscall', 1);
    else if (pages + huge > 0) this.#charge('uffd-move', 1, pages);
    this.#charge('uffd-move-swapped', pages + huge > 0 ? 0 : Math.sign(swapped), swapped);
    this.#charge('uffd-move-huge', 0, huge);
    this.#splitHuge();
    this.#work.settle();
  }

  /** UFFDIO_WRITEPROTECT is over. @param on  it protected */
  endProtect(on: boolean): void {
    const there = this.#since(FACT.ptesReprotected) + this.#since(FACT.pmdsReprotected);
    const kept = this.#since(FACT.markersKept);
    const parts: readonly (readonly [PathName, number])[] = on
      ? [
          [there > LARGE_ENTRIES ? 'uffd-protect-large' : 'uffd-protect', there],
          ['uffd-mark', this.#marked() + this.#since(FACT.ptesSet)],
          ['uffd-mark-again', kept],
        ]
      : [
          [there > LARGE_ENTRIES ? 'uffd-unprotect-large' : 'uffd-unprotect', there],
          ['uffd-unmark', this.#since(FACT.markersZapped) + this.#since(FACT.pmdMarkersZapped)],
        ];
    const most = parts.reduce((a, b) => (b[1] > a[1] ? b : a));
    for (const part of parts) this.#charge(part[0], part === most ? 1 : 0, part[1]);
    this.#splitHuge();
    this.#work.settle();
  }

  /** UFFDIO_REGISTER or UNREGISTER is over: a change of attributes of vmas, and the end of protection. @param isRefused  nothing was done */
  endRegister(isRefused: boolean): void {
    if (isRefused && this.#since(FACT.vmasSplit) === 0) {
      this.#charge('syscall', 1);
      return;
    }
    this.#charge('vma-attributes', 1);
    this.#charge('split', 0, this.#since(FACT.vmasSplit));
    this.#charge('split-written', 0, this.#since(FACT.writtenVmasSplit));
    this.#charge('merge', 0, this.#since(FACT.vmasMerged));
    this.#charge('merge-written', 0, this.#since(FACT.writtenVmasMerged));
    this.#charge('border', 0, this.#since(FACT.bordersMoved));
    this.#charge('uffd-unprotect', 0, this.#since(FACT.ptesReprotected) + this.#since(FACT.pmdsReprotected));
    this.#charge('uffd-unmark', 0, this.#since(FACT.markersZapped));
    this.#work.settle();
  }

  /** A read of the descriptor is over. @param messages  that it got; a call that does nothing else counts as one without */
  endRead(messages: number): void {
    this.#charge('syscall', 1);
    this.#charge('uffd-read', messages);
  }

  /** PAGEMAP_SCAN is over. @param regions  that it reported */
  endScan(regions: number): void {
    this.#charge('pagemap-scan', 1, this.#since(FACT.entriesScanned));
    this.#charge('pagemap-scan-absent', 0, this.#since(FACT.absentScanned));
    this.#charge('pagemap-scan-found', 0, this.#since(FACT.pagesScanned));
    this.#charge('pagemap-scan-regions', 0, regions);
    const entries = this.#since(FACT.ptesReprotected) + this.#since(FACT.pmdsReprotected);
    this.#charge('pagemap-scan-protect', 0, entries + this.#marked());
    this.#splitHuge();
    this.#work.settle();
  }

  /** A read of pagemap is over. */
  endPagemapRead(pages: number): void {
    this.#charge('pagemap-read', 1, pages);
  }

  /** Markers that were put: one for 2 MiB is an entry like any other. */
  #marked(): number {
    return this.#since(FACT.markersSet) + this.#since(FACT.pmdMarkersSet);
  }
  #splitHuge(): void {
    const folios = this.#since(FACT.foliosSplit);
    this.#charge('folio-split', 0, folios);
    this.#charge('pmd-split', 0, Math.max(0, this.#since(FACT.pmdsSplit) - folios));
  }
  #since(fact: Fact): number {
    return (this.#work.facts[fact] as number) - (this.#before[fact] as number);
  }
  #charge(path: PathName, calls: number, pages = 0): void {
    if (calls !== 0 || pages !== 0) this.#work.charge(PATH[path], calls, pages);
  }
}
