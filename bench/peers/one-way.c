// The floor of a message of 64 bytes between two processes that spin, or sleep.
//   one-way flag   64 bytes and a flag on a line of its own, copied in and copied out: no header, no history, no count of what was lost
//   one-way slot   the stores and loads of a channel's slot by hand: odd, header, payload, time, even, next, the next slot's lines; look, copy, second look
//   one-way sleep  as flag, but who takes sleeps on a futex until it is woken
#include "common.h"
#include <linux/futex.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { BYTES = 64, SLOTS = 1024, ROUNDS = 50000, WARM_UP = 20000 };
struct slot {
  _Alignas(64) _Atomic uint32_t sequence;
  uint32_t length;
  uint64_t index, time;
  uint32_t epoch, type;
  _Alignas(64) char bytes[BYTES];
};
struct side {
  _Alignas(64) _Atomic uint32_t next;
  struct slot slots[SLOTS];
};

static void give_flag(struct side *side, uint32_t k, const char *bytes) {
  memcpy(side->slots[0].bytes, bytes, BYTES);
  atomic_store_explicit(&side->slots[0].sequence, k + 1, memory_order_release);
}

static void take_flag(struct side *side, uint32_t k, char *bytes) {
  while (atomic_load_explicit(&side->slots[0].sequence, memory_order_acquire) != k + 1) {
  }
  memcpy(bytes, side->slots[0].bytes, BYTES);
}

static void give_asleep(struct side *side, uint32_t k, const char *bytes) {
  give_flag(side, k, bytes);
  syscall(SYS_futex, &side->slots[0].sequence, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void take_asleep(struct side *side, uint32_t k, char *bytes) {
  while (atomic_load_explicit(&side->slots[0].sequence, memory_order_acquire) != k + 1)
    syscall(SYS_futex, &side->slots[0].sequence, FUTEX_WAIT, k, NULL, NULL, 0);
  memcpy(bytes, side->slots[0].bytes, BYTES);
}

static void give_slot(struct side *side, uint32_t k, const char *bytes) {
  struct slot *slot = &side->slots[k % SLOTS];
  atomic_store_explicit(&slot->sequence, 2 * k + 1, memory_order_relaxed);
  atomic_thread_fence(memory_order_release);
  slot->index = k;
  slot->epoch = 1;
  memcpy(slot->bytes, bytes, BYTES);
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  slot->time = t.tv_sec * 1000000000ULL + t.tv_nsec;
  slot->length = BYTES;
  slot->type = 0;
  atomic_store_explicit(&slot->sequence, 2 * k + 2, memory_order_release);
  atomic_store_explicit(&side->next, k + 1, memory_order_release);
  // Stores what is there: the lines come now, and not when the next message waits for them.
  volatile uint32_t *following = (volatile uint32_t *)&side->slots[(k + 1) % SLOTS];
  following[0] = following[0];
  following[offsetof(struct slot, bytes) / 4] = following[offsetof(struct slot, bytes) / 4];
}

static void take_slot(struct side *side, uint32_t k, char *bytes) {
  struct slot *slot = &side->slots[k % SLOTS];
  for (;;) {
    while (atomic_load_explicit(&slot->sequence, memory_order_acquire) != 2 * k + 2) {
    }
    if (slot->index != k) continue;
    memcpy(bytes, slot->bytes, BYTES);
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&slot->sequence, memory_order_relaxed) == 2 * k + 2) return;
  }
}

int main(int argc, char **argv) {
  const char *way = argc > 1 ? argv[1] : "flag";
  int is_slot = strcmp(way, "slot") == 0, sleeps = strcmp(way, "sleep") == 0;
  void (*give)(struct side *, uint32_t, const char *) = is_slot ? give_slot : sleeps ? give_asleep : give_flag;
  void (*take)(struct side *, uint32_t, char *) = is_slot ? take_slot : sleeps ? take_asleep : take_flag;
  struct side *sides = mmap(NULL, 2 * sizeof *sides, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (sides == MAP_FAILED) { perror("mmap"); return 1; }
  char bytes[BYTES] = {1};
  pid_t child = must(fork(), "fork");
  stay_on(child == 0 ? 1 : 0);
  if (child == 0) {
    for (uint32_t k = 0;; k++) {
      take(&sides[0], k, bytes);
      give(&sides[1], k, bytes);
    }
  }
  static double times[ROUNDS];
  for (uint32_t k = 0; k < ROUNDS + WARM_UP; k++) {
    int64_t start = now();
    give(&sides[0], k, bytes);
    take(&sides[1], k, bytes);
    if (k >= WARM_UP) times[k - WARM_UP] = (now() - start) / 2.0;
  }
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  double p50 = quantile(times, ROUNDS, 0.5);
  printf("{\"p50\":%.1f,\"p99\":%.1f}\n", p50, quantile(times, ROUNDS, 0.99));
}
