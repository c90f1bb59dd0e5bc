/**
 * Rules that need types: what is switched over, where a feature is read, which numbers may be shifted.
 */
import ts from 'typescript';
import { at, CORE, type Finding, type Project, type Rule, SRC, walkNodes } from './project.ts';

function isUnionOfOurs(type: ts.Type): boolean {
  return type.isUnion() && type.types.every((member) => member.isStringLiteral());
}

function findDefaults(project: Project): Finding[] {
  const found: Finding[] = [];
  for (const path of project.paths(SRC)) {
    const { ast, checker } = project.typed(path);
    walkNodes(ast, (node) => {
      if (!ts.isSwitchStatement(node) || !isUnionOfOurs(checker.getTypeAtLocation(node.expression))) return;
      const fallback = node.caseBlock.clauses.find((clause) => ts.isDefaultClause(clause));
      if (fallback)
        found.push(
          at(
            path,
            ast,
            fallback,
            '`default` over a union of ours: name each case, so that a new one fails to compile',
          ),
        );
    });
  }
  return found;
}

const PREDICATE = /^(can|should|is|may)[A-Z]|Verdict$/;

/** Returns the names of the functions around a node, innermost first. */
function functionsAround(node: ts.Node): string[] {
  const names: string[] = [];
  for (let outer = node.parent; outer; outer = outer.parent) {
    if (!ts.isFunctionLike(outer)) continue;
    const named = outer.name ?? (ts.isVariableDeclaration(outer.parent) ? outer.parent.name : undefined);
    if (named) names.push(named.getText());
  }
  return names;
}

/** Says whether an expression is the record of features, by its type or, where that is lost, by its name. */
function isFeatures(expression: ts.Expression, checker: ts.TypeChecker): boolean {
  const type = checker.getTypeAtLocation(expression);
  const name = type.aliasSymbol?.name ?? type.symbol?.name;
  return name === 'Features' || /(^|[.#])features$/.test(expression.getText());
}

function readsFeature(node: ts.Node, checker: ts.TypeChecker): boolean {
  if (ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node))
    return isFeatures(node.expression, checker);
  if (ts.isVariableDeclaration(node) && ts.isObjectBindingPattern(node.name) && node.initializer)
    return isFeatures(node.initializer, checker);
  return false;
}

function findFeatureReads(project: Project): Finding[] {
  const found: Finding[] = [];
  for (const path of project.paths(/^src\/mm\/(?!.*\.test\.ts$)(?!features\.ts$).*\.ts$/)) {
    const { ast, checker } = project.typed(path);
    walkNodes(ast, (node) => {
      if (!readsFeature(node, checker) || functionsAround(node).some((name) => PREDICATE.test(name))) return;
      found.push(
        at(path, ast, node, `reads ${node.getText(ast)} outside can…, should…, is…, may… or …Verdict`),
      );
    });
  }
  return found;
}

const CUTS = new Set([
  ts.SyntaxKind.LessThanLessThanToken,
  ts.SyntaxKind.GreaterThanGreaterThanToken,
  ts.SyntaxKind.GreaterThanGreaterThanGreaterThanToken,
  ts.SyntaxKind.BarToken,
  ts.SyntaxKind.CaretToken,
]);
const WIDE = new Set(['Addr', 'Vpn', 'Pgoff']);

function findCutAddresses(project: Project): Finding[] {
  const found: Finding[] = [];
  for (const path of project.paths(CORE)) {
    if (path === 'src/base/units.ts') continue;
    const { ast, checker } = project.typed(path);
    const isWide = (side: ts.Expression): boolean =>
      WIDE.has(checker.getTypeAtLocation(side).aliasSymbol?.name ?? '');
    walkNodes(ast, (node) => {
      if (!ts.isBinaryExpression(node) || !CUTS.has(node.operatorToken.kind)) return;
      if (isWide(node.left) || isWide(node.right))
        found.push(at(path, ast, node, `${node.getText(ast)} cuts an address to 32 bits: use base/units.ts`));
    });
  }
  return found;
}

const UNION =
  "type Kind = 'none' | 'present' | 'swap';\ndeclare const kind: Kind; declare const text: string;\n";
const FEATURES = 'interface Features { mergeAcrossAnonVma: boolean }\ninterface Mm { features: Features }\n';
const ADDR = "type Addr = number & { readonly unit: 'addr' };\n";

/** The rules that need the type checker. */
export const MEANING_RULES: readonly Rule[] = [
  {
    name: 'a switch over a union of ours has no default',
    find: findDefaults,
    bad: { 'src/mm/pte.ts': `${UNION}switch (kind) { case 'none': break; default: break; }` },
    says: 'name each case',
    good: {
      'src/mm/pte.ts': `${UNION}switch (kind) { case 'none': case 'present': case 'swap': break; }
        switch (text) { case 'none': break; default: break; }`,
    },
  },
  {
    name: 'features are read only in predicates',
    find: findFeatureReads,
    bad: {
      'src/mm/vmaMerge.ts': `${FEATURES}function merge(on: Features): number { return on.mergeAcrossAnonVma ? 1 : 2; }`,
    },
    says: 'reads on.mergeAcrossAnonVma outside',
    good: {
      'src/mm/vmaMerge.ts': `${FEATURES}
        const mergeVerdict = (on: Features): number => [1].map(() => (on.mergeAcrossAnonVma ? 1 : 2))[0];
        function isMergeable(mm: Mm): boolean { return mm.features.mergeAcrossAnonVma; }
        function merge(mm: Mm): number { return mergeVerdict(mm.features); }`,
    },
  },
  {
    name: 'a feature is not taken apart outside a predicate',
    find: findFeatureReads,
    bad: {
      'src/mm/vmaMerge.ts': `${FEATURES}function merge(mm: Mm): void { const { mergeAcrossAnonVma } = mm.features; }`,
    },
    says: 'outside can…',
    good: {
      'src/machine/run.ts': `${FEATURES}function run(on: Features): boolean { return on.mergeAcrossAnonVma; }`,
    },
  },
  {
    name: 'addresses are not cut to 32 bits',
    find: findCutAddresses,
    bad: { 'src/mm/vma.ts': `${ADDR}const page = (addr: Addr): number => addr >> 12;` },
    says: 'cuts an address',
    good: {
      'src/mm/vma.ts': `${ADDR}const rest = (addr: Addr, flags: number): number => (addr & 4095) + (flags | 1) - addr;`,
    },
  },
];
