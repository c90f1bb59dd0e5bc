/**
 * The shape of files: how long, how named, described at the top and at every exported name, and used by somebody.
 */
import ts from 'typescript';
import {
  ALL_TS,
  at,
  type Finding,
  importsOf,
  type Project,
  type Rule,
  resolveImport,
  SRC,
  walkNodes,
} from './project.ts';

const FILE_LINES_ASK = 400;
const FILE_LINES_MAX = 600;
const FUNCTION_LINES_MAX = 70;
const REASON = /^\/\/ Long because: \S/m;
/** Tables of cases are as long as what they list. */
const SPEC_DATA = /^test\/spec\//;

function findLongFiles(project: Project): Finding[] {
  const found: Finding[] = [];
  for (const path of project.paths(ALL_TS)) {
    if (SPEC_DATA.test(path)) continue;
    const text = project.text(path);
    const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
    const message =
      lines > FILE_LINES_MAX
        ? `${lines} lines: at most ${FILE_LINES_MAX}, split it`
        : `${lines} lines: over ${FILE_LINES_ASK}, say why in a comment \`// Long because: …\` or split it`;
    if (lines > FILE_LINES_MAX || (lines > FILE_LINES_ASK && !REASON.test(text)))
      found.push({ path, line: lines, message });
  }
  return found;
}

/** A describe() groups tests and is as long as they are; what is in it is counted on its own. */
function isGroupOfTests(node: ts.Node): boolean {
  const { parent } = node;
  return ts.isCallExpression(parent) && /^describe\b/.test(parent.expression.getText());
}

function findLongFunctions(project: Project): Finding[] {
  const found: Finding[] = [];
  for (const path of project.paths(ALL_TS)) {
    const ast = project.ast(path);
    walkNodes(ast, (node) => {
      if (!ts.isFunctionLike(node) || !('body' in node) || node.body === undefined || isGroupOfTests(node))
        return;
      const first = ast.getLineAndCharacterOfPosition(node.getStart(ast)).line;
      const lines = ast.getLineAndCharacterOfPosition(node.end).line - first + 1;
      if (lines > FUNCTION_LINES_MAX)
        found.push(at(path, ast, node, `a function of ${lines} lines: at most ${FUNCTION_LINES_MAX}`));
    });
  }
  return found;
}

const NO_CONCEPT = /(^|\/)(utils?|types?|helpers?|common|misc|shared|lib)\.(test\.)?ts$/i;

function findVagueFileNames(project: Project): Finding[] {
  return project.paths(NO_CONCEPT).map((path) => ({
    path,
    line: 1,
    message: 'names no concept: call a file after the one thing that is in it',
  }));
}

function findMissingHeaders(project: Project): Finding[] {
  return project
    .paths(SRC)
    .filter((path) => !/^(#!.*\n)?\/\*\*/.test(project.text(path)))
    .map((path) => ({ path, line: 1, message: 'has no header: open with a comment that says what it is' }));
}

/** `export const EPERM = 1;` and its like: a doc comment covers the run of such lines below it. */
function isPlainConstant(node: ts.Statement): boolean {
  if (!ts.isVariableStatement(node)) return false;
  return node.declarationList.declarations.every(
    (d) => ts.isIdentifier(d.name) && /^[A-Z][A-Z0-9_]*$/.test(d.name.text),
  );
}

function lineOf(ast: ts.SourceFile, pos: number): number {
  return ast.getLineAndCharacterOfPosition(pos).line;
}

function isExported(node: ts.Statement): boolean {
  return (
    ts.canHaveModifiers(node) &&
    (ts.getModifiers(node) ?? []).some((m) => m.kind === ts.SyntaxKind.ExportKeyword)
  );
}

/** Returns a name for the message: the first one that the statement declares. */
function nameOf(node: ts.Statement): string {
  if (ts.isVariableStatement(node)) return node.declarationList.declarations[0]?.name.getText() ?? '';
  return 'name' in node && node.name ? (node.name as ts.Identifier).text : '';
}

function findUndocumented(project: Project): Finding[] {
  const found: Finding[] = [];
  for (const path of project.paths(SRC)) {
    const ast = project.ast(path);
    let coveredTo = -1;
    let overload = '';
    for (const node of ast.statements) {
      const documented = ts.getJSDocCommentsAndTags(node).length > 0;
      const inRun = isPlainConstant(node) && lineOf(ast, node.getStart(ast)) === coveredTo + 1;
      coveredTo = isPlainConstant(node) && (documented || inRun) ? lineOf(ast, node.end) : -1;
      const isOverload = ts.isFunctionDeclaration(node) && node.name?.text === overload;
      overload =
        ts.isFunctionDeclaration(node) && !node.body ? (node.name?.text ?? '') : isOverload ? overload : '';
      if (!isExported(node) || documented || inRun || isOverload) continue;
      found.push(at(path, ast, node, `exports ${nameOf(node)} without a doc comment`));
    }
  }
  return found;
}

/** Nobody imports these: programs and the subpaths of package.json start there. */
const ENTRIES = /^src\/(index|(mm|machine|replay|report)\/index|cli\/main|lab\/main)\.ts$/;

function findDeadFiles(project: Project): Finding[] {
  const used = new Set<string>();
  for (const path of project.paths(ALL_TS)) {
    if (path.endsWith('.test.ts')) continue;
    for (const { module } of importsOf(project.ast(path)))
      if (module.startsWith('.')) used.add(resolveImport(path, module).replace(/\.js$/, '.ts'));
  }
  return project
    .paths(SRC)
    .filter((path) => !used.has(path) && !ENTRIES.test(path))
    .map((path) => ({
      path,
      line: 1,
      message: 'nobody imports it (tests do not count): use it or delete it',
    }));
}

const lines = (n: number, text: string): string => `${text}\n`.repeat(n);

/** The rules about files and exported names. */
export const SHAPE_RULES: readonly Rule[] = [
  {
    name: 'a file over 400 lines says why',
    find: findLongFiles,
    bad: { 'src/mm/vma.ts': lines(401, '// x') },
    says: 'Long because',
    good: {
      'src/mm/vma.ts': `// Long because: one table.\n${lines(420, '// x')}`,
      'src/mm/mmap.ts': lines(400, '// x'),
      'test/spec/cases.ts': lines(900, '// x'),
    },
  },
  {
    name: 'no file is over 600 lines',
    find: findLongFiles,
    bad: { 'src/mm/vma.ts': `// Long because: no reason is enough.\n${lines(600, '// x')}` },
    says: 'at most 600',
    good: { 'src/mm/vma.ts': `// Long because: one table.\n${lines(599, '// x')}` },
  },
  {
    name: 'no function is over 70 lines',
    find: findLongFunctions,
    bad: { 'src/mm/vma.ts': `export const f = (): void => {\n${lines(69, '  g();')}};` },
    says: 'a function of 71 lines',
    good: {
      'src/mm/vma.ts': `/** Long comments\n${lines(80, ' *')} */\nfunction f(): void {\n${lines(68, '  g();')}}`,
      'src/mm/vma.test.ts': `describe('x', () => {\n${lines(80, "  it('y', () => g());")}});`,
    },
  },
  {
    name: 'a file is named after a concept',
    find: findVagueFileNames,
    bad: { 'src/base/utils.ts': '' },
    says: 'names no concept',
    good: { 'src/base/units.ts': '', 'src/cli/helpText.ts': '' },
  },
  {
    name: 'a source file opens with a comment that says what it is',
    find: findMissingHeaders,
    bad: { 'src/mm/vma.ts': "import { assert } from '../base/assert.ts';" },
    says: 'has no header',
    good: { 'src/mm/vma.ts': '/** The vma. */\nimport x;' },
  },
  {
    name: 'an exported name has a doc comment',
    find: findUndocumented,
    bad: {
      'src/mm/vma.ts':
        '/** Splits. */\nexport function split(): void {}\nexport const merge = (): void => {};',
    },
    says: 'exports merge without a doc comment',
    good: {
      'src/abi/errno.ts': '/** Errors. */\nexport const EPERM = 1;\nexport const ENOENT = 2;\nconst X = 1;',
      'src/mm/index.ts': "export { Vma } from './vma.ts';",
      'src/mm/vma.ts':
        '/** F. */\nexport function f(a: 1): 1;\nexport function f(a: 2): 2;\nexport function f(a: 1 | 2): 1 | 2 { return a; }',
    },
  },
  {
    name: 'a doc comment over constants covers only the lines directly below it',
    find: findUndocumented,
    bad: { 'src/abi/errno.ts': '/** Errors. */\nexport const EPERM = 1;\n\nexport const ENOENT = 2;' },
    says: 'exports ENOENT without a doc comment',
    good: {
      'src/abi/errno.ts': '/** One. */\nexport const EPERM = 1;\n/** Two. */\nexport const ENOENT = 2;',
    },
  },
  {
    name: 'every source file is an entry or imported by one that is no test',
    find: findDeadFiles,
    bad: { 'src/mm/old.ts': '', 'src/mm/old.test.ts': "import './old.ts';" },
    says: 'nobody imports it',
    good: {
      'src/cli/main.ts': "const worker = new URL('./worker.ts', import.meta.url); import('../mm/vma.ts');",
      'src/cli/worker.ts': '',
      'src/mm/vma.ts': '',
      'src/mm/index.ts': '',
    },
  },
];
