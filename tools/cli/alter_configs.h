// tools/cli/alter_configs.h: changes configs of one resource, with did-you-mean for its keys.
#pragma once

#include <string>
#include <vector>

#include "cli/client.h"

namespace millrace::cli {

/// ConfigResource types by the names users type; -1 for another name.
int8_t resource_type_of(const std::string& word);
std::vector<std::string> resource_words();

struct ConfigChange {
    std::string key;
    int8_t operation = 0;  // 0 set, 1 delete, 2 append, 3 subtract
    std::string value;
};
/// "key=value", "key+=value", "key-=value".
ConfigChange parse_change(const std::string& text);
/// BROKER resources with an id are asked of that broker, as Kafka wants it.
void alter_configs(Client& client, int8_t type, const std::string& name,
                   const std::vector<ConfigChange>& changes, bool dry_run);

}  // namespace millrace::cli
