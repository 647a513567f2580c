#include "daemon/store/journal_print.h"

#include "daemon/store/journal.h"
#include "daemon/store/record_codec.h"
#include "daemon/store/records.h"
#include "tests/support/literals.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

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

TEST_CASE("a record of each form of value is printed with the names of its fields")
{
    auto journal = Journal::create();
    REQUIRE(journal);
    std::string text;
    record::append_record(text, record::TakenTokens{.session = 1,
                                                    .sequence = 2,
                                                    .objects = {3, 4},
                                                    .is_held_by_session = true,
                                                    .hold = "a \"b\""});
    journal->put({6, static_cast<std::uint32_t>(record::Kind::taken_tokens)}, text);
    text.clear();
    record::append_record(text, record::Intent{.commit = 5, .increments = {{6, 7}}});
    journal->put({0, static_cast<std::uint32_t>(record::Kind::intent)}, text);
    REQUIRE(journal->commit());

    CHECK(*print_journal(path_of(journal->memfd())) ==
          R"({"id":6,"kind":"takenTokens","record":{"session":1,"call":2,"from":[3,4],)"
          R"("held":true,"hold":"a \"b\""}})"
          "\n"
          R"({"id":0,"kind":"intent","record":{"commit":5,)"
          R"("additions":[{"object":6,"tokens":7}]}})"
          "\n");
}

TEST_CASE("a record that has no form in JSON is printed without its fields")
{
    auto journal = Journal::create();
    REQUIRE(journal);
    const auto kind = static_cast<std::uint32_t>(record::Kind::subscription);
    std::string text;
    record::append_record(text, record::Subscription{"\xff", 1, 2}); // Not UTF-8.
    journal->put({1, kind}, text);
    journal->put({2, kind}, "{not JSON\n");
    REQUIRE(journal->commit());

    CHECK(*print_journal(path_of(journal->memfd())) == "{\"id\":1,\"kind\":\"subscription\"}\n"
                                                       "{\"id\":2,\"kind\":\"subscription\"}\n");
}

TEST_CASE("the hole before the log of a journal is not read")
{
    constexpr off_t hole = off_t{1} << 40;
    const UniqueFd sparse{::memfd_create("sparse", MFD_CLOEXEC)};
    std::string entries;
    std::string text;
    record::append_record(text, record::Number{3});
    journal_format::append_entry(entries, {5, 9}, text);
    const auto head = journal_format::frame_head(1, entries);
    const std::string frame = std::string{journal_format::bytes_of(head)} + entries;
    const journal_format::FileHead file_head;
    const auto page = journal_format::bytes_of(file_head);
    REQUIRE(::pwrite(sparse.get(), page.data(), page.size(), 0) > 0);
    REQUIRE(::pwrite(sparse.get(), frame.data(), frame.size(), hole) > 0);

    CHECK(*print_journal(path_of(sparse)) ==
          "{\"id\":5,\"kind\":\"number\",\"record\":{\"count\":3}}\n");
}

TEST_CASE("an empty journal has no lines")
{
    const auto journal = Journal::create();
    REQUIRE(journal);
    CHECK(*print_journal(path_of(journal->memfd())) == "");
}

TEST_CASE("a file that is not a journal is refused")
{
    CHECK(print_journal("/nowhere").error().error == ENOENT);
    CHECK(print_journal("/dev/null").error().error == EINVAL);
    CHECK(print_journal("/proc/self").error().error == EINVAL);
    CHECK(print_journal("/proc/self/exe").error().error == EINVAL);
}

} // namespace
} // namespace evfd::daemon
