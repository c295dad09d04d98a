import { useCallback, useEffect, useState } from 'preact/hooks'
import { ObeliskError } from '../../../shared/client/obelisk-error.ts'
import { link } from '../link.ts'
import { ask } from '../session.ts'

export interface Asked<T> {
  /** The last answer. */
  readonly value: T | undefined
  readonly problem: string
  /** Of a gateway where nobody is asked who he is. */
  readonly isOpen: boolean
  again(): Promise<void>
}

/** What the gateway answers now, asked again when it is back after it was away. */
export function useAsked<T>(path: string): Asked<T> {
  const [value, setValue] = useState<T | undefined>(undefined)
  const [problem, setProblem] = useState('')
  const [isOpen, setOpen] = useState(false)
  const isLive = link.value === 'live'
  const again = useCallback(async () => {
    try {
      setValue(await ask<T>(path))
      setProblem('')
    } catch (error) {
      setOpen(error instanceof ObeliskError && error.code === 'not-secured')
      setProblem((error as Error).message)
    }
  }, [path])
  useEffect(() => {
    if (isLive) void again()
  }, [again, isLive])
  return { value, problem, isOpen, again }
}
