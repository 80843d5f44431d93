/*
 * What the machine itself takes: a time that one program stores in shared memory once a millisecond, under flock(2), and another one sees
 * that sleeps on a futex. No library, no copy. "bare-futex ticks FILE COUNT" and "bare-futex sees FILE COUNT", which prints "ready" and then the age
 * of each time in microseconds.
 */
#define _GNU_SOURCE
#include "tick.h"
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef struct shared {
  uint32_t count; /* the futex */
  uint32_t unused;
  int64_t at;
} shared;

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void ticks(int fd, shared *memory, long count) {
  struct timespec next;
  clock_gettime(CLOCK_MONOTONIC, &next);
  for (long i = 0; i < count; i++) {
    sleep_until_next_ms(&next);
    if (flock(fd, LOCK_EX) < 0) exit(1);
    __atomic_store_n(&memory->at, now_ns(), __ATOMIC_RELEASE);
    if (flock(fd, LOCK_UN) < 0) exit(1);
    __atomic_fetch_add(&memory->count, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &memory->count, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
  }
}

static void sees(int fd, shared *memory, long count) {
  (void)fd;
  double *ages = malloc(sizeof(double) * (size_t)count);
  long seen = 0;
  uint32_t last = __atomic_load_n(&memory->count, __ATOMIC_SEQ_CST);
  if (ages == NULL) exit(1);
  printf("ready\n");
  fflush(stdout);
  while (last < (uint32_t)count) {
    syscall(SYS_futex, &memory->count, FUTEX_WAIT, last, NULL, NULL, 0);
    uint32_t now = __atomic_load_n(&memory->count, __ATOMIC_SEQ_CST);
    if (now != last) ages[seen++] = (double)(now_ns() - __atomic_load_n(&memory->at, __ATOMIC_ACQUIRE)) / 1e3;
    last = now;
  }
  for (long i = 0; i < seen; i++) printf("%.1f\n", ages[i]);
  free(ages);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  int fd = open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, 4096) < 0) return 1;
  void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return 1;
  (strcmp(argv[1], "ticks") == 0 ? ticks : sees)(fd, (shared *)memory, atol(argv[3]));
  return 0;
}
