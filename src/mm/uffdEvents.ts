/**
 * Changes of an address space that userfaultfd contexts asked to be told of (non-cooperative mode).
 *
 *   remove   before pages are taken away; the walk of madvise stops there and goes on once it was read
 *   unmap, remap, fork   after the whole call; it returns once each was read, one after the other
 *
 * An event is prepared while the call does its work, which makes the range ioctls of the context answer EAGAIN from then on, and queued when
 * the call comes to announce it. A call about memory never waits by itself: whoever makes it takes the announcements and asks `announceNext` until there
 * is nothing left.
 *
 * Linux   fs/userfaultfd.c: userfaultfd_unmap_prep and _complete, mremap_userfaultfd_prep and _complete, dup_userfaultfd, userfaultfd_remove;
 *         spec/userfaultfd.md 9
 */
import { UFFD_FEATURE_EVENT_REMOVE, UFFD_FEATURE_EVENT_UNMAP } from '../abi/userfaultfd.ts';
import type { Addr } from '../base/units.ts';
import type { Mm } from './mm.ts';
import type { Remap } from './mremap.ts';
import { UffdContext, type UffdMessage, type UffdWait } from './uffdContext.ts';
import type { Vma } from './vma.ts';
import { VM_UFFD_MASK } from './vmFlags.ts';

/** An event that a context is to be told of. */
export interface Announcement {
  readonly context: UffdContext;
  readonly message: UffdMessage;
}

/** Prepares an event: its context counts as changing from now on. */
function prepare(mm: Mm, context: UffdContext, message: UffdMessage): void {
  context.changing++;
  mm.announcements.push({ context, message });
}

/** `vma` is about to be unmapped by a call on [start, end): its context is told of that range, once. Linux: userfaultfd_unmap_prep() */
export function prepareUnmapEvent(mm: Mm, vma: Vma, start: Addr, end: Addr): void {
  const context = vma.uffd;
  if (context?.has(UFFD_FEATURE_EVENT_UNMAP) !== true) return;
  const known = mm.announcements.some(
    ({ context: other, message: m }) =>
      other === context && m.event === 'unmap' && m.start === start && m.end === end,
  );
  if (!known) prepare(mm, context, { event: 'unmap', start, end });
}

/** The pages of a moved vma were moved to `vma`: its context is told, or it loses the vma. Linux: mremap_userfaultfd_prep() */
export function prepareRemapEvent(mm: Mm, vma: Vma, remap: Remap): void {
  const context = vma.uffd;
  if (context === null) return;
  if (!context.eventRemap) {
    forgetContext(vma);
    return;
  }
  context.changing++;
  const { addr: from, newAddr: to, oldLen: len } = remap;
  mm.announcements.splice(remap.earlyEvents, 0, { context, message: { event: 'remap', from, to, len } });
}

/** Takes registration away from a vma, entries and neighbours as they are. Linux: userfaultfd_reset_ctx() */
export function forgetContext(vma: Vma): void {
  vma.uffd = null;
  vma.flags &= ~VM_UFFD_MASK;
}

/** Contexts of a child that is being made, by those of its parent. */
export type ForkedContexts = Map<UffdContext, UffdContext>;

/** `copy`, which is to belong to `child`, gets a context of its own if that of its parent wants to know of forks, else none. Linux: dup_userfaultfd() */
export function forkContext(child: Mm, copy: Vma, forked: ForkedContexts): void {
  const parent = copy.uffd;
  if (parent === null) return;
  if (!parent.eventFork) {
    forgetContext(copy);
    return;
  }
  let context = forked.get(parent);
  if (context === undefined) {
    context = new UffdContext(child, parent.userModeOnly ? 1 : 0, parent.features);
    forked.set(parent, context);
    parent.changing++;
  }
  copy.uffd = context;
}

/** The child is complete (or could not be made): those who wanted to know are told. Linux: dup_userfaultfd_complete(), dup_userfaultfd_fail() */
export function announceFork(parent: Mm, forked: ForkedContexts, isMade: boolean): void {
  for (const [context, child] of forked)
    if (isMade) parent.announcements.push({ context, message: { event: 'fork', context: child } });
    else context.changing--;
}

/** Takes what the call that has just been made has to announce. */
export const takeAnnouncements = (mm: Mm): Announcement[] => mm.announcements.splice(0);

/**
 * Queues the next of `announcements`, which it takes off the list.
 * @returns  what the caller has to wait for before it may ask again, or null when all were read
 */
export function announceNext(announcements: Announcement[]): UffdWait | null {
  for (;;) {
    const next = announcements.shift();
    if (next === undefined) return null;
    const { context, message } = next;
    if (!context.released) return context.queueEvent(message);
    context.changing--;
    dropUnreadFork(message);
  }
}

/** Nobody will read of a fork any more: the child's memory is as if it had not been registered. */
export function dropUnreadFork(message: UffdMessage): void {
  if (message.event !== 'fork') return;
  for (const vma of message.context.mm.vmas) if (vma.uffd === message.context) forgetContext(vma);
}

/** Pages of [start, end) of `vma` are about to be taken away. Returns what to wait for first, or null. Linux: userfaultfd_remove() */
export function announceRemove(vma: Vma, start: Addr, end: Addr): UffdWait | null {
  const context = vma.uffd;
  if (context?.has(UFFD_FEATURE_EVENT_REMOVE) !== true || context.released) return null;
  context.changing++;
  return context.queueEvent({ event: 'remove', start, end });
}
