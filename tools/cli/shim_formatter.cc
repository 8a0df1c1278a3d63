// tools/cli/shim_formatter.cc: Kafka's DefaultMessageFormatter.
#include "cli/shim_formatter.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>

#include "cli/shim_java.h"
#include "millrace/base/endian.h"

namespace millrace::cli {
namespace {

constexpr std::string_view kDeserializers = "org.apache.kafka.common.serialization.";

template <class Number>
std::string number_text(ByteView bytes) {
    if (bytes.size != sizeof(Number)) {
        throw Failure{kFailed,
                      fmt::format("Size of data received is not {}", sizeof(Number)), ""};
    }
    return std::to_string(load_big<Number>(bytes.data));
}

}  // namespace

ShimFormatter::ShimFormatter(const std::map<std::string, std::string>& properties) {
    const auto flag = [&](const char* key, bool& value) {
        const auto found = properties.find(key);
        if (found == properties.end()) return;
        std::string text = found->second;
        std::erase(text, ' ');
        std::transform(text.begin(), text.end(), text.begin(),
                       [](unsigned char c) { return std::tolower(c); });
        value = text == "true";
    };
    const auto set = [&](const char* key, std::string& value) {
        if (const auto found = properties.find(key); found != properties.end())
            value = found->second;
    };
    flag("print.timestamp", timestamp_);
    flag("print.key", key_);
    flag("print.value", value_);
    flag("print.partition", partition_);
    flag("print.offset", offset_);
    flag("print.delivery", delivery_);
    flag("print.epoch", epoch_);
    flag("print.headers", headers_);
    set("key.separator", key_separator_);
    set("line.separator", line_separator_);
    set("headers.separator", headers_separator_);
    set("null.literal", null_literal_);
    key_decoder_ = decoder_of(properties, "key.deserializer");
    value_decoder_ = decoder_of(properties, "value.deserializer");
    headers_decoder_ = decoder_of(properties, "headers.deserializer");
}

ShimFormatter::Decoder ShimFormatter::decoder_of(
    const std::map<std::string, std::string>& properties, const char* key) {
    const auto found = properties.find(key);
    if (found == properties.end()) return Decoder::Bytes;
    std::string_view name = found->second;
    if (name.starts_with(kDeserializers)) {
        name.remove_prefix(kDeserializers.size());
        if (name == "StringDeserializer") return Decoder::Text;
        if (name == "ShortDeserializer") return Decoder::Short;
        if (name == "IntegerDeserializer") return Decoder::Integer;
        if (name == "LongDeserializer") return Decoder::Long;
    }
    java_log("ERROR", "Unable to instantiate a deserializer from " + found->second,
             "org.apache.kafka.tools.consumer.DefaultMessageFormatter");
    return Decoder::Bytes;
}

std::string ShimFormatter::decoded(Decoder decoder, const std::optional<ByteView>& bytes) const {
    const ByteView view = bytes ? *bytes : ByteView(null_literal_);
    switch (decoder) {
        case Decoder::Bytes:
        case Decoder::Text: return std::string(view.text());
        case Decoder::Short: return number_text<int16_t>(view);
        case Decoder::Integer: return number_text<int32_t>(view);
        case Decoder::Long: return number_text<int64_t>(view);
    }
    return "";
}

std::string ShimFormatter::headers_of(const FetchedRecord& found) const {
    if (found.record.header_count == 0) return "NO_HEADERS";
    std::string text;
    record::HeaderView header;
    for (auto walk = found.record.headers(); walk.next(header);) {
        if (!text.empty()) text += headers_separator_;
        text += std::string(header.key) + ":" + decoded(headers_decoder_, header.value);
    }
    return text;
}

std::string ShimFormatter::text_of(const FetchedRecord& found) const {
    std::string text;
    const auto column = [&](const std::string& what, bool more) {
        text += what + (more ? key_separator_ : line_separator_);
    };
    const bool data = key_ || value_;
    if (timestamp_) {
        const std::string type = found.log_append_time ? "LogAppendTime" : "CreateTime";
        column(type + ":" + std::to_string(found.timestamp),
               partition_ || offset_ || delivery_ || epoch_ || headers_ || data);
    }
    if (partition_) {
        column("Partition:" + std::to_string(found.partition.partition),
               offset_ || delivery_ || epoch_ || headers_ || data);
    }
    if (offset_) {
        column("Offset:" + std::to_string(found.offset), delivery_ || epoch_ || headers_ || data);
    }
    // The console consumer hands neither on to its formatter.
    if (delivery_) column("Delivery:NOT_PRESENT", epoch_ || headers_ || data);
    if (epoch_) column("Epoch:NOT_PRESENT", headers_ || data);
    if (headers_) column(headers_of(found), data);
    if (key_) column(decoded(key_decoder_, found.record.key), value_);
    if (value_) text += decoded(value_decoder_, found.record.value) + line_separator_;
    return text;
}

}  // namespace millrace::cli
