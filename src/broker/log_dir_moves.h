// src/broker/log_dir_moves.h: replicas on their way between directories of this broker.
//
// Driver of replication::DirectoryMove: fills the future copy from the partition's log, reading on
// env::Background, and changes over on this shard. One copy at a time, so that each replica is done
// as early as it can be (as Kafka's thread does it).
// Owner: broker/shard. Sources: KIP-113, KIP-858; dataplane.md D.7, F.7.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "millrace/broker/shard.h"
#include "millrace/replication/directory_move.h"
#include "millrace/replication/fetcher.h"

namespace millrace::broker {

class LogDirMoves {
  public:
    explicit LogDirMoves(Shard& shard);
    ~LogDirMoves();
    LogDirMoves(const LogDirMoves&) = delete;
    LogDirMoves& operator=(const LogDirMoves&) = delete;

    /// Begins a move to the directory, or ends one where the log lies there already.
    ErrorCode start(Partition& partition, LogDir& to);
    /// A copy of an earlier run was loaded.
    void resume(Partition& partition, LogDir& to, storage::Log& future);
    /// The metadata names this directory for the partition. True: it is where a move leads, and
    /// nothing is to be corrected.
    bool on_assigned_directory(const Partition& partition, const Uuid& directory);
    bool moving(const Partition& partition) const;
    /// The partition leaves this broker; its copy goes with it where `delete_files`.
    void forget(const Uuid& topic_id, PartitionIndex index, bool delete_files);
    void on_directory_offline(const LogDir& dir);
    void stop();

  private:
    struct Move {
        uint64_t id;  // a later move of the same partition is another one
        LogDir* to;
        storage::Log* future;
        replication::DirectoryMove machine;
    };
    struct Chunk;
    using Moves = std::map<replication::FetchKey, Move>;

    void add(Partition& partition, LogDir& to, storage::Log& future);
    void schedule();
    void pump();
    /// True: a copy is under way, the others wait.
    bool advance(const replication::FetchKey& key, Move& move);
    int64_t behind(Partition& partition, const Move& move) const;
    bool align(Partition& partition, Move& move);
    void copy(const replication::FetchKey& key, Partition& partition, Move& move);
    void on_chunk(const std::shared_ptr<Chunk>& chunk);
    bool append(Move& move, const Partition& partition, ByteView bytes);
    void flush(const replication::FetchKey& key, Move& move);
    void assign(const replication::FetchKey& key, Move& move);
    bool finish(const replication::FetchKey& key, Partition& partition, Move& move);
    Status copy_rest(Partition& partition, Move& move);
    void drop(Moves::iterator at, bool delete_files);
    void drop_later(const replication::FetchKey& key, uint64_t id);
    void fail(const LogDir& dir, const Status& status);
    Move* find(const replication::FetchKey& key, uint64_t id);

    Shard& shard_;
    Moves moves_;
    uint64_t next_id_ = 1;
    env::TimerId timer_ = 0;
    bool copying_ = false;
    bool scheduled_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace millrace::broker
