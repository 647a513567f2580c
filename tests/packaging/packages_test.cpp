// Tests of installing, upgrading, removing and purging the packages.
#include "tests/packaging/container.h"
#include "tests/support/catch.h"

#include <filesystem>

namespace evfd::e2e {
namespace {

constexpr auto all = "evfdd evfdctl libevfd0 libevfd-dev python3-evfd";

void dpkg(std::string_view action)
{
    Container::instance().run_checked(
        {"sh", "-c", "exec dpkg --" + std::string{action} + " " + std::string{all}});
}

// Returns the paths of all files of the container whose names contain evfd. Leaves out the packages
// themselves, logs, and the files in which dpkg records the installed packages.
std::string files()
{
    return Container::instance().run_checked(
        {"sh", "-c",
         "find / -xdev -name '*evfd*' ! -path '/proc/*' ! -path '/sys/*' ! -path '/packages*' "
         "! -path '/var/lib/dpkg/*' ! -path '/var/log/*' ! -path '/tmp/*' | sort; "
         "find /run /tmp -name '*evfd*'"});
}

TEST_CASE("the installed socket listens, and evfdctl and the Python package work")
{
    auto& container = Container::instance();
    CHECK(container.property("evfdd.socket", "ActiveState") == "active");
    CHECK(container.property("evfdd.socket", "UnitFileState") == "enabled");
    container.run_checked({"evfdctl", "create", "packaged"});
    container.run_checked({"python3", "-c", "import evfd; evfd.Event('packaged').set()"});
    container.run_checked({"evfdctl", "is-set", "packaged"});
    container.run_checked({"evfdctl", "delete", "packaged"});
    CHECK(container.run_checked({"dpkg", "--verify"}) == "");
}

TEST_CASE("a socket unit that the administrator disabled stays disabled after an upgrade")
{
    auto& container = Container::instance();
    container.run_checked({"systemctl", "disable", "--quiet", "evfdd.socket"});
    container.install("/packages/next");
    CHECK(container.property("evfdd.socket", "UnitFileState") == "disabled");
    container.run_checked({"systemctl", "enable", "--quiet", "evfdd.socket"});
    container.install("/packages");
    CHECK(container.property("evfdd.socket", "UnitFileState") == "enabled");
}

TEST_CASE("removing the packages keeps the configuration, and purging them leaves nothing")
{
    auto& container = Container::instance();
    container.run_checked({"evfdctl", "create", "kept"});
    container.run_checked({"sh", "-c", "echo '{}' >/etc/evfdd/conf.d/own.json"});
    container.run_checked({"sh", "-c", "mkdir -p /etc/evfdd/on && touch /etc/evfdd/on/kept.conf"});
    container.run_checked({"systemctl", "enable", "--quiet", "--now", "evfd-on@kept.service"});
    container.run_checked(
        {"sh", "-c", "mkdir -p /etc/evfdd/wait && touch /etc/evfdd/wait/kept.conf"});

    dpkg("remove");

    CHECK(container.run({"pidof", "evfdd"}).status != 0);
    CHECK(container.run_checked({"ls", "/etc/evfdd/conf.d"}) == "README\nown.json");
    CHECK_FALSE(std::filesystem::exists(container.path("/run/evfdd/io.evfdd")));

    CHECK(container
              .run_checked(
                  {"systemctl", "list-units", "--no-legend", "--state=active,activating", "evfd-*"})
              .empty());

    container.run_checked({"dpkg", "--purge", "evfdd"});
    CHECK(container.run_checked({"sh", "-c", "find /etc/evfdd -type f | sort"}) ==
          "/etc/evfdd/on/kept.conf\n/etc/evfdd/wait/kept.conf");
    dpkg("purge");
    CHECK_FALSE(std::filesystem::exists(container.path("/etc/evfdd")));

    CHECK(files() == "");
    CHECK(container.run({"systemctl", "list-unit-files", "--no-legend", "evfd*"}).out.empty());

    container.install("/packages");
    container.run_checked({"evfdctl", "create", "new"});
    CHECK(container.run({"evfdctl", "show", "kept"}).status == 3);
    container.run_checked({"evfdctl", "delete", "new"});
}

} // namespace
} // namespace evfd::e2e
