// include/millrace/base/move_function.h: a callable that may own move-only state.
//
// std::function needs copyable targets and std::move_only_function is C++23. One allocation per
// non-empty function whose target exceeds the inline room.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

#include "millrace/base/assert.h"

namespace millrace {

template <class Signature>
class MoveFunction;

template <class R, class... Args>
class MoveFunction<R(Args...)> {
  public:
    MoveFunction() noexcept = default;
    MoveFunction(std::nullptr_t) noexcept {}  // NOLINT(google-explicit-constructor)
    template <class F, class = std::enable_if_t<!std::is_same_v<std::decay_t<F>, MoveFunction> &&
                                                std::is_invocable_r_v<R, F&, Args...>>>
    MoveFunction(F&& f) {  // NOLINT(google-explicit-constructor)
        using Target = std::decay_t<F>;
        if constexpr (sizeof(Target) <= kInlineBytes &&
                      alignof(Target) <= alignof(std::max_align_t) &&
                      std::is_nothrow_move_constructible_v<Target>) {
            ::new (static_cast<void*>(room_)) Target(std::forward<F>(f));
            table_ = &kInlineTable<Target>;
        } else {
            ::new (static_cast<void*>(room_)) Target*(std::make_unique<Target>(
                std::forward<F>(f)).release());
            table_ = &kHeapTable<Target>;
        }
    }
    MoveFunction(MoveFunction&& other) noexcept { take(other); }
    MoveFunction& operator=(MoveFunction&& other) noexcept {
        if (this != &other) {
            reset();
            take(other);
        }
        return *this;
    }
    MoveFunction(const MoveFunction&) = delete;
    MoveFunction& operator=(const MoveFunction&) = delete;
    ~MoveFunction() { reset(); }

    explicit operator bool() const noexcept { return table_ != nullptr; }
    R operator()(Args... args) {
        MILLRACE_ASSERT(table_ != nullptr, "call of an empty MoveFunction");
        return table_->call(room_, std::forward<Args>(args)...);
    }

  private:
    static constexpr size_t kInlineBytes = 48;
    struct Table {
        R (*call)(void*, Args&&...);
        void (*relocate)(void* from, void* to) noexcept;
        void (*destroy)(void*) noexcept;
    };
    template <class T>
    static constexpr Table kInlineTable{
        [](void* room, Args&&... args) -> R {
            return (*static_cast<T*>(room))(std::forward<Args>(args)...);
        },
        [](void* from, void* to) noexcept {
            T* source = static_cast<T*>(from);
            ::new (to) T(std::move(*source));
            source->~T();
        },
        [](void* room) noexcept { static_cast<T*>(room)->~T(); }};
    template <class T>
    static constexpr Table kHeapTable{
        [](void* room, Args&&... args) -> R {
            return (**static_cast<T**>(room))(std::forward<Args>(args)...);
        },
        [](void* from, void* to) noexcept { ::new (to) T*(*static_cast<T**>(from)); },
        [](void* room) noexcept { std::unique_ptr<T> owned(*static_cast<T**>(room)); }};

    void take(MoveFunction& other) noexcept {
        table_ = other.table_;
        if (table_ != nullptr) table_->relocate(other.room_, room_);
        other.table_ = nullptr;
    }
    void reset() noexcept {
        if (table_ != nullptr) table_->destroy(room_);
        table_ = nullptr;
    }

    const Table* table_ = nullptr;
    alignas(std::max_align_t) unsigned char room_[kInlineBytes];
};

}  // namespace millrace
