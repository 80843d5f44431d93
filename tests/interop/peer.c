/* A participant in C: one command a run, results on stdout. Compiled as C11 and as C++17 by the tests. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "Item.h"
#include "Ledger.h"
#include "shmstruct.h"
#include "tick.h"
#include <poll.h>

static shms_place place;
static shms_segment file;

static int fail(const char *what, int error) {
  printf("%s: %s (%s)\n", what, shms_error_text(error), error == SHMS_E_SYSTEM ? strerror(errno) : "");
  fflush(stdout);
  return 1;
}

static int is_whole(const Ledger *ledger) {
  for (int i = 0; i < 60; i++)
    if (ledger->values[i] != ledger->count) return 0;
  return 1;
}

static void set(Ledger *ledger, uint64_t count) {
  ledger->count = count;
  for (int i = 0; i < 60; i++) ledger->values[i] = count;
}

static int init(void *content, size_t bytes, void *argument) {
  (void)bytes;
  set((Ledger *)content, *(const uint64_t *)argument);
  return SHMS_OK;
}

static int create(uint64_t count, unsigned flags) {
  shms_new wanted;
  memset(&wanted, 0, sizeof wanted);
  wanted.kind = SHMS_RECORD;
  wanted.content_bytes = sizeof(Ledger);
  wanted.fingerprint = Ledger_FINGERPRINT;
  wanted.schema = Ledger_SCHEMA;
  wanted.flags = flags;
  wanted.init = init;
  wanted.argument = &count;
  return shms_create(&place, &wanted);
}

static int edits(long count) {
  for (long i = 0; count < 0 || i < count; i++) {
    int error = shms_edit(&file, -1);
    if (error) return fail("edit", error);
    Ledger *ledger = (Ledger *)file.content;
    __atomic_fetch_add((uint32_t *)(void *)((char *)ledger + offsetof(Ledger, hits)), 1u, __ATOMIC_SEQ_CST);
    set(ledger, ledger->count + 1);
    if (i % 7 == 3) {
      set(ledger, 12345);
      error = shms_roll_back(&file);
      if (error) return fail("roll back", error);
      continue;
    }
    error = shms_commit(&file);
    if (error) return fail("commit", error);
    if (count < 0 && i == 0) {
      printf("%ld\n", i);
      fflush(stdout);
    }
  }
  return 0;
}

/* The same on a file with block marks, each store announced; without end when negative. */
static int blocks(long count) {
  for (long i = 0; count < 0 || i < count; i++) {
    int error = shms_lock(&file, SHMS_EXCLUSIVE, -1);
    if (!error) error = shms_begin_by_blocks(&file);
    if (!error) error = shms_will_write(&file, offsetof(Ledger, count), sizeof(uint64_t) * 61);
    if (error) return fail("blocks", error);
    set((Ledger *)file.content, ((Ledger *)file.content)->count + 1);
    error = i % 7 == 3 ? shms_roll_back(&file) : shms_commit(&file);
    if (error) return fail("commit", error);
    if (count < 0 && i == 0) {
      printf("ready\n");
      fflush(stdout);
    }
  }
  return 0;
}

static int snapshots(int64_t ms) {
  int64_t end = shms_i_now_ns(CLOCK_MONOTONIC) + ms * 1000000;
  uint64_t last = 0, copies = 0, torn = 0, older = 0;
  while (shms_i_now_ns(CLOCK_MONOTONIC) < end) {
    Ledger copy;
    uint64_t version;
    int error = shms_snapshot(&file, &copy, sizeof copy, &version, -1);
    if (error) return fail("snapshot", error);
    if (!is_whole(&copy)) torn++;
    if (version < last) older++;
    last = version;
    copies++;
  }
  printf("%llu %llu %llu\n", (unsigned long long)copies, (unsigned long long)torn, (unsigned long long)older);
  return 0;
}

/* Waits for versions until there was no change for a second; how many it saw. */
static int waits(long count) {
  uint64_t version = 0;
  int error = shms_version(&file, &version);
  printf("ready\n");
  fflush(stdout);
  for (long i = 0; i < count && !error; i++) error = shms_wait_for_change(&file, version, 5000, &version);
  if (error) return fail("wait", error);
  printf("%llu\n", (unsigned long long)(version & 0xffffffffu));
  return 0;
}

static int watches(long count) {
  shms_watch watch;
  int error = shms_watch_start(&watch, &file);
  if (error) return fail("watch", error);
  printf("ready\n");
  fflush(stdout);
  for (long i = 0; i < count; i++) {
    struct pollfd wanted = {watch.fd, POLLIN, 0};
    uint64_t events;
    if (poll(&wanted, 1, 5000) != 1 || read(watch.fd, &events, sizeof events) != sizeof events) return fail("poll", SHMS_E_TIMEOUT);
  }
  shms_watch_stop(&watch);
  printf("seen\n");
  return 0;
}

/* Commits once a millisecond; `count` is the time in nanoseconds. */
static int ticks(long count) {
  struct timespec next;
  clock_gettime(CLOCK_MONOTONIC, &next);
  for (long i = 0; i < count; i++) {
    sleep_until_next_ms(&next);
    int error = shms_edit(&file, -1);
    if (!error) {
      ((Ledger *)file.content)->writer++;
      ((Ledger *)file.content)->count = (uint64_t)shms_i_now_ns(CLOCK_REALTIME);
    }
    if (!error) error = shms_commit(&file);
    if (error) return fail("ticks", error);
  }
  return 0;
}

/* Looks at each event of the descriptor how old the last commit is, in microseconds, until `writer` is that number. */
static int sees(long count) {
  shms_watch watch;
  Ledger ledger;
  uint64_t events, version;
  uint32_t last = 0;
  int error = shms_watch_start(&watch, &file);
  printf("ready\n");
  fflush(stdout);
  while (!error && last < (uint32_t)count) {
    struct pollfd wanted = {watch.fd, POLLIN, 0};
    if (poll(&wanted, 1, 10000) != 1 || read(watch.fd, &events, sizeof events) != sizeof events) return fail("poll", SHMS_E_TIMEOUT);
    error = shms_snapshot(&file, &ledger, sizeof ledger, &version, -1);
    if (ledger.writer != last) printf("%.1f\n", (double)(shms_i_now_ns(CLOCK_REALTIME) - (int64_t)ledger.count) / 1e3);
    last = ledger.writer;
  }
  shms_watch_stop(&watch);
  return error ? fail("sees", error) : 0;
}

/* For how long this thread could have run and had no processor, in nanoseconds, as the kernel counts it. */
static int64_t unscheduled_ns(void) {
  long long ran = 0, unscheduled = 0;
  FILE *schedstat = fopen("/proc/thread-self/schedstat", "re");
  if (schedstat == NULL) return 0;
  if (fscanf(schedstat, "%lld %lld", &ran, &unscheduled) != 2) unscheduled = 0;
  fclose(schedstat);
  return unscheduled;
}

/* In milliseconds of CLOCK_MONOTONIC, which all processes share; for how long it had no processor meanwhile. */
static void say_times(int64_t start, int64_t end, int64_t unscheduled) {
  printf("%.3f %.3f %.3f\n", (double)start / 1e6, (double)end / 1e6, (double)unscheduled / 1e6);
  fflush(stdout);
}

/* Reads under the lock, each time for that many milliseconds, in a row; without end. With TIMES: when each began and ended. */
static int holds_shared(long ms) {
  printf("ready\n");
  fflush(stdout);
  for (;;) {
    int error = shms_lock(&file, SHMS_SHARED, -1);
    if (error) return fail("lock", error);
    int64_t start = shms_i_now_ns(CLOCK_MONOTONIC);
    usleep((useconds_t)ms * 1000);
    int64_t end = shms_i_now_ns(CLOCK_MONOTONIC);
    shms_unlock(&file);
    if (getenv("TIMES") != NULL) say_times(start, end, 0);
  }
}

/* Takes the lock that many times; when each wait began and ended, and how long there was no processor. */
static int waits_for_lock(long count) {
  for (long i = 0; i < count; i++) {
    int64_t unscheduled = unscheduled_ns();
    int64_t start = shms_i_now_ns(CLOCK_MONOTONIC);
    int error = shms_lock(&file, SHMS_EXCLUSIVE, -1);
    if (error) return fail("lock", error);
    int64_t end = shms_i_now_ns(CLOCK_MONOTONIC);
    shms_unlock(&file);
    say_times(start, end, unscheduled_ns() - unscheduled);
    usleep(1000);
  }
  return 0;
}

/* What needs the lock of a record without transactions, while another process holds it. */
static int locked(int ms) {
  Ledger copy;
  int error = shms_snapshot(&file, &copy, sizeof copy, NULL, ms);
  printf("%s\n", shms_error_text(error));
  return error != SHMS_E_TIMEOUT;
}

static int fork_closes(void) {
  int error = shms_lock(&file, SHMS_EXCLUSIVE, -1);
  if (error) return fail("lock", error);
  pid_t child = fork();
  if (child == 0) {
    int in_child = shms_lock(&file, SHMS_SHARED, 0);
    printf("%d\n", in_child == SHMS_E_CLOSED);
    fflush(stdout);
    sleep(120);
    _exit(0);
  }
  shms_unlock(&file);
  shms_close(&file);
  printf("%d\n", (int)child);
  fflush(stdout);
  return 0;
}

/* Reads a backup, which has no lock. */
static int backup(const char *path) {
  Ledger ledger;
  uint64_t version;
  shms_place_at(&place, path);
  int error = shms_open(&file, &place, SHMS_WRITE, SHMS_RECORD, sizeof ledger, Ledger_FINGERPRINT);
  printf("%s\n", shms_error_text(error));
  error = shms_open(&file, &place, SHMS_READ, SHMS_RECORD, sizeof ledger, Ledger_FINGERPRINT);
  if (!error) error = shms_snapshot(&file, &ledger, sizeof ledger, &version, -1);
  if (!error) error = shms_lock(&file, SHMS_SHARED, 0);
  if (!error) error = shms_unlock(&file);
  if (error) return fail("backup", error);
  printf("%llu %llu\n", (unsigned long long)ledger.count, (unsigned long long)version);
  shms_close(&file);
  return 0;
}

static int document(const char *path, const char *text) {
  char copy[4096];
  size_t length;
  uint64_t version;
  shms_place_at(&place, path);
  int error = shms_open(&file, &place, SHMS_WRITE, SHMS_DOCUMENT, 0, 0);
  if (error) return fail("open", error);
  if (text != NULL) error = shms_document_write(&file, text, strlen(text), 1000, &version);
  if (error) return fail("write", error);
  error = shms_document_read(&file, copy, sizeof copy, &length, &version, -1);
  if (error) return fail("read", error);
  printf("%llu %s\n", (unsigned long long)(version & 0xffffffffu), copy);
  shms_close(&file);
  return 0;
}

#define COPIES 40

static void counted(char *text, size_t room, unsigned long long n) {
  int at = snprintf(text, room, "{\"n\":%llu,\"copies\":[%llu", n, n);
  for (int i = 1; i < COPIES; i++) at += snprintf(text + at, room - (size_t)at, ",%llu", n);
  snprintf(text + at, room - (size_t)at, "]}");
}

/* Opens the document {"n":n,"copies":[n,…]}. */
static int open_counted(const char *path, int access) {
  int error = shms_place_at(&place, path);
  return error ? error : shms_open(&file, &place, access, SHMS_DOCUMENT, 0, 0);
}

/* Reads it; whether it is whole. */
static int read_counted(shms_segment *from, unsigned long long *n, uint64_t *version, int *whole) {
  char text[4096], wanted[4096];
  size_t length;
  int error = shms_document_read(from, text, sizeof text, &length, version, -1);
  if (error) return error;
  *n = strtoull(text + 5, NULL, 10);
  counted(wanted, sizeof wanted, *n);
  *whole = strcmp(text, wanted) == 0;
  return SHMS_OK;
}

/* Counts up in a document until it is killed. */
static int counts(const char *path) {
  char text[4096];
  unsigned long long n;
  uint64_t version;
  int whole, error = open_counted(path, SHMS_WRITE);
  for (long i = 0; !error; i++) {
    error = shms_lock(&file, SHMS_EXCLUSIVE, -1);
    if (!error) error = read_counted(&file, &n, &version, &whole);
    if (error) break;
    counted(text, sizeof text, n + 1);
    error = shms_document_write(&file, text, strlen(text), -1, NULL);
    if (!error) error = shms_unlock(&file);
    if (i == 0) {
      printf("ready\n");
      fflush(stdout);
    }
  }
  return fail("counts", error);
}

static int reads(const char *path, int64_t ms) {
  int64_t end = shms_i_now_ns(CLOCK_MONOTONIC) + ms * 1000000;
  uint64_t version, last = 0, copies = 0, torn = 0, older = 0;
  unsigned long long n;
  int whole, error = open_counted(path, SHMS_READ);
  for (; !error && shms_i_now_ns(CLOCK_MONOTONIC) < end; copies++) {
    error = read_counted(&file, &n, &version, &whole);
    if (!whole) torn++;
    if (version < last) older++;
    last = version;
  }
  if (error) return fail("reads", error);
  printf("%llu %llu %llu\n", (unsigned long long)copies, (unsigned long long)torn, (unsigned long long)older);
  return 0;
}

static int is_item(const Item *item) {
  for (int i = 0; i < 15; i++)
    if (item->values[i] != item->number) return 0;
  return 1;
}

static Item item_of(uint64_t number) {
  Item item;
  item.number = number;
  for (int i = 0; i < 15; i++) item.values[i] = number;
  return item;
}

static int create_slots(int kind) {
  shms_slots_new wanted;
  memset(&wanted, 0, sizeof wanted);
  wanted.kind = kind;
  wanted.slots = 64;
  wanted.payload_bytes = sizeof(Item);
  wanted.fingerprint = Item_FINGERPRINT;
  wanted.schema = Item_SCHEMA;
  int error = shms_create_slots(&place, &wanted);
  return error == SHMS_E_EXISTS ? SHMS_OK : error;
}

/* Publishes that many messages, numbered by their index; without end when negative. */
static int publishes(long count) {
  shms_channel channel;
  int error = create_slots(SHMS_CHANNEL);
  if (!error) error = shms_publisher_open(&channel, &place, sizeof(Item), Item_FINGERPRINT, 60000);
  if (error) return fail("publisher", error);
  printf("%llu %u\n", (unsigned long long)channel.cursor, channel.epoch);
  fflush(stdout);
  for (long i = 0; (count < 0 || i < count) && !error; i++) {
    Item item = item_of(channel.cursor);
    error = shms_publish(&channel, &item, sizeof item, 7);
  }
  shms_publisher_close(&channel);
  return error ? fail("publish", error) : 0;
}

/* Receives until that many messages have come or were missed. */
static int receives(long count) {
  shms_channel channel;
  shms_message message;
  Item item;
  uint64_t got = 0, missed = 0, torn = 0;
  int error = shms_subscriber_open(&channel, &place, sizeof(Item), Item_FINGERPRINT, SHMS_OLDEST);
  if (error) return fail("subscriber", error);
  printf("ready\n");
  fflush(stdout);
  while (got + missed < (uint64_t)count) {
    error = shms_receive(&channel, &item, sizeof item, &message, 60000);
    if (error) return fail("receive", error);
    if (!is_item(&item) || item.number != message.index) torn++;
    got++;
    missed += message.missed;
  }
  shms_subscriber_close(&channel);
  printf("%llu %llu\n", (unsigned long long)(got + missed), (unsigned long long)torn);
  return 0;
}

/* For each line that it reads: how many messages there are, and the indexes of the first and the last one. */
static int receives_by_line(void) {
  char line[64];
  shms_channel channel;
  shms_message message;
  Item item;
  int error = shms_subscriber_open(&channel, &place, sizeof(Item), Item_FINGERPRINT, SHMS_OLDEST);
  while (!error && fgets(line, sizeof line, stdin) != NULL) {
    unsigned long long count = 0, first = 0, last = 0;
    while (!(error = shms_receive(&channel, &item, sizeof item, &message, 0))) {
      if (count++ == 0) first = message.index;
      last = message.index;
      if (!is_item(&item) || item.number != message.index) return fail("torn", SHMS_E_FORMAT);
    }
    if (error == SHMS_E_EMPTY) error = SHMS_OK;
    printf("%llu %llu %llu\n", count, first, last);
    fflush(stdout);
  }
  return error ? fail("receives", error) : 0;
}

/* Receives for that long. */
static int listens(int64_t ms) {
  int64_t end = shms_i_now_ns(CLOCK_MONOTONIC) + ms * 1000000;
  shms_channel channel;
  shms_message message;
  Item item;
  unsigned long long received = 0, torn = 0;
  int error = shms_subscriber_open(&channel, &place, sizeof(Item), Item_FINGERPRINT, SHMS_OLDEST);
  while (!error && shms_i_now_ns(CLOCK_MONOTONIC) < end) {
    error = shms_receive(&channel, &item, sizeof item, &message, 20);
    if (error == SHMS_E_EMPTY) {
      error = SHMS_OK;
      continue;
    }
    if (error) break;
    if (!is_item(&item) || item.number != message.index) torn++;
    received++;
  }
  if (error) return fail("listens", error);
  printf("%llu %llu\n", received, torn);
  return 0;
}

/* Appends a line to the file of that name, by one write: what a killed process has buffered would be lost. */
static void note(const char *line) {
  static int log = -1;
  if (log < 0) log = open(getenv("LOG"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (write(log, line, strlen(line)) < 0) abort();
}

/* Pushes jobs from that number on until it is killed, and notes each once it is pushed. */
static int produces(long first) {
  shms_queue queue;
  char line[64];
  int error = shms_queue_open(&queue, &place, sizeof(Item), Item_FINGERPRINT);
  printf("ready\n");
  fflush(stdout);
  for (uint64_t number = (uint64_t)first; !error; number++) {
    Item item = item_of(number);
    error = shms_push(&queue, &item, sizeof item, 0, -1);
    snprintf(line, sizeof line, "%llu\n", (unsigned long long)number);
    if (!error) note(line);
  }
  return fail("produces", error);
}

/* Takes jobs until it is killed, and notes each before it is done. */
static int works(void) {
  shms_queue queue;
  shms_job job;
  char line[64];
  int error = shms_queue_open(&queue, &place, sizeof(Item), Item_FINGERPRINT);
  printf("ready\n");
  fflush(stdout);
  while (!error) {
    error = shms_take(&queue, &job, -1);
    if (error) break;
    const Item *item = (const Item *)job.data;
    snprintf(line, sizeof line, "%llu %d\n", (unsigned long long)item->number, is_item(item));
    note(line);
    error = shms_done(&queue, &job);
  }
  return fail("works", error);
}

/* Pushes jobs with numbers from `first`. */
static int pushes(long first, long count) {
  shms_queue queue;
  int error = create_slots(SHMS_QUEUE);
  if (!error) error = shms_queue_open(&queue, &place, sizeof(Item), Item_FINGERPRINT);
  for (long i = 0; i < count && !error; i++) {
    Item item = item_of((uint64_t)(first + i));
    error = shms_push(&queue, &item, sizeof item, 0, 60000);
  }
  if (error) return fail("push", error);
  shms_queue_close(&queue);
  printf("pushed\n");
  return 0;
}

/* Takes jobs and prints their numbers, until there was none for a while. */
static int takes(int ms) {
  shms_queue queue;
  shms_job job;
  int error = shms_queue_open(&queue, &place, sizeof(Item), Item_FINGERPRINT);
  while (!error && !(error = shms_take(&queue, &job, ms))) {
    const Item *item = (const Item *)job.data;
    unsigned long long number = item->number;
    int whole = is_item(item);
    /* Before it is done: a job is done at least once, and told at least once. */
    printf("%llu %d\n", number, whole);
    fflush(stdout);
    error = shms_done(&queue, &job);
  }
  if (error != SHMS_E_EMPTY) return fail("take", error);
  shms_queue_close(&queue);
  return 0;
}

/* Takes jobs and fails each with a note, until there is none; how often, and why a job could not be moved. */
static int fails(void) {
  shms_queue queue;
  shms_job job;
  int count = 0, error = shms_queue_open(&queue, &place, sizeof(Item), Item_FINGERPRINT);
  while (!error && !(error = shms_take(&queue, &job, 0))) {
    count++;
    error = shms_job_note(&queue, &job, "from C, in a text that is longer than the thirty-two bytes");
    /* The last attempt of the first job is to wait, which a dead letter does not. */
    if (!error) error = shms_job_fail(&queue, &job, job.attempt == 3 && ((Item *)job.data)->number == 1 ? 60000 : 0);
  }
  if (error != SHMS_E_EMPTY) return fail("fails", error);
  printf("%d %s\n", count, shms_error_text(queue.dead_error));
  shms_queue_close(&queue);
  return 0;
}

/* Pushes a job for each line that it reads. */
static int pushes_by_line(void) {
  char line[64];
  shms_queue queue;
  int error = shms_queue_open(&queue, &place, sizeof(Item), Item_FINGERPRINT);
  for (uint64_t number = 0; !error && fgets(line, sizeof line, stdin) != NULL; number++) {
    Item item = item_of(number);
    error = shms_push(&queue, &item, sizeof item, 0, 60000);
    printf("%s\n", shms_error_text(error));
    fflush(stdout);
  }
  if (error) return 1;
  shms_queue_close(&queue);
  return 0;
}

/* Takes a job and extends its lease for that long, then loses it. */
static int leases(int64_t ms) {
  shms_queue queue;
  shms_job job;
  int64_t end = shms_i_now_ns(CLOCK_MONOTONIC) + ms * 1000000;
  int error = shms_queue_open(&queue, &place, sizeof(Item), Item_FINGERPRINT);
  if (!error) error = shms_take(&queue, &job, 60000);
  if (error) return fail("take", error);
  printf("taken\n");
  fflush(stdout);
  while (!error && shms_i_now_ns(CLOCK_MONOTONIC) < end) {
    error = shms_job_extend(&queue, &job);
    usleep(2000);
  }
  printf("%s\n", shms_error_text(error));
  fflush(stdout);
  for (int i = 0; i < 20000 && shms_job_is_held(&queue, &job); i++) usleep(5000);
  printf("%s\n", shms_error_text(shms_done(&queue, &job)));
  shms_queue_close(&queue);
  return 0;
}

/* Takes a job and keeps it for that long; without end when 0. */
static int holds(long ms) {
  shms_queue queue;
  shms_job job;
  int error = shms_queue_open(&queue, &place, sizeof(Item), Item_FINGERPRINT);
  if (!error) error = shms_take(&queue, &job, 60000);
  if (error) return fail("take", error);
  printf("taken\n");
  fflush(stdout);
  if (ms == 0) sleep(120);
  usleep((useconds_t)ms * 1000);
  printf("%s\n", shms_error_text(shms_done(&queue, &job)));
  shms_queue_close(&queue);
  return 0;
}

/*
 * A participant of tests/conformance/languages.test.ts: reads lines `COMMAND KIND DIRECTORY`, and answers each by one. A state is a
 * number: of a record and a document what it counts, of a channel its messages, of a queue its jobs.
 */
typedef struct served {
  int kind, is_open;
  shms_place place;
  shms_segment file;
  shms_channel subscriber, publisher;
  shms_queue queue;
  shms_job job;
} served;

static const int SERVED_TORN = -1, SERVED_SAID = -2;

static const char *word_of(int error) {
  if (error == SERVED_TORN) return "torn";
  switch (error) {
    case SHMS_E_MISSING: return "missing";
    case SHMS_E_FORMAT: case SHMS_E_TRUNCATED: case SHMS_E_VERSION: case SHMS_E_ABI: return "damaged";
    case SHMS_E_TIMEOUT: return "timeout";
    case SHMS_E_LAYOUT: case SHMS_E_CONTENT: return "layout";
    default: return shms_error_text(error);
  }
}

static void served_close(served *one) {
  if (!one->is_open) return;
  if (one->kind == SHMS_CHANNEL) shms_subscriber_close(&one->subscriber);
  else if (one->kind == SHMS_QUEUE) shms_queue_close(&one->queue);
  else shms_close(&one->file);
  one->is_open = 0;
}

static int served_place(served *one, const char *dir) {
  char path[PATH_MAX + 4];
  if (one->kind != SHMS_DOCUMENT) return shms_place_of(&one->place, dir, one->kind == SHMS_RECORD ? "Ledger" : "Item", "", one->kind);
  snprintf(path, sizeof path, "%s/d", dir);
  return shms_place_at(&one->place, path);
}

static int served_open(served *one) {
  int error;
  if (one->kind == SHMS_CHANNEL) error = shms_subscriber_open(&one->subscriber, &one->place, sizeof(Item), Item_FINGERPRINT, SHMS_OLDEST);
  else if (one->kind == SHMS_QUEUE) error = shms_queue_open(&one->queue, &one->place, sizeof(Item), Item_FINGERPRINT);
  else if (one->kind == SHMS_DOCUMENT) error = shms_open(&one->file, &one->place, SHMS_WRITE, SHMS_DOCUMENT, 0, 0);
  else error = shms_open(&one->file, &one->place, SHMS_WRITE, SHMS_RECORD, sizeof(Ledger), Ledger_FINGERPRINT);
  one->is_open = error == SHMS_OK;
  return error;
}

static int served_create(const served *one) {
  place = one->place;
  if (one->kind == SHMS_DOCUMENT) return SHMS_E_ARGUMENT;
  int error = one->kind == SHMS_RECORD ? create(0, 0) : create_slots(one->kind);
  return error == SHMS_E_EXISTS ? SHMS_OK : error;
}

/* Takes all jobs, then gives them back. */
static int served_jobs(shms_queue *jobs, uint64_t *state) {
  shms_job taken[64];
  int error = SHMS_OK, is_torn = 0;
  for (*state = 0; *state < 64; ++*state) {
    error = shms_take(jobs, &taken[*state], 0);
    if (error) break;
    is_torn |= !is_item((const Item *)taken[*state].data);
  }
  for (uint64_t i = 0; i < *state; i++) shms_job_release(jobs, &taken[i]);
  return error != SHMS_OK && error != SHMS_E_EMPTY ? error : is_torn ? SERVED_TORN : (int)SHMS_OK;
}

static int served_messages(shms_channel *subscriber, uint64_t *state) {
  shms_message message;
  Item item;
  int error = shms_subscriber_published(subscriber, state);
  while (!error) {
    error = shms_receive(subscriber, &item, sizeof item, &message, 0);
    if (!error && (!is_item(&item) || item.number != message.index)) return SERVED_TORN;
  }
  return error == SHMS_E_EMPTY ? SHMS_OK : error;
}

/* What everybody sees, under the lock where there is one to take; `peek`: without it. */
static int served_state(served *one, uint64_t *state, int peek) {
  Ledger ledger;
  unsigned long long n = 0;
  uint64_t version;
  int whole = 1, error = SHMS_OK;
  if (one->kind == SHMS_QUEUE) return served_jobs(&one->queue, state);
  if (one->kind == SHMS_CHANNEL) return served_messages(&one->subscriber, state);
  if (!peek) error = shms_lock(&one->file, SHMS_SHARED, 100000);
  if (error) return error;
  if (one->kind == SHMS_DOCUMENT) error = read_counted(&one->file, &n, &version, &whole);
  else error = shms_snapshot(&one->file, &ledger, sizeof ledger, &version, -1);
  if (!peek) shms_unlock(&one->file);
  *state = one->kind == SHMS_DOCUMENT ? n : ledger.count;
  if (error) return error;
  return (one->kind == SHMS_DOCUMENT ? whole : is_whole(&ledger)) ? (int)SHMS_OK : SERVED_TORN;
}

static int served_advance(served *one, int timeout_ms) {
  char text[4096];
  unsigned long long n;
  uint64_t version;
  int whole, error;
  Item item = item_of(0);
  if (one->kind == SHMS_QUEUE) return shms_push(&one->queue, &item, sizeof item, 0, timeout_ms);
  if (one->kind == SHMS_CHANNEL) {
    error = shms_publisher_open(&one->publisher, &one->place, sizeof item, Item_FINGERPRINT, timeout_ms);
    if (error) return error;
    item = item_of(one->publisher.cursor);
    error = shms_publish(&one->publisher, &item, sizeof item, 0);
    shms_publisher_close(&one->publisher);
    return error;
  }
  if (one->kind == SHMS_RECORD) {
    error = shms_edit(&one->file, timeout_ms);
    if (error) return error;
    set((Ledger *)one->file.content, ((Ledger *)one->file.content)->count + 1);
    return shms_commit(&one->file);
  }
  error = shms_lock(&one->file, SHMS_EXCLUSIVE, timeout_ms);
  if (!error) error = read_counted(&one->file, &n, &version, &whole);
  if (!error) {
    counted(text, sizeof text, n + 1);
    error = shms_document_write(&one->file, text, strlen(text), -1, NULL);
  }
  shms_unlock(&one->file);
  return error;
}

/* Stops in the middle of a write, or of a job. */
static int served_half(served *one) {
  void *payload;
  int error;
  if (one->kind == SHMS_QUEUE) return shms_take(&one->queue, &one->job, 100000);
  if (one->kind == SHMS_DOCUMENT) return shms_lock(&one->file, SHMS_EXCLUSIVE, 100000);
  if (one->kind == SHMS_RECORD) {
    error = shms_edit(&one->file, 100000);
    if (!error) ((Ledger *)one->file.content)->values[7] = 12345;
    return error;
  }
  error = shms_publisher_open(&one->publisher, &one->place, sizeof(Item), Item_FINGERPRINT, 100000);
  if (!error) error = shms_loan(&one->publisher, &payload);
  if (!error) memset(payload, 255, 100);
  return error;
}

/* Publishes one more message as the publisher that `half` has made. */
static int served_again(served *one) {
  void *payload;
  int error = shms_loan(&one->publisher, &payload);
  if (error) return error;
  /* Not before: in another file another message comes next. */
  Item item = item_of(one->publisher.cursor);
  memcpy(payload, &item, sizeof item);
  return shms_send(&one->publisher, sizeof item, 0);
}

static int served_release(served *one) {
  if (one->kind == SHMS_QUEUE) return shms_job_release(&one->queue, &one->job);
  if (one->kind == SHMS_CHANNEL) shms_publisher_close(&one->publisher);
  else return shms_unlock(&one->file);
  return SHMS_OK;
}

/* Says when there was a change. */
static int served_watch(served *one) {
  shms_message message;
  Item item;
  uint64_t version, found;
  int error = SHMS_OK;
  if (one->kind == SHMS_CHANNEL) error = served_messages(&one->subscriber, &found);
  else error = shms_version(&one->file, &version);
  printf("watching\n");
  fflush(stdout);
  if (error) return error;
  if (one->kind == SHMS_CHANNEL) return shms_receive(&one->subscriber, &item, sizeof item, &message, 100000);
  return shms_wait_for_change(&one->file, version, 100000, NULL);
}

static int served_do(served *one, const char *command, const char *dir) {
  uint64_t state = 0;
  int error;
  if (strcmp(command, "open") == 0 || strcmp(command, "create") == 0) {
    served_close(one);
    error = served_place(one, dir);
    if (!error && strcmp(command, "create") == 0) error = served_create(one);
    return error ? error : served_open(one);
  }
  if (!one->is_open) return SHMS_E_CLOSED;
  if (strcmp(command, "state") == 0 || strcmp(command, "peek") == 0) {
    error = served_state(one, &state, command[0] == 'p');
    if (!error) printf("state %llu\n", (unsigned long long)state);
    return error ? error : SERVED_SAID;
  }
  if (strcmp(command, "advance") == 0) return served_advance(one, 100000);
  if (strcmp(command, "try") == 0) return served_advance(one, 0);
  if (strcmp(command, "half") == 0) return served_half(one);
  if (strcmp(command, "again") == 0) return served_again(one);
  if (strcmp(command, "release") == 0) return served_release(one);
  if (strcmp(command, "watch") == 0) return served_watch(one);
  if (strcmp(command, "churn") != 0) return SHMS_E_ARGUMENT;
  printf("churning\n");
  fflush(stdout);
  do error = served_advance(one, 100000);
  while (!error);
  return error;
}

static int serve(void) {
  static served all[5];
  char line[PATH_MAX + 32], command[16], name[16], dir[PATH_MAX];
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (sscanf(line, "%15s %15s %4095s", command, name, dir) != 3) return 2;
    int kind = name[0] == 'r' ? SHMS_RECORD : name[0] == 'd' ? SHMS_DOCUMENT : name[0] == 'c' ? SHMS_CHANNEL : SHMS_QUEUE;
    all[kind].kind = kind;
    int error = served_do(&all[kind], command, dir);
    if (error != SERVED_SAID) printf("%s\n", error == SHMS_OK ? "ok" : word_of(error));
    fflush(stdout);
  }
  for (int kind = SHMS_RECORD; kind <= SHMS_QUEUE; kind++) served_close(&all[kind]);
  return 0;
}

/* Whether `word` is among the words of `words`. */
static int is_any(const char *word, const char *words) {
  const char *found = strstr(words, word);
  size_t length = strlen(word);
  return found != NULL && (found == words || found[-1] == ' ') && (found[length] == ' ' || found[length] == 0);
}

/* The errors for names and tags that can be no part of a file's name. */
static int names(const char *dir) {
  const char *bad[][2] = {{"../x", ""}, {"", ""}, {"Ledger", "a/b"}, {"Ledger", "a\nb"}, {"Ledger", "\x7f"}, {"Ledger", "left \xc3\xa9."}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    printf("%s%d", i ? " " : "", shms_place_of(&place, dir, bad[i][0], bad[i][1], SHMS_RECORD) == SHMS_E_ARGUMENT);
  return printf("\n") < 0;
}

int main(int count, char **words) {
  if (count == 2 && strcmp(words[1], "serve") == 0) return serve();
  if (count < 3) return 2;
  const char *command = words[1];
  long number = count > 3 ? atol(words[3]) : 0;
  if (strcmp(command, "backup") == 0) return backup(words[2]);
  if (strcmp(command, "document") == 0) return document(words[2], count > 3 ? words[3] : NULL);
  if (strcmp(command, "counts") == 0) return counts(words[2]);
  if (strcmp(command, "names") == 0) return names(words[2]);
  if (strcmp(command, "reads") == 0) return reads(words[2], number);
  if (is_any(command, "publishes receives listens received")) {
    int bad = shms_place_of(&place, words[2], "Item", "", SHMS_CHANNEL);
    if (bad) return fail("place", bad);
    if (strcmp(command, "listens") == 0) return listens(number);
    if (strcmp(command, "received") == 0) return receives_by_line();
    return strcmp(command, "publishes") == 0 ? publishes(number) : receives(number);
  }
  if (is_any(command, "pushes takes holds produces works fails lines leases")) {
    int bad = shms_place_of(&place, words[2], "Item", "", SHMS_QUEUE);
    if (bad) return fail("place", bad);
    if (strcmp(command, "holds") == 0) return holds(number);
    if (strcmp(command, "produces") == 0) return produces(number);
    if (strcmp(command, "works") == 0) return works();
    if (strcmp(command, "fails") == 0) return fails();
    if (strcmp(command, "lines") == 0) return pushes_by_line();
    if (strcmp(command, "leases") == 0) return leases(number);
    return strcmp(command, "pushes") == 0 ? pushes(number, count > 4 ? atol(words[4]) : 1) : takes((int)number);
  }
  int error = shms_place_of(&place, words[2], "Ledger", "", SHMS_RECORD);
  if (error) return fail("place", error);
  if (getenv("TRUST") != NULL) shms_trust(&place);
  if (strcmp(command, "create") == 0) {
    error = create((uint64_t)number, 0);
    return error ? fail("create", error) : printf("created\n") < 0;
  }
  if (strcmp(command, "replace") == 0) {
    error = create((uint64_t)number, SHMS_FORCE);
    return error ? fail("create", error) : printf("created\n") < 0;
  }
  int only_reads = strcmp(command, "snapshots") == 0;
  error = shms_open(&file, &place, only_reads ? SHMS_READ : SHMS_WRITE, SHMS_RECORD, sizeof(Ledger), Ledger_FINGERPRINT);
  if (error) return fail("open", error);
  int result = 2;
  if (strcmp(command, "edits") == 0) result = edits(number);
  if (strcmp(command, "blocks") == 0) result = blocks(number);
  if (only_reads) result = snapshots(number);
  if (strcmp(command, "waits") == 0) result = waits(number);
  if (strcmp(command, "watches") == 0) result = watches(number);
  if (strcmp(command, "ticks") == 0) result = ticks(number);
  if (strcmp(command, "sees") == 0) result = sees(number);
  if (strcmp(command, "shares") == 0) result = holds_shared(number);
  if (strcmp(command, "waits-for-lock") == 0) result = waits_for_lock(number);
  if (strcmp(command, "fork") == 0) result = fork_closes();
  if (strcmp(command, "locked") == 0) result = locked((int)number);
  if (strcmp(command, "timeout") == 0) {
    error = shms_lock(&file, SHMS_EXCLUSIVE, (int)number);
    printf("%s\n", shms_error_text(error));
    result = 0;
  }
  shms_close(&file);
  return result;
}
