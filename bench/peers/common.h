// What the C peers share: the struct of demo/demo-struct.ts, a clock, windows of time.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct point { double x, y; };
struct demo {
  int16_t header_code;
  double time_stamp;
  int32_t data_int;
  char data_string[256];
  struct point data_xy;
  struct { int32_t data_int; struct point points[24]; } multi;
};

static inline int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

// What this thread has worked, as in harness.ts.
static inline int64_t cpu_time(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline void stay_on(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  sched_setaffinity(0, sizeof set, &set);
}

static inline int must(int result, const char *what) {
  if (result < 0) { perror(what); exit(1); }
  return result;
}

static inline void *map(const char *path, size_t size, int create) {
  int fd = must(open(path, O_RDWR | (create ? O_CREAT : 0), 0600), path);
  if (create) must(ftruncate(fd, size), "ftruncate");
  void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) { perror("mmap"); exit(1); }
  close(fd);
  return memory;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static inline double quantile(double *values, int count, double part) {
  qsort(values, count, sizeof *values, ascending);
  return values[(int)((count - 1) * part)];
}

// The time of one turn: the fastest of 9 windows of 20 ms after a warm-up of 100 ms, as in harness.ts.
static inline double timed(void (*turns)(long), long batch) {
  double windows[9];
  for (int i = -1; i < 9; i++) {
    int64_t start = cpu_time(), elapsed = 0;
    long done = 0;
    for (; elapsed < (i < 0 ? 100000000 : 20000000); elapsed = cpu_time() - start, done += batch) turns(batch);
    if (i >= 0) windows[i] = (double)elapsed / done;
  }
  return quantile(windows, 9, 0);
}
