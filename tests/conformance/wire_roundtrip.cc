// tests/conformance/wire_roundtrip.cc: our half of the exchange with WireDriver.java.
//
//   wire_roundtrip check IN            decodes, encodes again and compares every entry
//   wire_roundtrip emit SEED COUNT OUT default, all-null and random instances of every message
//
// `check` prints "GOOD ALL" (message versions) on standard output, what is wrong on standard error.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "wire/testkit.h"

namespace millrace::wire {
namespace {

constexpr int8_t kDefault = 'd';
constexpr int8_t kAllNull = 'n';
constexpr int8_t kRandom = 'r';

std::string id_of(const std::string& name, int version) {
    return name + " v" + std::to_string(version);
}

std::string first_difference(ByteView a, ByteView b) {
    size_t at = 0;
    while (at < a.size && at < b.size && a[at] == b[at]) ++at;
    return "differs from byte " + std::to_string(at) + " (" + std::to_string(a.size) + " and " +
           std::to_string(b.size) + " bytes)";
}

/// Empty when all is well.
std::string problem_of(int8_t kind, const std::string& name, int16_t version, const Buffer& bytes) {
    const WireMessage* message = find_wire_message(name);
    if (message == nullptr) return "no such message";
    if (version < message->version_min || version > message->version_max) return "no such version";
    Reader reader(bytes);
    Writer writer;
    if (!message->round_trip(reader, writer, version)) {
        return reader.ok() ? std::string("not encoded: ") + writer.error()
                           : "not decoded: " + reader.error_text();
    }
    if (reader.remaining() != 0) return "bytes left after decoding";
    const Buffer again = writer.finish_flat();
    if (!(again == bytes)) return first_difference(bytes, again);
    if (kind != kDefault) return "";
    Writer fresh;
    message->write_default(fresh, version);
    if (!fresh.ok()) return std::string("default not encoded: ") + fresh.error();
    const Buffer ours = fresh.finish_flat();
    return ours == bytes ? "" : "default " + first_difference(bytes, ours);
}

int check(const char* path) {
    std::ifstream file(path, std::ios::binary);
    const std::string all((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    Reader stream(Buffer::copy_of(all));
    std::set<std::string> seen;
    std::set<std::string> wrong;
    while (stream.ok() && stream.remaining() > 0) {
        const int8_t kind = stream.i8();
        const std::string name = stream.string(false);
        const int16_t version = stream.i16();
        const Buffer bytes = stream.bytes(false);
        const std::string id = id_of(name, version);
        seen.insert(id);
        const std::string problem = problem_of(kind, name, version, bytes);
        if (!problem.empty() && wrong.insert(id).second) {
            std::fprintf(stderr, "%s kind %c: %s\n", id.c_str(), kind, problem.c_str());
        }
    }
    for (const WireMessage& message : wire_messages()) {
        for (int v = message.version_min; v <= message.version_max; ++v) {
            const std::string id = id_of(message.name, v);
            if (seen.insert(id).second) {
                wrong.insert(id);
                std::fprintf(stderr, "%s: not in the stream\n", id.c_str());
            }
        }
    }
    std::printf("%zu %zu\n", seen.size() - wrong.size(), seen.size());
    return stream.ok() ? 0 : 1;
}

bool put(Writer& out, int8_t kind, const WireMessage& message, int16_t version, Writer body) {
    if (!body.ok()) {
        std::fprintf(stderr, "%s kind %c: %s\n", id_of(message.name, version).c_str(), kind,
                     body.error());
        return false;
    }
    out.i8(kind);
    out.string(message.name, false);
    out.i16(version);
    out.bytes(body.finish_flat(), false);
    return true;
}

int emit(uint64_t seed, int count, const char* path) {
    Rng rng(seed);
    Writer out;
    bool good = true;
    for (const WireMessage& message : wire_messages()) {
        for (int16_t v = message.version_min; v <= message.version_max; ++v) {
            Writer plain;
            message.write_default(plain, v);
            good &= put(out, kDefault, message, v, std::move(plain));
            for (int i = 0; i <= count; ++i) {
                Writer body;
                const FillMode mode = i == 0 ? FillMode::AllNull : FillMode::Random;
                message.write_filled(body, rng, mode, v);
                good &= put(out, i == 0 ? kAllNull : kRandom, message, v, std::move(body));
            }
        }
    }
    const Buffer bytes = out.finish_flat();
    std::ofstream file(path, std::ios::binary);
    file.write(bytes.text().data(), static_cast<std::streamsize>(bytes.size()));
    return good && file.good() ? 0 : 1;
}

}  // namespace
}  // namespace millrace::wire

int main(int argc, char** argv) {
    const std::string verb = argc > 1 ? argv[1] : "";
    if (verb == "check" && argc == 3) return millrace::wire::check(argv[2]);
    if (verb == "emit" && argc == 5) {
        const uint64_t seed = std::strtoull(argv[2], nullptr, 10);
        return millrace::wire::emit(seed, std::atoi(argv[3]), argv[4]);
    }
    std::fprintf(stderr, "usage: wire_roundtrip check IN | emit SEED COUNT OUT\n");
    return 2;
}
