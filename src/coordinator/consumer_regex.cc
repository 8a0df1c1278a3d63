// src/coordinator/consumer_regex.cc: when the expressions of a group are resolved, and to what.
//
// Source: coordinators.md 4.9; GroupMetadataManager.maybeUpdateRegularExpressions. Kafka resolves
// on another thread; here it is a row of short events after the heartbeat has been answered.
#include "coordinator/consumer_group.h"
#include "coordinator/group_records.h"
#include "coordinator/regex.h"
#include "coordinator/topic_hash.h"

namespace millrace::coordinator {

namespace {

constexpr Duration kResolutionPause = milliseconds(10'000);  // between two of one group
/// One event looks at one expression and so many topics; the rest waits for the next one.
constexpr size_t kTopicsPerEvent = 10'000;
constexpr Duration kSlicePause = milliseconds(1);

std::set<std::string> subscribed_regexes(const ConsumerGroup& group) {
    std::set<std::string> regexes;
    for (const auto& [id, member] : group.members) {
        if (!member->regex().empty()) regexes.insert(member->regex());
    }
    return regexes;
}

void resolve_slice(RegexResolution& work) {
    if (work.left.empty()) return;
    const std::string& regex = *work.left.begin();
    auto rest = match_topics(*work.image, regex, work.from, kTopicsPerEvent, work.found[regex]);
    work.from = rest.value_or("");
    if (!rest) work.left.erase(work.left.begin());
}

/// One bump for all expressions whose topics changed.
void write_resolved(GroupContext& context, const Tick& tick, const std::string& id,
                    const RegexResolution& done, GroupOutput& out) {
    ConsumerEdit edit(context.state(), id);
    const std::set<std::string> wanted = subscribed_regexes(edit.group());
    bool moved = false;
    for (const auto& [regex, topics] : done.found) {
        if (!wanted.contains(regex)) continue;  // nobody has it any more
        const RegexPtr* stored = edit.group().regexes.find(regex);
        const bool differs = stored == nullptr ? !topics.empty() : (*stored)->topics != topics;
        if (stored != nullptr && !differs) continue;
        wire::ConsumerGroupRegularExpressionValue value;
        value.topics = topics;
        value.version = done.image->provenance.offset.value;
        value.timestamp = tick.wall.value;
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
    if (known == nullptr || !known->is_consumer()) {
        context.regex_resolutions.erase(id);
        return;
    }
    const auto [at, begun] = context.regex_resolutions.try_emplace(id);
    if (begun) {
        at->second.image = context.image;
        at->second.left = subscribed_regexes(*known->consumer);
        context.regex_refreshes[id] = {tick.now, context.image->provenance.offset};
    }
    resolve_slice(at->second);
    if (!at->second.left.empty()) {
        context.timers.arm({TimerKind::Regex, id, ""}, tick.now + kSlicePause);
        return;
    }
    const RegexResolution done = std::move(at->second);
    context.regex_resolutions.erase(at);
    write_resolved(context, tick, id, done, out);
}

}  // namespace millrace::coordinator
