/**
 * Tidiness: what a linter does not know about this project. Each rule must hold in the tree, must fire on a sample that
 * breaks it (or it may have gone blind) and must be silent on one that does not.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { MEANING_RULES } from './tidy/meaning.ts';
import { type Finding, readProject, sampleProject } from './tidy/project.ts';
import { RING_RULES } from './tidy/rings.ts';
import { SHAPE_RULES } from './tidy/shape.ts';
import { WORD_RULES } from './tidy/words.ts';

const tree = readProject(fileURLToPath(new URL('..', import.meta.url)));
const print = (found: readonly Finding[]): string[] => found.map((f) => `${f.path}:${f.line} ${f.message}`);

const RULES = [...RING_RULES, ...SHAPE_RULES, ...MEANING_RULES, ...WORD_RULES];

// Several rules share one search and differ in their samples: the tree is searched once, under the first rule's name.
const SEARCHES = new Map(RULES.toReversed().map((rule) => [rule.find, rule.name]));

describe('the tree is tidy', () => {
  for (const [find, name] of [...SEARCHES].toReversed())
    it(name, () => {
      expect(print(find(tree))).toEqual([]);
    });
});

describe('each rule sees what breaks it', () => {
  for (const rule of RULES)
    it(rule.name, () => {
      expect(print(rule.find(sampleProject(rule.bad)))[0]).toContain(rule.says);
      expect(print(rule.find(sampleProject(rule.good)))).toEqual([]);
    });
});
