/*
 * shmstruct.h: the files of shmstruct (format 2, lock page 2) for C11 and C++17 on Linux, little-endian, 64 bits.
 *
 * MIT License, Copyright (c) the authors of shmstruct: see LICENSE. No dependency but libc (with glibc before 2.34: -pthread).
 *
 * A program that includes this header is a full participant: it takes the same lock in the same queue, its edits are the
 * same transactions, its snapshots need no lock, its commits wake who waits, and it repairs what a killed writer left.
 *
 *     #define _GNU_SOURCE              // before any other header; with g++ it is the default
 *     #include "shmstruct.h"
 *     #include "Robot.h"               // shmstruct export c Robot.mmap > Robot.h
 *
 *     shms_place place;
 *     shms_segment file;
 *     int error = shms_place_of(&place, "/run/robot", "Robot", "left", SHMS_RECORD);
 *     if (!error) error = shms_open(&file, &place, SHMS_WRITE, SHMS_RECORD, sizeof(Robot), Robot_FINGERPRINT);
 *     if (!error) error = shms_edit(&file, -1);                    // the lock, then a transaction; -1: however long it takes
 *     if (!error) { ((Robot *)file.content)->speed = 3; error = shms_commit(&file); }
 *     if (error) fprintf(stderr, "%s\n", shms_error_text(error));
 *     shms_close(&file);
 *
 * Every function returns 0 (SHMS_OK) or an error of `enum shms_error` unless its comment says otherwise. SHMS_E_SYSTEM leaves
 * the reason in errno. Nothing here exits or prints. Times are in milliseconds; a timeout of -1 never ends, 0 tries once.
 *
 * One `shms_segment` belongs to one thread at a time. Two of them, also in one thread, exclude each other as two processes do;
 * a thread that waits for a lock that it holds itself through another one waits for ever. In a forked child every segment is
 * closed (SHMS_E_CLOSED): a child would keep its parent's locks alive. Open what the child needs in the child.
 */
#ifndef SHMSTRUCT_H
#define SHMSTRUCT_H

#ifndef _GNU_SOURCE
#error "shmstruct.h needs #define _GNU_SOURCE before the first header (open file description locks)"
#endif
#if !defined(__linux__) || !defined(__LP64__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "shmstruct.h is for little-endian Linux of 64 bits"
#endif

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <limits.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- errors ---- */

/** What functions return. @see shms_error_text */
enum shms_error {
  SHMS_OK = 0,
  SHMS_E_SYSTEM,      /* a system call failed: errno */
  SHMS_E_MISSING,     /* there is no such file, or no lock file beside it */
  SHMS_E_FORMAT,      /* no file of shmstruct, or damaged */
  SHMS_E_VERSION,     /* another format of the file: another version of shmstruct */
  SHMS_E_ABI,         /* made on a machine with another ABI */
  SHMS_E_CONTENT,     /* another content: a document where a record was asked for */
  SHMS_E_LAYOUT,      /* another struct: its fingerprint or size differs */
  SHMS_E_TRUNCATED,   /* the file was truncated while it was in use */
  SHMS_E_TIMEOUT,     /* the lock, or the change, did not come in time */
  SHMS_E_HELD,        /* this segment holds the lock already, or a transaction is open */
  SHMS_E_NOT_HELD,    /* the call needs the exclusive lock, or a transaction */
  SHMS_E_READ_ONLY,   /* the segment was opened with SHMS_READ */
  SHMS_E_EXISTS,      /* create without SHMS_FORCE, and there is a file */
  SHMS_E_ARGUMENT,    /* an argument that cannot be right */
  SHMS_E_CLOSED,      /* closed, or opened before fork() in the parent */
  SHMS_E_NO_ROLLBACK, /* roll back in a file that keeps no earlier state, without memory for one */
  SHMS_E_FULL,        /* a queue without a free slot; a buffer or document that is too small */
  SHMS_E_EMPTY,       /* nothing there: no message, no job, no document */
  SHMS_E_LEASE_LOST,  /* the job was given to another worker meanwhile */
  SHMS_E_OWNERS,      /* 1,022 queue objects are in use */
  SHMS_E_UNTRUSTED,   /* other users could truncate the file, which kills who uses it; see shms_trust */
  SHMS_E_OVERWRITTEN  /* the message was overwritten while it was read: throw away what was read */
};

/** A text for an error, in English; static. @return never NULL, also for an unknown number @example fprintf(stderr, "%s\n", shms_error_text(error)); */
static inline const char *shms_error_text(int error) {
  switch (error) {
    case SHMS_OK: return "no error";
    case SHMS_E_SYSTEM: return "a system call failed: errno tells why";
    case SHMS_E_MISSING: return "there is no such file, or no lock file beside it";
    case SHMS_E_FORMAT: return "no file of shmstruct, or it is damaged";
    case SHMS_E_VERSION: return "the file has another format: it was made by another version of shmstruct";
    case SHMS_E_ABI: return "the file was made on a machine with another ABI";
    case SHMS_E_CONTENT: return "the file holds another kind of content";
    case SHMS_E_LAYOUT: return "the file holds another struct: fingerprint or size differ; export the header again";
    case SHMS_E_TRUNCATED: return "the file was truncated while it was in use";
    case SHMS_E_TIMEOUT: return "not within the timeout";
    case SHMS_E_HELD: return "the segment holds its lock already";
    case SHMS_E_NOT_HELD: return "the lock is not held, or no transaction is open";
    case SHMS_E_READ_ONLY: return "the segment was opened for reading only";
    case SHMS_E_EXISTS: return "the file exists already";
    case SHMS_E_ARGUMENT: return "an argument cannot be right";
    case SHMS_E_CLOSED: return "the segment is closed, or was opened before fork()";
    case SHMS_E_NO_ROLLBACK: return "the file keeps no earlier state to roll back to";
    case SHMS_E_FULL: return "full, or the buffer is too small";
    case SHMS_E_EMPTY: return "there is nothing";
    case SHMS_E_LEASE_LOST: return "the job was given to another worker";
    case SHMS_E_OWNERS: return "all 1,022 owners of the queue are in use";
    case SHMS_E_UNTRUSTED: return "another user owns the file or may write to it, and could kill its users by truncating it";
    case SHMS_E_OVERWRITTEN: return "the message was overwritten while it was read";
    default: return "an unknown error";
  }
}

/* ---- words of shared memory ---- */

/* ThreadSanitizer knows no fences: an operation on a word of the program orders as much. */
#if defined(__SANITIZE_THREAD__)
#define SHMS_I_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SHMS_I_TSAN 1
#endif
#endif

static inline void shms_i_fence(void) {
#ifdef SHMS_I_TSAN
  static uint32_t word;
  __atomic_fetch_add(&word, 0, __ATOMIC_SEQ_CST);
#else
  __atomic_thread_fence(__ATOMIC_ACQ_REL);
#endif
}

static inline uint32_t shms_i_load(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }

/* A store that all stores before it precede, and all after it follow. */
static inline void shms_i_publish(uint32_t *word, uint32_t value) {
  __atomic_store_n(word, value, __ATOMIC_RELEASE);
  shms_i_fence();
}

static inline uint64_t shms_i_load64(const uint32_t *words) {
  return (uint64_t)__atomic_load_n(words, __ATOMIC_RELAXED) |
         ((uint64_t)__atomic_load_n(words + 1, __ATOMIC_RELAXED) << 32);
}

static inline void shms_i_store64(uint32_t *words, uint64_t value) {
  __atomic_store_n(words, (uint32_t)value, __ATOMIC_RELAXED);
  __atomic_store_n(words + 1, (uint32_t)(value >> 32), __ATOMIC_RELAXED);
}

static inline int64_t shms_i_now_ns(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Since the machine was started, suspended or not. */
#ifdef CLOCK_BOOTTIME
#define SHMS_I_BOOTTIME CLOCK_BOOTTIME
#else
#define SHMS_I_BOOTTIME CLOCK_MONOTONIC
#endif

/* The first 8 bytes of the id that the kernel gave this start of the machine; zeros where it tells none. */
static inline void shms_i_boot_id(uint8_t *id) {
  char text[36];
  int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text);
  if (fd >= 0) close(fd);
  memset(id, 0, 8);
  for (int at = 0, digits = 0; got >= 18 && digits < 16 && at < got; at++) {
    const char *found = text[at] == '\0' ? NULL : strchr("0123456789abcdef", text[at]);
    if (found == NULL) continue;
    id[digits / 2] = (uint8_t)(id[digits / 2] * 16 + (found - "0123456789abcdef"));
    digits++;
  }
}

static inline void shms_i_futex_wait(uint32_t *word, uint32_t expected, int64_t ns) {
  struct timespec timeout;
  timeout.tv_sec = (time_t)(ns / 1000000000);
  timeout.tv_nsec = (long)(ns % 1000000000);
  /* 0: FUTEX_WAIT between processes. Whatever it returns, callers look again. */
  syscall(SYS_futex, word, 0, expected, &timeout, NULL, 0);
}

/* Until a time of CLOCK_MONOTONIC; 9: FUTEX_WAIT_BITSET. 0 when it was woken. */
static inline int shms_i_futex_wait_as(uint32_t *word, uint32_t expected, int64_t until, uint32_t bits) {
  struct timespec time;
  time.tv_sec = (time_t)(until / 1000000000);
  time.tv_nsec = (long)(until % 1000000000);
  return syscall(SYS_futex, word, 9, expected, &time, NULL, bits) == 0 ? 0 : errno;
}

static inline void shms_i_futex_wake(uint32_t *word, int count) {
  /* 1: FUTEX_WAKE. */
  syscall(SYS_futex, word, 1, count, NULL, NULL, 0);
}

/* 10: FUTEX_WAKE_BITSET. Passes by those that sleep with other bits; how many it woke. */
static inline long shms_i_futex_wake_of(uint32_t *word, int count, uint32_t bits) {
  return syscall(SYS_futex, word, 10, count, NULL, NULL, bits);
}

/* 3: FUTEX_REQUEUE. Moves the first sleeper from this futex to this futex, and says whether there is one. */
static inline int shms_i_futex_has_sleepers(uint32_t *word) { return syscall(SYS_futex, word, 3, 0, (void *)1, word, 0) != 0; }

/* CRC-32 as in zlib, four bits at a time. */
static inline uint32_t shms_i_crc32(uint32_t crc, const void *bytes, size_t length) {
  static const uint32_t table[16] = {0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u,
                                     0x4db26158u, 0x5005713cu, 0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu,
                                     0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};
  const uint8_t *byte = (const uint8_t *)bytes;
  crc = ~crc;
  for (size_t i = 0; i < length; i++) {
    crc = table[(crc ^ byte[i]) & 15u] ^ (crc >> 4);
    crc = table[(crc ^ (uint32_t)(byte[i] >> 4)) & 15u] ^ (crc >> 4);
  }
  return ~crc;
}

/* ---- where the files are ---- */

/** What a file may hold. */
enum shms_content { SHMS_RECORD = 1, SHMS_DOCUMENT = 2, SHMS_CHANNEL = 3, SHMS_QUEUE = 4 };

/** Which of the kernel's locks a file goes by: it stands in the file. */
enum shms_lock_kind { SHMS_FLOCK = 0, SHMS_FCNTL = 1 };

/** How a segment is opened. */
enum shms_access { SHMS_READ = 0, SHMS_WRITE = 1 };

/** How the lock is held. */
enum shms_mode { SHMS_SHARED = 1, SHMS_EXCLUSIVE = 2 };

/** The names of a segment's files. @see shms_place_of, shms_place_at */
typedef struct shms_place {
  char data[PATH_MAX];
  /* By lock kind. */
  char lock[2][PATH_MAX];
  int trust;
} shms_place;

static inline int shms_i_text(char *target, const char *a, const char *b, const char *c, const char *d) {
  size_t lengths[4] = {strlen(a), strlen(b), strlen(c), strlen(d)};
  size_t total = lengths[0] + lengths[1] + lengths[2] + lengths[3];
  if (total + sizeof("-page.new-0123456789abcdef") > PATH_MAX) return SHMS_E_ARGUMENT;
  memcpy(target, a, lengths[0]);
  memcpy(target + lengths[0], b, lengths[1]);
  memcpy(target + lengths[0] + lengths[1], c, lengths[2]);
  memcpy(target + lengths[0] + lengths[1] + lengths[2], d, lengths[3]);
  target[total] = 0;
  return SHMS_OK;
}

/* Whether a text can be part of a file's name: it cannot leave the directory. */
static inline int shms_i_is_name_part(const char *part) {
  for (; *part; part++)
    if (*part == '/' || (unsigned char)*part < 0x20 || *part == 0x7F) return 0;
  return 1;
}

/**
 * The place of a segment named after a struct: `<dir>/<name>_<tag>.mmap`, as `{ dir, tag }` is in TypeScript. A file whose lock
 * is of kind fcntl has its lock file in another directory: name it with `shms_lock_dir`.
 * @param tag "" for none
 * @param content gives the ending: .mmap, .json, .channel, .queue
 * @return SHMS_E_ARGUMENT for a path that is too long, an empty name, and a name or tag with a slash or an ASCII control character
 * @example shms_place_of(&place, "/run/robot", "Robot", "left", SHMS_RECORD);
 */
static inline int shms_place_of(shms_place *place, const char *dir, const char *name, const char *tag, int content) {
  char stem[PATH_MAX], path[PATH_MAX];
  place->trust = 0;
  const char *ending = content == SHMS_CHANNEL ? ".channel" : content == SHMS_QUEUE ? ".queue" : "";
  if (!*name || !shms_i_is_name_part(name) || !shms_i_is_name_part(tag)) return SHMS_E_ARGUMENT;
  int error = shms_i_text(stem, name, "_", tag, "");
  if (!error) error = shms_i_text(path, dir, "/", stem, "");
  if (!error) error = shms_i_text(place->data, path, content == SHMS_RECORD ? ".mmap" : ending, "", "");
  if (!error) error = shms_i_text(place->lock[SHMS_FLOCK], path, ending, ".lock", "");
  if (!error) error = shms_i_text(place->lock[SHMS_FCNTL], ".fasteners/", stem, ending, ".lockfile");
  return error;
}

/**
 * The place of a segment whose lock file lies beside it: a document, or a shared memory object (/dev/shm/name).
 * @return SHMS_E_ARGUMENT for a path that is too long
 * @example shms_place_at(&place, "/run/robot/config.json");
 */
static inline int shms_place_at(shms_place *place, const char *path) {
  int error = shms_i_text(place->data, path, "", "", "");
  place->trust = 0;
  if (!error) error = shms_i_text(place->lock[SHMS_FLOCK], path, ".lock", "", "");
  if (!error) error = shms_i_text(place->lock[SHMS_FCNTL], path, ".lockfile", "", "");
  return error;
}

/**
 * Accepts a file that other users own or may write to. Without this it is refused: who can truncate a file kills every process
 * that touches what is gone. Never fails.
 * @example shms_place_of(&place, "/run/robot", "Robot", "", SHMS_RECORD); shms_trust(&place);
 */
static inline void shms_trust(shms_place *place) { place->trust = 1; }

/* Whether only this user and root can truncate a file. */
static inline int shms_i_is_trusted(const struct stat *status) {
  return (status->st_uid == 0 || status->st_uid == geteuid()) && (status->st_mode & 022) == 0;
}

/**
 * Where lock files of kind fcntl are; without this in ./.fasteners.
 * @return SHMS_E_ARGUMENT for a path that is too long
 * @example shms_lock_dir(&place, "/run/locks");
 */
static inline int shms_lock_dir(shms_place *place, const char *dir) {
  char name[PATH_MAX];
  const char *slash = strrchr(place->lock[SHMS_FCNTL], '/');
  int error = shms_i_text(name, slash == NULL ? place->lock[SHMS_FCNTL] : slash + 1, "", "", "");
  return error ? error : shms_i_text(place->lock[SHMS_FCNTL], dir, "/", name, "");
}

/* ---- the file ---- */

#define SHMS_FOOTER_BYTES 128

/** Bytes from `start` to `end`, in the content. */
typedef struct shms_range {
  size_t start, end;
} shms_range;

/* The footer as it lies in the file. */
typedef struct shms_i_footer {
  uint64_t magic;
  uint32_t format, checksum;
  uint8_t content, lock;
  uint16_t flags;
  uint32_t abi;
  uint64_t content_bytes, pre_image_offset, marks_offset;
  uint32_t block_bytes, schema_bytes;
  uint64_t schema_offset, fingerprint, created_at;
  uint8_t zero[16];
  /* From here on it changes. */
  uint32_t commits, generation, before[2], sequence, superseded, end[2];
} shms_i_footer;

/* The lock page, version 2: docs/internals/locking.md. */
typedef struct shms_i_page {
  uint32_t magic, version, a[14];
  uint32_t waiting, polling, looks, released, turnstile_left, b[11];
  uint32_t changes, wake_until, cannot_wake, watched, sleeper, c[11];
  uint32_t generations, d[975];
} shms_i_page;

#ifdef __cplusplus
static_assert(sizeof(shms_i_footer) == SHMS_FOOTER_BYTES && offsetof(shms_i_footer, commits) == 96, "footer");
static_assert(sizeof(shms_i_page) == 4096 && offsetof(shms_i_page, changes) == 128, "lock page");
static_assert(offsetof(shms_i_page, generations) == 192, "lock page");
#else
_Static_assert(sizeof(shms_i_footer) == SHMS_FOOTER_BYTES && offsetof(shms_i_footer, commits) == 96, "footer");
_Static_assert(sizeof(shms_i_page) == 4096 && offsetof(shms_i_page, changes) == 128, "lock page");
_Static_assert(offsetof(shms_i_page, generations) == 192, "lock page");
#endif

/** The lock of a segment: its file, its page, and how this object stands in the queue before it. */
typedef struct shms_i_lock {
  int fd, kind, writable;
  dev_t device;
  ino_t inode;
  shms_i_page *page; /* NULL: it is missing, or this process may not write it */
  int held, entered, stuck;
  uint32_t looks;
  int64_t entered_at, looks_since, stuck_until;
} shms_i_lock;

/**
 * One open segment. `content` is the live content: read it under the lock, store to it in a transaction. All else is for the
 * functions here. It may be mapped elsewhere after any call that takes the lock or looks for a newer file: do not keep
 * pointers into it across such calls.
 */
typedef struct shms_segment {
  void *content;
  size_t content_bytes;
  shms_place place;
  int access, kind, open, editing, has_header, is_backup;
  size_t wanted_bytes;
  uint64_t wanted_fingerprint;
  uint8_t *base;
  size_t size;
  int fd;
  dev_t device;
  ino_t inode;
  shms_i_footer *footer;
  const char *schema; /* the file's, as long as the footer said when it was checked */
  size_t schema_bytes;
  uint8_t *pre_image;
  uint32_t *marks;
  size_t block_bytes;
  shms_range *atomics;
  size_t atomic_count;
  uint8_t *saved; /* the state before a transaction, of files that keep none themselves */
  shms_i_lock lock;
  int64_t looked_at;
  int also; /* another descriptor that a forked child closes; -1: none */
  struct shms_segment *next; /* all that are open in this process, for fork() */
} shms_segment;

/* The segments that are open, so that a forked child closes them. */
static shms_segment *shms_i_open_segments = NULL;
static pthread_mutex_t shms_i_open_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t shms_i_fork_once = PTHREAD_ONCE_INIT;

static inline void shms_i_before_fork(void) { pthread_mutex_lock(&shms_i_open_mutex); }
static inline void shms_i_after_fork(void) { pthread_mutex_unlock(&shms_i_open_mutex); }

/* The kernel's locks belong to the open file, which the child shares with its parent. */
static inline void shms_i_in_child(void) {
  for (shms_segment *segment = shms_i_open_segments; segment != NULL; segment = segment->next) {
    if (segment->fd >= 0) close(segment->fd);
    if (segment->lock.fd >= 0) close(segment->lock.fd);
    if (segment->also >= 0) close(segment->also);
    segment->fd = segment->lock.fd = segment->also = -1;
    segment->open = 0;
  }
  pthread_mutex_unlock(&shms_i_open_mutex);
}

static inline void shms_i_watch_forks(void) {
  pthread_atfork(shms_i_before_fork, shms_i_after_fork, shms_i_in_child);
}

/* ---- the schema: where the atomics are ---- */

/* One place in the JSON of a schema, which is hostile input like all of the file. */
typedef struct shms_i_json {
  const char *at, *end;
} shms_i_json;

static inline void shms_i_json_space(shms_i_json *json) {
  while (json->at < json->end && (*json->at == ' ' || *json->at == '\n' || *json->at == '\t' || *json->at == '\r'))
    json->at++;
}

/* Skips the next letter if it is that one. */
static inline int shms_i_json_letter(shms_i_json *json, char letter) {
  shms_i_json_space(json);
  if (json->at >= json->end || *json->at != letter) return 0;
  json->at++;
  return 1;
}

/* A string without its quotes; escapes stay as they are. */
static inline int shms_i_json_string(shms_i_json *json, const char **start, size_t *length) {
  if (!shms_i_json_letter(json, '"')) return 0;
  *start = json->at;
  for (; json->at < json->end && *json->at != '"'; json->at++)
    if (*json->at == '\\') json->at++;
  if (json->at >= json->end) return 0;
  *length = (size_t)(json->at++ - *start);
  return 1;
}

/* Skips one value, whatever it is. Nesting needs no recursion: brackets are counted. */
static inline int shms_i_json_skip(shms_i_json *json) {
  size_t depth = 0;
  const char *text;
  size_t length;
  do {
    shms_i_json_space(json);
    if (json->at >= json->end) return 0;
    char letter = *json->at;
    if (letter == '"') {
      if (!shms_i_json_string(json, &text, &length)) return 0;
    } else {
      json->at++;
      if (letter == '{' || letter == '[') depth++;
      if (letter == '}' || letter == ']') {
        if (depth == 0) return 0;
        depth--;
      }
      if (letter != '{' && letter != '[' && letter != '}' && letter != ']' && letter != ',' && letter != ':')
        while (json->at < json->end && strchr(",:]}[{\" \n\t\r", *json->at) == NULL) json->at++;
    }
  } while (depth > 0);
  return 1;
}

/* The value of a key of the object here; the place itself does not move. */
static inline int shms_i_json_find(shms_i_json object, const char *key, shms_i_json *value) {
  const char *name;
  size_t length, wanted = strlen(key);
  if (!shms_i_json_letter(&object, '{')) return 0;
  while (shms_i_json_string(&object, &name, &length)) {
    if (!shms_i_json_letter(&object, ':')) return 0;
    *value = object;
    if (length == wanted && memcmp(name, key, wanted) == 0) return 1;
    if (!shms_i_json_skip(&object) || !shms_i_json_letter(&object, ',')) return 0;
  }
  return 0;
}

static inline int shms_i_json_number(shms_i_json object, const char *key, uint64_t *number) {
  shms_i_json value;
  *number = 0;
  if (!shms_i_json_find(object, key, &value)) return 0;
  shms_i_json_space(&value);
  if (value.at >= value.end || *value.at < '0' || *value.at > '9') return 0;
  for (; value.at < value.end && *value.at >= '0' && *value.at <= '9'; value.at++) {
    if (*number > UINT64_MAX / 20) return 0;
    *number = *number * 10 + (uint64_t)(*value.at - '0');
  }
  return 1;
}

/* Whether a record begins with the shared header: `short` 0x1128, `double` UNIX time at 8. */
static inline int shms_i_has_header(shms_i_json schema) {
  shms_i_json fields, header;
  uint64_t offset = 0, size = 0;
  return shms_i_json_find(schema, "fields", &fields) && shms_i_json_find(fields, "header", &header) &&
         shms_i_json_number(header, "offset", &offset) && shms_i_json_number(header, "size", &size) && offset == 0 &&
         size == 16;
}

#define SHMS_I_MAX_DEPTH 64
#define SHMS_I_MAX_RANGES ((size_t)1 << 20)

static inline int shms_i_add_range(shms_segment *segment, size_t start, size_t end) {
  size_t count = segment->atomic_count;
  if (start > end || end > segment->content_bytes) return SHMS_E_FORMAT;
  if (count > 0 && segment->atomics[count - 1].end == start) {
    segment->atomics[count - 1].end = end;
    return SHMS_OK;
  }
  if (count >= SHMS_I_MAX_RANGES) return SHMS_E_FORMAT;
  if ((count & (count - 1)) == 0) {
    size_t room = count == 0 ? 1 : 2 * count;
    void *larger = realloc(segment->atomics, room * sizeof(shms_range));
    if (larger == NULL) return SHMS_E_SYSTEM;
    segment->atomics = (shms_range *)larger;
  }
  segment->atomics[count].start = start;
  segment->atomics[count].end = end;
  segment->atomic_count++;
  return SHMS_OK;
}

static inline int shms_i_find_atomics(shms_segment *segment, shms_i_json structure, size_t base, int depth);

/* The atomics of one value of a type that takes `size` bytes at `base`. */
static inline int shms_i_atomics_of_type(shms_segment *segment, shms_i_json type, size_t base, size_t size, int depth) {
  shms_i_json inner;
  uint64_t length = 0;
  if (depth > SHMS_I_MAX_DEPTH) return SHMS_E_FORMAT;
  if (shms_i_json_find(type, "atomic", &inner)) return shms_i_add_range(segment, base, base + size);
  if (shms_i_json_find(type, "struct", &inner)) return shms_i_find_atomics(segment, inner, base, depth + 1);
  if (!shms_i_json_find(type, "array", &inner) || !shms_i_json_number(type, "length", &length)) return SHMS_OK;
  if (length == 0 || size % length != 0) return SHMS_OK;
  size_t stride = size / (size_t)length;
  for (size_t i = 0; i < length; i++) {
    size_t before = segment->atomic_count;
    size_t end = before == 0 ? 0 : segment->atomics[before - 1].end;
    int error = shms_i_atomics_of_type(segment, inner, base + i * stride, stride, depth + 1);
    if (error) return error;
    if (segment->atomic_count == before && (before == 0 || segment->atomics[before - 1].end == end)) {
      /* The first element has none, so no element has. */
      break;
    }
    shms_range *last = &segment->atomics[segment->atomic_count - 1];
    if (i == 0 && last->start <= base && last->end == base + stride) {
      /* The element is nothing but atomics, so the array is. */
      last->end = base + size;
      break;
    }
  }
  return SHMS_OK;
}

static inline int shms_i_find_atomics(shms_segment *segment, shms_i_json structure, size_t base, int depth) {
  shms_i_json fields, type;
  const char *name;
  size_t length;
  uint64_t offset = 0, size = 0;
  if (!shms_i_json_find(structure, "fields", &fields) || !shms_i_json_letter(&fields, '{')) return SHMS_E_FORMAT;
  while (shms_i_json_string(&fields, &name, &length)) {
    if (!shms_i_json_letter(&fields, ':')) return SHMS_E_FORMAT;
    shms_i_json member = fields;
    if (!shms_i_json_find(member, "type", &type) || !shms_i_json_number(member, "offset", &offset) ||
        !shms_i_json_number(member, "size", &size))
      return SHMS_E_FORMAT;
    if (offset > segment->content_bytes || size > segment->content_bytes) return SHMS_E_FORMAT;
    int error = shms_i_atomics_of_type(segment, type, base + (size_t)offset, (size_t)size, depth);
    if (error) return error;
    if (!shms_i_json_skip(&fields)) return SHMS_E_FORMAT;
    if (!shms_i_json_letter(&fields, ',')) break;
  }
  return SHMS_OK;
}

static inline int shms_i_compare_ranges(const void *a, const void *b) {
  size_t x = ((const shms_range *)a)->start, y = ((const shms_range *)b)->start;
  return x < y ? -1 : x > y;
}

/* In a union atomics may overlap, and members may be in any order. */
static inline void shms_i_sort_ranges(shms_segment *segment) {
  size_t kept = 0;
  if (segment->atomic_count == 0) return;
  qsort(segment->atomics, segment->atomic_count, sizeof(shms_range), shms_i_compare_ranges);
  for (size_t i = 1; i < segment->atomic_count; i++) {
    shms_range *last = &segment->atomics[kept];
    shms_range range = segment->atomics[i];
    if (range.start > last->end) segment->atomics[++kept] = range;
    else if (range.end > last->end) last->end = range.end;
  }
  segment->atomic_count = kept + 1;
}

/* ---- opening ---- */

#define SHMS_I_MAGIC UINT64_C(0x74637274736d6873)
#define SHMS_I_DOCUMENT_MAGIC_1 UINT64_C(0x6e6f736a736d6873)
#define SHMS_I_TRANSACTIONAL 1u
#define SHMS_I_BLOCKS 2u
#define SHMS_I_BACKUP 4u

/** The ABI tag of this machine, as it stands in every file. Never fails. @example printf("0x%x\n", (unsigned)shms_abi()); */
static inline uint32_t shms_abi(void) {
  uint32_t long_double = LDBL_MANT_DIG == 64 ? 0u : LDBL_MANT_DIG == 113 ? 1u : 2u;
  uint32_t wide_signed = (wchar_t)-1 < (wchar_t)1 ? 1u : 0u;
  uint32_t char_signed = CHAR_MIN < 0 ? 1u : 0u;
  return (long_double << 1) | (wide_signed << 3) | (char_signed << 4);
}

static inline int shms_i_open_file(const char *path, int flags, mode_t mode) {
  int fd;
  do fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, mode);
  while (fd < 0 && errno == EINTR);
  return fd;
}

/* The sticky bit: a new file has it until its content tells whose it is; an empty file without it may be any program's. */
#define SHMS_I_BEING_MADE 01000

static inline int shms_i_close_with(int fd, int error) {
  int number = errno;
  close(fd);
  errno = number;
  return error;
}

static inline int shms_i_check_footer(const shms_i_footer *footer, const uint8_t *base, size_t size) {
  uint64_t end = size - SHMS_FOOTER_BYTES;
  if (footer->magic != SHMS_I_MAGIC) return SHMS_E_FORMAT;
  if (footer->format != 2) return SHMS_E_VERSION;
  if (footer->content < 1 || footer->content > 4 || footer->lock > 1) return SHMS_E_FORMAT;
  if (footer->content_bytes < 1 || footer->content_bytes > end || footer->schema_bytes > (1u << 24)) return SHMS_E_FORMAT;
  if (footer->schema_offset < footer->content_bytes || footer->schema_offset > end ||
      footer->schema_offset + footer->schema_bytes > end)
    return SHMS_E_FORMAT;
  if ((footer->flags & SHMS_I_TRANSACTIONAL) != 0) {
    if (footer->pre_image_offset < footer->content_bytes || footer->pre_image_offset % 8 != 0 ||
        footer->pre_image_offset > end || footer->pre_image_offset + footer->content_bytes > footer->schema_offset)
      return SHMS_E_FORMAT;
  } else if (footer->pre_image_offset != 0 || (footer->flags & SHMS_I_BLOCKS) != 0) return SHMS_E_FORMAT;
  if ((footer->flags & SHMS_I_BLOCKS) != 0) {
    uint32_t bytes = footer->block_bytes;
    if (bytes < 64 || bytes > (1u << 30) || (bytes & (bytes - 1)) != 0) return SHMS_E_FORMAT;
    uint64_t count = (footer->content_bytes + bytes - 1) / bytes;
    if (footer->marks_offset % 4 != 0 || footer->marks_offset < footer->pre_image_offset + footer->content_bytes ||
        footer->marks_offset > end || footer->marks_offset + 4 * count > footer->schema_offset)
      return SHMS_E_FORMAT;
  } else if (footer->block_bytes != 0 || footer->marks_offset != 0) return SHMS_E_FORMAT;
  uint32_t crc = shms_i_crc32(0, (const uint8_t *)footer + 16, 80);
  if (footer->checksum != shms_i_crc32(crc, base + footer->schema_offset, footer->schema_bytes)) return SHMS_E_FORMAT;
  return footer->abi == shms_abi() ? SHMS_OK : SHMS_E_ABI;
}

/* Of a file without a footer of ours: why not. */
static inline int shms_i_why_not(const uint8_t *base, size_t size) {
  uint64_t magic = 0;
  uint32_t format = 0;
  if (size < 64 || size % 64 != 0) return SHMS_E_FORMAT;
  memcpy(&magic, base + size - 64, 8);
  memcpy(&format, base + size - 56, 4);
  return (magic == SHMS_I_MAGIC || magic == SHMS_I_DOCUMENT_MAGIC_1) && format == 1 ? SHMS_E_VERSION : SHMS_E_FORMAT;
}

static inline void shms_i_unmap(shms_segment *segment) {
  if (segment->base != NULL) munmap(segment->base, segment->size);
  if (segment->fd >= 0) close(segment->fd);
  free(segment->atomics);
  free(segment->saved);
  segment->base = NULL;
  segment->fd = -1;
  segment->atomics = NULL;
  segment->saved = NULL;
  segment->atomic_count = 0;
  segment->content = NULL;
}

/* Maps the file that is there now into `segment`, whose file fields are free. */
static inline int shms_i_map(shms_segment *segment) {
  struct stat status;
  int writes = segment->access == SHMS_WRITE;
  segment->fd = shms_i_open_file(segment->place.data, writes ? O_RDWR : O_RDONLY, 0);
  if (segment->fd < 0) return errno == ENOENT || errno == ENOTDIR ? SHMS_E_MISSING : SHMS_E_SYSTEM;
  if (fstat(segment->fd, &status) < 0) return SHMS_E_SYSTEM;
  if (!S_ISREG(status.st_mode) || status.st_size < 64) return SHMS_E_FORMAT;
  if (!segment->place.trust && !shms_i_is_trusted(&status)) return SHMS_E_UNTRUSTED;
  segment->size = (size_t)status.st_size;
  segment->device = status.st_dev;
  segment->inode = status.st_ino;
  void *base = mmap(NULL, segment->size, writes ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, segment->fd, 0);
  if (base == MAP_FAILED) return SHMS_E_SYSTEM;
  segment->base = (uint8_t *)base;
  if (segment->size % 64 != 0 || segment->size < SHMS_FOOTER_BYTES) return shms_i_why_not(segment->base, segment->size);
  segment->footer = (shms_i_footer *)(void *)(segment->base + segment->size - SHMS_FOOTER_BYTES);
  /* A private copy is checked and believed: another process may change the file meanwhile. */
  shms_i_footer footer = *segment->footer;
  if (footer.magic != SHMS_I_MAGIC) return shms_i_why_not(segment->base, segment->size);
  int error = shms_i_check_footer(&footer, segment->base, segment->size);
  if (error) return error;
  if (segment->kind != 0 && footer.content != segment->kind) return SHMS_E_CONTENT;
  if (segment->wanted_bytes != 0 && footer.content_bytes < segment->wanted_bytes) return SHMS_E_LAYOUT;
  if (segment->wanted_fingerprint != 0 && footer.fingerprint != segment->wanted_fingerprint) return SHMS_E_LAYOUT;
  segment->content = segment->base;
  segment->content_bytes = (size_t)footer.content_bytes;
  segment->pre_image = (footer.flags & SHMS_I_TRANSACTIONAL) != 0 ? segment->base + footer.pre_image_offset : NULL;
  segment->block_bytes = footer.block_bytes;
  segment->marks = footer.block_bytes != 0 ? (uint32_t *)(void *)(segment->base + footer.marks_offset) : NULL;
  segment->lock.kind = footer.lock;
  segment->is_backup = (footer.flags & SHMS_I_BACKUP) != 0;
  segment->schema = (const char *)segment->base + footer.schema_offset;
  segment->schema_bytes = footer.schema_bytes;
  if (footer.content != SHMS_RECORD) return SHMS_OK;
  shms_i_json schema;
  schema.at = segment->schema;
  schema.end = schema.at + segment->schema_bytes;
  segment->has_header = segment->content_bytes >= 16 && shms_i_has_header(schema);
  error = shms_i_find_atomics(segment, schema, 0, 0);
  shms_i_sort_ranges(segment);
  return error;
}

/* ---- the lock ---- */

/* Takes, or gives back with mode 0, one of the kernel's two locks on an open file. */
static inline int shms_i_kernel_lock(int fd, int kind, int mode) {
  for (;;) {
    int result;
    if (kind == SHMS_FLOCK) {
      result = flock(fd, mode == 0 ? LOCK_UN : mode == SHMS_EXCLUSIVE ? LOCK_EX | LOCK_NB : LOCK_SH | LOCK_NB);
    } else {
      struct flock request;
      memset(&request, 0, sizeof request);
      request.l_type = (short)(mode == 0 ? F_UNLCK : mode == SHMS_EXCLUSIVE ? F_WRLCK : F_RDLCK);
      request.l_whence = SEEK_SET;
      result = fcntl(fd, F_OFD_SETLK, &request);
    }
    if (result == 0) return SHMS_OK;
    if (errno == EAGAIN || errno == EACCES) return SHMS_E_TIMEOUT;
    if (errno != EINTR) return SHMS_E_SYSTEM;
  }
}

static inline int shms_i_try(shms_i_lock *lock, int mode) { return shms_i_kernel_lock(lock->fd, lock->kind, mode); }

/* The turnstile: the other kind of lock on the same file. */
static inline int shms_i_try_gate(shms_i_lock *lock, int mode) {
  return shms_i_kernel_lock(lock->fd, lock->kind == SHMS_FLOCK ? SHMS_FCNTL : SHMS_FLOCK, mode);
}

/* Maps the page of a lock; NULL without one that this process may write. `create` makes it. */
static inline shms_i_page *shms_i_open_page(const char *lock_path, int create, mode_t mode, int trust) {
  char path[PATH_MAX];
  struct stat status;
  uint32_t header[2] = {0, 0};
  if (shms_i_text(path, lock_path, "-page", "", "") != SHMS_OK) return NULL;
  int fd = shms_i_open_file(path, O_RDWR, 0);
  if (fd < 0 && create && errno == ENOENT) {
    fd = shms_i_open_file(path, O_RDWR | O_CREAT, 0600);
    if (fd >= 0 && fchmod(fd, mode) < 0) { /* another user's: it stays as it is */
    }
  }
  if (fd < 0) return NULL;
  int ok = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && pread(fd, header, 8, 0) >= 0;
  if (ok && !trust && !shms_i_is_trusted(&status)) ok = 0;
  /* "SHLK" */
  int has_magic = header[0] == 0x4b4c4853;
  if (ok && status.st_size > 4096 && !has_magic) ok = 0;
  if (ok && !(has_magic && header[1] == 2 && status.st_size >= 4096)) {
    static const uint32_t zeros[1024] = {0};
    const uint32_t fresh[2] = {0x4b4c4853, 2};
    int is_new = header[0] == 0 && header[1] == 0;
    ok = posix_fallocate(fd, 0, 4096) == 0;
    if (ok && !has_magic && !is_new) ok = pwrite(fd, zeros, 4096, 0) == 4096;
    if (ok) ok = pwrite(fd, fresh, 8, 0) == 8;
  }
  void *page = ok ? mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
  close(fd);
  return page == MAP_FAILED ? NULL : (shms_i_page *)page;
}

static inline void shms_i_lock_init(shms_i_lock *lock) {
  memset(lock, 0, sizeof *lock);
  lock->fd = -1;
}

static inline void shms_i_lock_close(shms_i_lock *lock) {
  if (lock->fd >= 0) close(lock->fd);
  if (lock->page != NULL) munmap(lock->page, 4096);
  shms_i_lock_init(lock);
}

static inline int shms_i_lock_open(shms_i_lock *lock, const char *path, int kind, int create, mode_t mode, int trust) {
  struct stat status;
  shms_i_lock_init(lock);
  lock->kind = kind;
  lock->writable = 1;
  int fd = shms_i_open_file(path, O_RDWR, 0);
  if (fd < 0 && errno == ENOENT && create) {
    fd = shms_i_open_file(path, O_RDWR | O_CREAT, 0600);
    if (fd >= 0 && fchmod(fd, mode) < 0) { /* another user's: it stays as it is */
    }
  }
  if (fd < 0 && (errno == EACCES || errno == EROFS || errno == EPERM)) {
    lock->writable = 0;
    fd = shms_i_open_file(path, O_RDONLY, 0);
  }
  if (fd < 0) return errno == ENOENT ? SHMS_E_MISSING : SHMS_E_SYSTEM;
  if (fstat(fd, &status) < 0) return shms_i_close_with(fd, SHMS_E_SYSTEM);
  if (!S_ISREG(status.st_mode)) return shms_i_close_with(fd, SHMS_E_FORMAT);
  lock->fd = fd;
  lock->device = status.st_dev;
  lock->inode = status.st_ino;
  lock->page = shms_i_open_page(path, create, mode, trust);
  return SHMS_OK;
}

/* Whether the name of an open file is still its own. */
static inline int shms_i_is_displaced(const char *path, dev_t device, ino_t inode) {
  struct stat status;
  if (lstat(path, &status) < 0) return 1;
  return status.st_dev != device || status.st_ino != inode;
}

static inline int shms_i_is_passed(shms_i_lock *lock) {
  if (!lock->stuck) return 0;
  if (lock->page == NULL) lock->stuck = shms_i_now_ns(CLOCK_MONOTONIC) < lock->stuck_until;
  else lock->stuck = shms_i_load(&lock->page->looks) == lock->looks;
  return lock->stuck;
}

/* Whether a caller may go straight for the lock, past the turnstile. */
static inline int shms_i_is_open_to(shms_i_lock *lock, int mode) {
  int waits = lock->page != NULL && shms_i_load(&lock->page->waiting) != 0;
  if (lock->page != NULL && !waits) return 1;
  if (shms_i_is_passed(lock)) return 1;
  if (waits && mode == SHMS_SHARED) return 0;
  return shms_i_now_ns(CLOCK_MONOTONIC) - lock->entered_at < 1000000;
}

/* It could not be entered: does the one who stands in it run? One that has not looked for 20 ms does not. */
static inline void shms_i_judge(shms_i_lock *lock) {
  int64_t now = shms_i_now_ns(CLOCK_MONOTONIC);
  uint32_t looks = lock->page == NULL ? 0 : shms_i_load(&lock->page->looks);
  if (lock->looks_since == 0 || looks != lock->looks || now < lock->looks_since) {
    lock->looks = looks;
    lock->looks_since = now;
  } else if (now - lock->looks_since >= 20000000) {
    lock->stuck = 1;
    lock->stuck_until = now + 1000000000;
  }
}

static inline int shms_i_enter(shms_i_lock *lock, int mode) {
  /* A writer that may only read the lock file cannot close the turnstile behind it. */
  int gate_mode = lock->writable || lock->kind == SHMS_FCNTL ? mode : SHMS_SHARED;
  int error = shms_i_try_gate(lock, gate_mode);
  if (error == SHMS_E_TIMEOUT) shms_i_judge(lock);
  if (error) return error;
  lock->entered = gate_mode;
  lock->entered_at = shms_i_now_ns(CLOCK_MONOTONIC);
  lock->stuck = 0;
  lock->looks_since = 0;
  if (lock->page != NULL) __atomic_store_n(&lock->page->waiting, 1u, __ATOMIC_SEQ_CST);
  return SHMS_OK;
}

static inline void shms_i_leave(shms_i_lock *lock) {
  shms_i_page *page = lock->page;
  if (!lock->entered) return;
  int was_polling = page != NULL && shms_i_load(&page->polling) != 0;
  if (page != NULL && shms_i_load(&page->waiting) != 0) {
    /* Of readers the last one out lowers the flag: it gets the turnstile for itself. */
    int alone = lock->entered == SHMS_EXCLUSIVE || (lock->writable && shms_i_try_gate(lock, SHMS_EXCLUSIVE) == SHMS_OK);
    if (alone) __atomic_store_n(&page->waiting, 0u, __ATOMIC_SEQ_CST);
    if (alone && was_polling) __atomic_store_n(&page->polling, 0u, __ATOMIC_SEQ_CST);
  }
  shms_i_try_gate(lock, 0);
  lock->entered = 0;
  if (page == NULL || was_polling) return;
  __atomic_fetch_add(&page->turnstile_left, 1u, __ATOMIC_SEQ_CST);
  shms_i_futex_wake(&page->turnstile_left, 1);
}

/* One look of a caller that looks again later; its place in the turnstile, once won, is kept meanwhile. */
static inline int shms_i_attempt(shms_i_lock *lock, int mode) {
  int error;
  if (!lock->entered) {
    if (shms_i_is_open_to(lock, mode)) {
      error = shms_i_try(lock, mode);
      if (error != SHMS_E_TIMEOUT) return error;
    }
    error = shms_i_enter(lock, mode);
    if (error) return error;
  }
  if (lock->page != NULL) __atomic_fetch_add(&lock->page->looks, 1u, __ATOMIC_SEQ_CST);
  error = shms_i_try(lock, mode);
  if (error != SHMS_E_TIMEOUT) shms_i_leave(lock);
  return error;
}

static inline void shms_i_sleep(shms_i_lock *lock, uint32_t seen_left, uint32_t seen_released, int64_t ns) {
  if (lock->page == NULL) {
    struct timespec pause;
    pause.tv_sec = 0;
    pause.tv_nsec = (long)ns;
    nanosleep(&pause, NULL);
  } else if (!lock->entered && !lock->stuck) shms_i_futex_wait(&lock->page->turnstile_left, seen_left, ns);
  else shms_i_futex_wait(&lock->page->released, seen_released, ns);
}

static inline int shms_i_wait_for_lock(shms_i_lock *lock, int mode, int timeout_ms) {
  int64_t start = shms_i_now_ns(CLOCK_MONOTONIC);
  for (;;) {
    uint32_t left = lock->page == NULL ? 0 : shms_i_load(&lock->page->turnstile_left);
    uint32_t released = lock->page == NULL ? 0 : shms_i_load(&lock->page->released);
    int error = shms_i_attempt(lock, mode);
    if (error != SHMS_E_TIMEOUT) return error;
    int64_t waited = shms_i_now_ns(CLOCK_MONOTONIC) - start;
    int64_t rest = timeout_ms < 0 ? INT64_MAX : (int64_t)timeout_ms * 1000000 - waited;
    if (rest <= 0) break;
    int64_t pause = waited / 4 < 50000 ? 50000 : waited / 4 > 5000000 ? 5000000 : waited / 4;
    shms_i_sleep(lock, left, released, pause < rest ? pause : rest);
  }
  shms_i_leave(lock);
  return SHMS_E_TIMEOUT;
}

static inline int shms_i_acquire(shms_i_lock *lock, int mode, int timeout_ms) {
  int error = SHMS_E_TIMEOUT;
  for (int tries = 0; tries < 4 && error == SHMS_E_TIMEOUT && shms_i_is_open_to(lock, mode); tries++)
    error = shms_i_try(lock, mode);
  if (error == SHMS_E_TIMEOUT) error = shms_i_wait_for_lock(lock, mode, timeout_ms);
  if (error == SHMS_OK) lock->held = mode;
  return error;
}

static inline void shms_i_release(shms_i_lock *lock) {
  lock->held = 0;
  if (lock->fd < 0) return;
  shms_i_try(lock, 0);
  if (lock->page == NULL || shms_i_load(&lock->page->waiting) == 0) return;
  __atomic_fetch_add(&lock->page->released, 1u, __ATOMIC_SEQ_CST);
  shms_i_futex_wake(&lock->page->released, INT_MAX);
}

/* ---- telling commits ---- */

static inline int shms_i_is_ahead(uint32_t wake_until, uint32_t number) { return ((wake_until - number) >> 16) == 0; }

/* Counts a commit; one system call, and only if another process sleeps for it. The watcher is woken only if it sleeps alone. */
static inline void shms_i_announce(shms_i_page *page) {
  if (page == NULL) return;
  uint32_t number = __atomic_fetch_add(&page->changes, 1u, __ATOMIC_SEQ_CST);
  if (!shms_i_is_ahead(__atomic_load_n(&page->wake_until, __ATOMIC_SEQ_CST), number + 1)) return;
  if (__atomic_load_n(&page->watched, __ATOMIC_SEQ_CST) != 0 && shms_i_futex_wake_of(&page->changes, 1, 1) > 0) return;
  shms_i_futex_wake(&page->changes, 1);
}

#define SHMS_I_WATCH_EVERY_NS 8000000

/* Milliseconds of CLOCK_MONOTONIC that wrap, never 0. */
static inline uint32_t shms_i_watch_stamp(int64_t now) { return (uint32_t)(now / 1000000) | 1u; }

/* Whether this sleeper is to be the watcher: others sleep, and none of them has looked for 24 ms. */
static inline int shms_i_takes_watch(shms_i_page *page, uint32_t me, int64_t now) {
  uint32_t last = __atomic_exchange_n(&page->sleeper, me, __ATOMIC_SEQ_CST);
  uint32_t watched = __atomic_load_n(&page->watched, __ATOMIC_SEQ_CST);
  if (watched != 0 && shms_i_watch_stamp(now) - watched <= 24) return 0;
  if ((last == me || last == 0) && !shms_i_futex_has_sleepers(&page->changes)) return 0;
  return __atomic_compare_exchange_n(&page->watched, &watched, shms_i_watch_stamp(now), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Sleeps as the watcher, which looks every 8 ms, as long as one is needed. Whether the sleep is over. */
static inline int shms_i_watch_changes(shms_i_page *page, uint32_t seen, int64_t until) {
  /* Different for each thread; for those of other containers, whose numbers are the same, the addresses differ. */
  uint32_t me = (uint32_t)syscall(SYS_gettid) * 2654435761u ^ (uint32_t)((uintptr_t)page >> 12);
  int64_t now = shms_i_now_ns(CLOCK_MONOTONIC);
  uint32_t cannot_wake = shms_i_load(&page->cannot_wake);
  if (me == 0) me = 1;
  while (now + SHMS_I_WATCH_EVERY_NS < until && shms_i_takes_watch(page, me, now)) {
    /* Three looks when it is alone: longer than another one takes that is about to sleep, and counts on it. */
    for (int alone = 0, is_new = 1; alone < 3; alone = shms_i_futex_has_sleepers(&page->changes) ? 0 : alone + 1) {
      __atomic_store_n(&page->watched, shms_i_watch_stamp(now), __ATOMIC_SEQ_CST);
      int result = shms_i_futex_wait_as(&page->changes, seen, now + SHMS_I_WATCH_EVERY_NS, 2);
      now = shms_i_now_ns(CLOCK_MONOTONIC);
      if (result != ETIMEDOUT || now >= until) return 1;
      /* The wake of a commit may have been lost while none watched. */
      if (is_new) shms_i_futex_wake(&page->changes, 2);
      is_new = 0;
      /* A writer has come that cannot wake: all are to look for themselves from now on. */
      if (!cannot_wake && shms_i_load(&page->cannot_wake) != 0) {
        shms_i_futex_wake(&page->changes, INT_MAX);
        return 1;
      }
    }
    /* First this, then the look whether another one came: one of the two sees the other. */
    __atomic_store_n(&page->watched, 0u, __ATOMIC_SEQ_CST);
  }
  return 0;
}

/* Sleeps without watching. One that is alone looks every 100 ms whether a writer has come that cannot wake. */
static inline void shms_i_sleep_unwatched(shms_i_page *page, uint32_t seen, int64_t until) {
  int alone = shms_i_load(&page->watched) == 0 && shms_i_load(&page->cannot_wake) == 0;
  for (int64_t now = shms_i_now_ns(CLOCK_MONOTONIC); now < until; now = shms_i_now_ns(CLOCK_MONOTONIC)) {
    int64_t end = alone && until - now > 100000000 ? now + 100000000 : until;
    if (shms_i_futex_wait_as(&page->changes, seen, end, UINT32_MAX) != ETIMEDOUT) return;
    if (!alone || shms_i_load(&page->cannot_wake) != 0) return;
  }
}

/* Sleeps while `changes` is `seen`, and hands the wake on. */
static inline void shms_i_sleep_until_change(shms_i_page *page, uint32_t seen, int64_t ns) {
  uint32_t wanted = seen + 1, current = __atomic_load_n(&page->wake_until, __ATOMIC_SEQ_CST);
  while (!shms_i_is_ahead(current, wanted) &&
         !__atomic_compare_exchange_n(&page->wake_until, &current, wanted, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
  }
  int64_t most = shms_i_load(&page->cannot_wake) == 0 ? 1000000000 : 4000000, now = shms_i_now_ns(CLOCK_MONOTONIC);
  int64_t until = now + (ns < most ? ns : most);
  int has_watched = shms_i_watch_changes(page, seen, until);
  if (has_watched) {
    /* No sleeper's number: one that was about to sleep may have counted on this watcher. */
    __atomic_store_n(&page->sleeper, UINT32_MAX, __ATOMIC_SEQ_CST);
    __atomic_store_n(&page->watched, 0u, __ATOMIC_SEQ_CST);
  } else {
    shms_i_sleep_unwatched(page, seen, until);
  }
  /* After `watched` is 0: one of those that are woken finds that none watches. */
  if (has_watched || shms_i_load(&page->changes) != seen) shms_i_futex_wake(&page->changes, 2);
}

/* ---- segments ---- */

static inline void shms_i_forget(shms_segment *segment) {
  pthread_mutex_lock(&shms_i_open_mutex);
  for (shms_segment **at = &shms_i_open_segments; *at != NULL; at = &(*at)->next)
    if (*at == segment) {
      *at = segment->next;
      break;
    }
  pthread_mutex_unlock(&shms_i_open_mutex);
}

/**
 * Closes: gives the lock back, unmaps. Stores of a transaction that was neither committed nor rolled back are rolled back
 * first. A second call does nothing. Never fails.
 * @example shms_close(&file);
 */
static inline void shms_close(shms_segment *segment);

/**
 * Opens a segment that exists; a backup opens under any name (shms_place_at), for reading, without a lock.
 * @param access SHMS_READ or SHMS_WRITE
 * @param kind of content, SHMS_RECORD …; 0: any
 * @param bytes of your struct, or 0; the file's may have more members behind yours
 * @param fingerprint of your struct (Robot_FINGERPRINT of an exported header), or 0 for any struct of at least that size
 * @return SHMS_E_MISSING, SHMS_E_FORMAT, SHMS_E_VERSION, SHMS_E_ABI, SHMS_E_CONTENT, SHMS_E_LAYOUT, SHMS_E_SYSTEM
 * @example shms_open(&file, &place, SHMS_READ, SHMS_RECORD, sizeof(Robot), Robot_FINGERPRINT);
 */
static inline int shms_open(shms_segment *segment, const shms_place *place, int access, int kind, size_t bytes,
                            uint64_t fingerprint) {
  memset(segment, 0, sizeof *segment);
  segment->place = *place;
  segment->access = access;
  segment->kind = kind;
  segment->wanted_bytes = bytes;
  segment->wanted_fingerprint = fingerprint;
  segment->fd = segment->also = -1;
  shms_i_lock_init(&segment->lock);
  int error = shms_i_map(segment);
  /* A backup is no live file: it has no lock, and no writers. */
  if (!error && segment->is_backup && access == SHMS_WRITE) error = SHMS_E_READ_ONLY;
  if (!error && !segment->is_backup) {
    int lock_kind = segment->lock.kind;
    error = shms_i_lock_open(&segment->lock, place->lock[lock_kind], lock_kind, 0, 0600, place->trust);
  }
  if (error) {
    int number = errno;
    shms_i_unmap(segment);
    shms_i_lock_close(&segment->lock);
    errno = number;
    return error;
  }
  segment->open = 1;
  segment->looked_at = shms_i_now_ns(CLOCK_MONOTONIC_COARSE);
  pthread_once(&shms_i_fork_once, shms_i_watch_forks);
  pthread_mutex_lock(&shms_i_open_mutex);
  segment->next = shms_i_open_segments;
  shms_i_open_segments = segment;
  pthread_mutex_unlock(&shms_i_open_mutex);
  return SHMS_OK;
}

/* Goes over to the file that is there now, if it is another; `moved` tells. The lock, if it is held, is given back then. */
static inline int shms_i_move_on(shms_segment *segment, int *moved) {
  shms_segment next = *segment;
  *moved = 0;
  next.base = NULL;
  next.atomics = NULL;
  next.atomic_count = 0;
  next.saved = NULL;
  next.fd = -1;
  int held_kind = segment->lock.kind;
  int error = shms_i_map(&next);
  int is_same = !error && next.device == segment->device && next.inode == segment->inode;
  int lock_lost = shms_i_is_displaced(segment->place.lock[held_kind], segment->lock.device, segment->lock.inode);
  shms_i_lock lock = segment->lock;
  if (!error && (next.lock.kind != held_kind || lock_lost))
    error = shms_i_lock_open(&lock, segment->place.lock[next.lock.kind], next.lock.kind, 0, 0600, segment->place.trust);
  if (error || (is_same && lock.fd == segment->lock.fd)) {
    int number = errno;
    shms_i_unmap(&next);
    errno = number;
    return error;
  }
  if (segment->lock.held) shms_i_release(&segment->lock);
  if (lock.fd != segment->lock.fd) {
    shms_i_announce(segment->lock.page);
    shms_i_lock_close(&segment->lock);
    segment->lock = lock;
  }
  shms_i_unmap(segment);
  segment->base = next.base;
  segment->size = next.size;
  segment->fd = next.fd;
  segment->device = next.device;
  segment->inode = next.inode;
  segment->footer = next.footer;
  segment->content = next.content;
  segment->content_bytes = next.content_bytes;
  segment->has_header = next.has_header;
  segment->schema = next.schema;
  segment->schema_bytes = next.schema_bytes;
  segment->pre_image = next.pre_image;
  segment->marks = next.marks;
  segment->block_bytes = next.block_bytes;
  segment->atomics = next.atomics;
  segment->atomic_count = next.atomic_count;
  *moved = 1;
  return SHMS_OK;
}

/* Whether the mapped file is whole, not superseded and, looked at now and then, still has its name. One lseek: what it costs
   to ask more is paid every 100 ms only. */
static inline int shms_i_is_current(shms_segment *segment, int *error) {
  *error = SHMS_OK;
  off_t size = lseek(segment->fd, 0, SEEK_END);
  if (size < 0) {
    *error = SHMS_E_SYSTEM;
    return 1;
  }
  if ((size_t)size < segment->size || shms_i_load(&segment->footer->superseded) != 0) return 0;
  int64_t now = shms_i_now_ns(CLOCK_MONOTONIC_COARSE);
  if (now - segment->looked_at < 100000000) return 1;
  if (shms_i_is_displaced(segment->place.data, segment->device, segment->inode) ||
      shms_i_is_displaced(segment->place.lock[segment->lock.kind], segment->lock.device, segment->lock.inode))
    return 0;
  /* Only now: as long as another file, or none, has the name, every call finds out. */
  segment->looked_at = now;
  return 1;
}

static inline int shms_i_is_truncated(const shms_segment *segment) {
  off_t size = lseek(segment->fd, 0, SEEK_END);
  return size >= 0 && (size_t)size < segment->size;
}

/**
 * Takes the lock, waiting in the same fair queue as every other process, and makes sure that the file under it is the
 * current one: should a Manager have replaced it, the segment goes over to the new file.
 * @param mode SHMS_SHARED or SHMS_EXCLUSIVE
 * @param timeout_ms -1: however long it takes; 0: try once
 * @return SHMS_E_TIMEOUT, SHMS_E_HELD, SHMS_E_TRUNCATED, SHMS_E_MISSING, and what shms_open returns
 * @example if (!shms_lock(&file, SHMS_SHARED, 1000)) { read(file.content); shms_unlock(&file); }
 */
static inline int shms_lock(shms_segment *segment, int mode, int timeout_ms) {
  if (!segment->open) return SHMS_E_CLOSED;
  if (segment->lock.held) return SHMS_E_HELD;
  if (segment->is_backup) {
    if (mode != SHMS_SHARED) return SHMS_E_READ_ONLY;
    segment->lock.held = mode;
    return SHMS_OK;
  }
  for (;;) {
    int moved, error = shms_i_acquire(&segment->lock, mode, timeout_ms);
    if (error) return error;
    if (shms_i_is_current(segment, &error)) {
      if (error) shms_i_release(&segment->lock);
      return error;
    }
    error = shms_i_move_on(segment, &moved);
    if (error || (!moved && shms_i_is_truncated(segment))) {
      shms_i_release(&segment->lock);
      return error ? error : SHMS_E_TRUNCATED;
    }
    if (moved) continue;
    /* The process that superseded it died before it was replaced; no other can be at work on it now. */
    if (segment->access == SHMS_WRITE) __atomic_store_n(&segment->footer->superseded, 0u, __ATOMIC_SEQ_CST);
    return SHMS_OK;
  }
}

/**
 * Gives the lock back. An open transaction is rolled back first.
 * @return SHMS_E_NOT_HELD, SHMS_E_CLOSED, and what shms_roll_back returns
 * @example if (!shms_lock(&file, SHMS_SHARED, 1000)) { show((Robot *)file.content); shms_unlock(&file); }
 */
static inline int shms_unlock(shms_segment *segment);

/* ---- records: transactions ---- */

/* Copies a range of the content, leaving the atomics of the target alone. */
static inline void shms_i_copy_plain(shms_segment *segment, uint8_t *target, const uint8_t *source, size_t start, size_t end) {
  size_t at = start;
  for (size_t i = 0; i < segment->atomic_count && at < end; i++) {
    shms_range range = segment->atomics[i];
    if (range.end <= at) continue;
    if (range.start >= end) break;
    if (range.start > at) memcpy(target + at, source + at, range.start - at);
    at = range.end;
  }
  if (at < end) memcpy(target + at, source + at, end - at);
}

static inline size_t shms_i_block_count(const shms_segment *segment) {
  return (segment->content_bytes + segment->block_bytes - 1) / segment->block_bytes;
}

static inline size_t shms_i_block_end(const shms_segment *segment, size_t block) {
  size_t end = (block + 1) * segment->block_bytes;
  return end < segment->content_bytes ? end : segment->content_bytes;
}

/* Back to the state before the transaction with that odd sequence. Neither pre-image nor marks change: it can be repeated. */
static inline void shms_i_restore(shms_segment *segment, uint32_t sequence) {
  uint8_t *live = (uint8_t *)segment->content;
  if (segment->pre_image == NULL) return;
  if (segment->marks == NULL) {
    shms_i_copy_plain(segment, live, segment->pre_image, 0, segment->content_bytes);
    return;
  }
  for (size_t block = 0; block < shms_i_block_count(segment); block++)
    if (shms_i_load(&segment->marks[block]) == sequence)
      shms_i_copy_plain(segment, live, segment->pre_image, block * segment->block_bytes, shms_i_block_end(segment, block));
}

/* Takes back what a writer that was killed has left. With the exclusive lock. */
static inline void shms_i_repair(shms_segment *segment) {
  uint32_t sequence = shms_i_load(&segment->footer->sequence);
  if ((sequence & 1u) == 0 || segment->footer->content != SHMS_RECORD) return;
  shms_i_restore(segment, sequence);
  shms_i_fence();
  shms_i_store64(&segment->footer->commits, shms_i_load64(segment->footer->before));
  shms_i_publish(&segment->footer->sequence, (sequence | 1u) + 1u);
}

/**
 * On a file whose pre-image is kept by blocks: saves the blocks of a range before you store to it. A no-op on other files. Only
 * needed after shms_begin_by_blocks; shms_begin saves everything.
 * @param offset, length in bytes of the content
 * @return SHMS_E_NOT_HELD outside a transaction, SHMS_E_ARGUMENT beyond the content
 * @example shms_will_write(&file, offsetof(Map, cells[i]), sizeof(Cell)); map->cells[i] = cell;
 */
static inline int shms_will_write(shms_segment *segment, size_t offset, size_t length) {
  if (!segment->editing) return SHMS_E_NOT_HELD;
  if (offset > segment->content_bytes || length > segment->content_bytes - offset) return SHMS_E_ARGUMENT;
  if (segment->marks == NULL || length == 0) return SHMS_OK;
  uint32_t sequence = shms_i_load(&segment->footer->sequence);
  uint8_t *live = (uint8_t *)segment->content;
  for (size_t block = offset / segment->block_bytes; block <= (offset + length - 1) / segment->block_bytes; block++) {
    if (shms_i_load(&segment->marks[block]) == sequence) continue;
    size_t start = block * segment->block_bytes;
    memcpy(segment->pre_image + start, live + start, shms_i_block_end(segment, block) - start);
    shms_i_fence();
    shms_i_publish(&segment->marks[block], sequence);
  }
  return SHMS_OK;
}

/**
 * Begins a transaction of which you announce every store with shms_will_write, so that it costs what it touches. On files
 * without block marks it is the same as shms_begin.
 * @return as shms_begin
 * @example shms_begin_by_blocks(&file); shms_will_write(&file, offsetof(Map, cells), 64); memset(map->cells, 0, 64); shms_commit(&file);
 */
static inline int shms_begin_by_blocks(shms_segment *segment) {
  if (!segment->open) return SHMS_E_CLOSED;
  if (segment->access != SHMS_WRITE) return SHMS_E_READ_ONLY;
  if (segment->lock.held != SHMS_EXCLUSIVE) return SHMS_E_NOT_HELD;
  if (segment->editing) return SHMS_E_HELD;
  shms_i_footer *footer = segment->footer;
  shms_i_repair(segment);
  if (segment->pre_image != NULL && segment->marks == NULL) memcpy(segment->pre_image, segment->content, segment->content_bytes);
  if (segment->pre_image == NULL) {
    if (segment->saved == NULL) segment->saved = (uint8_t *)malloc(segment->content_bytes);
    if (segment->saved != NULL) memcpy(segment->saved, segment->content, segment->content_bytes);
  }
  uint32_t sequence = shms_i_load(&footer->sequence) + 1u;
  /* It wrapped: marks of 2^32 sequences ago must not look like its own. */
  if (sequence == 1 && segment->marks != NULL) memset(segment->marks, 0, 4 * shms_i_block_count(segment));
  shms_i_store64(footer->before, shms_i_load64(&footer->commits));
  shms_i_fence();
  shms_i_publish(&footer->sequence, sequence);
  segment->editing = 1;
  return SHMS_OK;
}

/**
 * Begins a transaction: what you store to `content` from now on is seen by others all at once, at shms_commit, or not at all.
 * Repairs first what a killed writer left. Needs the exclusive lock.
 * @return SHMS_E_NOT_HELD without the exclusive lock, SHMS_E_HELD in a transaction, SHMS_E_READ_ONLY
 * @example if (!shms_lock(&file, SHMS_EXCLUSIVE, -1) && !shms_begin(&file)) …
 */
static inline int shms_begin(shms_segment *segment) {
  int error = shms_begin_by_blocks(segment);
  return error ? error : shms_will_write(segment, 0, segment->content_bytes);
}

/**
 * The lock, then a transaction: shms_lock(SHMS_EXCLUSIVE) and shms_begin. Ends with shms_commit or shms_roll_back, which give
 * the lock back.
 * @return as those
 * @example if (!(error = shms_edit(&file, 1000))) { robot->speed = 3; error = shms_commit(&file); }
 */
static inline int shms_edit(shms_segment *segment, int timeout_ms) {
  int error = shms_lock(segment, SHMS_EXCLUSIVE, timeout_ms);
  if (error) return error;
  error = shms_begin(segment);
  if (error) shms_unlock(segment);
  return error;
}

/* The shared header: when the record was last written. Later than before, as it alone tells users of IPMMAP. */
static inline void shms_i_stamp(void *content) {
  const int16_t code = 0x1128;
  double last, now = (double)shms_i_now_ns(CLOCK_REALTIME) / 1e9;
  memcpy(&last, (uint8_t *)content + 8, 8);
  if (last >= now && last < now + 1) now = last + 1e-6;
  memcpy(content, &code, 2);
  memcpy((uint8_t *)content + 8, &now, 8);
}

/**
 * Commits the transaction, gives the lock back, and wakes those who wait for changes. Stamps the record's header.
 * @return SHMS_E_NOT_HELD outside a transaction
 * @example if (!shms_edit(&file, 1000)) { ((Robot *)file.content)->speed = 3; shms_commit(&file); }
 */
static inline int shms_commit(shms_segment *segment) {
  if (!segment->open) return SHMS_E_CLOSED;
  if (!segment->editing) return SHMS_E_NOT_HELD;
  shms_i_footer *footer = segment->footer;
  if (segment->has_header) {
    int error = shms_will_write(segment, 0, 16);
    if (error) return error;
    shms_i_stamp(segment->content);
  }
  shms_i_store64(&footer->commits, shms_i_load64(&footer->commits) + 1);
  shms_i_fence();
  shms_i_publish(&footer->sequence, shms_i_load(&footer->sequence) + 1u);
  segment->editing = 0;
  shms_i_release(&segment->lock);
  shms_i_announce(segment->lock.page);
  return SHMS_OK;
}

/**
 * Takes back all stores since shms_begin, but those to atomics, and gives the lock back.
 * @return SHMS_E_NOT_HELD outside a transaction; SHMS_E_NO_ROLLBACK in a file without a pre-image when there was no memory for
 * a copy: then the stores stay
 * @example if (!shms_edit(&file, 1000)) { if (fill((Robot *)file.content)) shms_commit(&file); else shms_roll_back(&file); }
 */
static inline int shms_roll_back(shms_segment *segment) {
  if (!segment->open) return SHMS_E_CLOSED;
  if (!segment->editing) return SHMS_E_NOT_HELD;
  shms_i_footer *footer = segment->footer;
  uint32_t sequence = shms_i_load(&footer->sequence);
  int error = SHMS_OK;
  if (segment->pre_image != NULL) shms_i_restore(segment, sequence);
  else if (segment->saved != NULL)
    shms_i_copy_plain(segment, (uint8_t *)segment->content, segment->saved, 0, segment->content_bytes);
  else error = SHMS_E_NO_ROLLBACK;
  shms_i_fence();
  shms_i_publish(&footer->sequence, sequence + 1u);
  segment->editing = 0;
  shms_i_release(&segment->lock);
  return error;
}

static inline int shms_unlock(shms_segment *segment) {
  if (!segment->open) return SHMS_E_CLOSED;
  if (!segment->lock.held) return SHMS_E_NOT_HELD;
  if (segment->editing) return shms_roll_back(segment);
  shms_i_release(&segment->lock);
  return SHMS_OK;
}

static inline void shms_close(shms_segment *segment) {
  if (segment->open && segment->editing) shms_roll_back(segment);
  if (segment->open && segment->lock.held) shms_i_release(&segment->lock);
  if (segment->base != NULL) shms_i_forget(segment);
  segment->open = 0;
  shms_i_unmap(segment);
  shms_i_lock_close(&segment->lock);
}

/* ---- records: reading ---- */

/* Copies the committed content at that sequence; what it copied counts if the sequence is the same afterwards. */
static inline void shms_i_copy_committed(const shms_segment *segment, uint32_t sequence, uint8_t *target, size_t bytes,
                                         uint64_t *version) {
  const uint8_t *live = (const uint8_t *)segment->content;
  int odd = (sequence & 1u) != 0 && segment->pre_image != NULL;
  *version = shms_i_load64((sequence & 1u) != 0 ? segment->footer->before : &segment->footer->commits);
  if (odd && segment->marks != NULL) {
    for (size_t start = 0, block = 0; start < bytes; start += segment->block_bytes, block++) {
      size_t end = start + segment->block_bytes < bytes ? start + segment->block_bytes : bytes;
      memcpy(target + start, live + start, end - start);
      shms_i_fence();
      if (shms_i_load(&segment->marks[block]) != sequence) continue;
      shms_i_fence();
      memcpy(target + start, segment->pre_image + start, end - start);
    }
  } else memcpy(target, odd ? segment->pre_image : live, bytes);
  if (!odd) return;
  for (size_t i = 0; i < segment->atomic_count; i++) {
    shms_range range = segment->atomics[i];
    if (range.end <= bytes) memcpy(target + range.start, live + range.start, range.end - range.start);
  }
}

/* Goes over to another file, if this one says that there is one, or is not whole. */
static inline int shms_i_refresh(shms_segment *segment) {
  int moved, error;
  if (segment->is_backup || segment->lock.held || shms_i_is_current(segment, &error)) return SHMS_OK;
  error = shms_i_move_on(segment, &moved);
  if (error) return error;
  return !moved && shms_i_is_truncated(segment) ? SHMS_E_TRUNCATED : SHMS_OK;
}

/* The same for calls that make no system call: what the file itself tells, and now and then all of it. */
static inline int shms_i_glance(shms_segment *segment) {
  int64_t now = shms_i_now_ns(CLOCK_MONOTONIC_COARSE);
  if (now - segment->looked_at < 100000000 && shms_i_load(&segment->footer->superseded) == 0) return SHMS_OK;
  return shms_i_refresh(segment);
}

/**
 * Copies the last committed state, without any lock. Only when a hundred tries met a commit each, or the file was made
 * without transactions, is the shared lock taken, unless this segment holds one.
 * Atomics are as they are now: they belong to no transaction.
 * @param target where to
 * @param bytes how many, from the start of the content
 * @param version of what was copied; may be NULL
 * @param timeout_ms how long to wait for that lock; -1: however long it takes, 0: one look
 * @return SHMS_E_ARGUMENT for more bytes than there are; SHMS_E_TIMEOUT when the lock is needed and not to be had, and what else
 *   shms_lock returns
 * @example Robot robot; uint64_t version; shms_snapshot(&file, &robot, sizeof robot, &version, 1000);
 */
static inline int shms_snapshot(shms_segment *segment, void *target, size_t bytes, uint64_t *version, int timeout_ms) {
  uint64_t found = 0;
  if (!segment->open) return SHMS_E_CLOSED;
  int error = shms_i_glance(segment);
  if (error) return error;
  if (bytes > segment->content_bytes) return SHMS_E_ARGUMENT;
  int sequenced = segment->pre_image != NULL && segment->lock.kind == SHMS_FLOCK;
  for (int tries = 0; tries < 100 && sequenced; tries++) {
    uint32_t sequence = shms_i_load(&segment->footer->sequence);
    shms_i_fence();
    shms_i_copy_committed(segment, sequence, (uint8_t *)target, bytes, &found);
    shms_i_fence();
    if (shms_i_load(&segment->footer->sequence) != sequence) continue;
    if (version != NULL) *version = found;
    return SHMS_OK;
  }
  int was_held = segment->lock.held;
  error = was_held ? SHMS_OK : shms_lock(segment, SHMS_SHARED, timeout_ms);
  if (error) return error;
  shms_i_copy_committed(segment, shms_i_load(&segment->footer->sequence), (uint8_t *)target, bytes, &found);
  if (version != NULL) *version = found;
  return was_held ? SHMS_OK : shms_unlock(segment);
}

static inline size_t shms_i_align(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

/* Where a document's slots are, by its maxBytes. */
typedef struct shms_i_document {
  size_t max_bytes, slot[2], mirrored;
} shms_i_document;

static inline int shms_i_document_format(const shms_segment *segment, shms_i_document *document) {
  shms_i_json schema;
  uint64_t most = 0;
  schema.at = segment->schema;
  schema.end = schema.at + segment->schema_bytes;
  if (segment->footer->content != SHMS_DOCUMENT) return SHMS_E_CONTENT;
  if (!shms_i_json_number(schema, "maxBytes", &most) || most < 1 || most > (1u << 30)) return SHMS_E_FORMAT;
  document->max_bytes = (size_t)most;
  document->slot[0] = shms_i_align(document->max_bytes + 11, 64);
  document->slot[1] = document->slot[0] + shms_i_align(16 + document->max_bytes, 64);
  document->mirrored = document->slot[1] + shms_i_align(16 + document->max_bytes, 64);
  return document->mirrored + 64 == segment->content_bytes ? SHMS_OK : SHMS_E_FORMAT;
}

static inline uint32_t *shms_i_slot(const shms_segment *segment, const shms_i_document *document, uint32_t sequence) {
  return (uint32_t *)(void *)(segment->base + document->slot[(sequence >> 1) & 1u]);
}

/* A document's version stands in its slot: there it changes together with the text. */
static inline uint64_t shms_i_version_at(const shms_segment *segment, uint32_t sequence) {
  if (segment->footer->content == SHMS_DOCUMENT) {
    shms_i_document document;
    if (shms_i_document_format(segment, &document) == SHMS_OK)
      return shms_i_load64(shms_i_slot(segment, &document, sequence) + 2);
  }
  return shms_i_load64((sequence & 1u) != 0 ? segment->footer->before : &segment->footer->commits);
}

/**
 * How many transactions were committed: commits, with the file's generation in the upper 32 bits; of a document the version
 * that was written last. Without any lock. (A channel counts messages: shms_subscriber_published.)
 * @param version where to
 * @return SHMS_E_MISSING, SHMS_E_TRUNCATED and what else shms_open returns, should the file have been replaced
 * @example uint64_t version; shms_version(&file, &version);
 */
static inline int shms_version(shms_segment *segment, uint64_t *version) {
  if (!segment->open) return SHMS_E_CLOSED;
  int error = shms_i_refresh(segment);
  if (error) return error;
  for (int tries = 0; tries < 100; tries++) {
    uint32_t sequence = shms_i_load(&segment->footer->sequence);
    shms_i_fence();
    *version = shms_i_version_at(segment, sequence);
    shms_i_fence();
    if (shms_i_load(&segment->footer->sequence) == sequence) break;
  }
  /* Only a writer that is busier than any could be is given up on, with a value that was right a moment ago. */
  return SHMS_OK;
}

/**
 * Blocks until the version is not `last`.
 * @param last the version that you know, of shms_snapshot or shms_version
 * @param timeout_ms -1: however long it takes
 * @param version the new one; may be NULL
 * @return SHMS_E_TIMEOUT, and what shms_version returns
 * @example while (!shms_wait_for_change(&file, version, -1, &version)) show(&file);
 */
static inline int shms_wait_for_change(shms_segment *segment, uint64_t last, int timeout_ms, uint64_t *version) {
  int64_t start = shms_i_now_ns(CLOCK_MONOTONIC);
  for (;;) {
    shms_i_page *page = segment->lock.page;
    uint64_t now = last;
    /* First the count of commits, then what they change: a commit in between ends the sleep at once. */
    uint32_t seen = page == NULL ? 0 : shms_i_load(&page->changes);
    int error = shms_version(segment, &now);
    /* A file that is being replaced is missing for a moment. */
    if (error && error != SHMS_E_MISSING) return error;
    if (now != last && !error) {
      if (version != NULL) *version = now;
      return SHMS_OK;
    }
    int64_t rest = timeout_ms < 0 ? INT64_MAX : start + (int64_t)timeout_ms * 1000000 - shms_i_now_ns(CLOCK_MONOTONIC);
    if (rest <= 0) return SHMS_E_TIMEOUT;
    if (page != segment->lock.page) continue;
    if (page != NULL && segment->lock.kind == SHMS_FLOCK) shms_i_sleep_until_change(page, seen, rest);
    else {
      struct timespec pause;
      pause.tv_sec = 0;
      pause.tv_nsec = rest < 5000000 ? (long)rest : 5000000;
      nanosleep(&pause, NULL);
    }
  }
}

/** A descriptor that becomes readable when there was a commit. @see shms_watch_start */
typedef struct shms_watch {
  int fd; /* for poll, select or epoll: read 8 bytes from it to arm it again */
  int stop;
  shms_i_page *page;
  pthread_t thread;
} shms_watch;

static inline void *shms_i_watch_run(void *argument) {
  shms_watch *watch = (shms_watch *)argument;
  const uint64_t one = 1;
  uint32_t seen = shms_i_load(&watch->page->changes);
  while (!__atomic_load_n(&watch->stop, __ATOMIC_SEQ_CST)) {
    shms_i_sleep_until_change(watch->page, seen, 1000000000);
    uint32_t now = shms_i_load(&watch->page->changes);
    /* A full counter is readable already. */
    if (now != seen && write(watch->fd, &one, sizeof one) < 0 && errno != EAGAIN) break;
    seen = now;
  }
  return NULL;
}

/**
 * Starts a thread that makes `watch->fd` readable after commits, for programs with an event loop. A burst of commits is one
 * event. Needs a segment of lock kind flock with a lock page that this process may write. Stop it before the segment is closed.
 * @return SHMS_E_READ_ONLY without such a page; SHMS_E_SYSTEM
 * @example shms_watch_start(&watch, &file); … epoll on watch.fd … shms_watch_stop(&watch);
 */
static inline int shms_watch_start(shms_watch *watch, const shms_segment *segment) {
  char path[PATH_MAX];
  memset(watch, 0, sizeof *watch);
  watch->fd = -1;
  if (!segment->open) return SHMS_E_CLOSED;
  if (segment->lock.kind != SHMS_FLOCK || segment->lock.page == NULL) return SHMS_E_READ_ONLY;
  if (shms_i_text(path, segment->place.lock[SHMS_FLOCK], "", "", "") != SHMS_OK) return SHMS_E_ARGUMENT;
  /* A mapping of its own: the segment may move on to another lock. */
  watch->page = shms_i_open_page(path, 0, 0600, segment->place.trust);
  if (watch->page == NULL) return SHMS_E_READ_ONLY;
  watch->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  int number = watch->fd < 0 ? errno : pthread_create(&watch->thread, NULL, shms_i_watch_run, watch);
  if (number == 0) return SHMS_OK;
  if (watch->fd >= 0) close(watch->fd);
  munmap(watch->page, 4096);
  watch->fd = -1;
  errno = number;
  return SHMS_E_SYSTEM;
}

/** Ends the thread and closes the descriptor. Never fails. @example shms_watch_stop(&watch); shms_close(&file); */
static inline void shms_watch_stop(shms_watch *watch) {
  if (watch->fd < 0) return;
  __atomic_store_n(&watch->stop, 1, __ATOMIC_SEQ_CST);
  /* No commit: sleepers look, and sleep again. Repeated, as the thread may be just about to sleep. */
  do shms_i_futex_wake(&watch->page->changes, INT_MAX);
  while (pthread_tryjoin_np(watch->thread, NULL) != 0 && usleep(1000) == 0);
  close(watch->fd);
  munmap(watch->page, 4096);
  watch->fd = -1;
}

/* ---- making a file ---- */

/** Replace a file that is there: those who have it open go over to the new one. */
#define SHMS_FORCE 1u
/** Keep no pre-image: a writer that is killed may leave half an edit, and snapshots take the lock. */
#define SHMS_NOT_TRANSACTIONAL 2u

/** What a new file is like. Set all to zero first, then what you need. */
typedef struct shms_new {
  int kind;             /* SHMS_RECORD … */
  size_t content_bytes; /* sizeof(Robot) */
  uint64_t fingerprint; /* Robot_FINGERPRINT */
  const char *schema;   /* Robot_SCHEMA: JSON */
  mode_t mode;          /* permissions, not reduced by the umask; 0: 0600 */
  unsigned flags;       /* SHMS_FORCE, SHMS_NOT_TRANSACTIONAL */
  int timeout_ms;       /* for the lock; 0: however long it takes */
  /* Fills the zeroed content before any other process sees it; what it returns, if not 0, ends the creation. May be NULL. */
  int (*init)(void *content, size_t bytes, void *argument);
  void *argument;
} shms_new;

/* Fills a temporary file, mapped at `base`. */
static inline int shms_i_fill(uint8_t *base, const shms_i_footer *planned, const shms_new *wanted, size_t size,
                              uint32_t generation) {
  shms_i_footer footer = *planned;
  memcpy(base + footer.schema_offset, wanted->schema, footer.schema_bytes);
  footer.checksum = shms_i_crc32(shms_i_crc32(0, (const uint8_t *)&footer + 16, 80), wanted->schema, footer.schema_bytes);
  footer.generation = footer.before[1] = generation;
  memcpy(base + size - SHMS_FOOTER_BYTES, &footer, sizeof footer);
  /* Only now: what a killed creator leaves behind is told by this marker or by a footer. */
  shms_i_fence();
  memset(base, 0, 8);
  if (wanted->init != NULL) {
    int error = wanted->init(base, wanted->content_bytes, wanted->argument);
    if (error) return error;
  }
  shms_i_json schema;
  schema.at = wanted->schema;
  schema.end = wanted->schema + footer.schema_bytes;
  if (wanted->kind == SHMS_RECORD && wanted->content_bytes >= 16 && shms_i_has_header(schema)) shms_i_stamp(base);
  return SHMS_OK;
}

static inline int shms_i_random_name(char *path, const char *data) {
  uint64_t number;
  char digits[32];
  if (getentropy(&number, sizeof number) < 0) number = (uint64_t)shms_i_now_ns(CLOCK_MONOTONIC) ^ ((uint64_t)getpid() << 40);
  snprintf(digits, sizeof digits, ".new-%016llx", (unsigned long long)number);
  return shms_i_text(path, data, digits, "", "");
}

/* Makes the whole new file under a temporary name, and gives it its own. With the lock held. */
static inline int shms_i_make(const shms_place *place, const shms_new *wanted, uint32_t generation, shms_segment *old) {
  char temporary[PATH_MAX];
  size_t schema_bytes = strlen(wanted->schema);
  int transactional = (wanted->flags & SHMS_NOT_TRANSACTIONAL) == 0 && wanted->kind == SHMS_RECORD;
  shms_i_footer footer;
  memset(&footer, 0, sizeof footer);
  size_t after = shms_i_align(wanted->content_bytes, 8);
  footer.pre_image_offset = transactional ? after : 0;
  footer.schema_offset = transactional ? shms_i_align(after + wanted->content_bytes, 8) : after;
  size_t size = shms_i_align((size_t)footer.schema_offset + schema_bytes + SHMS_FOOTER_BYTES, 64);
  footer.magic = SHMS_I_MAGIC;
  footer.format = 2;
  footer.content = (uint8_t)wanted->kind;
  footer.lock = SHMS_FLOCK;
  footer.flags = transactional ? SHMS_I_TRANSACTIONAL : 0;
  footer.abi = shms_abi();
  footer.content_bytes = wanted->content_bytes;
  footer.schema_bytes = (uint32_t)schema_bytes;
  footer.fingerprint = wanted->fingerprint;
  footer.created_at = (uint64_t)shms_i_now_ns(CLOCK_REALTIME);
  int error = shms_i_random_name(temporary, place->data);
  if (error) return error;
  int fd = shms_i_open_file(temporary, O_RDWR | O_CREAT | O_EXCL, SHMS_I_BEING_MADE | 0600);
  if (fd < 0) return SHMS_E_SYSTEM;
  /* Held until the file has its name: who sweeps up leftovers leaves it alone. */
  flock(fd, LOCK_EX | LOCK_NB);
  void *base = MAP_FAILED;
  const uint64_t marker = SHMS_I_MAGIC;
  int ok = write(fd, &marker, 8) == 8 && fchmod(fd, wanted->mode == 0 ? 0600 : wanted->mode) == 0;
  if (ok) {
    errno = posix_fallocate(fd, 0, (off_t)size);
    ok = errno == 0;
  }
  if (ok) base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  error = base == MAP_FAILED ? SHMS_E_SYSTEM : shms_i_fill((uint8_t *)base, &footer, wanted, size, generation);
  if (base != MAP_FAILED) munmap(base, size);
  if (!error && old == NULL && link(temporary, place->data) < 0) error = errno == EEXIST ? SHMS_E_EXISTS : SHMS_E_SYSTEM;
  if (!error && old != NULL) {
    __atomic_store_n(&old->footer->superseded, 1u, __ATOMIC_SEQ_CST);
    if (rename(temporary, place->data) < 0) {
      error = SHMS_E_SYSTEM;
      __atomic_store_n(&old->footer->superseded, 0u, __ATOMIC_SEQ_CST);
    }
  }
  int number = errno;
  if (error || old == NULL) unlink(temporary);
  errno = number;
  return shms_i_close_with(fd, error);
}

/* Of a file that is there: makes its lock file and that one's page again, should they have been deleted. */
static inline void shms_i_restore_lock(const shms_place *place) {
  shms_segment file;
  struct stat status;
  shms_i_lock lock;
  char page[PATH_MAX];
  const char *path = place->lock[SHMS_FLOCK];
  if (shms_i_text(page, path, "-page", "", "") != SHMS_OK) return;
  if (access(path, F_OK) == 0 && access(page, F_OK) == 0) return;
  memset(&file, 0, sizeof file);
  file.place = *place;
  file.fd = -1;
  int is_ours = shms_i_map(&file) == SHMS_OK && !file.is_backup && file.lock.kind == SHMS_FLOCK;
  if (is_ours && fstat(file.fd, &status) == 0 &&
      shms_i_lock_open(&lock, path, SHMS_FLOCK, 1, status.st_mode & 0777, place->trust) == SHMS_OK)
    shms_i_lock_close(&lock);
  shms_i_unmap(&file);
}

/**
 * Makes a segment's file, whole from the first moment on: no process ever sees it without what `init` wrote. Its lock is of kind
 * flock. Missing directories are not made. Where there is a file already, its lock file and page are made again, should they be
 * missing. What a killed creator left behind is swept up by the next Manager.
 * @return SHMS_E_EXISTS (without SHMS_FORCE) when there is one; SHMS_E_FORMAT to replace a file that is not one of shmstruct's;
 * SHMS_E_CONTENT to replace one whose lock is of kind fcntl; SHMS_E_TIMEOUT, SHMS_E_SYSTEM, what `init` returns
 * @example
 *     shms_new wanted;
 *     memset(&wanted, 0, sizeof wanted);
 *     wanted.kind = SHMS_RECORD; wanted.content_bytes = sizeof(Robot);
 *     wanted.fingerprint = Robot_FINGERPRINT; wanted.schema = Robot_SCHEMA;
 *     int error = shms_create(&place, &wanted);
 */
static inline int shms_create(const shms_place *place, const shms_new *wanted) {
  shms_i_lock lock;
  shms_segment old;
  mode_t mode = wanted->mode == 0 ? 0600 : wanted->mode;
  int force = (wanted->flags & SHMS_FORCE) != 0;
  if (wanted->schema == NULL || wanted->content_bytes == 0) return SHMS_E_ARGUMENT;
  if (wanted->kind < SHMS_RECORD || wanted->kind > SHMS_QUEUE) return SHMS_E_ARGUMENT;
  if (!force && access(place->data, F_OK) == 0) {
    shms_i_restore_lock(place);
    return SHMS_E_EXISTS;
  }
  /* A mode that lets others write is a decision to trust them. */
  shms_place trusting = *place;
  trusting.trust = place->trust || (mode & 022) != 0;
  int error = shms_i_lock_open(&lock, place->lock[SHMS_FLOCK], SHMS_FLOCK, 1, mode, trusting.trust);
  if (!error) error = shms_i_acquire(&lock, SHMS_EXCLUSIVE, wanted->timeout_ms <= 0 ? -1 : wanted->timeout_ms);
  if (error) {
    shms_i_lock_close(&lock);
    return error;
  }
  int replaces = access(place->data, F_OK) == 0;
  if (replaces && !force) error = SHMS_E_EXISTS;
  if (!error && replaces) error = shms_open(&old, &trusting, SHMS_WRITE, 0, 0, 0);
  int is_open = !error && replaces;
  if (is_open && old.lock.kind != SHMS_FLOCK) error = SHMS_E_CONTENT;
  uint32_t generation = lock.page == NULL ? 0 : shms_i_load(&lock.page->generations);
  if (generation >= (1u << 21)) generation = 0;
  if (!error && replaces && old.footer->generation + 1 > generation) generation = old.footer->generation + 1;
  if (!error) error = shms_i_make(place, wanted, generation, replaces ? &old : NULL);
  if (!error && lock.page != NULL) __atomic_store_n(&lock.page->generations, generation + 1, __ATOMIC_SEQ_CST);
  if (is_open) shms_close(&old);
  shms_i_release(&lock);
  if (!error) shms_i_announce(lock.page);
  shms_i_lock_close(&lock);
  return error;
}

/* ---- documents ---- */

/**
 * Copies the newest document, without any lock. Only when a hundred tries met a commit each is the shared lock taken, unless this
 * segment holds one.
 * @param text where to; ended by a NUL that does not count
 * @param room bytes there, the NUL's included
 * @param length bytes of the text, also when there is no room for it; may be NULL
 * @param version of the document; may be NULL
 * @param timeout_ms how long to wait for that lock; -1: however long it takes, 0: one look
 * @return SHMS_E_EMPTY when none was written yet; SHMS_E_FULL without room; SHMS_E_FORMAT for a damaged one; SHMS_E_TIMEOUT when the
 *   lock is needed and not to be had, and what else shms_lock returns
 * @example char json[65536]; size_t length; shms_document_read(&file, json, sizeof json, &length, NULL, 1000);
 */
static inline int shms_document_read(shms_segment *segment, char *text, size_t room, size_t *length, uint64_t *version,
                                     int timeout_ms) {
  shms_i_document document;
  if (!segment->open) return SHMS_E_CLOSED;
  int error = shms_i_glance(segment);
  if (!error) error = shms_i_document_format(segment, &document);
  if (error) return error;
  for (int tries = 0;; tries++) {
    /* Writers that commit without a pause: under the lock the document stands still. */
    int locks = tries == 100 && !segment->lock.held;
    if (locks && (error = shms_lock(segment, SHMS_SHARED, timeout_ms)) != SHMS_OK) return error;
    uint32_t head[4];
    uint32_t sequence = shms_i_load(&segment->footer->sequence);
    const uint32_t *slot = shms_i_slot(segment, &document, sequence);
    shms_i_fence();
    memcpy(head, slot, sizeof head);
    size_t bytes = head[1] <= document.max_bytes ? head[1] : 0;
    size_t copied = bytes < room ? bytes : 0;
    memcpy(text, (const uint8_t *)slot + 16, copied);
    shms_i_fence();
    int whole = shms_i_load(&segment->footer->sequence) == sequence;
    if (locks) shms_unlock(segment);
    if (!whole && tries < 100) continue;
    if (length != NULL) *length = bytes;
    if (version != NULL) *version = (uint64_t)head[2] | ((uint64_t)head[3] << 32);
    if (head[1] > document.max_bytes) return SHMS_E_FORMAT;
    if (bytes >= room) return SHMS_E_FULL;
    text[bytes] = 0;
    if (head[0] != shms_i_crc32(shms_i_crc32(0, &head[1], 12), text, bytes)) return SHMS_E_FORMAT;
    return bytes == 0 ? SHMS_E_EMPTY : SHMS_OK;
  }
}

/* Writes the text at the start, for jsonmmap's followers: a colon in front keeps them from reading it meanwhile. */
static inline void shms_i_mirror(shms_segment *segment, const shms_i_document *document, uint32_t sequence) {
  char start[16];
  const uint32_t *slot = shms_i_slot(segment, document, sequence);
  size_t bytes = slot[1] <= document->max_bytes ? slot[1] : 0;
  int digits = bytes == 0 ? snprintf(start, sizeof start, "4:null") : snprintf(start, sizeof start, "%zu:", bytes);
  __atomic_store_n(segment->base, (uint8_t)':', __ATOMIC_SEQ_CST);
  memcpy(segment->base + 1, start + 1, (size_t)digits - 1);
  memcpy(segment->base + digits, (const uint8_t *)slot + 16, bytes);
  shms_i_fence();
  __atomic_store_n(segment->base, (uint8_t)start[0], __ATOMIC_SEQ_CST);
  shms_i_publish((uint32_t *)(void *)(segment->base + document->mirrored), sequence);
}

/* The version of the document that is there; of a damaged one, of the footer. */
static inline uint64_t shms_i_document_version(const shms_segment *segment, const uint32_t *slot) {
  uint64_t known = shms_i_load64(&segment->footer->commits), version = shms_i_load64(slot + 2);
  return version >= known && version <= known + 1 ? version : known + 1;
}

static inline void shms_i_store_version(shms_segment *segment, uint64_t version) {
  shms_i_store64(segment->footer->before, shms_i_load64(&segment->footer->commits));
  shms_i_store64(&segment->footer->commits, version);
}

/**
 * Makes `text` the document and wakes those who wait for it. Takes the lock for it, unless it is held.
 * @param text JSON in UTF-8. It is not checked: a document that is no JSON is an error for who reads it
 * @param length bytes of it, without a NUL
 * @param timeout_ms for the lock
 * @param version of the new document; may be NULL
 * @return SHMS_E_FULL for more than the file's maxBytes, SHMS_E_EMPTY for an empty text, SHMS_E_READ_ONLY, what shms_lock returns
 * @example shms_document_write(&file, json, strlen(json), -1, NULL);
 */
static inline int shms_document_write(shms_segment *segment, const char *text, size_t length, int timeout_ms,
                                      uint64_t *version) {
  shms_i_document document;
  if (!segment->open) return SHMS_E_CLOSED;
  if (segment->access != SHMS_WRITE) return SHMS_E_READ_ONLY;
  if (length == 0) return SHMS_E_EMPTY;
  int was_held = segment->lock.held;
  if (was_held == SHMS_SHARED) return SHMS_E_NOT_HELD;
  int error = was_held ? SHMS_OK : shms_lock(segment, SHMS_EXCLUSIVE, timeout_ms);
  if (error) return error;
  error = shms_i_document_format(segment, &document);
  if (!error && length > document.max_bytes) error = SHMS_E_FULL;
  if (!error) {
    uint32_t current = shms_i_load(&segment->footer->sequence);
    uint32_t sequence = (current & ~1u) + 2u;
    uint64_t next = shms_i_document_version(segment, shms_i_slot(segment, &document, current)) + 1;
    uint32_t *slot = shms_i_slot(segment, &document, sequence);
    memcpy((uint8_t *)slot + 16, text, length);
    slot[1] = (uint32_t)length;
    shms_i_store64(slot + 2, next);
    slot[0] = shms_i_crc32(shms_i_crc32(0, slot + 1, 12), text, length);
    shms_i_fence();
    shms_i_publish(&segment->footer->sequence, sequence);
    shms_i_store_version(segment, next);
    shms_i_mirror(segment, &document, sequence);
    if (version != NULL) *version = next;
  }
  if (!was_held) shms_i_release(&segment->lock);
  if (!error) shms_i_announce(segment->lock.page);
  return error;
}

/* ---- slots: what channels and queues have in common ---- */

/* Where slots are. Read once and checked, so that no later change of the file leads outside. */
typedef struct shms_i_slots {
  uint32_t count;
  size_t payload_bytes, stride, first;
} shms_i_slots;

static inline int shms_i_read_slots(const shms_segment *segment, uint32_t most, shms_i_slots *slots) {
  const uint32_t *words = (const uint32_t *)segment->content;
  if (segment->content_bytes < 512) return SHMS_E_FORMAT;
  uint64_t payload = shms_i_load64(words + 2), stride = shms_i_load64(words + 4), first = shms_i_load64(words + 6);
  uint32_t count = words[0];
  if (count < 2 || count > most || (count & (count - 1)) != 0) return SHMS_E_FORMAT;
  if (payload < 1 || stride % 64 != 0 || stride > segment->content_bytes || stride < 64 + payload || payload > stride)
    return SHMS_E_FORMAT;
  if (first % 64 != 0 || first < 512 || first > segment->content_bytes) return SHMS_E_FORMAT;
  if (stride > (segment->content_bytes - first) / count) return SHMS_E_FORMAT;
  slots->count = count;
  slots->payload_bytes = (size_t)payload;
  slots->stride = (size_t)stride;
  slots->first = (size_t)first;
  return SHMS_OK;
}

static inline uint32_t *shms_i_slot_at(const shms_segment *segment, const shms_i_slots *slots, uint32_t number) {
  size_t offset = slots->first + (size_t)(number & (slots->count - 1)) * slots->stride;
  return (uint32_t *)(void *)((uint8_t *)segment->content + offset);
}

/** The shape of a new channel or queue. Set all to zero first. */
typedef struct shms_slots_new {
  int kind;             /* SHMS_CHANNEL or SHMS_QUEUE */
  uint32_t slots;       /* a power of two, from 2; of a queue at most 2^20 */
  size_t payload_bytes; /* of a message or job at most: sizeof(Frame) */
  uint64_t fingerprint; /* Frame_FINGERPRINT; 0 for raw bytes */
  const char *schema;   /* Frame_SCHEMA; NULL for raw bytes */
  mode_t mode;          /* 0: 0600 */
  unsigned flags;       /* SHMS_FORCE */
  uint32_t max_attempts, lease_ms; /* of a queue; 0: no limit, no lease */
} shms_slots_new;

static inline int shms_i_init_slots(void *content, size_t bytes, void *argument) {
  const shms_slots_new *wanted = (const shms_slots_new *)argument;
  uint32_t *words = (uint32_t *)content;
  (void)bytes;
  words[0] = wanted->slots;
  shms_i_store64(words + 2, wanted->payload_bytes);
  shms_i_store64(words + 4, 64 + shms_i_align(wanted->payload_bytes, 64));
  shms_i_store64(words + 6, 4096);
  if (wanted->kind == SHMS_QUEUE) {
    words[8] = wanted->max_attempts;
    words[9] = wanted->lease_ms;
    shms_i_boot_id((uint8_t *)(words + 10));
  }
  return SHMS_OK;
}

/**
 * Makes a channel or a queue.
 * @return SHMS_E_ARGUMENT for a shape that cannot be, and what shms_create returns
 * @example
 *     shms_slots_new wanted;
 *     memset(&wanted, 0, sizeof wanted);
 *     wanted.kind = SHMS_CHANNEL; wanted.slots = 8; wanted.payload_bytes = sizeof(Frame);
 *     wanted.fingerprint = Frame_FINGERPRINT; wanted.schema = Frame_SCHEMA;
 *     int error = shms_create_slots(&place, &wanted);
 */
static inline int shms_create_slots(const shms_place *place, const shms_slots_new *wanted) {
  shms_new segment;
  uint32_t most = wanted->kind == SHMS_QUEUE ? 1u << 20 : 1u << 26;
  if ((wanted->kind != SHMS_CHANNEL && wanted->kind != SHMS_QUEUE) || wanted->payload_bytes == 0) return SHMS_E_ARGUMENT;
  if (wanted->slots < 2 || wanted->slots > most || (wanted->slots & (wanted->slots - 1)) != 0) return SHMS_E_ARGUMENT;
  size_t room = 64 + (wanted->schema == NULL ? 0 : strlen(wanted->schema));
  char *schema = (char *)malloc(room);
  if (schema == NULL) return SHMS_E_SYSTEM;
  if (wanted->schema == NULL) snprintf(schema, room, "{\"payload\":{\"bytes\":%zu}}", wanted->payload_bytes);
  else snprintf(schema, room, "{\"payload\":%s}", wanted->schema);
  memset(&segment, 0, sizeof segment);
  segment.kind = wanted->kind;
  segment.content_bytes = 4096 + wanted->slots * (64 + shms_i_align(wanted->payload_bytes, 64));
  segment.fingerprint = wanted->fingerprint;
  segment.schema = schema;
  segment.mode = wanted->mode;
  segment.flags = wanted->flags;
  segment.init = shms_i_init_slots;
  segment.argument = (void *)(uintptr_t)wanted;
  int error = shms_create(place, &segment);
  free(schema);
  return error;
}

/* ---- channels ---- */

/* Words of a channel's content, and of a slot. */
#define SHMS_I_NEXT 16
#define SHMS_I_EPOCH 17
#define SHMS_I_CLOSED 18
#define SHMS_I_PID 19

/** What comes with a message. */
typedef struct shms_message {
  uint64_t index;   /* which message of the channel it is, from 0 */
  uint64_t missed;  /* messages between the one before and this that were overwritten */
  uint64_t sent_at; /* nanoseconds since 1970 */
  size_t length;    /* bytes */
  uint32_t type;    /* the publisher's number */
  uint32_t epoch;   /* which publisher of the channel sent it, from 1 */
} shms_message;

/** A channel, opened by its publisher or by a subscriber. */
typedef struct shms_channel {
  shms_segment file;
  shms_i_slots slots;
  uint64_t cursor; /* the message that comes next */
  uint64_t missed;
  uint32_t epoch;
  uint32_t *loan; /* the slot that is being written */
  int64_t looked_at;
} shms_channel;

/** Where a subscriber begins. */
enum shms_from { SHMS_NEWEST = 0, SHMS_OLDEST = 1, SHMS_NEXT = 2 };

/* A number with these lower 32 bits, as near to `near` as possible. */
static inline uint64_t shms_i_extend(uint32_t low, uint64_t near_to) {
  return near_to + (uint64_t)(int64_t)(int32_t)(low - (uint32_t)near_to);
}

/* The index of the message that comes next, in 64 bits; 0: a publisher at work did not let it be read. */
static inline int shms_i_find_next(const shms_channel *channel, uint64_t *index) {
  const uint32_t *words = (const uint32_t *)channel->file.content;
  for (int tries = 0; tries < 1000; tries++) {
    uint32_t next = shms_i_load(words + SHMS_I_NEXT);
    const uint32_t *slot = shms_i_slot_at(&channel->file, &channel->slots, next - 1);
    uint32_t sequence = shms_i_load(slot);
    shms_i_fence();
    uint64_t found = shms_i_load64(slot + 2);
    shms_i_fence();
    if (shms_i_load(slot) != sequence) continue;
    *index = sequence == 0 && next == 0 ? 0 : found + 1;
    if ((uint32_t)*index == next) return 1;
  }
  return 0;
}

/* Where the slots are; of a damaged channel none, so that no call looks for them in it. */
static inline int shms_i_channel_attach(shms_channel *channel) {
  channel->slots.count = 0;
  return shms_i_read_slots(&channel->file, 1u << 26, &channel->slots);
}

/* Goes on where the publisher before has stopped, wherever it died. With the lock just taken. */
static inline int shms_i_take_over(shms_channel *channel) {
  int error = shms_i_channel_attach(channel);
  if (error) return error;
  uint32_t *words = (uint32_t *)channel->file.content;
  uint64_t k;
  if (!shms_i_find_next(channel, &k)) k = shms_i_load(words + SHMS_I_NEXT);
  const uint32_t *slot = shms_i_slot_at(&channel->file, &channel->slots, (uint32_t)k);
  /* It died after the message was whole and before it had counted it. */
  if (shms_i_load(slot) == 2 * (uint32_t)k + 2 && shms_i_load64(slot + 2) == k) {
    k++;
    shms_i_publish(words + SHMS_I_NEXT, (uint32_t)k);
  }
  channel->cursor = k;
  channel->loan = NULL;
  channel->epoch = shms_i_load(words + SHMS_I_EPOCH) + 1;
  words[SHMS_I_PID] = (uint32_t)getpid();
  words[SHMS_I_CLOSED] = 0;
  shms_i_publish(words + SHMS_I_EPOCH, channel->epoch);
  return SHMS_OK;
}

/**
 * Becomes the one publisher of a channel; it holds the channel's lock until shms_publisher_close. When a publisher dies, the
 * next goes on where it stopped.
 * @param bytes, fingerprint of your struct; 0 for raw bytes
 * @param wait_ms for a publisher that is still there
 * @return SHMS_E_TIMEOUT when there is one, and what shms_open returns
 * @example shms_publisher_open(&frames, &place, sizeof(Frame), Frame_FINGERPRINT, 1000);
 */
static inline int shms_publisher_open(shms_channel *channel, const shms_place *place, size_t bytes, uint64_t fingerprint,
                                      int wait_ms) {
  memset(channel, 0, sizeof *channel);
  int error = shms_open(&channel->file, place, SHMS_WRITE, SHMS_CHANNEL, 0, fingerprint);
  if (error) return error;
  error = shms_lock(&channel->file, SHMS_EXCLUSIVE, wait_ms);
  if (!error) error = shms_i_take_over(channel);
  if (!error && channel->slots.payload_bytes < bytes) error = SHMS_E_LAYOUT;
  channel->looked_at = shms_i_now_ns(CLOCK_MONOTONIC);
  if (error) shms_close(&channel->file);
  return error;
}

/* Should the file have been deleted or replaced, goes on in the one that is there now. Looked at once a second. */
static inline int shms_i_publisher_look(shms_channel *channel) {
  int error, is_held = channel->file.lock.held == SHMS_EXCLUSIVE;
  int64_t now = shms_i_now_ns(CLOCK_MONOTONIC);
  if (is_held && now - channel->looked_at < 1000000000) return SHMS_OK;
  channel->looked_at = now;
  if (is_held && shms_i_is_current(&channel->file, &error)) return error;
  /* Not held: the file was missing at the last look. */
  if (is_held) shms_i_release(&channel->file.lock);
  error = shms_lock(&channel->file, SHMS_EXCLUSIVE, 1000);
  return error ? error : shms_i_take_over(channel);
}

/**
 * Begins a message: its payload may be written in place, in shared memory, until shms_send. What the slot held before is still
 * there. Call it again, or shms_publisher_close, to give it up.
 * @param payload where to write, at most as many bytes as the channel was made with
 * @return SHMS_E_CLOSED, SHMS_E_NOT_HELD for a subscriber's channel, and what shms_open returns once the file was replaced
 * @example void *frame; if (!shms_loan(&frames, &frame)) { render((Frame *)frame); shms_send(&frames, sizeof(Frame), 0); }
 */
static inline int shms_loan(shms_channel *channel, void **payload) {
  if (!channel->file.open) return SHMS_E_CLOSED;
  if (channel->epoch == 0) return SHMS_E_NOT_HELD;
  channel->loan = NULL;
  int error = shms_i_publisher_look(channel);
  if (!error && channel->slots.count == 0) error = shms_i_take_over(channel);
  if (error) return error;
  uint32_t *slot = shms_i_slot_at(&channel->file, &channel->slots, (uint32_t)channel->cursor);
  shms_i_publish(slot, 2 * (uint32_t)channel->cursor + 1);
  shms_i_store64(slot + 2, channel->cursor);
  slot[6] = channel->epoch;
  channel->loan = slot;
  *payload = slot + 16;
  return SHMS_OK;
}

/**
 * Makes the loaned message one that subscribers see, and wakes those who sleep.
 * @param length bytes of it
 * @param type a number of yours
 * @return SHMS_E_NOT_HELD without a loan, SHMS_E_FULL for more bytes than a slot has
 * @example void *frame; if (!shms_loan(&frames, &frame)) { render((Frame *)frame); shms_send(&frames, sizeof(Frame), 0); }
 */
static inline int shms_send(shms_channel *channel, size_t length, uint32_t type) {
  uint32_t *slot = channel->loan;
  if (!channel->file.open) return SHMS_E_CLOSED;
  if (slot == NULL) return SHMS_E_NOT_HELD;
  if (length > channel->slots.payload_bytes) return SHMS_E_FULL;
  slot[1] = (uint32_t)length;
  shms_i_store64(slot + 4, (uint64_t)shms_i_now_ns(CLOCK_REALTIME));
  slot[7] = type;
  shms_i_publish(slot, 2 * (uint32_t)channel->cursor + 2);
  channel->cursor++;
  shms_i_publish((uint32_t *)channel->file.content + SHMS_I_NEXT, (uint32_t)channel->cursor);
  channel->loan = NULL;
  shms_i_announce(channel->file.lock.page);
  return SHMS_OK;
}

/** shms_loan, a copy and shms_send. @return what these return @example shms_publish(&prices, &price, sizeof price, 0); */
static inline int shms_publish(shms_channel *channel, const void *message, size_t length, uint32_t type) {
  void *payload;
  if (channel->file.open && length > channel->slots.payload_bytes) return SHMS_E_FULL;
  int error = shms_loan(channel, &payload);
  if (error) return error;
  /* Another file may have taken the place of the one before. */
  if (length > channel->slots.payload_bytes) return SHMS_E_FULL;
  memcpy(payload, message, length);
  return shms_send(channel, length, type);
}

/** Ends the publisher: the next one goes on with the next index. Never fails. @example shms_publisher_close(&frames); */
static inline void shms_publisher_close(shms_channel *channel) {
  if (channel->file.open && channel->file.lock.held == SHMS_EXCLUSIVE) {
    shms_i_publish((uint32_t *)channel->file.content + SHMS_I_CLOSED, 1);
    shms_i_announce(channel->file.lock.page);
  }
  shms_close(&channel->file);
}

/* The oldest message that is there, when `next` is the one that comes next. */
static inline uint64_t shms_i_oldest(const shms_channel *channel, uint64_t next) {
  uint64_t oldest = next > channel->slots.count ? next - channel->slots.count : 0;
  const uint32_t *slot = shms_i_slot_at(&channel->file, &channel->slots, (uint32_t)oldest);
  /* The publisher may be at work in the slot of the one that is a whole turn old. */
  return shms_i_load(slot) == 2 * (uint32_t)oldest + 2 || oldest == next ? oldest : oldest + 1;
}

/* Goes over to the file that is there now; there the first message comes next. */
static inline int shms_i_subscriber_refresh(shms_channel *channel) {
  dev_t device = channel->file.device;
  ino_t inode = channel->file.inode;
  int error = shms_i_refresh(&channel->file);
  int is_same = channel->file.device == device && channel->file.inode == inode;
  if (error || (is_same && channel->slots.count != 0)) return error;
  channel->cursor = 0;
  return shms_i_channel_attach(channel);
}

/* Puts the cursor to where subscribers begin. */
static inline void shms_i_subscribe(shms_channel *channel, int from) {
  const uint32_t *words = (const uint32_t *)channel->file.content;
  uint64_t next;
  if (!shms_i_find_next(channel, &next)) next = shms_i_extend(shms_i_load(words + SHMS_I_NEXT), channel->cursor);
  channel->missed = 0;
  channel->cursor = next;
  if (from == SHMS_NEWEST && next > 0) channel->cursor = next - 1;
  if (from == SHMS_OLDEST) channel->cursor = shms_i_oldest(channel, next);
}

/**
 * Opens a channel to receive its messages. Leaves no trace in it: any number of subscribers cost the publisher nothing.
 * @param bytes, fingerprint of your struct; 0 for any
 * @param from SHMS_NEWEST, SHMS_OLDEST or SHMS_NEXT
 * @return as shms_open
 * @example shms_subscriber_open(&frames, &place, sizeof(Frame), Frame_FINGERPRINT, SHMS_NEWEST);
 */
static inline int shms_subscriber_open(shms_channel *channel, const shms_place *place, size_t bytes, uint64_t fingerprint,
                                       int from) {
  memset(channel, 0, sizeof *channel);
  int error = shms_open(&channel->file, place, SHMS_READ, SHMS_CHANNEL, 0, fingerprint);
  if (error) return error;
  error = shms_i_channel_attach(channel);
  if (!error && channel->slots.payload_bytes < bytes) error = SHMS_E_LAYOUT;
  if (error) shms_close(&channel->file);
  else shms_i_subscribe(channel, from);
  return error;
}

/**
 * How many messages were published since the channel was made. Goes over to the file that is there now, should the channel have
 * been replaced.
 * @param count where to
 * @return SHMS_E_CLOSED, SHMS_E_MISSING, SHMS_E_TRUNCATED and what else shms_open returns
 * @example uint64_t count; shms_subscriber_published(&frames, &count);
 */
static inline int shms_subscriber_published(shms_channel *channel, uint64_t *count) {
  if (!channel->file.open) return SHMS_E_CLOSED;
  int error = shms_i_subscriber_refresh(channel);
  if (error) return error;
  if (!shms_i_find_next(channel, count))
    *count = shms_i_extend(shms_i_load((const uint32_t *)channel->file.content + SHMS_I_NEXT), channel->cursor);
  return SHMS_OK;
}

/* It fell behind: to the middle of what is there, as at the oldest it would be overtaken again at once. */
static inline int shms_i_jump(shms_channel *channel, uint64_t near_to) {
  uint64_t next = shms_i_extend(shms_i_load((const uint32_t *)channel->file.content + SHMS_I_NEXT), near_to);
  int64_t lost = (int64_t)(next - channel->slots.count / 2 - channel->cursor);
  if (lost <= 0) return 0;
  channel->missed += (uint64_t)lost;
  channel->cursor += (uint64_t)lost;
  return 1;
}

/* An older copy was written over the ring (cp): as with another file, the messages that are there come next. Not so if the message
   before the cursor is still there: its publisher has not counted it yet. */
static inline int shms_i_is_set_back(shms_channel *channel, uint64_t next) {
  uint64_t received = channel->cursor - 1;
  if ((int64_t)(next - received) > 0) return 0;
  shms_i_fence();
  const uint32_t *slot = shms_i_slot_at(&channel->file, &channel->slots, (uint32_t)received);
  if (shms_i_load(slot) == 2 * (uint32_t)received + 2 && shms_i_load64(slot + 2) == received) return 0;
  shms_i_fence();
  /* Overwritten in turn, if the publisher has gone on meanwhile. */
  if (shms_i_load((const uint32_t *)channel->file.content + SHMS_I_NEXT) != (uint32_t)next) return 0;
  channel->cursor = shms_i_oldest(channel, (int64_t)next < 0 ? 0 : next);
  return 1;
}

/* Nothing is there, or a message that was counted and never written: its publisher, a mirror, has not got it. */
static inline int shms_i_empty(shms_channel *channel, const uint32_t *slot, uint32_t sequence) {
  uint64_t k = channel->cursor;
  uint64_t next = shms_i_extend(shms_i_load((const uint32_t *)channel->file.content + SHMS_I_NEXT), k);
  uint64_t to = k + 1;
  if ((int64_t)(next - k) <= 0) return shms_i_is_set_back(channel, next) ? SHMS_E_OVERWRITTEN : SHMS_E_EMPTY;
  shms_i_fence();
  if (sequence == 2 * (uint32_t)k + 2 && shms_i_load64(slot + 2) == k) return SHMS_E_OVERWRITTEN;
  if (shms_i_load(slot) != sequence) return SHMS_E_OVERWRITTEN;
  if ((int64_t)(next - channel->slots.count - to) > 0) to = next - channel->slots.count;
  channel->missed += to - k;
  channel->cursor = to;
  return SHMS_E_OVERWRITTEN;
}

/* One look: SHMS_OK with the message copied, SHMS_E_EMPTY, or SHMS_E_OVERWRITTEN to look again. */
static inline int shms_i_receive_once(shms_channel *channel, void *target, size_t room, shms_message *message) {
  uint64_t k = channel->cursor;
  const uint32_t *slot = shms_i_slot_at(&channel->file, &channel->slots, (uint32_t)k);
  uint32_t want = 2 * (uint32_t)k + 2;
  uint32_t sequence = shms_i_load(slot);
  shms_i_fence();
  uint64_t index = shms_i_load64(slot + 2);
  if (sequence == want && index == k) {
    size_t length = slot[1] <= channel->slots.payload_bytes ? slot[1] : channel->slots.payload_bytes;
    memcpy(target, slot + 16, length < room ? length : room);
    message->length = length;
    message->index = k;
    message->sent_at = shms_i_load64(slot + 4);
    message->epoch = slot[6];
    message->type = slot[7];
    shms_i_fence();
    if (shms_i_load(slot) != sequence) return SHMS_E_OVERWRITTEN;
    message->missed = channel->missed;
    channel->missed = 0;
    channel->cursor++;
    return length <= room ? SHMS_OK : SHMS_E_FULL;
  }
  if ((sequence & 1u) != 0)
    return (int32_t)(sequence - want) > 0 && shms_i_jump(channel, k) ? SHMS_E_OVERWRITTEN : shms_i_empty(channel, slot, sequence);
  shms_i_fence();
  if (shms_i_load(slot) != sequence) return SHMS_E_OVERWRITTEN;
  if (index > k && sequence != 0 && shms_i_jump(channel, index)) return SHMS_E_OVERWRITTEN;
  return shms_i_empty(channel, slot, sequence);
}

/**
 * Receives the next message, as a copy.
 * @param room bytes of `target`
 * @param timeout_ms to wait for one
 * @return SHMS_E_EMPTY when it is missing; SHMS_E_FULL when it is longer than `room`: it was received, as far as there is room
 * @example Frame frame; shms_message message; while (!shms_receive(&frames, &frame, sizeof frame, &message, -1)) show(&frame);
 */
static inline int shms_receive(shms_channel *channel, void *target, size_t room, shms_message *message, int timeout_ms) {
  int64_t start = timeout_ms == 0 ? 0 : shms_i_now_ns(CLOCK_MONOTONIC);
  if (!channel->file.open) return SHMS_E_CLOSED;
  if (channel->slots.count == 0) {
    int damaged = shms_i_subscriber_refresh(channel);
    if (damaged) return damaged;
  }
  for (;;) {
    shms_i_page *page = channel->file.lock.page;
    uint32_t seen = page == NULL ? 0 : shms_i_load(&page->changes);
    /* A damaged ring could send the cursor to and fro for ever: the next look goes on. */
    uint32_t turns = channel->slots.count + 100;
    int error;
    do error = shms_i_receive_once(channel, target, room, message);
    while (error == SHMS_E_OVERWRITTEN && --turns > 0);
    if (error != SHMS_E_EMPTY && error != SHMS_E_OVERWRITTEN) return error;
    /* What is left in a file that was replaced comes first. */
    if (shms_i_load(&channel->file.footer->superseded) != 0 || timeout_ms != 0) {
      ino_t inode = channel->file.inode;
      dev_t device = channel->file.device;
      error = shms_i_subscriber_refresh(channel);
      if (error && error != SHMS_E_MISSING) return error;
      if (channel->file.device != device || channel->file.inode != inode) continue;
    }
    if (timeout_ms == 0) return SHMS_E_EMPTY;
    int64_t rest = timeout_ms < 0 ? INT64_MAX : start + (int64_t)timeout_ms * 1000000 - shms_i_now_ns(CLOCK_MONOTONIC);
    if (rest <= 0) return SHMS_E_EMPTY;
    if (page != NULL) shms_i_sleep_until_change(page, seen, rest);
    else {
      struct timespec pause;
      pause.tv_sec = 0;
      pause.tv_nsec = rest < 1000000 ? (long)rest : 1000000;
      nanosleep(&pause, NULL);
    }
  }
}

/** Closes a subscriber. Never fails. @example shms_subscriber_close(&frames); */
static inline void shms_subscriber_close(shms_channel *channel) { shms_close(&channel->file); }

/* ---- queues ---- */

#define SHMS_I_TAIL 16
#define SHMS_I_READY 32
#define SHMS_I_HEAD 48
#define SHMS_I_FREE 64
#define SHMS_I_FROZEN 1023u

enum { SHMS_I_IS_FREE = 0, SHMS_I_IS_WRITING = 1, SHMS_I_IS_READY = 2, SHMS_I_IS_TAKEN = 3 };

/* A job in hand, by the word that its slot has and its ticket. */
typedef struct shms_i_lease {
  uint32_t word;
  uint64_t ticket;
} shms_i_lease;

/** A queue, opened by a producer, a worker or both. Not for two threads at a time. */
typedef struct shms_queue {
  shms_segment file;
  shms_i_slots slots;
  int owners; /* descriptor: the kernel's lock on byte `owner` says that this queue object lives */
  uint32_t owner;
  uint32_t vain[2];
  int dead_error; /* why a job could not be moved to the dead letters; SHMS_E_FULL: no room there. SHMS_OK: none was left */
  struct shms_queue *dead; /* the dead letters, from the first one on */
  shms_i_lease *held; /* the jobs in hand */
  size_t held_count, held_room;
} shms_queue;

/** A job in hand: it belongs to this worker until shms_done, shms_job_release or shms_job_fail. */
typedef struct shms_job {
  void *data; /* in shared memory until the next call with this queue; shms_job_is_held sets it again, and tells whether the
                 lease was lost: then another worker may have it */
  size_t length;
  uint32_t attempt; /* which attempt this is, from 1 */
  uint32_t lease, number;
  uint64_t ticket;
} shms_job;

static inline uint32_t shms_i_word(uint32_t state, uint32_t owner, uint32_t attempt, uint32_t generation) {
  return (state << 30) | (owner << 20) | (attempt << 12) | (generation & 0xfffu);
}

static inline uint32_t shms_i_word_owner(uint32_t word) { return (word >> 20) & 1023u; }
static inline uint32_t shms_i_word_attempt(uint32_t word) { return (word >> 12) & 255u; }

static inline int shms_i_swap(uint32_t *word, uint32_t from, uint32_t to) {
  return __atomic_compare_exchange_n(word, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* What a dead owner's word becomes: a half-written job was never pushed, a taken one is tried once more. */
static inline uint32_t shms_i_buried(uint32_t word) {
  uint32_t attempt = shms_i_word_attempt(word) + 1;
  if (word >> 30 == SHMS_I_IS_WRITING) return shms_i_word(SHMS_I_IS_FREE, 0, 0, word + 1);
  return shms_i_word(SHMS_I_IS_READY, 0, attempt > 255 ? 255 : attempt, word);
}

/* Takes the lock of an owner, or gives it back. Never ask for one's own: the kernel would grant it. */
static inline int shms_i_owner_lock(const shms_queue *queue, uint32_t owner, int type) {
  struct flock request;
  memset(&request, 0, sizeof request);
  request.l_type = (short)type;
  request.l_whence = SEEK_SET;
  request.l_start = (off_t)owner;
  request.l_len = 1;
  int result;
  do result = fcntl(queue->owners, F_OFD_SETLK, &request);
  while (result < 0 && errno == EINTR);
  return result == 0;
}

/* Which of the jobs in hand it is; their number: none of them. */
static inline size_t shms_i_find_lease(const shms_queue *queue, uint32_t word, uint64_t ticket) {
  size_t i = 0;
  while (i < queue->held_count && (queue->held[i].word != word || queue->held[i].ticket != ticket)) i++;
  return i;
}

static inline void shms_i_forget_lease(shms_queue *queue, const shms_job *job) {
  size_t i = shms_i_find_lease(queue, job->lease, job->ticket);
  if (i < queue->held_count) queue->held[i] = queue->held[--queue->held_count];
}

/* Room for one more. */
static inline int shms_i_lease_room(shms_queue *queue) {
  if (queue->held_count < queue->held_room) return SHMS_OK;
  size_t room = queue->held_room == 0 ? 8 : 2 * queue->held_room;
  void *larger = realloc(queue->held, room * sizeof(shms_i_lease));
  if (larger == NULL) return SHMS_E_SYSTEM;
  queue->held = (shms_i_lease *)larger;
  queue->held_room = room;
  return SHMS_OK;
}

/* Gives back what an owner has left. Its lock is held meanwhile. How many slots changed. Of this queue: all but what is in hand. */
static inline uint32_t shms_i_bury(shms_queue *queue, uint32_t owner) {
  uint32_t changed = 0;
  for (uint32_t i = 0; i < queue->slots.count; i++) {
    uint32_t *slot = shms_i_slot_at(&queue->file, &queue->slots, i);
    uint32_t word = shms_i_load(slot);
    if (shms_i_word_owner(word) != owner) continue;
    if (owner == queue->owner && shms_i_find_lease(queue, word, shms_i_load64(slot + 2)) < queue->held_count) continue;
    if (word >> 30 == SHMS_I_IS_TAKEN) shms_i_store64(slot + 6, 0);
    if (shms_i_swap(slot, word, shms_i_buried(word))) changed++;
  }
  return changed;
}

/* The owners that slots name, one bit each. */
static inline void shms_i_named(const shms_queue *queue, uint8_t *named) {
  memset(named, 0, 128);
  for (uint32_t i = 0; i < queue->slots.count; i++) {
    uint32_t owner = shms_i_word_owner(shms_i_load(shms_i_slot_at(&queue->file, &queue->slots, i)));
    named[owner / 8] = (uint8_t)(named[owner / 8] | (1u << (owner % 8)));
  }
}

static inline int shms_i_is_named(const uint8_t *named, uint32_t owner) { return (named[owner / 8] >> (owner % 8)) & 1; }

/* Takes a number that no slot names, else any that is free, and gives back what its last owner has left. */
static inline int shms_i_claim_owner(shms_queue *queue) {
  uint8_t named[128], boot[8], *content = (uint8_t *)queue->file.content;
  const uint8_t none[8] = {0};
  uint32_t pid = (uint32_t)getpid();
  if (queue->owner != 0) return SHMS_OK;
  shms_i_named(queue, named);
  for (int any = 0; any < 2 && queue->owner == 0; any++)
    for (uint32_t owner = 1; owner <= 1022; owner++) {
      if ((!any && shms_i_is_named(named, owner)) || !shms_i_owner_lock(queue, owner, F_WRLCK)) continue;
      queue->owner = owner;
      break;
    }
  if (queue->owner == 0) return SHMS_E_OWNERS;
  if (pwrite(queue->owners, &pid, 4, (off_t)(4 * queue->owner)) < 0) { /* only for people */
  }
  shms_i_bury(queue, queue->owner);
  /* Leases are measured from this start of the machine on: those who had jobs before it are dead, and their locks tell. */
  shms_i_boot_id(boot);
  if (memcmp(boot, none, 8) != 0 && memcmp(boot, content + 40, 8) != 0) memcpy(content + 40, boot, 8);
  return SHMS_OK;
}

/* Gives back what dead owners have left, and jobs whose lease is over. How many slots changed. */
static inline uint32_t shms_i_recover(shms_queue *queue) {
  uint8_t named[128];
  uint32_t changed = 0, lease_ms = ((const uint32_t *)queue->file.content)[9];
  shms_i_named(queue, named);
  for (uint32_t owner = 1; owner <= 1022; owner++) {
    if (owner == queue->owner || !shms_i_is_named(named, owner) || !shms_i_owner_lock(queue, owner, F_WRLCK)) continue;
    changed += shms_i_bury(queue, owner);
    shms_i_owner_lock(queue, owner, F_UNLCK);
  }
  if (lease_ms == 0) return changed;
  uint64_t now = (uint64_t)shms_i_now_ns(SHMS_I_BOOTTIME);
  for (uint32_t i = 0; i < queue->slots.count; i++) {
    uint32_t *slot = shms_i_slot_at(&queue->file, &queue->slots, i);
    uint32_t word = shms_i_load(slot);
    uint64_t taken = shms_i_load64(slot + 6);
    if (word >> 30 != SHMS_I_IS_TAKEN) continue;
    /* Just taken, or a process died before it stored the time: the lease begins now. */
    if (taken == 0) shms_i_store64(slot + 6, now);
    if (taken == 0 || taken + (uint64_t)lease_ms * 1000000 > now) continue;
    shms_i_store64(slot + 6, 0); /* first, as the next taker's lease would seem to be over until it has stored it */
    if (shms_i_swap(slot, word, shms_i_buried(word))) changed++;
  }
  return changed;
}

/* Wakes one sleeper, if there is any. The dead stay counted, until enough wakes have found that no one was there. */
static inline void shms_i_wake_sleeper(shms_queue *queue, uint32_t at) {
  uint32_t *words = (uint32_t *)queue->file.content, *vain = &queue->vain[at == SHMS_I_FREE];
  uint32_t count = __atomic_load_n(words + at + 1, __ATOMIC_SEQ_CST);
  if (count == 0) return;
  __atomic_fetch_add(words + at, 1u, __ATOMIC_SEQ_CST);
  if (syscall(SYS_futex, words + at, 1, 1, NULL, NULL, 0) > 0) *vain = 0;
  else if (++*vain >= 16) {
    *vain = 0;
    shms_i_swap(words + at + 1, count, 0);
  }
}

static inline void shms_i_leave_sleepers(uint32_t *words, uint32_t at) {
  for (;;) {
    uint32_t count = __atomic_load_n(words + at + 1, __ATOMIC_SEQ_CST);
    if ((int32_t)count <= 0 || shms_i_swap(words + at + 1, count, count - 1)) return;
  }
}

static inline int shms_i_is_frozen(const shms_queue *queue) {
  if (queue->slots.count == 0) return 0;
  if (shms_i_load(&queue->file.footer->superseded) != 0) return 1;
  return shms_i_word_owner(shms_i_load(shms_i_slot_at(&queue->file, &queue->slots, 0))) == SHMS_I_FROZEN;
}

/* Another file has taken the place of the one before. What is in this owner's name there and not in hand is a dead owner's, who
   had the same number when the file was copied. */
static inline int shms_i_queue_moved(shms_queue *queue) {
  queue->slots.count = 0; /* of a damaged queue none, so that no call looks for slots in it */
  int error = shms_i_read_slots(&queue->file, 1u << 20, &queue->slots);
  if (!error && queue->owner != 0) shms_i_bury(queue, queue->owner);
  return error;
}

/* The queue is being replaced: goes over to the new file, or thaws this one when its replacer has died. */
static inline int shms_i_queue_move(shms_queue *queue) {
  dev_t device = queue->file.device;
  ino_t inode = queue->file.inode;
  int error = shms_lock(&queue->file, SHMS_EXCLUSIVE, 100);
  if (error) return error == SHMS_E_TIMEOUT ? SHMS_OK : error;
  if (queue->file.device != device || queue->file.inode != inode) error = shms_i_queue_moved(queue);
  else
    for (uint32_t i = 0; i < queue->slots.count; i++) {
      uint32_t *slot = shms_i_slot_at(&queue->file, &queue->slots, i);
      uint32_t word = shms_i_load(slot);
      if (shms_i_word_owner(word) != SHMS_I_FROZEN) continue;
      shms_i_swap(slot, word,
                  word >> 30 == SHMS_I_IS_WRITING ? shms_i_word(SHMS_I_IS_FREE, 0, 0, word + 1)
                                                  : shms_i_word(SHMS_I_IS_READY, 0, shms_i_word_attempt(word), word));
    }
  shms_i_release(&queue->file.lock);
  return error;
}

/* Before a push or a take: a queue that was recreated takes no more jobs in its old file, one that was deleted none at all. */
static inline int shms_i_queue_look(shms_queue *queue) {
  dev_t device = queue->file.device;
  ino_t inode = queue->file.inode;
  if (shms_i_load(&queue->file.footer->superseded) != 0) return shms_i_queue_move(queue);
  int error = shms_i_glance(&queue->file);
  int is_same = queue->file.device == device && queue->file.inode == inode;
  if (!error && (!is_same || queue->slots.count == 0)) error = shms_i_queue_moved(queue);
  return error;
}

#define SHMS_I_PIDS_BYTES (4 * 1023)

/* Whether an owners' file is one: process ids, or nothing yet in a file that is just being made. */
static inline int shms_i_are_pids(int fd) {
  struct stat status;
  uint32_t pids[SHMS_I_PIDS_BYTES / 4];
  if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) return 0;
  if (status.st_size == 0) return (status.st_mode & SHMS_I_BEING_MADE) != 0;
  if (status.st_size > SHMS_I_PIDS_BYTES || status.st_size % 4 != 0) return 0;
  if (pread(fd, pids, (size_t)status.st_size, 0) != (ssize_t)status.st_size) return 0;
  /* Owner 0 is never there: so the file is one, whatever a peer has stored into the rest. */
  if (status.st_size == SHMS_I_PIDS_BYTES && pids[0] == 0) return 1;
  for (off_t i = 0; i < status.st_size / 4; i++)
    if (pids[i] > (1u << 22)) return 0;
  return 1;
}

/* Opens the owners' file of a queue, made where it is missing: it has its length before it loses its mark. */
static inline int shms_i_open_owners(shms_queue *queue, const char *path) {
  struct stat data, status;
  mode_t mode = fstat(queue->file.fd, &data) == 0 ? data.st_mode & 0777 : 0600;
  queue->owners = shms_i_open_file(path, O_RDWR, 0);
  if (queue->owners < 0 && errno == ENOENT) {
    queue->owners = shms_i_open_file(path, O_RDWR | O_CREAT | O_EXCL, SHMS_I_BEING_MADE | mode);
    if (queue->owners < 0 && errno == EEXIST) queue->owners = shms_i_open_file(path, O_RDWR, 0);
  }
  if (queue->owners < 0) return SHMS_E_SYSTEM;
  if (!shms_i_are_pids(queue->owners)) return SHMS_E_FORMAT;
  if (fstat(queue->owners, &status) == 0 && status.st_size == 0) {
    errno = posix_fallocate(queue->owners, 0, SHMS_I_PIDS_BYTES);
    if (errno != 0) return SHMS_E_SYSTEM;
    if (fchmod(queue->owners, mode) < 0) {
      /* another user is just making it, and does this, too */
    }
  }
  return SHMS_OK;
}

/**
 * Opens a queue, to push, to take or both.
 * @param bytes, fingerprint of your struct; 0 for raw bytes
 * @return as shms_open
 * @example shms_queue_open(&jobs, &place, sizeof(Job), Job_FINGERPRINT);
 */
static inline int shms_queue_open(shms_queue *queue, const shms_place *place, size_t bytes, uint64_t fingerprint) {
  char path[PATH_MAX];
  memset(queue, 0, sizeof *queue);
  queue->owners = -1;
  int error = shms_open(&queue->file, place, SHMS_WRITE, SHMS_QUEUE, 0, fingerprint);
  if (error) return error;
  error = shms_i_read_slots(&queue->file, 1u << 20, &queue->slots);
  if (!error && queue->slots.payload_bytes < bytes) error = SHMS_E_LAYOUT;
  if (!error) error = shms_i_text(path, place->data, ".owners", "", "");
  if (!error) error = shms_i_open_owners(queue, path);
  /* A forked child closes it with the rest: it would keep this owner alive. */
  queue->file.also = queue->owners;
  if (error) shms_close(&queue->file);
  return error;
}

/**
 * Gives nothing back by itself: end jobs in hand first. What is still in hand goes back as soon as another process looks. Never fails.
 * @example shms_done(&jobs, &job); shms_queue_close(&jobs);
 */
static inline void shms_queue_close(shms_queue *queue) {
  if (queue->dead != NULL) shms_queue_close(queue->dead);
  free(queue->dead);
  free(queue->held);
  queue->dead = NULL;
  queue->held = NULL;
  queue->held_count = queue->held_room = 0;
  if (queue->file.also >= 0) close(queue->file.also);
  queue->file.also = queue->owners = -1;
  queue->owner = 0;
  shms_close(&queue->file);
}

/* What is pushed. */
typedef struct shms_i_pushed {
  const void *data;
  size_t length;
  uint64_t due;         /* not to be taken before: ns since 1970, or 0 */
  const uint8_t *user; /* 32 bytes; NULL: zeros */
} shms_i_pushed;

static inline int shms_i_try_push(shms_queue *queue, const shms_i_pushed *pushed) {
  uint32_t *words = (uint32_t *)queue->file.content;
  if (pushed->length > queue->slots.payload_bytes) return SHMS_E_ARGUMENT;
  for (;;) {
    uint32_t tail = shms_i_load(words + SHMS_I_TAIL), j;
    uint32_t *slot = NULL, word = 0;
    for (j = 0; j < queue->slots.count; j++) {
      slot = shms_i_slot_at(&queue->file, &queue->slots, tail + j);
      word = shms_i_load(slot);
      if (word >> 30 == SHMS_I_IS_FREE) break;
    }
    if (j == queue->slots.count) return SHMS_E_FULL;
    if (!shms_i_swap(slot, word, shms_i_word(SHMS_I_IS_WRITING, queue->owner, 0, word))) continue;
    shms_i_store64(slot + 2, (uint64_t)(tail + j) | ((uint64_t)queue->file.footer->generation << 32));
    shms_i_swap(words + SHMS_I_TAIL, tail, tail + j + 1);
    memcpy(slot + 16, pushed->data, pushed->length);
    memset((uint8_t *)(slot + 16) + pushed->length, 0, queue->slots.payload_bytes - pushed->length);
    if (pushed->user == NULL) memset(slot + 8, 0, 32);
    else memcpy(slot + 8, pushed->user, 32);
    slot[1] = (uint32_t)pushed->length;
    shms_i_store64(slot + 4, pushed->due);
    shms_i_store64(slot + 6, 0);
    shms_i_fence();
    shms_i_publish(slot, shms_i_word(SHMS_I_IS_READY, 0, 0, word));
    shms_i_wake_sleeper(queue, SHMS_I_READY);
    shms_i_announce(queue->file.lock.page);
    return SHMS_OK;
  }
}

static inline int shms_i_try_take(shms_queue *queue, shms_job *job) {
  uint32_t *words = (uint32_t *)queue->file.content;
  uint32_t head = shms_i_load(words + SHMS_I_HEAD);
  int error = shms_i_lease_room(queue);
  if (error) return error;
  for (uint32_t j = 0; j < queue->slots.count; j++) {
    uint32_t *slot = shms_i_slot_at(&queue->file, &queue->slots, head + j);
    uint32_t word = shms_i_load(slot);
    if (word >> 30 != SHMS_I_IS_READY || shms_i_word_owner(word) != 0) continue;
    uint64_t due = shms_i_load64(slot + 4);
    if (due != 0 && due > (uint64_t)shms_i_now_ns(CLOCK_REALTIME)) continue;
    uint32_t taken = word | ((uint32_t)SHMS_I_IS_TAKEN << 30) | (queue->owner << 20);
    if (!shms_i_swap(slot, word, taken)) continue;
    shms_i_swap(words + SHMS_I_HEAD, head, head + j + 1);
    shms_i_store64(slot + 6, (uint64_t)shms_i_now_ns(SHMS_I_BOOTTIME));
    job->data = slot + 16;
    job->length = slot[1] <= queue->slots.payload_bytes ? slot[1] : queue->slots.payload_bytes;
    job->attempt = shms_i_word_attempt(taken) + 1;
    job->lease = taken;
    job->number = (head + j) & (queue->slots.count - 1);
    job->ticket = shms_i_load64(slot + 2);
    queue->held[queue->held_count].word = taken;
    queue->held[queue->held_count++].ticket = job->ticket;
    return SHMS_OK;
  }
  return SHMS_E_EMPTY;
}

static inline int shms_i_move_to_dead(shms_queue *queue, shms_job *job);
static inline int shms_i_push_dead(shms_queue *queue, const shms_job *job);

static inline uint32_t shms_i_max_attempts(const shms_queue *queue) {
  uint32_t most = ((const uint32_t *)queue->file.content)[8];
  return most == 0 || most > 254 ? 254 : most;
}

/* The next job that has attempts left; the others become dead letters. */
static inline int shms_i_take_living(shms_queue *queue, shms_job *job) {
  for (;;) {
    int error = shms_i_try_take(queue, job);
    if (error || job->attempt <= shms_i_max_attempts(queue)) return error;
    error = shms_i_move_to_dead(queue, job);
    if (error && error != SHMS_E_LEASE_LOST) return error;
  }
}

/* What a push or a take waits for: one of the two is NULL. */
static inline int shms_i_queue_once(shms_queue *queue, const shms_i_pushed *pushed, shms_job *job) {
  return job == NULL ? shms_i_try_push(queue, pushed) : shms_i_take_living(queue, job);
}

static inline int shms_i_queue_try(shms_queue *queue, const shms_i_pushed *pushed, shms_job *job) {
  int error = shms_i_queue_look(queue);
  if (!error) error = shms_i_queue_once(queue, pushed, job);
  if (error != SHMS_E_FULL && error != SHMS_E_EMPTY) return error;
  if (shms_i_is_frozen(queue)) {
    int moved = shms_i_queue_move(queue);
    if (moved) return moved;
  } else if (shms_i_recover(queue) == 0) return error;
  return shms_i_queue_once(queue, pushed, job);
}

static inline int shms_i_queue_wait(shms_queue *queue, const shms_i_pushed *pushed, shms_job *job, int timeout_ms) {
  int64_t start = shms_i_now_ns(CLOCK_MONOTONIC);
  uint32_t at = job == NULL ? SHMS_I_FREE : SHMS_I_READY;
  int wait = job == NULL ? SHMS_E_FULL : SHMS_E_EMPTY;
  if (!queue->file.open) return SHMS_E_CLOSED;
  int error = shms_i_claim_owner(queue);
  if (!error) error = shms_i_queue_try(queue, pushed, job);
  while (error == wait) {
    int64_t rest = timeout_ms < 0 ? INT64_MAX : start + (int64_t)timeout_ms * 1000000 - shms_i_now_ns(CLOCK_MONOTONIC);
    if (rest <= 0) return wait;
    /* Counted before the last look, so that nothing that comes after it is slept through. */
    ino_t inode = queue->file.inode;
    uint32_t *words = (uint32_t *)queue->file.content;
    __atomic_fetch_add(words + at + 1, 1u, __ATOMIC_SEQ_CST);
    uint32_t seen = __atomic_load_n(words + at, __ATOMIC_SEQ_CST);
    error = shms_i_queue_try(queue, pushed, job);
    /* Dead owners are looked for, and delayed jobs are due, without a wake. */
    if (error == wait && queue->file.inode == inode) shms_i_futex_wait(words + at, seen, rest < 50000000 ? rest : 50000000);
    if (queue->file.inode == inode) shms_i_leave_sleepers(words, at);
    if (error == wait) error = shms_i_queue_try(queue, pushed, job);
  }
  return error;
}

/**
 * Pushes a job.
 * @param length bytes of it, at most those that the queue was made with
 * @param delay_ms before it may be taken
 * @param timeout_ms to wait while the queue is full
 * @return SHMS_E_FULL, SHMS_E_OWNERS, SHMS_E_ARGUMENT for too many bytes, and what shms_open returns once it was replaced or
 * deleted
 * @example shms_push(&jobs, &job, sizeof job, 0, -1);
 */
static inline int shms_push(shms_queue *queue, const void *data, size_t length, int delay_ms, int timeout_ms) {
  shms_i_pushed pushed;
  pushed.data = data;
  pushed.length = length;
  pushed.due = delay_ms <= 0 ? 0 : (uint64_t)shms_i_now_ns(CLOCK_REALTIME) + (uint64_t)delay_ms * 1000000;
  pushed.user = NULL;
  return shms_i_queue_wait(queue, &pushed, NULL, timeout_ms);
}

/**
 * Takes a job. It belongs to this worker until it is ended; when the worker dies it goes back, with attempt + 1. A job whose
 * attempts are used up is moved to the dead letters instead (shms_dead_place). Should that fail, because these are full, the job
 * stays where it is for a second and `queue->dead_error` says why.
 * @param timeout_ms to wait for one
 * @return SHMS_E_EMPTY, SHMS_E_OWNERS, and what shms_open returns once the queue was replaced or deleted
 * @example shms_job job; while (!shms_take(&jobs, &job, -1)) { work((Job *)job.data); shms_done(&jobs, &job); }
 */
static inline int shms_take(shms_queue *queue, shms_job *job, int timeout_ms) {
  return shms_i_queue_wait(queue, NULL, job, timeout_ms);
}

/* The job's slot now; NULL: it was given to another worker. In a queue that was replaced it is found by its ticket. */
static inline uint32_t *shms_i_job_slot(shms_queue *queue, shms_job *job) {
  for (int tries = 0; tries < 300; tries++) {
    for (uint32_t i = 0; i < queue->slots.count; i++) {
      uint32_t number = (job->number + i) & (queue->slots.count - 1);
      uint32_t *slot = shms_i_slot_at(&queue->file, &queue->slots, number);
      if (shms_i_load(slot) != job->lease || shms_i_load64(slot + 2) != job->ticket) continue;
      job->number = number;
      job->data = slot + 16;
      return slot;
    }
    if (!shms_i_is_frozen(queue) || shms_i_queue_move(queue) != SHMS_OK) return NULL;
  }
  return NULL;
}

/**
 * Whether the job still is this worker's: look after you have copied what you need from it. Sets `job->data` again.
 * @return 1 or 0; never fails
 * @example Job copy = *(Job *)job.data; if (shms_job_is_held(&jobs, &job)) work(&copy);
 */
static inline int shms_job_is_held(shms_queue *queue, shms_job *job) {
  return queue->file.open && shms_i_job_slot(queue, job) != NULL;
}

static inline int shms_i_end_job(shms_queue *queue, shms_job *job, uint32_t next, int64_t not_before, uint32_t wakes) {
  if (!queue->file.open) return SHMS_E_CLOSED;
  for (int tries = 0; tries < 300; tries++) {
    uint32_t *slot = shms_i_job_slot(queue, job);
    if (slot == NULL) break;
    if (next >> 30 == SHMS_I_IS_READY) {
      if (not_before >= 0) shms_i_store64(slot + 4, (uint64_t)not_before);
      shms_i_store64(slot + 6, 0);
    }
    if (!shms_i_swap(slot, job->lease, next)) continue;
    shms_i_forget_lease(queue, job);
    shms_i_wake_sleeper(queue, wakes);
    shms_i_announce(queue->file.lock.page);
    return SHMS_OK;
  }
  shms_i_forget_lease(queue, job);
  return SHMS_E_LEASE_LOST;
}

/** Ends a job. @return SHMS_E_LEASE_LOST when another worker has it @example if (shms_done(&jobs, &job)) undo(&result); */
static inline int shms_done(shms_queue *queue, shms_job *job) {
  return shms_i_end_job(queue, job, shms_i_word(SHMS_I_IS_FREE, 0, 0, job->lease + 1), -1, SHMS_I_FREE);
}

/** Gives a job back as it was. @return SHMS_E_LEASE_LOST when another worker has it @example if (stops) shms_job_release(&jobs, &job); */
static inline int shms_job_release(shms_queue *queue, shms_job *job) {
  return shms_i_end_job(queue, job, shms_i_word(SHMS_I_IS_READY, 0, shms_i_word_attempt(job->lease), job->lease), -1, SHMS_I_READY);
}

/**
 * Begins the lease of a job again, in a queue that was made with lease_ms: work that takes longer says so.
 * @return SHMS_E_LEASE_LOST when another worker has it
 * @example while (!is_finished) { work_a_little(); error = shms_job_extend(&jobs, &job); }
 */
static inline int shms_job_extend(shms_queue *queue, shms_job *job) {
  if (!queue->file.open) return SHMS_E_CLOSED;
  uint32_t *slot = shms_i_job_slot(queue, job);
  if (slot == NULL) return SHMS_E_LEASE_LOST;
  shms_i_store64(slot + 6, (uint64_t)shms_i_now_ns(SHMS_I_BOOTTIME));
  shms_i_fence();
  return shms_i_load(slot) == job->lease ? SHMS_OK : SHMS_E_LEASE_LOST;
}

/**
 * Writes the 32 bytes of a job that are for people, such as why it will fail; dead letters keep them. A longer text is truncated.
 * @return SHMS_E_LEASE_LOST when another worker has it
 * @example shms_job_note(&jobs, &job, "no answer"); shms_job_fail(&jobs, &job, 5000);
 */
static inline int shms_job_note(shms_queue *queue, shms_job *job, const char *text) {
  char user[32];
  size_t length = strlen(text);
  if (!queue->file.open) return SHMS_E_CLOSED;
  uint32_t *slot = shms_i_job_slot(queue, job);
  if (slot == NULL) return SHMS_E_LEASE_LOST;
  memset(user, 0, sizeof user);
  memcpy(user, text, length < sizeof user ? length : sizeof user);
  memcpy(slot + 8, user, sizeof user);
  shms_i_fence();
  return shms_i_load(slot) == job->lease ? SHMS_OK : SHMS_E_LEASE_LOST;
}

/**
 * Gives a job back for another attempt; the last one makes it a dead letter at once.
 * @param delay_ms how long until it can be taken again
 * @return SHMS_E_LEASE_LOST when another worker has it
 * @example if (!send_mail((Mail *)job.data)) shms_job_fail(&jobs, &job, 5000); else shms_done(&jobs, &job);
 */
static inline int shms_job_fail(shms_queue *queue, shms_job *job, int delay_ms) {
  if (!queue->file.open) return SHMS_E_CLOSED;
  if (shms_i_job_slot(queue, job) == NULL) return shms_i_end_job(queue, job, job->lease, -1, SHMS_I_READY);
  if (job->attempt >= shms_i_max_attempts(queue) && shms_i_push_dead(queue, job) == SHMS_OK)
    return shms_done(queue, job);
  int64_t due = delay_ms <= 0 ? 0 : shms_i_now_ns(CLOCK_REALTIME) + (int64_t)delay_ms * 1000000;
  return shms_i_end_job(queue, job, shms_i_buried(job->lease), due, SHMS_I_READY);
}

/* ---- dead letters ---- */

/**
 * The place of a queue's dead letters: a queue beside it, with the tag `<tag>.dead`, to be opened like any other. It is made when
 * the first job is moved there.
 * @return SHMS_E_ARGUMENT for a path that is too long
 * @example shms_dead_place(&dead, &place); shms_queue_open(&letters, &dead, sizeof(Job), Job_FINGERPRINT);
 */
static inline int shms_dead_place(shms_place *dead, const shms_place *place) {
  char stem[PATH_MAX];
  int error = shms_i_text(stem, place->data, "", "", "");
  if (error) return error;
  size_t length = strlen(stem), ending = sizeof(".queue") - 1;
  int has_ending = length > ending && strcmp(stem + length - ending, ".queue") == 0;
  if (has_ending) stem[length - ending] = 0;
  error = shms_i_text(dead->data, stem, ".dead", has_ending ? ".queue" : "", "");
  if (!error) error = shms_i_text(dead->lock[SHMS_FLOCK], dead->data, ".lock", "", "");
  if (!error) error = shms_i_text(dead->lock[SHMS_FCNTL], dead->data, ".lockfile", "", "");
  dead->trust = place->trust;
  return error;
}

/* Makes an empty queue of the same shape as this one. */
static inline int shms_i_make_dead(const shms_queue *queue, const shms_place *dead) {
  shms_slots_new slots;
  shms_new wanted;
  struct stat status;
  const shms_i_footer footer = *queue->file.footer;
  if (footer.schema_offset > queue->file.size || footer.schema_bytes > queue->file.size - footer.schema_offset) return SHMS_E_FORMAT;
  char *schema = (char *)malloc((size_t)footer.schema_bytes + 1);
  if (schema == NULL || fstat(queue->file.fd, &status) < 0) {
    free(schema);
    return SHMS_E_SYSTEM;
  }
  memcpy(schema, queue->file.base + footer.schema_offset, footer.schema_bytes);
  schema[footer.schema_bytes] = 0;
  memset(&slots, 0, sizeof slots);
  slots.kind = SHMS_QUEUE;
  slots.slots = queue->slots.count;
  slots.payload_bytes = queue->slots.payload_bytes;
  memset(&wanted, 0, sizeof wanted);
  wanted.kind = SHMS_QUEUE;
  wanted.content_bytes = 4096 + slots.slots * (64 + shms_i_align(slots.payload_bytes, 64));
  wanted.fingerprint = footer.fingerprint;
  wanted.schema = schema;
  wanted.mode = status.st_mode & 0777;
  wanted.init = shms_i_init_slots;
  wanted.argument = &slots;
  int error = shms_create(dead, &wanted);
  free(schema);
  return error == SHMS_E_EXISTS ? SHMS_OK : error;
}

static inline int shms_i_open_dead(shms_queue *queue) {
  shms_place place;
  if (queue->dead != NULL) return SHMS_OK;
  shms_queue *dead = (shms_queue *)malloc(sizeof(shms_queue));
  if (dead == NULL) return SHMS_E_SYSTEM;
  int error = shms_dead_place(&place, &queue->file.place);
  if (!error) error = shms_queue_open(dead, &place, 0, queue->file.footer->fingerprint);
  if (error == SHMS_E_MISSING) {
    error = shms_i_make_dead(queue, &place);
    if (!error) error = shms_queue_open(dead, &place, 0, queue->file.footer->fingerprint);
  }
  if (error) free(dead);
  else queue->dead = dead;
  return error;
}

/* Pushes a copy of a job to the dead letters. */
static inline int shms_i_push_dead(shms_queue *queue, const shms_job *job) {
  uint8_t user[32];
  shms_i_pushed pushed;
  void *copy = malloc(job->length + 1);
  int error = copy == NULL ? SHMS_E_SYSTEM : shms_i_open_dead(queue);
  if (!error) {
    memcpy(copy, job->data, job->length);
    memcpy(user, (uint8_t *)job->data - 32, sizeof user);
    pushed.data = copy;
    pushed.length = job->length;
    pushed.due = 0;
    pushed.user = user;
    error = shms_i_claim_owner(queue->dead);
    if (!error) error = shms_i_queue_try(queue->dead, &pushed, NULL);
  }
  free(copy);
  queue->dead_error = error;
  return error;
}

/* Moves a job whose attempts are used up to the dead letters. Killed in between, it is in both. */
static inline int shms_i_move_to_dead(shms_queue *queue, shms_job *job) {
  if (shms_i_push_dead(queue, job) == SHMS_OK) return shms_done(queue, job);
  uint32_t as_it_was = shms_i_word(SHMS_I_IS_READY, 0, shms_i_word_attempt(job->lease), job->lease);
  return shms_i_end_job(queue, job, as_it_was, shms_i_now_ns(CLOCK_REALTIME) + 1000000000, SHMS_I_READY);
}

#ifdef __cplusplus
}
#endif

#endif
