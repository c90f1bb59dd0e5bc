/* SPDX-License-Identifier: MIT */
#ifndef FAULTLINE_VMA_ITER_H
#define FAULTLINE_VMA_ITER_H

#include <stdint.h>
#include <sys/types.h>

/* One VMA as the kernel holds it. Pointers are kernel addresses: only whether two are equal means anything. */
struct vma_record {
	uint64_t start, end, flags, pgoff;
	uint64_t file, policy, uffd;
	uint64_t anon_vma, root, parent, nr_children, nr_active_vmas;
	uint64_t chain_length;
};

/* Loads the iterator, which then shows the VMAs that start in [low, high). Returns 0, or -1 with the reason in *why
 * (not root, no BTF, a field that this kernel does not have). */
int vma_iter_open(uint64_t low, uint64_t high, const char **why);

/* Fills out[0..max) with the VMAs of process `pid` inside the range given at open, in address order. Returns how many there
 * are, -1 (errno set) when the kernel refuses or max is too small (ERANGE). */
long vma_iter_read(pid_t pid, struct vma_record *out, size_t max);

#endif
