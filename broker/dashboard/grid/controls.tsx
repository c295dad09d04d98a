/** What is shown, and how: field, colours, range and layers. */
import type { Signal } from '@preact/signals'
import { formatNumber } from '../format.ts'
import { RangeChooser } from './legend.tsx'
import type { GridMap, Layers } from './model.ts'
import { COLOUR_MAPS, type ColourMap } from './palette.ts'
import type { Of } from './pieces.ts'
import { colourOf, countsOf } from './tiles.ts'

const OFS: readonly Of[] = ['mean', 'min', 'max']

export function Controls({ map }: { readonly map: GridMap }) {
  return (
    <div class="controls">
      <Choice title="field" of={map.field} values={map.head.fields.map(({ name }) => name)} />
      <Choice<Of> title="of" of={map.of} values={OFS} />
      <Choice<ColourMap> title="colours" of={map.colours} values={COLOUR_MAPS} />
      <RangeChooser map={map} />
    </div>
  )
}

function Choice<T extends string>({
  title,
  of,
  values,
}: {
  readonly title: string
  readonly of: Signal<T>
  readonly values: readonly T[]
}) {
  return (
    <label class="choice">
      {title}
      <select
        value={of.value}
        onChange={(event) => {
          of.value = event.currentTarget.value as T
        }}
      >
        {values.map((value) => (
          <option key={value} value={value}>
            {value}
          </option>
        ))}
      </select>
    </label>
  )
}

const LAYERS: readonly { readonly layer: keyof Layers; readonly title: string }[] = [
  { layer: 'tiles', title: 'borders of tiles' },
  { layer: 'missing', title: 'missing' },
  { layer: 'unborn', title: 'never written' },
  { layer: 'holders', title: 'holders' },
]

export function LayerPanel({ map }: { readonly map: GridMap }) {
  const layers = map.layers.value
  return (
    <section class="panel" aria-labelledby="layers">
      <h3 id="layers">Layers</h3>
      <ul class="layers">
        {LAYERS.map(({ layer, title }) => (
          <li key={layer}>
            <label class="layer">
              <input
                type="checkbox"
                checked={layers[layer]}
                onChange={(event) => {
                  map.layers.value = { ...layers, [layer]: event.currentTarget.checked }
                }}
              />
              <span class={`sample ${layer}`} aria-hidden="true" />
              {title}
            </label>
          </li>
        ))}
      </ul>
      {layers.holders && <Holders map={map} />}
    </section>
  )
}

/** Of a large fleet the map shows how many hold a tile. */
const NODES_MAX = 500
const NODES_LISTED = 40

function Holders({ map }: { readonly map: GridMap }) {
  const tileMap = map.tileMap.value
  if (tileMap === undefined) return null
  const counts = countsOf(tileMap)
  const { members, replicas } = tileMap
  if (members.length > NODES_MAX) {
    return (
      <ul class="holders">
        {Array.from({ length: replicas }, (_, index) => (
          <li key={index}>
            <Swatch kind={index + 1} /> {index + 1} {index === 0 ? 'copy' : 'copies'}
          </li>
        ))}
      </ul>
    )
  }
  const named = members.map((name, index) => ({ name, kind: index + 1, count: counts[index]! }))
  named.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
  const chosen = map.chosenNode.value
  return (
    <ul class="holders">
      {named.slice(0, NODES_LISTED).map(({ name, kind, count }) => (
        <li key={name}>
          <button
            type="button"
            class="quiet holder"
            aria-pressed={chosen === name}
            onClick={() => {
              map.chosenNode.value = chosen === name ? undefined : name
            }}
          >
            <Swatch kind={kind} /> {name} <span class="soft">{formatNumber(count)} tiles</span>
          </button>
        </li>
      ))}
      {named.length > NODES_LISTED && <li class="soft">and {named.length - NODES_LISTED} more</li>}
    </ul>
  )
}

function Swatch({ kind }: { readonly kind: number }) {
  return (
    <span
      class="swatch"
      aria-hidden="true"
      style={{ background: `rgb(${colourOf(kind).join(' ')})` }}
    />
  )
}
