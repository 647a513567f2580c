// Codec: derives the decoder, the encoder and the description of a message from one list of its
// fields.
//
// The struct of a message has a static function fields(), which lists the members in their order:
//
//     static constexpr auto fields() { return field_list(field("name", &T::name, "...")); }
//
// decode<T>() turns a JSON value into the struct, encode() turns the struct into JSON text, and
// describe_fields<T>() lists the fields for the interface text. These functions use Codec<T>,
// which is specialised for each kind of value. A Codec has three functions of its own:
//
//     read(value, context)   -> std::optional<T>; nothing if the value is not valid
//     write(value, context)  appends JSON text
//     type(named)            -> the name of the type in the Varlink interface
//
// A Codec of values that are only decoded needs read() alone. A Codec can also have a function
// expected(), which describes the valid values for an error message (expected_text()).
//
// A validated type (Name, Pattern, BoundedInt, Items, an enum) has a codec that checks its value. A
// decoded message is thus valid in each field, and handlers check only what depends on state.
//
// A file descriptor in a message is the index of a descriptor that came with the message
// (PassedFd).
//
// A struct that is only decoded can have members of two further kinds. The fields of a Part, which
// is a struct, are keys of the outer JSON object. An EnumMap is a JSON object whose keys are the
// names of an enum's values.
//
// Invariants:
//
// - fields() lists every member, in the order of declaration, because the decoder builds the struct
//   from the listed members in this order.
// - The decoder reports the first field that is wrong, missing, repeated or unknown. A client gets
//   the name of the field. For a file that people write, the report has the place of the field and
//   the valid values.
// - The daemon refuses unknown fields, and a client ignores them: see UnknownFields.
#pragma once

#include "common/codec_describe.h"
#include "common/codec_field.h"
#include "common/codec_message.h"
#include "common/codec_values.h"
