/**
 * Putting a vma into an address space as it was found: what execve built inside the kernel, or what a snapshot shows.
 *
 * No checks of a system call, no merge: the kernel had it so. The page offset of anonymous memory does not show in /proc; it is that of
 * a fresh mapping, except on the stack, which execve builds at the top of the address space and then slides down.
 * Linux   fs/exec.c: setup_arg_pages; fs/binfmt_elf.c
 */
import { type Addr, anonymousPgoff, nrPagesIn, PAGE_SIZE, type Pgoff, TASK_SIZE } from '../base/units.ts';
import { prepareAnonVma } from './anonVma.ts';
import { accountVm, linkVma, type Mm } from './mm.ts';
import { EXCLUSIVE, WRITE, YOUNG } from './pte.ts';
import { mapNewAnon } from './rmap.ts';
import { softDirtyFlag, storeBits } from './storeBits.ts';
import { type MappedFile, nrPagesOf, Vma } from './vma.ts';
import { VM_ACCOUNT, VM_GROWSDOWN, VM_LOCKED, VM_WRITE } from './vmFlags.ts';

/** A vma as found. */
export interface FoundVma {
  readonly start: Addr;
  readonly end: Addr;
  readonly flags: number;
  readonly file: MappedFile | null;
  /** Offset in the file in pages; not used for anonymous memory. */
  readonly filePgoff: Pgoff;
  /** Name of a kernel mapping (`[vdso]`), or null. */
  readonly special: string | null;
  /** Number of anonymous pages resident; above 0 the vma has an anon_vma. They lie at its end (bss tail, arguments). */
  readonly anonPages: number;
  /** Where they lie, if it is known better: their addresses, as many as `anonPages`. */
  readonly anonAt?: readonly Addr[];
}

/** Returns the page offset a vma of execve has. */
function initialPgoff(found: FoundVma): Pgoff {
  if (found.file !== null) return found.filePgoff;
  if (found.special !== null) return 0;
  // The stack is created with its end at TASK_SIZE and keeps its page offsets when it is slid down.
  if (found.flags & VM_GROWSDOWN) return anonymousPgoff(TASK_SIZE) - nrPagesIn(found.end - found.start);
  return anonymousPgoff(found.start);
}

/** Adds `found` to `mm`, which has nothing there. Returns the vma. */
export function adoptVma(mm: Mm, found: FoundVma): Vma {
  const vma = new Vma(mm.kernel.nextVmaId(), {
    ...found,
    flags: found.flags | softDirtyFlag(mm.kernel),
    pgoff: initialPgoff(found),
  });
  vma.special = found.special;
  linkVma(mm, vma, 'initial');
  accountVm(mm, vma.flags, nrPagesOf(vma));
  if (vma.flags & VM_ACCOUNT) mm.kernel.commit(nrPagesOf(vma));
  if (vma.flags & VM_LOCKED) mm.lockedVm += nrPagesOf(vma);
  if (found.anonPages > 0) prepareAnonVma(mm.kernel, vma);
  const nrAnon = Math.min(found.anonPages, nrPagesOf(vma));
  const atTheEnd = Array.from({ length: nrAnon }, (_, i) => vma.end - (nrAnon - i) * PAGE_SIZE);
  for (const addr of found.anonAt ?? atTheEnd)
    mapNewAnon(mm, vma, addr, storeBits(mm, vma) | YOUNG | EXCLUSIVE | (vma.flags & VM_WRITE ? WRITE : 0));
  return vma;
}
