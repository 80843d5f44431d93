// iceoryx: 64 bytes one way between two processes that spin, written into the sample and copied out of it.
// Debian: iceoryx, libiceoryx-posh-dev. Starts its daemon (iox-roudi) for as long as it runs.
#include <iceoryx_posh/popo/publisher.hpp>
#include <iceoryx_posh/popo/subscriber.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>
struct Message { char bytes[64]; };
using Publisher = iox::popo::Publisher<Message>;
using Subscriber = iox::popo::Subscriber<Message>;
using Clock = std::chrono::steady_clock;
static void stay_on(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  sched_setaffinity(0, sizeof set, &set);
}
static void give(Publisher &publisher, const Message &message) {
  publisher.loan().and_then([&](auto &sample) {
    std::memcpy(sample->bytes, message.bytes, sizeof message.bytes);
    sample.publish();
  });
}
static void take(Subscriber &subscriber, Message &message) {
  for (bool found = false; !found;) {
    subscriber.take().and_then([&](const auto &sample) {
      std::memcpy(message.bytes, sample->bytes, sizeof message.bytes);
      found = true;
    });
  }
}
int main() {
  pid_t roudi = fork();
  if (roudi == 0) {
    int null = open("/dev/null", O_WRONLY);
    dup2(null, 1);
    dup2(null, 2);
    execlp("iox-roudi", "iox-roudi", "-l", "off", static_cast<char *>(nullptr));
    _exit(127);
  }
  usleep(500000);
  const int rounds = 20000, warm_up = 2000;
  pid_t child = fork();
  bool is_child = child == 0;
  stay_on(is_child ? 1 : 0);
  const iox::capro::IdString_t there{"there"}, back{"back"};
  const iox::RuntimeName_t parent_name{"shmstruct-bench"}, child_name{"shmstruct-bench-child"};
  iox::runtime::PoshRuntime::initRuntime(is_child ? child_name : parent_name);
  Publisher publisher({"shmstruct", "bench", is_child ? back : there});
  Subscriber subscriber({"shmstruct", "bench", is_child ? there : back});
  while (!publisher.hasSubscribers() || subscriber.getSubscriptionState() != iox::SubscribeState::SUBSCRIBED) usleep(1000);
  usleep(200000);
  Message message{{1}};
  if (is_child) {
    for (;;) {
      take(subscriber, message);
      give(publisher, message);
    }
  }
  std::vector<double> times;
  for (int i = 0; i < rounds + warm_up; i++) {
    auto start = Clock::now();
    give(publisher, message);
    take(subscriber, message);
    if (i >= warm_up) times.push_back(std::chrono::duration<double, std::nano>(Clock::now() - start).count() / 2);
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  std::sort(times.begin(), times.end());
  printf("{\"p50\":%.1f}\n", times[times.size() / 2]);
  fflush(stdout);
  // Asked to end, the daemon takes seconds and leaves its files all the same.
  kill(roudi, SIGKILL);
  waitpid(roudi, nullptr, 0);
  unlink("/dev/shm/iceoryx_mgmt");
  if (group *payload = getgrgid(getegid())) unlink((std::string("/dev/shm/") + payload->gr_name).c_str());
  _exit(0);
}
