/**
 * The flags of a vma (`vm_flags`), packed into one 32-bit word.
 *
 * Bits 0 to 31 have the kernel's own places, except that four places of flags which we refuse (hugetlb, MAP_SYNC, PAT) hold the flags
 * that the kernel keeps above bit 31. So flags compare with `===` and combine with `|` and `&` (a word may be negative: bit 31 is
 * VM_MERGEABLE). `kernelVmFlags` gives the kernel's 64-bit word, `vmFlagCodes` the `VmFlags:` line of smaps.
 *
 * Linux   include/linux/mm.h (6.18); spec/vma.md 1.1
 * Left out   VM_HUGETLB, VM_SYNC, VM_SHADOW_STACK, protection keys (docs/scope.md)
 */

/** Access bits. */
export const VM_READ = 0x1;
export const VM_WRITE = 0x2;
export const VM_EXEC = 0x4;
export const VM_SHARED = 0x8;
/** What mprotect may ask for. */
export const VM_MAYREAD = 0x10;
export const VM_MAYWRITE = 0x20;
export const VM_MAYEXEC = 0x40;
export const VM_MAYSHARE = 0x80;
export const VM_GROWSDOWN = 0x100;
export const VM_UFFD_MISSING = 0x200;
export const VM_PFNMAP = 0x400;
export const VM_MAYBE_GUARD = 0x800;
export const VM_UFFD_WP = 0x1000;
export const VM_LOCKED = 0x2000;
export const VM_IO = 0x4000;
export const VM_SEQ_READ = 0x8000;
export const VM_RAND_READ = 0x1_0000;
export const VM_DONTCOPY = 0x2_0000;
export const VM_DONTEXPAND = 0x4_0000;
export const VM_LOCKONFAULT = 0x8_0000;
export const VM_ACCOUNT = 0x10_0000;
export const VM_NORESERVE = 0x20_0000;
/** Kernel bit 41, kept in the place of VM_HUGETLB. */
export const VM_UFFD_MINOR = 0x40_0000;
/** Kernel bit 40, kept in the place of VM_SYNC. */
export const VM_DROPPABLE = 0x80_0000;
/** Kernel bit 42, kept in the place of VM_ARCH_1. */
export const VM_SEALED = 0x100_0000;
export const VM_WIPEONFORK = 0x200_0000;
export const VM_DONTDUMP = 0x400_0000;
export const VM_SOFTDIRTY = 0x800_0000;
export const VM_MIXEDMAP = 0x1000_0000;
export const VM_HUGEPAGE = 0x2000_0000;
export const VM_NOHUGEPAGE = 0x4000_0000;
export const VM_MERGEABLE = 0x8000_0000 | 0;

/** Read, write and execute. */
export const VM_ACCESS_FLAGS = VM_READ | VM_WRITE | VM_EXEC;
/** The three MAY bits of private anonymous memory. */
export const VM_MAY_ALL = VM_MAYREAD | VM_MAYWRITE | VM_MAYEXEC;
/** Flags of ranges that no merge and no mlock touches. */
export const VM_SPECIAL = VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP;
/** Both lock flags. */
export const VM_LOCKED_MASK = VM_LOCKED | VM_LOCKONFAULT;
/** The registration modes of userfaultfd. */
export const VM_UFFD_MASK = VM_UFFD_MISSING | VM_UFFD_WP | VM_UFFD_MINOR;
/** Flags that do not hinder a merge and stay set on its result. */
export const VM_STICKY = VM_SOFTDIRTY | VM_MAYBE_GUARD;

/** Each flag with its two-letter code in smaps and its bit in the kernel's word, in the order smaps prints them. */
const CODES: readonly (readonly [code: string, flag: number, kernelBit: number])[] = [
  ['rd', VM_READ, 0],
  ['wr', VM_WRITE, 1],
  ['ex', VM_EXEC, 2],
  ['sh', VM_SHARED, 3],
  ['mr', VM_MAYREAD, 4],
  ['mw', VM_MAYWRITE, 5],
  ['me', VM_MAYEXEC, 6],
  ['ms', VM_MAYSHARE, 7],
  ['gd', VM_GROWSDOWN, 8],
  ['um', VM_UFFD_MISSING, 9],
  ['pf', VM_PFNMAP, 10],
  ['gu', VM_MAYBE_GUARD, 11],
  ['uw', VM_UFFD_WP, 12],
  ['lo', VM_LOCKED, 13],
  ['io', VM_IO, 14],
  ['sr', VM_SEQ_READ, 15],
  ['rr', VM_RAND_READ, 16],
  ['dc', VM_DONTCOPY, 17],
  ['de', VM_DONTEXPAND, 18],
  ['lf', VM_LOCKONFAULT, 19],
  ['ac', VM_ACCOUNT, 20],
  ['nr', VM_NORESERVE, 21],
  ['wf', VM_WIPEONFORK, 25],
  ['dd', VM_DONTDUMP, 26],
  ['sd', VM_SOFTDIRTY, 27],
  ['mm', VM_MIXEDMAP, 28],
  ['hg', VM_HUGEPAGE, 29],
  ['nh', VM_NOHUGEPAGE, 30],
  ['mg', VM_MERGEABLE, 31],
  ['dp', VM_DROPPABLE, 40],
  ['ui', VM_UFFD_MINOR, 41],
  ['sl', VM_SEALED, 42],
];
const FLAG_OF_CODE = new Map(CODES.map(([code, flag]) => [code, flag]));

/** Returns the two-letter codes of `flags`, separated by blanks, in the order of smaps, without the trailing blank. */
export const vmFlagCodes = (flags: number): string =>
  CODES.filter(([, flag]) => (flags & flag) !== 0)
    .map(([code]) => code)
    .join(' ');

/** Returns the flags named by two-letter codes, or the first code that is unknown. */
export function vmFlagsOfCodes(codes: readonly string[]): number | string {
  let flags = 0;
  for (const code of codes) {
    const flag = FLAG_OF_CODE.get(code);
    if (flag === undefined) return code;
    flags |= flag;
  }
  return flags;
}

/** Returns the kernel's own `vm_flags` word for `flags`; below 2^43, so exact in a double. */
export const kernelVmFlags = (flags: number): number =>
  CODES.reduce((sum, [, flag, bit]) => ((flags & flag) !== 0 ? sum + 2 ** bit : sum), 0);

/** Returns `rwxp` as maps prints the flags. */
export const permsOf = (flags: number): string =>
  PERMS[(flags & VM_ACCESS_FLAGS) | (flags & VM_MAYSHARE ? 8 : 0)] as string;
const PERMS: readonly string[] = Array.from(
  { length: 16 },
  (_, bits) =>
    (bits & VM_READ ? 'r' : '-') +
    (bits & VM_WRITE ? 'w' : '-') +
    (bits & VM_EXEC ? 'x' : '-') +
    (bits & 8 ? 's' : 'p'),
);
