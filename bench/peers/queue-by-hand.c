// The floor of a job through a queue: what its protocol must store and swap, by hand, with no checks, no objects and no owners that die.
//   queue-by-hand pair    push, take and done in one process
//   queue-by-hand eight   four processes push, four take; who finds nothing sleeps on a futex; a job's share of the time
#include "common.h"
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { SLOTS = 1024, BYTES = 64, FREE = 0, WRITING = 1, READY = 2, TAKEN = 3, OWNER = 1 << 20 };
struct slot {
  _Alignas(64) _Atomic uint32_t word;
  uint32_t length;
  uint64_t ticket, not_before, taken_at;
  char user[32];
  char bytes[BYTES];
};
struct sleepers { _Alignas(64) _Atomic uint32_t wakes, asleep; };
struct queue {
  _Alignas(64) _Atomic uint32_t tail;
  struct sleepers ready;
  _Alignas(64) _Atomic uint32_t head;
  struct sleepers free;
  _Alignas(64) _Atomic uint32_t commits;
  struct slot slots[SLOTS];
};
static struct queue *queue;

static void wake(struct sleepers *sleepers) {
  if (atomic_load(&sleepers->asleep) == 0) return;
  atomic_fetch_add(&sleepers->wakes, 1);
  syscall(SYS_futex, &sleepers->wakes, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static int push(const char *bytes) {
  uint32_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);
  for (uint32_t j = 0; j < SLOTS; j++) {
    struct slot *slot = &queue->slots[(tail + j) % SLOTS];
    uint32_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
    if (word >> 30 != FREE || !atomic_compare_exchange_strong(&slot->word, &word, (uint32_t)WRITING << 30 | OWNER | word)) continue;
    slot->ticket = tail + j;
    atomic_compare_exchange_strong(&queue->tail, &tail, tail + j + 1);
    memcpy(slot->bytes, bytes, BYTES);
    slot->length = BYTES;
    slot->not_before = slot->taken_at = 0;
    memset(slot->user, 0, sizeof slot->user);
    atomic_store(&slot->word, (uint32_t)READY << 30 | (word & 0xfff));
    wake(&queue->ready);
    atomic_fetch_add(&queue->commits, 1);
    return 1;
  }
  return 0;
}

static struct slot *take(uint32_t *lease) {
  uint32_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
  for (uint32_t j = 0; j < SLOTS; j++) {
    struct slot *slot = &queue->slots[(head + j) % SLOTS];
    uint32_t word = atomic_load_explicit(&slot->word, memory_order_relaxed);
    if (word >> 30 != READY || slot->not_before != 0) continue;
    *lease = word | (uint32_t)TAKEN << 30 | OWNER;
    if (!atomic_compare_exchange_strong(&slot->word, &word, *lease)) continue;
    atomic_store_explicit(&queue->head, head + j + 1, memory_order_relaxed);
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    slot->taken_at = t.tv_sec * 1000000000ULL + t.tv_nsec;
    return slot;
  }
  return NULL;
}

static void done(struct slot *slot, uint32_t lease) {
  atomic_compare_exchange_strong(&slot->word, &lease, (lease + 1) & 0xfff);
  wake(&queue->free);
  atomic_fetch_add(&queue->commits, 1);
}

/* Looks, and sleeps while there is nothing. */
#define UNTIL(look, sleepers)                                                       \
  while (!(look)) {                                                                 \
    atomic_fetch_add(&(sleepers)->asleep, 1);                                       \
    uint32_t seen = atomic_load(&(sleepers)->wakes);                                \
    int found = (look) ? 1 : 0;                                                     \
    if (!found) syscall(SYS_futex, &(sleepers)->wakes, FUTEX_WAIT, seen, NULL, NULL, 0); \
    atomic_fetch_sub(&(sleepers)->asleep, 1);                                       \
    if (found) break;                                                               \
  }

static void give(const char *bytes) { UNTIL(push(bytes), &queue->free) }

static int work(void) {
  struct slot *slot;
  uint32_t lease;
  UNTIL(slot = take(&lease), &queue->ready)
  char bytes[BYTES];
  memcpy(bytes, slot->bytes, BYTES);
  done(slot, lease);
  return bytes[0];
}

static double eight(void) {
  enum { PRODUCERS = 4, WORKERS = 4, JOBS = 50000 };
  char job[BYTES] = {1};
  int64_t start = now();
  for (int i = 0; i < WORKERS; i++)
    if (must(fork(), "fork") == 0) {
      while (work() != 0) {
      }
      _exit(0);
    }
  for (int i = 0; i < PRODUCERS; i++)
    if (must(fork(), "fork") == 0) {
      for (int k = 0; k < JOBS; k++) give(job);
      _exit(0);
    }
  for (int i = 0; i < PRODUCERS; i++) wait(NULL);
  job[0] = 0;
  for (int i = 0; i < WORKERS; i++) give(job);
  for (int i = 0; i < WORKERS; i++) wait(NULL);
  return (double)(now() - start) / (PRODUCERS * JOBS);
}

static double pair(void) {
  char job[BYTES] = {1};
  double best = 1e18;
  for (int window = 0; window < 20; window++) {
    int64_t start = now();
    for (int i = 0; i < 100000; i++) {
      uint32_t lease;
      push(job);
      struct slot *slot = take(&lease);
      done(slot, lease);
    }
    double each = (now() - start) / 1e5;
    if (each < best) best = each;
  }
  return best;
}

int main(int argc, char **argv) {
  queue = mmap(NULL, sizeof *queue, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (queue == MAP_FAILED) { perror("mmap"); return 1; }
  printf("{\"ns\":%.1f}\n", argc > 1 && strcmp(argv[1], "eight") == 0 ? eight() : pair());
}
