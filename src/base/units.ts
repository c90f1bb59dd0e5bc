/**
 * Numbers with a meaning: addresses, page numbers, page offsets, and the few operations that are right on them.
 *
 * User addresses are below 2^47: exact in a double, wrong after `>>`, `<<` or `|`, which cut to 32 bits. So everything
 * that needs a shift lives here and divides instead. The types are flavoured: a plain number is accepted where an address is
 * wanted (sums of addresses are plain numbers), but an address is not accepted where a page offset is wanted.
 */

/** A byte address in user space, 0 <= addr < 2^47. */
export type Addr = number & { readonly unit?: 'addr' };
/** A virtual page number: addr / 4096. */
export type Vpn = number & { readonly unit?: 'vpn' };
/** A page offset within the object a vma maps (`vm_pgoff`); not a vpn, even when the two are equal. */
export type Pgoff = number & { readonly unit?: 'pgoff' };

/** Bytes in a page. */
export const PAGE_SIZE = 4096;
/** Bytes that one page-table page of ptes maps, and the size of a huge page. */
export const PMD_SIZE = 2 * 1024 * 1024;
/** First address that user space cannot have: 2^47 - 4096 on x86-64 with four levels. */
export const TASK_SIZE: Addr = 0x7fff_ffff_f000;
/** The largest number a 64-bit unsigned argument can hold, as a double; used for `(unsigned long)-1`. */
export const U64 = 2 ** 64;

/** Returns the page that holds `addr`. */
export const vpnOf = (addr: Addr): Vpn => Math.floor(addr / PAGE_SIZE);
/** Returns the first address of page `vpn`. */
export const addrOf = (vpn: Vpn): Addr => vpn * PAGE_SIZE;
/** Returns the page offset that anonymous memory gets at `addr`: its page number. */
export const anonymousPgoff = (addr: Addr): Pgoff => Math.floor(addr / PAGE_SIZE);
/** Returns how many pages `bytes` are; `bytes` is a multiple of the page size. */
export const nrPagesIn = (bytes: number): number => bytes / PAGE_SIZE;
/** Tells whether `addr` is a multiple of the page size. The low 32 bits are enough for that and survive `&`. */
export const isPageAligned = (addr: number): boolean => (addr & (PAGE_SIZE - 1)) === 0;
/** Rounds down to a multiple of the page size. */
export const pageFloor = (addr: Addr): Addr => addr - (addr & (PAGE_SIZE - 1));
/** Returns how far behind the start of its page `addr` is, bytes. `%` would be a division of doubles, which is slow. */
export const pageOffset = (addr: Addr): number => addr & (PAGE_SIZE - 1);
/** Rounds up to a multiple of the page size (may reach 2^64, which stands for the kernel's wrap to 0). */
export const pageCeil = (addr: number): number => Math.ceil(addr / PAGE_SIZE) * PAGE_SIZE;
/** Rounds down to a multiple of `size`, a power of two. */
export const floorTo = (addr: Addr, size: number): Addr => Math.floor(addr / size) * size;
/** Rounds up to a multiple of `size`, a power of two. */
export const ceilTo = (addr: Addr, size: number): Addr => Math.ceil(addr / size) * size;

/** Returns which of the 512 entries of a pte table is that of `addr`. `>>>` cuts to 32 bits, of which only the low ones count. */
export const pteIndex = (addr: Addr): number => (addr >>> 12) & 511;
/** Returns which of the 512 entries of a pmd page is that of `addr`. */
export const pmdIndex = (addr: Addr): number => (addr >>> 21) & 511;

/** Three digits each. */
const HEX_DIGITS: readonly string[] = Array.from({ length: 4096 }, (_, i) => i.toString(16).padStart(3, '0'));

/** Prints a number in hex with the prefix `0x`, as strace and /proc do for addresses. */
export function hex(n: number): string {
  // Numbers beyond 31 bits take the engine six times as long as those below.
  if (!(n >= 2 ** 24 && n < 2 ** 53) || n % 1 !== 0) return `0x${n.toString(16)}`;
  const high = Math.floor(n / 2 ** 24);
  const low = n - high * 2 ** 24;
  return `0x${high.toString(16)}${HEX_DIGITS[low >>> 12]}${HEX_DIGITS[low & 4095]}`;
}
/** Prints `start-end` as /proc/PID/maps does: lower-case hex, at least eight digits each. */
export const hexRange = (start: Addr, end: Addr): string =>
  `${start.toString(16).padStart(8, '0')}-${end.toString(16).padStart(8, '0')}`;

const SIZE_SUFFIX: Readonly<Record<string, number>> = {
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
};

/**
 * Reads a size such as `4096`, `64K`, `1.5M`, `1GiB`, `1T`, `0x1000`.
 * @returns bytes, or null when `text` is not a size in whole bytes.
 */
export function parseSize(text: string): number | null {
  if (/^0x[0-9a-f]+$/i.test(text)) return Number(text);
  const match = /^(\d+(?:\.\d+)?)(?:([KMGT])i?)?B?$/i.exec(text);
  if (match === null) return null;
  const bytes = Number(match[1]) * (SIZE_SUFFIX[(match[2] ?? '').toUpperCase()] ?? 1);
  return Number.isInteger(bytes) ? bytes : null;
}
