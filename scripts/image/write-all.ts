import type { FileHandle } from 'node:fs/promises'

/** A single write may take less than it was given, without an error (write(2)): near the end of a disk, say. */
export async function writeAll(
  handle: FileHandle,
  bytes: Uint8Array,
  position: number,
): Promise<void> {
  for (let from = 0; from < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, from, bytes.length - from, position + from)
    from += bytesWritten
  }
}
