/** Messages of ONNX, made of names, numbers and elements. */
import type { Arrays, Dtype } from '../memory.ts';
import { type Shape, stridesOf } from '../shape.ts';
import {
  type AttributeProto,
  attributeType,
  dataType,
  type TensorProto,
  type ValueInfoProto,
} from './schema.ts';
import { type Size, sizeText } from './sizes.ts';

/** Axis i of what is in a graph is axis order[i] of what it stands for. */
export type Order = readonly number[];

export type OnnxType = 'float32' | 'float64' | 'int32' | 'int64' | 'bool';

export const codes: Readonly<Record<OnnxType, number>> = {
  float32: dataType.float,
  float64: dataType.double,
  int32: dataType.int32,
  int64: dataType.int64,
  bool: dataType.bool,
};

export type Elements = Arrays[Dtype] | BigInt64Array;

/** What an attribute may be: a number is an integer where it is not said to be a float. */
export type Attribute =
  | number
  | string
  | readonly number[]
  | { readonly float: number }
  | { readonly texts: readonly string[] };

export function info(name: string, shape: readonly Size[], type: OnnxType): ValueInfoProto {
  const dim = shape.map((size) =>
    typeof size === 'number' ? { dimValue: size, dimParam: '' } : { dimValue: 0, dimParam: sizeText(size) },
  );
  return { name, docString: '', type: { tensorType: { elemType: codes[type], shape: { dim } } } };
}

const emptyAttribute: Omit<AttributeProto, 'name' | 'type'> = {
  f: 0,
  i: 0,
  s: new Uint8Array(0),
  t: null,
  g: null,
  floats: [],
  ints: [],
  strings: [],
  tensors: [],
  graphs: [],
  docString: '',
  refAttrName: '',
};

export function attributeOf(name: string, value: Attribute): AttributeProto {
  const own = { ...emptyAttribute, name };
  if (typeof value === 'number') return { ...own, type: attributeType.int, i: value };
  const encode = (text: string) => new TextEncoder().encode(text);
  if (typeof value === 'string') return { ...own, type: attributeType.string, s: encode(value) };
  if ('texts' in value) return { ...own, type: attributeType.strings, strings: value.texts.map(encode) };
  if ('float' in value) return { ...own, type: attributeType.float, f: value.float };
  return { ...own, type: attributeType.ints, ints: [...value] };
}

/** Elements with their axes in another order; as they are where that changes nothing. */
export function permuted(values: Elements, shape: Shape, order: Order): Elements {
  const all = stridesOf(shape);
  const dims: number[] = [];
  const strides: number[] = [];
  for (const axis of order) {
    if (shape[axis] === 1) continue;
    const last = dims.length - 1;
    // Neighbours that stay so are one axis.
    if (last >= 0 && strides[last] === shape[axis] * all[axis]) {
      dims[last] *= shape[axis];
      strides[last] = all[axis];
    } else {
      dims.push(shape[axis]);
      strides.push(all[axis]);
    }
  }
  if (dims.length < 2 || values.length === 0) return values;
  const out = new (values.constructor as Float32ArrayConstructor)(values.length);
  const from = values as Float32Array;
  const inner = dims.length - 1;
  const [count, step] = [dims[inner], strides[inner]];
  let at = 0;
  const visit = (axis: number, start: number): void => {
    if (axis < inner) {
      for (let i = 0; i < dims[axis]; i++) visit(axis + 1, start + i * strides[axis]);
      return;
    }
    for (let i = 0, place = start; i < count; i++, place += step) out[at++] = from[place];
  };
  visit(0, 0);
  return out;
}

const arrays = { float32: Float32Array, float64: Float64Array, int32: Int32Array, int64: BigInt64Array };

/** Elements as those of a type, where they lie if they are that. */
export function tensorOf(name: string, values: Elements, dims: Shape, type: OnnxType): TensorProto {
  const kind = arrays[type as keyof typeof arrays] as Float32ArrayConstructor;
  const own = values instanceof kind ? values : new kind(values as Float64Array);
  const rawData = new Uint8Array(own.buffer, own.byteOffset, own.byteLength);
  return {
    dims: [...dims],
    dataType: codes[type],
    floatData: [],
    int32Data: [],
    stringData: [],
    int64Data: [],
    name,
    docString: '',
    rawData,
    doubleData: new Uint8Array(0),
    uint64Data: [],
    externalData: [],
    dataLocation: 0,
  };
}
