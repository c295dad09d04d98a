/** What is shown, and how: field, colours, range and layers. */
import type { Signal } from '@preact/signals'
import { BY_NAME, counted } from '../format.ts'
import { isLarge } from '../nodes.ts'
import { RangeChooser } from './legend.tsx'
import type { GridMap, Layers } from './model.ts'
import { COLOUR_MAPS, type ColourMap } from './palette.ts'
import type { Of } from './pieces.ts'
import { colourOf, copiesOf, countsOf, type TileMap } from './tiles.ts'

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

const NODES_LISTED = 40

function Holders({ map }: { readonly map: GridMap }) {
  const tileMap = map.tileMap.value
  if (tileMap === undefined) return null
  const chosen = map.chosenNode.value
  if (isLarge.value && chosen === undefined) return <Copies tileMap={tileMap} />
  const counts = countsOf(tileMap)
  const { members } = tileMap
  // Of a large fleet, the one that was chosen; chosen no more, all are counted again.
  const named = (isLarge.value ? [chosen!] : members).map((name) => {
    const index = members.indexOf(name)
    return { name, kind: index + 1, count: counts[index] ?? 0 }
  })
  named.sort((a, b) => BY_NAME.compare(a.name, b.name))
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
            <Swatch kind={kind} /> {name} <span class="soft">{counted(count, 'tile')}</span>
          </button>
        </li>
      ))}
      {named.length > NODES_LISTED && <li class="soft">and {named.length - NODES_LISTED} more</li>}
    </ul>
  )
}

/** How many hold each tile: more nodes than this have colours that nobody could tell apart. */
function Copies({ tileMap }: { readonly tileMap: TileMap }) {
  return (
    <ul class="holders">
      {Array.from(copiesOf(tileMap), (tiles, copies) => (
        <li key={copies}>
          <Swatch kind={copies} /> {copies === 1 ? '1 copy' : `${copies} copies`}{' '}
          <span class="soft">{counted(tiles, 'tile')}</span>
        </li>
      ))}
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
