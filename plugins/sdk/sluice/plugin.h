/* The plugin interface in C11, so that neither compiler nor standard library has to match. START
 * HERE.
 *
 * A plugin is a shared library that exports two functions. The host calls `sluice_plugin_abi`
 * first, and nothing else if the answer does not fit: the majors must be equal, and the plugin's
 * minor must not be above the host's. Then it reads the table that `sluice_plugin_get` returns,
 * checks the manifest in it, and makes one instance for each configured plugin by `create`.
 *
 * Rules that hold everywhere:
 *
 * - Structs begin with their size and are only appended to. A member that lies beyond the size the
 *   other side gave counts as NULL, and a plugin looks at `struct_size` before it uses a member of
 *   `sluice_host_api` that came with a later minor version than the one it needs.
 * - Strings are UTF-8 without a terminating zero, and may contain zeros. Where a comment says
 * bytes, they may be any. Whoever receives a string copies what it wants to keep for longer than
 * said.
 * - Memory is freed by the side that allocated it, and no exception crosses in either direction.
 * - With "threading": "serialized" in the manifest the host is in one function of an instance at a
 *   time, though not always on the same thread. With "concurrent" it may call the hooks of one
 *   instance from several threads at once; `create`, `reload` and `destroy` are always alone.
 * - Functions of the host may be called from any thread while the instance lives, unless their
 *   comment says otherwise, and never block for long. After `destroy` has returned they do nothing.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLUICE_PLUGIN_ABI_MAJOR 1
#define SLUICE_PLUGIN_ABI_MINOR 0
#define SLUICE_PLUGIN_ABI ((uint32_t)SLUICE_PLUGIN_ABI_MAJOR << 16 | SLUICE_PLUGIN_ABI_MINOR)

#define SLUICE_EXPORT __attribute__((visibility("default")))

/* A view of bytes that somebody else owns. */
typedef struct sluice_str {
  const char* ptr;
  uint64_t len;
} sluice_str;

/* The host's side of one instance. */
typedef struct sluice_host sluice_host;

/* One request at one hook: a number that no other call of the instance ever has, never 0. A call
 * begins when its hook is called and belongs to the plugin until the hook returns something else
 * than SLUICE_PENDING, or until `call_complete`. It belongs to the plugin even when it was
 * cancelled or its time is over: nobody waits then, but what `call_get` gave stays readable. */
typedef uint64_t sluice_call;

/* What a hook answers. A fixed width, because that of an enum is the compiler's choice. */
typedef int32_t sluice_status;
enum {
  SLUICE_OK = 0,      /* done; what `call_set` wrote takes effect */
  SLUICE_PENDING = 1, /* the answer follows by `call_complete` */
  SLUICE_SKIP = 2,    /* nothing to say: nothing is changed */
  SLUICE_REJECT = 3,  /* the request is refused; "detail", "code", "retry_after_ms" say why */
  SLUICE_ERROR = 4    /* the plugin failed, "detail" says how; its failure policy decides */
};

/* How loud a line of the log is. */
enum { SLUICE_LOG_DEBUG = 0, SLUICE_LOG_INFO = 1, SLUICE_LOG_WARNING = 2, SLUICE_LOG_ERROR = 3 };

/* The fields of a call, for `call_get` and `call_set`.
 *
 *   key             form                        read by                write by     permission
 *   --------------  --------------------------  ---------------------  -----------  ----------
 *   model           name                        every hook             route        -
 *   user            the client's word for it    every hook             -            -
 *   tenant          name                        every hook             -            -
 *   class           realtime, batch or low      every hook             admission    -
 *   deadline_ms     integer, ms left at the     every hook             -            -
 *                   begin of the call
 *   tokens_est      integer, prompt and answer  every hook             -            -
 *   stream          true or false               every hook             -            -
 *   request_id      printable ASCII             every hook             -            -
 *   header.<name>   lower-case name; its value  every hook             -            headers
 *   prompt          text                        every hook             preprocess   prompt
 *   messages_json   JSON array                  every hook             preprocess   prompt
 *   params_json     JSON object                 every hook             preprocess   prompt
 *   input           bytes, MessagePack          execute                -            prompt
 *   text            text: the delta of output,  output, postprocess    output,      output
 *                   the answer of postprocess                          postprocess
 *   cost            integer, in tokens          -                      admission    -
 *   worker          name                        -                      route        -
 *   stop            true: end the answer here   -                      output       -
 *   detail          text, one sentence          -                      every hook   -
 *   code            word of a-z, 0-9 and _      -                      every hook   -
 *   retry_after_ms  integer                     -                      every hook   -
 *
 * "Every hook" means those that take a call. A permission, named in the manifest, is needed to read
 * and to write. `call_get` gives a field as the hooks of earlier plugins left it, not what this
 * call wrote. Of a call that ends with REJECT or ERROR only detail, code and retry_after_ms count.
 */

/* What the host offers. The host owns it; it lives as long as the process. */
typedef struct sluice_host_api {
  uint32_t struct_size, abi_major, abi_minor, reserved;

  /* Writes a line to the server's log under the instance's name. Cut after 4096 bytes. */
  void (*log)(sluice_host*, int32_t level, sluice_str message);

  /* Reads a field. OK: `value` is valid as long as the call belongs to the plugin. SKIP: the call
   * has no such field. ERROR: the manifest has no permission, the hook has no such key, or the call
   * does not belong to the plugin (any more). */
  sluice_status (*call_get)(sluice_host*, sluice_call, sluice_str key, sluice_str* value);

  /* Writes a field; the value is copied. A later value replaces an earlier one. SKIP: nobody waits
   * for this call any more. ERROR, counted: not a key that this hook may write, a value that does
   * not have the key's form or is too long, or not a call of the plugin. */
  sluice_status (*call_set)(sluice_host*, sluice_call, sluice_str key, sluice_str value);

  /* Ends a call whose hook returned PENDING; from any thread, even before the hook has returned.
   * Exactly once: the call does not belong to the plugin afterwards. The answer to a call that was
   * cancelled or out of time is dropped and counted as late; a second answer to the same call is
   * dropped and counted as doubled. `status` must not be PENDING (it counts as ERROR). */
  void (*call_complete)(sluice_host*, sluice_call, sluice_status status);

  /* Not 0 once nobody waits for the call: it was cancelled, its time is over, or it is unknown. */
  int32_t (*call_cancelled)(sluice_host*, sluice_call);

  /* For `execute`: gives one item of the answer, bytes of MessagePack, which are copied. A
   * generative model gives as many as it has, others exactly one. One thread at a time per call.
   * SKIP: the reader has no room (the call has no credit); try again after `on_credit`. ERROR: not
   * a running call of execute, or an item that is too long. A call whose reader has gone takes
   * items and drops them. */
  sluice_status (*emit)(sluice_host*, sluice_call, sluice_str item);

  /* Metrics of the plugin's own, by their index in the manifest's "metrics": adds to a counter or a
   * gauge, sets a gauge, observes a value by a histogram. Ignored and counted: an index or a type
   * that does not fit, a counter that would fall, a value that is not finite. */
  void (*metric_add)(sluice_host*, uint32_t metric, double value);
  void (*metric_set)(sluice_host*, uint32_t metric, double value);
  void (*metric_observe)(sluice_host*, uint32_t metric, double value);

  /* The time: milliseconds since 1970, which may jump; nanoseconds that never go backwards. */
  int64_t (*now_unix_ms)(sluice_host*);
  int64_t (*now_monotonic_ns)(sluice_host*);

  /* Calls `run(context)` after `first_ms`, and then every `period_ms` (0: once), on the same terms
   * as a hook. Late rather than twice: missed periods are not made up for. Returns a number for
   * `timer_stop`, or 0 if the instance has too many timers (64). To be called from `create`, a
   * hook, `reload` or a timer. */
  uint64_t (*timer_start)(
      sluice_host*, uint64_t first_ms, uint64_t period_ms, void (*run)(void*), void* context);
  /* Stops a timer; from the same places. It does not run after this has returned. */
  void (*timer_stop)(sluice_host*, uint64_t timer);
} sluice_host_api;

/* Which hooks a plugin wants: the bits of `sluice_plugin.hooks`. */
enum {
  SLUICE_HOOK_ADMISSION = 1u << 0,
  SLUICE_HOOK_PREPROCESS = 1u << 1,
  SLUICE_HOOK_ROUTE = 1u << 2,
  SLUICE_HOOK_OUTPUT = 1u << 3,
  SLUICE_HOOK_POSTPROCESS = 1u << 4,
  SLUICE_HOOK_EXECUTE = 1u << 5,
  SLUICE_HOOK_OBSERVE = 1u << 6
};

/* A piece of an answer, for `on_output`. */
typedef struct sluice_output {
  uint32_t struct_size;
  uint32_t flags;   /* SLUICE_OUTPUT_... */
  uint64_t stream;  /* the same for all pieces of one answer, of no other answer of the instance */
  sluice_str delta; /* whole characters; may be empty */
} sluice_output;
enum {
  SLUICE_OUTPUT_LAST = 1u << 0,   /* the stream ends with this piece: give what was held back */
  SLUICE_OUTPUT_ABORTED = 1u << 1 /* with LAST: nobody reads on; only forget the stream */
};

/* What a plugin is. The plugin owns it; it must not change and lives as long as the process. */
typedef struct sluice_plugin {
  uint32_t struct_size, abi_major, abi_minor;
  uint32_t hooks; /* SLUICE_HOOK_...; each needs its function, and stands in the manifest */

  /* A JSON object; docs/PLUGINS.md describes its members. */
  sluice_str manifest_json;

  /* Makes an instance. `config_json` fits the manifest's schema, defaults are filled in; it is
   * valid during the call, `api` and `host` as long as the instance. Anything but OK: `error` may
   * say why, in memory that stays valid until the next call into the plugin; `self` is not used. */
  sluice_status (*create)(const sluice_host_api* api,
                          sluice_host* host,
                          sluice_str config_json,
                          void** self,
                          sluice_str* error);

  /* Ends an instance. The plugin's threads must have ended when it returns; calls that still belong
   * to the plugin need no answer. */
  void (*destroy)(void* self);

  /* May this request enter? In the order of the configuration; the first REJECT ends it. */
  sluice_status (*on_admission)(void* self, sluice_call);
  /* Rewrites what the model is asked. */
  sluice_status (*on_preprocess)(void* self, sluice_call);
  /* Chooses model version or worker. */
  sluice_status (*on_route)(void* self, sluice_call);
  /* Sees a piece of an answer before the client does, and may write another "text" in its place or
   * "stop". The pieces of a stream come one after the other, the next one when this one is
   * answered. `output` is valid until the hook returns. */
  sluice_status (*on_output)(void* self, sluice_call, const sluice_output* output);
  /* Sees a whole answer, and may write another "text" in its place. */
  sluice_status (*on_postprocess)(void* self, sluice_call);

  /* Computes the answers of `n` >= 1 calls; `calls` is valid until it returns. PENDING: each call
   * ends by `call_complete`. Anything else ends all calls of the batch that have not ended yet. */
  sluice_status (*execute)(void* self, const sluice_call* calls, uint32_t n);
  /* May be NULL: the call of execute that was out of credit has some again. */
  void (*on_credit)(void* self, sluice_call);
  /* May be NULL: nobody waits for this pending call any more. It still has to be completed; another
   * thread of the plugin may do so at this moment. */
  void (*on_cancel)(void* self, sluice_call);

  /* Hears what happened, as a JSON object. Some events are left out, none is repeated. */
  void (*observe)(void* self, sluice_str event_json);

  /* May be NULL (always healthy): OK, or ERROR with a reason that stays valid until the next call
   * into the plugin. Must return at once. */
  sluice_status (*health)(void* self, sluice_str* detail);

  /* May be NULL (the instance is made anew): takes another configuration, as `create` does.
   * Anything but OK: the old one stays in force, `error` may say why. */
  sluice_status (*reload)(void* self, sluice_str config_json, sluice_str* error);
} sluice_plugin;

SLUICE_EXPORT uint32_t sluice_plugin_abi(void);
SLUICE_EXPORT const sluice_plugin* sluice_plugin_get(void);

/* The interface is frozen: members keep their places as long as the major version lasts. */
#ifdef __cplusplus
#define SLUICE_FROZEN_AT(type, member, offset) static_assert(offsetof(type, member) == (offset), "")
#define SLUICE_FROZEN_SIZE(type, size) static_assert(sizeof(type) == (size), "")
#else
#define SLUICE_FROZEN_AT(type, member, offset) \
  _Static_assert(offsetof(type, member) == (offset), "frozen")
#define SLUICE_FROZEN_SIZE(type, size) _Static_assert(sizeof(type) == (size), "frozen")
#endif
SLUICE_FROZEN_SIZE(sluice_str, 16);
SLUICE_FROZEN_AT(sluice_str, ptr, 0);
SLUICE_FROZEN_AT(sluice_str, len, 8);
SLUICE_FROZEN_SIZE(sluice_output, 32);
SLUICE_FROZEN_AT(sluice_output, flags, 4);
SLUICE_FROZEN_AT(sluice_output, stream, 8);
SLUICE_FROZEN_AT(sluice_output, delta, 16);
SLUICE_FROZEN_AT(sluice_host_api, struct_size, 0);
SLUICE_FROZEN_AT(sluice_host_api, abi_major, 4);
SLUICE_FROZEN_AT(sluice_host_api, abi_minor, 8);
SLUICE_FROZEN_AT(sluice_host_api, log, 16);
SLUICE_FROZEN_AT(sluice_host_api, call_get, 24);
SLUICE_FROZEN_AT(sluice_host_api, call_set, 32);
SLUICE_FROZEN_AT(sluice_host_api, call_complete, 40);
SLUICE_FROZEN_AT(sluice_host_api, call_cancelled, 48);
SLUICE_FROZEN_AT(sluice_host_api, emit, 56);
SLUICE_FROZEN_AT(sluice_host_api, metric_add, 64);
SLUICE_FROZEN_AT(sluice_host_api, metric_set, 72);
SLUICE_FROZEN_AT(sluice_host_api, metric_observe, 80);
SLUICE_FROZEN_AT(sluice_host_api, now_unix_ms, 88);
SLUICE_FROZEN_AT(sluice_host_api, now_monotonic_ns, 96);
SLUICE_FROZEN_AT(sluice_host_api, timer_start, 104);
SLUICE_FROZEN_AT(sluice_host_api, timer_stop, 112);
SLUICE_FROZEN_AT(sluice_plugin, struct_size, 0);
SLUICE_FROZEN_AT(sluice_plugin, abi_major, 4);
SLUICE_FROZEN_AT(sluice_plugin, abi_minor, 8);
SLUICE_FROZEN_AT(sluice_plugin, hooks, 12);
SLUICE_FROZEN_AT(sluice_plugin, manifest_json, 16);
SLUICE_FROZEN_AT(sluice_plugin, create, 32);
SLUICE_FROZEN_AT(sluice_plugin, destroy, 40);
SLUICE_FROZEN_AT(sluice_plugin, on_admission, 48);
SLUICE_FROZEN_AT(sluice_plugin, on_preprocess, 56);
SLUICE_FROZEN_AT(sluice_plugin, on_route, 64);
SLUICE_FROZEN_AT(sluice_plugin, on_output, 72);
SLUICE_FROZEN_AT(sluice_plugin, on_postprocess, 80);
SLUICE_FROZEN_AT(sluice_plugin, execute, 88);
SLUICE_FROZEN_AT(sluice_plugin, on_credit, 96);
SLUICE_FROZEN_AT(sluice_plugin, on_cancel, 104);
SLUICE_FROZEN_AT(sluice_plugin, observe, 112);
SLUICE_FROZEN_AT(sluice_plugin, health, 120);
SLUICE_FROZEN_AT(sluice_plugin, reload, 128);
#undef SLUICE_FROZEN_AT
#undef SLUICE_FROZEN_SIZE

#ifdef __cplusplus
}
#endif
