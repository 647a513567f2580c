// What the packages do to a machine, and to whom they listen.
#include "tests/support/catch.h"
#include "tests/packaging/container.h"

#include <filesystem>

namespace evfd::e2e {
namespace {

constexpr auto all = "evfdd evfdctl libevfd0 libevfd-dev python3-evfd";

void dpkg(std::string_view deed)
{
    Container::the().done(
        {"sh", "-c", "exec dpkg --" + std::string{deed} + " " + std::string{all}});
}

// Files that are called after us, but for what is dpkg's and systemd's own, and these packages.
std::string files()
{
    return Container::the().done(
        {"sh", "-c",
         "find / -xdev -name '*evfd*' ! -path '/proc/*' ! -path '/sys/*' ! -path '/packages*' "
         "! -path '/var/lib/dpkg/*' ! -path '/var/log/*' ! -path '/tmp/*' | sort; "
         "find /run /tmp -name '*evfd*'"});
}

TEST_CASE("the service listens once it is installed, and each package has what it is for")
{
    auto& container = Container::the();
    CHECK(container.property("evfdd.socket", "ActiveState") == "active");
    CHECK(container.property("evfdd.socket", "UnitFileState") == "enabled");
    container.done({"evfdctl", "create", "packaged"});
    container.done({"python3", "-c", "import evfd; evfd.Event('packaged').set()"});
    container.done({"evfdctl", "is-set", "packaged"});
    container.done({"evfdctl", "delete", "packaged"});
    CHECK(container.done({"dpkg", "--verify"}).empty());
}

TEST_CASE("a socket that the administrator disabled stays disabled over an upgrade")
{
    auto& container = Container::the();
    container.done({"systemctl", "disable", "--quiet", "evfdd.socket"});
    container.install("/packages/next");
    CHECK(container.property("evfdd.socket", "UnitFileState") == "disabled");
    container.done({"systemctl", "enable", "--quiet", "evfdd.socket"});
    container.install("/packages");
    CHECK(container.property("evfdd.socket", "UnitFileState") == "enabled");
}

TEST_CASE("packages that are removed leave the configuration, and a purge leaves nothing")
{
    auto& container = Container::the();
    container.done({"evfdctl", "create", "kept"});
    container.done({"sh", "-c", "echo '{}' >/etc/evfdd/conf.d/own.json"});
    container.done({"sh", "-c", "mkdir -p /etc/evfdd/on && touch /etc/evfdd/on/kept.conf"});
    container.done({"systemctl", "enable", "--quiet", "--now", "evfd-on@kept.service"});
    container.done({"sh", "-c", "mkdir -p /etc/evfdd/wait && touch /etc/evfdd/wait/kept.conf"});

    dpkg("remove");

    CHECK(container.run({"pidof", "evfdd"}).status != 0);
    CHECK(container.done({"ls", "/etc/evfdd/conf.d"}) == "README\nown.json");
    CHECK_FALSE(std::filesystem::exists(container.path("/run/evfdd/io.evfdd")));

    CHECK(
        container
            .done({"systemctl", "list-units", "--no-legend", "--state=active,activating", "evfd-*"})
            .empty());

    container.done({"dpkg", "--purge", "evfdd"});
    CHECK(container.done({"sh", "-c", "find /etc/evfdd -type f | sort"}) ==
          "/etc/evfdd/on/kept.conf\n/etc/evfdd/wait/kept.conf");
    dpkg("purge");
    CHECK_FALSE(std::filesystem::exists(container.path("/etc/evfdd")));

    CHECK(files().empty());
    CHECK(container.run({"systemctl", "list-unit-files", "--no-legend", "evfd*"}).out.empty());

    container.install("/packages");
    container.done({"evfdctl", "create", "anew"});
    CHECK(container.run({"evfdctl", "show", "kept"}).status == 3);
    container.done({"evfdctl", "delete", "anew"});
}

} // namespace
} // namespace evfd::e2e
