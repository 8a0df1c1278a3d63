// tests/unit/coordinator/group_model_test.cc: consumer groups under random members, against a
// model.
//
// Members act as clients do: they take an assignment when it is answered and report it with the
// next heartbeat. Whatever happens (refused appends, restarts, members that come and go), no
// partition is ever with two of them, and when all is quiet everything is assigned once.
#include <gtest/gtest.h>

#include <fmt/core.h>

#include "millrace/base/rng.h"
#include "unit/coordinator/group_world.h"

namespace millrace::coordinator {
namespace {

constexpr int kMembers = 5;
constexpr int kPartitions = 7;  // 4 of foo, 3 of bar

struct Client {
    std::string id;
    bool in_group = false;
    int epoch = 0;
    std::set<std::string> owned;  // "7:0"
};

class Model {
  public:
    explicit Model(uint64_t seed) : rng_(seed) {
        world_.run("topic name=foo id=7 partitions=4");
        world_.run("topic name=bar id=8 partitions=3");
        for (int i = 0; i < kMembers; ++i)
            clients_.push_back({"m" + std::to_string(i), false, 0, {}});
    }

    void step() {
        Client& client = clients_[rng_.below(kMembers)];
        if (rng_.chance(1, 40)) world_.run("refuse error=19");
        if (rng_.chance(1, 60)) world_.run("restart");
        if (client.in_group && rng_.chance(1, 25)) {
            leave(client);
        } else {
            beat(client);
        }
        world_.run(fmt::format("wait ms={}", rng_.below(400)));
        check_exclusive();
    }
    /// Everybody in the group beats until nothing moves; then all is assigned once.
    void settle() {
        world_.run("refuse error=0");
        for (int round = 0; round < 12; ++round) {
            for (Client& client : clients_) {
                if (client.in_group) beat(client);
            }
            world_.run("wait ms=1100");
        }
        check_exclusive();
        size_t members = 0;
        size_t owned = 0;
        for (const Client& client : clients_) {
            members += client.in_group ? 1 : 0;
            owned += client.owned.size();
        }
        EXPECT_EQ(owned, members == 0 ? 0u : static_cast<size_t>(kPartitions));
        const std::string before = world_.run("cdescribe g=g");
        world_.run("restart");
        const std::string after = world_.run("cdescribe g=g");
        EXPECT_EQ(before.substr(before.find(':')), after.substr(after.find(':')));
        if (members > 0) {
            EXPECT_NE(after.find(" Stable "), std::string::npos) << after;
        }
    }

  private:
    static std::string owned_text(const Client& client) {
        std::map<std::string, std::string> topics;
        for (const std::string& partition : client.owned) {
            std::string& list = topics[partition.substr(0, 1)];
            list += (list.empty() ? "" : "+") + partition.substr(2);
        }
        std::string text;
        for (const auto& [topic, list] : topics)
            text += (text.empty() ? "" : ",") + topic + ":" + list;
        return text;
    }
    void beat(Client& client) {
        std::string command = fmt::format("cgh g=g id={} epoch={} owned={}", client.id,
                                          client.in_group ? client.epoch : 0,
                                          client.in_group ? owned_text(client) : "");
        if (!client.in_group || client.epoch == 0) {
            command += " topics=foo,bar rebalance=60000";
            client.owned.clear();
        }
        take(client, world_.run(command));
    }
    void leave(Client& client) {
        const std::string answer = world_.run(fmt::format("cgh g=g id={} epoch=-1", client.id));
        if (answer.find(": ok") == std::string::npos) return;  // it will try again
        client.in_group = false;
        client.owned.clear();
        client.epoch = 0;
    }
    void take(Client& client, const std::string& answer) {
        const size_t ok = answer.find(": ok member ");
        if (ok == std::string::npos) {
            const bool fenced = answer.find("FENCED") != std::string::npos ||
                                answer.find("UNKNOWN_MEMBER") != std::string::npos ||
                                answer.find("GROUP_ID_NOT_FOUND") != std::string::npos;
            if (fenced) {
                client.owned.clear();
                client.in_group = false;
                client.epoch = 0;
            }
            return;
        }
        client.in_group = true;
        const size_t epoch = answer.find(" epoch ", ok);
        client.epoch = std::stoi(answer.substr(epoch + 7));
        const size_t open = answer.find("assignment [", ok);
        if (open == std::string::npos) return;
        client.owned.clear();
        std::istringstream topics(answer.substr(open + 12, answer.find(']', open) - open - 12));
        for (std::string topic; topics >> topic;) {
            std::istringstream list(topic.substr(2));
            for (std::string partition; std::getline(list, partition, ',');)
                client.owned.insert(topic.substr(0, 2) + partition);
        }
    }
    void check_exclusive() {
        std::map<std::string, std::string> owners;
        for (const Client& client : clients_) {
            for (const std::string& partition : client.owned) {
                auto [it, added] = owners.emplace(partition, client.id);
                EXPECT_TRUE(added)
                    << partition << " is with " << it->second << " and " << client.id;
            }
        }
    }

    Rng rng_;
    GroupWorld world_;
    std::vector<Client> clients_;
};

TEST(GroupModel, NoPartitionIsEverWithTwoMembers) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        Model model(seed);
        for (int i = 0; i < 300; ++i)
            model.step();
        model.settle();
        if (HasFailure()) return;
    }
}

}  // namespace
}  // namespace millrace::coordinator
