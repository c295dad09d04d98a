/** The canvas of the map: drawn when something of it changes, moved by hands and keys. */
import { effect } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { isLarge } from '../nodes.ts'
import { watchHands } from './hands.ts'
import { actOf, movedCell } from './keys.ts'
import type { GridMap } from './model.ts'
import { type Ink, Painter } from './painter.ts'
import { pixelsOf } from './palette.ts'
import { type Cell, regionBetween } from './regions.ts'
import { fitted, following, type Point, zoomed } from './view.ts'

/** Denser screens get no denser squares: nobody sees them, and they cost four times as much. */
const RATIO_MAX = 2

export function Canvas({
  map,
  makesRegion,
  onRead,
}: {
  map: GridMap
  makesRegion: boolean
  /** The cell at the cross-hair is to be read. */
  onRead(): void
}) {
  const box = useRef<HTMLCanvasElement>(null)
  const regionStart = useRef<Cell | undefined>(undefined)
  const drags = useRef(makesRegion)
  drags.current = makesRegion
  const read = useRef(onRead)
  read.current = onRead

  useEffect(() => {
    const canvas = box.current!
    const stopDrawing = drawWhenNeeded(canvas, map)
    const stopHands = watchHands(canvas, {
      map,
      makesRegion: () => drags.current,
      tapped: () => read.current(),
    })
    const observer = new ResizeObserver(() => {
      const ratio = Math.min(RATIO_MAX, devicePixelRatio)
      const { width, height } = canvas.getBoundingClientRect()
      if (width * height === 0) return
      map.reframe({ width: Math.round(width * ratio), height: Math.round(height * ratio), ratio })
    })
    observer.observe(canvas)
    return () => {
      observer.disconnect()
      stopHands()
      stopDrawing()
    }
  }, [map])

  function key(event: KeyboardEvent): void {
    const act =
      event.ctrlKey || event.metaKey || event.altKey ? undefined : actOf(event.key, event.shiftKey)
    if (act === undefined) return
    event.preventDefault()
    const stage = map.stage.peek()
    const cell = map.cross.peek() ?? middleOf(map)
    switch (act.type) {
      case 'fit':
        map.view.value = fitted(stage)
        break
      case 'zoom':
        map.view.value = zoomed(map.view.peek(), act.factor, pointAt(map, cell), stage)
        break
      case 'read':
        map.cross.value = cell
        onRead()
        break
      case 'clear':
        map.region.value = undefined
        regionStart.current = undefined
        break
      case 'move':
      case 'extend': {
        const cssScale = map.view.peek().scale / stage.frame.ratio
        const next = movedCell(cell, act, { cssScale, grid: map.head })
        if (act.type === 'move') regionStart.current = undefined
        else {
          regionStart.current ??= cell
          map.region.value = regionBetween(regionStart.current, next, map.head)
        }
        map.cross.value = next
        map.view.value = following(map.view.peek(), next, stage)
      }
    }
  }

  return (
    // biome-ignore lint/a11y/noInteractiveElementToNoninteractiveRole: arrows are for the map, not for reading on
    <canvas
      ref={box}
      class={makesRegion ? 'map choosing' : 'map'}
      tabIndex={0}
      role="application"
      aria-label="map of the grid"
      aria-describedby="map-keys"
      onKeyDown={key}
    />
  )
}

function middleOf(map: GridMap): Cell {
  const { x, y, w, h } = map.visible.peek()
  return { x: x + Math.floor(w / 2), y: y + Math.floor(h / 2) }
}

/** The middle of a cell, in pixels. */
function pointAt(map: GridMap, cell: Cell): Point {
  const { x, y, scale } = map.view.peek()
  return { x: (cell.x + 0.5 - x) * scale, y: (cell.y + 0.5 - y) * scale }
}

/** Returns what ends it. */
function drawWhenNeeded(canvas: HTMLCanvasElement, map: GridMap): () => void {
  const painter = new Painter(canvas)
  const dark = matchMedia('(prefers-color-scheme: dark)')
  let frame = 0
  let ink = inkOf(canvas)

  function draw(): void {
    frame = 0
    painter.draw({
      ...{ view: map.view.peek(), stage: map.stage.peek(), visible: map.visible.peek() },
      ...{ shown: map.shown.peek(), known: map.known() },
      ...{ pixels: pixelsOf(map.colours.peek()), range: map.range.peek(), ink },
      ...{ layers: map.layers.peek(), tileMap: map.tileMap.peek() },
      ...{
        isLarge: isLarge.peek(),
        chosenNode: map.chosenNode.peek(),
        region: map.region.peek(),
        cross: map.cross.peek(),
      },
    })
  }
  function soon(): void {
    if (frame === 0) frame = requestAnimationFrame(draw)
  }
  function themed(): void {
    ink = inkOf(canvas)
    soon()
  }
  const stop = effect(() => {
    const { view, stage, shown, colours, range, layers, tileMap, chosenNode, region, cross } = map
    for (const one of [view, stage, shown, colours, range, layers, tileMap, chosenNode, region]) {
      one.value
    }
    cross.value
    isLarge.value
    soon()
  })
  const stopMoves = effect(() => {
    map.view.value
    map.stage.value
    map.moved()
  })
  dark.addEventListener('change', themed)
  return () => {
    stop()
    stopMoves()
    dark.removeEventListener('change', themed)
    cancelAnimationFrame(frame)
  }
}

function inkOf(element: Element): Ink {
  const style = getComputedStyle(element)
  const of = (name: string): string => style.getPropertyValue(`--${name}`).trim()
  return {
    ...{ ground: of('panel'), text: of('text'), soft: of('soft') },
    ...{ accent: of('accent'), bad: of('bad') },
  }
}
