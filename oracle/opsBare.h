/* SPDX-License-Identifier: MIT */
/*
 * System calls without a C library, for the executor: its own memory is one range that it knows. An error is returned as -errno.
 */
#ifndef FAULTLINE_OPS_BARE_H
#define FAULTLINE_OPS_BARE_H

#include <errno.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>

static inline long bare6(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return ret;
}
#define BARE_PICK(_1, _2, _3, _4, _5, _6, _7, pick, ...) pick
#define bare(...) BARE_PICK(__VA_ARGS__, BARE6, BARE5, BARE4, BARE3, BARE2, BARE1, BARE0)(__VA_ARGS__)
#define BARE0(n) bare6(n, 0, 0, 0, 0, 0, 0)
#define BARE1(n, a) bare6(n, (uint64_t)(a), 0, 0, 0, 0, 0)
#define BARE2(n, a, b) bare6(n, (uint64_t)(a), (uint64_t)(b), 0, 0, 0, 0)
#define BARE3(n, a, b, c) bare6(n, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), 0, 0, 0)
#define BARE4(n, a, b, c, d) bare6(n, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), 0, 0)
#define BARE5(n, a, b, c, d, e) bare6(n, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), (uint64_t)(e), 0)
#define BARE6(n, a, b, c, d, e, f) bare6(n, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), (uint64_t)(e), (uint64_t)(f))

/* Waits until *word is no longer `old`, at most `ms` milliseconds (negative: for ever). Returns 0 when it changed. */
static inline int bare_wait(uint32_t *word, uint32_t old, long ms)
{
	struct { int64_t seconds, nanoseconds; } limit = { ms / 1000, ms % 1000 * 1000000 };

	if (__atomic_load_n(word, __ATOMIC_ACQUIRE) == old) bare(SYS_futex, word, FUTEX_WAIT, old, ms < 0 ? 0 : (uint64_t)&limit);
	return __atomic_load_n(word, __ATOMIC_ACQUIRE) == old;
}

/* Adds 1 to *word and wakes who waits for it. */
static inline void bare_ring(uint32_t *word)
{
	__atomic_add_fetch(word, 1, __ATOMIC_RELEASE);
	bare(SYS_futex, word, FUTEX_WAKE, 1);
}

#endif
