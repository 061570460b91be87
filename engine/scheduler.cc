#include "engine/scheduler.h"

#include "base/check.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace sluice {
namespace {

/// The order of who may be a victim.
bool outranks(const Sequence* a, const Sequence* b) {
  return std::tie(a->urgency, a->arrival) < std::tie(b->urgency, b->arrival);
}

std::int32_t held(const Sequence& sequence) {
  return static_cast<std::int32_t>(sequence.blocks.size());
}

/// Blocks in all once the known tokens and one more are computed.
std::int32_t blocks_known(const Sequence& sequence) {
  auto tokens = static_cast<std::int32_t>(sequence.tokens.size());
  return blocks_for(std::min(tokens + 1, sequence.computed_limit()));
}

/// Blocks that it will have to allocate for them.
std::int32_t blocks_missing(const Sequence& sequence) {
  std::int32_t given = sequence.follows ? sequence.blocks_to_take() : 0;
  return std::max(0, blocks_known(sequence) - std::max(held(sequence), given));
}

/// Rows of logits that the next `rows` rows need.
std::int32_t logits_of(const Sequence& sequence, std::int32_t rows) {
  std::int32_t logits = 0;
  for (std::int32_t row = 0; row < rows; ++row)
    logits += sequence.wants_logits(sequence.computed + row);
  return logits;
}

/// How many blocks of its prompt stay because of it, beyond those that stay anyhow.
std::int32_t newly_kept(const Sequence& sequence) {
  if (!sequence.shared) return 0;
  std::int32_t kept = std::max(sequence.shared->kept, sequence.shared_blocks());
  return kept - std::exchange(sequence.shared->kept, kept);
}

}  // namespace

Scheduler::Scheduler(Options options, BlockPool& pool)
    : options_(options),
      pool_(pool),
      prompts_(pool),
      prefills_({.chunk = options.prefill_chunk, .overtaking_steps = options.overtaking_steps}) {
  CHECK(options.step_rows_max >= 1 && options.prefill_chunk >= 1 && options.logit_rows_max >= 1);
}

void Scheduler::add(Sequence& sequence) {
  CHECK(sequence.rows_wanted() > 0 && sequence.computed == 0 && sequence.blocks.empty());
  CHECK(blocks_for(sequence.computed_limit()) <= pool_.total());
  sequence.arrival = ++arrivals_;
  sequence.arrival_step = step_;
  sequence.progressed_step = step_;
  prompts_.join(sequence);
  order_.insert(std::upper_bound(order_.begin(), order_.end(), &sequence, outranks), &sequence);
  // The first in order needs a row even when all others decode.
  auto count = static_cast<std::int32_t>(order_.size());
  CHECK(count <= options_.step_rows_max && count <= options_.logit_rows_max);
}

void Scheduler::pause(Sequence& sequence) {
  if (std::exchange(sequence.paused, true)) return;
  auto found = std::find(order_.begin(), order_.end(), &sequence);
  CHECK(found != order_.end() && sequence.rows == 0);
  order_.erase(found);
  sequence.follows = false;
  paused_.push_back(&sequence);
}

void Scheduler::resume(Sequence& sequence) {
  if (!std::exchange(sequence.paused, false)) return;
  CHECK(std::erase(paused_, &sequence) == 1);
  sequence.progressed_step = step_;  // it did not starve
  order_.insert(std::upper_bound(order_.begin(), order_.end(), &sequence, outranks), &sequence);
}

void Scheduler::remove(Sequence& sequence) {
  CHECK(std::erase(sequence.paused ? paused_ : order_, &sequence) == 1);
  release_blocks(sequence);
  prompts_.leave(sequence);
}

void Scheduler::compute_again(const SharedPrompt& prompt) {
  CHECK(picked_.empty());
  for (const auto* all : {&order_, &paused_})
    for (Sequence* sequence : *all)
      if (sequence->shared.get() == &prompt) release_blocks(*sequence);
}

const std::vector<Sequence*>& Scheduler::pick() {
  ++step_;
  preempted_ = 0;
  promote_starved();
  for (Sequence* sequence : order_) {
    sequence->rows = 0;
    if (sequence->shared) sequence->shared->ahead = 0;
  }
  pick_decodes();
  pick_prefills();
  picked_.clear();
  for (Sequence* sequence : order_) {
    if (sequence->rows > 0) picked_.push_back(sequence);
  }
  CHECK(order_.empty() || order_.front()->rows > 0);
  return picked_;
}

void Scheduler::advance() {
  for (Sequence* sequence : picked_) {
    std::int32_t from = std::exchange(sequence->computed, sequence->computed + sequence->rows);
    sequence->rows = 0;
    prompts_.publish(*sequence, from);
    note_progress(*sequence);
  }
  picked_.clear();
  // At once: who has computed the blocks may be done and give them back before the next step.
  for (Sequence* sequence : order_)
    if (sequence->follows) take(*sequence);
}

void Scheduler::limit(std::int32_t rows) {
  CHECK(rows >= 1);
  if (picked_.empty()) return;
  const Sequence* first = picked_.front();
  std::int32_t left = rows - 1;  // the first has its row
  ClassRows wanted{};
  for (Sequence* sequence : picked_) {
    if (sequence->rows > 1) {
      wanted[class_of(*sequence)] += sequence->rows - (sequence == first);
    } else if (sequence != first) {
      sequence->rows = std::min(sequence->rows, left);
      left -= sequence->rows;
    }
  }
  ClassRows shares = prefills_.share(left, wanted);
  for (Sequence* sequence : prefills_.line()) {
    if (sequence->rows <= 1) continue;
    std::int32_t& share = shares[class_of(*sequence)];
    std::int32_t more = std::min(share, sequence->rows - (sequence == first));
    sequence->rows = more + (sequence == first);
    share -= more;
  }
  for (Sequence* sequence : picked_)
    trim(*sequence);
  std::erase_if(picked_, [](const Sequence* sequence) { return sequence->rows == 0; });
}

void Scheduler::withdraw() {
  for (Sequence* sequence : picked_) {
    sequence->rows = 0;
    trim(*sequence);
  }
  picked_.clear();
}

bool Scheduler::preempt_longest() {
  Sequence* longest = nullptr;
  for (Sequence* sequence : picked_) {
    if (sequence == order_.front() || sequence->computed == 0) continue;
    if (longest == nullptr || sequence->computed >= longest->computed) longest = sequence;
  }
  if (longest == nullptr) return false;
  preempt(*longest);
  std::erase(picked_, longest);
  return true;
}

std::int32_t Scheduler::running() const {
  return static_cast<std::int32_t>(std::count_if(
      order_.begin(), order_.end(), [](const Sequence* s) { return !s->blocks.empty(); }));
}

std::int32_t Scheduler::waiting() const {
  return static_cast<std::int32_t>(order_.size()) - running();
}

void Scheduler::promote_starved() {
  bool promoted = false;
  for (Sequence* sequence : order_) {
    if (sequence->urgency > 0 && step_ - sequence->progressed_step > options_.patience_steps) {
      sequence->urgency = 0;
      promoted = true;
    }
  }
  if (promoted) std::sort(order_.begin(), order_.end(), outranks);
}

void Scheduler::pick_decodes() {
  // A victim may have been picked before: it loses its row with its blocks.
  for (Sequence* sequence : order_) {
    bool decodes = !sequence->blocks.empty() && sequence->rows_wanted() == 1;
    if (decodes && reserve(*sequence, sequence->computed + 1, Reach::everybody)) sequence->rows = 1;
  }
}

void Scheduler::pick_prefills() {
  Budget left{options_.step_rows_max, options_.logit_rows_max};
  for (const Sequence* sequence : order_) {
    left.rows -= sequence->rows;
    left.logits -= sequence->rows;
  }
  prefills_.line_up(order_);
  const std::vector<Sequence*>& line = prefills_.line();
  if (line.empty()) return;
  leave_lost_leaders();
  room_.reset();
  ClassRows shares = prefills_.share(left.rows, prefills_.wanted());
  // The first in order may take blocks from everybody. So it has what comes to it at its place in
  // line, and at least a row, before anybody has rows that would be taken away.
  Sequence& first = *order_.front();
  if (first.rows == 0) {
    std::int32_t& share = shares[class_of(first)];  // its class is the first in line
    std::int32_t rows = share;
    for (auto other = line.begin(); *other != &first; ++other)
      rows -= prefills_.wanted(**other);
    take(first);
    first.follows = false;
    share -= extend(first, std::max(rows, 1), left, Reach::everybody);
  }
  serve_line(shares, left, Reach::less_urgent);
  // What some could not use goes to whoever can, the more urgent first. Nobody is a victim any
  // more: it may have rows, or lead others.
  if (left.rows > 0) serve_line({left.rows, left.rows, left.rows}, left, Reach::nobody);
}

/// Of those who followed somebody that is gone the first goes on by itself. Known before anybody
/// starts, so that the blocks it needs now are counted, though it may stand further behind in line.
void Scheduler::leave_lost_leaders() {
  auto leads = [](const Sequence& s) {
    s.shared->ahead = std::max(s.shared->ahead, s.computed + 1);
  };
  for (const Sequence* sequence : prefills_.line())
    if (sequence->shared && !sequence->follows) leads(*sequence);
  for (Sequence* sequence : prefills_.line()) {
    if (!sequence->follows || is_led(*sequence)) continue;
    sequence->follows = false;
    leads(*sequence);
  }
  for (const Sequence* sequence : prefills_.line())
    if (sequence->shared) sequence->shared->ahead = 0;
}

/// Goes along the line once, and gives each class up to its share of rows.
void Scheduler::serve_line(ClassRows shares, Budget& left, Reach reach) {
  bool lacks_room = false;               // for somebody: nobody behind it starts
  const Sequence* lacks_rows = nullptr;  // the last that found none; nobody of its class passes it
  for (Sequence* sequence : prefills_.line()) {
    std::int32_t& share = shares[class_of(*sequence)];
    std::int32_t rows = std::clamp(share, 0, left.rows);
    if (sequence->rows == 0 && !sequence->blocks.empty()) {
      keep_up(*sequence);
    } else if (sequence->rows == 0 && !(sequence->follows && reach == Reach::nobody)) {
      sequence->follows = false;
      if (lacks_room || (lacks_rows != nullptr && lacks_rows->urgency == sequence->urgency))
        continue;
      if (rows == 0 && !is_led(*sequence)) {
        lacks_rows = sequence;
        continue;
      }
      lacks_room = !start(*sequence, reach);
      if (lacks_room) continue;
    }
    if (sequence->follows) continue;
    share -= extend(*sequence, rows, left, reach);
    if (sequence->shared && sequence->rows > 0)
      sequence->shared->ahead =
          std::max(sequence->shared->ahead, sequence->computed + sequence->rows);
  }
}

/// Gives a waiting sequence its place among those who run, and the blocks of its prompt that are
/// there. False: there is no room yet.
///
/// It starts when all its known tokens find room beside what the running ones still need for
/// theirs, and one block more for each of those: else it would be preempted at once. It is also why
/// prompts that others pass while they are half done can all be finished.
bool Scheduler::start(Sequence& sequence, Reach reach) {
  if (!room_) room_ = count_room(sequence, false);
  // First of all, so that they stay when those who have computed them give theirs up.
  prompts_.take(sequence);
  sequence.follows = is_led(sequence);
  std::int32_t missing = blocks_missing(sequence);
  *room_ -= newly_kept(sequence);
  if (reach != Reach::nobody && *room_ < missing && count_room(sequence, true) >= missing) {
    while (*room_ < missing) {
      Sequence* victim = find_victim(sequence, Reach::less_urgent);
      if (victim == nullptr) break;
      preempt(*victim);
      room_ = count_room(sequence, false);
    }
  }
  if (*room_ < missing) {
    release_blocks(sequence);
    return false;
  }
  *room_ -= missing + 1;
  if (!sequence.blocks.empty()) note_taken(sequence);
  return true;
}

/// A sequence that runs takes what others have computed of its prompt.
void Scheduler::keep_up(Sequence& sequence) {
  std::int32_t spare = pool_.free() - blocks_missing(sequence);
  take(sequence);
  sequence.follows = is_led(sequence);
  spare = pool_.free() - blocks_missing(sequence) - spare;
  if (room_) *room_ += spare - newly_kept(sequence);
}

/// Blocks that `starting` may count on: what is free or would be given up, without what the others
/// need who run. Those in line before it who follow run, too, whether they hold a block or not.
std::int32_t Scheduler::count_room(const Sequence& starting, bool without_less_urgent) const {
  auto visit_others = [&](auto&& visit) {
    for (const Sequence* other : paused_)
      visit(*other, true);
    for (const Sequence* other : order_) {
      bool runs =
          !other->blocks.empty() || (other->follows && PrefillOrder::before(other, &starting));
      if (other == &starting || !runs) continue;
      bool spared = other->urgency <= starting.urgency ||
                    other->preemptions >= options_.preemptions_max || other == order_.front();
      visit(*other, without_less_urgent && !spared);
    }
  };
  // Of a prompt's blocks those stay that somebody names who does not give up.
  visit_others([](const Sequence& other, bool /*gives_up*/) {
    if (!other.shared) return;
    other.shared->kept = 0;
    other.shared->counted = false;
  });
  if (starting.shared) starting.shared->kept = starting.shared_blocks();
  std::int32_t room = pool_.free();
  visit_others([&](const Sequence& other, bool gives_up) {
    if (gives_up) {
      room += held(other) - other.shared_blocks();
    } else {
      room -= blocks_missing(other) + 1;
      newly_kept(other);
    }
  });
  visit_others([&](const Sequence& other, bool gives_up) {
    if (!gives_up || !other.shared || std::exchange(other.shared->counted, true)) return;
    room += static_cast<std::int32_t>(other.shared->blocks.size()) - other.shared->kept;
  });
  return room;
}

/// Gives a sequence up to `rows` rows more, as far as blocks can be had. Returns how many.
std::int32_t Scheduler::extend(Sequence& sequence, std::int32_t rows, Budget& left, Reach reach) {
  if (rows == 0) return 0;
  std::int32_t had = sequence.rows;
  std::int32_t had_logits = logits_of(sequence, had);
  std::int32_t chunk = chunk_for(sequence, had + rows, had_logits + left.logits);
  if (!reserve(sequence, sequence.computed + chunk, reach)) {
    // What fits is computed; the rest comes when blocks are free.
    std::int32_t room = (held(sequence) + pool_.free()) * kBlockTokens - sequence.computed;
    chunk = std::min(chunk, room);
    if (!reserve(sequence, sequence.computed + chunk, reach)) return 0;
  }
  sequence.rows = chunk;
  left.rows -= chunk - had;
  left.logits -= logits_of(sequence, chunk) - had_logits;
  return chunk - had;
}

/// The rows of a chunk: at most `rows`, and needing no more than `logits` rows of logits, nor
/// giving more results than were granted.
std::int32_t Scheduler::chunk_for(const Sequence& sequence,
                                  std::int32_t rows,
                                  std::int32_t logits) const {
  std::int32_t most = std::min({sequence.rows_wanted(), options_.prefill_chunk, rows});
  std::uint32_t granted = sequence.granted - std::min(sequence.granted, sequence.reported());
  if (granted < static_cast<std::uint32_t>(logits)) logits = static_cast<std::int32_t>(granted);
  for (std::int32_t row = 0; row < most; ++row) {
    if (!sequence.wants_logits(sequence.computed + row)) continue;
    if (logits == 0) return row;
    --logits;
  }
  return most;
}

/// Extends the block table to hold `tokens` tokens. False: there is no room, or the sequence was
/// itself the victim.
bool Scheduler::reserve(Sequence& sequence, std::int32_t tokens, Reach reach) {
  if (tokens <= sequence.computed) return false;
  while (blocks_for(tokens) - held(sequence) > pool_.free()) {
    if (Sequence* idle = find_paused()) {
      release_blocks(*idle);
      ++preempted_;
      continue;
    }
    Sequence* victim = find_victim(sequence, reach);
    if (victim == nullptr) return false;
    preempt(*victim);
    if (victim == &sequence) return false;
  }
  while (held(sequence) < blocks_for(tokens))
    sequence.blocks.push_back(*pool_.allocate());
  sequence.state = Sequence::State::running;
  return true;
}

/// The paused sequence that gives its blocks up first, if any holds some.
Sequence* Scheduler::find_paused() const {
  Sequence* best = nullptr;
  for (Sequence* sequence : paused_) {
    if (sequence->blocks.empty()) continue;
    if (best == nullptr || is_better_victim(*sequence, *best)) best = sequence;
  }
  return best;
}

Sequence* Scheduler::find_victim(const Sequence& wanting, Reach reach) const {
  Sequence* best = nullptr;
  for (Sequence* sequence : order_) {
    if (sequence->blocks.empty() || sequence == order_.front()) continue;
    bool in_reach = reach == Reach::everybody ||
                    (reach == Reach::less_urgent && sequence->urgency > wanting.urgency &&
                     sequence->preemptions < options_.preemptions_max);
    if (in_reach && (best == nullptr || is_better_victim(*sequence, *best))) best = sequence;
  }
  return best;
}

bool Scheduler::is_better_victim(const Sequence& a, const Sequence& b) const {
  auto key = [&](const Sequence& s) {
    std::int32_t others = named_by_others(s);
    return std::tuple(-static_cast<std::int32_t>(s.urgency),
                      others == held(s),
                      s.preemptions >= options_.preemptions_max,
                      s.computed - others * kBlockTokens,
                      -static_cast<std::int64_t>(s.arrival));
  };
  return key(a) < key(b);
}

/// How many of its blocks would not be free without it.
std::int32_t Scheduler::named_by_others(const Sequence& sequence) const {
  auto end = sequence.blocks.begin() + sequence.shared_blocks();
  auto own = std::partition_point(
      sequence.blocks.begin(), end, [&](std::int32_t b) { return pool_.references(b) > 1; });
  return static_cast<std::int32_t>(own - sequence.blocks.begin());
}

/// In this step another computes blocks of the prompt that the sequence can take.
bool Scheduler::is_led(const Sequence& sequence) {
  return sequence.blocks_to_take() > sequence.computed / kBlockTokens &&
         sequence.shared->ahead > sequence.computed;
}

void Scheduler::take(Sequence& sequence) {
  if (prompts_.take(sequence)) note_taken(sequence);
}

void Scheduler::note_taken(Sequence& sequence) const {
  sequence.state = Sequence::State::running;
  note_progress(sequence);
}

void Scheduler::note_progress(Sequence& sequence) const {
  if (sequence.computed <= sequence.computed_most) return;
  sequence.computed_most = sequence.computed;
  sequence.progressed_step = step_;
}

void Scheduler::preempt(Sequence& sequence) {
  release_blocks(sequence);
  sequence.rows = 0;
  ++sequence.preemptions;
  ++preempted_;
}

/// Gives back the blocks beyond the rows of this step.
void Scheduler::trim(Sequence& sequence) {
  if (sequence.computed + sequence.rows == 0) return release_blocks(sequence);
  while (held(sequence) > blocks_for(sequence.computed + sequence.rows)) {
    pool_.release(sequence.blocks.back());
    sequence.blocks.pop_back();
  }
}

void Scheduler::release_blocks(Sequence& sequence) {
  prompts_.release(sequence);
  sequence.computed = 0;
  sequence.follows = false;
  sequence.state = Sequence::State::waiting;
}

}  // namespace sluice
