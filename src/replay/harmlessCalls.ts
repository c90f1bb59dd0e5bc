/**
 * The system calls of x86-64 that can neither change an address space nor what a descriptor stands for when it is mapped.
 *
 * They are passed over and counted. A name that is neither here nor in straceCalls.ts is reported: it may be a call newer than this list.
 * Calls that make other descriptors (socket, epoll_create, pipe, eventfd …) are here: what cannot be mapped need not be known, and
 * what can (io_uring_setup, perf_event_open) shows its kind in the path that option -y prints with the mmap.
 */
const NAMES = `
read write stat fstat lstat newfstatat statx poll lseek rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait
rt_sigqueueinfo rt_tgsigqueueinfo rt_sigsuspend sigaltstack pread64 pwrite64 readv writev preadv pwritev preadv2 pwritev2 access
faccessat faccessat2 pipe pipe2 select pselect6 ppoll sched_yield sched_setparam sched_getparam sched_setscheduler
sched_getscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval sched_setaffinity sched_getaffinity
sched_setattr sched_getattr pause nanosleep clock_nanosleep getitimer setitimer alarm getpid gettid getppid getpgrp getpgid setpgid
getsid setsid sendfile socket connect accept accept4 sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown bind listen
getsockname getpeername socketpair setsockopt getsockopt exit exit_group wait4 waitid kill tkill tgkill uname flock fsync fdatasync
sync syncfs sync_file_range truncate getdents getdents64 getcwd chdir fchdir rename renameat renameat2 mkdir mkdirat rmdir link
linkat unlink unlinkat symlink symlinkat readlink readlinkat chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat umask
mknod mknodat gettimeofday settimeofday getrlimit getrusage sysinfo times ptrace getuid getgid geteuid getegid setgid setregid
setresgid getresuid getresgid getgroups setgroups setfsuid setfsgid capget utime utimes utimensat futimesat
ustat statfs fstatfs getpriority setpriority modify_ldt pivot_root arch_prctl adjtimex chroot acct settimeofday mount umount2
swapon swapoff reboot sethostname setdomainname quotactl readahead setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr
listxattr llistxattr flistxattr removexattr lremovexattr fremovexattr time futex futex_waitv futex_wake futex_wait futex_requeue
set_thread_area get_thread_area io_destroy io_getevents io_submit io_cancel io_pgetevents epoll_create epoll_create1 epoll_ctl
epoll_wait epoll_pwait epoll_pwait2 set_tid_address restart_syscall semtimedop semget semop semctl msgget msgsnd msgrcv msgctl shmctl
fadvise64 timer_create timer_settime timer_gettime timer_getoverrun timer_delete timerfd_create timerfd_settime timerfd_gettime
clock_settime clock_gettime clock_getres clock_adjtime mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr
kexec_load kexec_file_load add_key request_key keyctl ioprio_set ioprio_get inotify_init inotify_init1 inotify_add_watch
inotify_rm_watch fanotify_init fanotify_mark migrate_pages move_pages set_mempolicy get_mempolicy set_mempolicy_home_node unshare
setns set_robust_list get_robust_list splice tee vmsplice signalfd signalfd4 eventfd eventfd2 perf_event_open name_to_handle_at
open_by_handle_at getcpu kcmp init_module finit_module delete_module seccomp getrandom bpf membarrier
copy_file_range pkey_alloc pkey_free rseq pidfd_open pidfd_send_signal pidfd_getfd io_uring_setup io_uring_enter io_uring_register
open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr quotactl_fd landlock_create_ruleset landlock_add_rule
landlock_restrict_self process_mrelease cachestat statmount listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules
vhangup sysfs syslog iopl ioperm lookup_dcookie uselib nfsservctl getpmsg putpmsg afs_syscall tuxcall security vserver
_sysctl create_module get_kernel_syms query_module epoll_ctl_old epoll_wait_old setxattrat getxattrat listxattrat removexattrat
open_tree_attr file_getattr file_setattr ??? sched_getcpu sigreturn sigprocmask sigaction sigsuspend waitpid
`;

const HARMLESS: ReadonlySet<string> = new Set(NAMES.trim().split(/\s+/));

/** Tells whether a call never changes an address space or what may be mapped. */
export const isHarmlessCall = (name: string): boolean => HARMLESS.has(name);
