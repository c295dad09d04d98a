/**
 * What hands do on the canvas: one finger or the mouse moves the map, two fingers and the wheel zoom, a tap chooses a
 * cell, and a drag with Shift, or while regions are being chosen, makes a region.
 */
import type { GridMap } from './model.ts'
import { regionBetween } from './regions.ts'
import { cellAt, nearestCell, type Point, panned, zoomed } from './view.ts'

/** A finger that moved less than this tapped; in pixels of CSS. */
const TAP_PIXELS = 5
/** Of a wheel, in pixels of CSS, that double the size. */
const WHEEL_PIXELS = 240
const LINE_PIXELS = 16

interface Hand {
  readonly start: Point
  at: Point
  readonly makesRegion: boolean
  hasMoved: boolean
}

export interface HandsOptions {
  readonly map: GridMap
  /** Whether a drag without Shift makes a region. */
  makesRegion(): boolean
  tapped(): void
}

/** Returns what ends it. */
export function watchHands(canvas: HTMLCanvasElement, options: HandsOptions): () => void {
  const { map } = options
  const hands = new Map<number, Hand>()
  const end = new AbortController()
  const { signal } = end

  /** In pixels of the device. */
  function pointOf(event: MouseEvent): Point {
    const box = canvas.getBoundingClientRect()
    const { ratio } = map.stage.peek().frame
    return { x: (event.clientX - box.left) * ratio, y: (event.clientY - box.top) * ratio }
  }

  function down(event: PointerEvent): void {
    if (event.button !== 0) return
    canvas.setPointerCapture(event.pointerId)
    const start = pointOf(event)
    const makesRegion = hands.size === 0 && (event.shiftKey || options.makesRegion())
    hands.set(event.pointerId, { start, at: start, makesRegion, hasMoved: false })
    if (hands.size > 1) for (const hand of hands.values()) hand.hasMoved = true
  }

  function move(event: PointerEvent): void {
    const at = pointOf(event)
    const { grid, frame } = map.stage.peek()
    if (event.pointerType === 'mouse') map.hover.value = cellAt(map.view.peek(), at, grid)
    const hand = hands.get(event.pointerId)
    if (hand === undefined) return
    const far = Math.hypot(at.x - hand.start.x, at.y - hand.start.y)
    if (!hand.hasMoved && far < TAP_PIXELS * frame.ratio) return
    hand.hasMoved = true
    const other = [...hands.values()].find((one) => one !== hand)
    if (other !== undefined) pinch(hand, at, other)
    else if (hand.makesRegion) region(hand, at)
    else map.view.value = panned(map.view.peek(), minus(at, hand.at), map.stage.peek())
    hand.at = at
  }

  function pinch(hand: Hand, at: Point, other: Hand): void {
    const stage = map.stage.peek()
    const gap = (a: Point): number => Math.max(1, Math.hypot(a.x - other.at.x, a.y - other.at.y))
    const middle = (a: Point): Point => ({ x: (a.x + other.at.x) / 2, y: (a.y + other.at.y) / 2 })
    const moved = panned(map.view.peek(), minus(middle(at), middle(hand.at)), stage)
    map.view.value = zoomed(moved, gap(at) / gap(hand.at), middle(at), stage)
  }

  function region(hand: Hand, at: Point): void {
    const view = map.view.peek()
    map.region.value = regionBetween(nearestCell(view, hand.start), nearestCell(view, at), map.head)
  }

  function up(event: PointerEvent): void {
    const hand = hands.get(event.pointerId)
    hands.delete(event.pointerId)
    if (hand === undefined || hand.hasMoved || event.type === 'pointercancel') return
    const cell = cellAt(map.view.peek(), hand.at, map.head)
    if (cell === undefined) return
    map.cross.value = cell
    options.tapped()
  }

  function wheel(event: WheelEvent): void {
    // Of the browser's own zoom, and of a page that is scrolled sideways.
    event.preventDefault()
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_PIXELS : 1)
    const factor = 2 ** (-Math.max(-WHEEL_PIXELS, Math.min(WHEEL_PIXELS, pixels)) / WHEEL_PIXELS)
    map.view.value = zoomed(map.view.peek(), factor, pointOf(event), map.stage.peek())
  }

  canvas.addEventListener('pointerdown', down, { signal })
  canvas.addEventListener('pointermove', move, { signal })
  canvas.addEventListener('pointerup', up, { signal })
  canvas.addEventListener('pointercancel', up, { signal })
  canvas.addEventListener('pointerleave', () => (map.hover.value = undefined), { signal })
  canvas.addEventListener('wheel', wheel, { signal, passive: false })
  return () => end.abort()
}

function minus(a: Point, b: Point): Point {
  return { x: a.x - b.x, y: a.y - b.y }
}
