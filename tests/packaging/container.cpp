#include "tests/packaging/container.h"
#include "tests/paths.h"
#include "tests/support/unix_address.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <ranges>
#include <set>
#include <sstream>
#include <string>

namespace evfd::e2e {

namespace {

// The time limit for building the image, which includes the download of packages.
constexpr auto image_build_timeout = 280s;

// Packages that only the tests need. The image has these packages and the dependencies of our
// packages.
constexpr auto packages = "systemd,systemd-sysv,dbus,python3";

// Boots the container. The script is the first process of a pid namespace and a mount namespace, so
// all processes and mounts of the container end with it. All changes of files go to an overlay in
// memory, so the image itself does not change. Each container has its own cgroup, so that two
// containers can run at the same time.
constexpr auto boot_script = R"(set -eu
directory=$1 image=$2 build=$3 group=$4
for top in /sys/fs/cgroup /sys/fs/cgroup/unified; do
    if [ -f "$top/cgroup.procs" ]; then
        mkdir "$top/$group"
        echo $$ > "$top/$group/cgroup.procs"
    fi
done
mount -t tmpfs -o size=256m tmpfs "$directory"
mkdir "$directory/upper" "$directory/work" "$directory/root"
mount -t overlay -o "lowerdir=$image,upperdir=$directory/upper,workdir=$directory/work" overlay "$directory/root"
cp -r "$build/packages" "$directory/root/packages"
exec systemd-nspawn --quiet --register=no --keep-unit --private-network --notify-ready=yes \
    --console=pipe --capability=CAP_WAKE_ALARM --boot --directory="$directory/root"
)";

Container* current_container = nullptr;

bool is_installed(const std::string& program)
{
    const char* path = std::getenv("PATH");
    for (const auto directory : std::views::split(std::string_view{path ? path : ""}, ':'))
        if (::access((std::string{directory.begin(), directory.end()} + "/" + program).c_str(),
                     X_OK) == 0)
            return true;
    return false;
}

// Returns the pid of the first child of a process, or 0 if the process has no child. See proc(5).
pid_t first_child_of(pid_t process)
{
    const auto pid = std::to_string(process);
    std::istringstream children{read_file("/proc/" + pid + "/task/" + pid + "/children")};
    pid_t first = 0;
    children >> first;
    return first;
}

// Returns the code name of the Debian release that this machine runs, or an empty string on another
// system. The container must have this release too, because our programs are linked with the
// libraries of this machine.
std::string debian_suite()
{
    std::istringstream lines{read_file("/etc/os-release")};
    const auto key = "VERSION_CODENAME="s;
    bool is_debian = false;
    std::string name;
    for (std::string line; std::getline(lines, line);) {
        is_debian |= line == "ID=debian";
        if (line.starts_with(key))
            name = line.substr(key.size());
    }
    return is_debian ? name : std::string{};
}

// Returns the dependencies of this build's packages in the syntax of `apt-get satisfy`.
std::string dependencies()
{
    std::set<std::string> all_dependencies;
    for (const auto& file : std::filesystem::directory_iterator{EVFDD_BUILD_DIR "/packages"}) {
        if (file.path().extension() != ".deb")
            continue;
        const auto result =
            e2e::run({.argv = {"/usr/bin/env", "dpkg-deb", "--field", file.path(), "Depends"}});
        require(result.status == 0, result.err);
        std::istringstream parts{result.out};
        for (std::string part; std::getline(parts >> std::ws, part, ',');)
            // Leaves out dependencies on our own packages.
            if (!part.contains("evfd"))
                all_dependencies.insert(part.substr(0, part.find('\n')));
    }
    std::string list;
    for (const auto& one : all_dependencies)
        (list += list.empty() ? "" : ", ") += one;
    return list;
}

// Returns the path of the container's image. Builds the image first, unless the existing image was
// built by the same command line.
std::string make_image()
{
    const std::filesystem::path directory{EVFDD_BUILD_DIR "/container"};
    const auto image = directory / "image";
    const auto recipe = directory / "recipe";
    const Command command{.argv = {"/usr/bin/env", "mmdebstrap", "--quiet", "--variant=minbase",
                                   "--include="s + packages,
                                   "--customize-hook=chroot \"$1\" apt-get satisfy --yes "
                                   "--no-install-recommends '" +
                                       dependencies() + "'",
                                   debian_suite(), image}};
    std::string new_recipe;
    for (const auto& word : command.argv)
        new_recipe += word + "\n";
    if (read_file(recipe) == new_recipe)
        return image;
    std::filesystem::remove_all(directory);
    std::filesystem::create_directories(directory);
    const UniqueFd log{
        ::open((directory / "log").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644)};
    auto logged_command = command;
    logged_command.standard_output = logged_command.standard_error = log.get();
    auto building = start(logged_command);
    require(await_readable(building.pidfd().get(), image_build_timeout) && building.wait() == 0,
            "mmdebstrap failed:\n" + read_file(directory / "log"));
    write_file(recipe, new_recipe);
    return image;
}

UniqueFd bind_notify_socket(const std::string& path)
{
    UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    if (bind_path(socket, path) < 0)
        fail(path);
    return socket;
}

// Waits for the message READY=1, which says that the container has booted. Returns false if the
// socket receives no message before the deadline.
bool await_ready(const UniqueFd& notify_socket)
{
    while (await_readable(notify_socket.get())) {
        std::array<char, 4096> buffer;
        const auto got = ::recv(notify_socket.get(), buffer.data(), buffer.size(), 0);
        if (got > 0 &&
            std::string_view{buffer.data(), static_cast<std::size_t>(got)}.contains("READY=1\n"))
            return true;
    }
    return false;
}

void remove_cgroup(const std::filesystem::path& group)
{
    std::error_code failed;
    for (std::filesystem::directory_iterator entry{group, failed}, end; !failed && entry != end;
         entry.increment(failed))
        if (entry->is_directory(failed))
            remove_cgroup(entry->path());
    ::rmdir(group.c_str());
}

} // namespace

std::optional<std::string> Container::unavailable_reason()
{
    if (!is_root())
        return "only root can boot a container";
    if (debian_suite().empty())
        return "the packages are built for Debian, and this machine does not run Debian";
    for (const auto* program : {"systemd-nspawn", "mmdebstrap", "nsenter", "unshare", "cmake"})
        if (!is_installed(program))
            return program + " is not installed; see config/bootstrap"s;
    if (::access("/sys/fs/cgroup/cgroup.procs", W_OK) != 0 &&
        ::access("/sys/fs/cgroup/unified/cgroup.procs", W_OK) != 0)
        return "no cgroup2 is mounted below /sys/fs/cgroup; mount it there";
    const auto result =
        e2e::run({.argv = {"/usr/bin/env", "unshare", "--mount", "--pid", "--fork", "true"}});
    if (result.err.contains("root filesystem propagation"))
        return "the root directory is not a mount point, as in a chroot; mount it on itself (mount "
               "--bind DIR DIR) before chroot(1)";
    if (result.status != 0)
        return "unshare(1) cannot make namespaces: " + result.err.substr(0, result.err.find('\n'));
    return {};
}

Container::Container() : cgroup_{"evfdd-test-" + std::to_string(::getpid())}
{
    require(!current_container, "a container exists already");
    try {
        boot(make_image());
        install("/packages");
    } catch (...) {
        shut_down();
        throw;
    }
    current_container = this;
}

Container::~Container()
{
    current_container = nullptr;
    shut_down();
}

Container& Container::instance()
{
    require(current_container, "no container exists");
    return *current_container;
}

void Container::boot(const std::string& image)
{
    const auto mount_point = directory_ / "mount";
    const auto notify = directory_ / "notify";
    const auto console = directory_ / "console";
    require(::mkdir(mount_point.c_str(), 0755) == 0, mount_point);
    const auto notify_socket = bind_notify_socket(notify);
    const UniqueFd log{::open(console.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600)};
    unshare_.emplace(
        start({.argv = {"/usr/bin/env", "unshare", "--mount", "--propagation", "private", "--pid",
                        "--fork", "--kill-child", "--mount-proc", "/bin/sh", "-c", boot_script,
                        "boot", mount_point, image, EVFDD_BUILD_DIR, cgroup_},
               .environment = {"NOTIFY_SOCKET=" + notify, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1"},
               .standard_output = log.get(),
               .standard_error = log.get()}));
    const bool is_ready = await_ready(notify_socket);
    nspawn_pid_ = first_child_of(unshare_->pid());
    init_pid_ = nspawn_pid_ > 0 ? first_child_of(nspawn_pid_) : 0;
    require(is_ready && init_pid_ > 0, "the container does not boot:\n" + read_file(console));
}

// Kills the first process of the container's pid namespace. The kernel then kills all other
// processes of the namespace. unshare(1), the parent of the first process, reaps it and exits.
void Container::shut_down()
{
    if (!unshare_)
        return;
    const auto first = nspawn_pid_ > 0 ? nspawn_pid_ : first_child_of(unshare_->pid());
    if (first > 0) {
        ::kill(first, SIGKILL);
        await_readable(unshare_->pidfd().get());
    }
    unshare_.reset();
    for (const auto* top :
         {"/sys/fs/cgroup/", "/sys/fs/cgroup/unified/", "/sys/fs/cgroup/systemd/"})
        remove_cgroup(top + cgroup_);
}

Command Container::command(std::vector<std::string> argv) const
{
    argv.insert(argv.begin(),
                // If this process runs in a chroot, nsenter(1) needs --root to change to the
                // container's root directory.
                {"/usr/bin/env", "nsenter", "--target", std::to_string(init_pid_), "--all",
                 "--root", "--wd", "--"});
    return {.argv = std::move(argv),
            .environment = {"EVFDD_SOCKET=", "XDG_RUNTIME_DIR=", "SYSTEMD_COLORS=0", "LANG=C",
                            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"}};
}

std::string Container::run_checked(std::vector<std::string> argv) const
{
    std::string command_line;
    for (const auto& word : argv)
        command_line += word + " ";
    auto result = run(std::move(argv));
    require(result.status == 0, command_line + "failed: " + result.out + result.err);
    if (result.out.ends_with('\n'))
        result.out.pop_back();
    return result.out;
}

void Container::install(std::string_view directory) const
{
    run_checked({"sh", "-c", "exec dpkg --install " + std::string{directory} + "/*.deb"});
}

RunResult Container::run_as(std::string_view user, std::vector<std::string> argv) const
{
    argv.insert(argv.begin(), {"setpriv", "--reuid=" + std::string{user}, "--regid=nogroup",
                               "--clear-groups", "--"});
    return run(std::move(argv));
}

std::string Container::path(std::string_view path_inside) const
{
    return "/proc/" + std::to_string(init_pid_) + "/root" + std::string{path_inside};
}

std::string Container::property(std::string_view unit, std::string_view name) const
{
    return run_checked(
        {"systemctl", "show", "--value", "--property", std::string{name}, std::string{unit}});
}

void Container::write_unit(std::string_view name, std::string_view text) const
{
    const auto file = path("/run/systemd/system/" + std::string{name});
    std::filesystem::create_directories(std::filesystem::path{file}.parent_path());
    write_file(file, text);
    run_checked({"systemctl", "daemon-reload"});
}

} // namespace evfd::e2e
