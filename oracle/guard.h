/* SPDX-License-Identifier: MIT */
#ifndef FAULTLINE_GUARD_H
#define FAULTLINE_GUARD_H

/* Sets vm.overcommit_memory until guard_undo(). Prints `-> 0`, or why not. */
void guard_overcommit(int mode);
/* Sees to it that there is swap space until guard_undo(): what is there, or a zram device made for it. Prints as above. */
void guard_swap(void);
/* Waits until no other run changes or measures something of the whole machine, and keeps others from it until guard_undo(). */
void guard_lock(void);
/* Puts back what was changed. */
void guard_undo(void);

#endif
