#include "actors/front.h"

namespace sluice {

std::shared_ptr<ServedModel> Front::find_model(const std::optional<std::string>& name) const {
  if (!name) return models.empty() ? nullptr : models.front();
  for (const auto& model : models) {
    if (model->name == *name) return model;
  }
  return nullptr;
}

}  // namespace sluice
