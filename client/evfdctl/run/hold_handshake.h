// The handshake between `evfdctl hold` and the child that becomes its command. The child sends the
// identifier of its hold; evfdctl joins that hold and sends a confirmation. Each process has one
// end of a socket pair, and receives "" if the other process has exited.
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

    // Keeps evfdctl's end of the socket pair and closes the other end. Called by evfdctl after
    // fork(2).
    void use_parent_end()
    {
        own_end_ = std::move(parent_end_);
        child_end_ = {};
    }
    // Keeps the child's end of the socket pair and closes the other end. Called by the child after
    // fork(2).
    void use_child_end()
    {
        own_end_ = std::move(child_end_);
        parent_end_ = {};
    }

    // Returns a descriptor that polls readable when a message has arrived.
    const UniqueFd& fd() const { return own_end_; }
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
