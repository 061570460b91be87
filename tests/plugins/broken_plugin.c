/* A plugin that is wrong in the way its build says: BROKEN_ABI, BROKEN_SIZE, BROKEN_TABLE_ABI,
 * BROKEN_HOOKS, OTHER_HOOKS, BROKEN_MANIFEST, BROKEN_CREATE, NO_GET, NO_TABLE. */
#include <sluice/plugin.h>

uint32_t sluice_plugin_abi(void) {
#ifdef BROKEN_ABI
  return BROKEN_ABI;
#else
  return SLUICE_PLUGIN_ABI;
#endif
}

#ifndef NO_GET
static const char manifest[] = "{\"name\": \"broken\", \"version\": \"1.0.0\", \"hooks\": []}";

static sluice_status create(const sluice_host_api* api,
                            sluice_host* host,
                            sluice_str config,
                            void** self,
                            sluice_str* error) {
  (void)api, (void)host, (void)config, (void)self, (void)error;
  return SLUICE_OK;
}
static void destroy(void* self) {
  (void)self;
}

const sluice_plugin* sluice_plugin_get(void) {
  static sluice_plugin plugin;
  plugin.struct_size = sizeof plugin;
  plugin.abi_major = SLUICE_PLUGIN_ABI_MAJOR;
  plugin.abi_minor = SLUICE_PLUGIN_ABI_MINOR;
  plugin.manifest_json.ptr = manifest;
  plugin.manifest_json.len = sizeof manifest - 1;
  plugin.create = create;
  plugin.destroy = destroy;
#ifdef BROKEN_SIZE
  plugin.struct_size = BROKEN_SIZE;
  plugin.on_admission = (sluice_status(*)(void*, sluice_call))1; /* must not be seen */
#endif
#ifdef BROKEN_TABLE_ABI
  plugin.abi_major = 7;
#endif
#ifdef BROKEN_HOOKS
  plugin.hooks = BROKEN_HOOKS;
#endif
#ifdef OTHER_HOOKS
  plugin.on_admission = (sluice_status(*)(void*, sluice_call))1;
  plugin.hooks = SLUICE_HOOK_ADMISSION;
#endif
#ifdef BROKEN_MANIFEST
  plugin.manifest_json.len = 0;
#endif
#ifdef BROKEN_CREATE
  plugin.create = NULL;
#endif
#ifdef NO_TABLE
  return NULL;
#else
  return &plugin;
#endif
}
#endif
