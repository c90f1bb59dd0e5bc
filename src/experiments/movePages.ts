/**
 * Rows of seed 000 about single facts: COPY against MOVE, how many vmas protection makes, which mremap is refused, and a slide of pages in swap.
 */
import {
  MADV_DONTNEED,
  MADV_PAGEOUT,
  MADV_POPULATE_WRITE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_NONE,
  PROT_READ,
  PROT_WRITE,
} from '../abi/mman.ts';
import { UFFDIO_REGISTER_MODE_MISSING } from '../abi/userfaultfd.ts';
import { PAGE_SIZE, PMD_SIZE } from '../base/units.ts';
import { type Calibration, type Running, type Thread, Userfaultfd } from '../machine/index.ts';
import { DEFAULT_CONFIG, FACT, type Features } from '../mm/index.ts';
import { memoryOf, runAlone, timed } from './alone.ts';
import type { ExperimentInput } from './experiment.ts';
import { type Row, rowOf } from './row.ts';

const FROM = 0x7e40_0000_0000;
const TO = 0x7e80_0000_0000;
const SWAPPED_IN = FACT.pagesSwappedIn;
const SWAPPED_OUT = FACT.pagesSwappedOut;
const RW = PROT_READ | PROT_WRITE;

// ---- COPY against MOVE -------------------------------------------------------------------------------------------------------------

/** How a page comes to another place. */
export type Way = 'copy' | 'move';

/** On 6.18.44, nanoseconds a page (figures uffd_copy_ and uffd_move_ of the calibration). */
const MEASURED_NS: Readonly<Record<Way, Readonly<Record<number, number>>>> = {
  copy: { 1: 1409, 4: 857, 16: 704, 64: 662, 512: 647 },
  move: { 1: 1029, 4: 335, 16: 158, 64: 77.2, 512: 61.6 },
};
/** "20 % performance gap", of the older UFFDIO_REMAP. */
const PUBLISHED_GAP = 1.2;

/** Returns the nanoseconds a page of ioctls over `batch` pages each, 2 MiB in all. */
export function nsAPage(calibration: Calibration, way: Way, batch: number): number {
  return runAlone({ calibration }, function* (t) {
    const uffd = yield* twoPlaces(t, PMD_SIZE);
    yield* t.madvise(FROM, PMD_SIZE, MADV_POPULATE_WRITE);
    // The figures were taken round after round: the pages that COPY takes were given back a moment ago.
    yield* t.mmap(PMD_SIZE, { at: TO + PMD_SIZE });
    yield* t.madvise(TO + PMD_SIZE, PMD_SIZE, MADV_POPULATE_WRITE);
    yield* t.madvise(TO + PMD_SIZE, PMD_SIZE, MADV_DONTNEED);
    const calls = Math.floor(PMD_SIZE / PAGE_SIZE / batch);
    const ns = yield* timed(t, transfer(t, uffd, { way, batch, calls, step: 1 }));
    return ns / (calls * batch);
  });
}

function* twoPlaces(t: Thread, len: number): Running<Userfaultfd> {
  yield* t.mmap(len, { at: FROM });
  yield* t.mmap(len, { at: TO });
  const uffd = yield* Userfaultfd.open(t);
  yield* uffd.register(t, TO, len, UFFDIO_REGISTER_MODE_MISSING);
  return uffd;
}

/** Brings `calls` times `batch` pages, every `step`th, side by side. */
function* transfer(
  t: Thread,
  uffd: Userfaultfd,
  of: { readonly way: Way; readonly batch: number; readonly calls: number; readonly step: number },
): Running<void> {
  const len = of.batch * PAGE_SIZE;
  for (let i = 0; i < of.calls; i++) {
    const request = { start: TO + i * len, len, source: FROM + i * of.step * len };
    if (of.way === 'move') yield* uffd.move(t, request);
    else yield* uffd.fill(t, 'copy', request);
  }
}

function gapRow({ costs, kernel }: ExperimentInput, batch: number): Row {
  const known = (way: Way): number | null =>
    kernel === null ? (MEASURED_NS[way][batch] ?? null) : kernel.nsAPage({ way, batch });
  const modelled = {
    copy: nsAPage(costs.calibration, 'copy', batch),
    move: nsAPage(costs.calibration, 'move', batch),
  };
  const measured = { copy: known('copy'), move: known('move') };
  const text = (ns: { copy: number; move: number }): string =>
    `${Math.round(ns.copy)} and ${Math.round(ns.move)} ns a page`;
  const beside =
    measured.copy === null || measured.move === null ? null : { copy: measured.copy, move: measured.move };
  return rowOf({
    name: `UFFDIO_COPY / UFFDIO_MOVE, ${batch} ${batch === 1 ? 'page' : 'pages'} an ioctl`,
    published: PUBLISHED_GAP,
    measured: beside === null ? null : beside.copy / beside.move,
    modelled: modelled.copy / modelled.move,
    unit: 'times',
    tolerance: 0.25,
    within: [1, Number.POSITIVE_INFINITY],
    elsewhere: true,
    note: `modelled ${text(modelled)}${beside === null ? '' : `, measured ${text(beside)}`}; published: about 20 % for the ioctls of 2015, of which the sign has to hold`,
  });
}

// ---- vmas --------------------------------------------------------------------------------------------------------------------------

/** Pages of a reservation in which every second one becomes accessible: returns vmas more than before. */
function vmasOfEverySecond(calibration: Calibration, pages: number): number {
  return runAlone({ calibration }, function* (t) {
    yield* t.mmap(pages * PAGE_SIZE, { at: FROM, prot: PROT_NONE });
    for (let i = 1; i < pages; i += 2) yield* t.mprotect(FROM + i * PAGE_SIZE, PAGE_SIZE);
    return memoryOf(t).mapCount;
  });
}

/** How many vmas there are when mprotect is refused for their number. */
function vmasAtLimit(calibration: Calibration): number {
  return runAlone({ calibration }, function* (t) {
    const pages = 2 * DEFAULT_CONFIG.maxMapCount + 16;
    yield* t.mmap(pages * PAGE_SIZE, { at: FROM, prot: PROT_NONE });
    for (let i = 1; i < pages; i += 2) {
      const addr = FROM + i * PAGE_SIZE;
      const outcome = yield* t.attempt({ call: 'mprotect', addr, len: PAGE_SIZE, prot: RW });
      if (outcome.kind === 'errno') return outcome.errno === 'ENOMEM' ? memoryOf(t).mapCount : 0;
    }
    return 0;
  });
}

/** Tells (1 or 0) whether moving a heap that is three vmas is refused with EFAULT. */
function isMoveRefused(calibration: Calibration, armed: boolean, features: Partial<Features>): number {
  return runAlone({ calibration, features }, function* (t) {
    yield* t.mmap(PMD_SIZE, { at: FROM });
    yield* t.touch(FROM, PMD_SIZE);
    yield* t.mprotect(FROM + PAGE_SIZE, PAGE_SIZE, PROT_READ);
    if (armed) {
      const uffd = yield* Userfaultfd.open(t);
      yield* uffd.register(t, FROM, PMD_SIZE, UFFDIO_REGISTER_MODE_MISSING);
    }
    const size = { oldLen: PMD_SIZE, newLen: PMD_SIZE };
    const flags = MREMAP_MAYMOVE | MREMAP_FIXED;
    const outcome = yield* t.attempt({ call: 'mremap', addr: FROM, ...size, flags, newAddr: TO });
    return outcome.kind === 'errno' && outcome.errno === 'EFAULT' ? 1 : 0;
  });
}

/** Pages of the worst case that is shown. */
const WORST_PAGES = 4096;
/** Seen on 6.18.44. */
const MEASURED_LIMIT = 65530;

function vmaRows({ costs: { calibration }, kernel }: ExperimentInput): Row[] {
  const refused = (name: string, armed: boolean, features: Partial<Features>, of: Partial<Row>): Row =>
    rowOf({
      name: `mremap of a heap of three vmas, ${name}: refused with EFAULT`,
      modelled: isMoveRefused(calibration, armed, features),
      unit: 'of 1',
      ...of,
      note: 'the thread: the next cycle fails; 6.17 moves several vmas at once, but none that is registered with userfaultfd',
    });
  const onKernel = (armed: boolean, measured: number): { measured: number } => ({
    measured: kernel === null ? measured : kernel.moveRefused(armed),
  });
  return [
    rowOf({
      name: `PROT_NONE, every second of ${WORST_PAGES} pages accessible: vmas`,
      published: WORST_PAGES,
      modelled: vmasOfEverySecond(calibration, WORST_PAGES),
      unit: 'vmas',
      note: 'published: in the worst case one vma a page',
    }),
    rowOf({
      name: 'PROT_NONE: vmas when mprotect fails with ENOMEM',
      measured: kernel === null ? MEASURED_LIMIT : kernel.vmasAtLimit(),
      modelled: vmasAtLimit(calibration),
      unit: 'vmas',
      note: 'vm.max_map_count; with every second page of a heap reached at 256 MiB',
    }),
    refused('before 6.17', false, { mremapManyVmas: 'off' }, { published: 1 }),
    refused('6.18, not registered', false, {}, onKernel(false, 0)),
    refused('6.18, registered', true, {}, onKernel(true, 1)),
  ];
}

// ---- a slide of pages in swap --------------------------------------------------------------------------------------------------------

/** What a slide came to. */
export interface SwappedSlide {
  readonly ns: number;
  readonly pagesRead: number;
  readonly residentKib: number;
  readonly pagesOutAgain: number;
}

const MEASURED_SLIDE_PAGES = 16384;
const MEASURED_SLIDE: Readonly<Record<Way, SwappedSlide>> = {
  copy: { ns: 117_000_000, pagesRead: 8192, residentKib: 32_768, pagesOutAgain: 8192 },
  move: { ns: 13_320_000, pagesRead: 0, residentKib: 0, pagesOutAgain: 0 },
};

/** Every second page of a range that is in swap is brought side by side elsewhere, the others are given up. */
function slide(calibration: Calibration, way: Way, pages: number): SwappedSlide {
  return runAlone({ calibration, config: { totalSwapPages: 4 * pages } }, function* (t) {
    const mm = memoryOf(t);
    const { work } = t.simulation.kernel;
    const uffd = yield* twoPlaces(t, pages * PAGE_SIZE);
    yield* t.touch(FROM, pages * PAGE_SIZE, 'write', 1);
    yield* t.madvise(FROM, pages * PAGE_SIZE, MADV_PAGEOUT);
    const swappedIn = (): number => work.facts[SWAPPED_IN] as number;
    const before = { pagesRead: swappedIn(), rss: mm.rssAnon };
    let ns = yield* timed(t, transfer(t, uffd, { way, batch: 1, calls: pages / 2, step: 2 }));
    ns += yield* timed(t, t.madvise(FROM, pages * PAGE_SIZE, MADV_DONTNEED));
    const pagesRead = swappedIn() - before.pagesRead;
    const residentKib = ((mm.rssAnon - before.rss) * PAGE_SIZE) / 1024;
    const outBefore = work.facts[SWAPPED_OUT] as number;
    yield* t.madvise(TO, (pages / 2) * PAGE_SIZE, MADV_PAGEOUT);
    const pagesOutAgain = (work.facts[SWAPPED_OUT] as number) - outBefore;
    yield* t.touch(TO, (pages / 2) * PAGE_SIZE, 'read');
    for (let i = 0; i < pages / 2; i++) yield* t.expect(TO + i * PAGE_SIZE, 1);
    return { ns, pagesRead, residentKib, pagesOutAgain };
  });
}

function slideRows({ costs: { calibration }, kernel }: ExperimentInput, pages: number): Row[] {
  const modelled = { copy: slide(calibration, 'copy', pages), move: slide(calibration, 'move', pages) };
  const measured = (way: Way): SwappedSlide | undefined => kernel?.slideSwapped({ way, pages });
  const [copy, move] = [measured('copy'), measured('move')];
  const before = kernel === null && pages === MEASURED_SLIDE_PAGES ? MEASURED_SLIDE : null;
  const known = copy === undefined || move === undefined ? before : { copy, move };
  const ms = (ns: number): string => `${(ns / 1e6).toFixed(1)} ms`;
  const name = `slide of ${pages / 2} pages in swap`;
  const counts = (['copy', 'move'] as const).flatMap((way) =>
    (
      [
        ['read from swap', 'pagesRead', 'pages'],
        ['resident afterwards', 'residentKib', 'KiB'],
        ['written out again later', 'pagesOutAgain', 'pages'],
      ] as const
    ).map(([what, key, unit]) =>
      rowOf({
        name: `${name}, ${way}: ${what}`,
        measured: known?.[way][key] ?? null,
        modelled: modelled[way][key],
        unit,
      }),
    ),
  );
  return [
    rowOf({
      name: `${name}: copy / move`,
      measured: known === null ? null : known.copy.ns / known.move.ns,
      modelled: modelled.copy.ns / modelled.move.ns,
      unit: 'times',
      tolerance: 0.25,
      within: [1, Number.POSITIVE_INFINITY],
      note: `modelled ${ms(modelled.copy.ns)} and ${ms(modelled.move.ns)}${known === null ? '' : `, measured ${ms(known.copy.ns)} and ${ms(known.move.ns)}`}; zram, pages that compress to half`,
    }),
    ...counts,
  ];
}

/** All of these rows. @param slidePages  pages of the range that is in swap, an even number */
export function movePageRows(input: ExperimentInput, slidePages: number): Row[] {
  input.progress('single pages');
  const rows = [gapRow(input, 1), gapRow(input, 512), ...vmaRows(input)];
  input.progress('pages in swap');
  return [...rows, ...slideRows(input, slidePages)];
}
