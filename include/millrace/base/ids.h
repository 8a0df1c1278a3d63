// include/millrace/base/ids.h: strong types for the numbers that must not be mixed up.
//
// Each is a plain integer on the wire; inside, a NodeId cannot be passed where an Offset is meant.
// `.value` gives the number for encoding and printing. Names and meanings are Kafka's.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace millrace {

template <class Tag, class Number>
struct StrongId {
    using number_type = Number;
    Number value{};

    constexpr StrongId() = default;
    constexpr explicit StrongId(Number v) : value(v) {}
    friend constexpr auto operator<=>(const StrongId&, const StrongId&) = default;
};

using NodeId = StrongId<struct NodeIdTag, int32_t>;               // broker or controller id
using ShardId = StrongId<struct ShardIdTag, uint32_t>;            // one reactor thread of a node
using PartitionIndex = StrongId<struct PartitionIndexTag, int32_t>;
using LeaderEpoch = StrongId<struct LeaderEpochTag, int32_t>;     // -1: none
using ProducerId = StrongId<struct ProducerIdTag, int64_t>;       // -1: none
using ProducerEpoch = StrongId<struct ProducerEpochTag, int16_t>; // -1: none
using CoordinatorEpoch = StrongId<struct CoordinatorEpochTag, int32_t>;
using BrokerEpoch = StrongId<struct BrokerEpochTag, int64_t>;

/// Position of a record in a log. Differences are plain integers.
struct Offset : StrongId<struct OffsetTag, int64_t> {
    using StrongId::StrongId;
    friend constexpr auto operator<=>(const Offset&, const Offset&) = default;
    friend constexpr Offset operator+(Offset a, int64_t n) { return Offset(a.value + n); }
    friend constexpr Offset operator-(Offset a, int64_t n) { return Offset(a.value - n); }
    friend constexpr int64_t operator-(Offset a, Offset b) { return a.value - b.value; }
};

inline constexpr LeaderEpoch kNoLeaderEpoch{-1};
inline constexpr ProducerId kNoProducerId{-1};
inline constexpr ProducerEpoch kNoProducerEpoch{-1};
inline constexpr NodeId kNoNode{-1};
inline constexpr Offset kNoOffset{-1};

/// Topic name and partition index: what a client calls a partition.
struct TopicPartition {
    std::string topic;
    PartitionIndex partition;
    friend auto operator<=>(const TopicPartition&, const TopicPartition&) = default;
    /// "topic-3", the name of the partition's directory.
    std::string to_string() const { return topic + "-" + std::to_string(partition.value); }
};

}  // namespace millrace

template <class Tag, class Number>
struct std::hash<millrace::StrongId<Tag, Number>> {
    size_t operator()(const millrace::StrongId<Tag, Number>& id) const noexcept {
        return std::hash<Number>{}(id.value);
    }
};
template <>
struct std::hash<millrace::Offset> {
    size_t operator()(const millrace::Offset& id) const noexcept {
        return std::hash<int64_t>{}(id.value);
    }
};
template <>
struct std::hash<millrace::TopicPartition> {
    size_t operator()(const millrace::TopicPartition& tp) const noexcept {
        return std::hash<std::string>{}(tp.topic) * 31U +
               std::hash<int32_t>{}(tp.partition.value);
    }
};
