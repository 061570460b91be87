#include "net/http_client.h"

#include "base/utf8.h"
#include "net/ascii.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

namespace sluice {
namespace {

constexpr int kRedirectsMax = 10;
constexpr std::size_t kHeaderBytesMax = 256 << 10;
constexpr int kPollMs = 1000;

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlDeleter>;

/// Null where the text is no URL of http or https.
Url parse_url(const std::string& text) {
  Url url(curl_url());
  if (!url || curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return nullptr;
  return url;
}

/// A part of the URL, or nothing.
std::string part(const Url& url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url.get(), which, &text, flags) != CURLUE_OK) return "";
  std::string copy(text);
  curl_free(text);
  return copy;
}

std::string scheme_of(const Url& url) {
  return part(url, CURLUPART_SCHEME);
}

std::string origin_of(const Url& url) {
  std::string host = part(url, CURLUPART_HOST);
  std::transform(host.begin(), host.end(), host.begin(), ascii::lower);
  return scheme_of(url) + "://" + host + ":" + part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
}

bool is_web(const Url& url) {
  return scheme_of(url) == "http" || scheme_of(url) == "https";
}

bool is_field_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), ascii::is_field_value);
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/// libcurl wants to be set up once, before there are threads that use it.
bool set_up() {
  static const bool done = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return done;
}

/// Whoever refused the connection is named in curl's own words alone: it may be a proxy.
Error nothing_answers(std::string host, const std::string& port, const std::string& detail) {
  const std::string place = host + ":" + port;
  std::erase_if(host, [](char c) { return c == '[' || c == ']'; });
  if (detail.empty() || detail.find(host + " port " + port) != std::string::npos)
    return {ErrorCode::not_found, "nothing answers at " + place};
  return {ErrorCode::unavailable, "the proxy for " + place + " does not answer: " + detail};
}

}  // namespace

/// One request and its answer, while it runs.
struct HttpClient::Transfer {
  Transfer(const HttpCall& call_, const Url& url_, const HttpBodySink& sink_, CURL* easy_)
      : call(call_), url(url_), sink(sink_), easy(easy_) {}
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  ~Transfer() { curl_slist_free_all(headers); }

  bool add_header(const std::string& line) {
    curl_slist* longer = curl_slist_append(headers, line.c_str());
    if (longer != nullptr) headers = longer;
    return longer != nullptr;
  }

  const HttpCall& call;
  const Url& url;
  const HttpBodySink& sink;
  CURL* easy;
  HttpHead head;
  std::size_t header_bytes = 0;
  std::optional<std::string> target;  ///< where the answer sends on to, if that is followed
  std::optional<Error> error;         ///< of ours, which ended the transfer
  std::optional<Error> sink_error;
  curl_slist* headers = nullptr;
  std::array<char, CURL_ERROR_SIZE> detail{};
};

class HttpClient::Impl {
 public:
  Impl(std::string agent, int cancel)
      : agent_(std::move(agent)),
        cancel_(cancel),
        easy_(set_up() ? curl_easy_init() : nullptr),
        multi_(easy_ != nullptr ? curl_multi_init() : nullptr) {}
  ~Impl() {
    curl_easy_cleanup(easy_);
    if (multi_ != nullptr) curl_multi_cleanup(multi_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<HttpHead> run(const HttpCall& call, const HttpBodySink& sink);

 private:
  /// One request; what it is redirected to stands in `transfer.target`.
  Result<void> exchange(Transfer& transfer, bool with_token);
  bool prepare(Transfer& transfer, bool with_token);
  CURLcode perform(Transfer& transfer);

  static void end_head(Transfer& transfer);
  static Error error_of(CURLcode code, const Transfer& transfer);
  static std::size_t take_header(char* data, std::size_t one, std::size_t size, void* transfer);
  static std::size_t take_body(char* data, std::size_t one, std::size_t size, void* transfer);

  std::string agent_;
  int cancel_;
  CURL* easy_;
  CURLM* multi_;
};

/// The head is complete: is it that of a redirect to follow?
void HttpClient::Impl::end_head(Transfer& transfer) {
  long status = 0;
  curl_easy_getinfo(transfer.easy, CURLINFO_RESPONSE_CODE, &status);
  transfer.head.status = static_cast<int>(status);
  const Redirects followed = transfer.call.redirects;
  const std::string_view location = transfer.head.header("location");
  if (followed == Redirects::none || !is_redirect(transfer.head.status) || location.empty()) return;
  const std::string from = part(transfer.url, CURLUPART_URL);
  Result<std::string> target = redirect_target(from, location);
  if (!target) {
    transfer.error = target.error();
  } else if (followed == Redirects::all || is_same_origin(from, *target)) {
    transfer.target = std::move(*target);
  }
}

std::size_t HttpClient::Impl::take_header(char* data,
                                          std::size_t /*one*/,
                                          std::size_t size,
                                          void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  std::string_view line(data, size);
  while (line.ends_with('\n') || line.ends_with('\r'))
    line.remove_suffix(1);
  transfer.header_bytes += size;
  if (transfer.header_bytes > kHeaderBytesMax) {
    transfer.error = {
        ErrorCode::data_loss,
        "answers with more than " + std::to_string(kHeaderBytesMax >> 10) + " KiB of headers"};
  } else if (line.starts_with("HTTP/")) {  // of an interim answer, or of the last one
    transfer.head.headers.clear();
  } else if (line.empty()) {
    end_head(transfer);
  } else if (const std::size_t colon = line.find(':'); colon != std::string_view::npos) {
    std::string name(line.substr(0, colon));
    std::transform(name.begin(), name.end(), name.begin(), ascii::lower);
    transfer.head.headers.emplace_back(std::move(name), ascii::trim(line.substr(colon + 1)));
  }
  return transfer.error ? 0 : size;
}

std::size_t HttpClient::Impl::take_body(char* data,
                                        std::size_t /*one*/,
                                        std::size_t size,
                                        void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  if (transfer.target) return size;  // the body of a redirect is for nobody
  if (Result<void> taken = transfer.sink(transfer.head, {data, size}); !taken)
    transfer.sink_error = taken.error();
  return transfer.sink_error ? 0 : size;
}

bool HttpClient::Impl::prepare(Transfer& transfer, bool with_token) {
  const HttpCall& call = transfer.call;
  curl_easy_reset(easy_);  // keeps the connections
  bool good = true;
  auto set = [&](CURLoption option, auto value) {
    good = good && curl_easy_setopt(easy_, option, value) == CURLE_OK;
  };
  set(CURLOPT_CURLU, transfer.url.get());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_USERAGENT, agent_.c_str());
  set(CURLOPT_ERRORBUFFER, transfer.detail.data());
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_QUICK_EXIT, 1L);  // does not wait for a resolver that hangs
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_HEADERFUNCTION, &take_header);
  set(CURLOPT_HEADERDATA, &transfer);
  set(CURLOPT_WRITEFUNCTION, &take_body);
  set(CURLOPT_WRITEDATA, &transfer);
  using std::chrono::duration_cast;
  set(CURLOPT_CONNECTTIMEOUT_MS,
      static_cast<long>(duration_cast<std::chrono::milliseconds>(call.connect_timeout).count()));
  if (call.stall_timeout > Duration::zero()) {
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME,
        static_cast<long>(duration_cast<std::chrono::seconds>(call.stall_timeout).count()));
  }
  const std::string range = std::to_string(call.offset) + "-";
  if (call.method == HttpCall::Method::head) set(CURLOPT_NOBODY, 1L);
  if (call.offset > 0) set(CURLOPT_RANGE, range.c_str());
  if (call.method == HttpCall::Method::post) {
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
    set(CURLOPT_POSTFIELDS, call.body.c_str());  // stays ours
    good = good && transfer.add_header("Content-Type: application/json");
    good = good && transfer.add_header("Expect:");  // and does not wait for a 100
  }
  if (with_token) good = good && transfer.add_header("Authorization: Bearer " + call.token);
  for (const auto& [name, value] : call.headers)
    good = good && transfer.add_header(name + ": " + value);
  set(CURLOPT_HTTPHEADER, transfer.headers);
  return good;
}

CURLcode HttpClient::Impl::perform(Transfer& transfer) {
  if (curl_multi_add_handle(multi_, easy_) != CURLM_OK) return CURLE_FAILED_INIT;
  std::optional<CURLcode> code;
  while (!code) {
    int running = 0;
    int waiting = 0;
    if (curl_multi_perform(multi_, &running) != CURLM_OK) code = CURLE_FAILED_INIT;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &waiting))
      if (message->msg == CURLMSG_DONE) code = message->data.result;
    if (code) break;
    curl_waitfd cancel{cancel_, CURL_WAIT_POLLIN, 0};
    if (curl_multi_poll(multi_, &cancel, cancel_ >= 0 ? 1 : 0, kPollMs, nullptr) != CURLM_OK)
      code = CURLE_FAILED_INIT;
    if (cancel.revents != 0) {
      transfer.error = {ErrorCode::cancelled, "given up"};
      code = CURLE_ABORTED_BY_CALLBACK;
    }
  }
  curl_multi_remove_handle(multi_, easy_);
  return *code;
}

Error HttpClient::Impl::error_of(CURLcode code, const Transfer& transfer) {
  const std::string host = part(transfer.url, CURLUPART_HOST);
  const std::string port = part(transfer.url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  const std::string place = host + ":" + port;
  auto seconds = [](Duration time) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(time).count()) + " s";
  };
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return {ErrorCode::not_found, "no host is known by the name " + host};
    case CURLE_COULDNT_RESOLVE_PROXY:
      return {ErrorCode::not_found, "no host is known by the name of the proxy"};
    case CURLE_COULDNT_CONNECT:
      return nothing_answers(host, port, transfer.detail.data());
    case CURLE_OPERATION_TIMEDOUT: {
      curl_off_t connected = 0;
      curl_easy_getinfo(transfer.easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
      return {ErrorCode::deadline_exceeded,
              connected > 0 ? "nothing more came for " + seconds(transfer.call.stall_timeout)
                            : "no connection to " + place + " within " +
                                  seconds(transfer.call.connect_timeout)};
    }
    case CURLE_GOT_NOTHING:
      return {ErrorCode::unavailable, "the connection was closed without an answer"};
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_HTTP2_STREAM:
      return {ErrorCode::unavailable, "the connection broke off"};
    case CURLE_SSL_CONNECT_ERROR:
      return {ErrorCode::unavailable,
              place +
                  " does not answer in TLS; if it speaks plain HTTP, the URL begins with "
                  "http:// (" +
                  transfer.detail.data() + ")"};
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return {ErrorCode::unavailable,
              "the certificate of " + host + " is not trusted: " + transfer.detail.data()};
    default: {
      std::string detail = transfer.detail.data();
      return {ErrorCode::unavailable, detail.empty() ? curl_easy_strerror(code) : detail};
    }
  }
}

Result<void> HttpClient::Impl::exchange(Transfer& transfer, bool with_token) {
  const std::string shown = shown_url(part(transfer.url, CURLUPART_URL));
  transfer.head.url = shown;
  if (!prepare(transfer, with_token))
    return Error{ErrorCode::internal, shown + ": libcurl refuses the request"};
  const CURLcode code = perform(transfer);
  curl_easy_setopt(easy_, CURLOPT_ERRORBUFFER, nullptr);
  if (transfer.sink_error) return *transfer.sink_error;
  if (!transfer.error && code != CURLE_OK) transfer.error = error_of(code, transfer);
  if (transfer.error) return Error{transfer.error->code, shown + ": " + transfer.error->message};
  return {};
}

Result<HttpHead> HttpClient::Impl::run(const HttpCall& call, const HttpBodySink& sink) {
  if (multi_ == nullptr) return Error{ErrorCode::internal, "libcurl cannot be set up"};
  Url url = parse_url(call.url);
  if (!url || !is_web(url))
    return Error{ErrorCode::invalid_argument,
                 shown_url(call.url) + ": is no URL such as https://example.com"};
  bool sendable = is_field_value(call.token) && is_field_value(agent_);
  for (const auto& [name, value] : call.headers)
    sendable = sendable && !name.empty() && is_field_value(value) &&
               std::all_of(name.begin(), name.end(), ascii::is_token);
  if (!sendable)
    return Error{ErrorCode::invalid_argument,
                 shown_url(call.url) + ": a header or the token has control characters"};
  std::string at = call.url;
  for (int hops = 0; hops <= kRedirectsMax; ++hops) {
    Transfer transfer(call, url, sink, easy_);
    const bool with_token = !call.token.empty() && is_same_origin(at, call.url);
    if (Result<void> done = exchange(transfer, with_token); !done) return done.error();
    if (!transfer.target) return std::move(transfer.head);
    at = *transfer.target;
    url = parse_url(at);
  }
  return Error{
      ErrorCode::data_loss,
      shown_url(call.url) + ": sends on more than " + std::to_string(kRedirectsMax) + " times"};
}

HttpClient::HttpClient(std::string agent, int cancel)
    : impl_(std::make_unique<Impl>(std::move(agent), cancel)) {}
HttpClient::~HttpClient() = default;

Result<HttpHead> HttpClient::run(const HttpCall& call, const HttpBodySink& sink) {
  return impl_->run(call, sink);
}

Result<std::pair<HttpHead, std::string>> HttpClient::fetch(const HttpCall& call,
                                                           std::size_t bytes_max) {
  std::string body;
  Result<HttpHead> head =
      run(call, [&](const HttpHead& from, std::string_view piece) -> Result<void> {
        if (piece.size() > bytes_max - body.size())
          return Error{
              ErrorCode::resource_exhausted,
              from.url + ": answers with more than " + std::to_string(bytes_max) + " bytes"};
        body += piece;
        return {};
      });
  if (!head) return head.error();
  return std::pair(std::move(*head), std::move(body));
}

std::string_view HttpHead::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return value;
  return {};
}

bool is_same_origin(const std::string& a, const std::string& b) {
  const Url one = parse_url(a);
  const Url other = parse_url(b);
  return one && other && origin_of(one) == origin_of(other);
}

Result<std::string> redirect_target(const std::string& from, std::string_view location) {
  const Url url = parse_url(from);
  const std::string relative(location);
  if (!url || curl_url_set(url.get(), CURLUPART_URL, relative.c_str(), 0) != CURLUE_OK ||
      !is_web(url))
    return Error{ErrorCode::data_loss,
                 "sends on to \"" + shown_url(relative) + "\", which is no address of the web"};
  std::string target = part(url, CURLUPART_URL);
  if (scheme_of(parse_url(from)) == "https" && scheme_of(url) == "http")
    return Error{ErrorCode::data_loss,
                 "sends on from https to " + shown_url(target) + ", which is not encrypted"};
  return target;
}

std::string shown_url(const std::string& text) {
  Url url = parse_url(text);
  if (url) {
    for (CURLUPart secret :
         {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_QUERY, CURLUPART_FRAGMENT})
      curl_url_set(url.get(), secret, nullptr, 0);
  }
  std::string shown = url ? part(url, CURLUPART_URL) : text;
  // A host alone was not written with the slash that libcurl puts behind it.
  const std::string_view written = std::string_view(text).substr(0, text.find_first_of("?#"));
  if (url && part(url, CURLUPART_PATH) == "/" && !written.ends_with('/')) shown.pop_back();
  return excerpt(shown, 200);
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (ascii::is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    }
  }
  return out;
}

std::optional<ContentRange> parse_content_range(std::string_view text) {
  if (!text.starts_with("bytes ")) return std::nullopt;
  text.remove_prefix(6);
  auto number = [&text]() -> std::optional<std::uint64_t> {
    std::uint64_t value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return value;
  };
  auto skip = [&text](char c) {
    const bool there = text.starts_with(c);
    if (there) text.remove_prefix(1);
    return there;
  };
  ContentRange range;
  const auto first = number();
  if (!first || !skip('-')) return std::nullopt;
  const auto last = number();
  if (!last || *last < *first || !skip('/')) return std::nullopt;
  range.first = *first;
  if (text == "*") return range;
  range.size = number();
  if (!range.size || !text.empty() || *range.size <= *last) return std::nullopt;
  return range;
}

}  // namespace sluice
