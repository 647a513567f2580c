#include "common/protocol/protocol.h"
#include "tests/support/catch.h"
#include "tests/support/literals.h"

namespace evfd::protocol {
namespace {

template <class T>
struct TypeTag {};

// Each error of the interface needs an overload of round_trip(), else this file does not compile.
void round_trip(TypeTag<NoSuchName>)
{
    check_round_trip(NoSuchName{"a/b"_name, "Create it."},
                     R"({"name":"a/b","message":"Create it."})");
}

void round_trip(TypeTag<NoSuchSession>)
{
    check_round_trip(NoSuchSession{"Begin a new one."}, R"({"message":"Begin a new one."})");
}

void round_trip(TypeTag<NoSuchHold>)
{
    check_round_trip(NoSuchHold{"Take it again."}, R"({"message":"Take it again."})");
}

void round_trip(TypeTag<NoSuchProcess>)
{
    check_round_trip(NoSuchProcess{"It has ended."}, R"({"message":"It has ended."})");
}

void round_trip(TypeTag<NameTaken>)
{
    check_round_trip(NameTaken{"a/b"_name, "Take another."},
                     R"({"name":"a/b","message":"Take another."})");
}

void round_trip(TypeTag<WrongKind>)
{
    check_round_trip(WrongKind{"a/b"_name, "It is a pulse."},
                     R"({"name":"a/b","message":"It is a pulse."})");
}

void round_trip(TypeTag<Replaced>)
{
    check_round_trip(Replaced{"a/b"_name, {7}, "Open it again."},
                     R"({"name":"a/b","id":7,"message":"Open it again."})");
}

void round_trip(TypeTag<NotPermitted>)
{
    check_round_trip(NotPermitted{"a/b"_name, Permission::set, "Ask its owner."},
                     R"({"name":"a/b","access":"set","message":"Ask its owner."})");
}

void round_trip(TypeTag<QuotaExceeded>)
{
    check_round_trip(QuotaExceeded{Resource::waits, 1000, "End some."},
                     R"({"quota":"waits","limit":1000,"message":"End some."})");
}

void round_trip(TypeTag<OutOfDescriptors>)
{
    check_round_trip(OutOfDescriptors{512, "Raise it."}, R"({"limit":512,"message":"Raise it."})");
}

void round_trip(TypeTag<NoCapability>)
{
    check_round_trip(NoCapability{"CAP_X", "Give it."},
                     R"({"capability":"CAP_X","message":"Give it."})");
}

void round_trip(TypeTag<TooManyTokens>)
{
    check_round_trip(TooManyTokens{"a/b"_name, 65'536, "Add fewer."},
                     R"({"name":"a/b","limit":65536,"message":"Add fewer."})");
}

void round_trip(TypeTag<TimedOut>)
{
    check_round_trip(TimedOut{"Wait longer."}, R"({"message":"Wait longer."})");
}

void round_trip(TypeTag<Deleted>)
{
    check_round_trip(Deleted{"a/b"_name, "It went."}, R"({"name":"a/b","message":"It went."})");
}

void round_trip(TypeTag<Cancelled>)
{
    check_round_trip(Cancelled{"a/b"_name, "Arm it."}, R"({"name":"a/b","message":"Arm it."})");
}

void round_trip(TypeTag<SystemFailure>)
{
    check_round_trip(SystemFailure{"eventfd(2): no memory"},
                     R"({"message":"eventfd(2): no memory"})");
}

template <class... Errors>
void round_trips(TypeList<Errors...>)
{
    (round_trip(TypeTag<Errors>{}), ...);
}

TEST_CASE("every error survives encoding and decoding")
{
    round_trips(Evfdd::Errors{});
}

TEST_CASE("an error with unknown fields of a newer daemon is decoded")
{
    DecodeContext incoming{.unknown = UnknownFields::ignore};
    const auto error = from_text<NoSuchName>(
        R"({"name":"a","since":{"when":[1]},"message":"Create it."})", incoming);

    REQUIRE(error);
    CHECK(error->name == "a"_name);
    CHECK(error->message == "Create it.");
}

TEST_CASE("an error without a required field is refused")
{
    CHECK(wrong_field<NoSuchName>(R"({"message":"x"})") == "name");
    CHECK(wrong_field<NoSuchName>(R"({"name":"a"})") == "message");
    CHECK(wrong_field<NotPermitted>(R"({"name":"a","access":"r","message":"x"})") == "access");
    CHECK(wrong_field<QuotaExceeded>(R"({"quota":"memory","limit":1,"message":"x"})") == "quota");
    CHECK(wrong_field<QuotaExceeded>(R"({"quota":"waits","limit":1.5,"message":"x"})") == "limit");
}

} // namespace
} // namespace evfd::protocol
