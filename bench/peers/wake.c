// How long a store takes to be seen by a process that sleeps on a futex, and by one that looks all the time. wake
#include "common.h"
#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { WARM_UP = 100, WAKES = 1000 };

struct shared { _Atomic uint32_t word; _Atomic int64_t sent; };

static double delays[WAKES];

static void sleep_while(struct shared *shared, uint32_t seen) {
  while (atomic_load(&shared->word) == seen) syscall(SYS_futex, &shared->word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void look_while(struct shared *shared, uint32_t seen) {
  while (atomic_load(&shared->word) == seen) ;
}

static void receive(struct shared *shared, void (*wait_while)(struct shared *, uint32_t)) {
  for (int i = 0; i < WARM_UP + WAKES; i++) {
    wait_while(shared, i);
    if (i >= WARM_UP) delays[i - WARM_UP] = (double)(now() - atomic_load(&shared->sent));
  }
}

static void print(const char *name) {
  printf("\"%sp50\": %f, \"%sp99\": %f", name, quantile(delays, WAKES, 0.5), name, quantile(delays, WAKES, 0.99));
}

static void send(struct shared *shared) {
  for (int i = 0; i < WARM_UP + WAKES; i++) {
    nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    atomic_store(&shared->sent, now());
    atomic_fetch_add(&shared->word, 1);
    syscall(SYS_futex, &shared->word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
  }
}

int main(void) {
  struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 1;
  if (fork() == 0) {
    stay_on(1);
    printf("{");
    receive(shared, sleep_while);
    print("");
    shared->word = 0;
    receive(shared, look_while);
    printf(", ");
    print("looking ");
    printf("}\n");
    return 0;
  }
  stay_on(0);
  send(shared);
  while (shared->word != 0) usleep(1000);
  send(shared);
  int status;
  wait(&status);
  return WEXITSTATUS(status);
}
