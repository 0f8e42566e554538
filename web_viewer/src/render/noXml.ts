/** Stands in for xmlbuilder2, which vtk.js imports for file formats that this viewer never reads. */
export function create(): never {
  throw new Error('XML is not supported in the viewer')
}
export const convert = create
export const fragment = create
export const builder = create
