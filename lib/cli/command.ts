/** What a command is: its options, how they are read, how help shows them. */
import { parseArgs } from 'node:util';

export interface Option {
  readonly type: 'string' | 'boolean';
  readonly short?: string;
  /** What help calls the value. */
  readonly value?: string;
  readonly text: string;
}

/** What was given: values by option, and what stands for itself. */
export interface Given {
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  readonly files: readonly string[];
}

export interface Command {
  readonly name: string;
  /** What stands behind the name, as 'model.safetensors data.csv'; as many of it are asked for. */
  readonly files: readonly string[];
  readonly text: string;
  readonly options: Readonly<Record<string, Option>>;
  readonly examples: readonly string[];
  /** @returns the exit code */
  run(given: Given): Promise<number>;
}

/** A command line that nobody can make sense of: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const help: Option = { type: 'boolean', short: 'h', text: 'show this' };

/** @throws UsageError for options that the command does not have, and for more or fewer files */
export function readGiven(command: Command, args: readonly string[]): Given {
  const { name, files, options } = command;
  let parsed: { values: Given['values']; positionals: string[] };
  try {
    const config = Object.fromEntries(
      Object.entries({ ...options, help }).map(([key, { type, short }]) => [
        key,
        short === undefined ? { type } : { type, short },
      ]),
    );
    parsed = parseArgs({ args: [...args], options: config, allowPositionals: true }) as typeof parsed;
  } catch (error) {
    if (!String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS')) throw error;
    // Node's own sentence, without its advice on positional arguments.
    throw new UsageError(`[${name}] ${(error as Error).message.split(/\. |\n/)[0]}`);
  }
  const { values, positionals } = parsed;
  if (!values.help && positionals.length !== files.length) {
    const wanted = files.length === 0 ? 'nothing beside options' : files.join(' ');
    throw new UsageError(`[${name}] expected ${wanted}, got ${positionals.join(' ') || 'nothing'}`);
  }
  return { values, files: positionals };
}

/** A text; undefined where the option was not given. */
export function textOf({ values }: Given, key: string): string | undefined {
  const value = values[key];
  return typeof value === 'string' ? value : undefined;
}

/** Names with commas between them. */
export const listOf = (given: Given, key: string): string[] =>
  (textOf(given, key) ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');

/** @throws UsageError for what is no number, or out of its domain */
export function numberOf(
  name: string,
  given: Given,
  key: string,
  otherwise: number,
  domain: { least: number; most: number; whole?: boolean },
): number {
  const text = textOf(given, key);
  if (text === undefined) return otherwise;
  const value = text.trim() === '' ? Number.NaN : Number(text);
  const { least, most, whole = false } = domain;
  if (value >= least && value <= most && (!whole || Number.isInteger(value))) return value;
  const kind = whole ? 'a whole number' : 'a number';
  throw new UsageError(`[${name}] expected --${key} to be ${kind} from ${least} to ${most}, got ${text}`);
}

/** @throws UsageError for anything else than one of the words */
export function choiceOf<Word extends string>(
  name: string,
  given: Given,
  key: string,
  words: readonly Word[],
): Word | undefined {
  const text = textOf(given, key);
  if (text === undefined || words.includes(text as Word)) return text as Word | undefined;
  throw new UsageError(`[${name}] expected --${key} to be one of ${words.join(', ')}, got ${text}`);
}

/** What divides cells, where that is said. @throws UsageError for what cannot */
export function delimiterOf(name: string, given: Given): string | undefined {
  const text = textOf(given, 'delimiter');
  const delimiter = text === 'tab' || text === '\\t' ? '\t' : text;
  if (delimiter === undefined || (delimiter.length === 1 && !/["\r\n]/.test(delimiter))) return delimiter;
  throw new UsageError(`[${name}] expected --delimiter to be a character or tab, got ${text}`);
}

/** What `axpy COMMAND --help` shows. */
export function helpOf({ name, files, text, options, examples }: Command): string {
  const own = Object.entries({ ...options, help }).map(([key, option]): [string, string] => {
    const short = option.short === undefined ? '' : `-${option.short}, `;
    return [`${short}--${key}${option.value === undefined ? '' : ` ${option.value}`}`, option.text];
  });
  const width = Math.max(...own.map(([left]) => left.length));
  return [
    `Usage: axpy ${[name, ...files].join(' ')} [options]`,
    '',
    text,
    '',
    ...own.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`),
    ...(examples.length === 0 ? [] : ['', ...examples.map((line) => `  $ ${line}`)]),
    '',
  ].join('\n');
}
