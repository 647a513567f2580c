#include "tests/support/varlink_grammar.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

namespace evfd::varlink {

Type::Type(Kind of) : kind{of} {}

namespace {

constexpr bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

constexpr bool is_letter(char c)
{
    return is_upper(c) || (c >= 'a' && c <= 'z');
}

constexpr bool is_alphanumeric(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9');
}

// Returns whether the text matches [A-Z][A-Za-z0-9]*.
bool is_member_name(std::string_view text)
{
    return !text.empty() && is_upper(text.front()) && std::ranges::all_of(text, is_alphanumeric);
}

// Returns whether the text matches [A-Za-z](_?[A-Za-z0-9])*.
bool is_field_name(std::string_view text)
{
    return !text.empty() && is_letter(text.front()) && text.back() != '_' && !text.contains("__") &&
           std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || c == '_'; });
}

// Returns whether the text matches [A-Za-z0-9](-*[A-Za-z0-9])*.
bool is_label(std::string_view text)
{
    return !text.empty() && text.front() != '-' && text.back() != '-' &&
           std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || c == '-'; });
}

// Returns whether the text consists of two or more labels with dots between the labels, and begins
// with a letter.
bool is_interface_name(std::string_view text)
{
    if (text.empty() || !is_letter(text.front()) || !text.contains('.'))
        return false;
    while (true) {
        const auto dot = text.find('.');
        if (!is_label(text.substr(0, dot)))
            return false;
        if (dot == std::string_view::npos)
            return true;
        text.remove_prefix(dot + 1);
    }
}

// Returns a type that is an array of `inner`, a dictionary of `inner` or an optional `inner`, as
// `kind` says.
Type wrap(Type::Kind kind, Type inner)
{
    Type outer{kind};
    outer.inner.push_back(std::move(inner));
    return outer;
}

// Parses an interface definition in one pass. Throws an exception at the first error.
class Parser {
public:
    explicit Parser(std::string_view text) : text_{text} {}

    Interface interface()
    {
        skip_space();
        Interface read{.name = {}, .comment = std::move(comment_), .members = {}};
        expect_word("interface");
        read.name = word(".-");
        if (!is_interface_name(read.name))
            fail("not an interface name");
        end_line();
        for (skip_space(); !at_end(); skip_space())
            read.members.push_back(member());
        if (read.members.empty())
            fail("an interface without members");
        for (const auto& type : needed_)
            if (std::ranges::none_of(read.members, [&](const Member& each) {
                    return each.kind == Member::Kind::type && each.name == type;
                }))
                fail("no type " + type);
        return read;
    }

private:
    [[noreturn]] void fail(std::string message) const
    {
        const auto line = 1 + std::ranges::count(text_.substr(0, at_), '\n');
        throw SyntaxError{static_cast<std::size_t>(line), std::move(message)};
    }

    bool at_end() const { return at_ == text_.size(); }
    bool is_next(std::string_view token) const { return text_.substr(at_).starts_with(token); }
    bool consume(std::string_view token)
    {
        if (!is_next(token))
            return false;
        at_ += token.size();
        return true;
    }
    void expect(std::string_view token)
    {
        if (!consume(token))
            fail("no " + std::string{token});
    }

    bool skip_blanks()
    {
        const auto from = at_;
        while (consume(" ") || consume("\t"))
            ;
        return at_ != from;
    }
    // Skips blanks, line ends and comments. Stores the lines of the last comment in `comment_`,
    // unless an empty line follows the comment.
    void skip_space()
    {
        comment_.clear();
        bool line_is_empty = at_ == 0 || text_[at_ - 1] == '\n';
        while (true) {
            skip_blanks();
            if (consume("\n") || consume("\r\n")) {
                if (std::exchange(line_is_empty, true))
                    comment_.clear();
            } else if (consume("#")) {
                const auto end = text_.find('\n', at_);
                if (end == std::string_view::npos)
                    fail("a comment without an end of line");
                auto line = text_.substr(at_, end - at_);
                line.remove_prefix(line.starts_with(' ') ? 1 : 0);
                comment_.emplace_back(line);
                at_ = end + 1;
            } else {
                return;
            }
        }
    }
    void end_line()
    {
        skip_blanks();
        if (is_next("#"))
            return; // The next call of skip_space() consumes the comment and the end of the line.
        if (!consume("\n") && !consume("\r\n") && !at_end())
            fail("no end of line");
    }

    // Consumes and returns all following letters, digits, underscores and characters of
    // `extra_characters`.
    std::string word(std::string_view extra_characters = {})
    {
        const auto from = at_;
        while (!at_end() && (is_alphanumeric(text_[at_]) || text_[at_] == '_' ||
                             extra_characters.contains(text_[at_])))
            ++at_;
        return std::string{text_.substr(from, at_ - from)};
    }
    void expect_word(std::string_view keyword)
    {
        if (word() != keyword)
            fail("no " + std::string{keyword});
        if (!skip_blanks())
            fail("no blank after " + std::string{keyword});
    }

    Member member()
    {
        Member read{.kind = Member::Kind::type,
                    .name = {},
                    .comment = std::move(comment_),
                    .shape = Type{Type::Kind::structure}};
        const auto keyword = word();
        if (keyword == "method")
            read.kind = Member::Kind::method;
        else if (keyword == "error")
            read.kind = Member::Kind::error;
        else if (keyword != "type")
            fail("no member");
        if (!skip_blanks())
            fail("no blank after " + keyword);

        read.name = word("-");
        if (!is_member_name(read.name))
            fail("not a member's name");
        if (!members_.insert(read.name).second)
            fail("a second " + read.name);
        skip_blanks();
        read.shape = brackets();
        if (read.kind != Member::Kind::type && read.shape.kind != Type::Kind::structure)
            fail("an enumeration as parameters");
        if (read.kind == Member::Kind::method) {
            skip_space();
            expect("->");
            skip_space();
            read.output = brackets();
            if (read.output->kind != Type::Kind::structure)
                fail("an enumeration as parameters");
        }
        end_line();
        return read;
    }

    // Parses a structure, "(name: type, ...)", or an enumeration, "(name, ...)".
    Type brackets()
    {
        expect("(");
        Type read{Type::Kind::structure};
        std::set<std::string> names;
        skip_space();
        if (consume(")"))
            return read;
        for (bool first = true;; first = false) {
            const auto name = word("-");
            if (!is_field_name(name))
                fail("not a field's name");
            if (!names.insert(name).second)
                fail("a second " + name);
            skip_space();
            if (first)
                read.kind = is_next(":") ? Type::Kind::structure : Type::Kind::enumeration;
            if (read.kind == Type::Kind::structure) {
                expect(":");
                skip_space();
                read.fields.push_back({name, type()});
                skip_space();
            } else {
                read.values.push_back(name);
            }
            if (consume(")"))
                return read;
            expect(",");
            skip_space();
        }
    }

    // Parses a type. An optional of an optional is an error in Varlink.
    Type type()
    {
        const bool optional = consume("?");
        return optional ? wrap(Type::Kind::optional, plain_type()) : plain_type();
    }
    Type plain_type()
    {
        if (consume("[]"))
            return wrap(Type::Kind::array, type());
        if (consume("[string]"))
            return wrap(Type::Kind::dictionary, type());
        if (is_next("("))
            return brackets();
        static constexpr std::array<std::pair<std::string_view, Type::Kind>, 6> keywords{
            {{"bool", Type::Kind::boolean},
             {"int", Type::Kind::integer},
             {"float", Type::Kind::real},
             {"string", Type::Kind::string},
             {"object", Type::Kind::object},
             {"any", Type::Kind::any}}};
        const auto name = word();
        for (const auto& [keyword, kind] : keywords)
            if (name == keyword)
                return Type{kind};
        if (!is_member_name(name))
            fail("not a type");
        needed_.insert(name);
        Type named{Type::Kind::named};
        named.name = name;
        return named;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::vector<std::string> comment_; // The lines of the comment directly above the next member.
    std::set<std::string> members_;    // The names of all members that were parsed so far.
    std::set<std::string> needed_;     // The names of all types to which a member refers.
};

} // namespace

std::expected<Interface, SyntaxError> parse_interface(std::string_view text)
{
    try {
        return Parser{text}.interface();
    } catch (SyntaxError& error) {
        return std::unexpected(std::move(error));
    }
}

} // namespace evfd::varlink
