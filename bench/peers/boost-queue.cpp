// boost::interprocess::message_queue: push and pop of 64 bytes in one process, and one way between two that spin.
//   boost-queue pair | boost-queue echo | boost-queue eight (four processes push, four take; a job's share of the time)
#include <boost/interprocess/ipc/message_queue.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>
using namespace boost::interprocess;
using Clock = std::chrono::steady_clock;
static double nanoseconds(Clock::time_point since) {
  return std::chrono::duration<double, std::nano>(Clock::now() - since).count();
}
static void receive(message_queue &queue, char *buffer) {
  message_queue::size_type size;
  unsigned priority;
  while (!queue.try_receive(buffer, 64, size, priority)) {
  }
}
/* Every process forked here is waited for. */
static void wait_for_all(int count) {
  while (count-- > 0) wait(nullptr);
}
static double eight(const std::string &name) {
  const int producers = 4, workers = 4, jobs = 50000;
  message_queue queue(create_only, name.c_str(), 1024, 64);
  char job[64] = {1};
  message_queue::size_type size;
  unsigned priority;
  auto start = Clock::now();
  for (int i = 0; i < workers; i++) {
    if (fork() != 0) continue;
    do queue.receive(job, 64, size, priority);
    while (job[0] != 0);
    _exit(0);
  }
  for (int i = 0; i < producers; i++) {
    if (fork() != 0) continue;
    for (int k = 0; k < jobs; k++) queue.send(job, 64, 0);
    _exit(0);
  }
  wait_for_all(producers);
  job[0] = 0;
  for (int i = 0; i < workers; i++) queue.send(job, 64, 0);
  wait_for_all(workers);
  return nanoseconds(start) / (producers * jobs);
}
int main(int argc, char **argv) {
  char buffer[64] = {1};
  std::string name = "shmstruct-bench-" + std::to_string(getpid()), back = name + "-back";
  if (argc > 1 && !strcmp(argv[1], "echo")) {
    message_queue to(create_only, name.c_str(), 1024, 64), from(create_only, back.c_str(), 1024, 64);
    const int rounds = 20000;
    pid_t child = fork();
    if (child == 0) {
      for (int i = 0; i < rounds; i++) {
        receive(to, buffer);
        from.send(buffer, 64, 0);
      }
      _exit(0);
    }
    std::vector<double> times;
    for (int i = 0; i < rounds; i++) {
      auto start = Clock::now();
      to.send(buffer, 64, 0);
      receive(from, buffer);
      times.push_back(nanoseconds(start) / 2);
    }
    waitpid(child, nullptr, 0);
    std::sort(times.begin(), times.end());
    printf("{\"p50\":%.1f}\n", times[times.size() / 2]);
  } else if (argc > 1 && !strcmp(argv[1], "eight")) {
    printf("{\"ns\":%.1f}\n", eight(name));
  } else {
    message_queue queue(create_only, name.c_str(), 1024, 64);
    double best = 1e18;
    for (int window = 0; window < 20; window++) {
      auto start = Clock::now();
      for (int i = 0; i < 20000; i++) {
        queue.send(buffer, 64, 0);
        receive(queue, buffer);
      }
      best = std::min(best, nanoseconds(start) / 20000);
    }
    printf("{\"ns\":%.1f}\n", best);
  }
  message_queue::remove(name.c_str());
  message_queue::remove(back.c_str());
}
