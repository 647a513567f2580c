// org.varlink.service: the calls and errors that every Varlink service has.
#pragma once

#include "common/codec.h"

namespace evfd::protocol {

struct GetInfo {
    struct Reply {
        std::string vendor;
        std::string product;
        std::string version;
        std::string url;
        std::vector<std::string> interfaces;
        static constexpr auto fields()
        {
            return field_list(field("vendor", &Reply::vendor, "Who makes the service."),
                              field("product", &Reply::product, "What it is called."),
                              field("version", &Reply::version, "Its version."),
                              field("url", &Reply::url, "Where to read more."),
                              field("interfaces", &Reply::interfaces, "What it speaks, sorted."));
        }
    };

    static constexpr std::string_view method = "GetInfo";
    static constexpr std::string_view comment = "Tells what this service is and what it speaks.";
    static constexpr auto fields() { return field_list(); }
};

struct GetInterfaceDescription {
    std::string interface_name;

    struct Reply {
        std::string description;
        static constexpr auto fields()
        {
            return field_list(field("description", &Reply::description, "Its text."));
        }
    };

    static constexpr std::string_view method = "GetInterfaceDescription";
    static constexpr std::string_view comment = "Gives the text of an interface.";
    static constexpr auto fields()
    {
        return field_list(field("interface", &GetInterfaceDescription::interface_name,
                                "Which, by its full name."));
    }
};

struct InterfaceNotFound {
    std::string interface_name;

    static constexpr std::string_view error = "InterfaceNotFound";
    static constexpr std::string_view comment = "The service does not speak this interface.";
    static constexpr auto fields()
    {
        return field_list(field("interface", &InterfaceNotFound::interface_name, "Which."));
    }
};

struct MethodNotFound {
    std::string method_name;

    static constexpr std::string_view error = "MethodNotFound";
    static constexpr std::string_view comment = "The interface has no such method.";
    static constexpr auto fields()
    {
        return field_list(field("method", &MethodNotFound::method_name, "Its full name."));
    }
};

struct MethodNotImplemented {
    std::string method_name;

    static constexpr std::string_view error = "MethodNotImplemented";
    static constexpr std::string_view comment =
        "The interface has the method, the service does not.";
    static constexpr auto fields()
    {
        return field_list(field("method", &MethodNotImplemented::method_name, "Its full name."));
    }
};

struct InvalidParameter {
    std::string parameter;

    static constexpr std::string_view error = "InvalidParameter";
    static constexpr std::string_view comment = "A field is missing, unknown, repeated or wrong.";
    static constexpr auto fields()
    {
        return field_list(field("parameter", &InvalidParameter::parameter, "Which field."));
    }
};

struct PermissionDenied {
    static constexpr std::string_view error = "PermissionDenied";
    static constexpr std::string_view comment = "The caller may not call this.";
    static constexpr auto fields() { return field_list(); }
};

struct ExpectedMore {
    static constexpr std::string_view error = "ExpectedMore";
    static constexpr std::string_view comment =
        "The method answers with many replies: call it with `more`.";
    static constexpr auto fields() { return field_list(); }
};

struct VarlinkService {
    static constexpr std::string_view name = "org.varlink.service";
    static constexpr std::string_view comment = "What every Varlink service tells of itself.";
    using Methods = TypeList<GetInfo, GetInterfaceDescription>;
    using Errors = TypeList<InterfaceNotFound, MethodNotFound, MethodNotImplemented,
                            InvalidParameter, PermissionDenied, ExpectedMore>;
};

} // namespace evfd::protocol
