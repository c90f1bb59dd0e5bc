/**
 * Processes and threads as far as address spaces depend on them: who shares an Mm, which descriptors lead to which open files.
 *
 * Invariant   an address space lives as long as a process refers to it
 * Linux       struct task_struct, files_struct; kernel/fork.c
 */

import type { Mm } from '../mm/mm.ts';
import type { UffdContext } from '../mm/uffdContext.ts';
import type { FileObject, MappedFile } from '../mm/vma.ts';

/** What a descriptor leads to. */
export type Descriptor =
  | { readonly kind: 'file'; readonly file: MappedFile }
  | { readonly kind: 'uffd'; readonly context: UffdContext }
  | { readonly kind: 'other' };

/** A descriptor table; threads (and CLONE_FILES children) share one. */
export class FileTable {
  readonly #open = new Map<number, Descriptor>();
  readonly #held: UffdContext[] = [];

  /** Returns what `fd` leads to, or null when it is not open as far as we know. */
  get(fd: number): Descriptor | null {
    return this.#open.get(fd) ?? null;
  }
  /** Tells whether a descriptor leads to `context`, or a call that was made on one is under way. */
  has(context: UffdContext): boolean {
    if (this.#held.includes(context)) return true;
    for (const descriptor of this.#open.values())
      if (descriptor.kind === 'uffd' && descriptor.context === context) return true;
    return false;
  }
  /** Returns the userfaultfds that are open. */
  get contexts(): UffdContext[] {
    const open = [...this.#open.values()].flatMap((each) => (each.kind === 'uffd' ? [each.context] : []));
    return [...open, ...this.#held];
  }
  /** A call on `context` begins: the open file stays until it is over, whatever is closed meanwhile. Linux: fdget() */
  hold(context: UffdContext): void {
    this.#held.push(context);
  }
  /** A call on `context` is over. Linux: fdput() */
  letGo(context: UffdContext): void {
    const at = this.#held.indexOf(context);
    if (at >= 0) this.#held.splice(at, 1);
  }
  /** Opens `fd`; what was there before is closed. */
  set(fd: number, descriptor: Descriptor): void {
    this.#open.set(fd, descriptor);
  }
  /** Closes `fd`. Returns false when it was not open. */
  close(fd: number): boolean {
    return this.#open.delete(fd);
  }
  /** Closes every descriptor from `first` to `last`. */
  closeRange(first: number, last: number): void {
    for (const fd of [...this.#open.keys()]) if (fd >= first && fd <= last) this.#open.delete(fd);
  }
  /** Returns the lowest number that is free. */
  lowestFree(): number {
    let fd = 3;
    while (this.#open.has(fd)) fd++;
    return fd;
  }
  /** Returns a copy, as fork makes one. */
  copy(): FileTable {
    const copy = new FileTable();
    for (const [fd, descriptor] of this.#open) copy.set(fd, descriptor);
    return copy;
  }
}

/** A shared-memory segment of SysV. */
export interface Segment {
  readonly id: number;
  readonly key: number;
  readonly object: FileObject;
}

/** One process: an address space (null once it called execve, because what that built is unknown), descriptors, threads. */
export class Process {
  readonly pid: number;
  mm: Mm | null;
  files: FileTable;
  readonly threads = new Set<number>();
  /** Whose it is; null where that is not known. */
  uid: number | null = null;
  /** It called execve after we met it. */
  execed = false;

  /** Makes a process with its first thread. */
  constructor(pid: number, mm: Mm | null, files: FileTable) {
    this.pid = pid;
    this.mm = mm;
    this.files = files;
    this.threads.add(pid);
  }
}
