/* SPDX-License-Identifier: MIT */
#ifndef FAULTLINE_GUARD_H
#define FAULTLINE_GUARD_H

/* Sets vm.overcommit_memory until guard_undo(). Returns 0, or -1 when it cannot be set here. */
int guard_overcommit(int mode);
/* Sees to it that there is swap space until guard_undo(): what is there, or a zram device made for it. Prints `-> 0`, or why not. */
void guard_swap(void);
/* The same for a device of its own with that many pages, from which one page at a time is read. Returns 0, or -1 when there is other swap
 * space already or none can be made. */
int guard_swap_pages(long pages);
/* Waits until no other run changes or measures something of the whole machine, and keeps others from it until guard_undo(). */
void guard_lock(void);
/* Waits until nobody changes something of the whole machine, and keeps everybody from it until guard_undo(); many may share this. */
void guard_share(void);
/* Opens a file to lock, which any user may; makes it if it is not there. Returns -1 when it cannot. */
int guard_open(const char *path);
/* Puts back what was changed. */
void guard_undo(void);

#endif
