// The errors of io.evfdd. Each has a sentence for people, which says what to do. Only the daemon
// writes this sentence.
#pragma once

#include "common/protocol/types.h"

namespace evfd::protocol {

inline constexpr std::string_view sentence_comment = "A sentence for people that says what to do.";

// The base of an error with one field, `message`, which is a sentence for people.
struct SentenceError {
    std::string message;

    static constexpr auto fields()
    {
        return field_list(field("message", &SentenceError::message, sentence_comment));
    }
};

// The base of an error with two fields: the name of an object, and a sentence for people.
struct NameError {
    Name name;
    std::string message;

    static constexpr auto fields()
    {
        return field_list(field("name", &NameError::name, "The name."),
                          field("message", &NameError::message, sentence_comment));
    }
};

struct NoSuchName : NameError {
    static constexpr std::string_view error = "NoSuchName";
    static constexpr std::string_view comment = "No object has this name.";
};

struct NoSuchSession : SentenceError {
    static constexpr std::string_view error = "NoSuchSession";
    static constexpr std::string_view comment =
        "The caller cannot resume this session: it has ended, or never began, or another user or a "
        "connection has it, or its sequence number differs.";
};

struct NoSuchHold : SentenceError {
    static constexpr std::string_view error = "NoSuchHold";
    static constexpr std::string_view comment =
        "There is no such hold that the caller may join or release.";
};

struct NoSuchProcess : SentenceError {
    static constexpr std::string_view error = "NoSuchProcess";
    static constexpr std::string_view comment =
        "The process that connected has ended, or is outside of the daemon's pid namespace.";
};

struct NameTaken : NameError {
    static constexpr std::string_view error = "NameTaken";
    static constexpr std::string_view comment = "An object with this name exists.";
};

struct Replaced {
    Name name;
    ObjectId id;
    std::string message;

    static constexpr std::string_view error = "Replaced";
    static constexpr std::string_view comment =
        "The name belongs to another object than the one with the id of the call.";
    static constexpr auto fields()
    {
        return field_list(field("name", &Replaced::name, "The name."),
                          field("id", &Replaced::id, "Id of the object that has the name now."),
                          field("message", &Replaced::message, sentence_comment));
    }
};

struct WrongKind : NameError {
    static constexpr std::string_view error = "WrongKind";
    static constexpr std::string_view comment =
        "The object is of a kind or mode that the call is not for.";
};

struct NotPermitted {
    Name name;
    Permission access;
    std::string message;

    static constexpr std::string_view error = "NotPermitted";
    static constexpr std::string_view comment =
        "The object's permissions or the machine's policy do not allow this to the caller.";
    static constexpr auto fields()
    {
        return field_list(
            field("name", &NotPermitted::name, "The object's name."),
            field("access", &NotPermitted::access,
                  "The access that the caller lacks. wait: the r permission. set: the w "
                  "permission, also where a wait consumes. own: only the owner and root may "
                  "delete the object and change its permissions. create: only the policy denies "
                  "it."),
            field("message", &NotPermitted::message, sentence_comment));
    }
};

struct QuotaExceeded {
    Resource quota;
    std::int64_t limit;
    std::string message;

    static constexpr std::string_view error = "QuotaExceeded";
    static constexpr std::string_view comment = "The caller's user would exceed one of its limits.";
    static constexpr auto fields()
    {
        return field_list(field("quota", &QuotaExceeded::quota, "The resource."),
                          field("limit", &QuotaExceeded::limit, "The limit."),
                          field("message", &QuotaExceeded::message, sentence_comment));
    }
};

struct OutOfDescriptors {
    std::int64_t limit;
    std::string message;

    static constexpr std::string_view error = "OutOfDescriptors";
    static constexpr std::string_view comment =
        "The daemon has no descriptor left. Existing objects go on.";
    static constexpr auto fields()
    {
        return field_list(field("limit", &OutOfDescriptors::limit,
                                "Number of descriptors that the daemon can have open."),
                          field("message", &OutOfDescriptors::message, sentence_comment));
    }
};

struct NoCapability {
    std::string capability;
    std::string message;

    static constexpr std::string_view error = "NoCapability";
    static constexpr std::string_view comment =
        "The call needs a capability that the daemon or the caller's user lacks; see "
        "capabilities(7).";
    static constexpr auto fields()
    {
        return field_list(field("capability", &NoCapability::capability,
                                "The capability, such as CAP_WAKE_ALARM."),
                          field("message", &NoCapability::message, sentence_comment));
    }
};

struct TooManyTokens {
    Name name;
    std::int64_t limit;
    std::string message;

    static constexpr std::string_view error = "TooManyTokens";
    static constexpr std::string_view comment =
        "The number of tokens exceeds what one call can add or remove, or one session can hold.";
    static constexpr auto fields()
    {
        return field_list(
            field("name", &TooManyTokens::name, "The object at which the limit was exceeded."),
            field("limit", &TooManyTokens::limit, "The limit."),
            field("message", &TooManyTokens::message, sentence_comment));
    }
};

struct TimedOut : SentenceError {
    static constexpr std::string_view error = "TimedOut";
    static constexpr std::string_view comment = "The wait did not end within its timeout.";
};

struct Deleted : NameError {
    static constexpr std::string_view error = "Deleted";
    static constexpr std::string_view comment = "The object was deleted during the wait.";
};

struct Cancelled : NameError {
    static constexpr std::string_view error = "Cancelled";
    static constexpr std::string_view comment =
        "The wall clock was set during the wait, which cancelled the timer.";
};

struct SystemFailure {
    std::string message;

    static constexpr std::string_view error = "SystemFailure";
    static constexpr std::string_view comment = "A system call failed unexpectedly. A Set may have "
                                                "added a part of its tokens, and never adds the "
                                                "rest; a Clear may have cleared a part of its "
                                                "events; an Arm or a Disarm is done but for the "
                                                "descriptor of a subscriber. Any other call "
                                                "changed nothing.";
    static constexpr auto fields()
    {
        return field_list(
            field("message", &SystemFailure::message, "The system call and its error."));
    }
};

} // namespace evfd::protocol
