// fmt from its headers, once, for a program that has it in itself instead of its shared library.
// What its own src/format.cc has, that is to be instantiated.
#include <fmt/format-inl.h>

FMT_BEGIN_NAMESPACE

template FMT_API auto detail::thousands_sep_impl(locale_ref) -> thousands_sep_result<char>;
template FMT_API auto detail::decimal_point_impl(locale_ref) -> char;

FMT_END_NAMESPACE
