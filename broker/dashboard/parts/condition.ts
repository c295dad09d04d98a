export type Mood = 'good' | 'mild' | 'bad' | 'none'
export type Shape = 'disc' | 'half' | 'ring' | 'cross' | 'arrow'

/** How something is, in a word, with the shape and the colour that go with it. */
export interface Condition {
  readonly word: string
  readonly shape: Shape
  readonly mood: Mood
}
