// Implements the functions of evfd.h that connect, open, create and delete.
#include "client/c/arguments.h"
#include "client/c/fd_identity.h"
#include "client/c/handle_table.h"
#include "client/c/with_handle.h"
#include "evfd.h"

#include <fmt/format.h>
#include <unistd.h>

#include <memory>
#include <variant>

namespace evfd::c {

namespace {

// The maximum number of attempts to create and open a name. The number is limited, because other
// processes can delete the name again and again.
constexpr int max_attempts = 16;

// Returns a client of the daemon at `socket`, after the daemon has answered.
Result<std::unique_ptr<Client>> make_client(const char* socket)
{
    auto address = socket ? Expected<Address>{Address::at(socket)} : Address::usual();
    if (!address)
        return std::unexpected(address.error());
    auto client = std::make_unique<Client>(*std::move(address));
    if (const auto answered = client->status(); !answered)
        return std::unexpected(answered.error());
    return client;
}

Result<void> connect_to_daemon(const char* socket)
{
    auto client = make_client(socket);
    if (!client)
        return std::unexpected(std::move(client.error()));
    handle_table.set_client(*std::move(client));
    return {};
}

Result<evfd_client*> connect_client(const char* socket)
{
    auto client = make_client(socket);
    if (!client)
        return std::unexpected(std::move(client.error()));
    return handle_table.add_client(*std::move(client));
}

Result<CreateOptions> to_options(int flags, mode_t bits, std::int64_t initial)
{
    if (const auto known =
            check_flags(flags, mode_flags | EVFD_CREATE | EVFD_EXCL | EVFD_TEMPORARY);
        !known)
        return std::unexpected(known.error());
    const auto mode = to_mode(flags);
    if (!mode)
        return std::unexpected(mode.error());
    const auto permissions = permissions_under_umask(bits);
    if (!permissions)
        return std::unexpected(permissions.error());
    return CreateOptions{.mode = *mode,
                         .initial = initial,
                         .permissions = *permissions,
                         .lifetime = to_lifetime(flags),
                         .if_missing = (flags & EVFD_EXCL) == 0};
}

Result<int> open_existing(const evfd_client* of, std::string_view name)
{
    const auto client = handle_table.client(of);
    if (!client)
        return std::unexpected(client.error());
    auto opened = client->open_either(name);
    if (!opened)
        return std::unexpected(opened.error());
    return handle_table.insert(*std::move(opened));
}

bool is_event_with_mode(const Object& object, Mode mode)
{
    const auto* const event = std::get_if<Event>(&object);
    return event && event->mode() == mode;
}

// Opens the event that create() created or found. Fails if no object has the name now, or if an
// object of another kind or mode has the name now.
Result<int> open_created(const Client& client, std::string_view name, Mode mode)
{
    auto opened = client.open_either(name);
    if (!opened)
        return std::unexpected(opened.error());
    if (is_event_with_mode(*opened, mode))
        return handle_table.insert(*std::move(opened));
    return std::unexpected(
        Failure{EBUSY, fmt::format("'{}' was deleted and created again as something else; use "
                                   "another name, or open it without EVFD_CREATE",
                                   name)});
}

// Converts the error of a creation. With EVFD_EXCL each object that has the name prevents the
// creation; without it, only an object of another mode or kind does.
Failure to_failure(const Error& error, const CreateOptions& options)
{
    Failure failure{error};
    if (error.code == ErrorCode::name_taken && !options.if_missing)
        failure.error = EEXIST;
    return failure;
}

Result<int> create_and_open(const evfd_client* of, std::string_view name,
                            const CreateOptions& options)
{
    for (int attempts = 1;; ++attempts) {
        const auto client = handle_table.client(of);
        if (!client)
            return std::unexpected(client.error());
        if (const auto created = client->create(name, options); !created)
            return std::unexpected(to_failure(created.error(), options));
        auto fd = open_created(*client, name, options.mode);
        const bool was_deleted = !fd && fd.error().error == ENOENT;
        if (!was_deleted || !options.if_missing || attempts == max_attempts)
            return fd;
    }
}

Result<void> close_handle(int fd)
{
    const auto handle = handle_table.erase(fd);
    if (!handle)
        return std::unexpected(handle.error());
    const bool was_reused = are_different(identity_of(fd), (*handle)->identity);
    if (!was_reused && (::close(fd) == 0 || errno != EBADF))
        return {};
    return std::unexpected(closed_elsewhere(fd, was_reused));
}

} // namespace
} // namespace evfd::c

using namespace evfd::c;

const char* evfd_error()
{
    return last_error_message();
}

int evfd_connect(const char* socket)
{
    return to_c_result([&] { return connect_to_daemon(socket); });
}

int evfd_client_new(evfd_client** client, const char* address)
{
    if (client)
        *client = nullptr;
    return to_c_result([&]() -> Result<void> {
        if (!client)
            return invalid_argument("there is no place for the client; give the address of a "
                                    "pointer");
        const auto made = connect_client(address);
        if (!made)
            return std::unexpected(made.error());
        *client = *made;
        return {};
    });
}

int evfd_client_unref(evfd_client* client)
{
    return to_c_result([&] { return handle_table.remove_client(client); });
}

int evfd_open(const char* name, int flags, mode_t permissions, std::int64_t initial)
{
    return evfd_client_open(nullptr, name, flags, permissions, initial);
}

int evfd_client_open(evfd_client* of, const char* name, int flags, mode_t permissions,
                     std::int64_t initial)
{
    return to_c_result([&]() -> Result<int> {
        const auto text = to_text(name);
        if (!text)
            return std::unexpected(text.error());
        if (flags == 0)
            return open_existing(of, *text);
        if ((flags & EVFD_CREATE) == 0)
            return invalid_argument("other flags need EVFD_CREATE; add it, or give 0");
        const auto options = to_options(flags, permissions, initial);
        return options ? create_and_open(of, *text, *options) : std::unexpected(options.error());
    });
}

int evfd_close(int fd)
{
    return to_c_result([&] { return close_handle(fd); });
}

int evfd_get_mode(int fd)
{
    return to_c_result([&] {
        return with_handle(fd, [](const Handle& handle) -> Result<int> {
            const auto event = handle.event();
            return event ? from_mode((*event)->mode()) : EVFD_TIMER;
        });
    });
}

int evfd_get_access(int fd)
{
    return to_c_result([&] {
        return with_handle(fd, [](const Handle& handle) -> Result<int> {
            const auto access = handle.waitable().access();
            return (access.wait ? EVFD_MAY_WAIT : 0) | (access.set ? EVFD_MAY_SET : 0);
        });
    });
}

int evfd_delete(const char* name)
{
    return evfd_client_delete(nullptr, name);
}

int evfd_set_permissions(const char* name, mode_t permissions)
{
    return evfd_client_set_permissions(nullptr, name, permissions);
}

int evfd_client_delete(evfd_client* of, const char* name)
{
    return to_c_result([&] {
        return with_name(of, name, [](const auto& client, const auto& one) {
            return client.delete_object(one);
        });
    });
}

int evfd_client_set_permissions(evfd_client* of, const char* name, mode_t permissions)
{
    return to_c_result([&] {
        return with_name(of, name, [&](const auto& client, const auto& one) -> Result<void> {
            const auto parsed = to_permissions(permissions);
            if (!parsed)
                return std::unexpected(parsed.error());
            return client.set_permissions(one.front(), *parsed);
        });
    });
}
