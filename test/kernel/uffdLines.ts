/**
 * Steps about userfaultfd as the lines that the oracle reads (oracle/parse.c, uffdSteps.c).
 */
import type { CaseAddress } from '../spec/operands.ts';
import { FILLS, STRUCTURES, THREAD_WORK, type ThreadWork, type UffdStep } from '../spec/uffdStep.ts';

type Word = string | number | bigint;
/** How an address is written. */
type WriteAddress = (a: CaseAddress) => string;

const SOURCE = { addr: 0, buf: 1, bufend: 2 } as const;
const VECTOR = { none: 0, set: 1, unwritable: 2, bad: 3 } as const;
const SCAN_HOW = { set: 0, null: 1, other: 2 } as const;
const NO_HANDSHAKE = '0xffffffffffffffff';

function workOperands(work: ThreadWork, address: WriteAddress): readonly Word[] {
  switch (work.what) {
    case 'touch':
    case 'read':
    case 'vmread':
    case 'vmwrite':
      return [address(work.addr), work.nrPages];
    case 'adv':
      return [address(work.addr), work.len, work.advice];
    case 'unmap':
    case 'lock':
      return [address(work.addr), work.len];
    case 'remap':
      return [address(work.addr), work.oldLen, work.newLen, work.flags, address(work.newAddr)];
    case 'ucopy':
      return [work.context, address(work.to), address(work.from), work.len, work.mode];
    case 'map':
      return [address(work.addr), work.len, work.prot, work.flags, -1, 0];
    case 'fread':
      return [work.slot, work.page, address(work.addr), work.nrPages];
    case 'forkhold':
      return [];
  }
}

function operandsOf(step: UffdStep, address: WriteAddress): readonly Word[] {
  switch (step.op) {
    case 'uopen':
      return [step.context, step.flags, step.features ?? NO_HANDSHAKE];
    case 'uapi':
      return [step.context, step.api, step.features];
    case 'ureg':
      return [step.context, address(step.addr), step.len, step.mode, STRUCTURES.indexOf(step.structure)];
    case 'uunreg':
    case 'uwake':
      return [step.context, address(step.addr), step.len];
    case 'uwp':
      return [step.context, address(step.addr), step.len, step.mode];
    case 'ufill': {
      const source = step.source === null ? [0, 0] : [SOURCE[step.source.kind], address(step.source.addr)];
      const to = [step.context, FILLS.indexOf(step.what), address(step.addr), ...source];
      return [...to, step.len, step.mode, STRUCTURES.indexOf(step.structure)];
    }
    case 'uclose':
    case 'ucount':
    case 'upoll':
    case 'uwrite':
      return [step.context];
    case 'uread':
      return [step.context, step.times, step.bytes, step.isBad ? 1 : 0];
    case 'ublock':
      return [step.context, step.blocks];
    case 'udup':
      return [step.context, step.other];
    case 'umovers':
      return [step.context, address(step.to), address(step.from), step.nrPages];
    case 'sig':
      return [step.thread];
    case 'scan': {
      const room = [step.size, step.flags, VECTOR[step.vec], step.vecLen, step.maxPages];
      const masks = [step.inverted, step.mask, step.anyof, step.returned];
      return [address(step.addr), address(step.end), ...room, ...masks, step.of, SCAN_HOW[step.how]];
    }
    case 'bg':
      return [step.thread, THREAD_WORK.indexOf(step.work.what), ...workOperands(step.work, address)];
    case 'join':
      return [step.thread];
  }
}

/** Writes a step about userfaultfd in the protocol of the oracle. */
export const uffdLine = (step: UffdStep, address: WriteAddress): string =>
  [step.op, ...operandsOf(step, address)].join(' ');
