/**
 * Protocol stories as golden traces: each file of scenarios/ has a header, commands, and after each
 * command everything that the processes did until it was over. `UPDATE=1` writes the files anew; the
 * difference is read by a person.
 *
 *   > start gateway | <node>           begins the process; nodes get their card at the first start
 *   > start <node> as <id>             the same, but it says that it is <id>
 *   > start <node> with <operations>   the same, but it knows these: "osl1-write,osl1-read"
 *   > wait <ms>
 *   > submit <task>                    over MQTT
 *   > drain <node> [off]               an operator wants it emptied, or takes that back
 *   > crash gateway | <node>           kill -9
 *   > cut <node>                       its connection breaks
 *   > slow <node> <factor>             its disk takes so much longer
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { Scenario } from '../support/scenario.ts'

const FOLDER = new URL('./scenarios/', import.meta.url)

for (const name of readdirSync(FOLDER).sort()) {
  t.test(name, async (t) => {
    const file = new URL(name, FOLDER)
    const golden = readFileSync(file, 'utf8')
    const scenario = new Scenario()
    const lines: string[] = []
    for (const line of golden.split('\n')) {
      if (line.startsWith('#')) lines.push(line)
      if (line.startsWith('>')) {
        lines.push('', line, ...(await scenario.run(line.slice(1).trim())))
      }
    }
    const played = `${lines.join('\n')}\n`
    if (process.env.UPDATE !== undefined) writeFileSync(file, played)
    else t.equal(played, golden)
  })
}
