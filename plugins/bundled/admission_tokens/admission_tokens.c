/* Refuses requests that ask for more tokens than a limit: the smallest plugin that does something.
 *
 * Configuration: {"tokens_max": 4096}
 */
#include "plugins/sdk/sluice_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const sluice_host_api* api;
  unsigned long tokens_max;
} limiter;

static sluice_str str(const char* text) {
  sluice_str view = {text, strlen(text)};
  return view;
}

/* Finds "tokens_max": N in a small JSON object; 0 if it is not there. */
static unsigned long read_limit(sluice_str config) {
  static const char key[] = "\"tokens_max\"";
  char text[256];
  if (config.len >= sizeof text) return 0;
  memcpy(text, config.ptr, config.len);
  text[config.len] = 0;
  const char* at = strstr(text, key);
  if (!at) return 0;
  at += sizeof key - 1;
  at += strspn(at, " \t:");
  return *at == '-' ? 0 : strtoul(at, NULL, 10);
}

static sluice_status create(const sluice_host_api* api,
                            sluice_host* host,
                            sluice_str config,
                            void** self,
                            sluice_str* err) {
  (void)host;
  unsigned long tokens_max = read_limit(config);
  if (tokens_max == 0) {
    *err = str("tokens_max must be a number above 0");
    return SLUICE_ERROR;
  }
  limiter* made = malloc(sizeof *made);
  if (!made) return SLUICE_ERROR;
  made->api = api;
  made->tokens_max = tokens_max;
  *self = made;
  return SLUICE_OK;
}

static void destroy(void* self) {
  free(self);
}

static sluice_status on_admission(void* self, sluice_call* call) {
  const limiter* limit = self;
  sluice_str value;
  char digits[24];
  if (limit->api->call_get(call, str("tokens_est"), &value) != SLUICE_OK ||
      value.len >= sizeof digits)
    return SLUICE_SKIP;
  memcpy(digits, value.ptr, value.len);
  digits[value.len] = 0;
  unsigned long tokens = strtoul(digits, NULL, 10);
  if (tokens <= limit->tokens_max) return SLUICE_OK;
  char detail[128];
  snprintf(detail,
           sizeof detail,
           "the request asks for %lu tokens, the limit is %lu",
           tokens,
           limit->tokens_max);
  limit->api->call_set(call, str("detail"), str(detail));
  return SLUICE_REJECT;
}

uint32_t sluice_plugin_abi(void) {
  return SLUICE_PLUGIN_ABI;
}

const sluice_plugin* sluice_plugin_get(void) {
  static sluice_plugin plugin;
  plugin.struct_size = sizeof plugin;
  plugin.abi_major = SLUICE_PLUGIN_ABI_MAJOR;
  plugin.abi_minor = SLUICE_PLUGIN_ABI_MINOR;
  plugin.hooks = SLUICE_HOOK_ADMISSION;
  plugin.name = str("admission-tokens");
  plugin.version = str("1.0.0");
  plugin.manifest_json = str("{\"config\":{\"tokens_max\":\"integer\"}}");
  plugin.create = create;
  plugin.destroy = destroy;
  plugin.on_admission = on_admission;
  return &plugin;
}
