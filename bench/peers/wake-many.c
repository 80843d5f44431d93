// More and more processes sleep on one futex: what waking them costs the waker, and until all have seen it.
#include "common.h"
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { MOST = 64, ROUNDS = 40 };

struct shared { _Atomic uint32_t word; _Atomic uint32_t seen[MOST]; };

static void follow(struct shared *shared, int me) {
  for (uint32_t value = shared->word;; value = shared->word) {
    shared->seen[me] = value;
    syscall(SYS_futex, &shared->word, FUTEX_WAIT, value, NULL, NULL, 0);
  }
}

static void settle(struct shared *shared, int count) {
  for (int i = 0; i < count; i++) while (shared->seen[i] != shared->word) usleep(20);
}

static void measure(struct shared *shared, int count, const char *separator) {
  double wakes[ROUNDS], all[ROUNDS];
  for (int i = 0; i < ROUNDS; i++) {
    settle(shared, count);
    usleep(1000);
    int64_t before = now();
    shared->word++;
    syscall(SYS_futex, &shared->word, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
    wakes[i] = (double)(now() - before);
    settle(shared, count);
    all[i] = (double)(now() - before);
  }
  printf("%s\"edit@%d\": %f, \"all@%d\": %f", separator, count, quantile(wakes, ROUNDS, 0.5), count,
         quantile(all, ROUNDS, 0.5));
}

int main(void) {
  struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 1;
  pid_t children[MOST];
  int started = 0;
  for (int count = 1; count <= MOST; count *= 2) {
    for (; started < count; started++) {
      children[started] = must(fork(), "fork");
      if (children[started] == 0) follow(shared, started);
    }
    measure(shared, count, count == 1 ? "{" : ", ");
    fflush(stdout);
  }
  printf("}\n");
  for (int i = 0; i < started; i++) kill(children[i], SIGKILL);
  while (wait(NULL) > 0) ;
  return 0;
}
