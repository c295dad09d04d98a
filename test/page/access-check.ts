/**
 * What is looked at in a page for those who do not see it, or see and point badly: run within the page, so it uses nothing from
 * outside of itself. Names and labels [WCAG 2.2, 4.1.2], contrast [1.4.3], size of what is pointed at [2.5.8], nothing to be
 * scrolled sideways [1.4.10], one heading above and one main part.
 */
export function accessProblems(): string[] {
  const problems: string[] = []
  const isSeen = (element: Element): boolean => {
    const { width, height } = element.getBoundingClientRect()
    const isThere = (element as HTMLElement).checkVisibility({ visibilityProperty: true })
    return isThere && width > 1 && height > 1
  }
  const told = (element: Element): string => {
    const words = (element.textContent ?? '').trim().slice(0, 30)
    return `<${element.tagName.toLowerCase()} class="${element.getAttribute('class') ?? ''}"> "${words}"`
  }
  const textOfIds = (ids: string): string =>
    ids
      .split(' ')
      .map((id) => document.getElementById(id)?.textContent ?? '')
      .join('')

  const nameOf = (element: Element): string => {
    const labels = [...((element as HTMLInputElement).labels ?? [])]
    return [
      element.getAttribute('aria-label') ?? '',
      textOfIds(element.getAttribute('aria-labelledby') ?? ''),
      ...labels.map((label) => label.textContent ?? ''),
      element.getAttribute('title') ?? '',
      /^(INPUT|SELECT|TEXTAREA)$/.test(element.tagName) ? '' : (element.textContent ?? ''),
      element.getAttribute('alt') ?? '',
    ].join('')
  }
  const named =
    'button, a, input, select, textarea, summary, canvas, [role=img], progress, dialog, nav, section'
  for (const element of document.querySelectorAll(named)) {
    if (isSeen(element) && nameOf(element).trim() === '') problems.push(`no name: ${told(element)}`)
  }
  for (const image of document.querySelectorAll('img')) {
    if (!image.hasAttribute('alt')) problems.push(`no alt: ${image.src}`)
  }
  for (const svg of document.querySelectorAll('svg')) {
    const isNamed = svg.hasAttribute('aria-label') || svg.closest('[aria-hidden=true]') !== null
    if (isSeen(svg) && !isNamed)
      problems.push(`a picture without words: ${told(svg.parentElement!)}`)
  }
  for (const table of document.querySelectorAll('table')) {
    if (table.querySelector('thead th[scope=col]') === null)
      problems.push(`no heads: ${told(table)}`)
  }

  const LEAST = 24
  for (const target of document.querySelectorAll('button, a, input, select, summary')) {
    if (!isSeen(target)) continue
    const label = (target as HTMLInputElement).labels?.[0]
    const { width, height } = (label ?? target).getBoundingClientRect()
    if (width < LEAST || height < LEAST) {
      problems.push(`small, ${Math.round(width)} x ${Math.round(height)}: ${told(target)}`)
    }
  }

  const { scrollWidth, clientWidth } = document.documentElement
  if (scrollWidth > clientWidth) problems.push(`${scrollWidth} wide in a window of ${clientWidth}`)
  for (const [what, count] of [
    ['h1', document.querySelectorAll('h1').length],
    ['main', document.querySelectorAll('main').length],
    ['lang', document.documentElement.lang === '' ? 0 : 1],
  ]) {
    if (count !== 1) problems.push(`${count} ${what}`)
  }
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id)
  for (const id of new Set(ids.filter((one, at) => ids.indexOf(one) !== at))) {
    problems.push(`two with the id ${id}`)
  }

  // Colours are computed as rgb() or rgba() [CSS Color 4, 15].
  type Colour = [red: number, green: number, blue: number, alpha: number]
  const colourOf = (text: string): Colour => {
    const [red = 0, green = 0, blue = 0, alpha = 1] = (text.match(/[\d.]+/g) ?? []).map(Number)
    return [red, green, blue, alpha]
  }
  const over = (top: Colour, ground: Colour): Colour => {
    const mix = (at: 0 | 1 | 2): number => top[at] * top[3] + ground[at] * (1 - top[3])
    return [mix(0), mix(1), mix(2), 1]
  }
  const groundOf = (element: Element | null): Colour => {
    if (element === null) return colourOf(getComputedStyle(document.body).backgroundColor)
    const own = colourOf(getComputedStyle(element).backgroundColor)
    return own[3] === 1 ? own : over(own, groundOf(element.parentElement))
  }
  const brightness = (colour: Colour): number => {
    const [red, green, blue] = colour.slice(0, 3).map((value) => {
      const part = value / 255
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  const seen = new Set<Element>()
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement!
    const isText = (walker.currentNode.textContent ?? '').trim() !== ''
    if (!isText || seen.has(element) || !isSeen(element)) continue
    if (element.closest('button:disabled, svg, .unseen') !== null) continue
    seen.add(element)
    const ground = groundOf(element)
    const text = over(colourOf(getComputedStyle(element).color), ground)
    const [light, dark] = [brightness(text), brightness(ground)].sort((a, b) => b - a)
    const contrast = (light! + 0.05) / (dark! + 0.05)
    if (contrast < 4.5) problems.push(`contrast ${contrast.toFixed(2)}: ${told(element)}`)
  }
  return problems
}
