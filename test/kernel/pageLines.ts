/**
 * Steps about pages as the lines that the oracle reads (oracle/parse.c).
 */
import type { CaseAddress } from '../spec/operands.ts';
import { FIGURES, type PageStep, type PlainPageStep, STATUS_LINES } from '../spec/pageStep.ts';
import { isUffdStep } from '../spec/uffdStep.ts';
import { uffdLine } from './uffdLines.ts';

/** A number as the oracle reads it. */
export const hex = (n: bigint | number): string => `0x${n.toString(16)}`;
const FROM = { zero: '', brk0: 'brk+', last: 'last+' } as const;
/** An address as the oracle reads it. */
export const address = (a: CaseAddress): string => `${FROM[a.from]}${hex(a.bytes)}`;

/** The words of a line after its operation. */
function operandsOf(step: PlainPageStep): readonly (string | number | bigint)[] {
  switch (step.op) {
    case 'vmpte':
    case 'faults':
    case 'swap':
      return [];
    case 'pm':
    case 'folio':
    case 'sum':
      return [address(step.addr), step.nrPages];
    case 'word':
      return [address(step.addr)];
    case 'figures': {
      const mask = step.figures.reduce((bits, name) => bits | (1 << FIGURES.indexOf(name)), 0);
      return [address(step.addr), step.len, mask];
    }
    case 'status':
      return [STATUS_LINES.indexOf(step.line)];
    case 'proteach':
      return [address(step.addr), step.times, step.stride, step.len, step.prot];
    case 'memwrite':
    case 'pin':
    case 'ksm':
      return [address(step.addr), step.nrPages];
    case 'pmread':
      return [step.bytes, step.offset];
    case 'ownword':
    case 'vmsplice':
      return [address(step.addr)];
    case 'unpin':
    case 'pipeval':
      return [];
    case 'adveach':
      return [address(step.addr), step.times, step.stride, step.len, step.advice];
    case 'vmread':
    case 'vmwrite':
      return [address(step.addr), step.nrPages, step.of === 'self' ? 0 : 1];
    case 'truncate':
      return [step.slot, step.nrPages];
    case 'punch':
    case 'fval':
      return [step.slot, step.page, step.nrPages];
    case 'fread':
    case 'fwrite':
      return [step.slot, step.page, address(step.addr), step.nrPages];
    case 'put':
      return [step.slot, step.page, step.value];
    case 'uffdopen':
      return [step.features];
    case 'uffdwp':
      return [address(step.addr), step.len, step.on ? 1 : 0];
    case 'uffdpoison':
    case 'uffdzero':
    case 'uffdcont':
      return [address(step.addr), step.len];
    case 'uffdcopy':
      return [address(step.addr), step.nrPages, step.wp ? 2 : 0];
    case 'uffdmove':
      return [address(step.to), address(step.from), step.len];
    case 'race':
      return [address(step.addr), step.nrPages, step.times];
  }
}

/** Writes a step about pages in the protocol of the oracle. */
export const pageLine = (step: PageStep): string =>
  isUffdStep(step) ? uffdLine(step, address) : [step.op, ...operandsOf(step)].join(' ');
