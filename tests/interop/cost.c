/*
 * What the header costs: shms_edit, five stores and shms_commit, beside the same by hand (flock, the pre-image, the words of the
 * footer, five stores, the stamp, the count of the lock's page), and the same by hand with the look whether the file is whole, which is
 * one lseek(2). All on one file, in turns that are short enough to be run without an interruption; prints nanoseconds of each, by its
 * fastest turn, and the header's ratios to the other two: cost DIR [TURNS]
 */
#define _GNU_SOURCE
#include "Ledger.h"
#include "shmstruct.h"

#define LOOPS 100

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

/* No fairness, no time limit, no look whether the file is still the current one, or left odd by a killed writer. */
static inline int edit_by_hand(uint64_t i, int looks) {
  shms_i_footer *footer = file.footer;
  shms_i_page *page = file.lock.page;
  struct timespec now;
  double stamp;
  if (flock(file.lock.fd, LOCK_EX) < 0) return SHMS_E_SYSTEM;
  if (looks && lseek(file.fd, 0, SEEK_END) < (off_t)file.size) return SHMS_E_TRUNCATED;
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

static int by_hand(uint64_t i) { return edit_by_hand(i, 0); }

static int by_hand_that_looks(uint64_t i) { return edit_by_hand(i, 1); }

static double time_of(int (*edit)(uint64_t)) {
  int64_t start = shms_i_now_ns(CLOCK_MONOTONIC);
  for (uint64_t i = 0; i < LOOPS; i++)
    if (edit(i)) abort();
  return (double)(shms_i_now_ns(CLOCK_MONOTONIC) - start) / LOOPS;
}

static double faster(double best, double time) { return time < best ? time : best; }

int main(int count, char **words) {
  double header = 1e18, hand = 1e18, looks = 1e18;
  shms_place place;
  int turns = count > 2 ? atoi(words[2]) : 4000;
  if (count < 2 || turns < 1) return 2;
  int error = shms_place_of(&place, words[1], "Ledger", "", SHMS_RECORD);
  if (!error) error = shms_open(&file, &place, SHMS_WRITE, SHMS_RECORD, sizeof(Ledger), Ledger_FINGERPRINT);
  if (error) {
    fprintf(stderr, "%s\n", shms_error_text(error));
    return 1;
  }
  for (int i = 0; i < turns; i++) {
    header = faster(header, time_of(by_header));
    hand = faster(hand, time_of(by_hand));
    looks = faster(looks, time_of(by_hand_that_looks));
  }
  printf("%.0f %.0f %.0f %.3f %.3f\n", header, hand, looks, header / hand, header / looks);
  shms_close(&file);
  return 0;
}
