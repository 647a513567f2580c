// Bytes cut into messages: each ends with a zero byte.
#pragma once

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace evfd {

class FrameReader {
public:
    struct TooLong {};

    explicit FrameReader(std::size_t max_bytes) : max_bytes_{max_bytes} {}

    void append(std::string_view bytes);
    // The next whole message without its zero byte, good until the next call; nothing if it is not
    // all there yet. TooLong, for ever, once a message is beyond the limit.
    std::expected<std::optional<std::string_view>, TooLong> next();
    // Whether bytes wait for the rest of their message, and how many.
    bool mid_message() const { return begin_ < bytes_.size(); }
    std::size_t unread_bytes() const { return bytes_.size() - begin_; }

private:
    std::size_t max_bytes_;
    std::string bytes_;
    std::size_t begin_ = 0;  // Of the first message not yet given.
    std::size_t search_ = 0; // No zero byte from begin_ up to here.
};

} // namespace evfd
