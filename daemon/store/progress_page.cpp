#include "daemon/store/progress_page.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace evfd::daemon {

struct ProgressPage::Page {
    char magic[8];
    std::uint64_t version;
    std::uint64_t intent_commit;
    std::uint64_t tokens; // The number of tokens of the intent.
    char pending_increments[max_tokens_per_set];
    std::uint64_t since_commit; // The number of the commit after which the takes were made.
    std::uint64_t take_count;
    TakeSlot takes[max_takes];
};

namespace {

constexpr char magic[8] = {'e', 'v', 'f', 'd', 'd', 's', 'l', 'p'};
constexpr std::uint64_t version = 1;

} // namespace

Result<ProgressPage> ProgressPage::map(UniqueFd memfd)
{
    auto mapping = MemoryMap::create(memfd, 0, sizeof(Page));
    if (!mapping)
        return std::unexpected(mapping.error());
    // Locks the page in memory, because the kernel writes to it in system calls that must not wait
    // for memory. If the process is not allowed to lock so much memory, the page stays unlocked,
    // and is nearly always in memory nevertheless.
    (void)::mlock(mapping->bytes().data(), sizeof(Page));
    return ProgressPage{std::move(memfd), *std::move(mapping)};
}

ProgressPage::ProgressPage(UniqueFd memfd, MemoryMap mapping)
    : memfd_{std::move(memfd)}, map_{std::move(mapping)},
      page_{reinterpret_cast<Page*>(map_.bytes().data())}
{
}

Result<ProgressPage> ProgressPage::create()
{
    UniqueFd memfd{::memfd_create("evfdd-progress", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (!memfd)
        return std::unexpected(Fault::last("memfd_create(2)"));
    if (::fallocate(memfd.get(), 0, 0, sizeof(Page)) < 0)
        return std::unexpected(Fault::last("fallocate(2)"));
    ::fcntl(memfd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    auto progress_page = map(std::move(memfd));
    if (progress_page) {
        std::memcpy(progress_page->page_->magic, magic, sizeof magic);
        progress_page->page_->version = version;
    }
    return progress_page;
}

Result<ProgressPage> ProgressPage::open(UniqueFd memfd)
{
    struct stat status{};
    if (::fstat(memfd.get(), &status) < 0)
        return std::unexpected(Fault::last("fstat(2)"));
    if (status.st_size < static_cast<off_t>(sizeof(Page)))
        return std::unexpected(Fault{"progress page", EBADMSG});
    auto progress_page = map(std::move(memfd));
    if (progress_page && (std::memcmp(progress_page->page_->magic, magic, sizeof magic) != 0 ||
                          progress_page->page_->version != version))
        return std::unexpected(Fault{"progress page", EBADMSG});
    return progress_page;
}

std::span<char> ProgressPage::begin_intent(std::uint64_t commit, std::size_t tokens)
{
    page_->intent_commit = 0;
    compiler_barrier();
    page_->tokens = std::min<std::uint64_t>(tokens, max_tokens_per_set);
    std::memset(page_->pending_increments, 1, page_->tokens);
    compiler_barrier();
    page_->intent_commit = commit;
    compiler_barrier();
    return pending_increments();
}

void ProgressPage::end_intent()
{
    compiler_barrier();
    page_->intent_commit = 0;
    compiler_barrier();
}

std::uint64_t ProgressPage::intent_commit() const
{
    return page_->intent_commit;
}

std::span<char> ProgressPage::pending_increments() const
{
    return {page_->pending_increments, std::min<std::uint64_t>(page_->tokens, max_tokens_per_set)};
}

std::uint64_t* ProgressPage::begin_take(std::uint64_t last, std::uint64_t id)
{
    if (page_->since_commit != last) {
        page_->take_count = 0;
        compiler_barrier();
        page_->since_commit = last;
        compiler_barrier();
    }
    if (page_->take_count >= max_takes)
        return nullptr;
    auto& slot = page_->takes[page_->take_count];
    slot = {id, 0};
    compiler_barrier();
    ++page_->take_count;
    compiler_barrier();
    return &slot.tokens;
}

void ProgressPage::cancel_take()
{
    if (page_->take_count == 0 || page_->takes[page_->take_count - 1].tokens != 0)
        return; // No slot is in use, or the last slot in use records tokens that read(2) took.
    compiler_barrier();
    --page_->take_count;
    compiler_barrier();
}

std::size_t ProgressPage::free_slots_since(std::uint64_t last) const
{
    return max_takes - takes_since(last).size();
}

std::span<const TakeSlot> ProgressPage::takes_since(std::uint64_t last) const
{
    if (page_->since_commit != last)
        return {};
    return {page_->takes, std::min<std::uint64_t>(page_->take_count, max_takes)};
}

} // namespace evfd::daemon
