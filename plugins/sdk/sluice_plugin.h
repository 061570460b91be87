/* The plugin interface: C11, so that neither compiler nor standard library has to match. START
 * HERE.
 *
 * A plugin is a shared library with two symbols. `sluice_plugin_abi` is called first, and nothing
 * else if it does not fit: majors must be equal, and the plugin's minor not above the host's.
 * Structs start with their size and are only appended to; a member beyond the other side's size
 * counts as NULL. No exception crosses, memory is freed by the side that allocated it, and strings
 * are UTF-8 without a terminating zero.
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

/* A view of UTF-8 bytes; not NUL-terminated. Valid during the call that passes it. */
typedef struct {
  const char* ptr;
  uint64_t len;
} sluice_str;

typedef struct sluice_host sluice_host; /* the host's side of one plugin instance */
typedef struct sluice_call sluice_call; /* one request at one hook */

typedef enum {
  SLUICE_OK = 0,
  SLUICE_PENDING = 1, /* the answer follows by call_complete */
  SLUICE_SKIP = 2,    /* this hook has nothing to say */
  SLUICE_REJECT = 3,  /* the request is refused; the detail says why */
  SLUICE_ERROR = 4    /* the plugin failed; its failure policy decides */
} sluice_status;

/* What the host offers. Look at struct_size before using a later member. */
typedef struct {
  uint32_t struct_size, abi_major, abi_minor, reserved;
  /* level: 0 debug, 1 info, 2 warning, 3 error. Any thread. */
  void (*log)(sluice_host*, int level, sluice_str message);
  /* Reads a field of the request: "model", "user", "class", "deadline_ms", "tokens_est", "prompt",
   * "header.x". SLUICE_SKIP: absent. SLUICE_ERROR: not permitted by the manifest. */
  sluice_status (*call_get)(sluice_call*, sluice_str key, sluice_str* out);
  /* Writes a field that the hook may write, "detail" for the reason of a rejection among them. */
  sluice_status (*call_set)(sluice_call*, sluice_str key, sluice_str value);
  /* Ends a SLUICE_PENDING call. Any thread, exactly once. */
  void (*call_complete)(sluice_call*, sluice_status, sluice_str detail_json);
  /* Not 0 once nobody waits for the call any more. */
  int (*call_cancelled)(sluice_call*);
} sluice_host_api;

/* Which hooks a plugin wants. */
enum {
  SLUICE_HOOK_ADMISSION = 1u << 0,
  SLUICE_HOOK_PREPROCESS = 1u << 1,
  SLUICE_HOOK_OUTPUT = 1u << 2,
  SLUICE_HOOK_POSTPROCESS = 1u << 3,
  SLUICE_HOOK_OBSERVE = 1u << 4
};

/* What a plugin is. Lives as long as the library is loaded, which is for ever. */
typedef struct {
  uint32_t struct_size, abi_major, abi_minor, hooks;
  sluice_str name, version, manifest_json;
  /* Makes an instance. On SLUICE_ERROR `err` may say why, in memory that stays valid until the next
   * call. */
  sluice_status (*create)(
      const sluice_host_api*, sluice_host*, sluice_str config_json, void** self, sluice_str* err);
  void (*destroy)(void* self);
  sluice_status (*on_admission)(void* self, sluice_call*);
  sluice_status (*on_preprocess)(void* self, sluice_call*);
  sluice_status (*on_output)(void* self, sluice_call*, sluice_str delta);
  sluice_status (*on_postprocess)(void* self, sluice_call*);
  void (*observe)(void* self, sluice_str event_json);
} sluice_plugin;

SLUICE_EXPORT uint32_t sluice_plugin_abi(void);
SLUICE_EXPORT const sluice_plugin* sluice_plugin_get(void);

#ifdef __cplusplus
}
#endif
