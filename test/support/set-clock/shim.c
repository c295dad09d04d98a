/*
 * Another time for a process that this library is preloaded into: of the wall clock alone, whoever asks, Node, V8 or
 * OpenSSL. The file that SET_CLOCK_FILE names holds by how many seconds it is off, and is looked at again and again,
 * as somebody may set a clock while programs run.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define LOOK_NS 20000000LL

typedef int (*clock_gettime_fn)(clockid_t, struct timespec *);

static int64_t offset_s;
static int64_t looked_ns = -LOOK_NS;

static int really(clockid_t clock, struct timespec *at) {
  static clock_gettime_fn real;
  clock_gettime_fn known = __atomic_load_n(&real, __ATOMIC_RELAXED);
  if (known == NULL) {
    known = (clock_gettime_fn)dlsym(RTLD_NEXT, "clock_gettime");
    __atomic_store_n(&real, known, __ATOMIC_RELAXED);
  }
  return known(clock, at);
}

static int64_t offset(void) {
  struct timespec now;
  really(CLOCK_MONOTONIC, &now);
  int64_t now_ns = now.tv_sec * 1000000000LL + now.tv_nsec;
  if (now_ns - __atomic_load_n(&looked_ns, __ATOMIC_RELAXED) < LOOK_NS)
    return __atomic_load_n(&offset_s, __ATOMIC_RELAXED);
  __atomic_store_n(&looked_ns, now_ns, __ATOMIC_RELAXED);
  const char *path = getenv("SET_CLOCK_FILE");
  int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    char text[32];
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length > 0) {
      text[length] = 0;
      __atomic_store_n(&offset_s, strtoll(text, NULL, 10), __ATOMIC_RELAXED);
    }
  }
  return __atomic_load_n(&offset_s, __ATOMIC_RELAXED);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
  int result = really(clock, at);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    at->tv_sec += offset();
  return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  struct timespec now;
  (void)zone;
  if (at == NULL || clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at != NULL) *at = now.tv_sec;
  return now.tv_sec;
}
