/**
 * A vma: one range of an address space with one set of attributes, and the files it may map.
 *
 * Invariants
 *   [vma-aligned]  start and end are page aligned, start < end <= TASK_SIZE
 *   [vma-pgoff]    private anonymous: pgoff is the page number of `start` at creation, or at the last move while unfaulted; a split's
 *                  upper part continues the lower one's
 * Linux   struct vm_area_struct (include/linux/mm_types.h)
 */
import type { Leaf, Span } from '../base/gapTree.ts';
import { type Addr, nrPagesIn, type Pgoff } from '../base/units.ts';
import type { AnonVma } from './anonVma.ts';
import type { Mm } from './mm.ts';
import type { UffdContext } from './uffdContext.ts';

/** What is mapped: an inode. Several open files may lead to one. */
export interface FileObject {
  readonly id: number;
  /** What maps prints, with ` (deleted)` where the kernel adds it. */
  path: string;
  /**
   * Device as maps prints it (`fe:00`) and inode number; null until known (only a file system knows them). Numbers of network and overlay
   * file systems need all 64 bits: one that a double cannot hold is kept as text.
   */
  dev: string | null;
  inode: number | string | null;
  readonly kind: 'regular' | 'shmem' | 'memfd' | 'sysv' | 'zero' | 'device' | 'directory' | 'other';
  /** Bytes; null when unknown, which means "big enough". */
  size: number | null;
  /** Kernel aligns big mappings of it for huge pages (ext4, xfs). */
  readonly alignsHuge: boolean;
  /** Its vmas have a close callback, so a merge never removes one (SysV segments). */
  readonly hasClose: boolean;
  /** On a noexec mount. */
  readonly noExec: boolean;
  /** Pages promised to the object itself (shared anonymous memory), given back with its last vma. */
  readonly chargedPages: number;
  /** F_SEAL_ bits of a memfd. F_SEAL_WRITE and F_SEAL_FUTURE_WRITE: no new shared writable mapping. */
  seals: number;
  /** Of a file on a disk: all of it was in the page cache when it was made, so what is cached is known. */
  readonly isInMemory: boolean;
  /** The vmas, in all address spaces, that map it. Linux: i_mmap. */
  readonly vmas: Set<Vma>;
}

/** An open file (`struct file`): what vmas compare. Two opens of one path are two. */
export interface MappedFile {
  readonly id: number;
  readonly object: FileObject;
  readonly readable: boolean;
  readonly writable: boolean;
}

/** The chain of every unfaulted vma: most vmas never need one of their own. */
export const NO_CHAIN: readonly AnonVma[] = [];

/** One mapping. Fields are written by the files that own the operation; everybody else reads. */
export class Vma implements Span<Vma> {
  readonly id: number;
  /** The address space it is in; null before it is linked and after it is removed. */
  mm: Mm | null = null;
  start: Addr;
  end: Addr;
  flags: number;
  pgoff: Pgoff;
  file: MappedFile | null;
  anonVma: AnonVma | null = null;
  /** Every anon_vma its pages may belong to, oldest first; empty while unfaulted. Vmas split from one another share the array. */
  chain: readonly AnonVma[] = NO_CHAIN;
  /** The userfaultfd context that it is registered with. */
  uffd: UffdContext | null = null;
  /** Name given by prctl. */
  name: string | null = null;
  /** Memory policy as text; null is the default policy. Equal text is equal policy. */
  policy: string | null = null;
  /** Volatile as a whole, where volatility is a flag of vmas (`vrangeLock=write`). Posted as VM_VOLATILE in v11 to v14 of seed 002's series. */
  isVolatile = false;
  /** MADV_PT_RECLAIM_MARK: its tables are scanned for where that has to be asked for. */
  isPtReclaimed = false;
  /** When it was put into the trees of its anon_vmas, by their root's count: of vmas that begin alike the earlier comes first. */
  putAt = 0;
  /** Name that the kernel's own mappings have: `[vdso]`, `[vvar]`. */
  special: string | null = null;
  prev: Vma | null = null;
  next: Vma | null = null;
  home: Leaf<Vma> | null = null;

  /** Makes a vma that is in no address space yet. `at` gives its range; addresses in bytes, pgoff in pages. */
  constructor(
    id: number,
    at: { start: Addr; end: Addr; flags: number; pgoff: Pgoff; file: MappedFile | null },
  ) {
    this.id = id;
    this.start = at.start;
    this.end = at.end;
    this.flags = at.flags;
    this.pgoff = at.pgoff;
    this.file = at.file;
  }
}

/** Returns the size of `vma` in pages. */
export const nrPagesOf = (vma: Vma): number => nrPagesIn(vma.end - vma.start);

/**
 * Tells whether `vma` is anonymous in the kernel's sense: no file behind it, not even shared memory, and no kernel mapping. A private mapping of
 * /dev/zero has an open file and is anonymous all the same.
 */
export const isAnonymousVma = (vma: Vma): boolean =>
  (vma.file === null || vma.file.object.kind === 'zero') && vma.special === null;

/** Tells whether the pages of `object` are shared memory: kept in memory or swap, never on a disk. */
export const isSharedMemory = ({ kind }: FileObject): boolean =>
  kind === 'shmem' || kind === 'memfd' || kind === 'sysv';
