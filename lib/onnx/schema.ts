/** The messages of ONNX that are read or written here (onnx/onnx.proto of the ONNX specification, IR version 8). */
import { concatBytes } from '../files/bytes.ts';
import { decode, encode, type Schema } from './protobuf.ts';

/** TensorProto.DataType */
export const dataType = {
  float: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  double: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16,
} as const;

/** AttributeProto.AttributeType */
export const attributeType = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
} as const;

export interface StringStringEntryProto {
  key: string;
  value: string;
}

export interface TensorProto {
  dims: number[];
  dataType: number;
  floatData: number[];
  int32Data: number[];
  stringData: Uint8Array[];
  int64Data: number[];
  name: string;
  docString: string;
  rawData: Uint8Array;
  /** Little-endian doubles, as packed fields are. */
  doubleData: Uint8Array;
  uint64Data: number[];
  externalData: StringStringEntryProto[];
  /** 1 where the values are in another file. */
  dataLocation: number;
}

export interface AttributeProto {
  name: string;
  f: number;
  i: number;
  s: Uint8Array;
  t: TensorProto | null;
  g: GraphProto | null;
  floats: number[];
  ints: number[];
  strings: Uint8Array[];
  tensors: TensorProto[];
  graphs: GraphProto[];
  docString: string;
  type: number;
  refAttrName: string;
}

export interface NodeProto {
  input: string[];
  output: string[];
  name: string;
  opType: string;
  attribute: AttributeProto[];
  docString: string;
  domain: string;
}

export interface DimensionProto {
  dimValue: number;
  dimParam: string;
}

export interface TensorShapeProto {
  dim: DimensionProto[];
}

export interface TensorTypeProto {
  elemType: number;
  /** Null where nothing is known of it. */
  shape: TensorShapeProto | null;
}

export interface TypeProto {
  /** Null for what is no tensor. */
  tensorType: TensorTypeProto | null;
}

export interface ValueInfoProto {
  name: string;
  type: TypeProto | null;
  docString: string;
}

export interface GraphProto {
  node: NodeProto[];
  name: string;
  initializer: TensorProto[];
  docString: string;
  input: ValueInfoProto[];
  output: ValueInfoProto[];
  valueInfo: ValueInfoProto[];
  sparseInitializer: Uint8Array[];
}

export interface OperatorSetIdProto {
  domain: string;
  version: number;
}

export interface ModelProto {
  irVersion: number;
  producerName: string;
  producerVersion: string;
  domain: string;
  modelVersion: number;
  docString: string;
  graph: GraphProto | null;
  opsetImport: OperatorSetIdProto[];
  metadataProps: StringStringEntryProto[];
  functions: Uint8Array[];
}

const entry: Schema<StringStringEntryProto> = { key: [1, 'string'], value: [2, 'string'] };

const tensor: Schema<TensorProto> = {
  dims: [1, 'int', 'many'],
  dataType: [2, 'int'],
  floatData: [4, 'float', 'many'],
  int32Data: [5, 'int', 'many'],
  stringData: [6, 'bytes', 'many'],
  int64Data: [7, 'int', 'many'],
  name: [8, 'string'],
  rawData: [9, 'bytes'],
  doubleData: [10, 'bytes'],
  uint64Data: [11, 'int', 'many'],
  docString: [12, 'string'],
  externalData: [13, () => entry, 'many'],
  dataLocation: [14, 'int'],
};

const attribute: Schema<AttributeProto> = {
  name: [1, 'string'],
  f: [2, 'float'],
  i: [3, 'int'],
  s: [4, 'bytes'],
  t: [5, () => tensor],
  g: [6, () => graph],
  floats: [7, 'float', 'many'],
  ints: [8, 'int', 'many'],
  strings: [9, 'bytes', 'many'],
  tensors: [10, () => tensor, 'many'],
  graphs: [11, () => graph, 'many'],
  docString: [13, 'string'],
  type: [20, 'int'],
  refAttrName: [21, 'string'],
};

const node: Schema<NodeProto> = {
  input: [1, 'string', 'many'],
  output: [2, 'string', 'many'],
  name: [3, 'string'],
  opType: [4, 'string'],
  attribute: [5, () => attribute, 'many'],
  docString: [6, 'string'],
  domain: [7, 'string'],
};

const dimension: Schema<DimensionProto> = { dimValue: [1, 'int'], dimParam: [2, 'string'] };
const shape: Schema<TensorShapeProto> = { dim: [1, () => dimension, 'many'] };
const tensorType: Schema<TensorTypeProto> = { elemType: [1, 'int'], shape: [2, () => shape] };
const type: Schema<TypeProto> = { tensorType: [1, () => tensorType] };
const valueInfo: Schema<ValueInfoProto> = {
  name: [1, 'string'],
  type: [2, () => type],
  docString: [3, 'string'],
};

const graph: Schema<GraphProto> = {
  node: [1, () => node, 'many'],
  name: [2, 'string'],
  initializer: [5, () => tensor, 'many'],
  docString: [10, 'string'],
  input: [11, () => valueInfo, 'many'],
  output: [12, () => valueInfo, 'many'],
  valueInfo: [13, () => valueInfo, 'many'],
  sparseInitializer: [15, 'bytes', 'many'],
};

const operatorSet: Schema<OperatorSetIdProto> = { domain: [1, 'string'], version: [2, 'int'] };

const model: Schema<ModelProto> = {
  irVersion: [1, 'int'],
  producerName: [2, 'string'],
  producerVersion: [3, 'string'],
  domain: [4, 'string'],
  modelVersion: [5, 'int'],
  docString: [6, 'string'],
  graph: [7, () => graph],
  opsetImport: [8, () => operatorSet, 'many'],
  metadataProps: [14, () => entry, 'many'],
  functions: [25, 'bytes', 'many'],
};

/** @throws FormatError for what is no such message */
export const decodeModel = (bytes: Uint8Array): ModelProto => decode('model', model, bytes);

/** The bytes in parts that follow each other, for a file. */
export const encodeModelParts = (message: ModelProto): Uint8Array[] => encode(model, message);

export const encodeModelProto = (message: ModelProto): Uint8Array => concatBytes(encodeModelParts(message));
