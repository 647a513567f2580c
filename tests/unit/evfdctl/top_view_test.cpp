#include "client/evfdctl/top/view.h"
#include "tests/support/catch.h"
#include "tests/support/literals.h"
#include "tests/support/sample_objects.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

namespace evfd {
namespace {

using namespace std::chrono_literals;
using namespace top;
using Next = View::Next;

const Now now{MonotonicTime{1000s}, WallTime{nanoseconds{5000s}}};

std::vector<std::string> texts(const View& view, const Now& at = now)
{
    std::vector<std::string> all;
    for (const auto& line : view.render(at)) {
        auto& text = all.emplace_back();
        for (const auto& piece : line)
            text += piece.text;
        while (text.ends_with(' '))
            text.pop_back();
    }
    return all;
}

std::string first_word(const std::string& line)
{
    return line.substr(0, line.find(' '));
}

View view_of(std::initializer_list<protocol::Object> objects, Size size = {8, 100})
{
    View view{"/here", {}};
    fill_table(view.table(), objects);
    view.set_error({});
    view.resize(size);
    return view;
}

View view_of_many(int count, Size size)
{
    View view{"/here", {}};
    for (int i = 0; i < count; ++i)
        view.table().apply(
            monitor_reply(Change::present, event(*Name::parse(fmt::format("n{:02}", i)))), now);
    view.table().apply({1, Change::ready, {}, {}}, now);
    view.set_error({});
    view.resize(size);
    return view;
}

void type(View& view, std::string_view text)
{
    for (const char c : text)
        CHECK(view.press(c, now) == Next::stay);
}

TEST_CASE("the screen has a title, a heading, the rows and the keys")
{
    auto set = event("db/ready"_name);
    set.is_set = true;
    set.last_set = protocol::LastSet{now.wall - 3s, 4'000'000'000, 42};
    const auto view = view_of({set, timer("t"_name, 90s)});
    CHECK(texts(view) ==
          std::vector<std::string>{
              "/here: 2 objects, by name",
              "NAME^     KIND   MODE       STATE  WAITS  SUBS  LAST SET                 NEXT",
              "db/ready  event  manual     set    0      -     3s ago by 4000000000 42  -",
              "t         timer  monotonic  armed  0      1     -                        1m",
              "",
              "",
              "",
              "q quit  ? help  / filter  < > sort by  r reverse  space pause",
          });
    const auto lines = view.render(now);
    CHECK(lines[1][0].style == Style::chosen_heading);
    CHECK(lines[1][1].style == Style::sort_mark);
    CHECK(lines[1][4].style == Style::heading);
    CHECK(lines[2][0].style == Style::bold);
    CHECK(lines[2][6].style == Style::good);
    CHECK(lines[3][6].style == Style::plain);
}

TEST_CASE("no line is wider than the terminal and no more lines are drawn than fit, at any size")
{
    const auto lines = GENERATE(range(0, 7));
    const auto columns = GENERATE(0, 1, 7, 12, 13, 40, 300);
    const Size size{static_cast<std::size_t>(lines), static_cast<std::size_t>(columns)};
    auto view = view_of({event("a"_name), event("b"_name)}, size);
    type(view, "/a");
    const auto drawn = texts(view);
    CHECK(drawn.size() == size.lines);
    for (const auto& line : drawn)
        CHECK(line.size() <= size.columns);
}

TEST_CASE("a long name is shortened in favour of the other columns")
{
    const auto view = view_of({event(*Name::parse(std::string(200, 'n')))}, {8, 80});
    const auto row = texts(view)[2];
    CHECK(row.starts_with("nnnnnnnnnnnn"));
    CHECK(row.contains("n~  event  manual"));
    CHECK(row.ends_with("-         -"));
    CHECK(texts(view)[1].size() == 80);
}

TEST_CASE("the title says if there are more objects than the table can have")
{
    auto view = view_of({});
    for (std::size_t i = 0; i <= Table::max_rows; ++i)
        view.table().apply({1, Change::created, *Name::parse("n/" + std::to_string(i)),
                            event(*Name::parse("n/" + std::to_string(i)))},
                           now);
    CHECK(texts(view)[0].starts_with(
        fmt::format("/here: {} objects and more, which a PATTERN", Table::max_rows)));
}

TEST_CASE(
    "after a slash typed characters are the filter until they are erased or escape is pressed")
{
    auto view = view_of({event("a1"_name), event("a2"_name), event("q"_name)});
    type(view, "/a2");
    CHECK(texts(view)[0] == "/here: 3 objects, 1 shown, by name");
    CHECK(texts(view)[2].starts_with("a2 "));
    CHECK(texts(view)[7] == "filter: a2  Enter keeps it, Esc clears it");
    CHECK(view.press(Key::erase, now) == Next::stay);
    CHECK(texts(view)[0].contains("2 shown"));
    CHECK(view.press(Key::erase, now) == Next::stay);
    type(view, "q");
    CHECK(texts(view)[2].starts_with("q "));
    CHECK(view.press(Key::clear, now) == Next::stay);
    CHECK(texts(view)[0] == "/here: 3 objects, by name");
    CHECK(view.press(Key::erase, now) == Next::stay);
    CHECK(view.press(Key::clear, now) == Next::quit);
}

TEST_CASE("a filter that is kept stays while commands are typed")
{
    auto view = view_of({event("a1"_name), event("a2"_name), event("q"_name)});
    type(view, "/a");
    CHECK(view.press(Key::accept, now) == Next::stay);
    CHECK(texts(view)[7] == "filter: a  / changes it, Esc clears it");
    type(view, "rx");
    CHECK(texts(view)[0] == "/here: 3 objects, 2 shown, by name, reversed");
    CHECK(texts(view)[1].starts_with("NAMEv "));
    CHECK(view.press(Key::erase, now) == Next::stay);
    type(view, "/2");
    CHECK(texts(view)[7].starts_with("filter: a2 "));
    CHECK(view.press(Key::clear, now) == Next::stay);
    CHECK(texts(view)[0] == "/here: 3 objects, by name, reversed");
    CHECK(view.press('q', now) == Next::quit);
}

TEST_CASE("the help fills the screen until a key is pressed")
{
    auto view = view_of({event("a"_name)}, {12, 100});
    const auto* key = GENERATE("?", "h");
    type(view, key);
    CHECK(texts(view)[0].starts_with("q, Ctrl-C"));
    CHECK(texts(view)[11] == "any key closes the help");
    type(view, "q");
    CHECK(texts(view)[0] == "/here: 1 object, by name");
    type(view, key);
    CHECK(view.press(Key::clear, now) == Next::stay);
    CHECK(texts(view)[0] == "/here: 1 object, by name");
}

TEST_CASE("the mark of a column of numbers points down, because the largest number comes first")
{
    auto view = view_of({event("a"_name)});
    for (int i = 0; i < 4; ++i)
        CHECK(view.press(Key::next_column, now) == Next::stay);
    CHECK(texts(view)[0].ends_with("by waits"));
    CHECK(texts(view)[1].contains("WAITSv"));
    CHECK(view.press('r', now) == Next::stay);
    CHECK(texts(view)[1].contains("WAITS^"));
}

TEST_CASE("on few lines the help is cut, and the last line says how to leave it")
{
    auto view = view_of({event("a"_name)}, {4, 100});
    type(view, "?");
    const auto drawn = texts(view);
    REQUIRE(drawn.size() == 4);
    CHECK(drawn[0] == "q, Ctrl-C         quit");
    CHECK(drawn[3] == "any key closes the help");
}

TEST_CASE("the columns are selected in both directions, each in its own order first")
{
    auto view = view_of({event("a"_name), timer("t"_name, 1min)});
    CHECK(view.press(Key::previous_column, now) == Next::stay);
    CHECK(texts(view)[0].ends_with("by next"));
    CHECK(first_word(texts(view)[2]) == "t");
    CHECK(view.press(Key::reverse, now) == Next::stay);
    CHECK(texts(view)[0].ends_with("by next, reversed"));
    CHECK(first_word(texts(view)[2]) == "a");
    CHECK(view.press(Key::next_column, now) == Next::stay);
    CHECK(texts(view)[0].ends_with("by name"));
}

TEST_CASE("the cursor stays within the rows, however many are left")
{
    auto view = view_of_many(20, {8, 100}); // The view shows five rows at a time.
    const auto press = [&](Key key) {
        CHECK(view.press(key, now) == Next::stay);
        return first_word(texts(view)[2]);
    };
    CHECK(press(Key::up) == "n00");
    CHECK(press(Key::down) == "n01");
    CHECK(press(Key::page_down) == "n06");
    CHECK(press(Key::end) == "n15");
    CHECK(press(Key::down) == "n15");
    CHECK(press(Key::up) == "n14");
    CHECK(press(Key::page_up) == "n09");
    for (int i = 3; i < 20; ++i)
        view.table().apply({1, Change::deleted, Name::parse(fmt::format("n{:02}", i)), {}}, now);
    CHECK(first_word(texts(view)[2]) == "n00");
    CHECK(press(Key::up) == "n00");
    CHECK(press(Key::home) == "n00");
}

TEST_CASE("a paused view shows the moment of its pause and can be filtered")
{
    auto set = event("e"_name);
    set.last_set = protocol::LastSet{now.wall - 3s, 4'000'000'000, 42};
    auto view = view_of({set, event("f"_name)});
    CHECK(view.next_change(now));
    CHECK(view.press(Key::pause, now) == Next::stay);
    CHECK_FALSE(view.next_change(now));
    view.table().apply({1, Change::deleted, "e"_name, {}}, now);

    const Now later{now.monotonic + 1h, now.wall + 1h};
    CHECK(texts(view, later)[0] == "paused /here: 2 objects, by name");
    CHECK(texts(view, later)[2].contains("3s ago"));
    type(view, "/f");
    CHECK(first_word(texts(view, later)[2]) == "f");
    CHECK(view.press(Key::clear, now) == Next::stay);
    CHECK(view.press(Key::pause, later) == Next::stay);
    CHECK(texts(view, later)[0] == "/here: 1 object, by name");
}

TEST_CASE("an error is in the title with its message until it is over")
{
    auto view = view_of({event("e"_name)});
    view.set_error("gone: it went away");
    CHECK(texts(view)[0].starts_with("gone: it went away  /here"));
    CHECK(view.render(now)[0][0].style == Style::bad);
    view.set_remote_message("ssh: no\troute");
    CHECK(texts(view)[0].starts_with("gone: it went away (ssh: no?route)  /here"));
    view.set_error({});
    CHECK(texts(view)[0].starts_with("/here"));
    view.set_error("gone: again");
    CHECK(texts(view)[0].starts_with("gone: again  /here"));
}

TEST_CASE("only visible values cause a redraw")
{
    auto view = view_of_many(5, {4, 100}); // The view shows one row at a time.
    auto set = event("n04"_name);
    set.last_set = protocol::LastSet{now.wall, 4'000'000'000, 42};
    view.table().apply(monitor_reply(Change::changed, set), now);
    CHECK_FALSE(view.next_change(now));
    CHECK(view.press(Key::end, now) == Next::stay);
    CHECK(view.next_change(now) == now.monotonic + 1s);
}

} // namespace
} // namespace evfd
