// The baseline of fairness.py: a server that answers the calls of all clients in the order of their
// arrival. The server does not parse JSON. A zero byte ends a call. A call that contains "Set" adds
// to an eventfd, and a call that contains "Wait" consumes from that eventfd.
//
// usage: bare_server SOCKET
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { max_connections = 65536, batch = 256, call_bytes = 16 * 1024 };

// The reply to each call. The zero byte that ends the string is a part of the reply.
static const char reply[] = "{\"parameters\":{}}";

// The beginning of a call whose end has not arrived yet. unread_of has an entry for each
// connection, with the descriptor of the connection as the index.
struct unread {
    size_t size;
    char bytes[512];
};
static struct unread unread_of[max_connections];

static void reply_to(int socket, const char* call, size_t size, int event)
{
    uint64_t token = 1;
    if (memmem(call, size, "Set", 3))
        (void)!write(event, &token, sizeof token);
    else if (memmem(call, size, "Wait", 4))
        (void)!read(event, &token, sizeof token);
    (void)!send(socket, reply, sizeof reply, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void serve(int socket, int event)
{
    char bytes[sizeof unread_of->bytes + call_bytes];
    struct unread* unread = &unread_of[socket];
    memcpy(bytes, unread->bytes, unread->size);
    const ssize_t got = recv(socket, bytes + unread->size, call_bytes, MSG_DONTWAIT);
    if (got <= 0) {
        unread->size = 0;
        close(socket);
        return;
    }
    const char* call = bytes;
    size_t left = unread->size + (size_t)got;
    for (const char* end; (end = memchr(call, '\0', left)); call = end + 1) {
        reply_to(socket, call, (size_t)(end - call), event);
        left -= (size_t)(end - call) + 1;
    }
    // Drops the beginning of a call if the beginning does not fit into the buffer.
    unread->size = left < sizeof unread->bytes ? left : 0;
    memcpy(unread->bytes, call, unread->size);
}

// Sends READY=1 to the process that started the server, as sd_notify(3) does: clients can connect.
static void notify_ready(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char* path = getenv("NOTIFY_SOCKET");
    if (!path || strlen(path) >= sizeof address.sun_path)
        return;
    strcpy(address.sun_path, path);
    const int notifications = socket(AF_UNIX, SOCK_DGRAM, 0);
    (void)!sendto(notifications, "READY=1", 7, 0, (struct sockaddr*)&address, sizeof address);
    close(notifications);
}

int main(int argc, char** argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path)
        return 2;
    strcpy(address.sun_path, argv[1]);
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int epoll = epoll_create1(0);
    const int event = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
    struct epoll_event watched = {.events = EPOLLIN, .data.fd = listener};
    umask(0);
    if (bind(listener, (struct sockaddr*)&address, sizeof address) < 0 ||
        listen(listener, 4096) < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &watched) < 0) {
        perror(argv[1]);
        return 1;
    }
    notify_ready();
    while (1) {
        struct epoll_event events[batch];
        const int ready = epoll_wait(epoll, events, batch, -1);
        for (int i = 0; i < ready; ++i) {
            if (events[i].data.fd != listener) {
                serve(events[i].data.fd, event);
                continue;
            }
            while ((watched.data.fd = accept(listener, NULL, NULL)) >= 0)
                if (watched.data.fd >= max_connections)
                    close(watched.data.fd);
                else
                    epoll_ctl(epoll, EPOLL_CTL_ADD, watched.data.fd, &watched);
        }
    }
}
