/** The columns of a table, each by a layer of its own, side by side. */
import { describe, isArray, isInstance, isRecord, readArray, readOptions } from '../arguments.ts';
import { noGrad } from '../autograd.ts';
import { ArgumentError, DataError, DtypeError, ShapeError } from '../errors.ts';
import { refuseRecording } from '../kernels/recorder.ts';
import type { Dtype, FloatDtype } from '../memory.ts';
import { nameClass } from '../names.ts';
import { concat } from '../ops/concat.ts';
import { reshape } from '../ops/reshape.ts';
import { sizeOf } from '../shape.ts';
import { nameList } from '../state.ts';
import { checkTensor, isTensor, type Tensor } from '../tensor.ts';
import { mapTree } from '../tree.ts';
import { Given, learns, orAsBefore, passesOn } from './adapt.ts';
import { checkCount } from './checks.ts';
import { configure, type LayerConfig, layerFrom, registerLayer } from './config.ts';
import { isPlain, type Tensors, text } from './inputs.ts';
import { type ExampleShape, Layer } from './layer.ts';
import { inMode } from './mode.ts';

/** Layers by the names of columns. */
type Layers = Readonly<Record<string, Layer>>;

/** Options of `Columns`. */
export interface ColumnsOptions {
  /** How many features come of each column, where that is known beforehand: `adapt` finds it out. */
  widths?: Readonly<Record<string, number>>;
}

/** How many columns and rows there may be. */
const most = { columns: 2 ** 16, rows: 2 ** 31 - 1 };

/** A column of plain numbers, [n], as features, [n, 1]; indices stay. */
function asFeatures(x: Tensor): Tensor {
  return x.rank === 1 && x.dtype !== 'int32' ? reshape(x, [x.shape[0], 1]) : x;
}

/**
 * A table of columns, each by a layer of its own, whose outputs stand side by side in the order in which the columns were
 * given: [batch, features]. As the first layer of a model it lets `fit`, `evaluate` and `predict` take a table, as columns or
 * as rows; columns that it does not know are left out.
 *
 *     const columns = new Columns({
 *       city: new Sequential([new StringLookup(), new OneHot()]),
 *       size: new Normalize(1),
 *     });
 *     columns.adapt({ city: ['Sacramento', 'Elk Grove'], size: [852, 1167] });
 *     const model = new Sequential([columns, new Dense(columns.features, 8, { activation: 'relu' }), new Dense(8, 1)]);
 *     await predict(model, [{ city: 'Elk Grove', size: 900 }]);
 *
 * A column of numbers, [n], comes to its layer as [n, 1], one of indices as [n]; further axes of an output are joined.
 */
export class Columns<const Of extends Layers = Layers> extends Layer {
  /** By the names of columns, each of its own class. */
  readonly layers: Of;
  #widths = new Map<string, number>();

  /** @throws ArgumentError unless there is at least one layer, and for anything else than layers */
  constructor(layers: Of, options: ColumnsOptions = {}) {
    super();
    if (!isRecord(layers) || isTensor(layers)) {
      throw new ArgumentError(
        `Columns expected an object of layers by the names of columns, got ${describe(layers)}`,
      );
    }
    const own = Object.entries(layers as Layers);
    if (own.length === 0 || own.length > most.columns) {
      throw new ArgumentError(
        `Columns expected at least one layer, ${most.columns} at most, got ${own.length}`,
      );
    }
    for (const [name, layer] of own) {
      if (isInstance(layer, Layer)) continue;
      throw new ArgumentError(`Columns expected a layer for ${name.slice(0, 60)}, got ${describe(layer)}`);
    }
    this.layers = Object.fromEntries(own) as unknown as Of;
    const { widths = {} } = readOptions('Columns', options, ['widths']);
    if (!isRecord(widths)) {
      throw new ArgumentError(`Columns expected widths to be an object of numbers, got ${describe(widths)}`);
    }
    for (const [name, width] of Object.entries(widths as Record<string, number>)) {
      if (!Object.hasOwn(this.layers, name)) {
        throw new ArgumentError(
          `Columns expected widths of its columns, ${nameList(this.names)}; got ${describe(name)}`,
        );
      }
      this.#widths.set(name, checkCount('Columns', 'each width', width));
    }
    this.tell();
  }

  private get names(): string[] {
    return Object.keys(this.layers);
  }

  /**
   * How many features there are side by side: what the next layer gets.
   * @throws ArgumentError before that is known, which it is after `adapt`
   */
  get features(): number {
    const unknown = this.names.filter((name) => !this.#widths.has(name));
    if (unknown.length > 0) {
      throw new ArgumentError(
        `${this.label} expected to know how many features come of ${nameList(unknown)}: adapt it to the data first, or pass their ` +
          'numbers by the option widths',
      );
    }
    return [...this.#widths.values()].reduce((sum, width) => sum + width, 0);
  }

  /**
   * Lets each column's layer that learns by `adapt` do so, and finds out how many features come of each.
   * @param table as `fit` takes it, all of it
   * @throws DataError for a column that is missing; what a layer throws: all that was learned before is then as it was
   */
  adapt(table: unknown): this {
    refuseRecording('adapt');
    const { label } = this;
    const columns = this.columnsOf(table, `the data for ${label}`);
    const widths = new Map<string, number>();
    orAsBefore(this, () => {
      for (const [name, values] of columns) {
        const layer = this.layers[name];
        const given = Given.of(values);
        if (learns(layer)) layer.adapt(given.data);
        const first = mapTree(layer.inputFrom(given.batches[0], name), isTensor, (x) => x.slice([[0, 1]]));
        widths.set(name, inMode(false, () => noGrad(() => this.partOf(name, first))).shape[1]);
      }
    });
    this.#widths = widths;
    this.tell();
    return this;
  }

  /** Each column as its layer has it. @throws DataError for a column that is missing, or anything else than a table */
  override inputFrom(
    // biome-ignore lint/suspicious/noExplicitAny: the layers say what they take, see PlainInputs
    values: any,
    name = 'x',
    dtype: FloatDtype = this.parameterDtype(),
  ): Record<string, Tensors> {
    const whole = text(name);
    const columns = this.columnsOf(values, whole);
    return Object.fromEntries(
      columns.map(([key, column]) => [key, this.layers[key].inputFrom(column, `${whole}.${key}`, dtype)]),
    );
  }

  override inputDtypeAt(path: string, otherwise: Dtype): Dtype {
    // One column may be called as the beginning of another is.
    const isOwn = (own: string) => path === own || path.startsWith(`${own}.`);
    const name = this.names.filter(isOwn).sort((a, b) => b.length - a.length)[0];
    if (name === undefined) return otherwise;
    return this.layers[name].inputDtypeAt(path.slice(name.length + 1), otherwise);
  }

  /** @param table tensors by the names of columns, [batch, …] each @returns [batch, features] */
  forward(table: Readonly<Record<string, Tensors>>): Tensor {
    const { label } = this;
    if (!isPlain(table))
      throw new ArgumentError(`${label} expected tensors by column, got ${describe(table)}`);
    const parts = this.names.map((name) =>
      this.partOf(name, Object.hasOwn(table, name) ? table[name] : undefined),
    );
    return concat(parts, 1);
  }

  override outputShape(_input: ExampleShape): ExampleShape {
    return this.names.every((name) => this.#widths.has(name)) ? [this.features] : undefined;
  }

  override children(): [name: string, layer: Layer][] {
    const own = Object.entries<Layer>(this.layers);
    return own.concat(super.children().filter(([name]) => !name.startsWith('layers.')));
  }

  /** What it is given is for layers in it. */
  get [passesOn](): true {
    return true;
  }

  /** What the layer of a column makes of it, [batch, features]. */
  private partOf(name: string, given: unknown): Tensor {
    const { label } = this;
    const column = `column ${name.slice(0, 60)}`;
    const layer: Layer = this.layers[name];
    if (!isPlain(given)) checkTensor(label, given, column);
    const y: unknown = layer.forward(isTensor(given) ? asFeatures(given) : given);
    checkTensor(label, y, `the output for ${column}`);
    if (y.rank === 0)
      throw new ShapeError(`${label}: ${column} expected an output [batch, …], got a single number`);
    if (y.dtype === 'int32') {
      throw new DtypeError(
        `${label}: ${column} expected features of float32 or float64, got int32: put a OneHot after it`,
      );
    }
    const [rows, ...rest] = y.shape;
    return rest.length === 1 ? y : reshape(y, [rows, sizeOf(rest)]);
  }

  /** The columns that there are layers for, each read once. */
  private columnsOf(values: unknown, whole: string): [name: string, column: unknown][] {
    const { names } = this;
    if (isArray(values)) return this.columnsOfRows(values, whole);
    if (!isPlain(values)) {
      throw new DataError(
        `expected ${whole} to be an object of the columns ${nameList(names)}, or an array of such rows, got ${describe(values)}`,
      );
    }
    const missing = names.filter((name) => !Object.hasOwn(values, name));
    if (missing.length > 0) {
      throw new DataError(
        `expected ${whole} to have the columns ${nameList(names)}; missing: ${nameList(missing)}`,
      );
    }
    return names.map((name) => [name, values[name]]);
  }

  private columnsOfRows(values: readonly unknown[], whole: string): [name: string, column: unknown][] {
    const columns = this.names.map((name): [string, unknown[]] => [name, []]);
    const rows = readArray(
      values,
      most.rows,
      (got) => new DataError(`expected ${whole} to be rows, got ${got}`),
    );
    rows.forEach((row, i) => {
      if (!isPlain(row)) {
        throw new DataError(
          `expected ${whole} to be rows with the columns ${nameList(this.names)}, got ${describe(row)} at row ${i} (counted from 0)`,
        );
      }
      for (const [name, column] of columns) {
        if (!Object.hasOwn(row, name)) {
          throw new DataError(
            `expected each row of ${whole} to have ${name.slice(0, 60)}, got none at row ${i} (counted from 0)`,
          );
        }
        column.push(row[name]);
      }
    });
    return columns;
  }

  private tell(): void {
    configure(this, { layers: this.layers, widths: Object.fromEntries(this.#widths) });
  }
}

nameClass(Columns, 'Columns');
registerLayer('Columns', Columns, ({ layers, ...options }) => {
  if (!isRecord(layers)) return new Columns(layers, options);
  const made = Object.entries(layers).map(
    ([name, config]) => [name, layerFrom(config as LayerConfig)] as const,
  );
  return new Columns(Object.fromEntries(made), options);
});
