/** Opens the database of a slice. One whose small records are damaged is set aside: the node begins anew then. */
import type { AppError } from '../../shared/runtime/errors.ts'
import { type Database, openDatabase, setAsideDatabase } from '../../shared/runtime/lmdb.ts'
import type { OnLook } from '../../shared/runtime/store-look.ts'
import { metaTable, recordsAreSound } from './slice-records.ts'

export interface SliceDatabaseOptions {
  /** The file of the slice stays below this, bytes. */
  readonly sliceBytesMax: number
  /** Hears of the look at a store that was not closed. */
  readonly onLook?: OnLook
}

const MAP_BYTES_MORE = 16 * 1024 * 1024
const BROKEN_KEPT = 2

/** `onFatal` hears of a failed commit: the process must end then. */
export async function openSliceDatabase(
  directory: string,
  { sliceBytesMax, onLook }: SliceDatabaseOptions,
  onFatal: (error: AppError) => void,
): Promise<{ readonly database: Database; readonly setAside: string | undefined }> {
  const lmdb = {
    mapSizeBytes: 2 * sliceBytesMax + MAP_BYTES_MORE,
    maxDbs: 7,
    brokenKept: BROKEN_KEPT,
    bytesMax: sliceBytesMax,
    onLook,
  }
  const database = await openDatabase(directory, lmdb, onFatal)
  if (recordsAreSound(metaTable(database))) return { database, setAside: database.setAside }
  await database.close()
  const setAside = setAsideDatabase(directory, BROKEN_KEPT)
  return { database: await openDatabase(directory, lmdb, onFatal), setAside }
}
