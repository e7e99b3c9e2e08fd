/**
 * The messages of the ONNX format that we write, as data, and their protobuf encoding.
 *
 * Field numbers: onnx/onnx.proto3 (ONNX IR version 8).
 */

import protobuf, { type Writer } from 'protobufjs/minimal.js'

/** Message → field → [number, type]; `[]` marks repeated, a capital letter another message. */
const messages = {
  ModelProto: {
    irVersion: [1, 'int64'],
    producerName: [2, 'string'],
    producerVersion: [3, 'string'],
    graph: [7, 'GraphProto'],
    opsetImport: [8, 'OperatorSetIdProto[]'],
    metadataProps: [14, 'StringStringEntryProto[]'],
  },
  OperatorSetIdProto: { domain: [1, 'string'], version: [2, 'int64'] },
  StringStringEntryProto: { key: [1, 'string'], value: [2, 'string'] },
  GraphProto: {
    node: [1, 'NodeProto[]'],
    name: [2, 'string'],
    initializer: [5, 'TensorProto[]'],
    input: [11, 'ValueInfoProto[]'],
    output: [12, 'ValueInfoProto[]'],
    valueInfo: [13, 'ValueInfoProto[]'],
  },
  NodeProto: {
    input: [1, 'string[]'],
    output: [2, 'string[]'],
    name: [3, 'string'],
    opType: [4, 'string'],
    attribute: [5, 'AttributeProto[]'],
    domain: [7, 'string'],
  },
  AttributeProto: {
    name: [1, 'string'],
    f: [2, 'float'],
    i: [3, 'int64'],
    s: [4, 'bytes'],
    g: [6, 'GraphProto'],
    floats: [7, 'float[]'],
    ints: [8, 'int64[]'],
    type: [20, 'int32'],
  },
  TensorProto: {
    dims: [1, 'int64[]'],
    dataType: [2, 'int32'],
    name: [8, 'string'],
    rawData: [9, 'bytes'],
    externalData: [13, 'StringStringEntryProto[]'],
    dataLocation: [14, 'int32'],
  },
  ValueInfoProto: { name: [1, 'string'], type: [2, 'TypeProto'] },
  TypeProto: { tensorType: [1, 'TensorTypeProto'] },
  TensorTypeProto: { elemType: [1, 'int32'], shape: [2, 'TensorShapeProto'] },
  TensorShapeProto: { dim: [1, 'DimensionProto[]'] },
  DimensionProto: { dimValue: [1, 'int64'], dimParam: [2, 'string'] },
} as const satisfies Record<string, Record<string, readonly [number, string]>>

export type MessageName = keyof typeof messages

/** A message's fields by name; an absent field is left out. */
export type Message = Readonly<Record<string, unknown>>

/** Protobuf wire types. */
const VARINT = 0
const LENGTH_DELIMITED = 2
const FIXED32 = 5

const scalars: Record<string, readonly [wireType: number, write: (writer: Writer, value: never) => Writer]> = {
  int32: [VARINT, (writer, value: number) => writer.int32(value)],
  int64: [VARINT, (writer, value: number) => writer.int64(value)],
  float: [FIXED32, (writer, value: number) => writer.float(value)],
  string: [LENGTH_DELIMITED, (writer, value: string) => writer.string(value)],
  bytes: [LENGTH_DELIMITED, (writer, value: Uint8Array) => writer.bytes(value)],
}

/** Encodes a message: its fields in the order of the schema. */
export const encodeMessage = (name: MessageName, message: Message): Uint8Array =>
  writeMessage(protobuf.Writer.create(), name, message).finish()

/** How a field is written; the tag holds its number and wire type. */
interface Field {
  readonly field: string
  readonly tag: number
  readonly repeated: boolean
  readonly write: (writer: Writer, value: never) => unknown
}

/** The fields of every message, in the order of the schema. */
const fields = new Map<MessageName, readonly Field[]>()

function fieldsOf(name: MessageName): readonly Field[] {
  const known = fields.get(name)
  if (known) return known
  const made = Object.entries(messages[name]).map(([field, [number, type]]): Field => {
    const base = type.replace('[]', '')
    const [wireType, write] = scalars[base] ?? [
      LENGTH_DELIMITED,
      (writer: Writer, value: Message) => writeMessage(writer.fork(), base as MessageName, value).ldelim(),
    ]
    return { field, tag: (number << 3) | wireType, repeated: type.endsWith('[]'), write }
  })
  fields.set(name, made)
  return made
}

function writeMessage(writer: Writer, name: MessageName, message: Message): Writer {
  for (const { field, tag, repeated, write } of fieldsOf(name)) {
    const value = message[field]
    if (value === undefined) continue
    for (const each of repeated ? (value as readonly unknown[]) : [value]) write(writer.uint32(tag), each as never)
  }
  return writer
}
