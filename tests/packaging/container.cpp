#include "tests/packaging/container.h"
#include "tests/paths.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <ranges>
#include <set>
#include <sstream>
#include <string>

namespace evfd::e2e {

namespace {

constexpr auto image_build_timeout = 280s; // For an image: it is downloaded.

// What our packages run with and do not name. What they name, apt finds when the image is made.
constexpr auto packages = "systemd,systemd-sysv,dbus,python3";

// Run in namespaces of its own: its mounts and processes go with the first of them. What is written
// to its files is in memory, over an image that stays as it is. Its init has the cgroups below one
// of our own, so that two containers at a time do not meet.
constexpr auto boot_script = R"(set -eu
place=$1 image=$2 build=$3 group=$4
for top in /sys/fs/cgroup /sys/fs/cgroup/unified; do
    if [ -f "$top/cgroup.procs" ]; then
        mkdir "$top/$group"
        echo $$ > "$top/$group/cgroup.procs"
    fi
done
mount -t tmpfs -o size=256m tmpfs "$place"
mkdir "$place/upper" "$place/work" "$place/root"
mount -t overlay -o "lowerdir=$image,upperdir=$place/upper,workdir=$place/work" overlay "$place/root"
cp -r "$build/packages" "$place/root/packages"
exec systemd-nspawn --quiet --register=no --keep-unit --private-network --notify-ready=yes \
    --console=pipe --capability=CAP_WAKE_ALARM --boot --directory="$place/root"
)";

Container* current_container = nullptr;

bool is_installed(const std::string& program)
{
    const char* path = std::getenv("PATH");
    for (const auto place : std::views::split(std::string_view{path ? path : ""}, ':'))
        if (::access((std::string{place.begin(), place.end()} + "/" + program).c_str(), X_OK) == 0)
            return true;
    return false;
}

// The first child, as proc(5) has it.
pid_t first_child_of(pid_t process)
{
    const auto pid = std::to_string(process);
    std::istringstream children{read_file("/proc/" + pid + "/task/" + pid + "/children")};
    pid_t first = 0;
    children >> first;
    return first;
}

// The suite of this machine's Debian, whose libraries our programs are linked to. Empty: it is
// none.
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

// What the packages of this build need of that Debian, as `apt-get satisfy` takes it.
std::string dependencies()
{
    std::set<std::string> wanted;
    for (const auto& file : std::filesystem::directory_iterator{EVFDD_BUILD_DIR "/packages"}) {
        if (file.path().extension() != ".deb")
            continue;
        const auto ran =
            e2e::run({.argv = {"/usr/bin/env", "dpkg-deb", "--field", file.path(), "Depends"}});
        require(ran.status == 0, ran.err);
        std::istringstream parts{ran.out};
        for (std::string part; std::getline(parts >> std::ws, part, ',');)
            if (!part.contains("evfd")) // One another.
                wanted.insert(part.substr(0, part.find('\n')));
    }
    std::string all;
    for (const auto& one : wanted)
        (all += all.empty() ? "" : ", ") += one;
    return all;
}

// Built once; again if what it is built from changed, or if that was interrupted.
std::string make_image()
{
    const std::filesystem::path place{EVFDD_BUILD_DIR "/container"};
    const auto image = place / "image";
    const auto recipe = place / "recipe";
    const Command command{.argv = {"/usr/bin/env", "mmdebstrap", "--quiet", "--variant=minbase",
                                   "--include="s + packages,
                                   "--customize-hook=chroot \"$1\" apt-get satisfy --yes "
                                   "--no-install-recommends '" +
                                       dependencies() + "'",
                                   debian_suite(), image}};
    std::string wanted;
    for (const auto& word : command.argv)
        wanted += word + "\n";
    if (read_file(recipe) == wanted)
        return image;
    std::filesystem::remove_all(place);
    std::filesystem::create_directories(place);
    const UniqueFd log{
        ::open((place / "log").c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644)};
    auto logged = command;
    logged.standard_output = logged.standard_error = log.get();
    auto building = start(logged);
    require(await_readable(building.pidfd().get(), image_build_timeout) && building.wait() == 0,
            "mmdebstrap failed:\n" + read_file(place / "log"));
    write_file(recipe, wanted);
    return image;
}

UniqueFd bind_notify_socket(const std::string& path)
{
    UniqueFd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    require(path.size() < sizeof address.sun_path, path);
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0)
        fail(path);
    return socket;
}

// False if it does not become ready.
bool await_ready(const UniqueFd& notices)
{
    while (await_readable(notices.get())) {
        std::array<char, 4096> buffer;
        const auto got = ::recv(notices.get(), buffer.data(), buffer.size(), 0);
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
        return "the container is a Debian, as our packages are, and this machine is none";
    for (const auto* program : {"systemd-nspawn", "mmdebstrap", "nsenter", "unshare", "cmake"})
        if (!is_installed(program))
            return program + " is not installed; see config/bootstrap"s;
    if (::access("/sys/fs/cgroup/cgroup.procs", W_OK) != 0 &&
        ::access("/sys/fs/cgroup/unified/cgroup.procs", W_OK) != 0)
        return "there is no cgroup2 below /sys/fs/cgroup; mount it there";
    const auto ran =
        e2e::run({.argv = {"/usr/bin/env", "unshare", "--mount", "--pid", "--fork", "true"}});
    if (ran.err.contains("root filesystem propagation"))
        return "the root directory is no mount point, as in a chroot; mount it on itself (mount "
               "--bind DIR DIR) before chroot(1)";
    if (ran.status != 0)
        return "unshare(1) cannot make namespaces: " + ran.err.substr(0, ran.err.find('\n'));
    return {};
}

Container::Container() : cgroup_{"evfdd-test-" + std::to_string(::getpid())}
{
    require(!current_container, "one container is enough");
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
    require(current_container, "there is no container");
    return *current_container;
}

void Container::boot(const std::string& image)
{
    const auto place = directory_ / "place";
    const auto notify = directory_ / "notify";
    const auto console = directory_ / "console";
    require(::mkdir(place.c_str(), 0755) == 0, place);
    const auto notices = bind_notify_socket(notify);
    const UniqueFd log{::open(console.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600)};
    unshare_.emplace(
        start({.argv = {"/usr/bin/env", "unshare", "--mount", "--propagation", "private", "--pid",
                        "--fork", "--kill-child", "--mount-proc", "/bin/sh", "-c", boot_script,
                        "boot", place, image, EVFDD_BUILD_DIR, cgroup_},
               .environment = {"NOTIFY_SOCKET=" + notify, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1"},
               .standard_output = log.get(),
               .standard_error = log.get()}));
    const bool is_ready = await_ready(notices);
    nspawn_pid_ = first_child_of(unshare_->pid());
    init_pid_ = nspawn_pid_ > 0 ? first_child_of(nspawn_pid_) : 0;
    require(is_ready && init_pid_ > 0, "the container does not boot:\n" + read_file(console));
}

// Its first process takes all others along; its parent reaps it.
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

Command Container::command(std::vector<std::string> words) const
{
    words.insert(words.begin(),
                 // In a chroot its root is not the one of its mount namespace.
                 {"/usr/bin/env", "nsenter", "--target", std::to_string(init_pid_), "--all",
                  "--root", "--wd", "--"});
    return {.argv = std::move(words),
            .environment = {"EVFDD_SOCKET=", "XDG_RUNTIME_DIR=", "SYSTEMD_COLORS=0", "LANG=C",
                            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"}};
}

std::string Container::run_checked(std::vector<std::string> words) const
{
    std::string line;
    for (const auto& word : words)
        line += word + " ";
    auto ran = run(std::move(words));
    require(ran.status == 0, line + "failed: " + ran.out + ran.err);
    if (ran.out.ends_with('\n'))
        ran.out.pop_back();
    return ran.out;
}

void Container::install(std::string_view place) const
{
    run_checked({"sh", "-c", "exec dpkg --install " + std::string{place} + "/*.deb"});
}

RunResult Container::run_as(std::string_view user, std::vector<std::string> words) const
{
    words.insert(words.begin(), {"setpriv", "--reuid=" + std::string{user}, "--regid=nogroup",
                                 "--clear-groups", "--"});
    return run(std::move(words));
}

std::string Container::path(std::string_view inside) const
{
    return "/proc/" + std::to_string(init_pid_) + "/root" + std::string{inside};
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
