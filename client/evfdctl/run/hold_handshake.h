// What evfdctl and the process that becomes the command of hold tell each other before it does:
// that process what it holds, evfdctl that it holds it as well. One end each; whoever reads from an
// end whose other one is gone gets nothing.
#pragma once

#include "common/unique_fd.h"
#include "evfd/error.h"

#include <string>
#include <string_view>
#include <utility>

namespace evfd {

class HoldHandshake {
public:
    static Expected<HoldHandshake> create();

    // After fork(2), on both sides.
    void use_parent_end()
    {
        own_end_ = std::move(parent_end_);
        child_end_ = {};
    }
    void use_child_end()
    {
        own_end_ = std::move(child_end_);
        parent_end_ = {};
    }

    const UniqueFd& fd() const { return own_end_; } // Readable when there is news.
    void send(std::string_view text) const;
    std::string receive() const;
    void close() { own_end_ = {}; }

private:
    HoldHandshake(UniqueFd parents, UniqueFd childs)
        : parent_end_{std::move(parents)}, child_end_{std::move(childs)}
    {
    }

    UniqueFd parent_end_;
    UniqueFd child_end_;
    UniqueFd own_end_;
};

} // namespace evfd
