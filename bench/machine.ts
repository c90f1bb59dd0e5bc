/**
 * A machine with one process and a listener that counts: what the benchmarks of single calls run on.
 */
import { MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, PROT_READ, PROT_WRITE } from '../src/abi/mman.ts';
import { must } from '../src/base/assert.ts';
import { Machine } from '../src/machine/index.ts';
import { type Features, Kernel, type KernelConfig, LINUX_6_18, type Mm } from '../src/mm/index.ts';

/** Bytes in a page. */
export const PAGE = 4096;
/** Where the VMAs of a benchmark begin. */
export const BASE = 0x1000_0000_0000;
/** The process. */
export const PID = 1;
/** Flags of a private anonymous mapping. */
export const PRIVATE: number = MAP_PRIVATE | MAP_ANONYMOUS;
/** The same, at a given address. */
export const FIXED_PRIVATE: number = PRIVATE | MAP_FIXED;

/** A machine whose events are counted. */
export interface CountedMachine {
  readonly machine: Machine;
  readonly mm: Mm;
  readonly events: { count: number };
}

/** Makes a machine with one empty process. */
export function newMachine(
  config: Partial<KernelConfig> = {},
  features: Partial<Features> = {},
): CountedMachine {
  const kernel = new Kernel({ ...LINUX_6_18, ...features }, config);
  const events = { count: 0 };
  kernel.emit = () => {
    events.count++;
  };
  const machine = new Machine(kernel);
  const mm = must(machine.spawn(PID).mm, '[bench] a new process has an address space');
  return { machine, mm, events };
}

/** Maps memory for reading and writing; returns the address. */
export function mapAt(machine: Machine, addr: number, len: number, flags: number): number {
  return map(machine, { addr, len, flags, prot: PROT_READ | PROT_WRITE });
}

/** Maps memory; returns the address. Throws when that is refused. */
export function map(
  machine: Machine,
  what: { readonly addr: number; readonly len: number; readonly prot: number; readonly flags: number },
): number {
  const { addr, len, prot, flags } = what;
  const outcome = machine.apply(PID, { call: 'mmap', addr, len, prot, flags, fd: -1, offset: 0 });
  if (outcome.kind !== 'value') throw new Error(`mmap: ${JSON.stringify(outcome)}`);
  return outcome.value;
}
