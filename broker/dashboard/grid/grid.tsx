/** The grid: its map, what is said of a cell, and what can be done with a region of it. */
import { effect, type Signal, signal, useSignal } from '@preact/signals'
import { useEffect, useState } from 'preact/hooks'
import { isLoaded, moves, onWrite, recovery } from '../live.ts'
import { Problem } from '../parts/problem.tsx'
import { route, setQuery } from '../route.ts'
import { Canvas } from './canvas.tsx'
import { Controls, LayerPanel } from './controls.tsx'
import { Legend } from './legend.tsx'
import { GridMap } from './model.ts'
import { COLOUR_MAPS } from './palette.ts'
import type { Of } from './pieces.ts'
import { type Reading, Readings, readingText } from './readings.ts'
import { RegionPanel } from './region-panel.tsx'
import { askHead } from './sources.ts'
import { Summary } from './summary.tsx'
import { fitted, zoomed } from './view.ts'

/** Kept while other views are looked at, with what it knows. */
const shownMap = signal<GridMap | undefined>(undefined)
const problem = signal('')

export function Grid() {
  // What is read before the stream is open may change without a word.
  if (!isLoaded.value) return null
  return recovery.value === undefined ? <Loaded /> : <Unknown />
}

/** Nobody can tell yet what was written. */
function Unknown() {
  return (
    <p class="panel spaced" role="status">
      The ledger is being rebuilt from what the nodes hold: until that is done nothing is known of
      the grid. <a href="#fleet">Who is awaited</a>
    </p>
  )
}

function Loaded() {
  useEffect(() => {
    let isOver = false
    const load = (): void => {
      askHead().then(
        (head) => {
          if (!isOver) take(head)
        },
        (error: Error) => {
          problem.value = error.message
        },
      )
    }
    load()
    // Whatever may have changed may have changed all: the gateway, too, may be that of another grid.
    const stop = onWrite((region) => {
      if (region === undefined) load()
    })
    return () => {
      isOver = true
      stop()
    }
  }, [])
  const map = shownMap.value
  return (
    <div class="grid-view">
      {map === undefined ? (
        <Problem of={problem.value} />
      ) : (
        <Shown key={map.head.ledger} map={map} />
      )}
    </div>
  )
}

function take(head: GridMap['head']): void {
  problem.value = ''
  const { ledger, width, height, tile, fields } = head
  const before = shownMap.peek()?.head
  const same = JSON.stringify([ledger, width, height, tile, fields])
  if (before !== undefined) {
    const { ledger, width, height, tile, fields } = before
    if (JSON.stringify([ledger, width, height, tile, fields]) === same) return
  }
  const map = new GridMap(head)
  readAddress(map)
  shownMap.value = map
}

/** What the address says is to be shown. */
function readAddress(map: GridMap): void {
  const { field, of, colours, node } = route.peek().query
  if (map.head.fields.some(({ name }) => name === field)) map.field.value = field!
  if (of === 'min' || of === 'max') map.of.value = of
  map.colours.value = COLOUR_MAPS.find((name) => name === colours) ?? map.colours.peek()
  if (node === undefined) return
  map.chosenNode.value = node
  map.layers.value = { ...map.layers.peek(), holders: true }
}

function Shown({ map }: { readonly map: GridMap }) {
  const [readings] = useState(() => new Readings(map))
  const makesRegion = useSignal(false)
  const isOpen = useSignal(false)

  useEffect(() => {
    const looked = (): void => map.lookedAt(!document.hidden)
    document.addEventListener('visibilitychange', looked)
    const ends = [
      onWrite((region) => {
        map.touch(region)
        readings.touched(region)
      }),
      effect(() => {
        const [field, of] = [map.field.value, map.of.value as Of]
        readings.forget()
        map.chosen()
        setQuery({ field, of: of === 'mean' ? '' : of, colours: map.colours.value })
      }),
      effect(() => {
        moves.value
        map.tilesChanged()
      }),
      effect(() => {
        const cell = map.hover.value
        map.shown.value
        readings.hover(cell)
      }),
    ]
    looked()
    return () => {
      document.removeEventListener('visibilitychange', looked)
      for (const end of ends) end()
      readings.end()
      map.lookedAt(false)
    }
  }, [map])

  return (
    <>
      <button
        type="button"
        class="more"
        aria-expanded={isOpen.value}
        onClick={() => {
          isOpen.value = !isOpen.peek()
        }}
      >
        {map.field.value} · {map.of.value} · {map.colours.value} ⚙
      </button>
      <div class={isOpen.value ? 'choices open' : 'choices'}>
        <Controls map={map} />
      </div>
      <div class="stage">
        <Canvas map={map} makesRegion={makesRegion.value} onRead={() => void readings.choose()} />
        <Buttons map={map} makesRegion={makesRegion} />
        {map.isLoading.value && <span class="loading" aria-hidden="true" />}
      </div>
      <Legend map={map} />
      <Readout readings={readings} />
      {map.trouble.value && (
        <p class="note bad">Some of the map is not there yet: {map.trouble.value}</p>
      )}
      <Summary map={map} />
      <aside>
        <RegionPanel map={map} />
        <LayerPanel map={map} />
        <p id="map-keys" class="soft keys">
          Arrows move the cross-hair, with Shift they choose a region. + and − zoom, 0 shows all,
          Enter reads the cell.
        </p>
      </aside>
    </>
  )
}

function Buttons({
  map,
  makesRegion,
}: {
  readonly map: GridMap
  readonly makesRegion: Signal<boolean>
}) {
  function zoom(factor: number): void {
    const stage = map.stage.peek()
    const middle = { x: stage.frame.width / 2, y: stage.frame.height / 2 }
    map.view.value = zoomed(map.view.peek(), factor, middle, stage)
  }
  return (
    <fieldset class="map-buttons">
      <legend class="unseen">map</legend>
      <button type="button" aria-label="zoom in" onClick={() => zoom(2)}>
        +
      </button>
      <button type="button" aria-label="zoom out" onClick={() => zoom(0.5)}>
        −
      </button>
      <button
        type="button"
        aria-label="show all"
        onClick={() => {
          map.view.value = fitted(map.stage.peek())
        }}
      >
        ⤢
      </button>
      <button
        type="button"
        aria-label="choose a region by dragging"
        aria-pressed={makesRegion.value}
        onClick={() => {
          makesRegion.value = !makesRegion.peek()
        }}
      >
        ▢
      </button>
    </fieldset>
  )
}

/** Of the cell under the pointer, else of the one that was chosen. Only the latter is said by a screen reader. */
function Readout({ readings }: { readonly readings: Readings }) {
  const hovered = readings.hovered.value
  const chosen = readings.chosen.value
  return (
    <div class="readout">
      {hovered !== undefined && (
        <p aria-hidden="true">
          <Words {...hovered} />
        </p>
      )}
      <output aria-live="polite" class={hovered === undefined ? '' : 'unseen'}>
        {chosen === undefined ? '' : readingText(chosen)}
      </output>
      {hovered === undefined && chosen === undefined && (
        <p class="soft">Point at a cell, or tap it, to read it.</p>
      )}
    </div>
  )
}

function Words({ place, value, note, tile }: Reading) {
  return (
    <>
      {place}: <b>{value}</b> {note !== '' && <span class="soft">{note} </span>}
      <span class="soft">· {tile}</span>
    </>
  )
}
