/**
 * The command line of strace: which calls it records, and how exactly one execve is held at its return.
 *
 * strace can delay the N-th execve, and those after it, of every process it follows (`inject=execve:delay_exit=…:when=N+`), but it counts per
 * process and would hold the children's first execve, too, if N were 1. So the launcher, a few lines of bash, makes
 * PADDING failing execve calls first: no child ever counts that far. strace does not count the execve that starts the
 * launcher itself.
 *
 *     strace -> bash (counted 1 … PADDING, all fail) -> [setarch -R] -> env NAME=VALUE… -> program      <- held
 *
 * A SIGSTOP sent while the execve is held is delivered before the first instruction of the program. Later execve calls of
 * the same process are held, too: a wrapper that replaces itself by the real program is recorded from there.
 */

/** Failing execve calls before the real ones: more than a shell script that replaces itself will ever make. */
const PADDING = 97;

/** How long an exit_group is held in exit mode: long enough to see it and to stop every other thread. */
export const EXIT_HOLD_MS = 1000;

/** Calls that change or describe an address space, or give a descriptor its meaning. `?`: older straces lack it. */
const RECORDED_CALLS: readonly (readonly string[])[] = [
  ['mmap', 'munmap', 'mremap', 'mprotect', 'brk', 'madvise', 'process_madvise', 'remap_file_pages'],
  ['pkey_alloc', 'pkey_free', 'pkey_mprotect', '?mseal', '?map_shadow_stack', 'process_mrelease'],
  ['mlock', 'mlock2', 'munlock', 'mlockall', 'munlockall', 'mincore', 'msync'],
  ['mbind', 'set_mempolicy', 'get_mempolicy', 'migrate_pages', 'move_pages'],
  ['shmget', 'shmat', 'shmdt', 'shmctl', 'memfd_create', '?memfd_secret', 'userfaultfd', 'ioctl'],
  ['open', 'openat', 'openat2', 'creat', 'close', 'close_range', 'dup', 'dup2', 'dup3', 'fcntl'],
  ['truncate', 'ftruncate', 'fallocate', 'io_setup', 'io_destroy', 'io_uring_setup', 'perf_event_open'],
  ['fork', 'vfork', 'clone', 'clone3', 'execve', 'execveat', 'exit', 'exit_group', 'unshare'],
  ['prctl', 'arch_prctl', 'personality', 'setrlimit', 'prlimit64', 'sigaltstack'],
  ['setuid', 'setreuid', 'setresuid', 'capset'],
  ['set_tid_address', 'set_robust_list', 'rseq', 'process_vm_readv', 'process_vm_writev'],
];

/** What to launch, and where strace writes. */
export interface Launch {
  readonly bash: string;
  readonly env: string;
  /** setarch's path, if the program is to run without address randomisation. */
  readonly setarch: string | null;
  /** NAME=VALUE pairs for the program alone. */
  readonly variables: readonly string[];
  readonly argv: readonly [string, ...string[]];
  /** Run as this user (strace changes to it; needs root). */
  readonly user: string | null;
  readonly holdStartMs: number;
  /** Hold every exit_group for EXIT_HOLD_MS. */
  readonly holdExit: boolean;
  readonly output: string;
}

/** bash's standard error is file 3: strace's own messages and the program's must not mix. */
const SCRIPT = [
  'shopt -s execfail',
  `for ((i = 0; i < ${PADDING}; i++)); do exec /-; done 2>/dev/null`,
  'exec 2>&3 3>&-',
  'exec "$@"',
].join('\n');

/** Returns the number, counted as strace counts, of the first execve that is held: that of the program. */
export function heldExecve(launch: Launch): number {
  return PADDING + (launch.setarch === null ? 0 : 1) + 1 + 1;
}

/** Returns the arguments of strace. The program's standard error must be file 3 of the process. */
export function straceArguments(launch: Launch): string[] {
  const holdStart = `inject=execve:delay_exit=${launch.holdStartMs * 1000}:when=${heldExecve(launch)}+`;
  const holdExit = `inject=exit_group:delay_enter=${EXIT_HOLD_MS * 1000}`;
  const wrappers = launch.setarch === null ? [] : [launch.setarch, 'x86_64', '-R'];
  return [
    '-f',
    '--seccomp-bpf',
    '--absolute-timestamps=unix,ns',
    '--syscall-times=ns',
    '-y',
    '-s160',
    `-etrace=${RECORDED_CALLS.flat().join(',')}`,
    `-e${holdStart}`,
    ...(launch.holdExit ? [`-e${holdExit}`] : []),
    ...(launch.user === null ? [] : ['-u', launch.user]),
    '-o',
    launch.output,
    launch.bash,
    '-c',
    SCRIPT,
    'faultline-launcher',
    ...wrappers,
    launch.env,
    ...launch.variables,
    ...launch.argv,
  ];
}
