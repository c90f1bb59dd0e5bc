import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { mutatedText } from './mutants/build.ts';
import { MUTANTS } from './mutants/list.ts';

const PAGE = fileURLToPath(new URL('../../docs/mutants.md', import.meta.url));

/** Returns what the parser has to say against a text. */
function syntaxErrors(text: string): readonly string[] {
  const { diagnostics = [] } = ts.transpileModule(text, { reportDiagnostics: true });
  return diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '));
}

describe('a mutant', () => {
  it.each(MUTANTS.map((mutant) => [mutant.name, mutant] as const))(
    '%s: replaces what stands once in the sources, and can be read',
    (_name, mutant) => {
      expect(mutant.replace).not.toBe(mutant.find);
      expect(syntaxErrors(mutatedText(mutant))).toEqual([]);
    },
  );

  it('has a name of its own, and so many of them there are', () => {
    expect(new Set(MUTANTS.map(({ name }) => name)).size).toBe(MUTANTS.length);
    expect(MUTANTS.length).toBeGreaterThanOrEqual(28);
  });

  it('has a row in the table of docs/mutants.md', () => {
    expect(existsSync(PAGE)).toBe(true);
    const rows = readFileSync(PAGE, 'utf8').match(/(?<=^\| `)[a-z-]+(?=` \|)/gm) ?? [];
    expect([...rows].sort()).toEqual(MUTANTS.map(({ name }) => name).sort());
  });
});
