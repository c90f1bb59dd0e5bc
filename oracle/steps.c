/* SPDX-License-Identifier: MIT */
/*
 * The case process: makes the system calls of a case, in order, and tells the observer what came back.
 *
 * Everything it does besides those calls must not show in its own address space: no malloc, no stdio, static buffers,
 * raw system calls (the C library refuses some arguments itself). Processes of one case run one at a time: a fork goes on
 * in the child, and the parent waits until the child has reached its `exited`.
 */
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

struct shared *shared;
static int to_observer, at; /* `at`: the step being made */
int fds[NR_FDS] = { -1, -1, -1 }, uffd = -1;
static int shm_ids[NR_FDS];
static unsigned long brk0;
static const struct step *all_steps;
static int nr_all;
static int me; /* number of this process among the held ones */

/* ---- talking ---- */

void ask(enum ask what, uint64_t a, uint64_t b, uint64_t c, const char *text)
{
	static struct message m;
	char answer;

	m.ask = what, m.step = at, m.pid = getpid(), m.arg[0] = a, m.arg[1] = b, m.arg[2] = c;
	snprintf(m.text, sizeof(m.text), "%s", text);
	if (send(to_observer, &m, sizeof(m), 0) != sizeof(m) || recv(to_observer, &answer, 1, 0) != 1) _exit(99);
}
static void say(const char *text) { ask(ASK_TEXT, 0, 0, 0, text); }

static char line[600];
static size_t used;

void append(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	used += vsnprintf(line + used, used < sizeof(line) ? sizeof(line) - used : 0, format, arguments);
	va_end(arguments);
}
void say_line(void)
{
	say(line);
	used = 0;
}
void begin(const char *text)
{
	used = 0;
	append("%s", text);
}

void say_result(long ret)
{
	begin("-> ");
	if (ret == -1) append("-%s", strerrorname_np(errno));
	else if (ret == 0) append("0");
	else append("0x%lx", ret);
	say_line();
}
/* An address: relative to the window or the first break; `elsewhere` where the kernel chose one outside the window. */
static void say_address(long ret, unsigned long wanted)
{
	unsigned long addr = ret;

	if (ret == -1 || addr == 0) { say_result(ret); return; }
	begin("-> ");
	if (addr >= WINDOW && addr < WINDOW_END && addr % PG == 0) append("B+%lu", (addr - WINDOW) / PG);
	else if (brk0 && addr >= brk0 && addr < brk0 + (1UL << 30)) append("brk0+%lu", addr - brk0);
	else if (addr == wanted || addr < 1UL << 20) append("0x%lx", addr);
	else {
		append(addr % (512 * PG) ? "elsewhere" : "elsewhere(2M-aligned)");
		shared->last = addr;
	}
	say_line();
}

/* ---- loads and stores that may trap ---- */

static sigjmp_buf trapped;
volatile int trap_signal;
static volatile int trap_code;
static void *volatile trap_address;

static void on_trap(int sig, siginfo_t *info, void *context)
{
	(void)context;
	if (thread_trapped(sig, info)) return;
	trap_signal = sig, trap_code = info->si_code, trap_address = info->si_addr;
	siglongjmp(trapped, 1);
}
int access_byte(unsigned long addr, int store, int value)
{
	volatile unsigned char *p = (void *)addr;

	if (sigsetjmp(trapped, 1)) return -1;
	if (store) *p = value;
	return store ? value : *p;
}
static void touch(const struct step *s)
{
	int store = s->op == OP_TOUCH || s->op == OP_TOUCHTO, only_one = s->op == OP_TOUCHTO || s->op == OP_READTO;

	unsigned long stride = s->nr_args > 2 ? s->arg[2] : PG;

	for (unsigned long i = 0, trapped_once = 0; i < s->arg[1] && !(trapped_once && only_one); i++) {
		unsigned long addr = s->arg[0] + i * stride;
		if (access_byte(addr, store, (int)i + 1) >= 0) continue;
		trapped_once = 1;
		begin("");
		append("page +%lu: %s code %d", i, trap_signal == SIGSEGV ? "SIGSEGV" : "SIGBUS", trap_code);
		if (trap_address != (void *)addr) append(" at %p", trap_address);
		say_line();
	}
}
static void values(const struct step *s)
{
	begin("->");
	for (unsigned long i = 0; i < s->arg[1]; i++) {
		int v = access_byte(s->arg[0] + i * PG, 0, 0);
		if (v < 0) append(" SIG%d", trap_signal);
		else append(" %d", v);
	}
	say_line();
}

/* ---- operations that are more than one system call ---- */

static int slurp(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
	if (fd >= 0) close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return n > 0 ? 0 : -1;
}
/* Returns the number behind `key` in a file of lines like "VmData:   132 kB". */
static long keyed(const char *path, const char *key)
{
	static char buf[8192];
	char *found = slurp(path, buf, sizeof(buf)) == 0 ? strstr(buf, key) : NULL;
	return found ? atol(found + strlen(key)) : -1;
}

static long clear_refs(uint64_t what)
{
	char text[24];
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC), n = snprintf(text, sizeof(text), "%lu", what);
	ssize_t done = write(fd, text, n);

	close(fd);
	return done < 0 ? -1 : 0;
}
static long set_limit(const struct step *s)
{
	struct rlimit r;
	unsigned long want = s->arg[1];

	if (s->op == OP_LIMITPLUS) {
		static char statm[128];
		int as = s->arg[0] == RLIMIT_AS;
		if (as) slurp("/proc/self/statm", statm, sizeof(statm));
		long pages = as ? atol(statm) : keyed("/proc/self/status", "VmData:") / 4;
		want = (want + pages) * PG;
	}
	getrlimit(s->arg[0], &r);
	r.rlim_cur = want;
	return setrlimit(s->arg[0], &r);
}

static long become_nobody(void)
{
	if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) return -1;
	return prctl(PR_SET_DUMPABLE, 1);
}

static void fill(const struct step *s)
{
	long max = read_number("/proc/sys/vm/max_map_count"), n = max - (long)s->arg[0] - vma_count("/proc/self/maps");

	for (long i = 0; i < n; i++) /* neighbours of different protection, so that none merges */
		syscall(SYS_mmap, FAR + i * PG, PG, i % 2 ? PROT_READ : PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
	begin("");
	append("-> map_count now max%+ld", vma_count("/proc/self/maps") - max);
	say_line();
}

static long open_file(const struct step *s)
{
	char path[] = "/tmp/faultline-case-XXXXXX", self[64];
	int fd = mkostemp(path, O_CLOEXEC);

	if (fd < 0) return -1;
	unlink(path);
	if (ftruncate(fd, s->arg[1] * PG) != 0) return -1;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (fds[s->arg[0]] >= 0) close(fds[s->arg[0]]);
	fds[s->arg[0]] = open(self, (int)s->arg[2] | O_CLOEXEC);
	close(fd);
	return fds[s->arg[0]];
}
static void open_memfd(const struct step *s)
{
	int fd = memfd_create("case", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, s->arg[1] * PG) != 0) say_result(-1);
	fds[s->arg[0]] = fd;
}
static void fill_file(const struct step *s)
{
	for (unsigned long i = 0; i < s->arg[1]; i++) {
		char byte = (char)(65 + i);
		if (pwrite(fds[s->arg[0]], &byte, 1, i * PG) != 1) say_result(-1);
	}
}

static void mincore_bits(const struct step *s)
{
	static unsigned char bits[4096];
	long ret = syscall(SYS_mincore, s->arg[0], s->arg[1], bits);

	if (ret != 0) { say_result(ret); return; }
	begin("-> ");
	for (unsigned long i = 0; i < (s->arg[1] + PG - 1) / PG && i < 512; i++) append("%d", bits[i] & 1);
	say_line();
}

static void change_brk(const struct step *s)
{
	if (!brk0) brk0 = syscall(SYS_brk, 0);
	long got = syscall(SYS_brk, brk0 + s->arg[0]) - brk0;
	begin("");
	append("-> brk0%+ld (b0%%4096=%lu)", got, brk0 % PG);
	say_line();
}

static long advise_process(const struct step *s)
{
	struct iovec iov[MAX_ARGS / 2];
	int n = 0;

	for (int i = 1; i + 1 < s->nr_args; i += 2)
		iov[n++] = (struct iovec){ (void *)s->arg[i], s->arg[i + 1] };
	int pidfd = syscall(SYS_pidfd_open, s->op == OP_PADV ? getpid() : getppid(), 0);
	long ret = syscall(SYS_process_madvise, pidfd, iov, n, s->arg[0], 0);
	int error = errno;
	close(pidfd);
	errno = error;
	return ret;
}

static long uffd_open(void)
{
	struct uffdio_api api = { .api = UFFD_API };

	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	return uffd < 0 ? -1 : ioctl(uffd, UFFDIO_API, &api);
}
static long uffd_register(const struct step *s)
{
	struct uffdio_register reg = { .range = { s->arg[0], s->arg[1] }, .mode = s->nr_args > 2 ? s->arg[2] : 0 };
	return s->op == OP_UFFDREG ? ioctl(uffd, UFFDIO_REGISTER, &reg) : ioctl(uffd, UFFDIO_UNREGISTER, &reg.range);
}

static long sysv(const struct step *s)
{
	if (s->op == OP_SHMAT) return syscall(SYS_shmat, shm_ids[s->arg[0]], s->arg[1], 0);
	int id = shm_ids[s->arg[0]] = shmget(IPC_PRIVATE, s->arg[1] * PG, IPC_CREAT | 0600);
	/* Attached once, far away, then marked for removal: it lives as long as somebody has it attached. */
	long keep = syscall(SYS_shmat, id, FAR + ((s->arg[0] + 1) << 32), 0);
	return shmctl(id, IPC_RMID, NULL) == 0 && keep != -1 ? 0 : -1;
}

/* The change of Committed_AS since the last asking, rounded to `unit` pages: the whole machine changes it all the time. */
static void committed(const struct step *s)
{
	static long last;
	long unit = s->arg[0];

	if (unit == 0) ask(ASK_LOCK, 0, 0, 0, "");
	long now = keyed("/proc/meminfo", "Committed_AS:") / 4, change = now - last;
	last = now;
	if (unit == 0) return;
	long rounded = (change + (change < 0 ? -unit / 2 : unit / 2)) / unit * unit;
	begin("-> ");
	append(rounded ? "%+ld" : "0", rounded);
	say_line();
}

/* ---- fork ---- */

/* Goes on in the child; the parent comes back when the child has ended, at the step after the child's `exited`. */
static int fork_and_wait(enum op op)
{
	int status;

	shared->dropped = 0;
	long since = charged_faults();
	pid_t child = fork();
	if (child < 0) { say_result(-1); _exit(98); }
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		settle_child();
		while (op == OP_FORKDROP && !shared->dropped) usleep(100);
		say(op == OP_FORKDROP ? "[in child, parent dropped the range]" : "{child}");
		return at + 1;
	}
	if (op == OP_FORKDROP) {
		syscall(SYS_munmap, WINDOW, WINDOW_END - WINDOW);
		shared->dropped = 1;
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		begin("");
		append("child died with status 0x%x", status);
		say_line();
		_exit(97);
	}
	at = shared->next_step - 1;
	settle_again(since);
	say("{child exited}");
	return shared->next_step;
}
/* Waits until it is this process that goes on; returns its next step. Ends with the observer, not with its parent. */
static int wait_for_turn(void)
{
	struct timespec second = { .tv_sec = 1 };

	for (int now; (now = shared->turn) != me;) {
		syscall(SYS_futex, &shared->turn, FUTEX_WAIT, now, &second, NULL, 0);
		if (getppid() == 1) _exit(96);
	}
	return shared->next_step;
}
/* Leaves a child behind that does nothing until it is its turn. */
static int fork_and_hold(void)
{
	if (shared->nr_held + 1 >= MAX_HELD) { say("-> -too many children"); return at + 1; }
	int number = ++shared->nr_held;
	long since = charged_faults();
	pid_t child = fork();
	if (child == 0) {
		me = number;
		threads_are_gone();
		settle_child();
		return wait_for_turn();
	}
	shared->held[number] = child;
	settle_again(since);
	if (child < 0) say_result(-1);
	else say("{child alive}");
	return at + 1;
}
static void go_on_from(int next) __attribute__((noreturn));
/* The same, but nobody is told: the system call may sleep. */
void fork_in_thread(void)
{
	int number = ++shared->nr_held;
	pid_t child = syscall(SYS_fork);

	if (child != 0) { shared->held[number] = child; return; }
	me = number;
	threads_are_gone();
	settle_child();
	go_on_from(wait_for_turn());
}
pid_t held_process(int number) { return shared->held[number]; }
static int hand_over(int to)
{
	shared->next_step = at + 1;
	shared->turn = to;
	syscall(SYS_futex, &shared->turn, FUTEX_WAKE, MAX_HELD, NULL, NULL, 0);
	return wait_for_turn();
}
/* Ends a held process and waits until it has let go of its address space. */
static void drop(int number)
{
	pid_t pid = shared->held[number];
	char path[64], state[256], *after;

	kill(pid, SIGKILL);
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	do {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? 0 : read(fd, state, sizeof(state) - 1);
		if (fd >= 0) close(fd);
		state[n > 0 ? n : 0] = '\0';
		after = strrchr(state, ')');
	} while (after && after[2] != 'Z' && after[2] != 'X' && usleep(50) == 0);
	waitpid(pid, NULL, WNOHANG);
}
static void end_of_child(void)
{
	shared->next_step = at + 1;
	_exit(0);
}

/* ---- one step ---- */

static void map(const struct step *s)
{
	int fd = (int)s->arg[4] < 0 ? -1 : fds[s->arg[4]];
	say_address(syscall(SYS_mmap, s->arg[0], s->arg[1], s->arg[2], s->arg[3], fd, s->arg[5]), s->arg[0]);
}
static long bind_policy(const struct step *s)
{
	unsigned long node0 = 1;
	int mode = s->op == OP_MBIND ? (int)s->arg[2] : 0;
	return syscall(SYS_mbind, s->arg[0], s->arg[1], mode, s->op == OP_MBIND ? &node0 : NULL, 64, 0);
}

/* Makes the calls whose result is a number or an error. */
static long vfork_once(void)
{
	pid_t pid = vfork();

	if (pid == 0) _exit(0);
	return pid < 0 || waitpid(pid, NULL, 0) != pid ? -1 : 0;
}

static long plain_call(const struct step *s)
{
	const uint64_t *a = s->arg;

	switch (s->op) {
	case OP_UNMAP: return syscall(SYS_munmap, a[0], a[1]);
	case OP_PROT: return syscall(SYS_mprotect, a[0], a[1], a[2]);
	case OP_ADV: return syscall(SYS_madvise, a[0], a[1], a[2]);
	case OP_PADV:
	case OP_PADVPARENT: return advise_process(s);
	case OP_LOCK: return syscall(SYS_mlock, a[0], a[1]);
	case OP_LOCK2: return syscall(SYS_mlock2, a[0], a[1], a[2]);
	case OP_UNLOCK: return syscall(SYS_munlock, a[0], a[1]);
	case OP_LOCKALL: return syscall(SYS_mlockall, a[0]);
	case OP_CREFS: return clear_refs(a[0]);
	case OP_UNLOCKALL: return syscall(SYS_munlockall);
	case OP_SEAL: return syscall(SYS_mseal, a[0], a[1], 0);
	case OP_MBIND:
	case OP_MBIND0: return bind_policy(s);
	case OP_MSYNC: return syscall(SYS_msync, a[0], a[1], a[2]);
	case OP_LIMIT:
	case OP_LIMITPLUS: return set_limit(s);
	case OP_UID: return become_nobody();
	case OP_SHMGET: return sysv(s);
	case OP_UFFD: return uffd_open();
	case OP_UFFDREG:
	case OP_UFFDUNREG: return uffd_register(s);
	case OP_VFORK: return vfork_once();
	case OP_KSMALL: return prctl(PR_SET_MEMORY_MERGE, a[0], 0, 0, 0);
	case OP_MDWE: return prctl(PR_SET_MDWE, 1, 0, 0, 0);
	case OP_NAME: return prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, a[0], a[1], "name");
	case OP_SEALS: return fcntl(fds[a[0]], F_ADD_SEALS, a[1]);
	default: errno = ENOSYS; return -1;
	}
}

/* Makes one step; returns the number of the next. */
static int make(const struct step *s)
{
	switch (s->op) {
	case OP_MAP: map(s); break;
	case OP_REMAP: say_address(syscall(SYS_mremap, s->arg[0], s->arg[1], s->arg[2], s->arg[3], s->arg[4]), s->arg[4]); break;
	case OP_SHMAT: say_address(sysv(s), s->arg[1]); break;
	case OP_TOUCH:
	case OP_TOUCHTO:
	case OP_READTO:
	case OP_READ: touch(s); break;
	case OP_VAL: values(s); break;
	case OP_MINCORE: mincore_bits(s); break;
	case OP_BRK: change_brk(s); break;
	case OP_FILL: fill(s); break;
	case OP_COMM: committed(s); break;
	case OP_MEMFD: open_memfd(s); break;
	case OP_FILLFD: fill_file(s); break;
	case OP_FILE: if (open_file(s) < 0) say_result(-1); break;
	case OP_DIR: fds[s->arg[0]] = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC); break;
	case OP_VMAS: ask(ASK_VMAS, 0, 0, 0, ""); break;
	case OP_VMACOUNT: ask(ASK_VMACOUNT, 0, 0, 0, ""); break;
	case OP_PFN: ask(ASK_PFN, s->arg[0], s->arg[1], 0, ""); break;
	case OP_SLOTS: ask(ASK_PFN, s->arg[0], s->arg[1], 1, ""); break;
	case OP_TABLES: ask(ASK_TABLES, s->arg[0], s->arg[1], 0, ""); break;
	case OP_COUNT: ask(ASK_COUNT, 0, 0, 0, ""); break;
	case OP_OVERCOMMIT: ask(ASK_OVERCOMMIT, s->arg[0], 0, 0, ""); break;
	case OP_SWAP: ask(ASK_SWAP, 0, 0, 0, ""); break;
	case OP_FORK:
	case OP_FORKDROP: return fork_and_wait(s->op);
	case OP_FORKHOLD: return fork_and_hold();
	case OP_AT: return hand_over((int)s->arg[0]);
	case OP_DROP: drop((int)s->arg[0]); break;
	case OP_DEVNULL: fds[s->arg[0]] = open("/dev/null", O_RDWR | O_CLOEXEC); break;
	case OP_DEVZERO: fds[s->arg[0]] = open("/dev/zero", O_RDWR | O_CLOEXEC); break;
	case OP_EXITED: end_of_child(); break;
	case OP_PLUG: mmap(NULL, s->arg[0] * PG, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0); break;
	case OP_ENDCHILD:
	case OP_SMAPS: break;
	default: if (!page_step(s)) say_result(plain_call(s));
	}
	return at + 1;
}

/* Makes the pages of the stack that a case may need present, so that no limit set later is in the way. */
static void __attribute__((noinline)) touch_stack(void)
{
	volatile char room[48 * 1024];
	for (size_t i = 0; i < sizeof(room); i += PG) room[i] = 0;
}

void case_run(const struct step *steps, int nr_steps, int fd)
{
	struct sigaction trap = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER };

	to_observer = fd;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	touch_stack();
	sigaction(SIGSEGV, &trap, NULL);
	sigaction(SIGBUS, &trap, NULL);
	all_steps = steps, nr_all = nr_steps;
	go_on_from(0);
}

static void go_on_from(int next)
{
	at = next;
	while (at < nr_all) {
		struct step step = all_steps[at];
		for (int i = 0; i < step.nr_args; i++)
			if (step.from_brk & 1u << i) {
				if (!brk0) brk0 = syscall(SYS_brk, 0);
				step.arg[i] += brk0;
			}
		for (int i = 0; i < step.nr_args; i++)
			if (step.from_last & 1u << i) step.arg[i] += shared->last;
		at = make(&step);
	}
	ask(ASK_END, 0, 0, 0, "");
	_exit(0);
}
