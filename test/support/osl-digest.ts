/**
 * Prints what so many random programs, always the same, do to cells that are always the same: one digest, to be equal on
 * every processor. It is bundled, and run by the Node of each board.
 */
import { createHash } from 'node:crypto'
import { Random } from '../../shared/core/random.ts'
import { bytesOfColumn } from '../../shared/grid/fields.ts'
import { createLayout } from '../../shared/grid/page-layout.ts'
import { TilePage } from '../../shared/grid/tile-page.ts'
import { bind } from '../../shared/osl/bound-program.ts'
import { compile } from '../../shared/osl/compiler.ts'
import { Interpreter } from '../../shared/osl/interpreter.ts'
import { packPartial } from '../../shared/osl/partials.ts'
import { verify } from '../../shared/osl/verifier.ts'
import { encodeCbor } from '../../shared/protocol/cbor.ts'
import { OSL_FIELDS as FIELDS, ProgramWriter } from './osl-programs.ts'

const PROGRAMS = 400
const SIDE = 16
const WINDOW = { tile: 0, stride: SIDE, left: 0, top: 0, w: SIDE, h: SIDE }
const PLACE = { x: 16, y: 32, gridWidth: 64 }

const random = new Random(42)
const hash = createHash('sha256')
let run = 0
while (run < PROGRAMS) {
  const writer = new ProgramWriter(random)
  const isWrite = random.integer(3) > 0
  const result = compile(isWrite ? writer.write() : writer.read(), { fields: FIELDS, width: 64 })
  if (!result.ok) continue
  const program = bind(result.compiled, new Map(Object.entries(writer.parameters)))
  const sound = verify(program, FIELDS.length)
  if (!sound.ok) continue
  run++
  const page = TilePage.empty(createLayout(FIELDS, SIDE * SIDE))
  for (const [index, field] of FIELDS.entries()) {
    const column = page.column(index)
    for (let at = 0; at < column.length; at++) column[at] = writer.cell(field)
  }
  const interpreter = new Interpreter(program, sound, FIELDS)
  interpreter.run(page, WINDOW, PLACE)
  for (let index = 0; index <= FIELDS.length; index++)
    hash.update(bytesOfColumn(page.column(index)))
  if (!isWrite) hash.update(encodeCbor(packPartial([0], interpreter.reductions)))
}
process.stdout.write(`${hash.digest('hex')}\n`)
