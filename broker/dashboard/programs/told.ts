/** What is shown of programs and rules follows what the gateway tells of them. */
import { computed } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { link } from '../link.ts'
import { happenings } from '../live.ts'
import { type Asked, useAsked } from '../parts/asked.ts'

const TELLING = /^(program|context|rule|ghost)/
const newest = computed(() => happenings.value.find(({ code }) => TELLING.test(code)))

/** What is kept comes all at once. */
const SOON_MS = 200

/** What the gateway answers, asked again whenever it tells that something is otherwise. */
export function useTold<T>(path: string): Asked<T> {
  const asked = useAsked<T>(path)
  const { again } = asked
  const last = newest.value
  const known = useRef(last)
  useEffect(() => {
    if (known.current === last) return
    const timer = setTimeout(() => {
      known.current = last
      void again()
    }, SOON_MS)
    return () => clearTimeout(timer)
  }, [last, again])
  return asked
}

/** Of rules that come and go often, each is not told. */
export function useAgain(again: () => Promise<void>, eachMs: number): void {
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    let isOver = false
    const wait = (): void => {
      if (!isOver) timer = setTimeout(go, eachMs)
    }
    const go = async (): Promise<void> => {
      if (!document.hidden && link.peek() === 'live') await again()
      wait()
    }
    wait()
    return () => {
      isOver = true
      clearTimeout(timer)
    }
  }, [again, eachMs])
}
