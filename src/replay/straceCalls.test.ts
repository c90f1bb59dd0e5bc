/**
 * From a line of strace to an operation: every call we follow, every form an argument takes.
 */
import { describe, expect, it } from 'vitest';
import { UsageError } from '../base/assert.ts';
import type { Recorded } from '../machine/index.ts';
import { filesInMemory } from './input.ts';
import { straceItems } from './strace.ts';

/** Returns the last operation of a one-line strace as text: op, what the kernel chose, what it answered. */
function opOf(line: string): string {
  const items = [...straceItems(filesInMemory('x', { '': line }))];
  const record = items.find((item) => item.kind === 'op');
  const warning = items.find((item) => item.kind === 'warning' && !item.what.startsWith('no-'));
  if (record?.kind !== 'op')
    return warning?.kind === 'warning' ? `${warning.what}: ${warning.text}` : 'nothing';
  const { call, ...args } = record.op;
  const print = (value: unknown): string =>
    JSON.stringify(value, (_, each) =>
      each === Number.POSITIVE_INFINITY
        ? 'unlimited'
        : typeof each === 'number' && each > 65535
          ? `0x${each.toString(16)}`
          : each,
    ).replaceAll('"', '');
  return [call, print(args), print(record.chosen), answerText(record.recorded)].join(' ').trim();
}

function answerText(recorded: Recorded): string {
  if (recorded.kind === 'ioctl') return `${answerText(recorded.result)} ${recorded.output}`;
  return recorded.kind === 'value' ? 'ok' : recorded.kind === 'errno' ? recorded.errno : '';
}

const A = '0x7f0000001000';

describe('the calls we follow', () => {
  const rows: readonly (readonly [line: string, op: string])[] = [
    [
      'mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000001000',
      `mmap {addr:0,len:8192,prot:3,flags:34,fd:-1,offset:0} {addr:${A}} ok`,
    ],
    [
      'mmap(0x7f0000001000, 8192, PROT_NONE, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = 0x7f0000001000',
      `mmap {addr:${A},len:8192,prot:0,flags:50,fd:-1,offset:0} {} ok`,
    ],
    [
      'mmap(0x7f0000001000, 8192, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_FIXED_NOREPLACE, -1, 0) = -1 EEXIST (File exists)',
      `mmap {addr:${A},len:8192,prot:0,flags:0x100022,fd:-1,offset:0} {} EEXIST`,
    ],
    [
      'mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3</lib/a,b) (c)>, 0x26000) = 0x7f0000001000',
      `mmap {addr:0,len:4096,prot:1,flags:1,fd:3,offset:0x26000} {addr:${A},fdPath:/lib/a,b) (c)} ok`,
    ],
    [
      'mmap(NULL, 4096, PROT_READ, MAP_SHARED, 4</memfd:a b)\\74c\\76,\\"d>(deleted), 0) = 0x7f0000001000',
      `mmap {addr:0,len:4096,prot:1,flags:1,fd:4,offset:0} {addr:${A},fdPath:/memfd:a b)<c>,\\d (deleted)} ok`,
    ],
    [
      'mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, 5</tmp/\\303\\244\\n>, 0) = -1 EACCES (Permission denied)',
      'mmap {addr:0,len:4096,prot:1,flags:2,fd:5,offset:0} {fdPath:/tmp/ä\\\\012} EACCES',
    ],
    [
      'mmap(NULL, 18446744073709551615, 0x3 /* PROT_READ|PROT_WRITE */, 0x22, -1, 0) = -1 ENOMEM (Cannot allocate memory)',
      'mmap {addr:0,len:0x10000000000000000,prot:3,flags:34,fd:-1,offset:0} {} ENOMEM',
    ],
    [
      'mmap(0, 0x2000, 0x3, 0x22, 0xffffffff, 0) = 0x7f0000001000',
      `mmap {addr:0,len:8192,prot:3,flags:34,fd:-1,offset:0} {addr:${A}} ok`,
    ],
    [
      'mmap(NULL, 2097152, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS|MAP_HUGETLB|21<<MAP_HUGE_SHIFT, -1, 0) = -1 ENOMEM (x)',
      'mmap {addr:0,len:0x200000,prot:1,flags:0x54040022,fd:-1,offset:0} {} ENOMEM',
    ],
    [
      'mmap(NULL, 4096, PROT_READ, 0x8 /* MAP_??? */|MAP_ANONYMOUS, -1, 0) = 0x7f0000001000',
      `mmap {addr:0,len:4096,prot:1,flags:40,fd:-1,offset:0} {addr:${A}} ok`,
    ],
    ['munmap(0x7f0000001000, 8192)            = 0', `munmap {addr:${A},len:8192} {} ok`],
    ['munmap(0x7f0000001000, 8192) = 0 <0.000013>', `munmap {addr:${A},len:8192} {} ok`],
    [
      'mprotect(0xfffffffffffff000, 4096, PROT_READ|PROT_GROWSDOWN) = -1 EINVAL (Invalid argument)',
      'mprotect {addr:0xfffffffffffff000,len:4096,prot:0x1000001} {} EINVAL',
    ],
    [
      'pkey_mprotect(0x7f0000001000, 4096, PROT_READ|0x80, 2) = 0',
      `mprotect {addr:${A},len:4096,prot:129,pkey:2} {} ok`,
    ],
    [
      'mremap(0x7f0000001000, 4096, 8192, MREMAP_MAYMOVE) = 0x7f0000009000',
      `mremap {addr:${A},oldLen:4096,newLen:8192,flags:1,newAddr:0} {addr:0x7f0000009000} ok`,
    ],
    [
      'mremap(0x7f0000001000, 4096, 4096, MREMAP_MAYMOVE|MREMAP_FIXED, 0x7f0000009000) = 0x7f0000009000',
      `mremap {addr:${A},oldLen:4096,newLen:4096,flags:3,newAddr:0x7f0000009000} {} ok`,
    ],
    ['brk(NULL) = 0x55d000001000', 'brk {addr:0} {addr:0x55d000001000} ok'],
    [
      'madvise(0x7f0000001000, 4096, 0x66 /* MADV_??? */) = 0',
      `madvise {addr:${A},len:4096,advice:102} {} ok`,
    ],
    [
      'madvise(0x7f0000001000, 4096, MADV_DONTNEED) = -1 EINVAL (Invalid argument)',
      `madvise {addr:${A},len:4096,advice:4} {} EINVAL`,
    ],
    [
      'process_madvise(-10000, [{iov_base=0x7f0000001000, iov_len=4096}, {iov_base=0x7f0000009000, iov_len=0}], 2, MADV_COLD, 0) = 4096',
      `process_madvise {target:self,ranges:[{addr:${A},len:4096},{addr:0x7f0000009000,len:0}],advice:20,flags:0} {} ok`,
    ],
    ['mlock2(0x7f0000001000, 4096, MLOCK_ONFAULT) = 0', `mlock2 {addr:${A},len:4096,flags:1} {} ok`],
    ['mlockall(MCL_CURRENT|MCL_FUTURE) = 0', 'mlockall {flags:3} {} ok'],
    ['munlockall() = 0', 'munlockall {} {} ok'],
    ['mincore(0x7f0000001000, 4096, [0, 1]) = 0', `mincore {addr:${A},len:4096} {} ok`],
    ['msync(0x7f0000001000, 4096, MS_SYNC|MS_INVALIDATE) = 0', `msync {addr:${A},len:4096,flags:6} {} ok`],
    [
      'syscall_0x1ce(0x7f0000001000, 0x1000, 0, 0xffffffff, 0, 0) = 0',
      `mseal {addr:${A},len:4096,flags:0} {} ok`,
    ],
    [
      'mbind(0x7f0000001000, 4096, MPOL_BIND|MPOL_F_STATIC_NODES, [0x00000000000001], 64, MPOL_MF_MOVE) = 0',
      `mbind {addr:${A},len:4096,mode:32770,nodes:[0x00000000000001],flags:2} {} ok`,
    ],
    [
      'prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, 0x7f0000001000, 4096, "a\\"b") = -1 EINVAL (x)',
      `set_vma_name {addr:${A},len:4096,name:a\\b} {} EINVAL`,
    ],
    [
      'prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, 0x7f0000001000, 4096, NULL) = 0',
      `set_vma_name {addr:${A},len:4096,name:null} {} ok`,
    ],
    ['prctl(0x41 /* PR_??? */, 0x1, 0, 0, 0) = 0', 'set_mdwe {flags:1} {} ok'],
    ['prctl(0x43 /* PR_??? */, 0x1, 0, 0, 0) = 0', 'set_memory_merge {on:true} {} ok'],
    ['prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) = 0', 'set_thp_disable {on:true,flags:0} {} ok'],
    [
      'prlimit64(0, RLIMIT_STACK, {rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}, NULL) = 0',
      'setrlimit {resource:3,soft:0x800000,hard:unlimited} {} ok',
    ],
    [
      'setrlimit(RLIMIT_AS, {rlim_cur=1024*1024, rlim_max=18446744073709551615}) = 0',
      'setrlimit {resource:9,soft:0x100000,hard:unlimited} {} ok',
    ],
    ['setresuid(-1, 33, -1) = 0', 'set_uid {uid:33} {} ok'],
    [
      'clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f00) = 17',
      'clone {flags:0x1200011,child:17} {handle:17} ok',
    ],
    ['clone(0x1200011, 0, 0, 0x7fe6fa790a10, 0) = 0x11', 'clone {flags:0x1200011,child:17} {handle:17} ok'],
    [
      'clone3({flags=CLONE_VM|CLONE_THREAD, child_tid=0x7f00, exit_signal=0} => {parent_tid=[17]}, 88) = 17',
      'clone {flags:0x10100,child:17} {handle:17} ok',
    ],
    [
      'clone3({flags=CLONE_VM|CLONE_VFORK, exit_signal=SIGCHLD, stack=0x7f00}, 88) = 17<t>',
      'clone {flags:16640,child:17} {handle:17} ok',
    ],
    ['vfork() = 17', 'clone {flags:16657,child:17} {handle:17} ok'],
    ['execve("/bin/a b", ["a", "b, c)"], 0x7ffc /* 3 vars */) = 0', 'execve {path:/bin/a b} {} ok'],
    [
      'open("/etc/x", O_RDWR|O_CREAT|O_TRUNC, 0666) = 3',
      'open {path:/etc/x,mode:read-write,kind:regular,size:null} {handle:3} ok',
    ],
    [
      'openat(AT_FDCWD</srv>, "x", O_WRONLY|O_NEWFLAG) = 3',
      'open {path:/srv/x,mode:write,kind:regular,size:null} {handle:3} ok',
    ],
    [
      'openat(AT_FDCWD</srv>, "x", O_RDONLY|O_CLOEXEC) = 3</usr/x>',
      'open {path:/usr/x,mode:read,kind:regular,size:null} {handle:3} ok',
    ],
    [
      'openat(AT_FDCWD, "/tmp", O_RDONLY|O_PATH|O_DIRECTORY) = 3',
      'open {path:/tmp,mode:path,kind:directory,size:null} {handle:3} ok',
    ],
    [
      'openat2(AT_FDCWD, "/dev/zero", {flags=O_RDWR, resolve=0}, 24) = 13</dev/zero>',
      'open {path:/dev/zero,mode:read-write,kind:zero,size:null} {handle:13} ok',
    ],
    ['creat("/tmp/x", 0644) = 8', 'open {path:/tmp/x,mode:write,kind:regular,size:null} {handle:8} ok'],
    ['memfd_create("v", MFD_CLOEXEC) = 4</memfd:v>(deleted)', 'memfd_create {name:v,flags:1} {handle:4} ok'],
    ['close(3<TCP:[127.0.0.1:1->10.0.0.1:2]>) = 0', 'close {fd:3} {} ok'],
    ['close(3</dev/tty<char 5:0>>) = 0', 'close {fd:3} {} ok'],
    [
      'close_range(3, 4294967295, CLOSE_RANGE_UNSHARE) = 0',
      'close_range {first:3,last:0xffffffff,flags:2} {} ok',
    ],
    ['dup3(4</x>, 101, O_CLOEXEC) = 101</x>', 'dup {fd:4,newFd:101} {handle:101} ok'],
    ['fcntl(4</x>, F_DUPFD_CLOEXEC, 60) = 60</x>', 'dup {fd:4,newFd:null} {handle:60} ok'],
    ['fcntl(4, F_DUPFD, 0) = 5', 'dup {fd:4,newFd:null} {handle:5} ok'],
    ['ftruncate(4, 65536) = 0', 'ftruncate {fd:4,size:0x10000} {} ok'],
    [
      'fallocate(4, FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE, 0, 4096) = 0',
      'fallocate {fd:4,mode:3,offset:0,len:4096} {} ok',
    ],
    [
      'shmget(IPC_PRIVATE, 65536, IPC_CREAT|0600) = 20',
      'shmget {key:0,size:0x10000,flags:896} {handle:20} ok',
    ],
    [
      'shmget(0 /* IPC_PRIVATE */, 65536, 0x200 /* IPC_CREAT */|0600) = 14',
      'shmget {key:0,size:0x10000,flags:896} {handle:14} ok',
    ],
    ['shmat(20, NULL, SHM_RDONLY) = 0x7f0000001000', `shmat {id:20,addr:0,flags:4096} {addr:${A}} ok`],
    ['shmat(20, 0x7f0000001000, 0) = 0x7f0000001000', `shmat {id:20,addr:${A},flags:0} {} ok`],
    ['shmdt(0x7f0000001000) = 0', `shmdt {addr:${A}} {} ok`],
    ['io_setup(10, [0x7f0000001000]) = 0', `io_setup {nrEvents:10} {addr:${A}} ok`],
    [
      'userfaultfd(UFFD_USER_MODE_ONLY|O_NONBLOCK|O_CLOEXEC) = 6<anon_inode:[userfaultfd]>',
      'userfaultfd {flags:0x80801} {handle:6} ok',
    ],
    [
      'ioctl(6<anon_inode:[userfaultfd]>, UFFDIO_REGISTER, {range={start=0x7f0000001000, len=0x2000}, mode=UFFDIO_REGISTER_MODE_MISSING, ioctls=1<<_UFFDIO_WAKE|0x120}) = 0',
      `uffd_ioctl {fd:6,name:UFFDIO_REGISTER,request:{name:UFFDIO_REGISTER,start:${A},len:8192,mode:1}} {} ok`,
    ],
    [
      'ioctl(6, 0x8010aa01, {start=0x7f0000001000, len=0x2000}) = 0',
      `uffd_ioctl {fd:6,name:UFFDIO_UNREGISTER,request:{name:UFFDIO_UNREGISTER,start:${A},len:8192}} {} ok`,
    ],
    [
      'ioctl(6, UFFDIO_API, {api=0xaa, features=UFFD_FEATURE_SIGBUS|0x12000 /* UFFD_FEATURE_??? */ => features=UFFD_FEATURE_SIGBUS|0x1e000, ioctls=1<<_UFFDIO_API}) = 0',
      'uffd_ioctl {fd:6,name:UFFDIO_API,request:{name:UFFDIO_API,api:170,features:0x12080}} {} ok',
    ],
    [
      'ioctl(6, UFFDIO_COPY, {dst=0x7f0000001000, src=0x55f453a27060, len=0x2000, mode=UFFDIO_COPY_MODE_WP, copy=0x2000}) = 0',
      `uffd_ioctl {fd:6,name:UFFDIO_COPY,request:{name:UFFDIO_COPY,dst:${A},src:0x55f453a27060,len:8192,mode:2}} {} ok {copy=8192}`,
    ],
    [
      'ioctl(6, UFFDIO_COPY, {dst=0x7f0000001000, src=0x55f453a27060, len=0x2000, mode=0}) = -1 EEXIST (File exists)',
      `uffd_ioctl {fd:6,name:UFFDIO_COPY,request:{name:UFFDIO_COPY,dst:${A},src:0x55f453a27060,len:8192,mode:0}} {} EEXIST`,
    ],
    [
      'ioctl(6, UFFDIO_ZEROPAGE, {range={start=0x7f0000001000, len=0x2000}, mode=UFFDIO_ZEROPAGE_MODE_DONTWAKE, zeropage=0x1000}) = 0',
      `uffd_ioctl {fd:6,name:UFFDIO_ZEROPAGE,request:{name:UFFDIO_ZEROPAGE,start:${A},len:8192,mode:1}} {} ok {zeropage=4096}`,
    ],
    [
      'ioctl(6, UFFDIO_WRITEPROTECT, {range={start=0x7f0000001000, len=0x2000}, mode=UFFDIO_WRITEPROTECT_MODE_WP}) = 0',
      `uffd_ioctl {fd:6,name:UFFDIO_WRITEPROTECT,request:{name:UFFDIO_WRITEPROTECT,start:${A},len:8192,mode:1}} {} ok`,
    ],
    [
      'ioctl(6, 0xc020aa07, {range={start=0x7f0000001000, len=0x1000}, mode=0, mapped=0x1000}) = 0',
      `uffd_ioctl {fd:6,name:UFFDIO_CONTINUE,request:{name:UFFDIO_CONTINUE,start:${A},len:4096,mode:0}} {} ok {mapped=4096}`,
    ],
    [
      'ioctl(6, _IOC(_IOC_READ|_IOC_WRITE, 0xaa, 0x5, 0x28), {dst=0x7f0000001000, src=0x7f0000001000, len=0x1000, mode=0x2, move=0x1000}) = 0',
      `uffd_ioctl {fd:6,name:UFFDIO_MOVE,request:{name:UFFDIO_MOVE,dst:${A},src:${A},len:4096,mode:2}} {} ok {move=4096}`,
    ],
    [
      'ioctl(6, UFFDIO_WAKE, {start=0x7f0000001000, len=0x1000}) = 0',
      `uffd_ioctl {fd:6,name:UFFDIO_WAKE,request:{name:UFFDIO_WAKE,start:${A},len:4096}} {} ok`,
    ],
    [
      'ioctl(6, UFFDIO_COPY, NULL) = -1 EFAULT (Bad address)',
      'uffd_ioctl {fd:6,name:UFFDIO_COPY,request:null} {} EFAULT',
    ],
  ];
  for (const [line, op] of rows) it(line.slice(0, 90), () => expect(opOf(line)).toBe(op));
});

describe('what changes nothing is passed over', () => {
  const rows: readonly (readonly [line: string, says: string])[] = [
    ['read(3, "mmap(NULL, 4096) = 0x7f", 832) = 832', 'nothing'],
    ['openat(AT_FDCWD, "/x", O_RDONLY) = -1 ENOENT (No such file or directory)', 'nothing'],
    ['prlimit64(0, RLIMIT_STACK, NULL, {rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}) = 0', 'nothing'],
    ['fcntl(3, F_GETFL) = 0x8000 (flags O_RDONLY|O_LARGEFILE)', 'nothing'],
    ['ioctl(1, TCGETS, 0x7ffc) = -1 ENOTTY (Inappropriate ioctl for device)', 'nothing'],
    ['prctl(PR_SET_NAME, "x") = 0', 'nothing'],
    ['personality(0xffffffff) = 0 (PER_LINUX)', 'nothing'],
    ['personality(PER_LINUX|ADDR_NO_RANDOMIZE) = 0 (PER_LINUX)', 'nothing'],
    [
      'personality(PER_LINUX|ADDR_NO_RANDOMIZE|READ_IMPLIES_EXEC) = 0 (PER_LINUX)',
      'not-followed: personality: flags about memory (READ_IMPLIES_EXEC and others) are not followed',
    ],
    [
      'personality(0|0x400000) = 0 (0)',
      'not-followed: personality: flags about memory (READ_IMPLIES_EXEC and others) are not followed',
    ],
    [
      'capset({version=_LINUX_CAPABILITY_VERSION_3, pid=0}, {effective=0, permitted=0, inheritable=0}) = 0',
      'not-followed: capset: capabilities are not followed after the start',
    ],
    ['flurb(1, 2) = 0', 'unknown-call: flurb is not known here and was passed over'],
    [
      'munmap(0x7f0000001000, 4096) = ?',
      'unfinished-call: calls did not return; whether they had an effect is not known',
    ],
    [
      'prlimit64(99, RLIMIT_AS, {rlim_cur=0, rlim_max=0}, NULL) = 0',
      'not-followed: prlimit64: it sets a limit of another process',
    ],
    [
      'process_madvise(3, 0x7ffc, 2, MADV_COLD, 0) = 4096',
      'not-followed: process_madvise: strace did not print its ranges',
    ],
    [
      'ioctl(6, UFFDIO_WRITEPROTECT, 0x7ffc6525b2d0) = 0',
      'not-followed: ioctl: strace did not print the structure of UFFDIO_WRITEPROTECT',
    ],
  ];
  for (const [line, says] of rows) it(line.slice(0, 90), () => expect(opOf(line)).toBe(says));
});

describe('a bad call is told where and what would be right', () => {
  const rows: readonly (readonly [line: string, says: string])[] = [
    [
      'mmap(NULL, 4096, PROT_REED, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000001000',
      '1:18: "PROT_REED" is no constant of mmap | a number or a constant by name',
    ],
    [
      'munmap(0x7f00zz, 4096) = 0',
      '1:8: argument 1 of munmap is "0x7f00zz" | a hexadecimal number such as 0x7f0000001000',
    ],
    ['munmap(0x7f0000001000) = 0', '1:22: munmap has 1 arguments here | at least 2 arguments'],
    ['munmap(0x7f0000001000, 4096) + 0', '1:30: found "+ 0" | " = " and the result of munmap'],
    ['munmap(0x7f0000001000, 4096) = zero', '1:32: found "zero" | the result of munmap'],
    [
      'munmap(0x7f0000001000, 4096) = -1 Enomem (x)',
      '1:35: "Enomem" is no error name | a name such as ENOMEM',
    ],
    [
      'ioctl(6, UFFDIO_UNREGISTER, {start=0x7f0000001000}) = 0',
      '1:29: argument 3 of ioctl is "{start=0x7f0000001000}" | a member len=',
    ],
  ];
  for (const [line, says] of rows) {
    it(line, () => {
      const read = (): unknown => [...straceItems(filesInMemory('x', { '': `${line}\nbrk(NULL) = 0x1\n` }))];
      let told = 'accepted';
      try {
        read();
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
        told = `${error.place?.line}:${error.place?.column}: ${error.message} | ${error.wanted}`;
      }
      expect(told).toBe(says);
    });
  }
});
