// tests/sim/crowd.cc: the producers and consumers of a run, as one.
#include "sim/crowd.h"

#include <algorithm>

namespace millrace::sim {

namespace {

constexpr Duration kActorSilence = seconds(2);
constexpr Duration kDrainMax = seconds(90);

}  // namespace

Producer& Crowd::add_producer(const ActorOptions& options) {
    const std::string name = "producer-" + std::to_string(producers_.size());
    producers_.push_back(std::make_unique<Producer>(world_, servers_, model_, name, options));
    return *producers_.back();
}

Consumer& Crowd::add_consumer(const ActorOptions& options) {
    const std::string name = "consumer-" + std::to_string(consumers_.size());
    consumers_.push_back(std::make_unique<Consumer>(world_, servers_, model_, name, options));
    return *consumers_.back();
}

void Crowd::reset_somebody() {
    const size_t who = world_.rng().below(producers_.size() + consumers_.size());
    if (who < producers_.size()) {
        producers_[who]->client().reset();
    } else {
        consumers_[who - producers_.size()]->client().reset();
    }
}

bool Crowd::finished() const {
    const auto done = [](const auto& actor) { return actor->finished(); };
    return std::all_of(producers_.begin(), producers_.end(), done) &&
           std::all_of(consumers_.begin(), consumers_.end(), done);
}

void Crowd::drain(GroupLoad& load) {
    world_.run_for(kActorSilence);
    load.drain();
    for (auto& producer : producers_) producer->finish();
    for (auto& consumer : consumers_) consumer->finish();
    if (!world_.run_until([this] { return finished(); }, kDrainMax)) {
        world_.fail(kExitLiveness, "I26", "a client waits for ever");
    }
}

}  // namespace millrace::sim
