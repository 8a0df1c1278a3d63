// tools/cli/record_printer.cc: how `consume` shows a record.
#include "cli/record_printer.h"

#include <fmt/core.h>

#include <iostream>

namespace millrace::cli {
namespace {

std::string text_of(const std::optional<ByteView>& bytes) {
    return bytes ? std::string(bytes->text()) : std::string();
}

void put(Json& json, const std::string& name, const std::optional<ByteView>& bytes) {
    if (!bytes)
        json[name] = nullptr;
    else if (is_utf8(bytes->text()))
        json[name] = std::string(bytes->text());
    else
        json[name + "Base64"] = base64(bytes->text());
}

}  // namespace

void RecordPrinter::print(const FetchedRecord& found) const {
    if (json_) {
        std::cout << json_of(found).dump() << '\n';
    } else if (!format_.empty()) {
        std::cout << formatted(found);
    } else {
        std::cout << fmt::format("{} @ {}  {}  ", found.partition.to_string(), found.offset,
                                 time_text(found.timestamp));
        if (found.record.key) std::cout << text_of(found.record.key) << "  ";
        std::cout << (found.record.value ? text_of(found.record.value) : "(null)") << '\n';
    }
}

Json RecordPrinter::json_of(const FetchedRecord& found) const {
    Json line{{"topic", found.partition.topic},
              {"partition", found.partition.partition},
              {"offset", found.offset}};
    line["timestamp"] = found.timestamp < 0 ? Json(nullptr) : Json(rfc3339(found.timestamp));
    put(line, "key", found.record.key);
    put(line, "value", found.record.value);
    Json headers = Json::array();
    record::HeaderView header;
    for (auto walk = found.record.headers(); walk.next(header);) {
        Json one{{"key", std::string(header.key)}};
        put(one, "value", header.value);
        headers.push_back(std::move(one));
    }
    line["headers"] = std::move(headers);
    return line;
}

std::string RecordPrinter::letter(char c, const FetchedRecord& found) const {
    const auto size = [](const std::optional<ByteView>& bytes) {
        return bytes ? std::to_string(bytes->size) : "-1";
    };
    if (c == 't') return found.partition.topic;
    if (c == 'p') return std::to_string(found.partition.partition);
    if (c == 'o') return std::to_string(found.offset);
    if (c == 'T') return std::to_string(found.timestamp);
    if (c == 'k') return text_of(found.record.key);
    if (c == 's') return text_of(found.record.value);
    if (c == 'K') return size(found.record.key);
    if (c == 'S') return size(found.record.value);
    if (c == 'h') {
        std::string text;
        record::HeaderView header;
        for (auto walk = found.record.headers(); walk.next(header);) {
            text += (text.empty() ? "" : ",") + std::string(header.key) + "=";
            text += header.value ? std::string(header.value->text()) : "NULL";
        }
        return text;
    }
    return std::string(1, c);
}

std::string RecordPrinter::formatted(const FetchedRecord& found) const {
    std::string out;
    for (size_t i = 0; i < format_.size(); ++i) {
        const char next = i + 1 < format_.size() ? format_[i + 1] : '\0';
        if (format_[i] == '%' && next != '\0') {
            out += letter(next, found);
            ++i;
        } else if (format_[i] == '\\' && next != '\0') {
            out += next == 'n' ? '\n' : next == 't' ? '\t' : next;
            ++i;
        } else {
            out += format_[i];
        }
    }
    return out;
}

}  // namespace millrace::cli
