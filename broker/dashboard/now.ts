import { signal } from '@preact/signals'

/** Unix ms, once a second: for what is shown as an age. */
export const now = signal(Date.now())

setInterval(() => {
  if (!document.hidden) now.value = Date.now()
}, 1000)
