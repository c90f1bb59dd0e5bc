/**
 * Builds the model, as it is or mutated, into a folder of its own, where it can be imported beside the sources.
 *
 * Each file is compiled by itself: types were checked long ago. What tests and the command line need is left out.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';
import type { Mutant } from './list.ts';

const SRC = fileURLToPath(new URL('../../../src', import.meta.url));

/** The parts of a built model that a hunt needs. */
export type BuiltModel = Pick<typeof import('../../../src/fuzz/index.ts'), 'checkLog' | 'shrinkOps'>;

function compile(text: string, fileName: string): string {
  const { outputText } = ts.transpileModule(text, {
    fileName,
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      useDefineForClassFields: false,
      rewriteRelativeImportExtensions: true,
      removeComments: true,
    },
  });
  return outputText;
}

/** Returns the text of the file that `mutant` changes, changed. Throws where what it replaces is not there exactly once. */
export function mutatedText(mutant: Mutant): string {
  const text = readFileSync(join(SRC, mutant.file), 'utf8');
  const parts = text.split(mutant.find);
  if (parts.length !== 2)
    throw new Error(
      `mutant ${mutant.name}: what it replaces is ${parts.length - 1} times in src/${mutant.file}`,
    );
  return parts.join(mutant.replace);
}

/** A workshop: the sources, compiled, and mutated copies of them. */
export class Workshop {
  readonly #folder = mkdtempSync(join(tmpdir(), 'faultline-mutants-'));

  constructor() {
    const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' });
    for (const file of files) {
      if (!file.endsWith('.ts') || file.endsWith('.test.ts') || file.startsWith('cli')) continue;
      this.#write('model', file, compile(readFileSync(join(SRC, file), 'utf8'), file));
    }
    writeFileSync(join(this.#folder, 'package.json'), '{ "type": "module" }\n');
  }

  /** Returns the model; without an argument as it is. */
  async build(mutant: Mutant | null = null): Promise<BuiltModel> {
    const name = mutant === null ? 'model' : `mutant-${mutant.name}`;
    if (mutant !== null) {
      cpSync(join(this.#folder, 'model'), join(this.#folder, name), { recursive: true });
      this.#write(name, mutant.file, compile(mutatedText(mutant), mutant.file));
    }
    return (await import(pathToFileURL(join(this.#folder, name, 'fuzz/index.js')).href)) as BuiltModel;
  }

  #write(name: string, file: string, text: string): void {
    const path = join(this.#folder, name, file.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  /** Takes everything away that was built. */
  remove(): void {
    rmSync(this.#folder, { recursive: true });
  }
}
