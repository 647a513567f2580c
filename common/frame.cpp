#include "common/frame.h"

namespace evfd {

void FrameReader::append(std::string_view bytes)
{
    if (begin_ > 0) {
        bytes_.erase(0, begin_);
        search_ -= begin_;
        begin_ = 0;
    }
    bytes_ += bytes;
}

std::expected<std::optional<std::string_view>, FrameReader::TooLong> FrameReader::next()
{
    const auto end = bytes_.find('\0', search_);
    const auto length = (end == std::string::npos ? bytes_.size() : end) - begin_;
    if (length > max_bytes_)
        return std::unexpected(TooLong{});
    if (end == std::string::npos) {
        search_ = bytes_.size();
        if (begin_ == bytes_.size()) { // Frees the buffer, so that an idle connection keeps none.
            std::string{}.swap(bytes_);
            begin_ = search_ = 0;
        }
        return std::nullopt;
    }
    const auto frame = std::string_view{bytes_}.substr(begin_, length);
    begin_ = search_ = end + 1;
    return frame;
}

} // namespace evfd
