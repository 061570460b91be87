/* Refuses requests that ask for more tokens than a limit: the smallest plugin that does something.
 *
 * Configuration: {"tokens_max": 4096}
 */
#include "manifest.h"
#include <sluice/plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
  const sluice_host_api* api;
  sluice_host* host;
  unsigned long tokens_max;
} limiter;

static sluice_str str(const char* text) {
  sluice_str view = {text, strlen(text)};
  return view;
}

/* Reads decimal digits; 0 if there are none, or too many. */
static unsigned long read_number(const char* at, const char* end) {
  char digits[20];
  size_t count = 0;
  while (at < end && *at >= '0' && *at <= '9' && count + 1 < sizeof digits)
    digits[count++] = *at++;
  digits[count] = 0;
  return count == 0 || count + 1 == sizeof digits ? 0 : strtoul(digits, NULL, 10);
}

/* The schema leaves an object with this one member, so that its number is what follows the colon.
 */
static unsigned long read_limit(sluice_str config) {
  const char* end = config.ptr + config.len;
  const char* at = memchr(config.ptr, ':', config.len);
  if (!at) return 0;
  ++at;
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
    ++at;
  return read_number(at, end);
}

static sluice_status create(const sluice_host_api* api,
                            sluice_host* host,
                            sluice_str config,
                            void** self,
                            sluice_str* error) {
  unsigned long tokens_max = read_limit(config);
  limiter* made = tokens_max == 0 ? NULL : malloc(sizeof *made);
  if (!made) {
    *error = tokens_max == 0 ? str("tokens_max must be a number above 0") : str("out of memory");
    return SLUICE_ERROR;
  }
  made->api = api;
  made->host = host;
  made->tokens_max = tokens_max;
  *self = made;
  return SLUICE_OK;
}

static void destroy(void* self) {
  free(self);
}

static sluice_status on_admission(void* self, sluice_call call) {
  const limiter* limit = self;
  sluice_str value;
  if (limit->api->call_get(limit->host, call, str("tokens_est"), &value) != SLUICE_OK)
    return SLUICE_SKIP;
  unsigned long tokens = read_number(value.ptr, value.ptr + value.len);
  if (tokens <= limit->tokens_max) return SLUICE_OK;
  char detail[128];
  snprintf(detail,
           sizeof detail,
           "the request asks for %lu tokens, the limit is %lu",
           tokens,
           limit->tokens_max);
  limit->api->call_set(limit->host, call, str("detail"), str(detail));
  limit->api->call_set(limit->host, call, str("code"), str("tokens_over_limit"));
  return SLUICE_REJECT;
}

uint32_t sluice_plugin_abi(void) {
  return SLUICE_PLUGIN_ABI;
}

const sluice_plugin* sluice_plugin_get(void) {
  static const sluice_plugin plugin = {
      .struct_size = sizeof(sluice_plugin),
      .abi_major = SLUICE_PLUGIN_ABI_MAJOR,
      .abi_minor = SLUICE_PLUGIN_ABI_MINOR,
      .hooks = SLUICE_HOOK_ADMISSION,
      .manifest_json = {kManifest, sizeof kManifest},
      .create = create,
      .destroy = destroy,
      .on_admission = on_admission,
  };
  return &plugin;
}
