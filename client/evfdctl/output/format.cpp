#include "client/evfdctl/output/format.h"

#include "client/evfdctl/output/local_time.h"
#include "client/evfdctl/output/users.h"
#include "common/clock.h"
#include "common/printable.h"

#include <fmt/color.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace evfd::report {

std::string plural(std::int64_t count, std::string_view what)
{
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

namespace {

// Rounds a remaining time down to seconds, milliseconds or microseconds, which is precise enough
// for a person.
nanoseconds rounded(nanoseconds left)
{
    using namespace std::chrono;
    if (left >= minutes{1})
        return floor<seconds>(left);
    return left >= seconds{1} ? nanoseconds{floor<milliseconds>(left)}
                              : nanoseconds{floor<microseconds>(left)};
}

std::string timer(const protocol::Timer& timer)
{
    auto text = fmt::format("  clock        {}; setting the wall clock {} it\n",
                            dashed(to_string(timer.clock)),
                            timer.cancel_on_clock_change  ? "cancels"
                            : timer.moves_with_wall_clock ? "moves"
                                                          : "does not move");
    if (timer.next && timer.left) {
        const auto moment =
            is_wall_clock(timer.clock)
                ? to_local_text(WallTime{*timer.next})
                : fmt::format("{}.{:09} on its clock", timer.next->count() / 1'000'000'000,
                              timer.next->count() % 1'000'000'000);
        text += fmt::format("  next         {}, in {}\n", moment, to_text(rounded(*timer.left)));
    }
    text += timer.interval > nanoseconds{0}
                ? fmt::format("  interval     {}\n", to_text(timer.interval))
                : "  interval     none: it expires once\n";
    text += fmt::format("  expired      {}{}\n", plural(timer.expirations, "time"),
                        timer.first_was_past ? ", at once: its first expiry had passed" : "");
    if (timer.sets)
        text += fmt::format("  sets         {}{}\n", timer.sets->text(),
                            timer.is_target_deleted.value_or(false) ? ", which was deleted"
                            : timer.is_target_denied.value_or(false)
                                ? ", which the user who armed it may not set any more"
                                : "");
    return text;
}

} // namespace

std::string mode_or_clock(const protocol::Object& object)
{
    if (object.timer)
        return dashed(to_string(object.timer->clock));
    return object.mode ? std::string{to_string(*object.mode)} : "-";
}

std::string dashed(std::string_view word)
{
    std::string text{word};
    std::ranges::replace(text, '_', '-');
    return text;
}

std::string state(const protocol::Object& object)
{
    if (!object.is_set)
        return "-";
    if (object.timer && object.timer->left)
        return fmt::format("in {}", to_text(rounded(*object.timer->left)));
    if (object.timer)
        return std::string{to_string(object.timer->state)};
    if (!object.mode)
        return "-";
    switch (*object.mode) {
    case Mode::manual:
    case Mode::automatic: return *object.is_set ? "set" : "clear";
    case Mode::semaphore:
        if (object.large_count)
            return printable(*object.large_count) + " tokens";
        return object.count ? plural(*object.count, "token") : *object.is_set ? "set" : "clear";
    case Mode::pulse: return plural(object.subscribers.value_or(0), "subscriber");
    }
    std::abort();
}

std::string show(const protocol::Object& object)
{
    auto text = fmt::format(
        "{}\n"
        "  kind         {}{}\n"
        "  id           {}\n"
        "  state        {}\n",
        object.name.text(), object.mode ? std::string{to_string(*object.mode)} + ' ' : "",
        to_string(object.kind), object.id.value,
        object.timer ? std::string{to_string(object.timer->state)} : state(object));
    if (object.timer)
        text += timer(*object.timer);
    if (object.timer && object.subscribers)
        text += fmt::format("  subscribers  {}\n", *object.subscribers);
    if (object.pulses)
        text += fmt::format("  pulses       {}\n", *object.pulses);
    if (const auto& last = object.last_set)
        text += fmt::format("  last set     {} by {}\n", to_local_text(last->at),
                            last->pid ? fmt::format("{}, pid {}", user(last->uid), *last->pid)
                                      : fmt::format("a timer of {}", user(last->uid)));
    text += fmt::format("  waits        {}\n"
                        "  permissions  {} of {}, gid {}\n"
                        "  lifetime     {}\n"
                        "  created      {} by pid {}\n",
                        object.waits, object.permissions.text(), user(object.owner_uid),
                        object.group_gid, to_string(object.lifetime),
                        to_local_text(object.created_at), object.creator_pid);
    return text;
}

namespace {

std::string stored_in(const protocol::Status::Reply& status)
{
    if (status.fd_store == FdStore::none)
        return "nobody: a crash of the daemon loses all objects";
    if (!status.is_journal_writable)
        return fmt::format("{}, but out of memory: changes are refused until memory is free",
                           to_string(status.fd_store));
    return fmt::format("{}: {} descriptors of objects, a journal of {} bytes",
                       to_string(status.fd_store), status.stashed_descriptors,
                       status.journal_bytes);
}

} // namespace

std::string status(const protocol::Status::Reply& status)
{
    return fmt::format("evfdd {} (pid {}), since {}\n"
                       "  objects        {}\n"
                       "  connections    {}\n"
                       "  waits          {}\n"
                       "  monitors       {}\n"
                       "  subscriptions  {}\n"
                       "  descriptors    {} of {}\n"
                       "  kept by        {}\n",
                       printable(status.version), status.pid, to_local_text(status.started_at),
                       status.objects, status.connections, status.waits, status.monitors,
                       status.subscriptions, status.descriptors, status.descriptor_limit,
                       stored_in(status));
}

namespace {

// Returns the style of a line of `evfdctl monitor`. A change has a colour. The initial list of
// objects, and the line that ends the list, are faint.
fmt::text_style style_of(Change change)
{
    switch (change) {
    case Change::present:
    case Change::ready: return fmt::emphasis::faint;
    case Change::created: return fg(fmt::terminal_color::green);
    case Change::changed: return fg(fmt::terminal_color::cyan);
    case Change::deleted: return fg(fmt::terminal_color::red);
    case Change::resync: return fg(fmt::terminal_color::yellow);
    }
    std::abort();
}

// Returns the style of an object's state: green if a wait for the object would return immediately.
fmt::text_style style_of(const protocol::Object& object)
{
    return object.is_set.value_or(false) ? fg(fmt::terminal_color::green) : fmt::text_style{};
}

} // namespace

Colour terminal_colour()
{
    const auto value = [](const char* name) {
        const char* text = std::getenv(name);
        return std::string_view{text ? text : ""};
    };
    const bool has_colours = !value("TERM").empty() && value("TERM") != "dumb";
    return has_colours && value("NO_COLOR").empty() ? Colour::some : Colour::none;
}

std::string change(const protocol::Monitor::Reply& event, Colour colour)
{
    const auto painted = [&](std::string_view text, fmt::text_style style) {
        return colour == Colour::some ? fmt::format(style, "{}", text) : std::string{text};
    };
    auto line = painted(to_string(event.change), style_of(event.change));
    if (event.name)
        line += '\t' + painted(event.name->text(), fmt::emphasis::bold);
    if (event.name && event.object)
        line += fmt::format("\t{}\t{}", mode_or_clock(*event.object),
                            painted(state(*event.object), style_of(*event.object)));
    return line + '\n';
}

std::string ChangeLines::add(const protocol::Monitor::Reply& event, WallTime now)
{
    const auto padded = [&](std::string_view text, std::size_t width, fmt::text_style style) {
        const auto all = fmt::format("{:<{}}", text, width);
        return colour_ == Colour::some ? fmt::format(style, "{}", all) : all;
    };
    constexpr std::size_t change_width = 7; // That of "changed".
    auto line = to_local_time_of_day(now) + "  ";
    if (!event.name)
        return line + padded(to_string(event.change), 0, style_of(event.change)) + '\n';
    line += padded(to_string(event.change), change_width, style_of(event.change)) + "  ";
    const auto name = event.name->text();
    if (!event.object)
        return line + padded(name, 0, fmt::emphasis::bold) + '\n';
    const auto mode = mode_or_clock(*event.object);
    name_width_ = std::max(name_width_, name.size());
    mode_width_ = std::max(mode_width_, mode.size());
    return line + padded(name, name_width_, fmt::emphasis::bold) + "  " +
           padded(mode, mode_width_, {}) + "  " +
           padded(state(*event.object), 0, style_of(*event.object)) + '\n';
}

Row object_heading()
{
    return {"NAME", "KIND", "MODE", "STATE", "PERMISSIONS", "OWNER"};
}

Row row(const protocol::Object& object)
{
    return {std::string{object.name.text()}, std::string{to_string(object.kind)},
            mode_or_clock(object),           state(object),
            object.permissions.text(),       user(object.owner_uid)};
}

Row quota_heading()
{
    return {"USER", "QUOTA", "USED", "LIMIT"};
}

std::vector<Row> rows(const protocol::Quotas::User& entry)
{
    std::vector<Row> rows;
    for (const auto& [quota, used, limit] : entry.quotas)
        rows.push_back({user(entry.uid), std::string{to_string(quota)}, fmt::to_string(used),
                        fmt::to_string(limit)});
    return rows;
}

std::string Table::add(Row cells)
{
    if (!is_for_terminal_)
        return fmt::format("{}\n", fmt::join(cells, "\t"));
    block_.push_back(std::move(cells));
    return block_.size() < max_block_rows ? std::string{} : end();
}

std::string Table::end()
{
    if (block_.empty())
        return {};
    const bool is_first = widths_.empty();
    if (is_first)
        widen(heading_);
    std::ranges::for_each(block_, [this](const Row& cells) { widen(cells); });
    auto text = is_first && !heading_.empty() ? line(heading_) : std::string{};
    for (const auto& cells : std::exchange(block_, {}))
        text += line(cells);
    return text;
}

void Table::widen(const Row& cells)
{
    widths_.resize(cells.size());
    for (std::size_t column = 0; column < cells.size(); ++column)
        widths_[column] = std::max(widths_[column], cells[column].size());
}

std::string Table::line(const Row& cells) const
{
    std::string text;
    for (std::size_t column = 0; column + 1 < cells.size(); ++column)
        text += fmt::format("{:<{}}  ", cells[column], widths_[column]);
    return text + cells.back() + '\n';
}

bool is_for_terminal()
{
    return ::isatty(STDOUT_FILENO) == 1;
}

} // namespace evfd::report
