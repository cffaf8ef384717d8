/** Records of a file, whose fields are what they should be or a FormatError that names them. */
import { isArray, isRecord } from '../arguments.ts';
import { FormatError } from '../errors.ts';
import { typedArrayName } from '../platform.ts';
import { isTensor, type Tensor } from '../tensor.ts';
import type { SavedState } from './savedState.ts';

type Plain = Readonly<Record<string, SavedState | undefined>>;

const isPlain = (value: unknown): value is Plain => isRecord(value) && !isTensor(value);

export class Fields {
  private readonly record: Plain;

  /** @param where what messages call the record, as '[fit] the checkpoint' */
  constructor(
    private readonly where: string,
    value: SavedState | undefined,
  ) {
    if (!isPlain(value)) throw new FormatError(`${where}: expected a record`);
    this.record = value;
  }

  private field<Kind extends SavedState>(
    name: string,
    what: string,
    is: (value: unknown) => value is Kind,
  ): Kind {
    const value = this.get(name);
    if (is(value)) return value;
    throw new FormatError(`${this.where}: expected ${name} to be ${what}`);
  }

  get(name: string): SavedState | undefined {
    return Object.hasOwn(this.record, name) ? this.record[name] : undefined;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined && this.get(name) !== null;
  }

  get names(): string[] {
    return Object.keys(this.record);
  }

  inner(name: string): Fields {
    return new Fields(`${this.where}, ${name}`, this.get(name));
  }

  number(name: string): number {
    return this.field(name, 'a number', (value) => typeof value === 'number');
  }

  count(name: string): number {
    return this.field(
      name,
      'a count',
      (value): value is number => Number.isSafeInteger(value) && (value as number) >= 0,
    );
  }

  text(name: string): string {
    return this.field(name, 'text', (value) => typeof value === 'string');
  }

  flag(name: string): boolean {
    return this.field(name, 'true or false', (value) => typeof value === 'boolean');
  }

  list(name: string): readonly SavedState[] {
    return this.field(name, 'a list', (value): value is readonly SavedState[] => isArray(value));
  }

  texts(name: string): readonly string[] {
    const isTexts = (value: unknown): value is readonly string[] =>
      isArray(value) && value.every((item) => typeof item === 'string');
    return this.field(name, 'a list of texts', isTexts);
  }

  tensors(name: string): Readonly<Record<string, Tensor>> {
    const isTensors = (value: unknown): value is Record<string, Tensor> =>
      isPlain(value) && Object.values(value).every(isTensor);
    return this.field(name, 'tensors by name', isTensors);
  }

  /** A typed array of a class and, where that is said, a length. */
  array<Kind extends Uint8Array | Uint32Array | Float32Array | Float64Array>(
    name: string,
    kind: 'Uint8Array' | 'Uint32Array' | 'Float32Array' | 'Float64Array',
    length?: number,
  ): Kind {
    const isArrayOfKind = (value: unknown): value is Kind =>
      typedArrayName.call(value) === kind && (length === undefined || (value as Kind).length === length);
    return this.field(name, `a ${kind}${length === undefined ? '' : ` of ${length}`}`, isArrayOfKind);
  }
}
