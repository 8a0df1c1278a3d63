// tests/unit/coordinator/classic_model_test.cc: classic groups under random members, against a
// model.
//
// Members act as clients do: join, sync, heartbeat, rejoin when told, leave, or die without a word;
// appends are refused and the machine restarts. Every request is answered once, a generation has
// one leader, a member gets what its leader gave it, and when all is quiet the group is stable.
#include <gtest/gtest.h>

#include <fmt/core.h>

#include "millrace/base/rng.h"
#include "unit/coordinator/group_world.h"

namespace millrace::coordinator {
namespace {

constexpr int kMembers = 5;

enum class Wants { Join, Sync, Beat, Nothing };

struct Client {
    std::string name;
    std::string instance;  // "": dynamic
    bool alive = true;
    Wants wants = Wants::Join;
    RequestId waits_for = 0;  // 0: nothing
    std::string id;
    std::string generation;
    std::string assign;  // of a leader, for its sync
    std::string assignment;
};

class Model {
  public:
    explicit Model(uint64_t seed) : rng_(seed) {
        for (int i = 0; i < kMembers; ++i) {
            const std::string name(1, static_cast<char>('A' + i));
            clients_.push_back({name, i == 0 ? "inst" : "", true, Wants::Join, 0, "", "", "", ""});
        }
    }
    void step() {
        Client& client = clients_[rng_.below(kMembers)];
        if (rng_.chance(1, 50)) hear(world_.run("refuse error=19"));
        if (rng_.chance(1, 80)) restart();
        if (!client.alive) {
            if (rng_.chance(1, 10)) client = fresh(client);
        } else if (rng_.chance(1, 60)) {
            client.alive = false;  // without a word
            client.waits_for = 0;
        } else if (client.waits_for == 0 && client.instance.empty() && !client.id.empty() &&
                   rng_.chance(1, 40)) {
            hear(world_.run(fmt::format("leave g=g id={}", client.id)));
            client = fresh(client);
        } else {
            act(client);
        }
        hear(world_.run(fmt::format("wait ms={}", rng_.below(600))));
    }
    void settle() {
        hear(world_.run("refuse error=0"));
        for (int round = 0; round < 200; ++round) {
            for (Client& client : clients_) {
                if (client.alive) act(client);
            }
            hear(world_.run("wait ms=500"));
        }
        size_t alive = 0;
        std::set<std::string> generations;
        for (const Client& client : clients_) {
            if (!client.alive) continue;
            ++alive;
            EXPECT_EQ(client.wants, Wants::Beat) << client.name;
            generations.insert(client.generation);
        }
        const std::string described = world_.run("describe g=g");
        if (alive > 0) {
            EXPECT_EQ(generations.size(), 1u);
            EXPECT_NE(described.find("ok Stable"), std::string::npos) << described;
            const auto members = std::count(described.begin(), described.end(), '|');
            EXPECT_EQ(members, static_cast<std::ptrdiff_t>(alive)) << described;
        }
        hear(world_.run("leave-office"));
        EXPECT_TRUE(world_.unanswered().empty()) << *world_.unanswered().begin();
    }

  private:
    static Client fresh(const Client& old) {
        return {old.name, old.instance, true, Wants::Join, 0, "", "", "", ""};
    }
    void restart() {
        world_.run("restart");
        leaders_.clear();  // a generation that never reached the log may come again
        for (Client& client : clients_) {
            if (client.waits_for == 0) continue;
            client.waits_for = 0;
            client.wants = Wants::Join;
        }
    }
    void act(Client& client) {
        if (client.waits_for != 0) return;
        const std::string who =
            "g=g c=" + client.name + (client.instance.empty() ? "" : " inst=" + client.instance);
        std::string command;
        switch (client.wants) {
            case Wants::Join: command = fmt::format("join {} id={}", who, client.id); break;
            case Wants::Sync:
                command = fmt::format("sync {} id={} gen={}{}", who, client.id, client.generation,
                                      client.assign.empty() ? "" : " assign=" + client.assign);
                break;
            case Wants::Beat:
                command = fmt::format("beat {} id={} gen={}", who, client.id, client.generation);
                break;
            case Wants::Nothing: return;
        }
        if (client.id.empty()) command = command.substr(0, command.rfind(" id="));
        const std::string printed = world_.run(command);
        client.waits_for = world_.last_id();
        hear(printed);
    }
    void hear(const std::string& printed) {
        std::istringstream lines(printed);
        for (std::string line; std::getline(lines, line);) {
            const size_t colon = line.find(": ");
            if (colon == std::string::npos || line[0] < '0' || line[0] > '9') continue;
            const RequestId id = std::stoull(line);
            for (Client& client : clients_) {
                if (client.waits_for == id) answered(client, line.substr(colon + 2));
            }
        }
    }
    static std::string after(const std::string& text, const std::string& word) {
        const size_t at = text.find(word + " ");
        if (at == std::string::npos) return "";
        const size_t from = at + word.size() + 1;
        return text.substr(from, text.find(' ', from) - from);
    }
    void answered(Client& client, const std::string& text) {
        client.waits_for = 0;
        if (text.starts_with("MEMBER_ID_REQUIRED")) {
            client.id = after(text, "member");
        } else if (text.starts_with("UNKNOWN_MEMBER_ID") || text.starts_with("FENCED")) {
            client = fresh(client);
        } else if (!text.starts_with("ok")) {
            client.wants = Wants::Join;  // a rebalance, another generation, or a failed append
        } else if (client.wants == Wants::Join) {
            joined(client, text);
        } else if (client.wants == Wants::Sync) {
            client.wants = Wants::Beat;
            const size_t open = text.find('(');
            client.assignment = text.substr(open + 1, text.rfind(')') - open - 1);
            // A static member that returns has what its old id was given.
            if (client.instance.empty()) {
                EXPECT_EQ(client.assignment, assigned_[client.generation + client.id])
                    << client.id << " in generation " << client.generation;
            }
        }
    }
    void joined(Client& client, const std::string& text) {
        client.wants = Wants::Sync;
        client.id = after(text, "member");
        client.generation = after(text, "gen");
        client.assign.clear();
        const std::string leader = after(text, "leader");
        // A static leader may come back under a new id within its generation.
        if (client.instance.empty() && !leader.starts_with("inst")) {
            auto [known, added] = leaders_.emplace(client.generation, leader);
            EXPECT_EQ(known->second, leader) << "generation " << client.generation;
        }
        if (leader != client.id || text.find(" skip") != std::string::npos) return;
        const size_t members = text.find("members");
        std::istringstream names(text.substr(members + 7));
        int partition = 0;
        for (std::string name; names >> name; ++partition) {
            const std::string member = name.substr(0, name.find('('));
            const std::string part = "foo" + std::to_string(partition);
            client.assign += (client.assign.empty() ? "" : ",") + member + ":" + part;
            offered_[client.generation + member] = part;
        }
        for (const auto& [key, part] : offered_)
            assigned_[key] = part;
    }

    Rng rng_;
    GroupWorld world_;
    std::vector<Client> clients_;
    std::map<std::string, std::string> leaders_;  // by generation
    std::map<std::string, std::string> offered_;  // generation + member -> partition
    std::map<std::string, std::string> assigned_;
};

TEST(ClassicModel, EveryRequestIsAnsweredOnceAndTheGroupSettles) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        Model model(seed);
        for (int i = 0; i < 300; ++i)
            model.step();
        model.settle();
        if (testing::Test::HasFailure()) return;
    }
}

}  // namespace
}  // namespace millrace::coordinator
