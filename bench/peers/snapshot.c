// A consistent copy of a struct that a writer keeps changing, by its sequence. snapshot <data file>
#include "common.h"

static const unsigned char *file;
static const _Atomic uint32_t *sequence;
static struct demo copy;
static double last, changes;

static void snapshots(long turns) {
  for (long i = 0; i < turns; i++) {
    uint32_t before, after;
    do {
      while ((before = atomic_load_explicit(sequence, memory_order_acquire)) & 1) ;
      memcpy(&copy, file, sizeof copy);
      atomic_thread_fence(memory_order_acquire);
      after = atomic_load_explicit(sequence, memory_order_relaxed);
    } while (before != after);
    double x = ((volatile struct demo *)&copy)->data_xy.x;
    if (x != copy.data_int) { fprintf(stderr, "torn\n"); exit(1); }
    if (x != last) changes++;
    last = x;
  }
}

int main(int argc, char **argv) {
  struct stat stat_;
  if (argc < 2) return 2;
  must(stat(argv[1], &stat_), argv[1]);
  file = map(argv[1], stat_.st_size, 0);
  // It stands at 112 of the footer, the last 128 bytes.
  sequence = (const _Atomic uint32_t *)(file + stat_.st_size - 128 + 112);
  double ns = timed(snapshots, 10000);
  if (changes < 2) { fprintf(stderr, "no writer\n"); return 1; }
  printf("{\"ns\": %f}\n", ns);
  return 0;
}
