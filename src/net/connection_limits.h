// src/net/connection_limits.h: how many connections there may be, in all, per address and per second.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "millrace/base/time.h"

namespace millrace::net {

/// Counts per address (max.connections.per.ip and its overrides; dataplane.md A.5, step 4).
class PerAddressLimit {
  public:
    PerAddressLimit(uint32_t limit, std::map<std::string, uint32_t> overrides)
        : limit_(limit), overrides_(std::move(overrides)) {}
    void set_limits(uint32_t limit, std::map<std::string, uint32_t> overrides) {
        limit_ = limit;
        overrides_ = std::move(overrides);
    }
    /// Counts the connection unless its address has as many as it may.
    bool add(const std::string& host) {
        const auto special = overrides_.find(host);
        const uint32_t limit = special == overrides_.end() ? limit_ : special->second;
        uint32_t& count = counts_[host];
        if (count >= limit) {
            if (count == 0) counts_.erase(host);
            return false;
        }
        count += 1;
        return true;
    }
    void remove(const std::string& host) {
        const auto found = counts_.find(host);
        if (found == counts_.end()) return;
        if (--found->second == 0) counts_.erase(found);
    }
    uint32_t count(const std::string& host) const {
        const auto found = counts_.find(host);
        return found == counts_.end() ? 0 : found->second;
    }

  private:
    uint32_t limit_;
    std::map<std::string, uint32_t> overrides_;
    std::map<std::string, uint32_t> counts_;  // no zero entries
};

/// A token bucket of one second (max.connection.creation.rate).
class CreationRate {
  public:
    explicit CreationRate(uint32_t per_second) : per_second_(per_second), tokens_(per_second) {}
    void set_limit(uint32_t per_second) { per_second_ = per_second; }
    /// Takes a token; when there is none, how long the acceptor has to wait for it.
    Duration take(Instant now) {
        // Nobody comes in until the limit changes; asking again must still end.
        if (per_second_ <= 0) return seconds(1);
        const double earned = static_cast<double>((now - last_).nanos) * 1e-9 * per_second_;
        tokens_ = last_ == Instant{} ? per_second_ : tokens_ + earned;
        if (tokens_ > per_second_) tokens_ = per_second_;
        last_ = now;
        tokens_ -= 1;
        if (tokens_ >= 0) return {};
        return {static_cast<int64_t>(-tokens_ / per_second_ * 1e9)};
    }

  private:
    double per_second_;
    double tokens_;
    Instant last_{};
};

}  // namespace millrace::net
