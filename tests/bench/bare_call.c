/* The baseline of a whole evfdctl process: connects, sends one call of io.evfdd, reads the reply
 * and exits. */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char** argv)
{
    static const char call[] =
        "{\"method\":\"io.evfdd.Set\",\"parameters\":{\"items\":[{\"name\":\"db/ready\"}]}}";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char reply[4096];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path)
        return 2;
    strcpy(address.sun_path, argv[1]);
    if (connect(fd, (struct sockaddr*)&address, sizeof address) < 0)
        return 1;
    if (send(fd, call, sizeof call, 0) != sizeof call || recv(fd, reply, sizeof reply, 0) <= 0)
        return 1;
    return strstr(reply, "error") != NULL;
}
