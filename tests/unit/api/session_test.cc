// tests/unit/api/session_test.cc: a session from bytes to bytes.
#include "millrace/api/session.h"

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "millrace/api/dispatch.h"
#include "millrace/base/endian.h"
#include "millrace/base/error_code.h"
#include "millrace/base/log.h"
#include "millrace/wire/gen/api_versions_request.h"
#include "millrace/wire/gen/api_versions_response.h"
#include "millrace/wire/headers.h"

namespace millrace::api {
namespace {

std::vector<std::string> logged;
std::deque<ServeCall> parked;

void keep_line(LogLevel, const LogChannel&, std::string_view line) { logged.emplace_back(line); }
void park(ServeCall&& call) { parked.push_back(std::move(call)); }

std::string frame(std::string_view body) {
    std::string bytes(4, '\0');
    store_big(reinterpret_cast<uint8_t*>(bytes.data()), static_cast<int32_t>(body.size()));
    return bytes + std::string(body);
}

std::string head_bytes(int16_t key, int16_t version, int32_t correlation, std::string_view client,
                       bool flexible) {
    wire::Writer writer;
    writer.i16(key);
    writer.i16(version);
    writer.i32(correlation);
    writer.string(client, false);
    if (flexible) writer.uvarint(0);
    return std::string(writer.finish_flat().text());
}

std::string api_versions(int32_t correlation, int16_t version = 3, std::string name = "test",
                         std::string client = "me") {
    wire::ApiVersionsRequest request;
    request.client_software_name = std::move(name);
    request.client_software_version = "1.0";
    wire::Writer writer;
    request.encode(writer, version);
    const Buffer body = writer.finish_flat();
    return frame(head_bytes(18, version, correlation, client, version >= 3) +
                 std::string(body.text()));
}

/// A frame that passes parse_head (Metadata v0 on a Broker listener), with `body_bytes` behind.
std::string big_request(int32_t correlation, size_t body_bytes) {
    return frame(head_bytes(3, 0, correlation, "me", false) + std::string(body_bytes, 'b'));
}

std::string answer_of(int32_t correlation, size_t bytes = 4) {
    std::string body(bytes, 'a');
    store_big(reinterpret_cast<uint8_t*>(body.data()), correlation);
    return frame(body);
}

class SessionTest : public ::testing::Test {
  protected:
    void SetUp() override {
        logged.clear();
        parked.clear();
        set_log_sink(keep_line);
        set_log_level(LogLevel::Info);
    }
    void TearDown() override {
        session.reset();
        parked.clear();
        set_log_sink(nullptr);
    }
    void open(SessionHost::Options wanted = {}, ConnectionFacts facts = {}) {
        facts.listener = "PLAINTEXT";
        facts.peer_host = "10.0.0.7";
        facts.peer_port = 5123;
        session.reset();  // before its host
        host = std::make_unique<SessionHost>(nullptr, wanted);
        session = std::make_unique<Session>(*host, facts, [this] { wakes += 1; });
    }
    void open_parking(SessionHost::Options wanted = {}) {
        wanted.serve_instead = park;
        open(wanted);
    }
    /// Copies `bytes` into the room the session gives, at most `step` at once; stops without room.
    size_t give(std::string_view bytes, size_t step = SIZE_MAX) {
        size_t given = 0;
        while (given < bytes.size()) {
            const ReceiveRoom room = session->receive_room();
            if (room.size() == 0) break;
            size_t count = std::min({bytes.size() - given, step, room.size()});
            const size_t first = std::min(count, room.parts[0].size);
            if (first > 0) std::memcpy(room.parts[0].data, bytes.data() + given, first);
            if (count > first) {
                std::memcpy(room.parts[1].data, bytes.data() + given + first, count - first);
            }
            given += count;
            session->on_received(count, now);
        }
        return given;
    }
    void give_to(std::unique_ptr<Session>& other, std::string_view bytes) {
        other.swap(session);
        EXPECT_EQ(give(bytes), bytes.size());
        other.swap(session);
    }
    /// Everything that is ready, reported as sent.
    std::string take() {
        BufferChain out;
        session->take_output(out);
        session->on_sent(out.size());
        return out.empty() ? std::string() : std::string(out.flatten()->text());
    }
    /// Correlation ids of the answers that are ready.
    std::vector<int32_t> take_ids() {
        const std::string bytes = take();
        std::vector<int32_t> ids;
        for (size_t at = 0; at < bytes.size();) {
            const uint8_t* data = reinterpret_cast<const uint8_t*>(bytes.data()) + at;
            ids.push_back(load_big<int32_t>(data + 4));
            at += 4 + static_cast<size_t>(load_big<int32_t>(data));
        }
        return ids;
    }
    static void answer(size_t index, size_t bytes = 4) {
        const RequestContext& context = parked[index].context;
        context.slot.answer(
            BufferChain(Buffer::copy_of(answer_of(context.correlation_id, bytes))));
    }

    std::unique_ptr<SessionHost> host;
    std::unique_ptr<Session> session;
    Instant now{1'000'000'000};
    int wakes = 0;
};

wire::ApiVersionsResponse decode_answer(const std::string& bytes, int16_t version) {
    wire::Reader reader(Buffer::copy_of(std::string_view(bytes).substr(8)));
    wire::ApiVersionsResponse response;
    EXPECT_TRUE(response.decode(reader, version));
    EXPECT_EQ(reader.remaining(), 0U);
    return response;
}

TEST_F(SessionTest, AnswersApiVersionsWithHeaderV0) {
    open();
    give(api_versions(77, 3));
    const std::string bytes = take();
    ASSERT_GT(bytes.size(), 8U);
    EXPECT_EQ(load_big<int32_t>(reinterpret_cast<const uint8_t*>(bytes.data()) + 4), 77);
    const auto response = decode_answer(bytes, 3);
    EXPECT_EQ(response.error_code, 0);
    EXPECT_EQ(response.api_keys.front().api_key, 0);
    EXPECT_EQ(response.api_keys.front().min_version, 0) << "Produce is advertised from 0";
    EXPECT_EQ(session->facts().client_software_name, "test");
    EXPECT_EQ(session->facts().client_id, "me");
    EXPECT_EQ(wakes, 0) << "inline answers need no wake";
}

TEST_F(SessionTest, UnknownApiVersionsVersionIsAnsweredInV0AndStays) {
    open();
    for (const int16_t version : {int16_t{99}, int16_t{5}, int16_t{-1}}) {
        give(frame(head_bytes(18, version, 5, "c", true)));
        const auto response = decode_answer(take(), 0);
        EXPECT_EQ(response.error_code, 35);
        ASSERT_EQ(response.api_keys.size(), 1U);
        EXPECT_EQ(response.api_keys[0].api_key, 18);
        EXPECT_EQ(response.api_keys[0].max_version, 4);
        EXPECT_FALSE(session->closing());
    }
    // Without the tag section the header of the unknown version does not parse.
    give(frame(head_bytes(18, 99, 5, "c", false)));
    EXPECT_TRUE(session->closing());
}

TEST_F(SessionTest, BadClientSoftwareNameIsRefusedAndTheConnectionStays) {
    open();
    for (const char* name : {"", "-x", "x-", "a b", "\xc3\xa4"}) {
        give(api_versions(1, 3, name));
        const auto response = decode_answer(take(), 3);
        EXPECT_EQ(response.error_code, static_cast<int16_t>(ErrorCode::InvalidRequest)) << name;
        EXPECT_TRUE(response.api_keys.empty());
        EXPECT_FALSE(session->closing());
    }
    EXPECT_EQ(session->facts().client_software_name, "unknown");
}

TEST_F(SessionTest, RequestsSplitAtEveryByteAreServedTheSame) {
    open();
    give(api_versions(1) + api_versions(2, 0) + api_versions(3, 4));
    const std::string whole = take();
    for (const size_t step : {1U, 2U, 3U, 5U, 7U, 30U, 64U}) {
        open();
        give(api_versions(1) + api_versions(2, 0) + api_versions(3, 4), step);
        EXPECT_EQ(take(), whole) << step;
    }
    const std::string two = api_versions(1) + api_versions(2);
    for (size_t cut = 0; cut <= two.size(); ++cut) {
        open();
        give(std::string_view(two).substr(0, cut));
        give(std::string_view(two).substr(cut));
        EXPECT_EQ(take_ids(), (std::vector<int32_t>{1, 2})) << cut;
    }
}

struct CloseCase {
    const char* name;
    std::string bytes;
    std::string said;  // part of the log line
};

TEST_F(SessionTest, ClosesWithOneLineAndNoAnswer) {
    const std::string junk_head = head_bytes(999, 0, 1, "c", false);
    const std::vector<CloseCase> cases = {
        {"negative size", std::string("\xff\xff\xff\xff", 4), "frame of -1 bytes"},
        {"2 GiB", std::string("\x7f\xff\xff\xff", 4), "frame of 2147483647 bytes"},
        {"above the limit", std::string("\x06\x40\x00\x01", 4), "frame of 104857601 bytes"},
        {"HTTP", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP"},
        {"TLS", std::string("\x16\x03\x01\x02\x00\x01", 6), "TLS"},
        {"empty frame", frame(""), "too short"},
        {"seven bytes", frame("1234567"), "too short"},
        {"unknown key", frame(junk_head), "api 999 v0: unknown API"},
        {"negative key", frame(head_bytes(-5, 0, 1, "c", false)), "unknown API"},
        {"key without versions", frame(head_bytes(5, 0, 1, "c", false)), "unknown API"},
        {"controller's API", frame(head_bytes(52, 0, 1, "c", true)), "Vote v0"},
        {"Produce v2", frame(head_bytes(0, 2, 1, "c", false)), "Produce v2: unsupported version"},
        {"Produce v14", frame(head_bytes(0, 14, 1, "c", true)), "Produce v14: unsupported"},
        {"InitProducerId v6", frame(head_bytes(22, 6, 1, "c", true)), "InitProducerId v6"},
        {"client id beyond the frame", frame(std::string("\0\x12\0\0\0\0\0\1\x7f\xff", 10)),
         "malformed request header"},
        {"client id of length -2", frame(std::string("\0\x12\0\0\0\0\0\1\xff\xfe", 10)),
         "malformed request header"},
        {"body cut off", frame(head_bytes(18, 3, 1, "c", true) + "\x05" "ab"),
         "ApiVersions v3: the body does not parse"},
    };
    for (const CloseCase& c : cases) {
        open();
        logged.clear();
        give(c.bytes);
        EXPECT_TRUE(session->closing()) << c.name;
        EXPECT_EQ(take(), "") << c.name;
        ASSERT_EQ(logged.size(), 1U) << c.name;
        EXPECT_NE(logged[0].find("10.0.0.7:5123"), std::string::npos) << logged[0];
        EXPECT_NE(logged[0].find(c.said), std::string::npos) << logged[0];
        EXPECT_EQ(session->receive_room().size(), 0U) << "a closing session reads nothing";
    }
}

TEST_F(SessionTest, APortScanDoesNotFillTheLog) {
    open();
    const auto close_one = [this] {
        session = std::make_unique<Session>(*host, ConnectionFacts{}, [] {});
        give(frame(""));
        EXPECT_TRUE(session->closing());
    };
    for (int i = 0; i < 500; ++i) close_one();
    EXPECT_EQ(logged.size(), kCloseLinesPerSecondMax);
    now = now + seconds(2);
    close_one();
    ASSERT_EQ(logged.size(), kCloseLinesPerSecondMax + 2);
    EXPECT_NE(logged[kCloseLinesPerSecondMax].find("400 more"), std::string::npos);
}

TEST_F(SessionTest, TrailingBytesOfABodyAndUnknownTagsAreIgnored) {
    open();
    std::string request = api_versions(9);
    request = frame(request.substr(4) + "trailing");
    give(request);
    EXPECT_EQ(take_ids(), std::vector<int32_t>{9});
    // A header tag 7 with three bytes.
    std::string head = head_bytes(18, 3, 10, "c", false) + std::string("\x01\x07\x03xyz", 6);
    give(frame(head + std::string("\x02" "a\x02" "1\x00", 5)));
    EXPECT_EQ(take_ids(), std::vector<int32_t>{10});
}

TEST_F(SessionTest, NullClientIdIsEmpty) {
    open();
    give(frame(std::string("\0\x12\0\0\0\0\0\3\xff\xff", 10)));
    EXPECT_EQ(take_ids(), std::vector<int32_t>{3});
    EXPECT_EQ(session->facts().client_id, "");
}

TEST_F(SessionTest, LateAnswersLeaveInTheOrderOfTheRequests) {
    open_parking();
    give(big_request(1, 0) + big_request(2, 0) + big_request(3, 0));
    ASSERT_EQ(parked.size(), 3U);
    answer(2);
    EXPECT_EQ(wakes, 1);
    session->resume(now);
    EXPECT_EQ(take_ids(), std::vector<int32_t>{});
    answer(0);
    EXPECT_EQ(wakes, 2);
    session->resume(now);
    EXPECT_EQ(take_ids(), std::vector<int32_t>{1});
    answer(1);
    session->resume(now);
    EXPECT_EQ(take_ids(), (std::vector<int32_t>{2, 3}));
    EXPECT_EQ(session->in_flight(), 0U);
}

TEST_F(SessionTest, AnswersAfterTheEndAreDropped) {
    open_parking();
    give(big_request(1, 0));
    session.reset();
    EXPECT_FALSE(parked[0].context.connected());
    answer(0);  // without effect
    parked[0].context.throttle(seconds(1));
    parked[0].context.close_connection("gone");
    EXPECT_EQ(wakes, 0);
}

TEST_F(SessionTest, ARequestWithoutAnswerDoesNotHoldTheOthers) {
    open_parking();
    give(big_request(1, 0) + big_request(2, 0));
    parked[0].context.expect_no_answer();
    answer(1);
    answer(0);  // what the Reply gives later is thrown away
    session->resume(now);
    EXPECT_EQ(take_ids(), std::vector<int32_t>{2});
}

TEST_F(SessionTest, AHandlerMayCloseTheConnection) {
    open_parking();
    give(big_request(1, 0) + big_request(2, 0));
    answer(0);
    parked[1].context.close_connection("acks=0 with an error");
    session->resume(now);
    EXPECT_TRUE(session->closing());
    EXPECT_EQ(take_ids(), std::vector<int32_t>{1}) << "earlier answers still leave";
    ASSERT_EQ(logged.size(), 1U);
    EXPECT_NE(logged[0].find("Metadata v0: acks=0 with an error"), std::string::npos) << logged[0];
}

TEST_F(SessionTest, InFlightBoundStopsReadingAndServing) {
    SessionHost::Options options;
    options.limits.in_flight_max = 2;
    open_parking(options);
    give(big_request(1, 0) + big_request(2, 0) + big_request(3, 0) + big_request(4, 0));
    EXPECT_EQ(parked.size(), 2U);
    EXPECT_EQ(session->receive_room().size(), 0U);
    answer(0);
    session->resume(now);
    EXPECT_EQ(take_ids(), std::vector<int32_t>{1});
    EXPECT_EQ(parked.size(), 3U);
    EXPECT_FALSE(session->wants_resume());
    answer(1);
    answer(2);
    session->resume(now);
    EXPECT_EQ(take_ids(), (std::vector<int32_t>{2, 3}));
    EXPECT_EQ(parked.size(), 4U);
    EXPECT_GT(session->receive_room().size(), 0U);
}

TEST_F(SessionTest, FinishedRequestsBehindAnUnansweredOneAreBounded) {
    SessionHost::Options options;
    options.limits.slots_max = 3;
    open_parking(options);
    give(big_request(1, 0) + big_request(2, 0) + big_request(3, 0) + big_request(4, 0));
    ASSERT_EQ(parked.size(), 3U);
    answer(1);
    answer(2);
    session->resume(now);
    EXPECT_EQ(parked.size(), 3U) << "answered, but none may leave before the first";
    EXPECT_EQ(session->receive_room().size(), 0U);
    answer(0);
    session->resume(now);
    EXPECT_EQ(take_ids(), (std::vector<int32_t>{1, 2, 3}));
    session->resume(now);
    EXPECT_EQ(parked.size(), 4U);
}

TEST_F(SessionTest, UnsentAnswersStopReading) {
    SessionHost::Options options;
    options.limits.unsent_answer_bytes_max = 100;
    open_parking(options);
    give(big_request(1, 0));
    answer(0, 200);
    session->resume(now);
    BufferChain out;
    EXPECT_TRUE(session->take_output(out));
    EXPECT_EQ(session->receive_room().size(), 0U) << "the peer does not read";
    session->on_sent(150);
    EXPECT_GT(session->receive_room().size(), 0U);
}

TEST_F(SessionTest, ThrottleSendsAtOnceThenReadsNothing) {
    open_parking();
    give(big_request(1, 0) + big_request(2, 0));
    ASSERT_EQ(parked.size(), 2U);
    parked[0].context.throttle(milliseconds(500));
    answer(0);
    answer(1);
    session->resume(now);
    EXPECT_EQ(take_ids(), (std::vector<int32_t>{1, 2}));
    EXPECT_EQ(session->wake_at(), now + milliseconds(500));
    EXPECT_EQ(session->receive_room().size(), 0U);
    now = now + milliseconds(500);
    session->resume(now);
    EXPECT_EQ(session->wake_at(), Instant::never());
    EXPECT_GT(session->receive_room().size(), 0U);
}

TEST_F(SessionTest, LargeFramesAreReceivedIntoTheirFinalPlace) {
    open_parking();
    for (const size_t bytes : {40U << 10, 200U << 10, 1U << 20, 5U << 20}) {
        parked.clear();
        std::string request = big_request(1, bytes) + big_request(2, bytes) + big_request(3, 10);
        for (size_t i = 20; i < bytes; ++i) request[i] = static_cast<char>(i * 131);
        EXPECT_EQ(give(request), request.size());
        ASSERT_EQ(parked.size(), 3U) << bytes;
        EXPECT_EQ(parked[0].frame.text(), std::string_view(request).substr(4, 12 + bytes));
        EXPECT_EQ(parked[2].frame.size(), 22U);
        for (size_t i = 0; i < 3; ++i) answer(i);
        session->resume(now);
        EXPECT_EQ(take_ids().size(), 3U);
    }
}

TEST_F(SessionTest, AHugeDeclaredSizeTakesNoMoreThanWhatArrives) {
    open_parking();
    std::string start = big_request(1, 0);
    store_big(reinterpret_cast<uint8_t*>(start.data()), int32_t{100 << 20});
    give(start);
    EXPECT_LE(session->receive_room().parts[0].size, kLargeFrameBytes);
    give(std::string(3U << 20, 'x'), 100'000);
    EXPECT_LE(session->receive_room().parts[0].size, 4U << 20);
}

TEST_F(SessionTest, LargeFrameBudgetMakesTheSecondWait) {
    SessionHost::Options options;
    options.large_frame_bytes_max = 1;
    open_parking(options);
    Session second(*host, ConnectionFacts{}, [this] { wakes += 1; });
    const std::string request = big_request(1, 3U << 20);
    give(std::string_view(request).substr(0, 2U << 20));
    // The second connection may fill the first part of its frame, then waits for the budget.
    size_t given = 0;
    while (true) {
        const ReceiveRoom room = second.receive_room();
        if (room.size() == 0) break;
        const size_t count = std::min(room.size(), request.size() - given);
        size_t first = std::min(count, room.parts[0].size);
        if (first > 0) std::memcpy(room.parts[0].data, request.data() + given, first);
        if (count > first) {
            std::memcpy(room.parts[1].data, request.data() + given + first, count - first);
        }
        given += count;
        second.on_received(count, now);
    }
    EXPECT_LT(given, request.size());
    EXPECT_EQ(wakes, 0);
    give(std::string_view(request).substr(2U << 20));
    ASSERT_EQ(parked.size(), 1U);
    answer(0);
    EXPECT_EQ(wakes, 2) << "the first for its answer, the second for the budget";
    second.resume(now);
    EXPECT_GT(second.receive_room().size(), 0U);
}

TEST_F(SessionTest, ALargeFrameThatStallsGivesWayToThoseWhoSend) {
    SessionHost::Options options;
    options.large_frame_bytes_max = 1;
    open_parking(options);
    std::string start(4, '\0');
    store_big(reinterpret_cast<uint8_t*>(start.data()), int32_t{100 << 20});
    int other_wakes = 0;
    auto silent = std::make_unique<Session>(*host, ConnectionFacts{}, [&] { other_wakes += 1; });
    give_to(silent, start + std::string(1'300'000, 'x'));
    EXPECT_EQ(session->wake_at(), Instant::never());
    const std::string request = big_request(1, 3U << 20);
    const size_t given = give(request);
    ASSERT_LT(given, request.size()) << "the budget is used up";
    ASSERT_EQ(session->wake_at(), now + kFrameStallMax);

    // Too little in the whole time is a stall, too.
    now = now + (kFrameStallMax - Duration{1});
    give_to(silent, std::string(kFrameProgressBytesMin - 1, 'x'));
    session->resume(now);
    EXPECT_FALSE(silent->closing());
    now = now + Duration{1};
    session->resume(now);
    EXPECT_TRUE(silent->closing());
    EXPECT_EQ(other_wakes, 1);
    silent.reset();
    EXPECT_EQ(wakes, 1);
    session->resume(now);
    give(std::string_view(request).substr(given));
    EXPECT_EQ(parked.size(), 1U);
}

TEST_F(SessionTest, ALargeFrameThatGoesOnIsNotClosedWhileOthersWait) {
    SessionHost::Options options;
    options.large_frame_bytes_max = 1;
    open_parking(options);
    const std::string request = big_request(1, 3U << 20);
    auto slow = std::make_unique<Session>(*host, ConnectionFacts{}, [] {});
    give_to(slow, std::string_view(request).substr(0, 2U << 20));
    ASSERT_LT(give(request), request.size());
    for (size_t i = 0; i < 4; ++i) {
        now = now + (kFrameStallMax - Duration{1});
        session->resume(now);
        ASSERT_FALSE(slow->closing());
        give_to(slow, std::string(kFrameProgressBytesMin, 'b'));
    }
    slow.reset();
}

TEST_F(SessionTest, QueuedBytesBoundStopsServingUntilAnswered) {
    SessionHost::Options options;
    options.queued_request_bytes_max = 50;
    open_parking(options);
    give(big_request(1, 60) + big_request(2, 60));
    EXPECT_EQ(parked.size(), 1U) << "one may overshoot";
    answer(0);
    session->resume(now);
    EXPECT_EQ(parked.size(), 2U);
}

TEST_F(SessionTest, BeforeAuthenticationLittleIsAllowed) {
    ConnectionFacts facts;
    facts.security = SecurityProtocol::SaslPlaintext;
    open({}, facts);
    give(api_versions(1));
    EXPECT_EQ(take_ids(), std::vector<int32_t>{1});
    give(std::string("\x00\x08\x00\x01", 4));
    EXPECT_TRUE(session->closing()) << "524289 bytes before authentication";
    open({}, facts);
    give(big_request(1, 5));
    EXPECT_TRUE(session->closing());
    EXPECT_NE(logged.back().find("before authentication"), std::string::npos);
}

TEST_F(SessionTest, ManySmallRequestsReuseTheSlab) {
    open();
    std::string requests;
    for (int i = 0; i < 5000; ++i) requests += api_versions(i, 3, "-");
    for (int round = 0; round < 20; ++round) {
        EXPECT_EQ(give(requests), requests.size());
        EXPECT_EQ(take_ids().size(), 5000U);
    }
    EXPECT_LE(host->pool().misses(), 4U);
}

TEST(TextForLogs, ClientIdsCannotForgeLines) {
    logged.clear();
    set_log_sink(keep_line);
    set_log_level(LogLevel::Info);
    SessionHost host(nullptr, {});
    {
        Session session(host, ConnectionFacts{}, {});
        const std::string request = api_versions(1, 0, "x", "evil\nINFO fake \x1b[31m") +
                                    frame(head_bytes(999, 0, 1, "c", false));
        const ReceiveRoom room = session.receive_room();
        std::memcpy(room.parts[1].data, request.data(), request.size());
        session.on_received(request.size(), Instant{1});
    }
    set_log_sink(nullptr);
    ASSERT_EQ(logged.size(), 1U);
    EXPECT_EQ(logged[0].find('\n'), std::string::npos);
    EXPECT_NE(logged[0].find("evil\\x0aINFO"), std::string::npos) << logged[0];
}

}  // namespace
}  // namespace millrace::api
