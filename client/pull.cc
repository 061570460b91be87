#include "client/pull.h"

#include "client/blob_download.h"
#include "client/chat_answer.h"
#include "client/download_progress.h"
#include "client/hub_cache.h"
#include "client/hub_files.h"
#include "client/hub_spec.h"
#include "client/interrupts.h"
#include "client/terminal_text.h"
#include "net/http_client.h"

#include <sys/statvfs.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kListingBytesMax = std::size_t{64} << 20;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// One pull, step by step.
class Pull {
 public:
  Pull(const PullOptions& options, HubSpec spec, HubPlaces places)
      : options_(options),
        spec_(std::move(spec)),
        places_(std::move(places)),
        client_("sluice", interrupts_.descriptor()),
        cache_(places_.cache, spec_) {}

  Result<std::string> run() {
    Result<HubListing> listing = fetch_listing();
    if (!listing) return listing.error();
    commit_ = listing->commit;
    Result<HubChoice> choice = choose_files(listing->files, spec_, options_.include);
    if (!choice) return choice.error();
    for (HubFile& file : choice->files)
      if (Result<void> known = complete_description(file); !known) return known.error();
    std::vector<HubFile> missing;
    std::uint64_t total = 0;
    for (const HubFile& file : choice->files) {
      if (is_complete(file, place(file), interrupts_)) continue;
      missing.push_back(file);
      total += *file.size;  // at most 100,000 of kHubFileBytesMax fit
    }
    if (Result<void> fits = check_space(missing); !fits) return fits.error();
    DownloadProgress progress(clock_, total);
    for (const HubFile& file : missing)
      if (Result<void> done = obtain(file, progress); !done) return done.error();
    if (options_.to.empty()) {
      for (const HubFile& file : choice->files)
        if (Result<void> made = cache_.link(commit_, file.name, file.digest); !made)
          return made.error();
      if (Result<void> set = cache_.set_revision(spec_.revision, commit_); !set) return set.error();
    }
    const std::string folder = options_.to.empty() ? cache_.snapshot(commit_) : options_.to;
    return choice->is_gguf ? folder + "/" + choice->files.front().name : folder;
  }

 private:
  [[nodiscard]] HttpCall call(const std::string& path) const {
    HttpCall call;
    call.url = places_.endpoint + path;
    call.token = places_.token;
    call.redirects = Redirects::all;
    call.stall_timeout = options_.stall_timeout;
    return call;
  }
  [[nodiscard]] HttpCall file_call(const HubFile& file) const {
    std::string path = "/" + spec_.id() + "/resolve/" + commit_;
    std::size_t at = 0;
    while (at <= file.name.size()) {
      const std::size_t end = std::min(file.name.find('/', at), file.name.size());
      path += "/" + percent_encoded(file.name.substr(at, end - at));
      at = end + 1;
    }
    return call(path);
  }

  Result<HubListing> fetch_listing() {
    const HttpCall get = call("/api/models/" + spec_.id() + "/revision/" +
                              percent_encoded(spec_.revision) + "?blobs=true");
    auto reply = client_.fetch(get, kListingBytesMax);
    if (!reply) return reply.error();
    if (reply->first.status != 200) return refusal(reply->first, reply->second);
    Result<HubListing> listing = parse_hub_listing(reply->second);
    if (!listing)
      return Error{listing.error().code, reply->first.url + ": " + listing.error().message};
    return listing;
  }

  /// Asks for the size and digest of a file where the listing does not say them.
  Result<void> complete_description(HubFile& file) {
    if (file.size) return {};
    HttpCall head = file_call(file);
    head.method = HttpCall::Method::head;
    head.redirects = Redirects::same_origin;  // the storage knows neither
    auto reply = client_.fetch(head, 0);
    if (!reply) return reply.error();
    if (reply->first.status >= 400) return refusal(reply->first, "");
    const bool is_linked = !reply->first.header("x-linked-etag").empty();
    file.digest = digest_of_etag(reply->first.header(is_linked ? "x-linked-etag" : "etag"));
    const auto size = reply->first.header(is_linked ? "x-linked-size" : "content-length");
    std::uint64_t bytes = 0;
    const auto [end, failed] = std::from_chars(size.data(), size.data() + size.size(), bytes);
    const bool is_size = failed == std::errc() && end == size.data() + size.size() &&
                         !size.empty() && bytes <= kHubFileBytesMax;
    if (file.digest.empty() || !is_size)
      return Error{ErrorCode::data_loss,
                   reply->first.url +
                       ": the hub says no size and digest of the file, by which it "
                       "could be checked"};
    file.size = bytes;
    return {};
  }

  [[nodiscard]] BlobPlace place(const HubFile& file) const {
    return options_.to.empty() ? cache_.blob(file.digest)
                               : place_in_folder(options_.to, file.name, file.digest);
  }

  Result<void> check_space(const std::vector<HubFile>& files) {
    std::uint64_t missing = 0;
    for (const HubFile& file : files)
      missing += *file.size - partial_bytes(file, place(file));
    const std::string folder = options_.to.empty() ? places_.cache : options_.to;
    if (Result<void> made = make_parent(folder + "/x"); !made) return made;
    struct statvfs disk {};
    if (::statvfs(folder.c_str(), &disk) != 0) return {};  // the disk itself will say no
    const std::uint64_t free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
    if (missing <= free) return {};
    return Error{ErrorCode::resource_exhausted,
                 folder + ": " + bytes_text(missing) + " are to come, but only " +
                     bytes_text(free) + " are free; make room, or choose another disk by " +
                     (options_.to.empty() ? "HF_HUB_CACHE" : "--to")};
  }

  Result<void> obtain(const HubFile& file, DownloadProgress& progress) {
    const DownloadTools tools{
        client_,
        interrupts_,
        progress,
        options_.retries,
        [this](const HttpHead& head, const std::string& body) { return refusal(head, body); }};
    return download(file, place(file), file_call(file), tools);
  }

  /// What the hub's "no" means here.
  [[nodiscard]] Error refusal(const HttpHead& head, const std::string& body) const {
    const std::string page = shown_url(places_.endpoint + "/" + spec_.id());
    const std::string token = "give a token by HF_TOKEN or in " + places_.token_file;
    const bool has_token = !places_.token.empty();
    const std::string_view reason = head.header("x-error-code");
    if (reason == "GatedRepo" || (head.status == 403 && reason.empty()))
      return {ErrorCode::not_found,
              spec_.id() + " is gated: accept its terms at " + page +
                  (has_token ? " with the account of the token that was sent" : ", and " + token)};
    if (reason == "RevisionNotFound")
      return {ErrorCode::not_found,
              spec_.id() + " has no revision " + spec_.revision + "; see " + page};
    if (head.status == 401 || (head.status == 404 && reason == "RepoNotFound"))
      return {
          ErrorCode::not_found,
          "the hub shows no model " + spec_.id() + ": the name is wrong, or it is private" +
              (has_token ? " and the token that was sent does not open it" : "; if so, " + token)};
    std::string message = std::string(head.header("x-error-message"));
    message = message.empty() ? error_of_body(body) : shown_line(message);
    return {
        head.status >= 500 || head.status == 429 ? ErrorCode::unavailable : ErrorCode::data_loss,
        head.url + ": HTTP " + std::to_string(head.status) + ": " + message};
  }

  const PullOptions& options_;
  HubSpec spec_;
  HubPlaces places_;
  Interrupts interrupts_;
  SystemClock clock_;
  HttpClient client_;
  CacheFolder cache_;
  std::string commit_;
};

}  // namespace

Result<std::string> pull(const PullOptions& options) {
  Result<HubSpec> spec = parse_hub_spec(options.model);
  if (!spec) return spec.error();
  Result<HubPlaces> places = hub_places(environment);
  if (!places) return places.error();
  return Pull(options, std::move(*spec), std::move(*places)).run();
}

}  // namespace sluice
