/** The syntax of sources, parsed once of each text: several tests of one process look at all of ours. */
import ts from 'typescript'

const parsed = new Map<string, ts.SourceFile>()

export function syntaxOf(path: string, text: string): ts.SourceFile {
  const known = parsed.get(path)
  if (known?.text === text) return known
  const tree = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  parsed.set(path, tree)
  return tree
}
