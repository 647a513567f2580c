// JournalKey: identifies a record of the journal.
#pragma once

#include <cstddef>
#include <cstdint>

namespace evfd::daemon {

// The owner of the journal defines the kinds.
struct JournalKey {
    std::uint64_t id;
    std::uint32_t kind;
    friend bool operator==(const JournalKey&, const JournalKey&) = default;

    struct Hash {
        std::size_t operator()(const JournalKey& key) const { return (key.id << 3) ^ key.kind; }
    };
};

} // namespace evfd::daemon
