// Checks that FrameReader returns the messages that were written, wherever the bytes are cut into
// pieces.
//
// An input consists of, in this order:
// - a digit: the number of piece lengths, less one
// - a byte for each piece length
// - a byte: the limit of the size of a message
// - a digit: 1 if at most one message is read after each piece
// - the bytes of the messages, which are cut into pieces of the above lengths in turn
#include "common/frame.h"
#include "tests/fuzz/input.h"

#include <string>
#include <vector>

namespace evfd {
namespace {

using fuzz::expect;

struct ParseResult {
    std::vector<std::string> messages;
    bool is_too_long = false;
    bool is_mid_message = false;
    friend bool operator==(const ParseResult&, const ParseResult&) = default;
};

// Reads the messages that are complete by now, at most `max_count`.
void read_frames(FrameReader& reader, ParseResult& result, std::size_t max_count)
{
    for (std::size_t i = 0; i < max_count; ++i) {
        const auto next = reader.next();
        if (!next) {
            expect(!reader.next(), "a message that is too long stays too long");
            result.is_too_long = true;
            return;
        }
        if (!*next)
            return;
        result.messages.emplace_back(**next);
    }
}

// Returns the result that FrameReader must give. Computes the result directly from the definition
// of a frame.
ParseResult reference_result(std::string_view bytes, std::size_t limit)
{
    ParseResult result;
    while (!bytes.empty()) {
        const auto end = bytes.find('\0');
        if (std::min(end, bytes.size()) > limit) {
            result.is_too_long = true;
            return result;
        }
        if (end == bytes.npos) {
            result.is_mid_message = true;
            return result;
        }
        result.messages.emplace_back(bytes.substr(0, end));
        bytes.remove_prefix(end + 1);
    }
    return result;
}

ParseResult parse(std::string_view bytes, std::size_t limit, const std::vector<std::size_t>& pieces,
                  std::size_t max_per_piece)
{
    FrameReader reader{limit};
    ParseResult result;
    for (std::size_t i = 0; !bytes.empty() && !result.is_too_long; ++i) {
        const auto piece = bytes.substr(0, pieces[i % pieces.size()]);
        bytes.remove_prefix(piece.size());
        reader.append(piece);
        read_frames(reader, result, max_per_piece);
    }
    if (!result.is_too_long)
        read_frames(reader, result, SIZE_MAX);
    result.is_mid_message = !result.is_too_long && reader.mid_message();
    return result;
}

void run(fuzz::Input input)
{
    std::vector<std::size_t> pieces(1 + input.below(8));
    for (auto& piece : pieces)
        piece = std::max<std::size_t>(input.byte(), 1);
    const std::size_t limit = input.byte();
    const std::size_t max_per_piece = input.flag() ? 1 : SIZE_MAX;
    const auto bytes = input.rest();

    const auto reference = reference_result(bytes, limit);
    for (const auto& message : reference.messages)
        expect(message.size() <= limit, "no message is longer than the limit");
    expect(parse(bytes, limit, {std::max<std::size_t>(bytes.size(), 1)}, SIZE_MAX) == reference,
           "the messages are read from one piece");
    expect(parse(bytes, limit, pieces, max_per_piece) == reference,
           "the same messages are read from several pieces");
}

} // namespace
} // namespace evfd

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    evfd::run({data, size});
    return 0;
}
