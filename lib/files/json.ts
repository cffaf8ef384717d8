/** JSON of files. */
import { describe } from '../arguments.ts';
import { FormatError } from '../errors.ts';

/** How deep it may be. */
const deepest = 1024;

/** @throws FormatError for what is none, or deeper than anybody writes */
export function parse(text: string): unknown {
  let depth = 0;
  let isQuoted = false;
  for (let i = 0; i < text.length; i++) {
    const mark = text[i];
    if (isQuoted) {
      if (mark === '\\') i++;
      else if (mark === '"') isQuoted = false;
    } else if (mark === '"') isQuoted = true;
    else if (mark === '[' || mark === '{') {
      if (++depth > deepest) throw new FormatError(`expected JSON at most ${deepest} deep, got deeper`);
    } else if (mark === ']' || mark === '}') depth--;
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FormatError(`expected JSON, got ${describe(text)}`, { cause });
  }
}
