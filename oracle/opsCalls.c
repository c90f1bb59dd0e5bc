/* SPDX-License-Identifier: MIT */
/*
 * The calls of an ops file, made by the executor or a child. What a call needs besides its arguments (buffers, descriptors of processes,
 * what /proc says) is made ready before faults are counted.
 */
#include "opsWorker.h"

#include <fcntl.h>
#include <linux/prctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/uio.h>

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

/* Where fill maps, and the key of the first System V segment, which is seen in the name of its VMAs. */
#define FAR 0x500000000000UL
enum { SHM_KEY = 0x46000000 };

static int text_fd(const char *path) { return bare(SYS_open, path, O_RDONLY | O_CLOEXEC); }

/* ---- what a call needs ---- */

static int pid_of(uint64_t who)
{
	if (who == WHO_SELF) return bare(SYS_getpid);
	return who < MAX_CHILDREN ? SHARED->child[who].pid : 0;
}

/* The buffer of this thread. */
static uint8_t *own_io(void) { return SHARED->io[thread_number() % NR_THREADS]; }

/* The buffer of copies: the same pages again and again, each with the stamp in its first word and zeros behind it; or all of it stamps. */
static void fill_io(uint64_t stamp, int everywhere)
{
	uint64_t *io = (uint64_t *)own_io();

	for (uint64_t i = 0; i < 2 * MAX_IOVECS; i += OPS_PG / 8) *(volatile uint64_t *)&SHARED->iovecs[i] = 0;
	for (uint64_t *p = io; p < io + IO_BYTES / 8; p++) *(volatile uint64_t *)p = everywhere || (uint64_t)p % OPS_PG == 0 ? stamp : 0;
}

/* Returns the number behind `key` in the process's status, which is in kB; `key` includes the colon. */
static uint64_t status_kb(const char *key)
{
	char *text = (char *)own_io();
	int fd = text_fd("/proc/self/status");
	long n = bare(SYS_read, fd, text, IO_BYTES - 1);
	uint64_t value = 0;

	bare(SYS_close, fd);
	for (char *line = text; line < text + n; line++) {
		int i = 0;
		while (key[i] && line[i] == key[i]) i++;
		if (key[i] == '\0') {
			for (line += i; *line < '0'; line++) {}
			for (; *line >= '0' && *line <= '9'; line++) value = value * 10 + (*line - '0');
			return value;
		}
		while (line < text + n && *line != '\n') line++;
	}
	return 0;
}

static uint64_t decimal_of(const char *path)
{
	char text[24];
	int fd = text_fd(path);
	long n = bare(SYS_read, fd, text, sizeof(text));
	uint64_t value = 0;

	bare(SYS_close, fd);
	for (long i = 0; i < n && text[i] >= '0'; i++) value = value * 10 + (text[i] - '0');
	return value;
}

/* How many VMAs this process has: the lines of maps but the one of vsyscall, which is none; it begins with ffff. */
static uint64_t vma_count(void)
{
	int fd = text_fd("/proc/self/maps"), column = 0;
	uint64_t lines = 0;
	uint8_t *io = own_io();

	for (long n; (n = bare(SYS_read, fd, io, IO_BYTES)) > 0;)
		for (long i = 0; i < n; i++) {
			if (column < 4 && io[i] == 'f') column++;
			else if (column < 4) column = 5;
			if (io[i] != '\n') continue;
			lines += column != 4;
			column = 0;
		}
	bare(SYS_close, fd);
	return lines;
}

int call_prepare(struct op *op)
{
	uint64_t pages = (op->arg[1] + OPS_PG - 1) / OPS_PG;

	switch (op->kind) {
	case OP_MINCORE:
		if (pages > VEC_BYTES - SHARED->vec_used) pages = VEC_BYTES - SHARED->vec_used;
		op->vec = SHARED->vec_used;
		SHARED->vec_used += pages;
		for (uint64_t i = 0; i < pages; i++) SHARED->vec[op->vec + i] = 0;
		return 1;
	case OP_VM_READ:
	case OP_VM_WRITE:
		fill_io(op->number | COPY_STAMP, op->uffd);
		return pid_of(op->arg[0]) != 0;
	case OP_PROCESS_MADVISE:
		if (pid_of(op->arg[0]) == 0) return 0;
		SHARED->prepared_fd = bare(SYS_pidfd_open, pid_of(op->arg[0]), 0);
		return 1;
	case OP_SETRLIMIT:
		SHARED->base = !op->now ? 0 : 1024 * (op->arg[0] == RLIMIT_AS ? status_kb("VmSize:") : op->arg[0] == RLIMIT_DATA ? status_kb("VmData:") :
			op->arg[0] == RLIMIT_MEMLOCK ? status_kb("VmLck:") : 0);
		return 1;
	case OP_FILL:
		SHARED->base = decimal_of("/proc/sys/vm/max_map_count") - vma_count();
		return 1;
	default:
		if (op->kind >= OP_USERFAULTFD && op->kind <= OP_SCAN) uffd_prepare(op);
		return 1;
	}
}

void call_finish(void)
{
	if (SHARED->prepared_fd > 0) bare(SYS_close, SHARED->prepared_fd);
	SHARED->prepared_fd = 0;
}

/* ---- copies between processes ---- */

static long copy(const struct op *op)
{
	struct iovec *here = (struct iovec *)SHARED->iovecs;
	struct iovec there = { (void *)op->arg[1], op->arg[2] };
	uint64_t left = op->arg[2], skip = op->arg[1] % OPS_PG;
	int nr = 0;

	for (; left > 0 && nr < MAX_IOVECS; nr++) {
		uint64_t n = left < IO_BYTES - skip ? left : IO_BYTES - skip;
		here[nr] = (struct iovec){ own_io() + skip, n };
		left -= n;
		skip = 0;
	}
	long call = op->kind == OP_VM_READ ? SYS_process_vm_readv : SYS_process_vm_writev;
	return bare(call, pid_of(op->arg[0]), here, nr, &there, 1, 0);
}

static long advise_process(const struct op *op)
{
	struct iovec range = { (void *)op->arg[1], op->arg[2] };
	return bare(SYS_process_madvise, SHARED->prepared_fd, &range, 1, op->arg[3], 0);
}

/* ---- files and System V memory ---- */

/* Puts a new descriptor where the file of this name belongs. */
static long keep_fd(long fd, uint64_t as)
{
	if (fd < 0) return fd;
	long got = bare(SYS_dup2, fd, as);
	bare(SYS_close, fd);
	return got < 0 ? got : 0;
}

long make_memfd(const char *name, uint64_t fd, uint64_t flags) { return keep_fd(bare(SYS_memfd_create, name, flags), fd); }

static long call_memfd(const struct op *op)
{
	char name[3] = { 'm', (char)('0' + op->arg[0] - MEMFD_FD), '\0' };
	return make_memfd(name, op->arg[0], op->arg[1]);
}

/* Page by page, so that every page is one of its own in the page cache. Returns the bytes up to the first page that failed, or its error. */
static long write_pages(uint64_t fd, uint64_t offset, uint64_t len, uint64_t stamp, int in_bytes)
{
	long bytes = 0;

	for (uint64_t at = offset; at < offset + len; at += OPS_PG) {
		long n = bare(SYS_pwrite64, fd, &stamp, sizeof(stamp), at);
		if (n < 0) return at > offset ? in_bytes ? bytes : (long)(at - offset) : n;
		bytes += n;
	}
	return in_bytes ? bytes : (long)len;
}

/* Its pages are in memory and clean, as after a look at each of them; none was written, so nothing is on the way to a disk. */
static long open_file(const struct op *op)
{
	char path[sizeof(SHARED->files) + 4];
	int n = 0;

	for (; SHARED->files[n]; n++) path[n] = SHARED->files[n];
	path[n] = '/', path[n + 1] = 'f', path[n + 2] = (char)('0' + op->arg[0] - FILE_FD), path[n + 3] = '\0';
	long fd = bare(SYS_open, path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0) return fd;
	bare(SYS_unlink, path);
	long ret = bare(SYS_ftruncate, fd, op->arg[1] * OPS_PG);
	bare(SYS_fadvise64, fd, 0, 0, POSIX_FADV_RANDOM); /* page by page */
	for (uint64_t i = 0; i < op->arg[1] && ret >= 0; i++) ret = bare(SYS_pread64, fd, path, 1, i * OPS_PG);
	bare(SYS_fadvise64, fd, 0, 0, POSIX_FADV_NORMAL);
	if (ret >= 0) return keep_fd(fd, op->arg[0]);
	bare(SYS_close, fd);
	return ret;
}

static long make_segment(const struct op *op)
{
	int32_t *id = &SHARED->shm[op->arg[0]];

	if (*id >= 0) bare(SYS_shmctl, *id, IPC_RMID, 0);
	long got = bare(SYS_shmget, SHM_KEY + op->arg[0], op->arg[1], IPC_CREAT | IPC_EXCL | 0666);
	*id = got < 0 ? -1 : got;
	return got < 0 ? got : 0;
}

/* ---- limits ---- */

static long set_limit(const struct op *op)
{
	struct rlimit limit;
	long ret = bare(SYS_prlimit64, 0, op->arg[0], 0, &limit);

	limit.rlim_cur = SHARED->base + op->arg[1];
	return ret < 0 ? ret : bare(SYS_prlimit64, 0, op->arg[0], &limit, 0);
}

/* Stays visible to others of its user, as a program that was started by that user is. */
static long set_user(uint64_t uid)
{
	long ret = bare(SYS_setresgid, uid, uid, uid);

	if (ret == 0) ret = bare(SYS_setresuid, uid, uid, uid);
	bare(SYS_prctl, PR_SET_PDEATHSIG, 9);
	bare(SYS_prctl, PR_SET_DUMPABLE, 1);
	return ret;
}

/* None touches another, so that none merges; none can be accessed, so that nothing makes it present. */
static long fill(int64_t leave)
{
	if (SHARED->filled < FAR) SHARED->filled = FAR;
	for (int64_t left = (int64_t)SHARED->base; left > leave; left--, SHARED->filled += 2 * OPS_PG) {
		long got = bare(SYS_mmap, SHARED->filled, OPS_PG, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
		if (got < 0) return got;
	}
	return 0;
}

/* ---- one call ---- */

static long rare_call(struct op *op)
{
	const uint64_t *a = op->arg;

	switch (op->kind) {
	case OP_MINCORE: return bare(SYS_mincore, a[0], a[1], SHARED->vec + op->vec);
	case OP_VM_READ:
	case OP_VM_WRITE: return copy(op);
	case OP_PROCESS_MADVISE: return advise_process(op);
	case OP_MEMFD: return call_memfd(op);
	case OP_OPEN: return open_file(op);
	case OP_FTRUNCATE: return bare(SYS_ftruncate, a[0], a[1]);
	case OP_FALLOCATE: return bare(SYS_fallocate, a[0], a[1], a[2], a[3]);
	case OP_FILE_WRITE: return write_pages(a[0], a[1], a[2], op->number | FILE_STAMP, op->uffd);
	case OP_ADD_SEALS: return bare(SYS_fcntl, a[0], F_ADD_SEALS, a[1]);
	case OP_SHMGET: return make_segment(op);
	case OP_SHMAT: return bare(SYS_shmat, SHARED->shm[a[0]], a[1], a[2]);
	case OP_SHMDT: return bare(SYS_shmdt, a[0]);
	case OP_SETRLIMIT: return set_limit(op);
	case OP_SETUID: return set_user(a[0]);
	case OP_FILL: return fill(a[0]);
	default: return op->kind >= OP_USERFAULTFD && op->kind <= OP_SCAN ? uffd_call((struct op *)op) : -ENOSYS;
	}
}

long call_make(struct op *op)
{
	const uint64_t *a = op->arg;

	switch (op->kind) {
	case OP_MMAP: return bare(SYS_mmap, a[0], a[1], a[2], a[3], a[4], a[5]);
	case OP_MUNMAP: return bare(SYS_munmap, a[0], a[1]);
	case OP_MPROTECT: return bare(SYS_mprotect, a[0], a[1], a[2]);
	case OP_MREMAP: return bare(SYS_mremap, a[0], a[1], a[2], a[3], a[4]);
	case OP_MADVISE: return bare(SYS_madvise, a[0], a[1], a[2]);
	case OP_MLOCK: return bare(SYS_mlock, a[0], a[1]);
	case OP_MLOCK2: return bare(SYS_mlock2, a[0], a[1], a[2]);
	case OP_MUNLOCK: return bare(SYS_munlock, a[0], a[1]);
	case OP_MLOCKALL: return bare(SYS_mlockall, a[0]);
	case OP_MUNLOCKALL: return bare(SYS_munlockall);
	case OP_MSYNC: return bare(SYS_msync, a[0], a[1], a[2]);
	case OP_MSEAL: return bare(SYS_mseal, a[0], a[1], a[2]);
	case OP_PRCTL:
		return bare(SYS_prctl, a[0], a[1], a[2], a[3], op->name[0] ? (uint64_t)op->name : a[4]);
	default: return rare_call(op);
	}
}
