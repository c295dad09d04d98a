/** What was typed into a form, which goes nowhere by itself. */
export function typedIn(event: SubmitEvent): FormData {
  event.preventDefault()
  return new FormData(event.currentTarget as HTMLFormElement)
}

/** One line of it. */
export function wordIn(form: FormData, name: string): string {
  return `${form.get(name)}`.trim()
}
