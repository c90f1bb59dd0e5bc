/**
 * Steps of a case that are one call, as the operations that the model is fed.
 */
import { type Op, type Process, uffdIoctl } from '../../src/machine/index.ts';
import type { CaseAddress } from './caseStep.ts';
import type { CallStep } from './caseTarget.ts';

/** What the names in a step stand for. */
export interface OpScene {
  fd(slot: number): number;
  segment(slot: number): number;
  uffd(): number;
  /** The process that waits for the current one. */
  parent(): Process;
}

/** Steps that are an operation with nothing to prepare. */
export type TranslatedStep = Exclude<
  CallStep,
  { op: 'limit' | 'overcommit' | 'seals' | 'uffd' | 'shmget' | 'vfork' }
>;

/**
 * Translates a step into the operation of the machine.
 * @param at  turns the addresses of the step into numbers
 */
export function opOf(step: TranslatedStep, scene: OpScene, at: (a: CaseAddress) => number): Op {
  switch (step.op) {
    case 'map': {
      const fd = step.fd === null ? -1 : scene.fd(step.fd);
      const { prot, flags } = step;
      return {
        call: 'mmap',
        addr: at(step.addr),
        len: Number(step.len),
        prot,
        flags,
        fd,
        offset: Number(step.offset),
      };
    }
    case 'remap': {
      const [addr, newAddr] = [at(step.addr), at(step.newAddr)];
      return {
        call: 'mremap',
        addr,
        oldLen: Number(step.oldLen),
        newLen: Number(step.newLen),
        flags: step.flags,
        newAddr,
      };
    }
    case 'padv':
    case 'padvparent': {
      const target = step.op === 'padv' ? 'self' : scene.parent().pid;
      const ranges = step.ranges.map((r) => ({ addr: at(r.addr), len: Number(r.len) }));
      return { call: 'process_madvise', target, ranges, advice: step.advice, flags: 0 };
    }
    case 'lockall':
      return { call: 'mlockall', flags: step.arg };
    case 'crefs':
      return { call: 'clear_refs', target: 'self', what: step.arg };
    case 'unlockall':
      return { call: 'munlockall' };
    case 'ksmall':
      return { call: 'set_memory_merge', on: step.arg === 1 };
    case 'mdwe':
      return { call: 'set_mdwe', flags: 1 };
    case 'uid':
      return { call: 'set_uid', uid: 65534 };
    case 'shmat':
      return { call: 'shmat', id: scene.segment(step.slot), addr: at(step.addr), flags: 0 };
    default:
      return rangeOp(step, scene, at(step.addr));
  }
}

function rangeOp(
  step: Extract<CallStep, { addr: CaseAddress; len: bigint; op: Exclude<CallStep['op'], 'map'> }>,
  scene: OpScene,
  addr: number,
): Op {
  const len = Number(step.len);
  switch (step.op) {
    case 'unmap':
      return { call: 'munmap', addr, len };
    case 'prot':
      return { call: 'mprotect', addr, len, prot: step.arg };
    case 'adv':
      return { call: 'madvise', addr, len, advice: step.arg };
    case 'lock':
      return { call: 'mlock', addr, len };
    case 'lock2':
      return { call: 'mlock2', addr, len, flags: step.arg };
    case 'unlock':
      return { call: 'munlock', addr, len };
    case 'name':
      return { call: 'set_vma_name', addr, len, name: 'name' };
    case 'seal':
      return { call: 'mseal', addr, len, flags: 0 };
    case 'mbind':
      return { call: 'mbind', addr, len, mode: step.arg, nodes: '0', flags: 0 };
    case 'mbind0':
      return { call: 'mbind', addr, len, mode: 0, nodes: '', flags: 0 };
    case 'msync':
      return { call: 'msync', addr, len, flags: step.arg };
    case 'uffdreg':
      return uffdIoctl(scene.uffd(), { name: 'UFFDIO_REGISTER', start: addr, len, mode: step.arg });
    case 'uffdunreg':
      return uffdIoctl(scene.uffd(), { name: 'UFFDIO_UNREGISTER', start: addr, len });
  }
}
