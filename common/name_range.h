// NameRange: the names that begin with a prefix, or one name only. In the order of names, no other
// name is between two names of a range.
#pragma once

#include "common/name.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace evfd {

class NameRange {
public:
    NameRange() = default; // The range of all names.
    // Returns the range of the names that begin with `prefix`. The prefix can be invalid as a name.
    static NameRange beginning_with(std::string prefix)
    {
        NameRange range;
        range.prefix_ = std::move(prefix);
        return range;
    }
    // Returns the range that has only the name `text`. It has no name if the text is invalid as a
    // name.
    static NameRange only(std::string text)
    {
        auto range = beginning_with(std::move(text));
        range.is_single_ = true;
        return range;
    }

    // Returns the text with which each name of the range begins. The first name of the range is the
    // first name that is not less than this text.
    const std::string& prefix() const noexcept { return prefix_; }
    bool contains(const Name& name) const
    {
        return is_single_ ? name.text() == prefix_ : name.text().starts_with(prefix_);
    }
    // Returns the smallest range that contains the names of both ranges.
    NameRange joined(const NameRange& other) const
    {
        if (*this == other)
            return *this;
        const auto end = std::ranges::mismatch(prefix_, other.prefix_).in1;
        return beginning_with({prefix_.begin(), end});
    }

    friend bool operator==(const NameRange&, const NameRange&) = default;

private:
    std::string prefix_;
    bool is_single_ = false;
};

} // namespace evfd
