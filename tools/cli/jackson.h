// tools/cli/jackson.h: JSON as Kafka's tools read it: Jackson's errors, Jackson's text of a value.
//
// The tools print what their parser says about a broken file, so the words and the places are
// Jackson's (2.21). Our own commands take line and column from the same reader.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::cli {

struct JacksonValue {
    enum class Kind : uint8_t { Missing, Null, Bool, Int, BigInt, Double, Text, Array, Object };
    Kind kind = Kind::Missing;
    bool truth = false;
    int32_t number = 0;  // of an Int
    std::string text;    // of a Text; the digits of a BigInt or Double as Java prints them
    std::vector<JacksonValue> elements;
    std::vector<std::pair<std::string, JacksonValue>> members;

    /// The member, or nullptr. The last of equal names counts.
    const JacksonValue* get(std::string_view name) const;
    /// JsonNode.toString.
    std::string to_string() const;
};

/// A place in a text; columns count UTF-16 units from 1.
struct JacksonPlace {
    int line = 1;
    int column = 1;
};

struct JacksonProblem {
    std::string message;  // empty: nothing is wrong
    JacksonPlace at;
    bool end_of_input = false;  // JsonEOFException, else JsonParseException
    /// JsonProcessingException.getMessage: the message and a second line with the place.
    std::string to_string() const;
};

/// The first value of the text; what follows it is not looked at. Missing for blank text.
JacksonProblem read_jackson(std::string_view text, JacksonValue& value);

/// Double.toString.
std::string java_double(double value);

}  // namespace millrace::cli
