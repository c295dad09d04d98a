/** Something that is shown once. */
export function Secret({ title, value }: { readonly title: string; readonly value: string }) {
  return (
    <div class="note secret" role="status">
      <label>
        {title} It is shown this once: keep it now.
        <input
          readOnly
          value={value}
          spellcheck={false}
          onFocus={(event) => event.currentTarget.select()}
        />
      </label>
      <button type="button" onClick={() => void navigator.clipboard.writeText(value)}>
        copy
      </button>
    </div>
  )
}

/** Where the gateway is open there are neither users nor tokens. */
export function NotSecured() {
  return (
    <div class="panel empty">
      <p>This gateway asks nobody who he is.</p>
      <p>
        <code>obelisk gateway secure</code> changes that.
      </p>
    </div>
  )
}
