/** Why something was not done, which a screen reader says at once; nothing while there is no reason. */
export function Problem({ of }: { readonly of: string }) {
  return (
    <p class="problem" role="alert">
      {of}
    </p>
  )
}
