import t from 'tap'
import { type Asker, isGranted } from '../../../../broker/dashboard/grid/granted.ts'

const region = { x: 4, y: 4, w: 4, h: 4 }
const wish = { op: 'set', field: 'temp', region }
const all = { ops: '*', fields: '*', regions: '*' } as const

t.test('who may have a region worked on is shown the buttons for it', (t) => {
  const asker = (roles: Asker['roles'], grant?: Asker['grant']): Asker => ({
    ...{ user: 'sam', roles },
    ...(grant && { grant }),
  })
  t.ok(isGranted({ user: null, roles: [] }, wish), 'all may where nobody is asked')
  t.ok(isGranted(asker(['operator']), wish))
  t.ok(isGranted(asker(['viewer', 'admin']), wish))
  t.notOk(isGranted(asker(['viewer']), wish))
  t.notOk(isGranted(asker(['viewer'], all), wish), 'a grant is a submitter’s')
  t.notOk(isGranted(asker(['submitter']), wish))
  t.ok(isGranted(asker(['submitter'], all), wish))
  t.notOk(isGranted(asker(['submitter'], { ...all, ops: ['stat'] }), wish))
  t.notOk(isGranted(asker(['submitter'], { ...all, fields: ['value'] }), wish))
  const inTwo = [
    { x: 0, y: 0, w: 7, h: 20 },
    { x: 7, y: 0, w: 7, h: 20 },
  ]
  t.notOk(isGranted(asker(['submitter'], { ...all, regions: inTwo }), wish))
  const inOne = [{ x: 4, y: 0, w: 4, h: 8 }]
  t.ok(isGranted(asker(['submitter'], { ops: ['set'], fields: ['temp'], regions: inOne }), wish))
  t.end()
})
