// Splits a stream of bytes into messages, each of which ends with a zero byte.
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
    // Returns the next complete message without its zero byte. The view is valid until the next
    // call of next() or append(). Returns nothing if no message is complete. Once a message has
    // exceeded the limit, every call returns TooLong.
    std::expected<std::optional<std::string_view>, TooLong> next();
    // Returns whether the buffer has bytes that next() has not returned, such as the beginning of a
    // message.
    bool mid_message() const { return begin_ < bytes_.size(); }
    // Returns the number of buffered bytes that next() has not returned.
    std::size_t unread_bytes() const { return bytes_.size() - begin_; }

private:
    std::size_t max_bytes_;
    std::string bytes_;
    std::size_t begin_ = 0;  // The start of the first message that next() has not returned.
    std::size_t search_ = 0; // No zero byte lies between begin_ and this offset.
};

} // namespace evfd
