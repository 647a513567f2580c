// The errors of io.evfdd. Each has a sentence for people, which says what to do; only the daemon
// writes it.
#pragma once

#include "common/codec.h"

namespace evfd::protocol {

inline constexpr std::string_view sentence_comment = "The same in a sentence, for people.";

struct NoSuchName {
    Name name;
    std::string message;

    static constexpr std::string_view error = "NoSuchName";
    static constexpr std::string_view comment = "There is no object of this name.";
    static constexpr auto fields()
    {
        return std::tuple{field("name", &NoSuchName::name, "Which."),
                          field("message", &NoSuchName::message, sentence_comment)};
    }
};

struct NoSuchSession {
    std::string message;

    static constexpr std::string_view error = "NoSuchSession";
    static constexpr std::string_view comment =
        "There is no session of this name to be taken up again by this caller.";
    static constexpr auto fields()
    {
        return std::tuple{field("message", &NoSuchSession::message, sentence_comment)};
    }
};

struct NoSuchHold {
    std::string message;

    static constexpr std::string_view error = "NoSuchHold";
    static constexpr std::string_view comment =
        "There is no hold of this id that this caller may join or release.";
    static constexpr auto fields()
    {
        return std::tuple{field("message", &NoSuchHold::message, sentence_comment)};
    }
};

struct NoSuchProcess {
    std::string message;

    static constexpr std::string_view error = "NoSuchProcess";
    static constexpr std::string_view comment =
        "The process that connected has ended, or the daemon cannot see it from its pid namespace.";
    static constexpr auto fields()
    {
        return std::tuple{field("message", &NoSuchProcess::message, sentence_comment)};
    }
};

struct NameTaken {
    Name name;
    std::string message;

    static constexpr std::string_view error = "NameTaken";
    static constexpr std::string_view comment = "An object of this name is there already.";
    static constexpr auto fields()
    {
        return std::tuple{field("name", &NameTaken::name, "Which."),
                          field("message", &NameTaken::message, sentence_comment)};
    }
};

struct WrongKind {
    Name name;
    std::string message;

    static constexpr std::string_view error = "WrongKind";
    static constexpr std::string_view comment =
        "The object of this name is of another kind or mode than the call is for.";
    static constexpr auto fields()
    {
        return std::tuple{field("name", &WrongKind::name, "Which."),
                          field("message", &WrongKind::message, sentence_comment)};
    }
};

struct NotPermitted {
    Name name;
    Permission right;
    std::string message;

    static constexpr std::string_view error = "NotPermitted";
    static constexpr std::string_view comment =
        "The caller lacks the right to do this, or the policy of the machine does not let it.";
    static constexpr auto fields()
    {
        return std::tuple{
            field("name", &NotPermitted::name, "With which name."),
            field("right", &NotPermitted::right,
                  "Which: wait (r), set (w; also where it is lacking to consume), own (to delete "
                  "it and change its rights: only the owner and root have it), or create (of which "
                  "only the policy speaks)."),
            field("message", &NotPermitted::message, sentence_comment)};
    }
};

struct QuotaExceeded {
    Resource quota;
    std::int64_t limit;
    std::string message;

    static constexpr std::string_view error = "QuotaExceeded";
    static constexpr std::string_view comment =
        "The caller's user has as many as one user may have.";
    static constexpr auto fields()
    {
        return std::tuple{field("quota", &QuotaExceeded::quota, "Of what."),
                          field("limit", &QuotaExceeded::limit, "How many that is."),
                          field("message", &QuotaExceeded::message, sentence_comment)};
    }
};

struct OutOfDescriptors {
    std::int64_t limit;
    std::string message;

    static constexpr std::string_view error = "OutOfDescriptors";
    static constexpr std::string_view comment =
        "The daemon has no descriptor left for this; what is there already goes on.";
    static constexpr auto fields()
    {
        return std::tuple{field("limit", &OutOfDescriptors::limit, "How many it can have."),
                          field("message", &OutOfDescriptors::message, sentence_comment)};
    }
};

struct NoCapability {
    std::string capability;
    std::string message;

    static constexpr std::string_view error = "NoCapability";
    static constexpr std::string_view comment =
        "This takes a capability that the daemon, or the caller's user, lacks. capabilities(7)";
    static constexpr auto fields()
    {
        return std::tuple{field("capability", &NoCapability::capability, "Such as CAP_WAKE_ALARM."),
                          field("message", &NoCapability::message, sentence_comment)};
    }
};

struct TooManyTokens {
    Name name;
    std::int64_t limit;
    std::string message;

    static constexpr std::string_view error = "TooManyTokens";
    static constexpr std::string_view comment =
        "One call through the daemon cannot add or take as many tokens, nor one connection hold "
        "them.";
    static constexpr auto fields()
    {
        return std::tuple{field("name", &TooManyTokens::name, "Where it was too much."),
                          field("limit", &TooManyTokens::limit, "How many it can."),
                          field("message", &TooManyTokens::message, sentence_comment)};
    }
};

struct TimedOut {
    std::string message;

    static constexpr std::string_view error = "TimedOut";
    static constexpr std::string_view comment = "The wait was not over in time.";
    static constexpr auto fields()
    {
        return std::tuple{field("message", &TimedOut::message, sentence_comment)};
    }
};

struct Deleted {
    Name name;
    std::string message;

    static constexpr std::string_view error = "Deleted";
    static constexpr std::string_view comment = "The object was deleted during the wait for it.";
    static constexpr auto fields()
    {
        return std::tuple{field("name", &Deleted::name, "Which."),
                          field("message", &Deleted::message, sentence_comment)};
    }
};

struct Cancelled {
    Name name;
    std::string message;

    static constexpr std::string_view error = "Cancelled";
    static constexpr std::string_view comment =
        "The wall clock was set during the wait for this timer, which was to be cancelled by that.";
    static constexpr auto fields()
    {
        return std::tuple{field("name", &Cancelled::name, "Which."),
                          field("message", &Cancelled::message, sentence_comment)};
    }
};

struct SystemFailure {
    std::string message;

    static constexpr std::string_view error = "SystemFailure";
    static constexpr std::string_view comment =
        "A system call failed that should not; nothing was done.";
    static constexpr auto fields()
    {
        return std::tuple{field("message", &SystemFailure::message, "Which, and how.")};
    }
};

} // namespace evfd::protocol
