/**
 * Prices of userfaultfd: its ioctls, so much a call and so much a page, and what a fault and its message cost besides.
 *
 * A round trip on one CPU was measured for each way to resolve a fault. It is the fault with its message, a switch, the read, the ioctl, and a
 * switch back; so what is left of it without switches, read and ioctl is the fault. A write to anonymous memory allocates a page before it
 * asks, and frees it again: what COPY leaves more than CONTINUE.
 */
import type { Figures } from '../cost.ts';
import type { SmpPrices } from './smpPrices.ts';

/** What an ioctl costs: each call, and each page of it. */
export interface IoctlPrice {
  readonly callNs: number;
  readonly pageNs: number;
}

/** What ioctls are told apart by. */
export type UffdIoctl =
  | 'copy'
  | 'zeropage'
  | 'continue'
  | 'poison'
  | 'move'
  | 'protect'
  | 'mark'
  | 'unprotect';

/** All of them, nanoseconds. */
export interface UffdPrices {
  readonly ioctls: Readonly<Record<UffdIoctl, IoctlPrice>>;
  /** A fault that asks user space, both halves. */
  readonly faultNs: number;
  /** More for a write to anonymous memory. */
  readonly allocationNs: number;
  /** A read of one message. */
  readonly readNs: number;
}

/** Makes the prices from the figures of a calibration. */
export function uffdPricesOf(from: Figures, smp: SmpPrices): UffdPrices {
  const line = (name: string): IoctlPrice => ({ callNs: from.fixed(name), pageNs: from.perPage(name) });
  const left = (name: string): number =>
    from.figure(`uffd_fault_${name}_same_cpu`) -
    from.figure(`uffd_${name}_1`) -
    2 * smp.switchNs -
    smp.pipeNs;
  return {
    ioctls: {
      copy: line('uffd_copy'),
      zeropage: line('uffd_zeropage'),
      continue: line('uffd_continue'),
      // Sets an entry that maps nothing, as ZEROPAGE does; it was not measured.
      poison: line('uffd_zeropage'),
      move: line('uffd_move'),
      protect: line('uffd_wp_on'),
      mark: line('uffd_wp_on_none'),
      unprotect: line('uffd_wp_off'),
    },
    faultNs: left('continue'),
    allocationNs: Math.max(0, left('copy') - left('continue')),
    readNs: smp.pipeNs,
  };
}
