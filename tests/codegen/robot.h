/* A header as found in the wild: bit-fields, unions, macros for sizes, typedefs, attributes, enums, anonymous members. */
#ifndef ROBOT_H
#define ROBOT_H
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#define JOINTS 6
#define NAME_BYTES (32)
#define GRID(w) ((w) * 2 + 1)
#define RATE_HZ 2.5
#define SECONDS time.tv_sec
typedef enum { IDLE, RUNNING = 5, FAULT = -1 } state_t;
enum mode { MODE_A = 1u << 3, MODE_B = 0x10 };
enum { MINUTE = 60, HOUR = 60 * MINUTE };
enum unused { NEVER, ALWAYS = 0x100000000 };
typedef struct point {
  double x, y;
} point_t;
typedef float vec_t[3];
struct __attribute__((packed)) wire {
  uint8_t tag;
  uint32_t len;
  uint16_t crc;
};
struct aligned16 {
  float v[4];
} __attribute__((aligned(16)));
typedef struct robot {
  int32_t tick; /* How far it has come, in mm. */
  char name[NAME_BYTES];
  float joints[JOINTS];
  unsigned int mode : 3, fault : 1, : 0, level : 12;
  int64_t wide : 40;
  bool on : 1;
  state_t state;
  enum mode m;
  union {
    uint32_t raw;
    struct {
      uint16_t lo, hi;
    };
    uint8_t b[4];
  } u;
  struct {
    int a;
    struct {
      short c;
    } deep;
  } named;
  point_t pose, path[GRID(1)][2];
  vec_t accel;
  struct wire w;
  struct aligned16 q;
  void *cookie;
  void (*cb)(int);
  struct timespec at;
  long double ld;
  _Complex float cf;
  __int128 big;
  const volatile unsigned long flags;
  _Bool last;
  uint8_t tail[];
} robot_t;
#endif
