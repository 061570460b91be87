#include "models/tokenizer/component.h"

#include "models/json_fields.h"

namespace sluice {
namespace {

namespace json = boost::json;

Result<void> add_components(const json::value& entry,
                            std::string_view members,
                            const std::string& place,
                            int depth,
                            std::vector<Component>& components) {
  constexpr int kDepthMax = 8;
  if (!entry.is_object() || depth > kDepthMax)
    return Error{ErrorCode::invalid_argument, place + ": is " + describe(entry)};
  JsonFields fields(entry.get_object(), place);
  std::string type = fields.string("type");
  if (fields.failed()) return fields.error();
  if (type != "Sequence") {
    components.push_back({std::move(type), &entry.get_object()});
    return {};
  }
  const json::array* list = fields.array(members);
  if (list == nullptr) fields.refuse(members, "is missing");
  if (fields.failed()) return fields.error();
  for (const json::value& inner : *list)
    if (auto added = add_components(inner, members, place, depth + 1, components); !added)
      return added;
  return {};
}

}  // namespace

Result<std::vector<Component>> components_of(const json::value& entry,
                                             std::string_view members,
                                             const std::string& place) {
  std::vector<Component> components;
  if (auto added = add_components(entry, members, place, 0, components); !added)
    return added.error();
  return components;
}

}  // namespace sluice
