/**
 * The table of errnos against the sources: from the function that carries out a call, every refusal in a function that it names,
 * directly or over others, is an errno that the call may return, unless it is listed below as turned into something else on the way.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { CALL_ERRORS } from '../../src/fuzz/callErrors.ts';
import type { OpName } from '../../src/machine/index.ts';

const SRC = fileURLToPath(new URL('../../src', import.meta.url));

/** Where each call begins: functions of src/mm and src/machine, or methods of Machine; with a `!` without what they name. */
const ENTRIES: Readonly<Record<OpName, readonly string[]>> = {
  mmap: ['machine/memoryCalls.ts callMmap'],
  munmap: ['mm/munmap.ts munmap'],
  mprotect: ['mm/mprotect.ts mprotect'],
  mremap: ['machine/memoryCalls.ts callMremap'],
  brk: ['machine/memoryCalls.ts setBrk'],
  madvise: ['mm/madvise.ts madvise'],
  vrange: ['mm/vrange.ts vrange'],
  process_madvise: ['machine/memoryCalls.ts callProcessMadvise'],
  process_vm: ['machine/memoryCalls.ts callProcessVm'],
  clear_refs: ['machine/memoryCalls.ts callClearRefs'],
  mlock: ['mm/mlock.ts mlock'],
  mlock2: ['mm/mlock.ts mlock'],
  munlock: ['mm/mlock.ts munlock'],
  mlockall: ['mm/mlock.ts mlockall'],
  munlockall: ['mm/mlock.ts munlockall'],
  mincore: ['mm/mincore.ts mincore'],
  msync: ['mm/mincore.ts msync'],
  mseal: ['mm/mseal.ts mseal'],
  mbind: ['mm/mempolicy.ts mbind'],
  set_vma_name: ['mm/vmaName.ts setVmaName'],
  set_memory_merge: ['mm/ksm.ts setMemoryMerge'],
  set_mdwe: ['machine/settings.ts setMdwe'],
  set_thp_disable: ['machine/settings.ts setThpDisable'],
  prctl_pt_reclaim: ['mm/ptReclaimCalls.ts setPtReclaim'],
  pt_scan_write: ['mm/ptReclaimCalls.ts writePtScan'],
  setrlimit: ['machine/settings.ts setLimit'],
  set_uid: ['machine/settings.ts setUid'],
  touch: ['machine/touch.ts touch'],
  clone: ['.#clone'],
  execve: ['.#exec'],
  exit: ['.#exitThread'],
  exit_group: ['.#exitGroup'],
  open: ['machine/fileCalls.ts openFile'],
  memfd_create: ['machine/fileCalls.ts memfdCreate'],
  close: ['machine/fileCalls.ts closeFile!'],
  close_range: ['machine/fileCalls.ts closeRange'],
  dup: ['machine/fileCalls.ts duplicate'],
  ftruncate: ['machine/fileSize.ts fileSizeCall!', 'machine/fileSize.ts ftruncate'],
  fallocate: ['machine/fileSize.ts fileSizeCall!', 'machine/fileSize.ts fallocate'],
  add_seals: ['machine/fileSize.ts fileSizeCall!', 'machine/fileSize.ts addSeals'],
  userfaultfd: ['machine/fileCalls.ts userfaultfdCreate'],
  shmget: ['machine/segments.ts shmget'],
  shmat: ['mm/shm.ts shmat'],
  shmdt: ['mm/shm.ts shmdt'],
  uffd_ioctl: [
    'machine/uffdCalls.ts started!',
    'machine/uffdCalls.ts startIoctl',
    'machine/uffdCalls.ts unreadable',
  ],
  uffd_read: ['machine/uffdCalls.ts readUffd!'],
  pagemap_scan: ['machine/uffdCalls.ts scan', 'mm/pagemapScan.ts pagemapScan'],
  io_setup: ['machine/ioRing.ts ioSetup'],
  migrate: ['mm/migration.ts startMigration', 'mm/migration.ts endMigration'],
  overcommit: ['machine/settings.ts settingCall!'],
  set_memory_limit: ['mm/memoryLimit.ts setMemoryLimit'],
  reclaim: ['mm/memoryLimit.ts reclaimMemory'],
  set_memory_size: ['mm/memoryLimit.ts setMemorySize'],
  swapon: [],
  fill_maps: ['machine/settings.ts fillMaps'],
  write_file: ['machine/fileSize.ts fileSizeCall!', 'machine/fileSize.ts writeFile'],
  nop: [],
};

/** Refusals on the way of a call that it does not return, and why. */
const TURNED: readonly (readonly [call: OpName, errnos: readonly string[], why: string])[] = [
  ['mmap', ['EFAULT', 'EHWPOISON'], 'what cannot be populated does not matter'],
  ['mremap', ['EHWPOISON'], 'the same'],
  ['madvise', ['ENOSYS'], 'without vrange its advice is unknown'],
  ['process_madvise', ['ENOSYS'], 'the same'],
  ['mremap', ['EBUSY', 'EEXIST', 'ENOENT'], 'only a proposal moves pages without vmas'],
  ['clear_refs', ['EINVAL', 'ESRCH'], 'no sequence draws it'],
  ['shmat', ['EFAULT', 'EHWPOISON'], 'the same'],
  ['mlockall', ['EFAULT', 'EHWPOISON', 'EAGAIN'], 'the same'],
  ['brk', ['EAGAIN', 'EFAULT', 'EHWPOISON', 'EINVAL', 'ENOMEM', 'EPERM'], 'the answer is the break as it is'],
  [
    'process_vm',
    ['EAGAIN', 'EHWPOISON', 'EINVAL', 'ENOMEM', 'ESRCH'],
    'a page that cannot be had is EFAULT; nothing is said of a process that was never seen',
  ],
  [
    'mlock',
    ['EFAULT', 'EAGAIN', 'EHWPOISON'],
    'EFAULT of populating becomes ENOMEM; pages can always be had, so ENOMEM does not come',
  ],
  ['mlock2', ['EFAULT', 'EAGAIN', 'EHWPOISON'], 'as mlock'],
  ['touch', ['ENOMEM', 'EPERM'], 'a stack that may not grow is a SIGSEGV'],
  ['uffd_ioctl', ['EHWPOISON'], 'a page that cannot be read is EFAULT'],
  ['clone', ['EINVAL', 'EPERM'], 'of a userfaultfd that the child gets'],
  ['shmdt', ['ENOMEM', 'EPERM'], 'what cannot be unmapped stays; whole vmas need no split'],
  ['io_setup', ['EACCES', 'EINVAL', 'EPERM'], 'the ring is not executable, and goes where nothing is'],
];

/** A function: the errnos it refuses with, and what it names. */
interface Body {
  readonly errnos: ReadonlySet<string>;
  /** `file name` of functions, `.name` of methods. */
  readonly named: ReadonlySet<string>;
}

/** What a name stands for at the top of a file: `file name` by name. */
type Scope = ReadonlyMap<string, string>;

function scopeOf(ast: ts.SourceFile, path: string): Scope {
  const scope = new Map<string, string>();
  for (const node of ast.statements) {
    if ((ts.isFunctionDeclaration(node) || ts.isClassDeclaration(node)) && node.name)
      scope.set(node.name.text, `${path} ${node.name.text}`);
    if (ts.isVariableStatement(node))
      for (const { name } of node.declarationList.declarations)
        scope.set(name.getText(), `${path} ${name.getText()}`);
    if (!ts.isImportDeclaration(node) || !ts.isStringLiteral(node.moduleSpecifier)) continue;
    const from = join(dirname(path), node.moduleSpecifier.text);
    const names = node.importClause?.namedBindings;
    if (names === undefined || !ts.isNamedImports(names)) continue;
    for (const { name, propertyName } of names.elements)
      scope.set(name.text, `${from} ${(propertyName ?? name).text}`);
  }
  return scope;
}

function bodyOf(node: ts.Node, scope: Scope): Body {
  const errnos = new Set<string>();
  const named = new Set<string>();
  const walk = (child: ts.Node): void => {
    if (ts.isTypeNode(child)) return;
    if (ts.isPropertyAccessExpression(child)) named.add(`.${child.name.text}`);
    else if (ts.isIdentifier(child) && scope.has(child.text)) named.add(scope.get(child.text) ?? '');
    const refusal = ts.isCallExpression(child) && /^(?:refused|failure)\((E[A-Z0-9]+),/.exec(child.getText());
    if (refusal) errnos.add(refusal[1] ?? '');
    ts.forEachChild(child, walk);
  };
  walk(node);
  for (const match of node.getText().matchAll(/errno: '(E[A-Z0-9]+)'/g)) errnos.add(match[1] ?? '');
  return { errnos, named };
}

/** Returns every function and method of a file by `file name` or `.name`. */
function functionsIn(path: string): [string, Body][] {
  const text = readFileSync(`${SRC}/${path}`, 'utf8');
  const ast = ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true);
  const scope = scopeOf(ast, path);
  return ast.statements.flatMap((node): [string, Body][] => {
    if (ts.isClassDeclaration(node)) {
      const whole: [string, Body] = [`${path} ${node.name?.text}`, bodyOf(node, scope)];
      const methods = node.members
        .filter((member) => ts.isMethodDeclaration(member))
        .map((method): [string, Body] => [`.${method.name.getText()}`, bodyOf(method, scope)]);
      return [whole, ...methods];
    }
    const own = ts.isFunctionDeclaration(node) && node.name ? [node.name.text] : [];
    if (ts.isVariableStatement(node))
      own.push(...node.declarationList.declarations.map(({ name }) => name.getText()));
    return own.map((name) => [`${path} ${name}`, bodyOf(node, scope)]);
  });
}

const FILES = ['mm', 'machine'].flatMap((folder) =>
  readdirSync(`${SRC}/${folder}`)
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => `${folder}/${name}`),
);
const FUNCTIONS = FILES.flatMap(functionsIn).filter(
  // Of methods, those of Machine are on the way of a call; those of tables and trees have names that anything may have.
  ([name, { errnos, named }]) => !name.startsWith('.') || errnos.size > 0 || named.has('mm/fork.ts forkMm'),
);

const bodiesOf = (wanted: string): Body[] =>
  FUNCTIONS.flatMap(([name, body]) => (name === wanted ? [body] : []));

/** Returns the errnos of all functions that can be reached by name from one of `entry`. */
function errnosFrom(entry: readonly string[]): Set<string> {
  const seen = new Set(entry);
  const errnos = new Set<string>();
  for (const name of seen) {
    for (const body of bodiesOf(name.replace('!', ''))) {
      for (const errno of body.errnos) errnos.add(errno);
      if (!name.endsWith('!')) for (const other of body.named) seen.add(other);
    }
  }
  return errnos;
}

describe('the errnos of a call', () => {
  it.each(Object.entries(ENTRIES))('%s: those that its sources can refuse with', (call, entry) => {
    const turned = TURNED.filter(([other]) => other === call).flatMap(([, errnos]) => errnos);
    const inSources = [...errnosFrom(entry)].sort();
    const inTable = CALL_ERRORS[call as OpName] ?? [];
    expect([...new Set([...inTable, ...turned])].sort()).toEqual(inSources);
    expect(turned.filter((errno) => inTable.includes(errno))).toEqual([]);
  });
});
