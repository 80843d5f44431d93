/* The other language: POSIX semaphores and message queues from C. Every failure is told and ends with status 1. */
#include <fcntl.h>
#include <mqueue.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void check(int ok, const char *what) {
  if (ok) return;
  perror(what);
  exit(1);
}

static struct timespec in_seconds(int seconds) {
  struct timespec moment;
  clock_gettime(CLOCK_REALTIME, &moment);
  moment.tv_sec += seconds;
  return moment;
}

/* sem-create NAME VALUE | sem-post NAME | sem-wait NAME SECONDS | sem-value NAME */
static void semaphore(const char *command, char **args) {
  int create = strcmp(command, "sem-create") == 0;
  sem_t *sem = create ? sem_open(args[0], O_CREAT | O_EXCL, 0600, atoi(args[1])) : sem_open(args[0], 0);
  check(sem != SEM_FAILED, "sem_open");
  if (strcmp(command, "sem-post") == 0) check(sem_post(sem) == 0, "sem_post");
  if (strcmp(command, "sem-wait") == 0) {
    struct timespec until = in_seconds(atoi(args[1]));
    check(sem_timedwait(sem, &until) == 0, "sem_timedwait");
  }
  int value;
  check(sem_getvalue(sem, &value) == 0, "sem_getvalue");
  printf("%d\n", value);
}

/* mq-create NAME MESSAGES SIZE | mq-send NAME TEXT PRIORITY | mq-receive NAME SECONDS | mq-attributes NAME */
static void queue(const char *command, char **args) {
  struct mq_attr attributes = {0};
  int create = strcmp(command, "mq-create") == 0;
  if (create) {
    attributes.mq_maxmsg = atoi(args[1]);
    attributes.mq_msgsize = atoi(args[2]);
  }
  mqd_t mq = create ? mq_open(args[0], O_CREAT | O_EXCL | O_RDWR, 0600, &attributes) : mq_open(args[0], O_RDWR);
  check(mq >= 0, "mq_open");
  check(mq_getattr(mq, &attributes) == 0, "mq_getattr");
  if (strcmp(command, "mq-attributes") == 0) {
    printf("%ld %ld %ld\n", attributes.mq_maxmsg, attributes.mq_msgsize, attributes.mq_curmsgs);
  } else if (strcmp(command, "mq-send") == 0) {
    check(mq_send(mq, args[1], strlen(args[1]), atoi(args[2])) == 0, "mq_send");
  } else if (strcmp(command, "mq-receive") == 0) {
    char *buffer = malloc(attributes.mq_msgsize);
    unsigned priority;
    struct timespec until = in_seconds(atoi(args[1]));
    ssize_t length = mq_timedreceive(mq, buffer, attributes.mq_msgsize, &priority, &until);
    check(length >= 0, "mq_timedreceive");
    printf("%u %.*s\n", priority, (int)length, buffer);
  }
}

/* mq-struct NAME: sends { 1.5, 7 } as a struct { double x; int32_t n; } */
static void send_struct(char **args) {
  struct { double x; int n; } message = {1.5, 7};
  mqd_t mq = mq_open(args[0], O_WRONLY);
  check(mq >= 0, "mq_open");
  check(mq_send(mq, (const char *)&message, sizeof message, 0) == 0, "mq_send");
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  if (strcmp(argv[1], "mq-struct") == 0) send_struct(argv + 2);
  else if (strncmp(argv[1], "sem-", 4) == 0) semaphore(argv[1], argv + 2);
  else queue(argv[1], argv + 2);
  return 0;
}
