/* SPDX-License-Identifier: MIT */
/*
 * The case process, third part: userfaultfd contexts by number, PAGEMAP_SCAN, and threads that may sleep.
 *
 * A thread shares everything with the case process, also the place of errno; so it makes raw system calls only. Before a step ends, every thread has
 * finished what it was told to do, or sleeps in userfaultfd: /proc says where a thread waits.
 */
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { NR_CONTEXTS = 8, NR_THREADS = 3, STACK = 65536, STAMP = 200, MAX_PAGES = 1024, MAX_REGIONS = 64, NEVER = 0x10 };
enum fill { COPY, ZEROPAGE, CONTINUE, POISON, MOVE };
enum how { WRITABLE, READ_ONLY, NO_STRUCTURE };

static int contexts[NR_CONTEXTS] = { -1, -1, -1, -1, -1, -1, -1, -1 };
static int nr_forked;

/* ---- system calls without errno ---- */

static long raw(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return ret;
}
static void append_error(long ret) { append("-%s", strerrorname_np((int)-ret)); }
static void append_address(uint64_t addr)
{
	if (addr < WINDOW || addr >= WINDOW_END) { append("0x%lx", addr); return; }
	append("B+%lu", (addr - WINDOW) / PG);
	if (addr % PG) append(".0x%lx", addr % PG);
}

/* Memory of this program that takes no new page table: in the 2 MiB around the anchor. What follows it is not mapped. */
enum { STRUCTURE = 100, REGIONS = 110, BUFFER = 200 };
static char *own_memory(unsigned long page, unsigned long pages)
{
	long since = charged_faults();
	char *memory = mmap((void *)(ANCHOR + page * PG), pages * PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0);

	for (unsigned long i = 0; i < pages; i++) memory[i * PG] = 0;
	settle_again(since);
	return memory;
}

/* ---- structures, where they can be written and where they cannot ---- */

static uint64_t *structure(enum how how, const uint64_t *words, int nr)
{
	static char *page;

	if (!page) page = own_memory(STRUCTURE, 1);
	mprotect(page, PG, PROT_READ | PROT_WRITE);
	memcpy(page, words, nr * sizeof(*words));
	if (how == READ_ONLY) mprotect(page, PG, PROT_READ);
	return how == NO_STRUCTURE ? NULL : (uint64_t *)page;
}

/* ---- contexts ---- */

static void open_context(const struct step *s)
{
	uint64_t api[3] = { 0xaa, s->arg[2], 0 };
	long fd = raw(SYS_userfaultfd, s->arg[1] | O_CLOEXEC, 0, 0, 0, 0, 0), ret = fd;

	if (fd >= 0 && s->arg[2] != ~0ul) ret = raw(SYS_ioctl, fd, 0xc018aa3f, (long)api, 0, 0, 0);
	if (fd >= 0) contexts[s->arg[0]] = fd;
	begin("-> ");
	if (ret < 0) append_error(ret);
	else append("0");
	say_line();
}
static void handshake(const struct step *s)
{
	uint64_t api[3] = { s->arg[1], s->arg[2], 0 };
	long ret = raw(SYS_ioctl, contexts[s->arg[0]], 0xc018aa3f, (long)api, 0, 0, 0);

	begin("-> ");
	if (ret < 0) append_error(ret);
	else append("0");
	append(" 0x%lx 0x%lx 0x%lx", api[0], api[1], api[2]);
	say_line();
}
static void registration(const struct step *s)
{
	uint64_t words[4] = { s->arg[1], s->arg[2], s->op == OP_UREG ? s->arg[3] : 0, 0 };
	enum how how = s->arg[4];
	uint64_t *at = structure(how, words, 4);
	long ret = raw(SYS_ioctl, contexts[s->arg[0]], s->op == OP_UREG ? 0xc020aa00 : 0x8010aa01, (long)at, 0, 0, 0);

	begin("-> ");
	if (ret < 0) append_error(ret);
	else if (s->op == OP_UREG) append("0x%lx", at[3]);
	else append("0");
	say_line();
}
static void range_call(const struct step *s)
{
	uint64_t words[3] = { s->arg[1], s->arg[2], s->arg[3] };
	long ret = raw(SYS_ioctl, contexts[s->arg[0]], s->op == OP_UWP ? 0xc018aa06 : 0x8010aa02, (long)words, 0, 0, 0);

	begin("-> ");
	if (ret < 0) append_error(ret);
	else append("0");
	say_line();
}

static char *source_buffer(void)
{
	static char *buffer;

	if (!buffer) {
		buffer = own_memory(BUFFER, 16);
		memset(buffer, STAMP, 16 * PG);
	}
	return buffer;
}
static uint64_t source_address(uint64_t kind, uint64_t addr)
{
	if (kind == 0) return addr;
	return (uintptr_t)source_buffer() + (kind == 1 ? addr : 16 * PG - addr);
}
/* U kind dst srckind src len mode how */
static void append_fill(long ret, uint64_t field)
{
	if (ret < 0) append_error(ret);
	else append("%ld", ret);
	append("/");
	if (field == NEVER) append(".");
	else if ((int64_t)field < 0) append_error((int64_t)field);
	else append("%lu", field / PG);
}
static const unsigned fill_ioctl[] = { 0xc028aa03, 0xc020aa04, 0xc020aa07, 0xc020aa08, 0xc028aa05 };
static int has_source(enum fill kind) { return kind == COPY || kind == MOVE; }

static void fill(const struct step *s)
{
	enum fill kind = s->arg[1];
	uint64_t source = source_address(s->arg[3], s->arg[4]);
	uint64_t with[5] = { s->arg[2], source, s->arg[5], s->arg[6], NEVER }, without[4] = { s->arg[2], s->arg[5], s->arg[6], NEVER };
	int nr = has_source(kind) ? 5 : 4;
	uint64_t *at = structure(s->arg[7], nr == 5 ? with : without, nr);
	long ret = raw(SYS_ioctl, contexts[s->arg[0]], fill_ioctl[kind], (long)at, 0, 0, 0);

	begin("-> ");
	append_fill(ret, at ? at[nr - 1] : NEVER);
	say_line();
}

/* ---- messages ---- */

static const char *thread_name(uint32_t tid);

static void append_message(const unsigned char *m, int reader)
{
	uint64_t a, b, c;

	memcpy(&a, m + 8, 8), memcpy(&b, m + 16, 8), memcpy(&c, m + 24, 8);
	switch (m[0]) {
	case 0x12:
		append("fault(%s%s%s,", a & 1 ? "W" : "R", a & 2 ? "P" : "", a & 4 ? "M" : "");
		append_address(b);
		append("%s)", (uint32_t)c ? thread_name((uint32_t)c) : "");
		break;
	case 0x13:
		contexts[NR_CONTEXTS - 1 - nr_forked] = (int)(uint32_t)a;
		append("fork(%d)", NR_CONTEXTS - 1 - nr_forked++);
		break;
	case 0x14: append("remap("), append_address(a), append(","), append_address(b), append(",%lu)", c / PG); break;
	default:
		append(m[0] == 0x15 ? "remove(" : "unmap("), append_address(a), append(","), append_address(b), append(")");
	}
	(void)reader;
}
static void settle_threads(void);
static void read_messages(const struct step *s)
{
	static unsigned char messages[8 * 32];

	begin("->");
	for (unsigned long i = 0; i < s->arg[1]; i++) {
		long n = raw(SYS_read, contexts[s->arg[0]], s->arg[3] ? 0 : (long)messages, s->arg[2], 0, 0, 0);
		if (n < 0) { append(" "), append_error(n); break; }
		for (long m = 0; m < n; m += 32) append(" "), append_message(messages + m, contexts[s->arg[0]]);
		settle_threads();
	}
	say_line();
}
static void count(const struct step *s)
{
	static char text[512];
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", contexts[s->arg[0]]);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	char *pending = strstr(text, "pending:"), *total = strstr(text, "total:"), *api = strstr(text, "API:");
	begin("-> ");
	append("%d %d", pending ? atoi(pending + 8) : -1, total ? atoi(total + 6) : -1);
	append(" 0x%lx", api ? strtoul(strchr(api + 5, ':') + 1, NULL, 16) : 0);
	say_line();
}
static void look(const struct step *s)
{
	struct pollfd p = { .fd = contexts[s->arg[0]], .events = POLLIN };

	poll(&p, 1, 0);
	begin("-> ");
	append(p.revents & POLLERR ? "ERR" : p.revents & POLLIN ? "IN" : "0");
	say_line();
}

/* ---- PAGEMAP_SCAN ---- */

struct region { uint64_t start, end, categories; };

/* addr end size flags vec vec_len max inverted mask anyof return of how */
static void scan(const struct step *s)
{
	static struct region *regions;
	const uint64_t *a = s->arg;
	/* Of another process the file stays open, also when that is gone. */
	static int of[MAX_HELD];
	char path[64] = "/proc/self/pagemap";
	int other = (int)a[11], fd;

	if (other) snprintf(path, sizeof(path), "/proc/%d/pagemap", held_process(other));
	if (other && !of[other]) of[other] = open(path, O_RDONLY | O_CLOEXEC);
	fd = other ? dup(of[other]) : open(path, O_RDONLY | O_CLOEXEC);

	if (!regions) regions = (struct region *)own_memory(REGIONS, 1);
	uint64_t vec = a[4] == 1 ? (uintptr_t)regions : a[4] == 2 ? (uintptr_t)scan : a[4] == 3 ? 1ul << 60 : 0;
	uint64_t arg[12] = { a[2], a[3], a[0], a[1], NEVER, vec, a[5], a[6], a[7], a[8], a[9], a[10] };
	long ret = raw(SYS_ioctl, fd, a[12] == 2 ? 0xc0606611 : 0xc0606610, a[12] == 1 ? 0 : (long)arg, 0, 0, 0);
	close(fd);
	begin("-> ");
	if (ret < 0) append_error(ret);
	else append("%ld", ret);
	append(" ");
	if (arg[4] == NEVER) append(".");
	else append_address(arg[4]);
	for (long i = 0; i < ret && i < MAX_REGIONS; i++) {
		append(" "), append_address(regions[i].start), append("-"), append_address(regions[i].end);
		append(":0x%lx", regions[i].categories);
	}
	say_line();
}

/* ---- threads ---- */

static struct thread {
	volatile int order;      /* counts what it is told */
	volatile int done;       /* what it has finished */
	pid_t tid;
	int started, told;       /* told: somebody is to ask for the result */
	struct step step;
	long result;
	uint64_t field;
	volatile int signal, code, nr_signals;
	volatile uint64_t trap_at;
	sigjmp_buf trapped;
	char stack[STACK] __attribute__((aligned(16)));
} threads[NR_THREADS];

static const char *thread_name(uint32_t tid)
{
	static const char *const names[] = { ",t0", ",t1", ",t2" };

	for (int i = 0; i < NR_THREADS; i++) if ((uint32_t)threads[i].tid == tid) return names[i];
	return ",main";
}
int thread_trapped(int signal, const siginfo_t *info)
{
	pid_t tid = (pid_t)raw(SYS_gettid, 0, 0, 0, 0, 0, 0);

	for (int i = 0; i < NR_THREADS; i++) {
		struct thread *t = &threads[i];
		if (!t->started || t->tid != tid) continue;
		t->signal = signal, t->code = info->si_code, t->trap_at = (uintptr_t)info->si_addr;
		siglongjmp(t->trapped, 1);
	}
	return 0;
}
static void accesses(struct thread *t, int store)
{
	const uint64_t *a = t->step.arg + 2;

	if (sigsetjmp(t->trapped, 1)) return;
	for (uint64_t i = 0; i < a[1]; i++) {
		volatile unsigned char *p = (void *)(a[0] + i * PG);
		if (store) *p = (unsigned char)(i + 1);
		else (void)*p;
	}
}
static long copy_by_kernel(const uint64_t *a, int nr)
{
	static char page[PG];
	static struct iovec local[MAX_PAGES];
	struct iovec remote = { (void *)a[0], a[1] * PG };

	memset(page, STAMP, sizeof(page));
	for (uint64_t i = 0; i < a[1] && i < MAX_PAGES; i++) local[i] = (struct iovec){ page, PG };
	return raw(nr, getpid(), (long)local, a[1], (long)&remote, 1, 0);
}
static void work(struct thread *t)
{
	const uint64_t *a = t->step.arg + 2;
	uint64_t copy[5] = { a[1], a[2], a[3], a[4], NEVER };

	t->signal = 0, t->result = 0, t->field = 0;
	switch (t->step.arg[1]) {
	case 0: accesses(t, 1); break;
	case 1: accesses(t, 0); break;
	case 2: t->result = raw(SYS_madvise, a[0], a[1], a[2], 0, 0, 0); break;
	case 3: t->result = raw(SYS_munmap, a[0], a[1], 0, 0, 0, 0); break;
	case 4: t->result = raw(SYS_mlock, a[0], a[1], 0, 0, 0, 0); break;
	case 5: t->result = raw(SYS_mremap, a[0], a[1], a[2], a[3], a[4], 0); break;
	case 6: t->result = copy_by_kernel(a, SYS_process_vm_readv); break;
	case 7: t->result = copy_by_kernel(a, SYS_process_vm_writev); break;
	case 8:
		t->result = raw(SYS_ioctl, contexts[a[0]], fill_ioctl[COPY], (long)copy, 0, 0, 0);
		t->field = copy[4];
		break;
	case 9: t->result = raw(SYS_mmap, a[0], a[1], a[2], a[3], (int)a[4] < 0 ? -1 : fds[a[4]], a[5]); break;
	case 10: t->result = raw(SYS_pread64, fds[a[0]], a[2], a[3] * PG, a[1] * PG, 0, 0); break;
	default: fork_in_thread(); break;
	}
}
static int thread_main(void *mine)
{
	struct thread *t = mine;

	t->tid = (pid_t)raw(SYS_gettid, 0, 0, 0, 0, 0, 0);
	for (int order = 1;; order++) {
		for (int now; (now = t->order) < order;) raw(SYS_futex, (long)&t->order, FUTEX_WAIT, now, 0, 0, 0);
		work(t);
		t->done = order;
	}
	return 0;
}
/* Whether a thread waits inside userfaultfd. */
static int sleeps(const struct thread *t)
{
	char path[64], where[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/wchan", t->tid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, where, sizeof(where) - 1);
	close(fd);
	where[n > 0 ? n : 0] = '\0';
	return strstr(where, "userfault") != NULL;
}
/* Waits until each thread has finished or sleeps, and still does when looked at again. */
static void settle_threads(void)
{
	struct timespec moment = { .tv_nsec = 200 * 1000 };

	for (int quiet = 0; quiet < 3;) {
		int busy = 0;
		for (int i = 0; i < NR_THREADS; i++)
			busy |= threads[i].started && threads[i].done < threads[i].order && !sleeps(&threads[i]);
		quiet = busy ? 0 : quiet + 1;
		for (int i = 0, any = 0; i < NR_THREADS && !any; i++)
			if (threads[i].started && threads[i].done < threads[i].order) any = 1, nanosleep(&moment, NULL);
	}
}
static void say_thread(struct thread *t)
{
	begin("-> ");
	if (t->done < t->order) append("blocked");
	else if (t->signal) append("%s%d@", t->signal == SIGSEGV ? "SEGV" : "BUS", t->code), append_address(t->trap_at);
	else if (t->step.arg[1] == 8) append_fill(t->result, t->field);
	else if (t->result < 0 && t->result > -4096) append_error(t->result);
	else if ((uint64_t)t->result >= WINDOW && (uint64_t)t->result < WINDOW_END) append_address(t->result);
	else append(t->result ? "0x%lx" : "0", t->result);
	say_line();
}
static void start_work(const struct step *s)
{
	struct thread *t = &threads[s->arg[0]];
	int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

	if (!t->started) {
		t->started = 1;
		clone(thread_main, t->stack + STACK, flags, t);
	}
	while (!t->tid) sched_yield();
	t->step = *s;
	t->order++;
	syscall(SYS_futex, &t->order, FUTEX_WAKE, 1, NULL, NULL, 0);
	settle_threads();
	say_thread(t);
}
/* SIGUSR1: counts, and lets the thread go on. */
static void on_usr1(int signal)
{
	pid_t tid = (pid_t)raw(SYS_gettid, 0, 0, 0, 0, 0, 0);

	(void)signal;
	for (int i = 0; i < NR_THREADS; i++) if (threads[i].started && threads[i].tid == tid) threads[i].nr_signals++;
}
static void send_signal(const struct step *s)
{
	struct thread *t = &threads[s->arg[0]];
	struct sigaction how = { .sa_handler = on_usr1 };
	int before = t->nr_signals;

	sigaction(SIGUSR1, &how, NULL);
	raw(SYS_tgkill, getpid(), t->tid, SIGUSR1, 0, 0, 0);
	for (int i = 0; i < 2000 && t->nr_signals == before; i++) usleep(100);
	settle_threads();
	begin("-> ");
	append("%d", t->nr_signals);
	say_line();
}

/* ---- two who move the same pages ---- */

static volatile struct mover { uint64_t context, to, from, pages; volatile int ready, go, done; long moved, lost, other; } movers[2];
static int mover_main(void *mine)
{
	volatile struct mover *m = mine;
	unsigned long all[16];

	memset(all, 0xff, sizeof(all));
	raw(SYS_sched_setaffinity, 0, sizeof(all), (long)all, 0, 0, 0);
	m->ready = 1;
	while (!m->go) raw(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
	for (uint64_t i = 0; i < m->pages; i++) {
		uint64_t move[5] = { m->to + i * PG, m->from + i * PG, PG, 0, NEVER };
		long ret = raw(SYS_ioctl, contexts[m->context], fill_ioctl[MOVE], (long)move, 0, 0, 0);
		if (ret == 0) m->moved++;
		else if (ret == -EEXIST) m->lost++;
		else m->other++;
	}
	m->done = 1;
	raw(SYS_exit, 0, 0, 0, 0, 0, 0);
	return 0;
}
static void move_twice(const struct step *s)
{
	static char stacks[2][STACK] __attribute__((aligned(16)));
	const struct timespec moment = { .tv_nsec = 100 * 1000 };

	for (int i = 0; i < 2; i++) {
		movers[i] = (struct mover){ s->arg[0], s->arg[1], s->arg[2], s->arg[3], 0, 0, 0, 0, 0, 0 };
		clone(mover_main, stacks[i] + STACK, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, (void *)&movers[i]);
	}
	while (!movers[0].ready || !movers[1].ready) nanosleep(&moment, NULL);
	movers[0].go = movers[1].go = 1;
	while (!movers[0].done || !movers[1].done) nanosleep(&moment, NULL);
	begin("-> ");
	append("%ld %ld %ld", movers[0].moved + movers[1].moved, movers[0].lost + movers[1].lost, movers[0].other + movers[1].other);
	say_line();
}
static void set_blocking(const struct step *s)
{
	int flags = fcntl(contexts[s->arg[0]], F_GETFL);

	say_result(fcntl(contexts[s->arg[0]], F_SETFL, s->arg[1] ? flags & ~O_NONBLOCK : flags | O_NONBLOCK));
}

void threads_are_gone(void)
{
	for (int i = 0; i < NR_THREADS; i++) threads[i].started = 0, threads[i].tid = 0;
}

/* ---- one step ---- */

int uffd_step(const struct step *s)
{
	switch (s->op) {
	case OP_UOPEN: open_context(s); break;
	case OP_UAPI: handshake(s); break;
	case OP_UREG:
	case OP_UUNREG: registration(s); break;
	case OP_UFILL: fill(s); break;
	case OP_UWP:
	case OP_UWAKE: range_call(s); break;
	case OP_UCLOSE:
		close(contexts[s->arg[0]]);
		settle_threads();
		say_result(0);
		break;
	case OP_UREAD: read_messages(s); break;
	case OP_UCOUNT: count(s); break;
	case OP_UPOLL: look(s); break;
	case OP_UWRITE: say_result(write(contexts[s->arg[0]], "word", 8)); break;
	case OP_SCAN: scan(s); break;
	case OP_SIG: send_signal(s); break;
	case OP_UMOVERS: move_twice(s); break;
	case OP_UBLOCK: set_blocking(s); break;
	case OP_UDUP:
		contexts[s->arg[1]] = fcntl(contexts[s->arg[0]], F_DUPFD_CLOEXEC, 0);
		say_result(contexts[s->arg[1]] < 0 ? -1 : 0);
		break;
	case OP_BG: start_work(s); break;
	case OP_JOIN:
		settle_threads();
		say_thread(&threads[s->arg[0]]);
		break;
	default: return 0;
	}
	return 1;
}
