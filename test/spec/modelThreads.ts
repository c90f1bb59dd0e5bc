/**
 * What a thread of a case does, on the model: a generator that gives each thing it waits for, and its answer at the end.
 */
import { BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR } from '../../src/abi/mman.ts';
import { type AccessRequest, accessPage } from '../../src/mm/fault.ts';
import type { Mm } from '../../src/mm/index.ts';
import { Madvise } from '../../src/mm/madvise.ts';
import { Mlock } from '../../src/mm/mlock.ts';
import { ProcessVmCopy } from '../../src/mm/processVm.ts';
import { isWait, type UffdContext, type UffdWait } from '../../src/mm/uffdContext.ts';
import { announceNext, takeAnnouncements } from '../../src/mm/uffdEvents.ts';
import { type FillResult, UffdFill } from '../../src/mm/uffdFill.ts';
import { mmapCall, mremapCall, munmapCall, type WaitingCall } from '../../src/mm/waitingCalls.ts';
import type { ModelScene } from './modelPages.ts';
import { addressText, fillText, resultText } from './modelUffd.ts';
import { type CaseAddress, PAGE } from './operands.ts';
import type { ThreadWork } from './uffdStep.ts';

/** A thread: what it waits for, again and again, then its answer. */
export type Steps = Generator<UffdWait, string, undefined>;

const PG = Number(PAGE);
const STAMP = 200;
const CODES: Readonly<Record<string, number>> = { SEGV_MAPERR, SEGV_ACCERR, BUS_ADRERR };

/** Where a thread works. */
interface ThreadScene {
  readonly scene: ModelScene;
  readonly mm: Mm;
  readonly tid: number;
  context(number: number): UffdContext;
}

function* finish<T>(call: WaitingCall<T>): Generator<UffdWait, T, undefined> {
  for (;;) {
    const step = call.step();
    if (!isWait(step)) return step;
    yield step;
  }
}

function* accesses(
  { mm, tid }: ThreadScene,
  pages: readonly AccessRequest[],
): Generator<UffdWait, string | null, undefined> {
  for (const page of pages) {
    let came = accessPage(mm, { ...page, tid });
    while (came.kind === 'userfault') {
      yield came.wait;
      came = accessPage(mm, came.again);
    }
    if (came.kind !== 'signal') continue;
    return `${came.signal === 'SIGSEGV' ? 'SEGV' : 'BUS'}${CODES[came.codeName]}@${addressText(page.addr)}`;
  }
  return null;
}

type ReadWork = Extract<ThreadWork, { what: 'fread' }>;
function* readFile(work: ReadWork, at: (a: CaseAddress) => number, where: ThreadScene): Steps {
  for (let i = 0; i < work.nrPages; i++) {
    const stamp = where.scene.fileValue(work.slot, work.page + i) ?? 0;
    const page = { addr: at(work.addr) + i * PG, access: 'write', stamp, by: 'copy' } as const;
    const trapped = yield* accesses(where, [page]);
    if (trapped !== null) return i === 0 ? '-EFAULT' : `0x${(i * PG).toString(16)}`;
  }
  return `0x${(work.nrPages * PG).toString(16)}`;
}

function copyBetween(
  work: { readonly what: string; readonly nrPages: number },
  addr: number,
  { mm, tid }: ThreadScene,
): ProcessVmCopy {
  const len = work.nrPages * PG;
  const call = { ranges: [{ addr, len }], max: len, write: work.what === 'vmwrite', stamp: STAMP, tid };
  return new ProcessVmCopy(mm, mm, call);
}

/** Starts what a thread is told to do. */
export function* startWork(work: ThreadWork, at: (a: CaseAddress) => number, where: ThreadScene): Steps {
  const { mm, tid } = where;
  switch (work.what) {
    case 'touch':
    case 'read': {
      const pages = Array.from({ length: work.nrPages }, (_, i): AccessRequest => {
        const addr = at(work.addr) + i * PG;
        return work.what === 'touch'
          ? { addr, access: 'write', stamp: (i + 1) % 256 }
          : { addr, access: 'read', stamp: null };
      });
      return (yield* accesses(where, pages)) ?? '0';
    }
    case 'adv': {
      const { len, advice } = work;
      return resultText(yield* finish(new Madvise(mm, { addr: at(work.addr), len, advice, tid })));
    }
    case 'unmap':
      return resultText(yield* finish(munmapCall(mm, at(work.addr), work.len)));
    case 'lock':
      return resultText(yield* finish(new Mlock(mm, { addr: at(work.addr), len: work.len, flags: 0, tid })));
    case 'remap': {
      const { oldLen, newLen, flags } = work;
      const request = { addr: at(work.addr), oldLen, newLen, flags, newAddr: at(work.newAddr), chosen: null };
      return resultText(yield* finish(mremapCall(mm, request, tid)));
    }
    case 'map': {
      const { len, prot, flags } = work;
      const request = { addr: at(work.addr), len, prot, flags, file: null, offset: 0, chosen: null };
      return resultText(yield* finish(mmapCall(mm, request, tid)));
    }
    case 'vmread':
    case 'vmwrite':
      return resultText(yield* finish(copyBetween(work, at(work.addr), where)));
    case 'ucopy': {
      const request = { start: at(work.to), source: at(work.from), len: work.len, mode: work.mode };
      const copy = new UffdFill(where.context(work.context), 'copy', request, { mm, tid });
      return fillText(yield* finish<FillResult>(copy));
    }
    case 'fread':
      return yield* readFile(work, at, where);
    case 'forkhold': {
      where.scene.forkHold();
      const announcements = takeAnnouncements(mm);
      for (let wait = announceNext(announcements); wait !== null; wait = announceNext(announcements))
        yield wait;
      return '0';
    }
  }
}
