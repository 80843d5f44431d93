/* What the programs that do something once a millisecond share. */
#include <time.h>

/* Sleeps until a millisecond after the time before, by CLOCK_MONOTONIC. */
static inline void sleep_until_next_ms(struct timespec *next) {
  next->tv_nsec += 1000000;
  if (next->tv_nsec >= 1000000000) {
    next->tv_nsec -= 1000000000;
    next->tv_sec++;
  }
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, next, NULL);
}
