// tests/bench/group_members.h: classic groups whose members behave as clients do.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/load_client.h"

namespace millrace::bench {

class Group;

/// One member on one connection: join (KIP-394), sync, heartbeat, and join again when told.
class Member {
  public:
    Member(Group& group, size_t connection) : group_(group), connection_(connection) {}
    void join();
    /// Runs `then` with the answer's error; an expired generation makes the member join again.
    void heartbeat(std::function<void(int16_t)> then);
    void leave(std::function<void()> then);

    bool stable() const { return stable_; }
    bool asked_to_join() const { return !id_.empty(); }
    int32_t generation() const { return generation_; }
    const std::string& id() const { return id_; }
    size_t connection() const { return connection_; }
    bool waiting() const { return waiting_; }
    int64_t next_look = 0;  // of a member that does not know yet whether the group changed

  private:
    void on_joined(wire::Reader& reader);
    void sync(std::vector<std::string> everybody);
    void rejoin_unless(int16_t error);

    Group& group_;
    size_t connection_;
    std::string id_;
    int32_t generation_ = -1;
    bool stable_ = false;
    bool waiting_ = false;
};

class Group {
  public:
    Group(Client& client, std::string name) : client_(client), name_(std::move(name)) {}
    Member& add(size_t connection);
    void remove_last() { members_.pop_back(); }
    /// Every member has synced in one generation that contains all of them.
    bool settled() const;
    /// Members that may not know of a rebalance ask by heartbeat, every few milliseconds.
    void look();
    /// Every member asks at the next look.
    void nudge();
    void settle();

    Client& client() { return client_; }
    const std::string& name() const { return name_; }
    std::vector<std::unique_ptr<Member>>& members() { return members_; }
    void led(int32_t generation, size_t size) {
        led_generation_ = generation;
        led_size_ = size;
    }

  private:
    Client& client_;
    std::string name_;
    std::vector<std::unique_ptr<Member>> members_;
    int32_t led_generation_ = -1;
    size_t led_size_ = 0;
};

}  // namespace millrace::bench
