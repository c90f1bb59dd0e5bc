/**
 * The files that the tidy rules look at: read once, parsed once, type checked once.
 *
 * A project is made from the working tree or, for the tests of the rules themselves, from texts in memory. A rule sees
 * nothing else, so a rule that fires on a sample fires in the tree.
 *
 * Cost   parsing is some milliseconds a file; `checker()` type checks src/ and takes seconds, so it is made on demand
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';

/** A broken rule: where, and what would be right. */
export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

/** One thing that must hold everywhere, with a sample that breaks it and one that does not. */
export interface Rule {
  /** What holds, as a sentence. */
  readonly name: string;
  readonly find: (project: Project) => Finding[];
  /** Files by path in which the rule must find something, and a text that the first message contains. */
  readonly bad: Readonly<Record<string, string>>;
  readonly says: string;
  /** Files by path in which the rule must find nothing. */
  readonly good: Readonly<Record<string, string>>;
}

const SKIPPED = new Set(['.git', 'node_modules', 'dist', 'build', 'coverage']);
/** Not written by us: output of programs and kernels. */
const RECORDED = /^(examples\/recordings|bench\/data|test\/golden|test\/kernel\/recorded)\//;
const TEXT = /(\.(ts|js|mjs|md|json|c|h|sh|yml|ops|bt)|^\.ci\/run|^\.npmrc|Makefile|LICENSE)$/;

/** The texts of a project and what the compiler makes of them. */
export class Project {
  readonly #texts: ReadonlyMap<string, string>;
  readonly #exists: (path: string) => boolean;
  readonly #asts = new Map<string, ts.SourceFile>();
  readonly #program: () => ts.Program;
  #made: ts.Program | null = null;

  constructor(
    texts: ReadonlyMap<string, string>,
    exists: (path: string) => boolean,
    program: (of: Project) => ts.Program,
  ) {
    this.#texts = texts;
    this.#exists = exists;
    this.#program = () => program(this);
  }

  /** Returns the paths, relative to the root and sorted, that `pattern` matches. */
  paths(pattern: RegExp): string[] {
    return [...this.#texts.keys()].filter((path) => pattern.test(path)).sort();
  }

  /** Returns the text of a file of the project. */
  text(path: string): string {
    const text = this.#texts.get(path);
    if (text === undefined) throw new Error(`no text of ${path}`);
    return text;
  }

  /** Says whether there is such a file or folder, whatever it holds. */
  exists(path: string): boolean {
    return this.#texts.has(path) || this.#exists(path);
  }

  /** Returns the syntax tree of a TypeScript file. */
  ast(path: string): ts.SourceFile {
    let ast = this.#asts.get(path);
    if (ast === undefined) {
      ast = ts.createSourceFile(path, this.text(path), ts.ScriptTarget.ES2023, true);
      this.#asts.set(path, ast);
    }
    return ast;
  }

  /** Returns the type checker and the typed syntax tree of a file of src/. */
  typed(path: string): { readonly checker: ts.TypeChecker; readonly ast: ts.SourceFile } {
    this.#made ??= this.#program();
    const ast = this.#made.getSourceFile(path);
    if (ast === undefined) throw new Error(`${path} is not in the program`);
    return { checker: this.#made.getTypeChecker(), ast };
  }
}

/** Reads the working tree at `root`, which must be the current directory for `typed` to find its files. */
export function readProject(root: string): Project {
  const texts = new Map<string, string>();
  const every = new Set<string>();
  const walk = (folder: string): void => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      if (SKIPPED.has(entry.name)) continue;
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      every.add(path);
      if (entry.isDirectory()) walk(path);
      else if (TEXT.test(path) && !RECORDED.test(path))
        texts.set(path, readFileSync(join(root, path), 'utf8'));
    }
  };
  walk('');
  return new Project(texts, (path) => every.has(path), programOfTree);
}

/** Makes a project of texts in memory; its programs have no standard library, which unions and brands do not need. */
export function sampleProject(files: Readonly<Record<string, string>>): Project {
  const texts = new Map(Object.entries(files));
  return new Project(texts, () => false, programOfSample);
}

function programOfTree(project: Project): ts.Program {
  const json = ts.readConfigFile('tsconfig.json', (path) => readFileSync(path, 'utf8'));
  const { options } = ts.parseJsonConfigFileContent(json.config, ts.sys, '.');
  const { incremental: _, tsBuildInfoFile: __, ...rest } = options;
  return ts.createProgram(project.paths(SRC), rest);
}

function programOfSample(project: Project): ts.Program {
  const options: ts.CompilerOptions = {
    noLib: true,
    types: [],
    strict: true,
    allowImportingTsExtensions: true,
  };
  const host = ts.createCompilerHost(options);
  host.getSourceFile = (path) => (project.exists(path) ? project.ast(path) : undefined);
  host.fileExists = (path) => project.exists(path);
  host.readFile = (path) => (project.exists(path) ? project.text(path) : undefined);
  return ts.createProgram(project.paths(SRC), options, host);
}

/** Everything in src/ that is not a test. */
export const SRC: RegExp = /^src\/(?!.*\.test\.ts$).*\.ts$/;
/** The rings below src/cli and src/lab, tests left out. */
export const CORE: RegExp = /^src\/(?!(cli|lab)\/)(?!.*\.test\.ts$).*\.ts$/;
/** All TypeScript of ours. */
export const ALL_TS: RegExp = /^(src|test|bench|examples)\/.*\.ts$/;

/** Returns the finding for a node of `ast`. */
export function at(path: string, ast: ts.SourceFile, node: ts.Node, message: string): Finding {
  return { path, line: ast.getLineAndCharacterOfPosition(node.getStart(ast)).line + 1, message };
}

/** Calls `visit` for each node under `node`, parents first. */
export function walkNodes(node: ts.Node, visit: (node: ts.Node) => void): void {
  ts.forEachChild(node, (child) => {
    visit(child);
    walkNodes(child, visit);
  });
}

/** A module named in a file, by `import`, `export … from`, `import()` or `new URL(…, import.meta.url)`. */
export interface ImportOf {
  readonly module: string;
  readonly node: ts.Node;
}

/** Returns every module that a file names, in order. */
export function importsOf(ast: ts.SourceFile): ImportOf[] {
  const found: ImportOf[] = [];
  walkNodes(ast, (node) => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier) {
      if (ts.isStringLiteral(node.moduleSpecifier)) found.push({ module: node.moduleSpecifier.text, node });
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [module] = node.arguments;
      if (module && ts.isStringLiteralLike(module)) found.push({ module: module.text, node });
    } else if (ts.isNewExpression(node) && node.expression.getText(ast) === 'URL') {
      const [module, base] = node.arguments ?? [];
      if (module && ts.isStringLiteralLike(module) && base?.getText(ast) === 'import.meta.url')
        found.push({ module: module.text, node });
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      if (ts.isStringLiteral(node.argument.literal)) found.push({ module: node.argument.literal.text, node });
    }
  });
  return found;
}

/** Returns the path that a relative import of the file `from` names. */
export function resolveImport(from: string, module: string): string {
  return new URL(module, `file:///${from}`).pathname.slice(1);
}
