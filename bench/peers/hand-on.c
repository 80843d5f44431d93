// Processes that sleep on a futex and hand a wake on to two others: what a waker pays that wakes one, or all. In turn.
// The waker has a processor of its own; its time is taken by the clock on the wall, and by the clock of its own work.
#include "common.h"
#include <linux/futex.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { GROUPS = 3, MOST = 200, ROUNDS = 60 };

struct shared { _Atomic uint32_t word; _Atomic uint32_t seen[MOST]; };

static const int counts[GROUPS] = { 1, 64, 200 };

static void wake(struct shared *shared, int count) { syscall(SYS_futex, &shared->word, FUTEX_WAKE, count, NULL, NULL, 0); }

static void follow(struct shared *shared, int me) {
  for (uint32_t value = shared->word;;) {
    shared->seen[me] = value;
    syscall(SYS_futex, &shared->word, FUTEX_WAIT, value, NULL, NULL, 0);
    if (shared->word == value) continue;
    value = shared->word;
    wake(shared, 2);
  }
}

static void settle(struct shared *shared, int count) {
  for (int i = 0; i < count; i++) while (shared->seen[i] != shared->word) usleep(20);
}

int main(void) {
  static double took[GROUPS][2][ROUNDS], worked[GROUPS][2][ROUNDS];
  struct shared *groups[GROUPS];
  pid_t children[GROUPS * MOST];
  int started = 0;
  for (int g = 0; g < GROUPS; g++) {
    groups[g] = mmap(NULL, sizeof **groups, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (groups[g] == MAP_FAILED) return 1;
    for (int i = 0; i < counts[g]; i++) {
      children[started] = must(fork(), "fork");
      if (children[started++] == 0) { stay_on(1); follow(groups[g], i); }
    }
  }
  stay_on(0);
  usleep(100000);
  for (int round = 0; round < ROUNDS; round++)
    for (int all = 0; all < 2; all++)
      for (int g = 0; g < GROUPS; g++) {
        settle(groups[g], counts[g]);
        usleep(1000);
        int64_t before = now(), work = cpu_time();
        groups[g]->word++;
        wake(groups[g], all ? INT32_MAX : 1);
        worked[g][all][round] = (double)(cpu_time() - work);
        took[g][all][round] = (double)(now() - before);
      }
  for (int g = 0; g < GROUPS; g++)
    for (int all = 0; all < 2; all++) {
      const char *what = all ? "all" : "one";
      printf("%s\"%s@%d\": %f, \"%s work@%d\": %f", g + all == 0 ? "{" : ", ", what, counts[g],
             quantile(took[g][all], ROUNDS, 0.5), what, counts[g], quantile(worked[g][all], ROUNDS, 0.5));
    }
  printf("}\n");
  fflush(stdout);
  for (int i = 0; i < started; i++) kill(children[i], SIGKILL);
  while (wait(NULL) > 0) ;
  return 0;
}
