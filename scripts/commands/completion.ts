/** Completion of `obelisk` in a shell: its words stand in the script, ids are asked of the gateway. */
import { quoted } from '../image/board-files.ts'
import { everyCommand, type TreeCommand, type TreeOption } from './command-tree.ts'

export const SHELLS = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof SHELLS)[number]

export function completionScript(shell: Shell, tree: TreeCommand): string {
  if (shell === 'fish') return fishScript(tree)
  return shell === 'bash'
    ? `# bash completion for obelisk\n${bashFunction(tree)}complete -F _obelisk_words obelisk\n`
    : `#compdef obelisk\n# zsh completion for obelisk, by what it has for that of bash\nautoload -U +X bashcompinit && bashcompinit\n${bashFunction(tree)}${ZSH_END}`
}

/** A file of `fpath` is the function itself when it is called first; else it is read once, and says who it is for. */
const ZSH_END = `if [[ \${funcstack[1]:-} == _obelisk ]]; then
  _bash_complete -F _obelisk_words
else
  complete -F _obelisk_words obelisk
fi
`

/** What `obelisk __complete` knows, by the first word of a command that is given an id. */
const IDS: ReadonlyMap<string, string> = new Map([
  ['node', 'nodes'],
  ['task', 'tasks'],
])

function idsOf({ path, given }: TreeCommand): string | undefined {
  return given.some((one) => /^.id.$/.test(one)) ? IDS.get(path.split(' ')[0]!) : undefined
}

function isFile({ value }: TreeOption): boolean {
  return /file|director|path|package/.test(value)
}

function lastWord({ path }: TreeCommand): string {
  return path.split(' ').at(-1)!
}

function bashFunction(tree: TreeCommand): string {
  const all = everyCommand(tree)
  const valued = (isWanted: (option: TreeOption) => boolean): string[] =>
    all.flatMap(({ path, options }) =>
      options
        .filter((option) => option.value.startsWith('<') && isWanted(option))
        .flatMap(({ flags }) => flags.map((flag) => quoted(`${path} ${flag}`))),
    )
  const patterns = (some: readonly string[]): string => some.join('|\\\n      ')
  const words = all.map((command) => {
    const { path, options, commands, choices } = command
    const own = [
      ...commands.map(lastWord),
      ...choices,
      ...options.flatMap(({ flags }) => flags),
    ].join(' ')
    const ids = idsOf(command)
    const asked =
      ids && ` [[ $current == -* ]] || words+=" $(obelisk __complete ${ids} 2>/dev/null)"`
    return `    ${quoted(path)}) words=${quoted(own)};${asked ? `${asked};` : ''} ;;`
  })
  // Not `path`, which is PATH to zsh: nobody would be found to ask for ids.
  return `_obelisk_words() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" reached='' next words i
  for ((i = 1; i < COMP_CWORD; i++)); do
    next="\${reached:+$reached }\${COMP_WORDS[i]}"
    case "$next" in
      ${patterns(all.slice(1).map(({ path }) => quoted(path)))}) reached=$next ;;
    esac
  done
  case "$reached $before" in
      ${patterns(valued(isFile))})
      COMPREPLY=($(compgen -f -- "$current")); return ;;
      ${patterns(valued((option) => !isFile(option)))})
      COMPREPLY=(); return ;;
  esac
  case "$reached" in
${words.join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
`
}

function fishScript(tree: TreeCommand): string {
  const all = everyCommand(tree)
  const lines = all.flatMap((command) => {
    const at = `complete -c obelisk -n ${quoted(`__obelisk_at "${command.path}"`)}`
    const ids = idsOf(command)
    return [
      ...command.commands.map((one) => `${at} -a ${lastWord(one)} -d ${quoted(one.about)}`),
      ...command.choices.map((choice) => `${at} -a ${choice}`),
      ...(ids ? [`${at} -a '(obelisk __complete ${ids} 2>/dev/null)'`] : []),
      ...command.options.map((option) => {
        const names = option.flags.map((flag) =>
          flag.replace(/^--/, '-l ').replace(/^-(?=\w$)/, '-s '),
        )
        const takes = option.value.startsWith('<') ? (isFile(option) ? ' -r -F' : ' -x') : ''
        return `${at} ${names.join(' ')}${takes} -d ${quoted(option.about)}`
      }),
    ]
  })
  return `# fish completion for obelisk
set -g __obelisk_paths ${all
    .slice(1)
    .map(({ path }) => quoted(path))
    .join(' ')}
function __obelisk_at
  set -l path
  for word in (commandline -opc)[2..-1]
    contains -- (string join -- ' ' $path $word) $__obelisk_paths; and set -a path $word
  end
  test "$path" = "$argv[1]"
end
complete -c obelisk -f
${lines.join('\n')}
`
}
