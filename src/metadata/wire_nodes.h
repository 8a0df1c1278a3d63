// src/metadata/wire_nodes.h: broker id lists between the wire's integers and NodeId.
#pragma once

#include <cstdint>
#include <vector>

#include "millrace/base/ids.h"

namespace millrace::metadata {

inline std::vector<NodeId> to_nodes(const std::vector<int32_t>& numbers) {
    std::vector<NodeId> nodes;
    nodes.reserve(numbers.size());
    for (int32_t number : numbers)
        nodes.emplace_back(number);
    return nodes;
}
inline std::vector<int32_t> to_numbers(const std::vector<NodeId>& nodes) {
    std::vector<int32_t> numbers;
    numbers.reserve(nodes.size());
    for (NodeId node : nodes)
        numbers.push_back(node.value);
    return numbers;
}

}  // namespace millrace::metadata
