/**
 * The rings: which folder may import which, and what the rings below the edge do without.
 *
 * A number is a ring; a file imports its own ring or a lower one. The folders of ring 4 are what goes in and what comes
 * out of the machine and know nothing of each other.
 */
import ts from 'typescript';
import {
  at,
  CORE,
  type Finding,
  importsOf,
  type Project,
  type Rule,
  resolveImport,
  SRC,
  walkNodes,
} from './project.ts';

const RING: Readonly<Record<string, number>> = {
  base: 0,
  abi: 1,
  mm: 2,
  machine: 3,
  replay: 4,
  workloads: 4,
  riscv: 4,
  report: 4,
  whatif: 5,
  experiments: 5,
  fuzz: 5,
  cli: 6,
  lab: 6,
};
/** What `import 'faultline'` gives may come from any ring below the edge. */
const INDEX_RING = 5;

const folderOf = (path: string): string => path.split('/')[1] ?? '';
const isIndex = (path: string): boolean => path === 'src/index.ts';
const ringOf = (path: string): number | undefined => (isIndex(path) ? INDEX_RING : RING[folderOf(path)]);

function checkArrow(from: string, to: string): string | null {
  const [own, other] = [ringOf(from), ringOf(to)];
  if (own === undefined) return `the folder ${folderOf(from)} has no ring: give it one in test/tidy/rings.ts`;
  if (!to.startsWith('src/'))
    return from.endsWith('.test.ts') ? null : `imports ${to}: src/ imports only src/`;
  if (other === undefined) return `imports ${to}, whose folder has no ring`;
  if (other > own) return `imports ${to}: ring ${own} may not import ring ${other}`;
  if (own === 4 && other === 4 && folderOf(from) !== folderOf(to))
    return `imports ${to}: folders of ring 4 never import each other`;
  return null;
}

function findArrows(project: Project): Finding[] {
  const found: Finding[] = [];
  for (const path of project.paths(/^src\/.*\.ts$/)) {
    const ast = project.ast(path);
    for (const { module, node } of importsOf(ast)) {
      if (!/^\..*\.[jt]s$/.test(module)) continue;
      const wrong = checkArrow(path, resolveImport(path, module));
      if (wrong !== null) found.push(at(path, ast, node, wrong));
    }
  }
  return found;
}

function packageOf(module: string): string {
  const parts = module.split('/');
  return module.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? '');
}

function findPackages(project: Project): Finding[] {
  const manifest = JSON.parse(project.text('package.json')) as { dependencies?: Record<string, string> };
  const allowed = new Set(Object.keys(manifest.dependencies ?? {}));
  const found: Finding[] = [];
  for (const path of project.paths(SRC)) {
    const isCore = CORE.test(path);
    const ast = project.ast(path);
    for (const { module, node } of importsOf(ast)) {
      if (module.startsWith('.')) continue;
      if (isCore) found.push(at(path, ast, node, `imports ${module}: below src/cli there is no dependency`));
      else if (!module.startsWith('node:') && !allowed.has(packageOf(module)))
        found.push(at(path, ast, node, `imports ${module}, which is not in "dependencies" of package.json`));
    }
  }
  return found;
}

const EDGE_NAMES: Readonly<Record<string, string>> = {
  Date: 'the virtual clock of the machine',
  console: 'an event, or a value returned to src/cli',
  Promise: 'a resumable record',
  performance: 'the virtual clock of the machine',
  setTimeout: 'the scheduler of the machine',
};

/** Says whether an identifier stands for the global of that name: not a property, not a declaration. */
function isGlobalUse(node: ts.Identifier): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent) || ts.isQualifiedName(parent))
    return parent.getChildAt(0) === node;
  if (ts.isPropertyAssignment(parent) || ts.isPropertySignature(parent)) return parent.name !== node;
  if (ts.isPropertyDeclaration(parent) || ts.isMethodDeclaration(parent)) return parent.name !== node;
  if (ts.isMethodSignature(parent)) return false;
  return true;
}

function edgeUse(node: ts.Node, ast: ts.SourceFile): string | null {
  if (ts.isIdentifier(node) && Object.hasOwn(EDGE_NAMES, node.text) && isGlobalUse(node))
    return `uses ${node.text}: below src/cli use ${EDGE_NAMES[node.text]}`;
  if (ts.isPropertyAccessExpression(node) && node.getText(ast) === 'Math.random')
    return 'uses Math.random: use the Prng that is handed down';
  if (node.kind === ts.SyntaxKind.AsyncKeyword || ts.isAwaitExpression(node))
    return 'is asynchronous: below src/cli an operation that waits is a resumable record';
  return null;
}

function findEdgeUses(project: Project): Finding[] {
  const found: Finding[] = [];
  for (const path of project.paths(CORE)) {
    const ast = project.ast(path);
    walkNodes(ast, (node) => {
      const wrong = edgeUse(node, ast);
      if (wrong !== null) found.push(at(path, ast, node, wrong));
    });
  }
  return found;
}

function findCatches(project: Project): Finding[] {
  const found: Finding[] = [];
  for (const path of project.paths(/^src\/(mm|machine)\/(?!.*\.test\.ts$).*\.ts$/)) {
    const ast = project.ast(path);
    walkNodes(ast, (node) => {
      if (ts.isCatchClause(node))
        found.push(
          at(path, ast, node, 'catches: a broken invariant of ours ends the run, a refusal is a value'),
        );
    });
  }
  return found;
}

const MANIFEST = '{ "dependencies": { "commander": "14.0.3" } }';

/** The rules about who may import and use what. */
export const RING_RULES: readonly Rule[] = [
  {
    name: 'a file imports its own ring or a lower one',
    find: findArrows,
    bad: { 'src/mm/vma.ts': "import type { Machine } from '../machine/machine.ts';" },
    says: 'ring 2 may not import ring 3',
    good: {
      'src/machine/machine.ts': "import { Mm } from '../mm/mm.ts'; import { x } from './task.ts';",
      'src/mm/vma.test.ts': "import { spec } from '../../test/spec/spec.ts';",
    },
  },
  {
    name: 'folders of ring 4 never import each other',
    find: findArrows,
    bad: { 'src/report/table.ts': "export { parse } from '../replay/strace.ts';" },
    says: 'folders of ring 4 never import each other',
    good: { 'src/whatif/compare.ts': "import '../replay/strace.ts'; import '../report/table.ts';" },
  },
  {
    name: 'the folder of every source file has a ring',
    find: findArrows,
    bad: { 'src/extra/thing.ts': "import { assert } from '../base/assert.ts';" },
    says: 'has no ring',
    good: { 'src/abi/mman.ts': "import { assert } from '../base/assert.ts';" },
  },
  {
    name: 'src/ imports only src/',
    find: findArrows,
    bad: { 'src/cli/main.ts': "import { run } from '../../bench/main.ts';" },
    says: 'src/ imports only src/',
    good: { 'src/cli/main.ts': "import { run } from '../whatif/run.ts';" },
  },
  {
    name: 'below src/cli nothing is imported from Node or a package; src/cli imports what package.json names',
    find: findPackages,
    bad: { 'package.json': MANIFEST, 'src/replay/strace.ts': "import { gunzipSync } from 'node:zlib';" },
    says: 'below src/cli there is no dependency',
    good: { 'package.json': MANIFEST, 'src/cli/main.ts': "import 'node:fs'; import 'commander';" },
  },
  {
    name: 'src/cli imports only packages that package.json names as dependencies',
    find: findPackages,
    bad: { 'package.json': MANIFEST, 'src/cli/main.ts': "import chalk from 'chalk/colours';" },
    says: 'which is not in "dependencies"',
    good: { 'package.json': MANIFEST, 'src/cli/main.test.ts': "import { expect } from 'vitest';" },
  },
  {
    name: 'below src/cli there is no Date, Math.random, console, Promise or async',
    find: findEdgeUses,
    bad: { 'src/machine/clock.ts': 'export const now = (): number => Date.now();' },
    says: 'use the virtual clock',
    good: {
      'src/report/plot.ts': 'export const f = (x: { Date: number }): number => x.Date + Math.floor(x.Date);',
      'src/cli/main.ts': 'export async function main(): Promise<void> { console.log(Date.now()); }',
    },
  },
  {
    name: 'below src/cli randomness comes from the Prng',
    find: findEdgeUses,
    bad: { 'src/fuzz/generate.ts': 'export const pick = (): number => Math.random();' },
    says: 'use the Prng',
    good: {
      'src/fuzz/generate.ts': 'export const pick = (prng: { next(): number }): number => prng.next();',
    },
  },
  {
    name: 'below src/cli no function is async',
    find: findEdgeUses,
    bad: { 'src/replay/read.ts': 'export async function read(): Promise<void> {}' },
    says: 'resumable record',
    good: { 'src/replay/read.ts': 'export function* read(): Generator<number> { yield 1; }' },
  },
  {
    name: 'nothing in src/mm and src/machine catches',
    find: findCatches,
    bad: { 'src/mm/mmap.ts': 'export function f(): void { try { g(); } catch { } }' },
    says: 'a refusal is a value',
    good: { 'src/replay/read.ts': 'export function f(): void { try { g(); } catch { } }' },
  },
];
