import { useEffect, useRef } from 'preact/hooks'
import { formatValue } from '../format.ts'
import { pixelsOf } from '../grid/palette.ts'
import type { Squares } from './values.ts'

/** Squares in the colours of the map, from the least to the greatest; what is lost is left clear. */
export function SmallMap({ of, columns, rows, values }: Squares) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const known = values.filter((value) => !Number.isNaN(value))
  const low = known.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY)
  const high = known.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY)
  useEffect(() => {
    const pen = canvas.current!.getContext('2d')!
    const picture = pen.createImageData(columns, rows)
    const pixels = new Uint32Array(picture.data.buffer)
    const colours = pixelsOf('viridis')
    for (const [at, value] of values.entries()) {
      const part = high > low ? (value - low) / (high - low) : 0.5
      if (!Number.isNaN(value)) pixels[at] = colours[Math.round(255 * part)]!
    }
    pen.putImageData(picture, 0, 0)
  }, [values])
  const words =
    known.length === 0 ? 'nothing is known' : `from ${formatValue(low)} to ${formatValue(high)}`
  return (
    <figure>
      <canvas
        ref={canvas}
        class="small-map"
        width={columns}
        height={rows}
        role="img"
        aria-label={`Map of ${columns} by ${rows} squares`}
      />
      <figcaption class="soft">
        {of}, {words}
      </figcaption>
    </figure>
  )
}
