#include "client/chat.h"

#include "client/chat_answer.h"
#include "client/chat_input.h"
#include "client/interrupts.h"
#include "client/line_reader.h"
#include "client/terminal_text.h"
#include "net/http_client.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kMessageBytesMax = std::size_t{8} << 20;
constexpr std::size_t kErrorBytesMax = std::size_t{64} << 10;
constexpr std::size_t kWholeBytesMax = std::size_t{16} << 20;
constexpr std::size_t kModelsBytesMax = std::size_t{4} << 20;
constexpr std::string_view kHelp =
    "/new           forget what was said\n"
    "/system TEXT   say how to answer, from the next message on; without TEXT: nothing\n"
    "/exit          end, as Ctrl-D does\n"
    "A backslash at the end of a line goes on with the next one. Ctrl-C stops an answer, which\n"
    "stays in the conversation as far as it came.\n";

/// Whether an answer comes in one piece although a stream was asked for, as some servers do it.
bool is_whole(const HttpHead& head) {
  return head.status == 200 && head.header("content-type").starts_with("application/json");
}

/// Beside the conversation: prompts, help, errors.
void say(std::string_view text) {
  write_all(STDERR_FILENO, text);
}

class Chat {
 public:
  Chat(ChatOptions options, std::string base)
      : options_(std::move(options)),
        base_(std::move(base)),
        client_("sluice", interrupts_.descriptor()),
        input_(STDIN_FILENO, interrupts_),
        shows_(::isatty(STDOUT_FILENO) == 1) {
    history_.set_system(options_.system);
  }

  Result<void> run() {
    if (Result<void> chosen = choose_model(); !chosen) return chosen;
    return ::isatty(STDIN_FILENO) == 1 ? converse() : answer_input();
  }

 private:
  [[nodiscard]] HttpCall call(const std::string& path) const {
    HttpCall call;
    call.url = base_ + path;
    call.token = options_.api_key;
    call.stall_timeout = options_.stall_timeout;
    return call;
  }

  /// What went wrong on the way to the server, in the words of whoever sits here.
  [[nodiscard]] Error explained(const Error& error) const {
    if (error.code != ErrorCode::not_found) return error;
    return {ErrorCode::unavailable, error.message + "; is a server running there?"};
  }
  [[nodiscard]] static Error refusal(int status, std::string_view body) {
    return {ErrorCode::unavailable,
            "the server says: " + error_of_body(body) + " [HTTP " + std::to_string(status) + "]"};
  }

  Result<void> choose_model() {
    if (!options_.settings.model.empty()) return {};
    auto reply = client_.fetch(call("/v1/models"), kModelsBytesMax);
    if (!reply) return explained(reply.error());
    if (reply->first.status != 200) return refusal(reply->first.status, reply->second);
    auto names = model_names(reply->second);
    const std::string shown = shown_url(base_ + "/v1/models");
    if (!names) return Error{names.error().code, shown + ": " + names.error().message};
    if (names->empty()) return Error{ErrorCode::unavailable, shown + ": lists no model"};
    options_.settings.model = names->front();
    return {};
  }

  /// Asks for an answer to what was said and writes it as it comes. The answer, as far as it came,
  /// is part of the conversation afterwards. Errors: cancelled and all others.
  Result<void> answer() {
    HttpCall post = call("/v1/chat/completions");
    post.method = HttpCall::Method::post;
    post.body = chat_request_json(history_, options_.settings);
    post.headers = {{"Accept", "text/event-stream"}};
    ChatAnswer answer;
    TerminalText terminal;
    std::string refused;
    std::string whole;
    std::size_t shown = 0;
    auto show = [&]() -> Result<void> {
      const std::string_view news = std::string_view(answer.text()).substr(shown);
      shown = answer.text().size();
      if (write_all(STDOUT_FILENO, shows_ ? terminal.take(news) : std::string(news))) return {};
      return Error{ErrorCode::data_loss, "standard output: " + std::string(std::strerror(errno))};
    };
    auto sink = [&](const HttpHead& head, std::string_view piece) -> Result<void> {
      if (head.status != 200) {
        refused += piece.substr(0, kErrorBytesMax - std::min(kErrorBytesMax, refused.size()));
        return {};
      }
      if (is_whole(head)) {
        if (whole.size() + piece.size() > kWholeBytesMax)
          return Error{ErrorCode::resource_exhausted, "the answer is longer than 16 MiB"};
        whole += piece;
        return {};
      }
      Result<void> taken = answer.take(piece);
      if (Result<void> written = show(); !written) return written;
      // Nothing else is waited for: some servers keep the connection open.
      if (taken && answer.is_done()) return Error{ErrorCode::cancelled, "the answer is complete"};
      return taken;
    };
    Result<HttpHead> head = client_.run(post, sink);
    Result<void> taken;
    if (head && is_whole(*head)) {
      taken = answer.take_whole(whole);
      if (taken) taken = show();
    }
    write_all(STDOUT_FILENO, terminal.finish());
    if (shows_ || (!answer.text().empty() && !answer.text().ends_with('\n')))
      write_all(STDOUT_FILENO, "\n");
    history_.answer(answer.text());
    if (!head && !answer.is_done()) return explained(head.error());
    if (head && head->status != 200) return refusal(head->status, refused);
    if (!taken) return taken;
    if (Result<void> complete = answer.end(); !complete) return complete;
    if (answer.finish_reason() == "length") say("(cut: the answer has reached its token limit)\n");
    return {};
  }

  Result<void> answer_input() {
    Result<std::string> message = input_.rest(kMessageBytesMax);
    if (!message) return message.error();
    if (message->find_first_not_of(" \t\r\n") == std::string::npos)
      return Error{ErrorCode::invalid_argument, "standard input has no message"};
    history_.ask(std::move(*message));
    return answer();
  }

  Result<void> converse() {
    say(shown_line(options_.settings.model) + " at " + shown_url(base_) +
        "; /help lists the commands, Ctrl-D ends\n");
    ChatInputReader reader;
    bool was_interrupted = false;
    for (;;) {
      say(reader.continues() ? "... " : "> ");
      Result<std::optional<std::string>> line = input_.line();
      if (!line && line.error().code != ErrorCode::cancelled) return line.error();
      if (!line) {  // Ctrl-C; one that was meant for an answer may come a moment late
        if (interrupts_.take() == SIGTERM || was_interrupted) {
          say("\n");
          return line.error();
        }
        was_interrupted = true;
        reader = {};
        say("\n(Ctrl-D ends, and so does a second Ctrl-C)\n");
        continue;
      }
      was_interrupted = false;
      if (!*line) {
        say("\n");
        return {};
      }
      const auto input = reader.take_line(**line);
      if (!input) continue;
      if (input->kind == ChatInput::Kind::exit) return {};
      if (input->kind != ChatInput::Kind::message) {
        obey(*input);
        continue;
      }
      history_.ask(input->text);
      if (Result<void> said = answer(); !said) {
        if (said.error().code != ErrorCode::cancelled) {
          say("sluice: " + said.error().message + "\n");
        } else if (interrupts_.take() == SIGTERM) {
          return said;
        } else {
          say("(stopped)\n");
        }
      }
    }
  }

  void obey(const ChatInput& command) {
    switch (command.kind) {
      case ChatInput::Kind::forget:
        history_.forget();
        return say("(forgotten)\n");
      case ChatInput::Kind::system:
        history_.set_system(command.text);
        return say(command.text.empty() ? "(no system message)\n" : "(noted)\n");
      case ChatInput::Kind::help:
        return say(kHelp);
      default:
        return say("unknown command " + shown_line(command.text, 40) +
                   "; a message that begins with a slash needs a space before it; /help lists the "
                   "commands\n");
    }
  }

  Interrupts interrupts_;
  ChatOptions options_;
  std::string base_;
  HttpClient client_;
  LineReader input_;
  bool shows_;  // the output is a terminal
  ChatHistory history_;
};

}  // namespace

Result<std::string> chat_base_url(const std::string& url) {
  std::string base = url;
  auto drop = [&base](std::string_view end) {
    while (base.ends_with(end))
      base.resize(base.size() - end.size());
  };
  drop("/");
  drop("/v1");
  drop("/");
  if (base.starts_with("http://") || base.starts_with("https://")) return base;
  return Error{ErrorCode::invalid_argument,
               shown_line(url, 100) + " is no URL such as http://127.0.0.1:8000"};
}

Result<void> chat(const ChatOptions& options) {
  Result<std::string> base = chat_base_url(options.url);
  if (!base) return base.error();
  return Chat(options, std::move(*base)).run();
}

}  // namespace sluice
