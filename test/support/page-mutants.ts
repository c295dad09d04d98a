/** Mutants of pages: on their way, and in which a column of one value is that value. */
import type { Mutant } from './look-mutants.ts'

export const PAGE_MUTANTS: readonly Mutant[] = [
  {
    name: 'pieces of different copies mix',
    edits: [
      {
        file: 'firmware-agent/core/imports.ts',
        from: 'left.at === right.at &&\n    left.of === right.of &&\n    equalBytes(left.digest, right.digest)',
        to: 'left.of === right.of',
      },
      // What else would find it: the page is sealed as what it is said to be.
      {
        file: 'firmware-agent/adapters/staged-pages.ts',
        from: "const page = TilePage.open(grid.layoutOf(tile), bytes, undefined, tile)\n  return typeof page !== 'string' && page.at === at && equalBytes(page.digest, digest)",
        to: 'const layout = grid.layoutOf(tile)\nif (bytes.length !== layout.bytes) return false\nconst page = TilePage.empty(layout)\nfor (const { index, offset } of layout.columns) {\nconst { buffer, byteOffset, byteLength } = page.column(index)\nnew Uint8Array(buffer, byteOffset, byteLength).set(bytes.subarray(offset, offset + byteLength))\n}\npage.at = at\npage.seal(tile)\nbytes.set(page.bytes)\nreturn digest.length > 0',
      },
      {
        file: 'firmware-agent/adapters/staged-pages.ts',
        from: 'found.at === page.at && equalBytes(found.digest, page.digest)',
        to: 'found.at === page.at',
      },
    ],
  },
  {
    name: 'a page of the second format goes to whoever wants one',
    edits: [
      {
        file: 'broker/core/state/page-formats.ts',
        from: 'return source.knowsPacked && target.knowsPacked ? this.allowed(target) : NOTHING',
        to: 'return source.knowsPacked ? PACKED : NOTHING',
      },
    ],
  },
  {
    name: 'a page is given as it lies on the disk',
    edits: [
      {
        file: 'firmware-agent/adapters/operation-runner.ts',
        from: '(copy.pages ?? 1) >= PACKED_FORMAT',
        to: 'true',
      },
    ],
  },
  {
    name: 'the second format of pages is allowed before all know it',
    edits: [
      {
        file: 'broker/core/state/page-formats.ts',
        from: 'this.#members.plainCount === 0 && ',
        to: '',
      },
    ],
  },
  {
    name: 'a write to a part of a tile is taken for one to all of it',
    edits: [
      {
        file: 'shared/operations/operation.ts',
        from: 'return w * h === lsus',
        to: 'return w * h <= lsus',
      },
    ],
  },
  {
    name: 'a page that was stored in the second format is read on as it lies',
    edits: [
      {
        file: 'shared/grid/tile-page.ts',
        from: 'else if (this.#packed !== undefined) page.#unpack(this.#packed, this.#isUniform!)\n    else {',
        to: 'else {\n      if (this.#packed !== undefined) this.#whole = new Uint8Array(this.layout.bytes)',
      },
    ],
  },
]
