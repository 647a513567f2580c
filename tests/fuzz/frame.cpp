// Messages come out of the frame reader as they went in, wherever the bytes were cut.
//
// An input is: a digit, how many pieces are described; for each, a byte that is its length; a byte
// for the limit; whether the messages are taken after each piece, or only one at a time; then the
// bytes themselves, over which the pieces go again and again.
#include "common/frame.h"
#include "tests/fuzz/input.h"

#include <string>
#include <vector>

namespace evfd {
namespace {

using fuzz::expect;

struct Outcome {
    std::vector<std::string> messages;
    bool is_too_long = false;
    bool is_mid_message = false;
    friend bool operator==(const Outcome&, const Outcome&) = default;
};

// Takes what is there by now, at most so many.
void take(FrameReader& reader, Outcome& outcome, std::size_t most)
{
    for (std::size_t i = 0; i < most; ++i) {
        const auto next = reader.next();
        if (!next) {
            expect(!reader.next(), "what is too long stays too long");
            outcome.is_too_long = true;
            return;
        }
        if (!*next)
            return;
        outcome.messages.emplace_back(**next);
    }
}

// What is to come out, straight from the rule.
Outcome expected(std::string_view bytes, std::size_t limit)
{
    Outcome outcome;
    while (!bytes.empty()) {
        const auto end = bytes.find('\0');
        if (std::min(end, bytes.size()) > limit) {
            outcome.is_too_long = true;
            return outcome;
        }
        if (end == bytes.npos) {
            outcome.is_mid_message = true;
            return outcome;
        }
        outcome.messages.emplace_back(bytes.substr(0, end));
        bytes.remove_prefix(end + 1);
    }
    return outcome;
}

Outcome read(std::string_view bytes, std::size_t limit, const std::vector<std::size_t>& pieces,
             std::size_t most_at_a_time)
{
    FrameReader reader{limit};
    Outcome outcome;
    for (std::size_t i = 0; !bytes.empty() && !outcome.is_too_long; ++i) {
        const auto piece = bytes.substr(0, pieces[i % pieces.size()]);
        bytes.remove_prefix(piece.size());
        reader.append(piece);
        take(reader, outcome, most_at_a_time);
    }
    if (!outcome.is_too_long)
        take(reader, outcome, SIZE_MAX);
    outcome.is_mid_message = !outcome.is_too_long && reader.mid_message();
    return outcome;
}

void run(fuzz::Input input)
{
    std::vector<std::size_t> pieces(1 + input.below(8));
    for (auto& piece : pieces)
        piece = std::max<std::size_t>(input.byte(), 1);
    const std::size_t limit = input.byte();
    const std::size_t most_at_a_time = input.flag() ? 1 : SIZE_MAX;
    const auto bytes = input.rest();

    const auto right = expected(bytes, limit);
    for (const auto& message : right.messages)
        expect(message.size() <= limit, "no message is longer than the limit");
    expect(read(bytes, limit, {std::max<std::size_t>(bytes.size(), 1)}, SIZE_MAX) == right,
           "in one piece, the messages come out");
    expect(read(bytes, limit, pieces, most_at_a_time) == right,
           "in pieces, the same messages come out");
}

} // namespace
} // namespace evfd

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    evfd::run({data, size});
    return 0;
}
