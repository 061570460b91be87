// A supervised actor: it fails, its supervisor starts it again, and others find the new one by its
// role.
#include "base/random.h"
#include "supervision/messages.h"
#include "supervision/supervisor.h"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/init_global_meta_objects.hpp>
#include <caf/scoped_actor.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>

namespace {

/// Divides, and ends with an exception when it cannot: the caller gets an error, the supervisor a
/// new divider.
caf::behavior divider(caf::event_based_actor*) {
  return {[](int dividend, int divisor) {
    if (divisor == 0) throw std::runtime_error("division by zero");
    return dividend / divisor;
  }};
}

}  // namespace

int main() {
  caf::init_global_meta_objects<caf::id_block::sluice_supervision>();
  caf::core::init_global_meta_objects();
  caf::actor_system_config config;
  config.set("caf.scheduler.policy", "sharing");
  config.set("caf.logger.console.verbosity", "quiet");
  caf::actor_system system(config);

  auto tree = std::make_shared<sluice::Tree>(std::make_shared<sluice::SystemRandom>());
  sluice::SupervisorSpec spec;
  auto child =
      sluice::actor_child("divider", [](caf::actor_system& in, const sluice::Incarnation& life) {
        std::printf("divider %llu starts\n", static_cast<unsigned long long>(life.number));
        return in.spawn(divider);
      });
  child.role = "divider";
  child.backoff.min = std::chrono::milliseconds(1);
  spec.children.push_back(std::move(child));
  caf::actor root = sluice::spawn_supervisor(
      system, "root", std::make_shared<const sluice::SupervisorSpec>(std::move(spec)), tree);

  caf::scoped_actor self(system);
  self->request(root, caf::infinite, sluice::ReadyCheck{}).receive([] {}, [](const caf::error&) {});
  // The role is announced again and again, as new incarnations take it.
  tree->registry().subscribe("divider", caf::actor_cast<caf::actor>(self));
  int answers = 0;
  for (int divisor : {3, 0, 4}) {
    caf::actor current;
    while (!current) {
      self->receive([&](const sluice::PeerUp& peer) { current = peer.handle; },
                    [](const sluice::PeerDown&) {});
    }
    self->request(current, std::chrono::seconds(5), 12, divisor)
        .receive(
            [&](int quotient) {
              std::printf("12 / %d = %d\n", divisor, quotient);
              ++answers;
            },
            [&](const caf::error& why) {
              std::printf("12 / %d failed: %s\n", divisor, caf::to_string(why).c_str());
            });
    if (divisor != 0)
      tree->registry().subscribe("divider",
                                 caf::actor_cast<caf::actor>(self));  // repeats the PeerUp
  }
  self->request(root, caf::infinite, sluice::StopTree{}).receive([] {}, [](const caf::error&) {});
  return answers == 2 ? 0 : 1;
}
