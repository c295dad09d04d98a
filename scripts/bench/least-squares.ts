/** A straight line through points, by least squares, with the standard error of its slope. */
export interface Line {
  readonly slope: number
  /**
   * Standard error of the slope, as if each point strayed for itself. Where neighbours stray together, as
   * memory does between two collections, it is too small.
   */
  readonly slopeError: number
}

export function leastSquares(points: readonly { readonly x: number; readonly y: number }[]): Line {
  const count = points.length
  if (count < 3) throw new Error('a line needs three points')
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / count
  const meanY = points.reduce((sum, { y }) => sum + y, 0) / count
  const spreadX = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0)
  const common = points.reduce((sum, { x, y }) => sum + (x - meanX) * (y - meanY), 0)
  const slope = common / spreadX
  const strayed = points.reduce((sum, { x, y }) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0)
  return { slope, slopeError: Math.sqrt(strayed / (count - 2) / spreadX) }
}
