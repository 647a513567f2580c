// What evfdctl and the process that becomes the command of hold tell each other before it does:
// that process what it holds, evfdctl that it holds it as well. One end each; whoever reads from an
// end whose other one is gone gets nothing.
#pragma once

#include "evfd/error.h"
#include "common/unique_fd.h"

#include <string>
#include <string_view>
#include <utility>

namespace evfd {

class HoldHandshake {
public:
    static Try<HoldHandshake> make();

    // After fork(2), on both sides.
    void be_parent()
    {
        mine_ = std::move(parents_);
        childs_ = {};
    }
    void be_child()
    {
        mine_ = std::move(childs_);
        parents_ = {};
    }

    const UniqueFd& fd() const { return mine_; } // Readable when there is news.
    void send(std::string_view text) const;
    std::string receive() const;
    void hang_up() { mine_ = {}; }

private:
    HoldHandshake(UniqueFd parents, UniqueFd childs)
        : parents_{std::move(parents)}, childs_{std::move(childs)}
    {
    }

    UniqueFd parents_;
    UniqueFd childs_;
    UniqueFd mine_;
};

} // namespace evfd
