/* A plugin that is wrong in the way its build says: BROKEN_ABI, BROKEN_SIZE, BROKEN_HOOK,
 * BROKEN_NAME, NO_GET. */
#include "plugins/sdk/sluice_plugin.h"

uint32_t sluice_plugin_abi(void) {
#ifdef BROKEN_ABI
  return BROKEN_ABI;
#else
  return SLUICE_PLUGIN_ABI;
#endif
}

#ifndef NO_GET
static sluice_status create(const sluice_host_api* api,
                            sluice_host* host,
                            sluice_str config,
                            void** self,
                            sluice_str* err) {
  (void)api, (void)host, (void)config, (void)self, (void)err;
  return SLUICE_OK;
}
static void destroy(void* self) {
  (void)self;
}

const sluice_plugin* sluice_plugin_get(void) {
  static sluice_plugin plugin;
  plugin.struct_size = sizeof plugin;
  plugin.name.ptr = "broken";
  plugin.name.len = 6;
  plugin.version = plugin.name;
  plugin.create = create;
  plugin.destroy = destroy;
#ifdef BROKEN_SIZE
  plugin.struct_size = BROKEN_SIZE;
  plugin.on_admission = (sluice_status(*)(void*, sluice_call*))1; /* must not be seen */
#endif
#ifdef BROKEN_HOOK
  plugin.hooks = SLUICE_HOOK_ADMISSION;
#endif
#ifdef BROKEN_NAME
  plugin.name.len = 0;
#endif
  return &plugin;
}
#endif
