import fc from 'fast-check'
import t from 'tap'
import {
  decodeFetchAnswer,
  decodeFetchRequest,
  encodeFetchLine,
  FETCH_FIRST_BYTE,
  FETCH_REFUSALS,
} from '../../../shared/protocol/fetch.ts'
import { check } from '../../support/property.ts'

const SHA256 = 'a1'.repeat(32)

t.test('lines are read as they were written', async (t) => {
  const line = encodeFetchLine({ sha256: SHA256, from: 5 })
  t.equal(line.charCodeAt(0), FETCH_FIRST_BYTE)
  t.same(decodeFetchRequest(line), { sha256: SHA256, from: 5 })
  t.same(decodeFetchAnswer(encodeFetchLine({ bytes: 7 })), { bytes: 7 })
  for (const error of FETCH_REFUSALS) {
    t.same(decodeFetchAnswer(encodeFetchLine({ error })), { error })
  }
})

t.test('everything else is nothing', async (t) => {
  for (const text of [
    '',
    'null',
    '[]',
    '{"sha256":"x","from":0}',
    '{"bytes":-1}',
    '{"bytes":1e99}',
  ]) {
    t.equal(decodeFetchRequest(text), undefined, text)
    t.equal(decodeFetchAnswer(text), undefined, text)
  }
  check(
    t,
    fc.property(fc.string(), (text) => {
      decodeFetchRequest(text)
      decodeFetchAnswer(text)
    }),
  )
})
