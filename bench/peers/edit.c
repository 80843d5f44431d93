// flock, five stores to mapped memory, unlock. edit <dir>
#include "common.h"

static volatile struct demo *demo;
static int lock;
static long count;

static void edits(long turns) {
  for (long i = 0; i < turns; i++, count++) {
    must(flock(lock, LOCK_EX), "flock");
    demo->data_int = (int32_t)count;
    demo->data_xy.x = (double)count;
    demo->data_xy.y = -(double)count;
    demo->multi.data_int = (int32_t)count;
    demo->multi.points[3].x = (double)count;
    must(flock(lock, LOCK_UN), "flock");
  }
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  must(chdir(argv[1]), argv[1]);
  demo = map("edit-c.mmap", sizeof *demo, 1);
  lock = must(open("edit-c.lock", O_RDWR | O_CREAT, 0600), "open");
  double ns = timed(edits, 1000);
  if (demo->data_int != (int32_t)(count - 1) || demo->multi.points[3].x != (double)(count - 1)) return 1;
  printf("{\"ns\": %f}\n", ns);
  return 0;
}
