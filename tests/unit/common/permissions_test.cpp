#include "common/permissions.h"
#include "tests/support/catch.h"

namespace evfd {
namespace {

TEST_CASE("permissions are parsed like chmod modes and printed with four digits")
{
    const auto [text, bits, canonical] = GENERATE(table<std::string, mode_t, std::string>({
        {"644", 0644, "0644"},
        {"0644", 0644, "0644"},
        {"000", 0, "0000"},
        {"0000", 0, "0000"},
        {"0666", 0666, "0666"},
        {"0204", 0204, "0204"},
        {"006", 06, "0006"},
        {"0777", 0666, "0666"},
        {"755", 0644, "0644"},
        {"0111", 0, "0000"},
    }));
    INFO(text);

    const auto permissions = Permissions::parse(text);

    REQUIRE(permissions);
    CHECK(permissions->bits() == bits);
    CHECK(permissions->text() == canonical);
    CHECK(Permissions::parse(permissions->text()) == permissions);
}

TEST_CASE("malformed permissions are refused")
{
    const auto text = GENERATE(as<std::string>{}, "", "6", "44", "00644", "1644", "4666", "0888",
                               "068", "0x44", "-644", "+644", " 644", "644 ", "64a", "rw-", "6 4");
    INFO(text);

    CHECK_FALSE(Permissions::parse(text));
}

TEST_CASE("a umask leaves those bits of 0666 that it does not name")
{
    const auto [mask, text] = GENERATE(table<mode_t, std::string>({
        {0, "0666"},
        {0022, "0644"},
        {0077, "0600"},
        {0027, "0640"},
        {0777, "0000"},
        {0111, "0666"},
    }));

    CHECK(Permissions::under_umask(mask).text() == text);
}

TEST_CASE("access is to wait, to set, both or neither")
{
    CHECK(Access{} == Access{.wait = false, .set = false});
    CHECK(Access{.wait = true, .set = false} != Access{.wait = false, .set = true});
}

} // namespace
} // namespace evfd
