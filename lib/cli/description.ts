/** What a file of a model says of the table that it was trained on, in its metadata: what each column is, what is predicted. */
import { FileError, FormatError, safetensorsHeader } from '../index.ts';
import type { Column } from './columns.ts';
import { unreadable } from './files.ts';

/** The entry of the metadata. */
export const entry = 'table';

export interface Description {
  /** Of this arrangement; 1. */
  readonly format: 1;
  readonly target: string;
  /** Of a classification, in the order of the model's outputs. */
  readonly classes?: readonly string[];
  readonly columns: readonly Column[];
  /** What the model was found to be worth on rows that were held out, by name. */
  readonly scores: Readonly<Record<string, number>>;
}

const isText = (value: unknown): value is string => typeof value === 'string';

function isColumn(value: unknown): value is Column {
  if (typeof value !== 'object' || value === null) return false;
  const { name, kind, format, fill, missing, hours } = value as Record<string, unknown>;
  if (!isText(name)) return false;
  if (kind === 'category') return true;
  const isFilled = typeof fill === 'number' && Number.isFinite(fill) && typeof missing === 'boolean';
  if (kind === 'number') return isFilled && (format === 'point' || format === 'comma');
  return (
    kind === 'date' &&
    isFilled &&
    typeof hours === 'boolean' &&
    ['ymd', 'dmy', 'mdy'].includes(format as string)
  );
}

function isDescription(value: unknown): value is Description {
  if (typeof value !== 'object' || value === null) return false;
  const { format, target, classes, columns } = value as Partial<Description>;
  return (
    format === 1 &&
    isText(target) &&
    (classes === undefined || (Array.isArray(classes) && classes.length > 1 && classes.every(isText))) &&
    Array.isArray(columns) &&
    columns.length > 0 &&
    columns.every(isColumn)
  );
}

/** The description in metadata; undefined where there is none. @throws FormatError for one that makes no sense */
export function descriptionIn(
  op: string,
  path: string,
  metadata: Readonly<Record<string, string>>,
): Description | undefined {
  if (!Object.hasOwn(metadata, entry)) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(metadata[entry]);
  } catch {
    value = undefined;
  }
  if (isDescription(value)) return value;
  throw new FormatError(
    `[${op}] expected the metadata ${entry} of ${path} to be what axpy train writes, of this version`,
  );
}

/** @throws FormatError for a file that axpy train did not write, FileError where the system refuses */
export async function readDescription(op: string, path: string): Promise<Description> {
  let metadata: Readonly<Record<string, string>>;
  try {
    ({ metadata } = await safetensorsHeader(path));
  } catch (error) {
    if (error instanceof FileError) throw unreadable(op, path, error.cause);
    if (!(error instanceof FormatError)) throw error;
    throw new FormatError(`[${op}] expected ${path} to be a model that axpy train wrote, got another file`, {
      cause: error,
    });
  }
  const description = descriptionIn(op, path, metadata);
  if (description !== undefined) return description;
  throw new FormatError(
    `[${op}] expected ${path} to be a model that axpy train wrote, got one that tells of no columns: use loadModel and predict`,
  );
}
