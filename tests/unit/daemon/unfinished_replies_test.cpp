#include "daemon/ipc/unfinished_replies.h"

#include "tests/support/catch.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace evfd::daemon {
namespace {

using Progress = PendingReply::Progress;

// A pending reply that writes one text in each step. The pending reply records in `log` whether it
// was sent or dropped.
class ScriptedReply : public PendingReply {
public:
    ScriptedReply(std::string& log, std::vector<Progress> steps, bool must_finish)
        : log_{log}, steps_{std::move(steps)}, must_finish_{must_finish}
    {
    }

    Progress advance(OutputQueue& output) override
    {
        output.append_text("reply");
        const auto progress = steps_.front();
        steps_.erase(steps_.begin());
        return progress;
    }
    bool must_finish() const override { return must_finish_; }
    void on_sent() override { log_ += "sent "; }
    void on_dropped() override { log_ += "dropped "; }

private:
    std::string& log_;
    std::vector<Progress> steps_;
    bool must_finish_;
};

struct RepliesFixture {
    void start(std::vector<Progress> steps, bool must_finish = false)
    {
        replies.start(std::make_unique<ScriptedReply>(log, std::move(steps), must_finish));
    }

    std::string log;
    OutputQueue output;
    UnfinishedReplies replies;
};

TEST_CASE("a pending reply that is blocked is ready again when it is woken")
{
    RepliesFixture fixture;
    fixture.replies.wake();
    CHECK_FALSE(fixture.replies.is_ready()); // No reply is pending.

    fixture.start({Progress::again, Progress::blocked, Progress::done});
    CHECK(fixture.replies.is_ready());
    fixture.replies.advance(fixture.output);
    CHECK(fixture.replies.is_ready());
    fixture.replies.advance(fixture.output);
    CHECK_FALSE(fixture.replies.is_ready());
    CHECK(fixture.replies.is_pending());

    fixture.replies.wake();
    CHECK(fixture.replies.is_ready());
    fixture.replies.advance(fixture.output);
    CHECK_FALSE(fixture.replies.is_pending());
}

TEST_CASE("a call that is answered at once leaves no pending reply")
{
    RepliesFixture fixture;
    fixture.replies.start(nullptr);
    CHECK_FALSE(fixture.replies.is_pending());
    CHECK_FALSE(fixture.replies.is_ready());
    CHECK_FALSE(fixture.replies.must_finish());
}

TEST_CASE("a reply is confirmed once, when its last byte is sent")
{
    RepliesFixture fixture;
    fixture.start({Progress::done});
    fixture.replies.advance(fixture.output);
    const auto end = fixture.output.bytes_queued();
    fixture.start({Progress::done});
    fixture.replies.advance(fixture.output);

    fixture.replies.confirm(end - 1);
    CHECK(fixture.log.empty());
    fixture.replies.confirm(end);
    CHECK(fixture.log == "sent ");
    fixture.replies.confirm(end);
    CHECK(fixture.log == "sent ");
    fixture.replies.confirm(fixture.output.bytes_queued());
    CHECK(fixture.log == "sent sent ");
    fixture.replies.drop();
    CHECK(fixture.log == "sent sent ");
}

TEST_CASE("dropped replies undo their effects, and one that must finish stays pending")
{
    const bool must_finish = GENERATE(true, false);
    RepliesFixture fixture;
    fixture.start({Progress::done});
    fixture.replies.advance(fixture.output);
    fixture.start({Progress::again}, must_finish);

    fixture.replies.drop();

    CHECK(fixture.log == "dropped dropped ");
    CHECK(fixture.replies.is_ready());
    CHECK(fixture.replies.must_finish() == must_finish);
    fixture.replies.confirm(fixture.output.bytes_queued());
    CHECK(fixture.log == "dropped dropped ");
}

} // namespace
} // namespace evfd::daemon
