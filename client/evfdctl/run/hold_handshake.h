// Handshake between `evfdctl hold` and the child that becomes its command. The child sends the
// identifier of its hold; evfdctl joins that hold and confirms it. Each side has one end, and
// receives "" if the other side has exited.
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

    // Called after fork(2), on each side.
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

    const UniqueFd& fd() const { return own_end_; } // Polls readable when a message came.
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
