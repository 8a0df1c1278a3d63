// tools/cli/plan_output.cc: a placement plan as JSON (written straight: plans are long) and as
// tables.
#include "cli/plan_output.h"

#include <fmt/core.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "cli/output.h"
#include "cli/plan_state.h"

namespace millrace::cli {
namespace {

using placement::Change;
using placement::PartitionName;
using placement::Plan;
using placement::Spread;

constexpr size_t kMaxRows = 1'000;  // in tables; the JSON has all

class Writer {
  public:
    template <class... Args>
    void add(fmt::format_string<Args...> format, Args&&... args) {
        fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    }
    void quoted(const std::string& text) {
        const bool harmless = std::all_of(text.begin(), text.end(), [](char c) {
            const auto byte = static_cast<unsigned char>(c);
            return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
        });
        if (harmless)
            text_.push_back('"'), plain(text), text_.push_back('"');
        else
            add("{}", Json(text).dump(-1, ' ', false, Json::error_handler_t::replace));
    }
    void name(const PartitionName& name) {
        plain("{\"topic\":");
        quoted(name.topic);
        plain(",\"partition\":");
        number(name.partition);
    }
    void ids(const char* member, const std::vector<int32_t>& ids) {
        plain(",\"");
        plain(member);
        plain("\":[");
        for (size_t i = 0; i < ids.size(); ++i) {
            if (i > 0) text_.push_back(',');
            number(ids[i]);
        }
        text_.push_back(']');
    }
    void number(int64_t value) {
        const fmt::format_int digits(value);
        text_.append(digits.data(), digits.data() + digits.size());
    }
    void plain(std::string_view text) { text_.append(text.data(), text.data() + text.size()); }
    /// Rows of an array, one a line.
    template <class Rows, class Row>
    void rows(const Rows& rows, const Row& row) {
        bool first = true;
        for (const auto& one : rows) {
            add("{}", first ? "\n" : ",\n");
            first = false;
            row(one);
        }
        if (!first) add("\n");
    }
    std::string take() { return fmt::to_string(text_); }

  private:
    fmt::memory_buffer text_;
};

std::string ids_text(const std::vector<int32_t>& ids) {
    return fmt::format("{}", fmt::join(ids, " "));
}

std::string change_text(const Change& change) {
    std::string text;
    for (const int32_t id : change.removing)
        text += fmt::format("{}-{}", text.empty() ? "" : " ", id);
    for (const int32_t id : change.adding)
        text += fmt::format("{}+{}", text.empty() ? "" : " ", id);
    return text.empty() ? "order" : text;
}

std::string from_to(const Spread& spread) {
    return fmt::format("{} → {}", grouped(spread.before), grouped(spread.after));
}

/// "61 → 62%" by broker, once the copies that leave are deleted; nothing for disks of unknown size.
std::map<int32_t, std::string> disk_texts(const Plan& plan, const placement::Snapshot& cluster) {
    std::map<int32_t, int64_t> grows;
    for (const Change& change : plan.changes) {
        if (change.adding.empty()) continue;
        const int64_t bytes = change.bytes / static_cast<int64_t>(change.adding.size());
        for (const int32_t id : change.adding)
            grows[id] += bytes;
        for (const int32_t id : change.removing)
            grows[id] -= bytes;
    }
    std::map<int32_t, std::string> texts;
    for (const placement::Broker& broker : cluster.brokers) {
        int64_t capacity = 0;
        int64_t used = 0;
        for (const placement::LogDir& dir : broker.log_dirs) {
            capacity += dir.capacity_bytes.value_or(0);
            used += dir.capacity_bytes ? dir.used_bytes : 0;
        }
        if (capacity <= 0) continue;
        const auto percent = [capacity](int64_t bytes) {
            return std::llround(100.0 * static_cast<double>(std::max<int64_t>(0, bytes)) /
                                static_cast<double>(capacity));
        };
        texts[broker.id] = fmt::format("{} → {}%", percent(used), percent(used + grows[broker.id]));
    }
    return texts;
}

std::string broker_table(const Plan& plan, int64_t rate, const placement::Snapshot* cluster) {
    std::vector<std::string> headings = {"BROKER",    "RACK",      ">REPLICAS",
                                         ">LEADERS", ">COPY IN", ">COPY OUT"};
    std::map<int32_t, std::string> disks;
    if (cluster != nullptr) disks = disk_texts(plan, *cluster);
    if (!disks.empty()) headings.emplace_back(">DISK");
    if (rate > 0) {
        headings.push_back(">AT " + rate_text(rate));
        headings.emplace_back("");
    }
    const auto busy_of = [](const placement::BrokerLine& line) {
        return std::max(line.bytes_in, line.bytes_out);
    };
    int64_t most = 1;  // somebody who sends or takes something
    for (const placement::BrokerLine& line : plan.brokers)
        most = std::max(most, busy_of(line));
    Table table(headings);
    for (const placement::BrokerLine& line : plan.brokers) {
        std::vector<std::string> cells = {
            fmt::format("{}{}", line.id, line.usable ? "" : " (no target)"), line.labels,
            from_to(line.replicas), from_to(line.leaders),
            line.bytes_in == 0 ? "0" : bytes_text(line.bytes_in),
            line.bytes_out == 0 ? "0" : bytes_text(line.bytes_out)};
        if (!disks.empty()) cells.push_back(disks.contains(line.id) ? disks[line.id] : "?");
        const int64_t busy = busy_of(line);
        if (rate > 0) {
            cells.push_back(busy == 0 ? "-" : duration_text((busy + rate - 1) / rate));
            cells.emplace_back(busy == most ? "◀ slowest" : "");
            if (busy == most) most = 0;  // one of them is enough
        }
        table.add(std::move(cells));
    }
    return table.to_string();
}

std::string skipped_text(const Plan& plan) {
    std::string text;
    for (size_t i = 0; i < plan.skipped.size(); ++i) {
        if (i == placement::kMaxBlocking) {
            text += fmt::format("… and {} more skipped\n",
                                grouped(static_cast<int64_t>(plan.skipped.size() - i)));
            break;
        }
        const placement::Skipped& one = plan.skipped[i];
        text += fmt::format("skipped {}-{}: {}\n", one.name.topic, one.name.partition, one.reason);
    }
    return text;
}

}  // namespace

std::string plan_json(const Plan& plan) {
    Writer out;
    out.add("{{\"version\":1,\"partitions\":[");
    out.rows(plan.changes, [&](const Change& change) {
        out.name(change.name);
        out.ids("replicas", change.to);
        if (!change.log_dirs.empty()) {
            out.add(",\"log_dirs\":[");
            for (size_t i = 0; i < change.log_dirs.size(); ++i) {
                if (i > 0) out.add(",");
                out.quoted(change.log_dirs[i]);
            }
            out.add("]");
        }
        out.add("}}");
    });
    out.add("],\n\"moves\":[");
    out.rows(plan.changes, [&](const Change& change) {
        out.name(change.name);
        out.ids("from", change.from);
        out.ids("to", change.to);
        out.ids("adding", change.adding);
        out.ids("removing", change.removing);
        out.plain(",\"bytes\":");
        out.number(change.bytes);
        out.plain(",\"reason\":");
        out.quoted(change.reason);
        out.plain(",\"wave\":");
        out.number(change.wave);
        out.plain("}");
    });
    out.add("],\n\"waves\":[");
    out.rows(plan.waves, [&](const std::vector<PartitionName>& wave) {
        out.add("[");
        for (size_t i = 0; i < wave.size(); ++i) {
            if (i > 0) out.add(",");
            out.name(wave[i]);
            out.add("}}");
        }
        out.add("]");
    });
    out.add("],\n\"skipped\":[");
    out.rows(plan.skipped, [&](const placement::Skipped& one) {
        out.name(one.name);
        out.add(",\"reason\":");
        out.quoted(one.reason);
        out.add("}}");
    });
    const placement::Summary& sum = plan.summary;
    out.add(
        "],\n\"summary\":{{\"violations_before\":{},\"violations_after\":{},\"replica_moves\":{},"
        "\"bytes_moved\":{},\"leader_changes\":{},\"replica_spread_before\":{},"
        "\"replica_spread_after\":{},\"leader_spread_before\":{},\"leader_spread_after\":{},"
        "\"topic_leader_spread_before\":{},\"topic_leader_spread_after\":{},\"optimal\":{},"
        "\"gap_bytes\":{}}},\n",
        sum.violations_before, sum.violations_after, sum.replica_moves, sum.bytes_moved,
        sum.leader_changes, sum.replica_spread.before, sum.replica_spread.after,
        sum.leader_spread.before, sum.leader_spread.after, sum.topic_leader_spread.before,
        sum.topic_leader_spread.after, sum.optimal, sum.gap_bytes);
    if (plan.metadata_offset)
        out.add("\"metadata_offset\":{},", *plan.metadata_offset);
    else
        out.add("\"metadata_offset\":null,");
    out.add("\"hash\":\"{}\"}}\n", plan.hash);
    return out.take();
}

std::string plan_text(const Plan& plan, int64_t bytes_per_second,
                      const placement::Snapshot* cluster) {
    const placement::Summary& sum = plan.summary;
    const std::string looked_at = counted(plan.partitions_looked_at, "partition");
    if (plan.changes.empty()) {
        const std::string rest =
            sum.violations_after == 0
                ? fmt::format(fmt::runtime(plan.partitions_looked_at == 1 ? "{} is rack-safe"
                                                                          : "all {} are rack-safe"),
                              looked_at)
                : fmt::format("{} of {} not rack-safe, and skipped", grouped(sum.violations_after),
                              looked_at);
        return skipped_text(plan) + "nothing to move: " + rest + "\n";
    }
    Table table({"PARTITION", "NOW", "PLANNED", "CHANGE", ">TO COPY", ">WAVE", "WHY"});
    for (size_t i = 0; i < std::min(kMaxRows, plan.changes.size()); ++i) {
        const Change& change = plan.changes[i];
        table.add({fmt::format("{}-{}", change.name.topic, change.name.partition),
                   ids_text(change.from), ids_text(change.to), change_text(change),
                   change.bytes == 0 ? "0" : bytes_text(change.bytes),
                   fmt::format("{}", change.wave), change.reason});
    }
    std::string text = table.to_string();
    if (plan.changes.size() > kMaxRows)
        text += fmt::format("… and {} more; -o json has all\n",
                            grouped(static_cast<int64_t>(plan.changes.size() - kMaxRows)));
    text += "\n" + broker_table(plan, bytes_per_second, cluster) + "\n" + skipped_text(plan);
    text += fmt::format("not rack-safe   {} → {}      replicas per broker differ by   {}\n",
                        sum.violations_before, sum.violations_after, from_to(sum.replica_spread));
    text += fmt::format("leaders per broker differ by   {}, in the worst topic   {}\n",
                        from_to(sum.leader_spread), from_to(sum.topic_leader_spread));
    text += fmt::format(
        "{}, {} to send in {}{}; {} not touched; {}\n",
        sum.replica_moves == 1 ? "1 copy" : grouped(sum.replica_moves) + " copies",
        sum.bytes_moved == 0 ? "0 bytes" : bytes_text(sum.bytes_moved),
        counted(static_cast<int64_t>(plan.waves.size()), "wave"),
        sum.optimal
            ? ", the least possible"
            : fmt::format(", at most {} above the least possible", bytes_text(sum.gap_bytes)),
        counted(plan.partitions_looked_at - static_cast<int64_t>(plan.changes.size()), "partition"),
        counted(sum.leader_changes, "leader change"));
    return text;
}

std::string refusal_json(const placement::Refusal& refusal) {
    Writer out;
    out.add("{{\"error\":{{\"rule\":");
    out.quoted(refusal.rule);
    out.add(",\"message\":");
    out.quoted(refusal.message);
    out.add(",\"blocking\":[");
    for (size_t i = 0; i < refusal.blocking.size(); ++i) {
        if (i > 0) out.add(",");
        out.name(refusal.blocking[i]);
        out.add("}}");
    }
    out.add("],\"blocking_total\":{}}}}}", refusal.blocking_total);
    return out.take();
}

}  // namespace millrace::cli
