#include "daemon/store/journal_print.h"

#include "tests/support/journal_frame.h"
#include "tests/support/service_fixture.h"

namespace evfd::daemon {
namespace {

std::string path_of(const UniqueFd& fd)
{
    return fmt::format("/proc/self/fd/{}", fd.get());
}

TEST_CASE("the records of a journal are printed as lines of JSON")
{
    auto journal = Journal::create();
    REQUIRE(journal);
    const auto put = [&]<class Record>(std::uint64_t id, const Record& record) {
        std::string text;
        record::append_record(text, record);
        journal->put({id, static_cast<std::uint32_t>(Record::kind)}, text);
    };
    put(7, record::Number{3});
    put(0, record::Ids{9});
    put(5, record::Number{1});
    REQUIRE(journal->commit());
    put(7, record::Number{4}); // Replaces the number 3.
    journal->erase({5, static_cast<std::uint32_t>(record::Kind::number)});
    journal->put({8, 4711}, "who knows");
    journal->put({8, static_cast<std::uint32_t>(record::Kind::number)}, "no record");
    journal->put({9, static_cast<std::uint32_t>(record::Kind::number)}, R"({"count":1})");
    REQUIRE(journal->commit());

    const auto lines = print_journal(path_of(journal->memfd()));

    REQUIRE(lines);
    CHECK(*lines == "{\"id\":0,\"kind\":\"ids\",\"record\":{\"last\":9}}\n"
                    "{\"id\":7,\"kind\":\"number\",\"record\":{\"count\":4}}\n"
                    "{\"id\":8,\"kind\":\"number\"}\n"
                    "{\"id\":9,\"kind\":\"number\",\"record\":{\"count\":1}}\n"
                    "{\"id\":8,\"kind\":\"4711\"}\n");
}

TEST_CASE("an empty journal has no lines, and other files are refused")
{
    const auto journal = Journal::create();
    REQUIRE(journal);
    CHECK(*print_journal(path_of(journal->memfd())) == "");
    CHECK(print_journal("/nowhere").error().error == ENOENT);
    CHECK(print_journal("/dev/null").error().error == EINVAL);
    CHECK(print_journal("/proc/self").error().error == EISDIR);
}

} // namespace
} // namespace evfd::daemon
