// describe_fields(): the fields and the named types of a message for the interface text.
#pragma once

#include "common/codec_message.h"
#include "common/codec_values.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace evfd {

// The description of a field in the interface text.
struct DescribedField {
    std::string name;
    std::string type; // The type in Varlink's notation.
    std::string comment;
};
// The description of a named type in the interface text.
struct DescribedType {
    std::string comment;
    std::vector<DescribedField> fields; // The fields of a struct; empty for an enum.
    std::vector<std::string> values;    // The values of an enum; empty for a struct.
};

template <Message T>
std::vector<DescribedField> describe_fields(NamedTypes& named)
{
    std::vector<DescribedField> described;
    const auto add = [&]<class Owner, class M>(const Field<Owner, M>& field) {
        described.push_back(
            {std::string{field.name}, Codec<M>::type(named), std::string{field.comment}});
    };
    with_fields<T>([&](const auto&... fields) { (add(fields), ...); });
    return described;
}

template <NamedEnum E>
std::string Codec<E>::type(NamedTypes& named)
{
    if (enum_names(E{}).size() == 1) // Some Varlink parsers reject an enum with one value.
        return "string";
    std::vector<std::string> spellings;
    for (const auto& [value, spelling] : enum_names(E{}))
        spellings.emplace_back(spelling);
    if constexpr (requires { named_type(E{}); }) {
        const auto [name, comment] = named_type(E{});
        named.try_emplace(std::string{name},
                          DescribedType{std::string{comment}, {}, std::move(spellings)});
        return std::string{name};
    } else {
        std::string text;
        for (const auto& spelling : spellings)
            (text += text.empty() ? "(" : ", ") += spelling;
        return text + ")";
    }
}

template <Message T>
std::string Codec<T>::type(NamedTypes& named)
{
    if (!named.contains(T::type_name)) {
        auto fields = describe_fields<T>(named);
        named.emplace(T::type_name, DescribedType{std::string{T::comment}, std::move(fields), {}});
    }
    return std::string{T::type_name};
}

} // namespace evfd
