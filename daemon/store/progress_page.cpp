#include "daemon/store/progress_page.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace evfd::daemon {

struct Slip::Page {
    char magic[8];
    std::uint64_t version;
    std::uint64_t plan;
    std::uint64_t tokens; // Of the plan.
    char to_add[max_tokens_per_set];
    std::uint64_t since; // The commit since which the takings are.
    std::uint64_t takings;
    Taking taken[max_takings];
};

namespace {

constexpr char magic[8] = {'e', 'v', 'f', 'd', 'd', 's', 'l', 'p'};
constexpr std::uint64_t version = 1;

} // namespace

Result<Slip> Slip::map(UniqueFd memfd)
{
    auto mapping = Mapping::create(memfd, 0, sizeof(Page));
    if (!mapping)
        return std::unexpected(mapping.error());
    // The kernel writes here where it must not be kept waiting. Without the right to lock so much
    // that is nearly always so all the same. mlock(2)
    (void)::mlock(mapping->bytes().data(), sizeof(Page));
    return Slip{std::move(memfd), *std::move(mapping)};
}

Slip::Slip(UniqueFd memfd, Mapping mapping)
    : memfd_{std::move(memfd)}, mapping_{std::move(mapping)},
      page_{reinterpret_cast<Page*>(mapping_.bytes().data())}
{
}

Result<Slip> Slip::create()
{
    UniqueFd memfd{::memfd_create("evfdd-slip", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (!memfd)
        return std::unexpected(Fault::last("memfd_create(2)"));
    if (::fallocate(memfd.get(), 0, 0, sizeof(Page)) < 0)
        return std::unexpected(Fault::last("fallocate(2)"));
    ::fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    auto slip = map(std::move(memfd));
    if (slip) {
        std::memcpy(slip->page_->magic, magic, sizeof magic);
        slip->page_->version = version;
    }
    return slip;
}

Result<Slip> Slip::open(UniqueFd memfd)
{
    struct stat status{};
    if (::fstat(memfd.get(), &status) < 0)
        return std::unexpected(Fault::last("fstat(2)"));
    if (status.st_size < static_cast<off_t>(sizeof(Page)))
        return std::unexpected(Fault{"the notes of what was done", EBADMSG});
    auto slip = map(std::move(memfd));
    if (slip && (std::memcmp(slip->page_->magic, magic, sizeof magic) != 0 ||
                 slip->page_->version != version))
        return std::unexpected(Fault{"the notes of what was done", EBADMSG});
    return slip;
}

std::span<char> Slip::begin_plan(std::uint64_t commit, std::size_t tokens)
{
    page_->plan = 0;
    in_order();
    page_->tokens = std::min<std::uint64_t>(tokens, max_tokens_per_set);
    std::memset(page_->to_add, 1, page_->tokens);
    in_order();
    page_->plan = commit;
    in_order();
    return to_add();
}

void Slip::end_plan()
{
    in_order();
    page_->plan = 0;
    in_order();
}

std::uint64_t Slip::plan() const
{
    return page_->plan;
}

std::span<char> Slip::to_add() const
{
    return {page_->to_add, std::min<std::uint64_t>(page_->tokens, max_tokens_per_set)};
}

std::uint64_t* Slip::begin_taking(std::uint64_t last, std::uint64_t id)
{
    if (page_->since != last) {
        page_->takings = 0;
        in_order();
        page_->since = last;
        in_order();
    }
    if (page_->takings >= max_takings)
        return nullptr;
    auto& taking = page_->taken[page_->takings];
    taking = {id, 0};
    in_order();
    ++page_->takings;
    in_order();
    return &taking.tokens;
}

void Slip::end_taking_nothing()
{
    if (page_->takings == 0 || page_->taken[page_->takings - 1].tokens != 0)
        return; // It was not noted here.
    in_order();
    --page_->takings;
    in_order();
}

std::size_t Slip::room_since(std::uint64_t last) const
{
    return max_takings - taken_since(last).size();
}

std::span<const Taking> Slip::taken_since(std::uint64_t last) const
{
    if (page_->since != last)
        return {};
    return {page_->taken, std::min<std::uint64_t>(page_->takings, max_takings)};
}

} // namespace evfd::daemon
