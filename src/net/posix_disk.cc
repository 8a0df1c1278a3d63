// src/net/posix_disk.cc: env::FileSystem on POSIX calls.
#include "millrace/net/posix_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

namespace millrace::net {
namespace {

constexpr mode_t kFileMode = 0644;
constexpr mode_t kDirectoryMode = 0755;
constexpr size_t kPartsMax = 64;  // iovecs of one pwritev

Errc errc_of(int error) {
    switch (error) {
        case ENOENT: return Errc::NotFound;
        case EEXIST: return Errc::AlreadyExists;
        case ENOSPC:
        case EDQUOT: return Errc::NoSpace;
        case EACCES:
        case EPERM:
        case EROFS: return Errc::Permission;
        case EWOULDBLOCK: return Errc::Busy;
        case EMFILE:
        case ENFILE: return Errc::LimitExceeded;
        default: return Errc::IoError;
    }
}

Status failure(const char* doing, const std::string& path, int error) {
    return {errc_of(error), std::string(doing) + " " + path + ": " + std::strerror(error)};
}

/// Closes what it holds.
class Descriptor {
  public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return fd_; }
    int release() { return std::exchange(fd_, -1); }

  private:
    int fd_;
};

int open_retrying(const std::string& path, int flags) {
    int fd = -1;
    do {
        fd = ::open(path.c_str(), flags | O_CLOEXEC, kFileMode);
    } while (fd < 0 && errno == EINTR);
    return fd;
}

class PosixFile final : public env::File {
  public:
    PosixFile(int fd, std::string path, SyncPool* syncs)
        : fd_(fd), path_(std::move(path)), syncs_(syncs) {}

    Result<uint64_t> size() override {
        struct stat info {};
        if (::fstat(fd_.get(), &info) != 0) return failure("size of", path_, errno);
        return static_cast<uint64_t>(info.st_size);
    }

    Result<size_t> read_at(uint64_t offset, MutableByteView out) override {
        size_t done = 0;
        while (done < out.size) {
            const ssize_t n = ::pread(fd_.get(), out.data + done, out.size - done,
                                      static_cast<off_t>(offset + done));
            if (n == 0) break;
            if (n < 0) {
                if (errno == EINTR) continue;
                return failure("read", path_, errno);
            }
            done += static_cast<size_t>(n);
        }
        return done;
    }

    int descriptor() const override { return fd_.get(); }

    Status write_at(uint64_t offset, ByteView bytes) override {
        size_t done = 0;
        while (done < bytes.size) {
            const ssize_t n = ::pwrite(fd_.get(), bytes.data + done, bytes.size - done,
                                       static_cast<off_t>(offset + done));
            if (n < 0) {
                if (errno == EINTR) continue;
                return failure("write", path_, errno);
            }
            done += static_cast<size_t>(n);
        }
        return {};
    }

    Status write_parts_at(uint64_t offset, std::span<const ByteView> parts) override {
        std::array<iovec, kPartsMax> vectors;
        size_t part = 0;
        size_t skip = 0;  // bytes of parts[part] that are written
        while (part < parts.size()) {
            size_t count = 0;
            for (size_t i = part; i < parts.size() && count < kPartsMax; ++i) {
                const size_t from = i == part ? skip : 0;
                // pwritev takes a pointer to non-const bytes and only reads them.
                vectors[count++] = {const_cast<uint8_t*>(parts[i].data) + from,
                                    parts[i].size - from};
            }
            const ssize_t n = ::pwritev(fd_.get(), vectors.data(), static_cast<int>(count),
                                        static_cast<off_t>(offset));
            if (n < 0) {
                if (errno == EINTR) continue;
                return failure("write", path_, errno);
            }
            offset += static_cast<uint64_t>(n);
            skip += static_cast<size_t>(n);
            while (part < parts.size() && skip >= parts[part].size) skip -= parts[part++].size;
        }
        return {};
    }

    Status truncate(uint64_t size) override {
        int result = 0;
        do {
            result = ::ftruncate(fd_.get(), static_cast<off_t>(size));
        } while (result != 0 && errno == EINTR);
        return result == 0 ? Status() : failure("truncate", path_, errno);
    }

    Status sync() override {
        // The kernel reports a lost write once and then forgets it; a later sync would lie. So the
        // first failure stays.
        if (sync_failed_.load(std::memory_order_acquire)) {
            return {Errc::IoError, "sync " + path_ + ": an earlier sync failed"};
        }
        int result = 0;
        do {
            result = ::fdatasync(fd_.get());
        } while (result != 0 && errno == EINTR);
        if (result == 0) return {};
        const int error = errno;
        sync_failed_.store(true, std::memory_order_release);
        return failure("sync", path_, error);
    }

    void sync_async(MoveFunction<void(Status)> done) override {
        if (syncs_ == nullptr) {
            done(sync());
            return;
        }
        syncs_->run(weak_self_.lock(), [](void* file) {
            return static_cast<PosixFile*>(file)->sync();
        }, std::move(done));
    }

    void set_self(std::weak_ptr<PosixFile> self) { weak_self_ = std::move(self); }

  private:
    Descriptor fd_;
    std::string path_;
    SyncPool* syncs_;
    std::weak_ptr<PosixFile> weak_self_;
    std::atomic<bool> sync_failed_{false};
};

class PosixLock final : public env::FileLock {
  public:
    explicit PosixLock(int fd) : fd_(fd) {}

  private:
    Descriptor fd_;  // the lock goes with it
};

class PosixFileSystem final : public env::FileSystem {
  public:
    explicit PosixFileSystem(SyncPool* syncs) : syncs_(syncs) {}

    Result<std::shared_ptr<env::File>> open(const std::string& path,
                                            env::OpenMode mode) override {
        int flags = O_RDWR;
        switch (mode) {
            case env::OpenMode::ReadOnly: flags = O_RDONLY; break;
            case env::OpenMode::ReadWrite: break;
            case env::OpenMode::CreateOrOpen: flags |= O_CREAT; break;
            case env::OpenMode::CreateNew: flags |= O_CREAT | O_EXCL; break;
        }
        const int fd = open_retrying(path, flags);
        if (fd < 0) return failure("open", path, errno);
        auto file = std::make_shared<PosixFile>(fd, path, syncs_);
        file->set_self(file);
        return std::shared_ptr<env::File>(std::move(file));
    }

    Status rename(const std::string& from, const std::string& to) override {
        if (::rename(from.c_str(), to.c_str()) == 0) return {};
        return failure("rename", from + " to " + to, errno);
    }

    Status remove(const std::string& path) override {
        if (::remove(path.c_str()) == 0) return {};
        return failure("remove", path, errno);
    }

    Status make_directories(const std::string& path) override {
        if (::mkdir(path.c_str(), kDirectoryMode) == 0) return {};  // mostly only the last is new
        for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
            const std::string part = path.substr(0, end);
            if (::mkdir(part.c_str(), kDirectoryMode) != 0 && errno != EEXIST) {
                const int error = errno;
                struct stat info {};  // mkdir of an existing parent may say EROFS or EACCES
                if (::stat(part.c_str(), &info) != 0) return failure("make", part, error);
            }
            if (end == std::string::npos) break;
        }
        struct stat info {};
        if (::stat(path.c_str(), &info) != 0) return failure("make", path, errno);
        if (!S_ISDIR(info.st_mode)) {
            return {Errc::AlreadyExists, "make " + path + ": a file of that name exists"};
        }
        return {};
    }

    Result<std::vector<env::DirectoryEntry>> list(const std::string& directory) override {
        DIR* stream = ::opendir(directory.c_str());
        if (stream == nullptr) return failure("list", directory, errno);
        std::vector<env::DirectoryEntry> entries;
        errno = 0;
        while (const dirent* entry = ::readdir(stream)) {
            const std::string name = entry->d_name;
            if (name == "." || name == "..") continue;
            bool is_directory = entry->d_type == DT_DIR;
            if (entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK) {
                struct stat info {};
                is_directory = ::stat((directory + "/" + name).c_str(), &info) == 0 &&
                               S_ISDIR(info.st_mode);
            }
            entries.push_back({name, is_directory});
            errno = 0;
        }
        const int error = errno;
        ::closedir(stream);
        if (error != 0) return failure("list", directory, error);
        std::sort(entries.begin(), entries.end(),
                  [](const auto& a, const auto& b) { return a.name < b.name; });
        return entries;
    }

    Result<std::optional<env::FileInfo>> stat(const std::string& path) override {
        struct stat info {};
        if (::stat(path.c_str(), &info) != 0) {
            if (errno == ENOENT || errno == ENOTDIR) return std::optional<env::FileInfo>();
            return failure("stat", path, errno);
        }
        env::FileInfo result;
        result.is_directory = S_ISDIR(info.st_mode);
        result.size_bytes = static_cast<uint64_t>(info.st_size);
        result.modified.value = int64_t{info.st_mtim.tv_sec} * 1000 +
                                info.st_mtim.tv_nsec / 1'000'000;
        return std::optional<env::FileInfo>(result);
    }

    Status set_modified(const std::string& path, WallMs modified) override {
        int64_t second = modified.value / 1000;
        int64_t milli = modified.value % 1000;
        if (milli < 0) {
            second -= 1;
            milli += 1000;
        }
        timespec times[2] = {};
        times[0].tv_nsec = UTIME_OMIT;
        times[1].tv_sec = second;
        times[1].tv_nsec = milli * 1'000'000;
        if (::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0) return {};
        return failure("set the time of", path, errno);
    }

    Status make_read_only(const std::string& path) override {
        // The owner alone may read it, as Kafka leaves its snapshots.
        if (::chmod(path.c_str(), S_IRUSR) == 0) return {};
        return failure("make read-only", path, errno);
    }

    Status sync_directory(const std::string& directory) override {
        const Descriptor fd(open_retrying(directory, O_RDONLY | O_DIRECTORY));
        if (fd.get() < 0) return failure("open", directory, errno);
        if (::fsync(fd.get()) == 0) return {};
        return failure("sync", directory, errno);
    }

    Result<env::SpaceInfo> space(const std::string& path) override {
        struct statvfs info {};
        if (::statvfs(path.c_str(), &info) != 0) return failure("space of", path, errno);
        return env::SpaceInfo{uint64_t{info.f_blocks} * info.f_frsize,
                              uint64_t{info.f_bavail} * info.f_frsize};
    }

    Result<std::unique_ptr<env::FileLock>> lock(const std::string& path) override {
        Descriptor fd(open_retrying(path, O_RDWR | O_CREAT));
        if (fd.get() < 0) return failure("open", path, errno);
        // An open-file-description lock: it excludes other descriptors of this process, too, and the
        // record lock that Java's FileChannel.tryLock takes, so Kafka and Millrace see each other.
        struct flock record {};
        record.l_type = F_WRLCK;
        record.l_whence = SEEK_SET;
        if (::fcntl(fd.get(), F_OFD_SETLK, &record) != 0) {
            const int error = errno == EACCES ? EWOULDBLOCK : errno;
            return failure("lock", path, error);
        }
        return std::unique_ptr<env::FileLock>(std::make_unique<PosixLock>(fd.release()));
    }

  private:
    SyncPool* syncs_;
};

}  // namespace

std::unique_ptr<env::FileSystem> make_posix_file_system(SyncPool* syncs) {
    return std::make_unique<PosixFileSystem>(syncs);
}

}  // namespace millrace::net
