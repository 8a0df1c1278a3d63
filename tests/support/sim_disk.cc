// tests/support/sim_disk.cc: an env::FileSystem in memory that crashes, tears writes and fails.
#include "support/sim_disk.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

namespace millrace::support {

using Page = std::array<uint8_t, SimDisk::kPageBytes>;
using PagePtr = std::shared_ptr<Page>;  // null: zeros

/// A change of a directory that is not durable yet.
struct DirectoryChange {
    std::string removed;  // empty: none
    std::string added;    // empty: none
    std::shared_ptr<SimNode> node;
};

struct SimNode {
    bool is_directory = false;
    WallMs modified;
    // File. Pages are shared between the images and cloned when written.
    uint64_t size = 0;
    uint64_t durable_size = 0;
    std::vector<PagePtr> pages;
    std::vector<PagePtr> durable_pages;
    std::set<size_t> dirty;
    uint64_t images_taken = 0;
    uint64_t image_durable = 0;  // the youngest image that became durable
    // Directory.
    std::map<std::string, std::shared_ptr<SimNode>> entries;
    std::map<std::string, std::shared_ptr<SimNode>> durable_entries;
    std::vector<DirectoryChange> changes;

    void change(std::string removed, std::string added, std::shared_ptr<SimNode> node) {
        DirectoryChange step{std::move(removed), std::move(added), std::move(node)};
        apply(step, entries);
        changes.push_back(std::move(step));
    }
    static void apply(const DirectoryChange& step,
                      std::map<std::string, std::shared_ptr<SimNode>>& to) {
        if (!step.removed.empty()) to.erase(step.removed);
        if (!step.added.empty()) to[step.added] = step.node;
    }
};

namespace {

Status failure(Errc errc, const char* what, const std::string& path) {
    return {errc, std::string(what) + " " + path + ": simulated"};
}

PagePtr page_at(const std::vector<PagePtr>& pages, size_t index) {
    return index < pages.size() ? pages[index] : nullptr;
}

void set_page(std::vector<PagePtr>& pages, size_t index, PagePtr page) {
    if (index >= pages.size()) {
        if (page == nullptr) return;
        pages.resize(index + 1);
    }
    pages[index] = std::move(page);
}

/// What a sync makes durable: taken when it starts.
struct SyncImage {
    uint64_t number = 0;
    uint64_t size = 0;
    std::vector<std::pair<size_t, PagePtr>> pages;
};

SyncImage image_of(SimNode& node) {
    SyncImage image{++node.images_taken, node.size, {}};
    for (const size_t index : node.dirty) image.pages.emplace_back(index, page_at(node.pages, index));
    return image;
}

void make_durable(SimNode& node, const SyncImage& image) {
    // A sync that began later is through already: it took all of this along.
    if (image.number < node.image_durable) return;
    node.image_durable = image.number;
    for (const auto& [index, page] : image.pages) {
        set_page(node.durable_pages, index, page);
        if (page_at(node.pages, index) == page) node.dirty.erase(index);
    }
    node.durable_size = image.size;
}

PagePtr mix(const PagePtr& old_page, const PagePtr& new_page, Rng& rng) {
    auto mixed = std::make_shared<Page>();
    for (size_t at = 0; at < SimDisk::kPageBytes; at += SimDisk::kSectorBytes) {
        const PagePtr& from = rng.chance(1, 2) ? old_page : new_page;
        if (from) std::memcpy(mixed->data() + at, from->data() + at, SimDisk::kSectorBytes);
    }
    return mixed;
}

}  // namespace

class SimFile final : public env::File {
  public:
    SimFile(SimDisk& disk, std::shared_ptr<SimNode> node, std::string path, bool writable)
        : disk_(disk), node_(std::move(node)), path_(std::move(path)), writable_(writable),
          incarnation_(disk.incarnation_) {}

    Result<size_t> read_at(uint64_t offset, MutableByteView out) override {
        if (auto status = trouble(DiskOp::Read, false)) return *status;
        if (offset >= node_->size) return size_t{0};
        const size_t size = static_cast<size_t>(std::min<uint64_t>(out.size, node_->size - offset));
        for (size_t done = 0; done < size;) {
            const uint64_t at = offset + done;
            const size_t in_page = static_cast<size_t>(at % SimDisk::kPageBytes);
            const size_t piece = std::min(size - done, SimDisk::kPageBytes - in_page);
            const PagePtr page = page_at(node_->pages, static_cast<size_t>(at / SimDisk::kPageBytes));
            if (page) {
                std::memcpy(out.data + done, page->data() + in_page, piece);
            } else {
                std::memset(out.data + done, 0, piece);
            }
            done += piece;
        }
        return size;
    }
    int descriptor() const override { return -1; }
    Result<uint64_t> size() override {
        if (auto status = trouble(DiskOp::Stat, false)) return *status;
        return node_->size;
    }
    Status write_at(uint64_t offset, ByteView bytes) override {
        bool partial = false;
        const auto status = trouble(DiskOp::Write, true, &partial);
        if (status && !partial) return *status;
        if (partial) bytes = bytes.sub(0, bytes.size / 2);
        if (!write(offset, bytes)) return failure(Errc::NoSpace, "write", path_);
        return status.value_or(Status{});
    }
    Status write_parts_at(uint64_t offset, std::span<const ByteView> parts) override {
        std::string joined;
        for (const ByteView part : parts) joined.append(part.text());
        return write_at(offset, ByteView(joined));
    }
    Status truncate(uint64_t size) override {
        if (auto status = trouble(DiskOp::Truncate, true)) return *status;
        cut(size);
        return {};
    }
    Status sync() override {
        if (auto status = trouble(DiskOp::Sync, true)) return *status;
        if (disk_.lies(path_)) return {};
        make_durable(*node_, image_of(*node_));
        return {};
    }
    void sync_async(MoveFunction<void(Status)> done) override {
        auto status = trouble(DiskOp::SyncAsync, true);
        disk_.post([lies = disk_.lies(path_), node = node_, image = image_of(*node_), status = std::move(status),
                    disk = &disk_, incarnation = incarnation_, done = std::move(done)]() mutable {
            if (disk->incarnation_ != incarnation) return;  // the process that asked is dead
            if (!status && !lies) make_durable(*node, image);
            done(status.value_or(Status{}));
        });
    }

  private:
    std::optional<Status> trouble(DiskOp op, bool changes, bool* partial = nullptr) {
        if (incarnation_ != disk_.incarnation_) {
            return failure(Errc::IoError, "file of a dead process", path_);
        }
        if (changes && !writable_) return failure(Errc::Permission, "read-only", path_);
        return disk_.trouble(op, path_, changes, partial);
    }
    /// A page of the present image that no other image shares; null when the disk is full.
    PagePtr writable_page(size_t index) {
        PagePtr page = page_at(node_->pages, index);
        if (page == nullptr) {
            if ((disk_.used_pages_ + 1) * SimDisk::kPageBytes > disk_.capacity_bytes_) return nullptr;
            ++disk_.used_pages_;
            page = std::make_shared<Page>();
            page->fill(0);
        } else if (page.use_count() > 2) {  // here, in the present image, and in another
            page = std::make_shared<Page>(*page);
        }
        set_page(node_->pages, index, page);
        node_->dirty.insert(index);
        return page;
    }
    bool write(uint64_t offset, ByteView bytes) {
        for (size_t done = 0; done < bytes.size;) {
            const uint64_t at = offset + done;
            const size_t in_page = static_cast<size_t>(at % SimDisk::kPageBytes);
            const size_t piece = std::min(bytes.size - done, SimDisk::kPageBytes - in_page);
            const PagePtr page = writable_page(static_cast<size_t>(at / SimDisk::kPageBytes));
            if (!page) return false;
            std::memcpy(page->data() + in_page, bytes.data + done, piece);
            done += piece;
            node_->size = std::max(node_->size, at + piece);
        }
        node_->modified = disk_.wall();
        return true;
    }
    void cut(uint64_t size) {
        if (size < node_->size) {
            const size_t in_page = static_cast<size_t>(size % SimDisk::kPageBytes);
            size_t first = static_cast<size_t>(size / SimDisk::kPageBytes);
            if (in_page > 0) {
                if (page_at(node_->pages, first)) {
                    const PagePtr page = writable_page(first);
                    std::memset(page->data() + in_page, 0, SimDisk::kPageBytes - in_page);
                }
                ++first;
            }
            for (size_t index = first; index < node_->pages.size(); ++index) {
                if (node_->pages[index] == nullptr) continue;
                --disk_.used_pages_;
                node_->dirty.insert(index);
            }
            if (first < node_->pages.size()) node_->pages.resize(first);
        }
        node_->size = size;
        node_->modified = disk_.wall();
    }

    SimDisk& disk_;
    std::shared_ptr<SimNode> node_;
    std::string path_;
    bool writable_;
    uint64_t incarnation_;
};

namespace {

class SimLock final : public env::FileLock {
  public:
    SimLock(std::map<std::string, uint64_t>& locks, std::string path, uint64_t incarnation)
        : locks_(locks), path_(std::move(path)), incarnation_(incarnation) {}
    ~SimLock() override {
        const auto held = locks_.find(path_);
        if (held != locks_.end() && held->second == incarnation_) locks_.erase(held);
    }

  private:
    std::map<std::string, uint64_t>& locks_;
    std::string path_;
    uint64_t incarnation_;
};

}  // namespace

SimDisk::SimDisk() : root_(std::make_shared<SimNode>()) { root_->is_directory = true; }
SimDisk::~SimDisk() = default;

std::optional<Status> SimDisk::trouble(DiskOp op, const std::string& path, bool changes,
                                       bool* partial) {
    if (halted()) return failure(Errc::IoError, "halted at", path);
    if (changes) {
        ++steps_;
        if (fail_at_ && fail_at_->first == steps_) {
            if (partial != nullptr) *partial = true;
            return failure(fail_at_->second, "fault at", path);
        }
    }
    if (hook_) {
        if (auto status = hook_(op, path)) return status;
    }
    return std::nullopt;
}

SimDisk::NodePtr SimDisk::find(const std::string& path) const {
    NodePtr node = root_;
    for (size_t from = 0; from < path.size();) {
        const size_t slash = std::min(path.find('/', from), path.size());
        if (slash > from) {
            if (!node->is_directory) return nullptr;
            const auto next = node->entries.find(path.substr(from, slash - from));
            if (next == node->entries.end()) return nullptr;
            node = next->second;
        }
        from = slash + 1;
    }
    return node;
}

Result<SimDisk::NodePtr> SimDisk::parent_of(const std::string& path, std::string& name) const {
    const size_t slash = path.rfind('/');
    name = slash == std::string::npos ? path : path.substr(slash + 1);
    const NodePtr parent = slash == std::string::npos ? root_ : find(path.substr(0, slash));
    if (!parent || !parent->is_directory) return failure(Errc::NotFound, "no folder of", path);
    return parent;
}

Result<std::shared_ptr<env::File>> SimDisk::open(const std::string& path, env::OpenMode mode) {
    std::string name;
    const bool creates = mode == env::OpenMode::CreateNew || mode == env::OpenMode::CreateOrOpen;
    NodePtr node = find(path);
    if (auto status = trouble(node || !creates ? DiskOp::Open : DiskOp::Create, path,
                              creates && !node)) {
        return *status;
    }
    if (node && mode == env::OpenMode::CreateNew) {
        return failure(Errc::AlreadyExists, "create", path);
    }
    if (!node && !creates) return failure(Errc::NotFound, "open", path);
    if (!node) {
        MILLRACE_TRY_ASSIGN(const NodePtr parent, parent_of(path, name));
        node = std::make_shared<SimNode>();
        node->modified = wall();
        parent->change("", name, node);
    }
    if (node->is_directory) return failure(Errc::InvalidInput, "open of a folder", path);
    return std::shared_ptr<env::File>(
        std::make_shared<SimFile>(*this, node, path, mode != env::OpenMode::ReadOnly));
}

Status SimDisk::rename(const std::string& from, const std::string& to) {
    if (auto status = trouble(DiskOp::Rename, from, true)) return *status;
    std::string old_name;
    std::string new_name;
    MILLRACE_TRY_ASSIGN(const NodePtr source, parent_of(from, old_name));
    MILLRACE_TRY_ASSIGN(const NodePtr target, parent_of(to, new_name));
    const auto moved = source->entries.find(old_name);
    if (moved == source->entries.end()) return failure(Errc::NotFound, "rename", from);
    if (source != target) return failure(Errc::Unsupported, "rename across folders", from);
    const auto replaced = source->entries.find(new_name);
    if (replaced != source->entries.end() && replaced != moved) free_pages(*replaced->second);
    source->change(old_name, new_name, moved->second);
    return {};
}

Status SimDisk::remove(const std::string& path) {
    std::string name;
    const Result<NodePtr> parent = parent_of(path, name);
    if (!parent.ok() || !(*parent)->entries.contains(name)) {
        return failure(Errc::NotFound, "remove", path);
    }
    if (auto status = trouble(DiskOp::Remove, path, true)) return *status;
    const NodePtr node = (*parent)->entries[name];
    if (node->is_directory && !node->entries.empty()) {
        return failure(Errc::IoError, "folder not empty", path);
    }
    free_pages(*node);
    (*parent)->change(name, "", nullptr);
    return {};
}

Status SimDisk::make_directories(const std::string& path) {
    NodePtr node = root_;
    for (size_t from = 0; from < path.size();) {
        const size_t slash = std::min(path.find('/', from), path.size());
        if (slash > from) {
            const std::string name = path.substr(from, slash - from);
            const auto next = node->entries.find(name);
            if (next != node->entries.end()) {
                node = next->second;
                if (!node->is_directory) return failure(Errc::AlreadyExists, "mkdir", path);
            } else {
                if (auto status = trouble(DiskOp::MakeDirectory, path, true)) return *status;
                auto made = std::make_shared<SimNode>();
                made->is_directory = true;
                node->change("", name, made);
                node = made;
            }
        }
        from = slash + 1;
    }
    return {};
}

Result<std::vector<env::DirectoryEntry>> SimDisk::list(const std::string& directory) {
    if (auto status = trouble(DiskOp::List, directory, false)) return *status;
    const NodePtr node = find(directory);
    if (!node || !node->is_directory) return failure(Errc::NotFound, "list", directory);
    std::vector<env::DirectoryEntry> entries;
    for (const auto& [name, child] : node->entries) entries.push_back({name, child->is_directory});
    return entries;
}

Result<std::optional<env::FileInfo>> SimDisk::stat(const std::string& path) {
    if (auto status = trouble(DiskOp::Stat, path, false)) return *status;
    const NodePtr node = find(path);
    if (!node) return std::optional<env::FileInfo>{};
    return std::optional(env::FileInfo{node->is_directory, node->size, node->modified});
}

Status SimDisk::set_modified(const std::string& path, WallMs modified) {
    if (auto status = trouble(DiskOp::SetModified, path, true)) return *status;
    const NodePtr node = find(path);
    if (!node) return failure(Errc::NotFound, "set time of", path);
    node->modified = modified;
    return {};
}

Status SimDisk::sync_directory(const std::string& directory) {
    const NodePtr node = find(directory);
    if (!node || !node->is_directory) return failure(Errc::NotFound, "sync", directory);
    if (auto status = trouble(DiskOp::SyncDirectory, directory, true)) return *status;
    if (lies(directory)) return {};
    for (const DirectoryChange& step : node->changes) SimNode::apply(step, node->durable_entries);
    node->changes.clear();
    return {};
}

Result<env::SpaceInfo> SimDisk::space(const std::string& path) {
    if (auto status = trouble(DiskOp::Stat, path, false)) return *status;
    return env::SpaceInfo{capacity_bytes_, capacity_bytes_ - std::min(capacity_bytes_, used_bytes())};
}

Result<std::unique_ptr<env::FileLock>> SimDisk::lock(const std::string& path) {
    MILLRACE_TRY(open(path, env::OpenMode::CreateOrOpen).status());
    const auto held = locks_.find(path);
    if (held != locks_.end() && held->second == incarnation_) {
        return failure(Errc::Busy, "lock", path);
    }
    locks_[path] = incarnation_;
    return std::unique_ptr<env::FileLock>(std::make_unique<SimLock>(locks_, path, incarnation_));
}

void SimDisk::free_pages(const SimNode& node) {
    for (const PagePtr& page : node.pages) used_pages_ -= page && used_pages_ > 0 ? 1 : 0;
}

void SimDisk::post(MoveFunction<void()> task) {
    if (post_) {
        post_(std::move(task));
    } else {
        posted_.push_back(std::move(task));
    }
}

size_t SimDisk::run_posted() {
    size_t ran = 0;
    while (!posted_.empty()) {
        std::vector<MoveFunction<void()>> tasks = std::move(posted_);
        posted_.clear();
        for (auto& task : tasks) task();
        ran += tasks.size();
    }
    return ran;
}

void SimDisk::clear_faults() {
    halt_after_.reset();
    fail_at_.reset();
    hook_ = nullptr;
    capacity_bytes_ = uint64_t{1} << 50;
}

void SimDisk::kill_process() {
    ++incarnation_;
    halt_after_.reset();
    posted_.clear();
    locks_.clear();
}

void SimDisk::crash(CrashStyle style, Rng& rng) {
    kill_process();
    used_pages_ = 0;  // counted anew
    crash_node(*root_, style, rng);
}

void SimDisk::crash_node(SimNode& node, CrashStyle style, Rng& rng) {
    if (node.is_directory) {
        size_t keep = 0;
        if (style == CrashStyle::KeepUnsynced) keep = node.changes.size();
        if (style == CrashStyle::Random) keep = rng.below(node.changes.size() + 1);
        for (size_t i = 0; i < keep; ++i) SimNode::apply(node.changes[i], node.durable_entries);
        node.changes.clear();
        node.entries = node.durable_entries;
        for (const auto& [name, child] : node.entries) crash_node(*child, style, rng);
        return;
    }
    uint64_t size = style == CrashStyle::KeepUnsynced ? node.size : node.durable_size;
    if (style == CrashStyle::Random && node.size != node.durable_size) {
        const uint64_t low = std::min(node.size, node.durable_size);
        const uint64_t high = std::max(node.size, node.durable_size);
        // Old size, new size, or in between when it was growing.
        if (rng.chance(1, 3)) size = node.size;
        if (node.size > node.durable_size && rng.chance(1, 3)) size = low + rng.below(high - low + 1);
    }
    for (const size_t index : node.dirty) {
        const PagePtr old_page = page_at(node.durable_pages, index);
        const PagePtr new_page = page_at(node.pages, index);
        PagePtr after = style == CrashStyle::KeepUnsynced ? new_page : old_page;
        if (style == CrashStyle::Random) {
            const uint64_t choice = rng.below(3);
            after = choice == 0 ? old_page : choice == 1 ? new_page : mix(old_page, new_page, rng);
        }
        set_page(node.durable_pages, index, after);
    }
    node.dirty.clear();
    // What lies behind the size does not exist.
    const size_t whole = static_cast<size_t>((size + kPageBytes - 1) / kPageBytes);
    if (node.durable_pages.size() > whole) node.durable_pages.resize(whole);
    const size_t tail = static_cast<size_t>(size % kPageBytes);
    if (tail > 0 && node.durable_pages.size() == whole && node.durable_pages.back()) {
        auto cut = std::make_shared<Page>(*node.durable_pages.back());
        std::fill(cut->begin() + static_cast<std::ptrdiff_t>(tail), cut->end(), uint8_t{0});
        node.durable_pages.back() = std::move(cut);
    }
    node.pages = node.durable_pages;
    for (const PagePtr& page : node.pages) used_pages_ += page ? 1 : 0;
    node.size = size;
    node.durable_size = size;
}

void SimDisk::flip_bit(const std::string& path, uint64_t byte, int bit) {
    const NodePtr node = find(path);
    MILLRACE_ASSERT(node && !node->is_directory && byte < node->size, "a byte of a file");
    const size_t index = static_cast<size_t>(byte / kPageBytes);
    const auto flip = [&](std::vector<PagePtr>& pages) {
        auto page = std::make_shared<Page>();
        if (const PagePtr old_page = page_at(pages, index)) *page = *old_page; else page->fill(0);
        (*page)[byte % kPageBytes] ^= static_cast<uint8_t>(1U << static_cast<unsigned>(bit));
        set_page(pages, index, std::move(page));
    };
    flip(node->pages);
    if (byte < node->durable_size) flip(node->durable_pages);
}

void SimDisk::flip_random_bit(const std::string& path, Rng& rng) {
    const NodePtr node = find(path);
    MILLRACE_ASSERT(node && node->size > 0, "a file with bytes");
    const uint64_t byte = rng.below(node->size);
    flip_bit(path, byte, static_cast<int>(rng.below(8)));
}

std::string SimDisk::peek(const std::string& path, uint64_t offset, size_t size) const {
    const NodePtr node = find(path);
    if (!node || node->is_directory || offset >= node->size) return {};
    std::string text(static_cast<size_t>(std::min<uint64_t>(size, node->size - offset)), '\0');
    for (size_t done = 0; done < text.size();) {
        const uint64_t at = offset + done;
        const size_t in_page = static_cast<size_t>(at % kPageBytes);
        const size_t piece = std::min(text.size() - done, kPageBytes - in_page);
        const PagePtr page = page_at(node->pages, static_cast<size_t>(at / kPageBytes));
        if (page) std::memcpy(text.data() + done, page->data() + in_page, piece);
        done += piece;
    }
    return text;
}

std::string SimDisk::peek_last_name(const std::string& directory, const std::string& at_most,
                                    const std::string& suffix) const {
    const NodePtr node = find(directory);
    if (!node) return {};
    for (auto it = node->entries.upper_bound(at_most); it != node->entries.begin();) {
        if ((--it)->first.ends_with(suffix)) return it->first;
    }
    return {};
}

void SimDisk::erase_folder(const std::string& path) {
    std::string name;
    const Result<NodePtr> parent = parent_of(path, name);
    if (!parent.ok()) return;
    (*parent)->entries.erase(name);
    (*parent)->durable_entries = (*parent)->entries;
    (*parent)->changes.clear();
}

void SimDisk::replace() {
    kill_process();
    root_ = std::make_shared<SimNode>();
    root_->is_directory = true;
    used_pages_ = 0;
}

std::string SimDisk::contents(const std::string& path) {
    const NodePtr node = find(path);
    if (!node || node->is_directory) return {};
    std::string text(node->size, '\0');
    for (size_t i = 0; i < node->pages.size(); ++i) {
        const size_t from = i * kPageBytes;
        if (!node->pages[i] || from >= text.size()) continue;
        std::memcpy(text.data() + from, node->pages[i]->data(),
                    std::min(kPageBytes, text.size() - from));
    }
    return text;
}

void SimDisk::put(const std::string& path, const std::string& text) {
    const size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "" : path.substr(0, slash);
    MILLRACE_ASSERT(make_directories(folder).ok(), "a folder to put into");
    auto file = open(path, env::OpenMode::CreateOrOpen);
    MILLRACE_ASSERT(file.ok() && (*file)->truncate(0).ok() &&
                        (*file)->write_at(0, ByteView(text)).ok() && (*file)->sync().ok(),
                    "a working disk");
    for (size_t at = 0; at != std::string::npos; at = path.find('/', at + 1)) {
        const NodePtr node = find(path.substr(0, at));
        if (!node || !node->is_directory) continue;
        node->durable_entries = node->entries;
        node->changes.clear();
    }
}

}  // namespace millrace::support
