#include "actors/hand_over.h"

#include "actors/work_messages.h"

#include <algorithm>
#include <iterator>

namespace sluice {

std::vector<Work> write_leases(const Holder& to, std::vector<Work>& works) {
  auto refused = std::stable_partition(works.begin(), works.end(), [&](const Work& work) {
    if (!work.is_wanted()) return false;
    YIELD_POINT("hand_over.wanted");
    auto added = to.leases->add({work.id, work.epoch, work.session});
    if (added == LeaseTable::Added::abandoned)
      caf::anon_send(work.session, HolderLost{work.id, work.epoch, to.role});
    return added == LeaseTable::Added::yes;
  });
  std::vector<Work> kept(std::make_move_iterator(refused), std::make_move_iterator(works.end()));
  works.erase(refused, works.end());
  return kept;
}

void forget_passed_on(const Holder& to, std::vector<Work>& works) {
  std::erase_if(works, [&](const Work& work) { return !to.leases->holds(work.id, work.epoch); });
}

void repeat_drops(const Holder& to,
                  const std::optional<Peer>& peer,
                  const std::vector<Work>& works) {
  for (const Work& work : works) {
    if (work.is_wanted()) continue;
    to.leases->remove(work.id, work.epoch);
    if (peer) caf::anon_send(peer->handle, Drop{work.id, work.epoch});
  }
}

}  // namespace sluice
