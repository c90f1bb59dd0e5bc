/**
 * Views of an address space, byte for byte as Linux prints them, and the rows that /proc does not show.
 *
 * Linux   fs/proc/task_mmu.c; spec/vma.md 16
 * Cost    linear in the vmas
 */
import { type Addr, hexRange, PAGE_SIZE } from '../base/units.ts';
import type { AnonVma } from './anonVma.ts';
import type { Mm } from './mm.ts';
import type { Vma } from './vma.ts';
import { permsOf, VM_LOCKED, vmFlagCodes } from './vmFlags.ts';

const NAME_COLUMN = 73;

/** Returns the name that maps prints for `vma`, or the empty string. */
export function vmaDisplayName(mm: Mm, vma: Vma): string {
  if (vma.file !== null) {
    if (vma.name !== null) return `[anon_shmem:${vma.name}]`;
    return vma.file.object.path.replaceAll('\n', '\\012');
  }
  if (vma.special !== null) return vma.special;
  if (vma.start < mm.brk && vma.end > mm.startBrk) return '[heap]';
  if (vma.start <= mm.startStack && vma.end >= mm.startStack && mm.startStack !== 0) return '[stack]';
  return vma.name === null ? '' : `[anon:${vma.name}]`;
}

/** Returns one line of /proc/PID/maps without the newline. An inode that nobody told us prints as 0. */
export function mapsLine(mm: Mm, vma: Vma): string {
  const object = vma.file?.object;
  const offset = vma.file === null ? 0 : vma.pgoff * PAGE_SIZE;
  const head = `${hexRange(vma.start, vma.end)} ${permsOf(vma.flags)} ${offset.toString(16).padStart(8, '0')} ${object?.dev ?? '00:00'} ${object?.inode ?? 0} `;
  const name = vmaDisplayName(mm, vma);
  return name === '' ? head : paddedName(head, name);
}

/** Puts a name behind the head of a line. The kernel pads to one column less and adds a blank, whatever the head's length; the head ends in a blank itself. */
export const paddedName = (head: string, name: string): string => `${head.padEnd(NAME_COLUMN - 1)} ${name}`;

/** Returns /proc/PID/maps without the `[vsyscall]` line, one string with newlines. @param isShown  which vmas, by default all */
export function mapsText(mm: Mm, isShown: (vma: Vma) => boolean = () => true): string {
  let text = '';
  for (const vma of mm.vmas) if (isShown(vma)) text += `${mapsLine(mm, vma)}\n`;
  return text;
}

/** A vma as data: what maps, smaps and a task-VMA iterator of BPF would show together. */
export interface VmaRow {
  readonly id: number;
  readonly start: Addr;
  readonly end: Addr;
  readonly perms: string;
  /** `vm_flags` in our packing. */
  readonly flags: number;
  readonly flagCodes: string;
  readonly pgoff: number;
  readonly name: string;
  readonly fileId: number | null;
  readonly uffdId: number | null;
  readonly policy: string | null;
  readonly anonName: string | null;
  readonly anonymous: boolean;
  readonly anonVma: AnonVmaRow | null;
  /** Length of the anon_vma chain; above 1 the vma came from a fork. */
  readonly chain: number;
  readonly locked: boolean;
}

/** An anon_vma as data. */
export interface AnonVmaRow {
  readonly id: number;
  readonly root: number;
  readonly parent: number;
  readonly children: number;
  readonly vmas: number;
  readonly shared: boolean;
}

const anonVmaRow = (anonVma: AnonVma): AnonVmaRow => ({
  id: anonVma.id,
  root: anonVma.root.id,
  parent: anonVma.parent.id,
  children: anonVma.nrChildren,
  vmas: anonVma.nrActiveVmas,
  shared: anonVma !== anonVma.root || anonVma.attached.size !== anonVma.nrActiveVmas,
});

/** Returns every vma as a row, ascending. */
export function vmaRows(mm: Mm): VmaRow[] {
  return [...mm.vmas].map((vma) => ({
    id: vma.id,
    start: vma.start,
    end: vma.end,
    perms: permsOf(vma.flags),
    flags: vma.flags,
    flagCodes: vmFlagCodes(vma.flags),
    pgoff: vma.pgoff,
    name: vmaDisplayName(mm, vma),
    fileId: vma.file?.id ?? null,
    uffdId: vma.uffd?.id ?? null,
    policy: vma.policy,
    anonName: vma.name,
    anonymous: vma.file === null && vma.special === null,
    anonVma: vma.anonVma === null ? null : anonVmaRow(vma.anonVma),
    chain: vma.chain.length,
    locked: (vma.flags & VM_LOCKED) !== 0,
  }));
}
