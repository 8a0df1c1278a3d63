// src/coordinator/consumer_regex.cc: when the expressions of a group are resolved, and to what.
//
// Source: coordinators.md 4.9; GroupMetadataManager.maybeUpdateRegularExpressions. Kafka resolves
// on another thread; here it is an event of its own, after the heartbeat has been answered.
#include "coordinator/consumer_group.h"
#include "coordinator/group_records.h"
#include "coordinator/regex.h"
#include "coordinator/topic_hash.h"

namespace millrace::coordinator {

namespace {

constexpr Duration kResolutionPause = milliseconds(10'000);  // between two of one group

std::set<std::string> subscribed_regexes(const ConsumerGroup& group) {
    std::set<std::string> regexes;
    for (const auto& [id, member] : group.members) {
        if (!member->regex().empty()) regexes.insert(member->regex());
    }
    return regexes;
}

}  // namespace

void request_regex_resolution(GroupContext& context, const Tick& tick, const ConsumerEdit& edit) {
    const std::set<std::string> wanted = subscribed_regexes(edit.group());
    const TimerKey key{TimerKind::Regex, edit.id(), ""};
    if (wanted.empty() || context.timers.armed(key)) return;
    const auto last = context.regex_refreshes.find(edit.id());
    if (last != context.regex_refreshes.end()) {
        const Duration refresh = milliseconds(context.settings->consumer_regex_refresh_interval_ms);
        const bool unresolved = edit.group().regexes.size() != wanted.size();
        const bool new_topics = context.topic_names_offset > last->second.image_offset;
        if (tick.now <= last->second.at + kResolutionPause) return;
        if (!unresolved && !new_topics && tick.now <= last->second.at + refresh) return;
    }
    context.timers.arm(key, tick.now);
}

void on_regex_timer(GroupContext& context, const Tick& tick, const std::string& id,
                    GroupOutput& out) {
    const Group* known = context.state().find(id);
    if (known == nullptr || !known->is_consumer()) return;
    context.regex_refreshes[id] = {tick.now, context.image->provenance.offset};
    ConsumerEdit edit(context.state(), id);
    bool moved = false;
    for (const std::string& regex : subscribed_regexes(*known->consumer)) {
        wire::ConsumerGroupRegularExpressionValue value;
        value.topics = topics_matching(*context.image, regex);
        value.version = context.image->provenance.offset.value;
        value.timestamp = tick.wall.value;
        const RegexPtr* stored = known->consumer->regexes.find(regex);
        const bool differs =
            stored == nullptr ? !value.topics.empty() : (*stored)->topics != value.topics;
        if (stored != nullptr && !differs) continue;
        edit.add(make_regex_record(id, regex, value));
        moved = moved || differs;
    }
    if (moved) {
        const int64_t hash = group_hash(*context.image, subscribed_names(edit.group()));
        edit.add(make_epoch_record(id, edit.group().epoch + 1, hash));
        context.fresh_epochs[id] = edit.group().epoch;
    }
    context.write(tick, edit.take(), out);
}

}  // namespace millrace::coordinator
