/** What `obelisk demo` takes. */
export const DEMO_OPTIONS = [
  {
    flags: ['--keep'],
    value: '',
    about: 'leave the fleet running at the end, and say how to talk to it; Ctrl-C ends it',
  },
  {
    flags: ['--seconds'],
    value: '<n>',
    about: 'how long tasks are streamed, 3 to 600 (default: 8)',
  },
  {
    flags: ['--seed'],
    value: '<n>',
    about: 'of the random regions and of the agent that is killed (default: a new one)',
  },
] as const
