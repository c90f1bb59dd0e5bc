/**
 * Texts: links that lead somewhere, words that do not stay, words that do not belong.
 */
import { ALL_TS, type Finding, type Project, type Rule, resolveImport } from './project.ts';

interface Link {
  readonly target: string;
  readonly line: number;
}

/** Returns the links and images of a Markdown text; code is left out. */
function linksOf(text: string): Link[] {
  const found: Link[] = [];
  let inCode = false;
  text.split('\n').forEach((line, i) => {
    if (/^\s*(```|~~~)/.test(line)) inCode = !inCode;
    if (inCode) return;
    const prose = line.replaceAll(/`[^`]*`/g, '``');
    for (const [, inline, reference] of prose.matchAll(
      /\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\s*\[[^\]]+\]:\s*(\S+)/g,
    ))
      found.push({ target: inline ?? reference ?? '', line: i + 1 });
  });
  return found;
}

/** Returns the anchors of a Markdown text as the usual renderers make them of its headings. */
function anchorsOf(text: string): Set<string> {
  const anchors = new Set<string>();
  for (const [, heading = ''] of text.matchAll(/^#{1,6}\s+(.*?)\s*#*$/gm)) {
    const slug = heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(/\s/g, '-');
    let unique = slug;
    for (let i = 1; anchors.has(unique); i++) unique = `${slug}-${i}`;
    anchors.add(unique);
  }
  for (const [, id = ''] of text.matchAll(/<a\s+(?:id|name)="([^"]+)"/g)) anchors.add(id);
  return anchors;
}

function brokenTarget(project: Project, from: string, target: string): string | null {
  const [file = '', anchor] = target.split('#');
  const path = file === '' ? from : decodeURIComponent(resolveImport(from, file)).replace(/\/$/, '');
  if (path !== '' && !project.exists(path)) return `links to ${target}, which does not exist`;
  if (anchor === undefined || !path.endsWith('.md')) return null;
  return anchorsOf(project.text(path)).has(anchor)
    ? null
    : `links to ${target}, and ${path} has no such heading`;
}

function findBrokenLinks(project: Project): Finding[] {
  const found: Finding[] = [];
  for (const path of project.paths(/\.md$/))
    for (const { target, line } of linksOf(project.text(path))) {
      if (/^[a-z]+:/i.test(target)) continue;
      const message = brokenTarget(project, path, target);
      if (message !== null) found.push({ path, line, message });
    }
  return found;
}

/** Messages point their reader to a page: `docs/scope.md#hugetlb`. */
function findBrokenPointers(project: Project): Finding[] {
  return grep(project, /^(src|bench|examples)\/.*\.ts$/, /\bdocs\/[\w./-]+\.md(#[\w-]+)?/g, (found) =>
    brokenTarget(project, '', found),
  );
}

/** Returns a finding for each match of `pattern` in the files of `paths` for which `message` has something to say. */
function grep(
  project: Project,
  paths: RegExp,
  pattern: RegExp,
  message: (match: string) => string | null,
): Finding[] {
  const found: Finding[] = [];
  for (const path of project.paths(paths)) {
    if (path.startsWith('test/tidy')) continue;
    project
      .text(path)
      .split('\n')
      .forEach((text, i) => {
        for (const [match] of text.matchAll(pattern)) {
          const said = message(match);
          if (said !== null) found.push({ path, line: i + 1, message: said });
        }
      });
  }
  return found;
}

const LEFTOVER = /\b(FIXME|TODO|XXX|HACK)\b/g;
const FOREIGN = [
  /(?<![\w.~-])\/work\/[\w.]*/g,
  /\b(claude|anthropic|openai|chatgpt|copilot|LLMs?)\b/gi,
  /\b(AI|coding) (assistant|agent)s?\b/gi,
  /\b(this|previous|last|next|earlier) session\b/gi,
  /\bissue [A-F]\b/g,
];
const REGISTRY = /"resolved"\s*:|\bregistry\.(npmjs|yarnpkg|npmmirror)\.\w+/g;

/** The rules about links and words. */
export const WORD_RULES: readonly Rule[] = [
  {
    name: 'links in documents lead to a file and a heading',
    find: findBrokenLinks,
    bad: { 'docs/scope.md': 'See [the map](../ARCHITECTURE.md).' },
    says: 'links to ../ARCHITECTURE.md, which does not exist',
    good: {
      'docs/scope.md':
        '# Scope\n[a](../README.md#two-commands) [b](#scope) [c](https://x.y/z)\n```\n[d](nowhere)\n```\n`[e](no)`',
      'README.md': '## Two commands!',
    },
  },
  {
    name: 'anchors in links exist',
    find: findBrokenLinks,
    bad: { 'README.md': '# Two\n[a](#three)' },
    says: 'no such heading',
    good: { 'README.md': '# Two\n<a id="three"></a>\n[a](#three) [b]: x' },
  },
  {
    name: 'pages that the code points to exist',
    find: findBrokenPointers,
    bad: {
      'src/mm/mmap.ts': "throw new Unmodelled('MAP_HUGETLB', 'docs/scope.md#hugetlb');",
      'docs/scope.md': '# Scope',
    },
    says: 'no such heading',
    good: {
      'src/mm/mmap.ts': "throw new Unmodelled('MAP_HUGETLB', 'docs/scope.md#hugetlb');",
      'docs/scope.md': '# hugetlb',
    },
  },
  {
    name: 'nothing is left to do in a comment',
    find: (project) =>
      grep(project, ALL_TS, LEFTOVER, (word) => `${word}: do it, or write down what is not modelled`),
    bad: { 'src/mm/vma.ts': '// TODO merge' },
    says: 'TODO: do it',
    good: { 'src/mm/vma.ts': '// Merges todos.' },
  },
  {
    name: 'randomness in tests, benchmarks and examples is seeded',
    find: (project) => grep(project, ALL_TS, /\bMath\.random\b/g, () => 'Math.random: use a seeded Prng'),
    bad: { 'test/fuzz/x.test.ts': 'const seed = Math.random();' },
    says: 'use a seeded Prng',
    good: { 'test/fuzz/x.test.ts': 'const seed = new Prng(7);' },
  },
  {
    name: 'texts speak of the project only',
    find: (project) =>
      FOREIGN.flatMap((pattern) => grep(project, /./, pattern, (word) => `"${word}" does not belong here`)),
    bad: { 'docs/fidelity.md': 'Taken from /work/shared/traces.' },
    says: 'does not belong',
    good: { 'docs/fidelity.md': 'A helper of the kernel; src/work/x.ts; ~/work/x; an issue a day; llmq.' },
  },
  {
    name: 'no file names a package registry',
    find: (project) => grep(project, /./, REGISTRY, (word) => `${word}: the machine's own registry is used`),
    bad: { 'package-lock.json': '{ "resolved": "https://registry.npmjs.org/x" }' },
    says: "the machine's own registry",
    good: { 'package-lock.json': '{ "integrity": "sha512-x" }' },
  },
];
