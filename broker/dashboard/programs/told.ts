/** What is shown of programs and rules follows what the gateway tells of them. */
import { computed } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { happenings } from '../live.ts'
import { type Asked, useAsked } from '../parts/asked.ts'

const TELLING = /^(program|context|rule|ghost)/
const newest = computed(() => happenings.value.find(({ code }) => TELLING.test(code)))
/** Of rules that come and go often, not each time is told. */
const AGAIN_MS = 5_000

/** What the gateway answers, asked again whenever it tells that something is otherwise. */
export function useTold<T>(path: string): Asked<T> {
  const asked = useAsked<T>(path)
  const { again } = asked
  const last = newest.value
  const known = useRef(last)
  useEffect(() => {
    if (known.current !== last) void again()
    known.current = last
    const timer = setInterval(() => {
      if (!document.hidden) void again()
    }, AGAIN_MS)
    return () => clearInterval(timer)
  }, [last, again])
  return asked
}
