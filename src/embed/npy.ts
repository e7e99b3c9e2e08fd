/**
 * The NPY format, version 1.0 (NumPy Enhancement Proposal 1; numpy.org/doc/stable/reference/generated/numpy.lib.format.html):
 * the magic `\x93NUMPY`, two bytes of version, the header's length as little-endian uint16, a Python dictionary padded
 * with spaces so that the values start at a multiple of 64, and the values row by row. Nothing on the npm registry that
 * is kept writes it.
 */

/** Number types, as NumPy spells them: float32, float16 and int32, little-endian. */
export type NpyType = '<f4' | '<f2' | '<i4'

/** Bytes before the values, whatever the shape: three dimensions of sixteen digits fit. */
export const NPY_HEADER = 192

/** The bytes before the values of an array of that type and shape. */
export function npyHeader(type: NpyType, shape: readonly number[]): Uint8Array {
  const dimensions = shape.length === 1 ? `${shape[0]},` : shape.join(', ')
  const dictionary = `{'descr': '${type}', 'fortran_order': False, 'shape': (${dimensions}), }`
  const header = new Uint8Array(NPY_HEADER).fill(0x20)
  header.set([0x93, ...Buffer.from('NUMPY'), 1, 0])
  new DataView(header.buffer).setUint16(8, NPY_HEADER - 10, true)
  header.set(Buffer.from(dictionary), 10)
  header[NPY_HEADER - 1] = 0x0a
  return header
}
