// TimeZoneScope: sets the time zone of this process as long as the object exists.
#pragma once

#include <stdlib.h>
#include <time.h>

#include <optional>
#include <string>

namespace evfd {

class TimeZoneScope {
public:
    explicit TimeZoneScope(const char* name)
    {
        if (const char* value = ::getenv("TZ"))
            before_ = value;
        ::setenv("TZ", name, 1);
        ::tzset();
    }
    ~TimeZoneScope()
    {
        if (before_)
            ::setenv("TZ", before_->c_str(), 1);
        else
            ::unsetenv("TZ");
        ::tzset();
    }
    TimeZoneScope(const TimeZoneScope&) = delete;
    TimeZoneScope& operator=(const TimeZoneScope&) = delete;

private:
    std::optional<std::string> before_;
};

} // namespace evfd
