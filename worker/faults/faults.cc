// Faults of model and loop.
#include "worker/faults/faults.h"

#include "base/check.h"
#include "kernels/ops.h"
#include "worker/faults/chance.h"

#include <signal.h>

#include <algorithm>
#include <limits>
#include <span>
#include <utility>
#include <variant>

namespace sluice {
namespace {

using What = Fault::What;
using When = Fault::When;

constexpr std::uint64_t kLoadPieces = 10;

Error lost(std::string why) {
  return {ErrorCode::device_lost, "a fault was injected: " + std::move(why)};
}

bool contains(const std::vector<TokenId>& tokens, const std::vector<TokenId>& pattern) {
  return std::search(tokens.begin(), tokens.end(), pattern.begin(), pattern.end()) != tokens.end();
}

}  // namespace

/// The state that model and loop share.
class Faults::Impl {
 public:
  struct Entry {
    Fault fault;
    std::uint64_t key = 0;
    std::uint64_t times = 0;   // how often it could have happened
    std::vector<bool> marked;  // [blocks]: first blocks of sequences with its tokens
    bool now = false;          // in this step
  };
  struct Live {
    Epoch epoch = 0;
    std::vector<bool> has_tokens;  // [entries]: its prompt has the fault's tokens
  };

  Impl(const FaultPlan& plan, FaultScope scope, FaultActions& to, const Clock& from)
      : actions(to), clock(from) {
    for (std::size_t i = 0; i < plan.faults().size(); ++i) {
      const Fault& fault = plan.faults()[i];
      if (!fault.incarnations.contains(scope.incarnation)) continue;
      entries.push_back({.fault = fault, .key = chance_key(scope, i), .marked = {}});
    }
  }

  /// Whether a fault whose time has come happens.
  static bool happens(Entry& entry) { return has_luck(entry.fault, entry.key, entry.times++); }

  /// Whether a model's fault stands from the beginning.
  [[nodiscard]] bool from_the_start(What what) const {
    return std::any_of(entries.begin(), entries.end(), [what](const Entry& e) {
      return e.fault.what == what && e.fault.when == When::load && e.now;
    });
  }

  /// Whether a fault happens in this step; or a standing one.
  [[nodiscard]] const Entry* now(What what) const {
    for (const Entry& entry : entries)
      if (entry.now && entry.fault.what == what) return &entry;
    return nullptr;
  }

  /// What happens to the process. False: the process is no more.
  bool act(const Fault& fault) {
    switch (fault.what) {
      case What::exit:
        actions.exit(fault.number);
        return false;
      case What::raise:
        actions.raise(fault.number);
        return false;
      case What::hang:
        actions.hang();
        return false;
      case What::stop:
        actions.raise(SIGSTOP);
        return true;
      case What::leak:
        actions.leak_descriptors(fault.number);
        return true;
      case What::leak_threads:
        actions.leak_threads(fault.number);
        return true;
      case What::stall_link:
        actions.stall_link();
        return true;
      case What::slice_link:
        actions.slice_link();
        return true;
      case What::slow:
        if (fault.longer > Duration(0)) actions.sleep(fault.longer);
        return true;
      default:
        return true;
    }
  }

  FaultActions& actions;
  const Clock& clock;
  std::vector<Entry> entries;
  bool counts = false;                      // steps, since the worker is ready
  std::uint64_t steps = 0;                  // launches so far
  std::optional<std::uint64_t> lost_since;  // the step of a sticky error
  std::uint64_t reported_at = 0;            // the step that reports it
  bool gone = false;                        // the process is no more
  std::map<SequenceId, Live> live;
  std::uint64_t messages = 0;     // with outputs, so far
  bool old_epoch_is_due = false;  // as soon as an output has an epoch before its own
};

// --- the model -----------------------------------------------------------------------------------

/// A model between the engine and the real one.
class Faults::FaultyModel final : public Model {
 public:
  FaultyModel(std::unique_ptr<Model> model, Impl& faults)
      : model_(std::move(model)), faults_(faults) {}

  [[nodiscard]] const ModelInfo& info() const override { return model_->info(); }
  [[nodiscard]] ComputeStats compute_stats() const override { return model_->compute_stats(); }
  [[nodiscard]] bool is_intact() const override { return model_->is_intact(); }

  Result<void> allocate(const ModelLimits& limits) override {
    if (faults_.from_the_start(What::oom))
      return Error{ErrorCode::resource_exhausted, "a fault was injected: out of memory"};
    auto blocks = static_cast<std::size_t>(limits.blocks);
    cells_.assign(blocks * static_cast<std::size_t>(kBlockTokens), -1);
    for (Impl::Entry& entry : faults_.entries)
      if (entry.fault.when == When::tokens) entry.marked.assign(blocks, false);
    return model_->allocate(limits);
  }

  Result<void> launch(const StepBatch& batch) override {
    begun_ = faults_.clock.now();
    if (faults_.gone) return lost("the process has ended");
    if (faults_.from_the_start(What::device_lost)) return lost("the device was never there");
    if (faults_.counts) ++faults_.steps;
    decide(batch);
    if (faults_.lost_since && faults_.steps >= faults_.reported_at)
      return lost("error 700 of step " + std::to_string(*faults_.lost_since));
    for (const Impl::Entry& entry : faults_.entries) {
      if (!entry.now || entry.fault.when == When::load) continue;
      if (faults_.act(entry.fault)) continue;
      faults_.gone = true;
      return lost("the process has ended");
    }
    if (faults_.now(What::oom) != nullptr)
      return Error{ErrorCode::resource_exhausted, "a fault was injected: out of memory"};
    find_owners(batch);
    return model_->launch(batch);
  }

  Result<std::span<float>> wait() override {
    auto logits = model_->wait();
    for (const Impl::Entry& entry : faults_.entries)
      if (entry.now && entry.fault.factor > 0.0)
        faults_.actions.stretch(entry.fault.factor, faults_.clock.now() - begun_);
    if (logits) damage(*logits);
    return logits;
  }

 private:
  /// Which faults happen in this step.
  void decide(const StepBatch& batch) {
    bool marks = std::any_of(faults_.entries.begin(), faults_.entries.end(), [](const auto& e) {
      return e.fault.when == When::tokens;
    });
    if (marks) mark(batch);
    for (std::size_t i = 0; i < faults_.entries.size(); ++i) {
      Impl::Entry& entry = faults_.entries[i];
      if (entry.fault.when == When::load) continue;  // decided once
      entry.now = faults_.counts && is_time(i, batch) && Impl::happens(entry);
      if (entry.now && entry.fault.what == What::device_lost && !faults_.lost_since) {
        faults_.lost_since = faults_.steps;
        faults_.reported_at = faults_.steps + static_cast<std::uint64_t>(entry.fault.number);
      }
    }
  }

  [[nodiscard]] bool is_time(std::size_t index, const StepBatch& batch) const {
    const Impl::Entry& entry = faults_.entries[index];
    switch (entry.fault.when) {
      case When::step:
        return entry.fault.range.contains(faults_.steps);
      case When::rows:
        return entry.fault.range.contains(batch.tokens.size());
      case When::tokens: {
        // What a sequence has generated does not count: its prompt must have them.
        bool lives = std::any_of(faults_.live.begin(), faults_.live.end(), [&](const auto& one) {
          return one.second.has_tokens[index];
        });
        return lives && std::any_of(batch.segments.begin(),
                                    batch.segments.end(),
                                    [&](const auto& s) { return is_marked(entry, s); });
      }
      case When::always:
      case When::load:
      case When::frame:
        return false;
    }
    return false;
  }

  static bool is_marked(const Impl::Entry& entry, const StepBatch::Segment& segment) {
    return entry.marked[static_cast<std::size_t>(segment.blocks.front())];
  }

  TokenId& cell(const StepBatch::Segment& segment, std::int32_t position) {
    auto block =
        static_cast<std::size_t>(segment.blocks[static_cast<std::size_t>(position / kBlockTokens)]);
    return cells_[block * static_cast<std::size_t>(kBlockTokens) +
                  static_cast<std::size_t>(position % kBlockTokens)];
  }

  /// Remembers the tokens of every block, and marks sequences by their first block.
  void mark(const StepBatch& batch) {
    std::size_t row = 0;
    for (const StepBatch::Segment& segment : batch.segments) {
      auto first = static_cast<std::size_t>(segment.blocks.front());
      for (std::int32_t i = 0; i < segment.rows; ++i, ++row) {
        std::int32_t position = segment.first_position + i;
        cell(segment, position) = batch.tokens[row];
        for (Impl::Entry& entry : faults_.entries) {
          if (entry.fault.when != When::tokens) continue;
          if (position == 0) entry.marked[first] = false;
          if (ends_with(segment, position, entry.fault.tokens)) entry.marked[first] = true;
        }
      }
    }
  }

  bool ends_with(const StepBatch::Segment& segment,
                 std::int32_t position,
                 const std::vector<TokenId>& tokens) {
    auto before = static_cast<std::int32_t>(tokens.size()) - 1;
    if (position < before) return false;
    for (std::int32_t i = 0; i <= before; ++i)
      if (cell(segment, position - before + i) != tokens[static_cast<std::size_t>(i)]) return false;
    return true;
  }

  /// Which segment each row of logits belongs to, as far as a fault of one sequence needs it.
  void find_owners(const StepBatch& batch) {
    hit_.assign(batch.logit_rows.size(), false);
    const Impl::Entry* nan = faults_.now(What::nan);
    if (nan == nullptr) return;
    bool all = nan->fault.all || nan->fault.when == When::load;
    std::size_t segment = 0;
    std::int32_t end = batch.segments.front().rows;
    for (std::size_t i = 0; i < batch.logit_rows.size(); ++i) {
      while (batch.logit_rows[i] >= end)
        end += batch.segments[++segment].rows;
      bool marked = nan->fault.when == When::tokens && is_marked(*nan, batch.segments[segment]);
      bool one = nan->fault.when != When::tokens && i == 0;
      hit_[i] = all || marked || one;
    }
  }

  void damage(std::span<float> logits) {
    auto vocabulary = static_cast<std::size_t>(info().vocabulary);
    CHECK(logits.size() == hit_.size() * vocabulary);
    bool wrong = faults_.now(What::wrong) != nullptr || faults_.lost_since;
    for (std::size_t i = 0; i < hit_.size(); ++i) {
      std::span<float> row = logits.subspan(i * vocabulary, vocabulary);
      if (wrong) std::rotate(row.begin(), row.begin() + 1, row.end());
      if (hit_[i]) row[vocabulary / 2] = std::numeric_limits<float>::quiet_NaN();
    }
  }

  std::unique_ptr<Model> model_;
  Impl& faults_;
  TimePoint begun_{};
  std::vector<TokenId> cells_;  // [blocks * kBlockTokens]: what stands in the KV cache
  std::vector<bool> hit_;       // [logit rows] of this step: not finite
};

// --- start-up and loop ---------------------------------------------------------------------------

Faults::Faults(const FaultPlan& plan, FaultScope scope, FaultActions& actions, const Clock& clock)
    : impl_(std::make_unique<Impl>(plan, scope, actions, clock)) {}
Faults::~Faults() = default;

void Faults::loading(const LoadObserver& on_progress) {
  for (Impl::Entry& entry : impl_->entries) {
    if (entry.fault.when != When::load) continue;
    entry.now = Impl::happens(entry);
    if (!entry.now) continue;
    if (entry.fault.what == What::slow) {
      for (std::uint64_t i = 1; i <= kLoadPieces; ++i) {
        impl_->actions.sleep(entry.fault.longer / kLoadPieces);
        if (on_progress) on_progress({.bytes = i});
      }
    } else if (!impl_->act(entry.fault)) {
      impl_->gone = true;
      return;
    }
  }
}

std::unique_ptr<Model> Faults::wrap(std::unique_ptr<Model> model) {
  return std::make_unique<FaultyModel>(std::move(model), *impl_);
}

void Faults::serving() {
  impl_->counts = true;
}

void Faults::on_start(const wire::Start& start) {
  Impl::Live live{.epoch = start.epoch, .has_tokens = {}};
  for (const Impl::Entry& entry : impl_->entries)
    live.has_tokens.push_back(entry.fault.when == When::tokens &&
                              contains(start.plan.prompt, entry.fault.tokens));
  auto [place, is_new] = impl_->live.try_emplace(start.id, live);
  if (!is_new && place->second.epoch < start.epoch) place->second = std::move(live);
}

void Faults::on_cancel(const wire::Cancel& cancel) {
  auto found = impl_->live.find(cancel.id);
  if (found != impl_->live.end() && found->second.epoch <= cancel.epoch) impl_->live.erase(found);
}

void Faults::on_messages(std::int32_t vocabulary, std::vector<wire::ToFront>& out) {
  std::vector<wire::ToFront> said;
  auto damage = [&](wire::Tokens& tokens) {
    ++impl_->messages;
    auto is_due = [this](What what) {
      for (Impl::Entry& entry : impl_->entries) {
        if (entry.fault.what != what) continue;
        if (entry.now) return true;  // of this step
        if (entry.fault.when == When::frame && entry.fault.range.contains(impl_->messages) &&
            Impl::happens(entry))
          return true;
      }
      return false;
    };
    if (is_due(What::old_epoch)) impl_->old_epoch_is_due = true;
    if (impl_->old_epoch_is_due) {
      wire::Tokens old = tokens;
      std::erase_if(old.outputs, [](const SequenceOutput& output) { return output.epoch == 0; });
      for (SequenceOutput& output : old.outputs)
        --output.epoch;
      if (!old.outputs.empty()) {
        impl_->old_epoch_is_due = false;
        said.push_back(std::move(old));
      }
    }
    for (std::size_t i = 0; i < impl_->entries.size(); ++i) {
      const Impl::Entry& entry = impl_->entries[i];
      if (!entry.now || entry.fault.what != What::invalid_token) continue;
      for (SequenceOutput& output : tokens.outputs) {
        auto live = impl_->live.find(output.id);
        bool meant = entry.fault.when != When::tokens ||
                     (live != impl_->live.end() && live->second.has_tokens[i]);
        if (!meant || output.tokens.empty()) continue;
        output.tokens.front() = vocabulary;
        break;
      }
    }
    for (const SequenceOutput& output : tokens.outputs)
      if (output.finish != Finish::none) impl_->live.erase(output.id);
    if (is_due(What::drop)) return;
    if (is_due(What::repeat)) said.push_back(tokens);
    said.push_back(std::move(tokens));
  };
  for (wire::ToFront& message : out) {
    if (auto* tokens = std::get_if<wire::Tokens>(&message)) {
      if (!lost_unnoticed()) damage(*tokens);
      continue;
    }
    if (const auto* failed = std::get_if<wire::Failed>(&message))
      on_cancel({failed->id, failed->epoch});
    said.push_back(std::move(message));
  }
  out = std::move(said);
  // They were this step's.
  for (Impl::Entry& entry : impl_->entries)
    entry.now = entry.now && entry.fault.when == When::load;
}

bool Faults::lost_unnoticed() const {
  return impl_->lost_since.has_value();
}

bool Faults::outlives_device() const {
  return std::any_of(impl_->entries.begin(), impl_->entries.end(), [](const Impl::Entry& e) {
    return e.fault.what == What::no_exit;
  });
}

std::vector<std::pair<SequenceId, Epoch>> Faults::unfinished() const {
  std::vector<std::pair<SequenceId, Epoch>> all;
  for (const auto& [id, live] : impl_->live)
    all.emplace_back(id, live.epoch);
  return all;
}

}  // namespace sluice
