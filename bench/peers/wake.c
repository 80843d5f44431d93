// How long the kernel takes to wake a process that sleeps on a futex. wake
#include "common.h"
#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { WARM_UP = 100, WAKES = 500 };

struct shared { _Atomic uint32_t word; _Atomic int64_t sent; };

static double delays[WAKES];

static void wait_for(struct shared *shared, uint32_t seen) {
  while (atomic_load(&shared->word) == seen) syscall(SYS_futex, &shared->word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void receive(struct shared *shared) {
  for (int i = 0; i < WARM_UP + WAKES; i++) {
    wait_for(shared, i);
    if (i >= WARM_UP) delays[i - WARM_UP] = (double)(now() - atomic_load(&shared->sent));
  }
  printf("{\"p50\": %f, \"p99\": %f}\n", quantile(delays, WAKES, 0.5), quantile(delays, WAKES, 0.99));
}

int main(void) {
  struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 1;
  if (fork() == 0) {
    stay_on(1);
    receive(shared);
    return 0;
  }
  stay_on(0);
  for (int i = 0; i < WARM_UP + WAKES; i++) {
    nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    atomic_store(&shared->sent, now());
    atomic_fetch_add(&shared->word, 1);
    syscall(SYS_futex, &shared->word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
  }
  int status;
  wait(&status);
  return WEXITSTATUS(status);
}
