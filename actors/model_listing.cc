#include "actors/model_listing.h"

#include <vector>

namespace sluice {

ListedModel listing(const Front& front, const ServedModel& model) {
  ListedModel listed;
  listed.id = model.name;
  listed.created = model.created;
  listed.max_model_len = static_cast<std::uint32_t>(model.context());
  listed.root = model.name;
  if (model.card.chat_template) listed.capabilities.emplace_back("chat");
  bool ready = front.lanes.ready(model.name) > 0;
  listed.state = ready ? "ready" : front.lanes.all_quarantined(model.name) ? "failed" : "loading";
  return listed;
}

std::string list_models(const Front& front) {
  std::vector<ListedModel> listed;
  for (const auto& model : front.models)
    listed.push_back(listing(front, *model));
  return models_body(listed);
}

}  // namespace sluice
