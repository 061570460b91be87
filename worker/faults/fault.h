// What is to go wrong in a worker, and when: a small language, and the port through which it
// happens.
//
//   plan    := fault { ";" fault }
//   fault   := what [ "@" when ] [ "if" condition { "and" condition } ]
//
//   what                    happens                                                    when
//   exit(CODE)              the process ends                                           L S R T
//   raise(SIGNAL)           it raises a signal                                         L S R T
//   hang                    the step never ends, the heartbeat goes on                 L S R T
//   stop                    SIGSTOP                                                    L S R T
//   slow(FACTOR)            the step takes so many times as long                       S R T
//   slow(50ms), slow(5s)    it takes so much longer                                    L S R T
//   device_lost[(LATE)]     a sticky error, reported so many steps late                L S R T
//   oom                     the device is out of memory, for this step                 L S R T
//   leak(N)                 N descriptors are opened and never closed                  S R T
//   leak_threads(N)         N threads are started that wait and never end              S R T
//   nan[(all)]              logits of one sequence, or of all, are not finite          L S R T
//   wrong                   logits are wrong, but look sound                           L S R T
//   invalid_token           an output has a token outside the vocabulary               S T
//   old_epoch               outputs come once more, before, under the epoch before     S F
//   repeat, drop            outputs come twice; never                                  S F
//   stall_link              nothing is written any more                                S
//   slice_link              from now on every byte is written by itself                S
//   flip, truncate          one bit of a frame is flipped; half of it is missing       F
//   double, reorder         a frame comes twice; after the next one                    F
//   huge, deep              it claims two gigabytes; holds 100,000 arrays, nested      F
//   no_exit                 after a lost device it goes on, and answers errors         -
//
//   L  load            while the model loads; for a model's faults: from the beginning, always
//   S  step=N, step=N..M, step>N     steps since the worker is ready, each attempt counts, from 1
//   R  rows>N, rows=N, rows=N..M     steps of so many rows
//   T  tokens=A,B,...  steps with a sequence whose prompt has these tokens, in a row
//   F  frame=N, frame=N..M, frame>N  frames of the link, from 0; for old_epoch, repeat and drop
//                                    the messages with outputs, from 1
//
//   condition := "incarnation" ("=" N | "=" N ".." M | ">" N)  of the worker on its lane, from 1
//              | "p" "=" P    with this probability, whenever it could happen; seeded
#pragma once

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string_view>
#include <vector>

namespace sluice {

/// One thing that goes wrong.
struct Fault {
  enum class What : std::uint8_t {
    exit,
    raise,
    hang,
    stop,
    slow,
    device_lost,
    oom,
    leak,
    leak_threads,
    nan,
    wrong,
    invalid_token,
    old_epoch,
    repeat,
    drop,
    stall_link,
    slice_link,
    flip,
    truncate,
    double_frame,
    reorder,
    huge,
    deep,
    no_exit,
  };
  enum class When : std::uint8_t { always, load, step, rows, tokens, frame };
  /// Numbers from `first` to `last`, both included.
  struct Range {
    std::uint64_t first = 0;
    std::uint64_t last = std::numeric_limits<std::uint64_t>::max();
    [[nodiscard]] bool contains(std::uint64_t number) const {
      return first <= number && number <= last;
    }
  };

  What what = What::exit;
  std::int32_t number = 0;        ///< exit code, signal, steps late, how many leak
  double factor = 0.0;            ///< of slow; 0: `longer` is meant
  Duration longer = Duration(0);  ///< of slow
  bool all = false;               ///< of nan
  When when = When::always;
  Range range;                  ///< of steps, rows or frames
  std::vector<TokenId> tokens;  ///< of When::tokens; not empty
  Range incarnations;
  double probability = 1.0;
};

/// All that goes wrong in a worker.
class FaultPlan {
 public:
  FaultPlan() = default;
  /// Reads a plan; an empty text is an empty plan.
  /// Errors: invalid_argument: the position, from 1, and what was expected there.
  static Result<FaultPlan> parse(std::string_view text);

  [[nodiscard]] const std::vector<Fault>& faults() const { return faults_; }
  [[nodiscard]] bool empty() const { return faults_.empty(); }
  void append(const FaultPlan& other) {
    faults_.insert(faults_.end(), other.faults_.begin(), other.faults_.end());
  }

 private:
  std::vector<Fault> faults_;
};

/// How a fault reaches the process. The real ones do it; a simulator's set flags and return. After
/// `exit`, `hang` or a deadly `raise` has returned the worker is no more: what its loop gives in
/// that turn is to be thrown away.
class FaultActions {
 public:
  virtual ~FaultActions() = default;
  virtual void exit(int code) = 0;
  virtual void raise(int signal) = 0;
  virtual void hang() = 0;
  virtual void sleep(Duration duration) = 0;
  /// A step that took so long is to take `factor` times as long.
  virtual void stretch(double factor, Duration took) = 0;
  /// Opens so many descriptors and keeps them; fewer, where the system gives no more.
  virtual void leak_descriptors(std::int32_t count) = 0;
  /// Starts so many threads that wait for ever; fewer, where the system gives no more.
  virtual void leak_threads(std::int32_t count) = 0;
  /// From now on nothing that the worker says is written to its link.
  virtual void stall_link() = 0;
  /// From now on every byte of it is written by itself.
  virtual void slice_link() = 0;
};

/// The real ones. The functions are called for the actions of their names.
std::unique_ptr<FaultActions> make_process_faults(std::function<void()> stall_link,
                                                  std::function<void()> slice_link);

}  // namespace sluice
