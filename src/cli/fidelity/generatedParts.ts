/**
 * The generated parts of a document: between `<!-- generated: NAME, by COMMAND -->` and `<!-- end of NAME -->`. What stands around them is
 * written by hand and stays.
 */
import { UsageError } from '../../base/assert.ts';

/** Returns a document with its parts replaced. Throws UsageError when a part has no place in it. */
export function withGeneratedParts(
  document: string,
  parts: ReadonlyMap<string, string>,
  file: string,
): string {
  let text = document;
  for (const [name, part] of parts) {
    const place = new RegExp(`(<!-- generated: ${name},[^>]*-->\\n)[\\s\\S]*?(<!-- end of ${name} -->)`);
    if (!place.test(text))
      throw new UsageError(
        `${file} has no place for the part "${name}"`,
        `the lines <!-- generated: ${name}, by … --> and <!-- end of ${name} -->`,
      );
    text = text.replace(place, (_, begin: string, end: string) => `${begin}${part}\n${end}`);
  }
  return text;
}
