/** What comes to the page once it is wanted. */
import { signal } from '@preact/signals'
import type { ComponentType } from 'preact'
import { useEffect } from 'preact/hooks'

export interface Loadable {
  readonly id: string
  load(): ComponentType | Promise<ComponentType>
}

/** By id. */
const loaded = signal<ReadonlyMap<string, ComponentType>>(new Map())
/** Something was not there: a gateway of another version has other files. */
export const isMissing = signal(false)

/** Nothing until it is there. */
export function useLoaded(wanted: Loadable | undefined): ComponentType | undefined {
  useEffect(() => {
    if (wanted !== undefined) void fetchOnce(wanted)
  }, [wanted])
  return wanted && loaded.value.get(wanted.id)
}

async function fetchOnce({ id, load }: Loadable): Promise<void> {
  if (loaded.peek().has(id)) return
  try {
    const component = await load()
    loaded.value = new Map([...loaded.peek(), [id, component]])
  } catch {
    isMissing.value = true
  }
}
