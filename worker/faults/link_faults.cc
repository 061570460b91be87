// Faults of frames: each changes bytes that were right.
#include "worker/faults/chance.h"
#include "worker/faults/faults.h"

#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kDepth = 100'000;

bool is_of_frames(Fault::What what) {
  switch (what) {
    case Fault::What::flip:
    case Fault::What::truncate:
    case Fault::What::double_frame:
    case Fault::What::reorder:
    case Fault::What::huge:
    case Fault::What::deep:
      return true;
    default:
      return false;
  }
}

}  // namespace

LinkFaults::LinkFaults(const FaultPlan& plan, FaultScope scope) {
  for (std::size_t i = 0; i < plan.faults().size(); ++i) {
    const Fault& fault = plan.faults()[i];
    if (is_of_frames(fault.what) && fault.incarnations.contains(scope.incarnation))
      faults_.push_back({fault, chance_key(scope, i)});
  }
}

void LinkFaults::on_frame(std::uint32_t number, std::string& bytes, std::size_t start) {
  std::string late = std::exchange(held_, {});
  for (const Entry& entry : faults_) {
    const Fault& fault = entry.fault;
    std::size_t size = bytes.size() - start;
    if (size == 0 || !fault.range.contains(number) || !has_luck(fault, entry.key, number)) continue;
    if (fault.what == Fault::What::flip) {
      // Any bit behind the length: a longer length would only make the link silent.
      std::uint64_t bits = (size - kFramePrefixBytes) * 8;
      std::uint64_t at = mix64(entry.key + number) % bits + kFramePrefixBytes * 8;
      char& byte = bytes[start + at / 8];
      byte = static_cast<char>(byte ^ (1 << (at % 8)));
    } else if (fault.what == Fault::What::truncate) {
      bytes.resize(start + size / 2);
    } else if (fault.what == Fault::What::double_frame) {
      bytes.append(std::string(bytes, start));
    } else if (fault.what == Fault::What::huge) {
      bytes[start] = '\x7F';  // the highest byte of the length
    } else if (fault.what == Fault::What::deep) {
      bytes.resize(start + kLinkFrameBytes);
      bytes.append(kDepth, '\x91');  // an array of one element, which is an array of one element
      seal_link_frame(bytes, start, number);
    } else {
      held_ = bytes.substr(start);
      bytes.resize(start);
    }
  }
  bytes += late;
}

}  // namespace sluice
