import { isTopicBase } from '../protocol/topics.ts'
import { malformed, text } from './option-types.ts'

/** The option that gateway and agent must have alike. */
export const topicBase = text({
  placeholder: '<topic>',
  range: '1 to 4 levels',
  parse: (given) =>
    isTopicBase(given)
      ? { ok: true, value: given }
      : malformed(`"${given}" is not 1 to 4 topic levels of letters, digits, "_" and "-"`),
})
