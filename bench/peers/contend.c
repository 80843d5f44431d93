// Two processes that want one flock. contend <dir>
#include "common.h"
#include <sys/wait.h>

enum { HANDOVERS = 200, HAMMER_MS = 300 };

struct shared { _Atomic int wants[2]; _Atomic int started; _Atomic int last; _Atomic int64_t freed; _Atomic long locks; };

static double delays[HANDOVERS];
static int delay_count;

static int open_lock(const char *path) { return must(open(path, O_RDWR | O_CREAT, 0600), path); }

static void wait_until(struct shared *shared, int who, int wants) {
  for (int waits = 0; shared->wants[who] != wants && waits < 400; waits++) usleep(50);
}

// Gives the lock back only when the other one sleeps in front of it, and lets it have the lock.
static void hand_over(struct shared *shared, int me, int lock) {
  for (int i = 0; i < HANDOVERS; i++) {
    shared->wants[me] = 1;
    must(flock(lock, LOCK_EX), "flock");
    if (shared->last == 2 - me) delays[delay_count++] = (double)(now() - shared->freed);
    shared->wants[me] = 0;
    wait_until(shared, 1 - me, 1);
    usleep(200);
    shared->last = me + 1;
    shared->freed = now();
    must(flock(lock, LOCK_UN), "flock");
    wait_until(shared, 1 - me, 0);
  }
}

static void hammer(struct shared *shared, int lock) {
  long locks = 0;
  for (int64_t end = now() + HAMMER_MS * 1000000LL; now() < end; locks++) {
    must(flock(lock, LOCK_EX), "flock");
    must(flock(lock, LOCK_UN), "flock");
  }
  shared->locks += locks;
}

static void meet(struct shared *shared, int count) {
  for (shared->started++; shared->started < count;) ;
}

static void work(struct shared *shared, int me) {
  stay_on(me);
  int lock = open_lock("contend-c.lock");
  meet(shared, 2);
  hammer(shared, lock);
  meet(shared, 4);
  hand_over(shared, me, lock);
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  must(chdir(argv[1]), argv[1]);
  struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 1;
  int child = fork();
  work(shared, child == 0);
  if (child == 0) return 0;
  int status;
  wait(&status);
  printf("{\"p50\": %f, \"ns\": %f}\n", quantile(delays, delay_count, 0.5), HAMMER_MS * 1e6 / shared->locks);
  return WEXITSTATUS(status);
}
