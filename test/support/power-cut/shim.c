/*
 * Preloaded into a process, it writes down what reaches the disk: every write, truncation and flush
 * of files named data.mdb below POWER_CUT_ROOT, what becomes of names there, and every write to the
 * file POWER_CUT_ACKNOWLEDGEMENTS, all in one order. A record is written down after the call has
 * returned, and before its caller goes on: what a caller relies on stands before what it does next.
 *
 * A record is a head and its bytes:
 *   0   u8   kind: W write, T truncate, s flush begun, S flushed, C created, U unlinked, R renamed,
 *            A acknowledgement
 *   1   u8   1 when the write itself waits for the disk (O_DSYNC)
 *   4   u32  length of the bytes: those written, or the name below the root; of R two, one after a NUL
 *   8   u64  offset, size, or the number of the flush
 *
 * With POWER_CUT_BOOT_ID the process sees that file as the id of this boot, as after a restart of
 * the machine: LMDB trusts what was not flushed as long as the boot is the same. For 64-bit systems,
 * where off_t and off64_t are one.
 *
 * With POWER_CUT_UNFLUSHED nothing waits for the disk: for a process that is not cut itself.
 *
 * With POWER_CUT_STRIKE the process is killed in place of a write or flush of data.mdb: the one whose number that file
 * holds, counted from when it is first seen there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES_MAX 4096
#define VECTORS_MAX 1026

enum kind { UNWATCHED = 0, DATA, OTHER, ACKNOWLEDGEMENTS };

struct file {
  enum kind kind;
  int waits;
  char name[256];
};

struct head {
  uint8_t kind;
  uint8_t waits;
  uint16_t reserved;
  uint32_t length;
  uint64_t offset;
};

static struct file files[FILES_MAX];
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;
static int log_file = -1;
static uint64_t flushes = 0;

/* The function that would be called without us, or its namesake where a library has only one. */
static void *next(const char *name, const char *namesake) {
  void *found = dlsym(RTLD_NEXT, name);
  return found != NULL ? found : dlsym(RTLD_NEXT, namesake);
}

#define NEXT(type, name, namesake)                                                                 \
  static type real = NULL;                                                                         \
  if (real == NULL) real = (type)next(name, namesake)

typedef int (*open_call)(const char *, int, ...);
typedef int (*file_call)(int);
typedef int (*size_call)(int, off_t);
typedef int (*path_call)(const char *);
typedef int (*paths_call)(const char *, const char *);
typedef ssize_t (*write_call)(int, const void *, size_t);
typedef ssize_t (*writev_call)(int, const struct iovec *, int);
typedef ssize_t (*pwrite_call)(int, const void *, size_t, off_t);
typedef ssize_t (*pwritev_call)(int, const struct iovec *, int, off_t);

/* By system calls, which are not ours. */
static void put_down(uint8_t kind, int waits, uint64_t offset, const struct iovec *parts, int count,
                     size_t length) {
  const char *path = getenv("POWER_CUT_LOG");
  if (path == NULL) return;
  struct head head = {kind, (uint8_t)waits, 0, (uint32_t)length, offset};
  struct iovec all[VECTORS_MAX] = {{&head, sizeof head}};
  size_t rest = length;
  int used = 1;
  for (int at = 0; at < count && rest > 0 && used < VECTORS_MAX; at++, used++) {
    all[used] = parts[at];
    if (all[used].iov_len > rest) all[used].iov_len = rest;
    rest -= all[used].iov_len;
  }
  pthread_mutex_lock(&order);
  if (log_file < 0) {
    log_file = (int)syscall(SYS_openat, AT_FDCWD, path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  }
  ssize_t written = syscall(SYS_writev, log_file, all, used);
  pthread_mutex_unlock(&order);
  if (written != (ssize_t)(sizeof head + length)) abort();
}

static void put_down_name(uint8_t kind, uint64_t offset, const char *name, size_t length) {
  struct iovec part = {(void *)name, length};
  put_down(kind, 0, offset, &part, 1, length);
}

/* The name below the root, or nothing if it lies elsewhere. */
static const char *below_root(const char *path) {
  const char *root = getenv("POWER_CUT_ROOT");
  size_t length = root == NULL ? 0 : strlen(root);
  if (length == 0 || strncmp(path, root, length) != 0) return NULL;
  if (path[length] == '\0') return path + length;
  return path[length] == '/' ? path + length + 1 : NULL;
}

static int ends_with(const char *text, const char *end) {
  size_t length = strlen(text), wanted = strlen(end);
  return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

static struct file *watched(int descriptor) {
  if (descriptor < 0 || descriptor >= FILES_MAX) return NULL;
  return files[descriptor].kind == UNWATCHED ? NULL : &files[descriptor];
}

static void watch(int descriptor, const char *path, int flags, int was_there) {
  if (descriptor < 0 || descriptor >= FILES_MAX) return;
  struct file *file = &files[descriptor];
  file->kind = UNWATCHED;
  const char *said = getenv("POWER_CUT_ACKNOWLEDGEMENTS");
  const char *name = below_root(path);
  if (said != NULL && strcmp(path, said) == 0) file->kind = ACKNOWLEDGEMENTS;
  if (name == NULL) return;
  file->kind = ends_with(name, "data.mdb") ? DATA : OTHER;
  file->waits = (flags & O_DSYNC) != 0;
  snprintf(file->name, sizeof file->name, "%s", name);
  if (!was_there && (flags & O_CREAT) != 0) put_down_name('C', 0, name, strlen(name));
}

static int open_path(const char *path, int flags, mode_t mode) {
  NEXT(open_call, "open64", "open");
  const char *boot_id = getenv("POWER_CUT_BOOT_ID");
  if (boot_id != NULL && strcmp(path, "/proc/sys/kernel/random/boot_id") == 0) path = boot_id;
  if (getenv("POWER_CUT_UNFLUSHED") != NULL) flags &= ~(O_SYNC | O_DSYNC);
  int was_there = below_root(path) != NULL && access(path, F_OK) == 0;
  int descriptor = real(path, flags, mode);
  int error = errno;
  watch(descriptor, path, flags, was_there);
  errno = error;
  return descriptor;
}

int open(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return open_path(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = va_arg(rest, mode_t);
  va_end(rest);
  return open_path(path, flags, mode);
}

int close(int descriptor) {
  NEXT(file_call, "close", "close");
  struct file *file = watched(descriptor);
  if (file != NULL) file->kind = UNWATCHED;
  return real(descriptor);
}

static void wrote(int descriptor, off_t offset, const struct iovec *parts, int count, ssize_t length) {
  struct file *file = watched(descriptor);
  if (file == NULL || length <= 0) return;
  int error = errno;
  if (file->kind == DATA) put_down('W', file->waits, (uint64_t)offset, parts, count, (size_t)length);
  if (file->kind == ACKNOWLEDGEMENTS) put_down('A', 0, 0, parts, count, (size_t)length);
  errno = error;
}

static void strike(int descriptor) {
  const char *path = getenv("POWER_CUT_STRIKE");
  struct file *file = watched(descriptor);
  if (path == NULL || file == NULL || file->kind != DATA) return;
  static int writes = 0;
  char text[16] = "";
  int mark = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
  if (mark < 0) return;
  ssize_t length = syscall(SYS_read, mark, text, sizeof text - 1);
  syscall(SYS_close, mark);
  if (length <= 0 || __atomic_add_fetch(&writes, 1, __ATOMIC_SEQ_CST) < atoi(text)) return;
  kill(getpid(), SIGKILL);
  pause();
}

static off_t place(int descriptor) {
  struct file *file = watched(descriptor);
  return file != NULL && file->kind == DATA ? lseek(descriptor, 0, SEEK_CUR) : 0;
}

ssize_t write(int descriptor, const void *bytes, size_t length) {
  NEXT(write_call, "write", "write");
  strike(descriptor);
  off_t offset = place(descriptor);
  ssize_t written = real(descriptor, bytes, length);
  struct iovec part = {(void *)bytes, length};
  wrote(descriptor, offset, &part, 1, written);
  return written;
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
  NEXT(writev_call, "writev", "writev");
  strike(descriptor);
  off_t offset = place(descriptor);
  ssize_t written = real(descriptor, parts, count);
  wrote(descriptor, offset, parts, count, written);
  return written;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t offset) {
  NEXT(pwrite_call, "pwrite64", "pwrite");
  strike(descriptor);
  ssize_t written = real(descriptor, bytes, length, offset);
  struct iovec part = {(void *)bytes, length};
  wrote(descriptor, offset, &part, 1, written);
  return written;
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off_t offset) {
  return pwrite(descriptor, bytes, length, offset);
}

ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset) {
  NEXT(pwritev_call, "pwritev64", "pwritev");
  strike(descriptor);
  ssize_t written = real(descriptor, parts, count, offset);
  wrote(descriptor, offset, parts, count, written);
  return written;
}

ssize_t pwritev64(int descriptor, const struct iovec *parts, int count, off_t offset) {
  return pwritev(descriptor, parts, count, offset);
}

static int flush(int descriptor, file_call real) {
  struct file *file = watched(descriptor);
  if (getenv("POWER_CUT_UNFLUSHED") != NULL) return 0;
  if (file == NULL) return real(descriptor);
  strike(descriptor);
  uint64_t number = __atomic_add_fetch(&flushes, 1, __ATOMIC_SEQ_CST);
  put_down_name('s', number, file->name, strlen(file->name));
  int result = real(descriptor);
  int error = errno;
  if (result == 0) put_down_name('S', number, "", 0);
  errno = error;
  return result;
}

int fsync(int descriptor) {
  NEXT(file_call, "fsync", "fsync");
  return flush(descriptor, real);
}

int fdatasync(int descriptor) {
  NEXT(file_call, "fdatasync", "fdatasync");
  return flush(descriptor, real);
}

int ftruncate(int descriptor, off_t size) {
  NEXT(size_call, "ftruncate64", "ftruncate");
  int result = real(descriptor, size);
  struct file *file = watched(descriptor);
  if (result == 0 && file != NULL && file->kind == DATA) put_down_name('T', (uint64_t)size, "", 0);
  return result;
}

int ftruncate64(int descriptor, off_t size) {
  return ftruncate(descriptor, size);
}

static int removed(int result, const char *path) {
  const char *name = below_root(path);
  if (result == 0 && name != NULL) put_down_name('U', 0, name, strlen(name));
  return result;
}

int unlink(const char *path) {
  NEXT(path_call, "unlink", "unlink");
  return removed(real(path), path);
}

int remove(const char *path) {
  NEXT(path_call, "remove", "remove");
  return removed(real(path), path);
}

int rename(const char *from, const char *to) {
  NEXT(paths_call, "rename", "rename");
  int result = real(from, to);
  const char *old_name = below_root(from), *new_name = below_root(to);
  if (result != 0 || old_name == NULL || new_name == NULL) return result;
  char names[2 * PATH_MAX];
  int length = snprintf(names, sizeof names, "%s%c%s", old_name, '\0', new_name);
  put_down_name('R', 0, names, (size_t)length);
  return result;
}
