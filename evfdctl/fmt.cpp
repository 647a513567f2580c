// fmt from its headers, once, instead of its shared library: together with a C++ library that is linked
// in, that halves what starting evfdctl costs, which is most of what a set from the shell costs.
#include <fmt/format-inl.h>

FMT_BEGIN_NAMESPACE

template FMT_API auto detail::thousands_sep_impl(locale_ref) -> thousands_sep_result<char>;
template FMT_API auto detail::decimal_point_impl(locale_ref) -> char;

FMT_END_NAMESPACE
