/*
 * What the header costs: shms_edit, five stores and shms_commit, beside the same by hand (flock, the pre-image, the words of the
 * footer, five stores, the stamp, the count of the lock's page). Both on one file, in turns; prints nanoseconds of each, the medians of
 * the turns, and the median of their ratios: cost DIR [TURNS]
 */
#define _GNU_SOURCE
#include "Ledger.h"
#include "shmstruct.h"

#define LOOPS 2000
#define MOST_TURNS 10000

static shms_segment file;

static void five_stores(Ledger *ledger, uint64_t i) {
  ledger->count = i;
  ledger->values[0] = i;
  ledger->values[17] = i;
  ledger->values[59] = i;
  ledger->writer = (uint32_t)i;
}

static int by_header(uint64_t i) {
  int error = shms_edit(&file, -1);
  if (error) return error;
  five_stores((Ledger *)file.content, i);
  return shms_commit(&file);
}

/* No fairness, no time limit, no look whether the file is whole, still the current one, or left odd by a killed writer. */
static int by_hand(uint64_t i) {
  shms_i_footer *footer = file.footer;
  shms_i_page *page = file.lock.page;
  struct timespec now;
  double stamp;
  if (flock(file.lock.fd, LOCK_EX) < 0) return SHMS_E_SYSTEM;
  memcpy(file.pre_image, file.content, sizeof(Ledger));
  footer->before[0] = footer->commits;
  footer->before[1] = footer->generation;
  __atomic_store_n(&footer->sequence, footer->sequence + 1, __ATOMIC_RELEASE);
  __atomic_thread_fence(__ATOMIC_ACQ_REL);
  five_stores((Ledger *)file.content, i);
  clock_gettime(CLOCK_REALTIME, &now);
  stamp = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
  memcpy((char *)file.content + 8, &stamp, 8);
  footer->commits++;
  __atomic_store_n(&footer->sequence, footer->sequence + 1, __ATOMIC_RELEASE);
  if (flock(file.lock.fd, LOCK_UN) < 0) return SHMS_E_SYSTEM;
  uint32_t number = __atomic_fetch_add(&page->changes, 1u, __ATOMIC_SEQ_CST);
  if (((page->wake_until - number - 1) >> 16) == 0) syscall(SYS_futex, &page->changes, 1, 2, NULL, NULL, 0);
  return SHMS_OK;
}

static double time_of(int (*edit)(uint64_t)) {
  int64_t start = shms_i_now_ns(CLOCK_MONOTONIC);
  for (uint64_t i = 0; i < LOOPS; i++)
    if (edit(i)) abort();
  return (double)(shms_i_now_ns(CLOCK_MONOTONIC) - start) / LOOPS;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof(double), compare);
  return values[count / 2];
}

int main(int count, char **words) {
  static double header[MOST_TURNS], hand[MOST_TURNS], ratio[MOST_TURNS];
  shms_place place;
  int turns = count > 2 ? atoi(words[2]) : 200;
  if (count < 2 || turns < 1 || turns > MOST_TURNS) return 2;
  int error = shms_place_of(&place, words[1], "Ledger", "", SHMS_RECORD);
  if (!error) error = shms_open(&file, &place, SHMS_WRITE, SHMS_RECORD, sizeof(Ledger), Ledger_FINGERPRINT);
  if (error) {
    fprintf(stderr, "%s\n", shms_error_text(error));
    return 1;
  }
  for (int i = 0; i < turns; i++) {
    /* Each goes first in every second turn. */
    if (i % 2 == 0) header[i] = time_of(by_header);
    hand[i] = time_of(by_hand);
    if (i % 2 != 0) header[i] = time_of(by_header);
    ratio[i] = header[i] / hand[i];
  }
  printf("%.0f %.0f %.3f\n", median(header, turns), median(hand, turns), median(ratio, turns));
  shms_close(&file);
  return 0;
}
