/**
 * Operations on userfaultfd descriptors and /proc/PID/pagemap, as data: members of the union of op.ts.
 *
 * Linux   ioctl_userfaultfd(2); Documentation/admin-guide/mm/pagemap.rst
 */
import type { Addr } from '../base/units.ts';
import type { ScanRequest } from '../mm/pagemapScan.ts';

/** Where a copy comes from that is not taken from modelled memory: `bytes` bytes that are there, full of `stamp`, then nothing. */
export interface CopyBuffer {
  readonly stamp: number;
  readonly bytes: number;
}

/** What one ioctl of userfaultfd is asked, as its structure says it; bytes. */
export type UffdRequest =
  | { readonly name: 'UFFDIO_API'; readonly api: number; readonly features: number }
  | { readonly name: 'UFFDIO_REGISTER'; readonly start: Addr; readonly len: number; readonly mode: number }
  | {
      readonly name: 'UFFDIO_UNREGISTER' | 'UFFDIO_WAKE';
      readonly start: Addr;
      readonly len: number;
    }
  | {
      readonly name: 'UFFDIO_WRITEPROTECT' | 'UFFDIO_ZEROPAGE' | 'UFFDIO_CONTINUE' | 'UFFDIO_POISON';
      readonly start: Addr;
      readonly len: number;
      readonly mode: number;
    }
  /** `buffer`: what is at `src`, where the memory there is not the model's. */
  | {
      readonly name: 'UFFDIO_COPY' | 'UFFDIO_MOVE';
      readonly dst: Addr;
      readonly src: Addr;
      readonly len: number;
      readonly mode: number;
      readonly buffer?: CopyBuffer;
    };

/** The name of an ioctl of userfaultfd. */
export type UffdIoctlName = UffdRequest['name'];

/** Asks `request` of descriptor `fd`. */
export const uffdIoctl = (
  fd: number,
  request: UffdRequest,
): Extract<UffdOp, { readonly call: 'uffd_ioctl' }> => ({
  call: 'uffd_ioctl',
  fd,
  name: request.name,
  request,
});

/** One operation. */
export type UffdOp =
  /** `request` null: the structure cannot be read. */
  | {
      readonly call: 'uffd_ioctl';
      readonly fd: number;
      readonly name: UffdIoctlName;
      readonly request: UffdRequest | null;
    }
  /** Up to `times` reads of one message each, until one fails. */
  | { readonly call: 'uffd_read'; readonly fd: number; readonly times: number }
  /** PAGEMAP_SCAN on the pagemap of a process; `request` null: the structure cannot be read. */
  | {
      readonly call: 'pagemap_scan';
      readonly target: 'self' | number;
      readonly request: ScanRequest | null;
    };
