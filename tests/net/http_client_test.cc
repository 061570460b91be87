#include "net/http_client.h"

#include "net/digest.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>

namespace sluice {
namespace {

/// A server that answers one connection after the other with prepared bytes, then closes it; what
/// it was asked stands in `requests`.
class ScriptedPeer {
 public:
  explicit ScriptedPeer(std::vector<std::string> answers) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(socket_, 8), 0);
    EXPECT_EQ(::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, answers = std::move(answers)] {
      for (const std::string& answer : answers)
        serve(answer);
    });
  }
  ~ScriptedPeer() { end(); }

  /// Waits until all answers are given.
  const std::vector<std::string>& end() {
    if (thread_.joinable()) {
      ::shutdown(socket_, SHUT_RDWR);  // lets an accept go that nobody needs any more
      thread_.join();
      ::close(socket_);
    }
    return requests_;
  }
  [[nodiscard]] std::string url(const std::string& path = "/") const {
    return "http://127.0.0.1:" + std::to_string(port_) + path;
  }

 private:
  void serve(const std::string& answer) {
    const int client = ::accept(socket_, nullptr, nullptr);
    if (client < 0) return;
    std::string request;
    std::array<char, 4096> piece{};
    while (!is_whole(request)) {
      const ssize_t size = ::read(client, piece.data(), piece.size());
      if (size <= 0) break;
      request.append(piece.data(), static_cast<std::size_t>(size));
    }
    requests_.push_back(request);
    EXPECT_EQ(::send(client, answer.data(), answer.size(), MSG_NOSIGNAL), std::ssize(answer));
    // An answer without end stays open until the client leaves.
    if (answer.find("X-Endless") != std::string::npos) {
      while (::read(client, piece.data(), piece.size()) > 0) {
      }
    }
    ::close(client);
  }
  static bool is_whole(const std::string& request) {
    const std::size_t head = request.find("\r\n\r\n");
    if (head == std::string::npos) return false;
    const std::size_t length = request.find("Content-Length: ");
    return length == std::string::npos ||
           request.size() >= head + 4 + std::stoul(request.substr(length + 16));
  }

  int socket_ = -1;
  std::uint16_t port_ = 0;
  std::thread thread_;
  std::vector<std::string> requests_;
};

std::string answer(const std::string& status, const std::string& fields, const std::string& body) {
  return "HTTP/1.1 " + status + "\r\nConnection: close\r\n" + fields +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string redirect(const std::string& location) {
  return answer("302 Found", "Location: " + location + "\r\n", "a body for nobody");
}

HttpCall get(const std::string& url, Redirects redirects = Redirects::none) {
  HttpCall call;
  call.url = url;
  call.redirects = redirects;
  return call;
}

bool contains(const std::string& text, const std::string& what) {
  return text.find(what) != std::string::npos;
}

TEST(HttpClient, GivesStatusHeadersAndBody) {
  ScriptedPeer peer({answer("404 Not Found", "X-Error-Code: RepoNotFound\r\n", "nothing here")});
  HttpClient client("sluice/test", -1);

  auto reply = client.fetch(get(peer.url("/a?b=c")), 100);

  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->first.status, 404);
  EXPECT_EQ(reply->first.header("x-error-code"), "RepoNotFound");
  EXPECT_EQ(reply->first.url, peer.url("/a"));
  EXPECT_EQ(reply->second, "nothing here");
  const std::string& asked = peer.end().at(0);
  EXPECT_TRUE(asked.starts_with("GET /a?b=c HTTP/1.1\r\n")) << asked;
  EXPECT_TRUE(contains(asked, "User-Agent: sluice/test\r\n")) << asked;
  EXPECT_FALSE(contains(asked, "Authorization")) << asked;
}

TEST(HttpClient, AsksForTheRestOfAFile) {
  ScriptedPeer peer({answer("206 Partial Content", "Content-Range: bytes 5-9/10\r\n", "56789")});
  HttpClient client("t", -1);
  HttpCall call = get(peer.url());
  call.offset = 5;

  auto reply = client.fetch(call, 100);

  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->first.status, 206);
  EXPECT_TRUE(contains(peer.end().at(0), "Range: bytes=5-\r\n"));
}

TEST(HttpClient, AsksForHeadsAlone) {
  ScriptedPeer peer({"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n"});
  HttpClient client("t", -1);
  HttpCall call = get(peer.url());
  call.method = HttpCall::Method::head;

  auto reply = client.fetch(call, 0);

  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->first.header("content-length"), "1000");
  EXPECT_TRUE(peer.end().at(0).starts_with("HEAD / "));
}

TEST(HttpClient, PostsJsonAndStreamsTheAnswer) {
  ScriptedPeer peer(
      {"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
       "5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"});
  HttpClient client("t", -1);
  HttpCall call = get(peer.url());
  call.method = HttpCall::Method::post;
  call.body = R"({"stream":true})";
  call.token = "secret";
  std::string text;

  auto head = client.run(call, [&](const HttpHead& from, std::string_view piece) -> Result<void> {
    EXPECT_EQ(from.status, 200);
    text += piece;
    return {};
  });

  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(text, "firstsecond");
  const std::string& asked = peer.end().at(0);
  EXPECT_TRUE(contains(asked, "Content-Type: application/json\r\n")) << asked;
  EXPECT_TRUE(contains(asked, "Authorization: Bearer secret\r\n")) << asked;
  EXPECT_FALSE(contains(asked, "Expect:")) << asked;
  EXPECT_TRUE(asked.ends_with("\r\n\r\n{\"stream\":true}")) << asked;
}

TEST(HttpClient, KeepsTheTokenFromOtherHosts) {
  ScriptedPeer storage({answer("200 OK", "", "data")});
  ScriptedPeer hub({redirect("/b"), redirect(storage.url("/blob"))});
  HttpClient client("t", -1);
  HttpCall call = get(hub.url("/a"), Redirects::all);
  call.token = "secret";

  auto reply = client.fetch(call, 100);

  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->second, "data");
  EXPECT_EQ(reply->first.url, storage.url("/blob"));
  EXPECT_TRUE(contains(hub.end().at(0), "Bearer secret"));
  EXPECT_TRUE(contains(hub.end().at(1), "Bearer secret"));
  EXPECT_FALSE(contains(storage.end().at(0), "secret")) << storage.end().at(0);
}

TEST(HttpClient, StopsAtTheRedirectThatLeavesTheOrigin) {
  ScriptedPeer hub({redirect("/b"), redirect("http://storage.invalid/blob")});
  HttpClient client("t", -1);

  auto reply = client.fetch(get(hub.url(), Redirects::same_origin), 100);

  ASSERT_TRUE(reply) << reply.error().message;
  EXPECT_EQ(reply->first.status, 302);
  EXPECT_EQ(reply->first.header("location"), "http://storage.invalid/blob");
}

TEST(HttpClient, EndsRedirectsThatGoInACircle) {
  ScriptedPeer peer(std::vector<std::string>(11, redirect("/again")));
  HttpClient client("t", -1);

  auto reply = client.fetch(get(peer.url(), Redirects::all), 100);

  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::data_loss);
  EXPECT_EQ(reply.error().message, peer.url() + ": sends on more than 10 times");
  EXPECT_EQ(peer.end().size(), 11U);
}

TEST(HttpClient, FollowsRedirectsToTheWebOnlyAndNeverOutOfEncryption) {
  const std::string secure = "https://hub.example/a";
  EXPECT_EQ(*redirect_target(secure, "/b?c"), "https://hub.example/b?c");
  EXPECT_EQ(*redirect_target(secure, "https://x.example:8/y"), "https://x.example:8/y");
  EXPECT_EQ(*redirect_target("http://h.example/", "https://h.example/"), "https://h.example/");
  EXPECT_FALSE(redirect_target(secure, "http://hub.example/b"));
  EXPECT_FALSE(redirect_target(secure, "file:///etc/passwd"));
  EXPECT_FALSE(redirect_target(secure, "ftp://hub.example/"));
  EXPECT_TRUE(is_same_origin("https://A.example/x", "https://a.example:443/y"));
  EXPECT_FALSE(is_same_origin("https://a.example", "http://a.example"));
  EXPECT_FALSE(is_same_origin("https://a.example", "https://a.example:444"));
  EXPECT_FALSE(is_same_origin("https://a.example", "https://b.example"));
  EXPECT_FALSE(is_same_origin("nonsense", "nonsense"));
}

TEST(HttpClient, SaysThatNothingAnswers) {
  std::string url;
  {
    ScriptedPeer gone({});
    url = gone.url();
  }
  HttpClient client("t", -1);

  auto reply = client.fetch(get(url + "?secret=1"), 100);

  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.error().code, ErrorCode::not_found);
  EXPECT_TRUE(reply.error().message.starts_with(url + ": nothing answers at 127.0.0.1:"))
      << reply.error().message;
  EXPECT_FALSE(contains(reply.error().message, "secret"));
}

TEST(HttpClient, SaysThatTheConnectionBrokeOff) {
  ScriptedPeer peer({"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this", ""});
  HttpClient client("t", -1);
  std::string text;

  auto head = client.run(get(peer.url()), [&](const HttpHead&, std::string_view piece) {
    text += piece;
    return Result<void>();
  });
  auto empty = client.fetch(get(peer.url()), 100);

  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().code, ErrorCode::unavailable);
  EXPECT_EQ(head.error().message, peer.url() + ": the connection broke off");
  EXPECT_EQ(text, "only this");
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().message, peer.url() + ": the connection was closed without an answer");
}

TEST(HttpClient, IsGivenUpWhenTheDescriptorSaysSo) {
  ScriptedPeer peer({"HTTP/1.1 200 OK\r\nX-Endless: 1\r\nContent-Length: 100\r\n\r\nhello"});
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  HttpClient client("t", ends[0]);
  std::string text;

  auto head = client.run(get(peer.url()), [&](const HttpHead&, std::string_view piece) {
    text += piece;
    EXPECT_EQ(::write(ends[1], "x", 1), 1);
    return Result<void>();
  });

  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().code, ErrorCode::cancelled);
  EXPECT_EQ(text, "hello");
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(HttpClient, ReturnsTheErrorOfWhoeverTakesTheBody) {
  ScriptedPeer peer({answer("200 OK", "", "hello")});
  HttpClient client("t", -1);

  auto head = client.run(get(peer.url()), [](const HttpHead&, std::string_view) -> Result<void> {
    return Error{ErrorCode::resource_exhausted, "the disk is full"};
  });

  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().code, ErrorCode::resource_exhausted);
  EXPECT_EQ(head.error().message, "the disk is full");
}

TEST(HttpClient, BoundsBodiesAndHeaders) {
  std::string fields;
  for (int i = 0; i < 300; ++i)
    fields += "X-" + std::to_string(i) + ": " + std::string(1000, 'x') + "\r\n";
  ScriptedPeer peer({answer("200 OK", "", "six by"), answer("200 OK", fields, "")});
  HttpClient client("t", -1);

  auto body = client.fetch(get(peer.url()), 5);
  auto head = client.fetch(get(peer.url()), 5);

  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().code, ErrorCode::resource_exhausted);
  ASSERT_FALSE(head);
  EXPECT_EQ(head.error().code, ErrorCode::data_loss) << head.error().message;
}

TEST(HttpClient, RefusesWhatCannotBeSent) {
  HttpClient client("t", -1);
  HttpCall smuggling = get("http://127.0.0.1:1/");
  smuggling.token = "x\r\nHost: other";

  EXPECT_EQ(client.fetch(smuggling, 1).error().code, ErrorCode::invalid_argument);
  for (const char* url : {"", "nonsense", "file:///etc/passwd", "ftp://h.example/", "http://"})
    EXPECT_EQ(client.fetch(get(url), 1).error().code, ErrorCode::invalid_argument) << url;
}

TEST(HttpClient, ShowsUrlsWithoutTheirSecrets) {
  EXPECT_EQ(shown_url("https://user:pass@h.example/a?signature=x#y"), "https://h.example/a");
  EXPECT_EQ(shown_url("http://h.example:8000"), "http://h.example:8000");
  EXPECT_EQ(shown_url("http://h.example/"), "http://h.example/");
  EXPECT_EQ(shown_url("http://h.example?token=x"), "http://h.example");
  EXPECT_EQ(shown_url("http://h.example/?token=x"), "http://h.example/");
  EXPECT_EQ(shown_url("no url"), "no url");
}

TEST(HttpClient, EncodesNamesForUrls) {
  EXPECT_EQ(percent_encoded("refs/pr/1 \xC3\xA4-._~Z"), "refs%2Fpr%2F1%20%C3%A4-._~Z");
}

TEST(ContentRange, IsReadStrictly) {
  auto range = parse_content_range("bytes 100-199/200");
  ASSERT_TRUE(range);
  EXPECT_EQ(range->first, 100U);
  EXPECT_EQ(range->size, 200U);
  EXPECT_FALSE(parse_content_range("bytes 0-1/*")->size);
  for (const char* text : {"",
                           "bytes */200",
                           "bytes 5-4/9",
                           "bytes 0-9/9",
                           "items 0-1/2",
                           "bytes 0-1/2x",
                           "bytes -1-2/3",
                           "bytes 0-99999999999999999999/9"})
    EXPECT_FALSE(parse_content_range(text)) << text;
}

TEST(ContentDigest, NamesBytesThatComeInPieces) {
  ContentDigest sha256 = ContentDigest::sha256();
  sha256.add("a");
  sha256.add("bc");  // FIPS 180-2, appendix B.1
  EXPECT_EQ(sha256.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  ContentDigest blob = ContentDigest::git_blob(13);
  blob.add("hello ");
  blob.add("world!\n");  // echo 'hello world!' | git hash-object --stdin
  EXPECT_EQ(blob.hex(), "a0423896973644771497bdc03eb99d5281615b51");
}

}  // namespace
}  // namespace sluice
