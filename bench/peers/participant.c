// A program with interop/c/shmstruct.h. participant <dir> edit | snapshot | wait <count> | subscribe <count>
#include "common.h"
#include "shmstruct.h"

static shms_segment file;
static struct demo copy;
static long count;

static void right(int error) {
  if (error) { fprintf(stderr, "%s\n", shms_error_text(error)); exit(1); }
}

static void open_it(const char *dir, int access) {
  shms_place place;
  right(shms_place_of(&place, dir, "DemoMmapStructure", "", SHMS_RECORD));
  right(shms_open(&file, &place, access, SHMS_RECORD, sizeof(struct demo), 0));
}

static void edits(long turns) {
  for (long i = 0; i < turns; i++, count++) {
    right(shms_edit(&file, -1));
    struct demo *demo = (struct demo *)file.content;
    demo->data_int = (int32_t)count;
    demo->data_xy.x = (double)count;
    demo->data_xy.y = -(double)count;
    demo->multi.data_int = (int32_t)count;
    demo->multi.points[3].x = (double)count;
    right(shms_commit(&file));
  }
}

static void snapshots(long turns) {
  for (long i = 0; i < turns; i++) {
    right(shms_snapshot(&file, &copy, sizeof copy, NULL, -1));
    if (copy.data_int != copy.data_xy.x) exit(3);
  }
}

// Sleeps for changes until it is killed, in so many processes.
static void wait_in(const char *dir, int processes) {
  for (int i = 1; i < processes; i++) if (must(fork(), "fork") == 0) break;
  open_it(dir, SHMS_WRITE);
  uint64_t version;
  right(shms_version(&file, &version));
  printf("ready\n");
  fflush(stdout);
  for (;;) right(shms_wait_for_change(&file, version, -1, &version));
}

// Sleeps for messages of a channel until it is killed, in so many processes.
static void subscribe_in(const char *dir, int processes) {
  static char payload[64];
  static shms_channel frames;
  shms_place place;
  shms_message message;
  for (int i = 1; i < processes; i++) if (must(fork(), "fork") == 0) break;
  right(shms_place_of(&place, dir, "Frames", "", SHMS_CHANNEL));
  right(shms_subscriber_open(&frames, &place, sizeof payload, 0, SHMS_NEXT));
  printf("ready\n");
  fflush(stdout);
  for (;;) right(shms_receive(&frames, payload, sizeof payload, &message, -1));
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  if (strcmp(argv[2], "wait") == 0) wait_in(argv[1], argc < 4 ? 1 : atoi(argv[3]));
  if (strcmp(argv[2], "subscribe") == 0) subscribe_in(argv[1], argc < 4 ? 1 : atoi(argv[3]));
  int edit = strcmp(argv[2], "edit") == 0;
  open_it(argv[1], edit ? SHMS_WRITE : SHMS_READ);
  printf("{\"ns\": %f}\n", timed(edit ? edits : snapshots, 1000));
  shms_close(&file);
  return 0;
}
