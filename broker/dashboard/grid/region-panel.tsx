/** A region that was dragged or typed, and what can be done with it. */
import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { Region } from '../../../shared/grid/geometry.ts'
import { formatBytes, formatNumber, formatValue } from '../format.ts'
import { Bars } from '../parts/bars.tsx'
import { confirm } from '../parts/confirm.tsx'
import { Facts } from '../parts/facts.tsx'
import { useOrder } from '../parts/order.ts'
import { Problem } from '../parts/problem.tsx'
import { who } from '../session.ts'
import { isGranted } from './granted.ts'
import type { GridMap } from './model.ts'
import {
  FILE_TYPES,
  fileType,
  type Statistics,
  set,
  stat,
  type Upload,
  upload,
} from './region-tasks.ts'
import { regionText, typedRegion } from './regions.ts'
import { numberText } from './scale.ts'
import { type FileForm, filePath } from './sources.ts'
import { showing } from './view.ts'

const FORMS: readonly FileForm[] = ['npy', 'csv', 'png']

export function RegionPanel({ map }: { readonly map: GridMap }) {
  const region = map.region.value
  return (
    <section class="panel" aria-labelledby="region">
      <h3 id="region">Region</h3>
      <RegionText map={map} />
      {region === undefined ? (
        <p class="soft">
          Press ▢ and drag, or type it
          <span class="keys">: or drag with Shift held, or hold Shift with the arrows</span>.
        </p>
      ) : (
        <Acts map={map} region={region} />
      )}
    </section>
  )
}

function RegionText({ map }: { readonly map: GridMap }) {
  const text = useSignal('')
  const problem = useSignal('')
  const region = map.region.value
  useEffect(() => {
    text.value = region === undefined ? '' : regionText(region)
    problem.value = ''
  }, [region])

  function take(event: Event): void {
    event.preventDefault()
    const typed = typedRegion(text.peek(), map.head)
    problem.value = 'problem' in typed ? typed.problem : ''
    if (!('region' in typed)) return
    map.region.value = typed.region
    map.view.value = showing(typed.region, map.stage.peek())
  }

  return (
    <form class="typed" onSubmit={take}>
      <label class="typing">
        x, y, width, height
        <input
          type="text"
          autocomplete="off"
          placeholder="0, 0, 64, 64"
          value={text.value}
          aria-describedby="region-problem"
          onInput={(event) => {
            text.value = event.currentTarget.value
          }}
        />
      </label>
      <button type="submit">show</button>
      <p id="region-problem" class="problem" role="alert">
        {problem.value}
      </p>
    </form>
  )
}

function Acts({ map, region }: { readonly map: GridMap; readonly region: Region }) {
  const given = {
    ...{ field: map.field.value, region, of: map.of.value },
    ...{ colours: map.colours.value, range: map.range.value },
  }
  const may = (op: string): boolean =>
    who.value !== undefined && isGranted(who.value, { op, field: given.field, region })
  return (
    <>
      <p class="soft">
        {formatNumber(region.w * region.h)} cells
        <button
          type="button"
          class="quiet"
          onClick={() => {
            map.region.value = undefined
          }}
        >
          clear
        </button>
      </p>
      {may('stat') && <Stat map={map} region={region} />}
      <p class="files">
        <span>download</span>
        {FORMS.map((form) => (
          <a key={form} href={filePath(form, given)} download={`${given.field}.${form}`}>
            .{form}
          </a>
        ))}
      </p>
      {may('set') && <SetForm map={map} region={region} />}
      {may('put') && <UploadForm map={map} region={region} />}
    </>
  )
}

function Stat({ map, region }: { readonly map: GridMap; readonly region: Region }) {
  const order = useOrder()
  const found = useSignal<Statistics | undefined>(undefined)
  const field = map.field.value
  useEffect(() => {
    found.value = undefined
  }, [region, field])

  function ask(): void {
    void order.run(async () => {
      const statistics = await stat(field, region)
      if (map.region.peek() === region && map.field.peek() === field) found.value = statistics
    })
  }

  return (
    <>
      <button type="button" class="main" disabled={order.isBusy} onClick={ask}>
        {order.isBusy ? 'counting…' : 'stat'}
      </button>
      <Problem of={order.problem} />
      <div aria-live="polite">{found.value && <Result {...found.value} />}</div>
    </>
  )
}

function Result({ count, sum, min, max, mean, variance, histogram }: Statistics) {
  const rows = [
    ['mean', mean],
    ['deviation', Math.sqrt(variance)],
    ['min', min],
    ['max', max],
    ['sum', sum],
    ['cells', count],
  ] as const
  return (
    <>
      <Facts class="facts figures" of={rows.map(([name, value]) => [name, formatValue(value)])} />
      <Bars histogram={histogram} />
    </>
  )
}

function SetForm({ map, region }: { readonly map: GridMap; readonly region: Region }) {
  const text = useSignal('0')
  const problem = useSignal('')

  function ask(event: Event): void {
    event.preventDefault()
    const value = text.peek().trim() === '' ? Number.NaN : Number(text.peek().replaceAll('−', '-'))
    problem.value = Number.isFinite(value) ? '' : 'that is no number'
    if (!Number.isFinite(value)) return
    const field = map.field.peek()
    const cells = formatNumber(region.w * region.h)
    confirm({
      title: `Set ${cells} cells of ${field}?`,
      lines: [
        `Each cell of ${regionText(region)} becomes ${numberText(value)}. What is in them now is lost.`,
      ],
      verb: 'set them',
      run: () => set(field, region, value),
    })
  }

  return (
    <form class="typed" onSubmit={ask}>
      <label class="typing">
        set all to
        <input
          type="text"
          inputMode="decimal"
          autocomplete="off"
          value={text.value}
          onInput={(event) => {
            text.value = event.currentTarget.value
          }}
        />
      </label>
      <button type="submit">set…</button>
      <Problem of={problem.value} />
    </form>
  )
}

function UploadForm({ map, region }: { readonly map: GridMap; readonly region: Region }) {
  const order = useOrder()
  const said = useSignal('')
  const field = map.field.value

  function take(file: File): void {
    const run = async (): Promise<void> => {
      const told = ({ rows, rows_total: total }: Upload): void => {
        said.value = `${formatNumber(rows)}${total === undefined ? '' : ` of ${formatNumber(total)}`} rows`
      }
      const { lsus } = await upload(field, { x: region.x, y: region.y }, { file, onProgress: told })
      said.value = `${formatNumber(lsus)} cells are written`
    }
    // What is not taken is said, and not asked about.
    if (fileType(file.name) === undefined) {
      void order.run(run)
      return
    }
    confirm({
      title: `Put ${file.name} into ${field}?`,
      lines: [
        `Its ${formatBytes(file.size)} go to ${region.x}, ${region.y} and on, as far as the file is wide and high. What is in these cells now is lost.`,
      ],
      verb: 'put it there',
      run: async () => {
        said.value = 'on its way'
        void order.run(run).then((isDone) => {
          if (!isDone) said.value = ''
        })
      },
    })
  }

  return (
    <div>
      <label class="typing">
        upload here
        <input
          type="file"
          accept={FILE_TYPES.map(([ending]) => ending).join()}
          disabled={order.isBusy}
          onChange={(event) => {
            const [file] = event.currentTarget.files ?? []
            if (file !== undefined) take(file)
            event.currentTarget.value = ''
          }}
        />
      </label>
      <p class="soft" role="status">
        {said.value}
      </p>
      <Problem of={order.problem} />
    </div>
  )
}
