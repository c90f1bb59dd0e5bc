/* SPDX-License-Identifier: MIT */
/*
 * What /proc does not show of a VMA, read from the kernel's own structures: vm_pgoff of anonymous memory, the anon_vma,
 * its root, parent and counts, and how long the anon_vma_chain is.
 *
 * A BPF program of type iter/task_vma is called once for each VMA of one process and writes a struct vma_record into the
 * iterator's file. The program is put together here instruction by instruction, with the offsets of the fields taken
 * from the kernel's BTF, so that nothing but a C compiler is needed: no clang, no libbpf, no bpftool. Everything is read
 * with bpf_probe_read_kernel into the record on the program's stack; a range test comes first, because a process of
 * 65,530 VMAs is asked about six of them.
 *
 * Cost     one link and one iterator file per reading: some 20 us plus a fraction of a us per VMA of the process
 * Linux    kernel/bpf/task_iter.c, include/uapi/linux/bpf.h, Documentation/bpf/btf.rst
 * Needs    CAP_BPF + CAP_PERFMON (root), /sys/kernel/btf/vmlinux
 * Limits   chains longer than MAX_CHAIN are cut there; a process with several threads gives its VMAs once for each
 */
#include "vma_iter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MAX_CHAIN = 64, MAX_INSNS = 1024, MAX_JUMPS = 256 };

/* ---- BTF: names to type numbers and byte offsets ---- */

static const char *btf_strings;
static const struct btf_type **btf_types; /* by type number */
static uint32_t nr_btf_types;
static char *btf_data;
static size_t btf_size, btf_index_size;

static const char *btf_name(uint32_t offset) { return btf_strings + offset; }

/* Returns the bytes that follow a struct btf_type of this kind. */
static size_t btf_extra(const struct btf_type *t)
{
	uint32_t n = BTF_INFO_VLEN(t->info);

	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_INT: return 4;
	case BTF_KIND_ARRAY: return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION: return n * sizeof(struct btf_member);
	case BTF_KIND_ENUM: return n * sizeof(struct btf_enum);
	case BTF_KIND_ENUM64: return n * 12;
	case BTF_KIND_FUNC_PROTO: return n * sizeof(struct btf_param);
	case BTF_KIND_VAR: return sizeof(struct btf_var);
	case BTF_KIND_DATASEC: return n * sizeof(struct btf_var_secinfo);
	case BTF_KIND_DECL_TAG: return 4;
	default: return 0;
	}
}

/* Maps the kernel's BTF and indexes its types. No malloc: the caller forks processes that must not own a heap. */
static int btf_load(void)
{
	int fd = open("/sys/kernel/btf/vmlinux", O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0) {
		if (fd >= 0) close(fd);
		return -1;
	}
	btf_size = st.st_size;
	char *data = btf_data = mmap(NULL, btf_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (off_t at = 0; at < st.st_size;) {
		ssize_t n = read(fd, data + at, st.st_size - at);
		if (n <= 0) break;
		at += n;
	}
	close(fd);

	const struct btf_header *header = (void *)data;
	if (header->magic != BTF_MAGIC) return -1;
	char *at = data + header->hdr_len + header->type_off, *end = at + header->type_len;
	btf_strings = data + header->hdr_len + header->str_off;
	btf_index_size = (header->type_len / sizeof(struct btf_type) + 1) * sizeof(*btf_types);
	btf_types = mmap(NULL, btf_index_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (nr_btf_types = 1; at < end; nr_btf_types++) {
		const struct btf_type *t = (void *)at;
		btf_types[nr_btf_types] = t;
		at += sizeof(*t) + btf_extra(t);
	}
	return 0;
}

static uint32_t btf_find(const char *name, uint32_t kind)
{
	for (uint32_t i = 1; i < nr_btf_types; i++)
		if (BTF_INFO_KIND(btf_types[i]->info) == kind && strcmp(btf_name(btf_types[i]->name_off), name) == 0)
			return i;
	return 0;
}

/* Returns the byte offset of a member, looking into unnamed structs and unions as C does, or -1. */
static long btf_member_offset(uint32_t type, const char *name)
{
	const struct btf_type *t = btf_types[type];
	while (BTF_INFO_KIND(t->info) == BTF_KIND_CONST || BTF_INFO_KIND(t->info) == BTF_KIND_TYPEDEF)
		t = btf_types[t->type];
	if (BTF_INFO_KIND(t->info) != BTF_KIND_STRUCT && BTF_INFO_KIND(t->info) != BTF_KIND_UNION) return -1;
	const struct btf_member *m = (void *)(t + 1);

	for (uint32_t i = 0; i < BTF_INFO_VLEN(t->info); i++) {
		long bits = BTF_INFO_KFLAG(t->info) ? BTF_MEMBER_BIT_OFFSET(m[i].offset) : m[i].offset;
		if (strcmp(btf_name(m[i].name_off), name) == 0) return bits / 8;
		if (*btf_name(m[i].name_off) == '\0') {
			long inner = btf_member_offset(m[i].type, name);
			if (inner >= 0) return bits / 8 + inner;
		}
	}
	return -1;
}

/* ---- the program ---- */

enum { REC = -(int)sizeof(struct vma_record), SCRATCH = REC - 8 };
enum { R0, R1, R2, R3, R4, R5, VMA, SEQ, CTX, HEAD, FP };

static struct bpf_insn prog[MAX_INSNS];
static int len, jumps[MAX_JUMPS], nr_jumps;

static void emit(uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	if (len < MAX_INSNS) prog[len] = (struct bpf_insn){ .code = code, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm };
	len++;
}
static void mov(int dst, int src) { emit(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0); }
static void mov_imm(int dst, int32_t imm) { emit(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm); }
static void add_imm(int dst, int32_t imm) { emit(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm); }
static void load(int dst, int src, int off) { emit(BPF_LDX | BPF_MEM | BPF_DW, dst, src, off, 0); }
static void store(int off, int src) { emit(BPF_STX | BPF_MEM | BPF_DW, FP, src, off, 0); }
static void store_imm(int off, int32_t imm) { emit(BPF_ST | BPF_MEM | BPF_DW, FP, 0, off, imm); }
static void call(int helper) { emit(BPF_JMP | BPF_CALL, 0, 0, 0, helper); }
static void load_imm64(int dst, uint64_t v)
{
	emit(BPF_LD | BPF_IMM | BPF_DW, dst, 0, 0, (int32_t)v);
	emit(0, 0, 0, 0, (int32_t)(v >> 32));
}
/* A forward jump, patched by land(). */
static void jump(uint8_t op, int dst, int src)
{
	if (nr_jumps < MAX_JUMPS) jumps[nr_jumps] = len;
	nr_jumps++;
	emit(BPF_JMP | op, dst, src, 0, 0);
}
/* Makes the jumps emitted since `from` arrive at the next instruction. */
static void land(int from)
{
	for (int i = from; i < nr_jumps && i < MAX_JUMPS; i++) prog[jumps[i]].off = len - jumps[i] - 1;
	nr_jumps = from;
}
/* Copies the 8 bytes at register `base` + off, a kernel address, to a slot of the stack (0 when unreadable). */
static void copy(int slot, int base, long off)
{
	mov(R3, base);
	if (off != 0) add_imm(R3, off);
	mov(R1, FP);
	add_imm(R1, slot);
	mov_imm(R2, 8);
	call(BPF_FUNC_probe_read_kernel);
}

#define SLOT(field) (REC + (int)offsetof(struct vma_record, field))

struct field { int slot; const char *name; long off; };

static int find_offsets(struct field *f, size_t n, const char *type, const char **why)
{
	uint32_t id = btf_find(type, BTF_KIND_STRUCT);
	for (size_t i = 0; i < n; i++) {
		f[i].off = id ? btf_member_offset(id, f[i].name) : -1;
		if (f[i].off < 0) { *why = f[i].name; return -1; }
	}
	return 0;
}

static int assemble(uint64_t low, uint64_t high, const char **why)
{
	struct field vma[] = {
		{ SLOT(start), "vm_start", 0 }, { SLOT(end), "vm_end", 0 }, { SLOT(flags), "vm_flags", 0 },
		{ SLOT(pgoff), "vm_pgoff", 0 }, { SLOT(file), "vm_file", 0 }, { SLOT(policy), "vm_policy", 0 },
		{ SLOT(uffd), "vm_userfaultfd_ctx", 0 }, { SLOT(anon_vma), "anon_vma", 0 }, { SCRATCH, "anon_vma_chain", 0 },
	};
	struct field anon[] = {
		{ SLOT(root), "root", 0 }, { SLOT(parent), "parent", 0 }, { SLOT(nr_children), "num_children", 0 },
		{ SLOT(nr_active_vmas), "num_active_vmas", 0 },
	};
	enum { NR_VMA = sizeof(vma) / sizeof(vma[0]), NR_ANON = sizeof(anon) / sizeof(anon[0]) };
	if (find_offsets(vma, NR_VMA, "vm_area_struct", why) != 0) return -1;
	if (find_offsets(anon, NR_ANON, "anon_vma", why) != 0) return -1;
	long chain = vma[NR_VMA - 1].off;

	mov(CTX, R1);
	load(VMA, CTX, 16); /* struct bpf_iter__task_vma: meta, task, vma */
	jump(BPF_JEQ | BPF_K, VMA, 0);
	copy(SLOT(start), VMA, vma[0].off);
	load(R1, FP, SLOT(start));
	load_imm64(R2, low);
	jump(BPF_JLT | BPF_X, R1, R2);
	load_imm64(R2, high);
	jump(BPF_JGE | BPF_X, R1, R2);
	int outside = nr_jumps;

	for (int i = 1; i < NR_VMA; i++) copy(vma[i].slot, VMA, vma[i].off);
	for (int i = 0; i < NR_ANON; i++) store_imm(anon[i].slot, 0);
	load(R1, FP, SLOT(anon_vma));
	jump(BPF_JEQ | BPF_K, R1, 0);
	for (int i = 0; i < NR_ANON; i++) {
		load(R4, FP, SLOT(anon_vma));
		copy(anon[i].slot, R4, anon[i].off);
	}
	land(outside);

	/* The chain is a ring through its head; SCRATCH holds the first link. */
	mov(HEAD, VMA);
	add_imm(HEAD, chain);
	store_imm(SLOT(chain_length), 0);
	for (int i = 0; i < MAX_CHAIN; i++) {
		load(R4, FP, SCRATCH);
		jump(BPF_JEQ | BPF_X, R4, HEAD);
		load(R1, FP, SLOT(chain_length));
		add_imm(R1, 1);
		store(SLOT(chain_length), R1);
		copy(SCRATCH, R4, 0);
	}
	land(outside);

	load(SEQ, CTX, 0);
	load(R1, SEQ, 0);
	mov(R2, FP);
	add_imm(R2, REC);
	mov_imm(R3, sizeof(struct vma_record));
	call(BPF_FUNC_seq_write);
	land(0);
	mov_imm(R0, 0);
	emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	return 0;
}

/* ---- loading and reading ---- */

static int prog_fd = -1;

static long bpf(int command, union bpf_attr *attr) { return syscall(SYS_bpf, command, attr, sizeof(*attr)); }

int vma_iter_open(uint64_t low, uint64_t high, const char **why)
{
	static char log[65536];
	union bpf_attr attr;

	*why = "no BTF at /sys/kernel/btf/vmlinux";
	if (btf_load() != 0) return -1;
	uint32_t target = btf_find("bpf_iter_task_vma", BTF_KIND_FUNC);
	*why = "no task_vma iterator";
	if (target == 0 || assemble(low, high, why) != 0) return -1;
	*why = "the BPF program is too long";
	if (len > MAX_INSNS) return -1;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_TRACING;
	attr.expected_attach_type = BPF_TRACE_ITER;
	attr.attach_btf_id = target;
	attr.insns = (uintptr_t)prog;
	attr.insn_cnt = len;
	attr.license = (uintptr_t)"Dual MIT/GPL";
	attr.log_buf = (uintptr_t)log;
	attr.log_size = sizeof(log);
	attr.log_level = 1;
	prog_fd = bpf(BPF_PROG_LOAD, &attr);
	*why = errno == EPERM ? "loading BPF needs root" : log;
	munmap(btf_types, btf_index_size);
	munmap(btf_data, btf_size);
	if (prog_fd < 0) return -1;
	*why = "";
	return 0;
}

long vma_iter_read(pid_t pid, struct vma_record *out, size_t max)
{
	union bpf_iter_link_info info;
	union bpf_attr attr;

	memset(&info, 0, sizeof(info));
	info.task.pid = pid; /* by `tid` 6.18 gives the last part again and again once there are more than 32 KiB */
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = prog_fd;
	attr.link_create.attach_type = BPF_TRACE_ITER;
	attr.link_create.iter_info = (uintptr_t)&info;
	attr.link_create.iter_info_len = sizeof(info);
	int link = bpf(BPF_LINK_CREATE, &attr);
	if (link < 0) return -1;
	memset(&attr, 0, sizeof(attr));
	attr.iter_create.link_fd = link;
	int iter = bpf(BPF_ITER_CREATE, &attr);
	close(link);
	if (iter < 0) return -1;

	size_t got = 0, room = max * sizeof(*out);
	ssize_t n = 0;
	while (got < room && (n = read(iter, (char *)out + got, room - got)) > 0) got += n;
	close(iter);
	if (n < 0) return -1;
	if (got == room) { errno = ERANGE; return -1; }
	return got / sizeof(*out);
}
