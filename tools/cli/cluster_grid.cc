// tools/cli/cluster_grid.cc: brokers drawn where they stand, fault domains down, update domains
// across.
#include <fmt/core.h>

#include <algorithm>

#include "cli/cluster_state.h"
#include "cli/output.h"

namespace millrace::cli {
namespace {

constexpr int kWarnPercent = 85;
constexpr size_t kBarCells = 10;
constexpr size_t kMaxColumns = 12;  // wider than any terminal; the table below says the same

struct Signs {
    const char *up, *warning, *down, *star, *none, *full, *empty;
    const char *horizontal, *vertical;
    const char* corners[3][3];
};
constexpr Signs kUtf8{"●", "▲", "✖", "★", "—", "█", "░", "─", "│",
                      {{"┌", "┬", "┐"}, {"├", "┼", "┤"}, {"└", "┴", "┘"}}};
constexpr Signs kAscii{"*", "!", "x", "L", "-", "#", ".", "-", "|",
                       {{"+", "+", "+"}, {"+", "+", "+"}, {"+", "+", "+"}}};

size_t width_of(const std::string& text) {
    return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
    }));
}

std::string repeat(const char* text, size_t times) {
    std::string all;
    for (size_t i = 0; i < times; ++i)
        all += text;
    return all;
}

class Grid {
  public:
    Grid(const ClusterState& state, const Signs& signs) : state_(state), signs_(signs) {
        for (const Domain& domain : domains_of(state))
            (domain.axis == "fd" ? rows_ : columns_).push_back(domain);
    }

    bool drawable() const {
        if (rows_.empty() || columns_.empty() || columns_.size() > kMaxColumns) return false;
        return std::all_of(state_.brokers.begin(), state_.brokers.end(), [&](const auto& b) {
            return state_.labels_of(b.id).labels.size() == 2;
        });
    }

    std::string draw() {
        std::vector<std::vector<std::vector<std::string>>> cells;
        size_t width = 12;
        size_t margin = 0;
        for (const Domain& row : rows_) {
            margin = std::max(margin, row.name.size());
            auto& line = cells.emplace_back();
            for (const Domain& column : columns_) {
                line.push_back(cell(row, column));
                for (const std::string& text : line.back())
                    width = std::max(width, width_of(text));
            }
        }
        const std::string left(margin + 3, ' ');
        std::string text = left;
        for (const Domain& column : columns_)
            text += fmt::format("  {:<{}}", column.name, width + 1);
        while (text.ends_with(' '))
            text.pop_back();
        text += "\n" + rule(left, width, 0);
        for (size_t r = 0; r < rows_.size(); ++r) {
            if (r > 0) text += rule(left, width, 1);
            text += row_text(rows_[r].name, margin, cells[r], width);
        }
        text += rule(left, width, 2);
        return text + left +
               fmt::format("L leaders  R replicas  % disk     {} up   {} warning   {} down   {} no "
                           "broker here\n",
                           signs_.up, signs_.warning, signs_.down, signs_.none);
    }

  private:
    std::string rule(const std::string& left, size_t width, size_t which) const {
        std::string text = left;
        for (size_t c = 0; c < columns_.size(); ++c)
            text += signs_.corners[which][c == 0 ? 0 : 1] + repeat(signs_.horizontal, width + 2);
        return text + signs_.corners[which][2] + "\n";
    }

    std::string row_text(const std::string& name, size_t margin,
                         const std::vector<std::vector<std::string>>& cells, size_t width) const {
        size_t height = 1;
        for (const auto& cell : cells)
            height = std::max(height, cell.size());
        std::string text;
        for (size_t i = 0; i < height; ++i) {
            text += fmt::format(" {:<{}}  ", i == (height - 1) / 2 ? name : "", margin);
            for (const auto& cell : cells) {
                const std::string line = i < cell.size() ? cell[i] : "";
                text += std::string(signs_.vertical) + " " + line +
                        std::string(width - width_of(line) + 1, ' ');
            }
            text += std::string(signs_.vertical) + "\n";
        }
        return text;
    }

    std::vector<std::string> cell(const Domain& row, const Domain& column) const {
        std::vector<std::string> lines;
        for (const ClusterBroker& broker : state_.brokers) {
            const auto in = [&](const Domain& domain) {
                return std::find(domain.brokers.begin(), domain.brokers.end(), broker.id) !=
                       domain.brokers.end();
            };
            if (in(row) && in(column)) add_broker(broker, lines);
        }
        if (lines.empty()) lines = {"", std::string(6, ' ') + signs_.none, ""};
        return lines;
    }

    void add_broker(const ClusterBroker& broker, std::vector<std::string>& lines) const {
        const bool known = broker.disk_total > 0;
        const bool full = known && broker.disk_percent() >= kWarnPercent;
        const bool warning = full || !broker.answers || broker.cordoned();
        std::string first = fmt::format(
            "{} {}", broker.fenced ? signs_.down : warning ? signs_.warning : signs_.up, broker.id);
        if (broker.fenced)
            first += "  DOWN";
        else if (!broker.answers)
            first += "  SILENT";
        else if (broker.cordoned())
            first += "  CORDONED";
        else if (broker.id == state_.quorum_leader)
            first += fmt::format("  {} leader", signs_.star);
        lines.push_back(first);
        lines.push_back(fmt::format("L{:>3} R{:>3}  {}", broker.leaders, broker.replicas,
                                    known ? fmt::format("{:>3}%", broker.disk_percent()) : "  ?"));
        if (!known) return;
        const size_t filled = (static_cast<size_t>(broker.disk_percent()) * kBarCells + 50) / 100;
        lines.push_back(repeat(signs_.full, std::min(filled, kBarCells)) +
                        repeat(signs_.empty, kBarCells - std::min(filled, kBarCells)));
    }

    const ClusterState& state_;
    const Signs& signs_;
    std::vector<Domain> rows_;
    std::vector<Domain> columns_;
};

}  // namespace

std::string grid_text(const ClusterState& state, bool utf8) {
    Grid grid(state, utf8 ? kUtf8 : kAscii);
    return grid.drawable() ? grid.draw() : "";
}

}  // namespace millrace::cli
