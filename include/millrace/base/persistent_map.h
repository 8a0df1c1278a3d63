// include/millrace/base/persistent_map.h: an ordered map whose old versions stay valid for ever.
//
// A PersistentMap is a value: copying it costs one pointer, and set() or erase() on the copy
// leaves the original untouched. Both share all nodes except the O(log n) on the path that
// changed. Made for metadata images: a change of one topic among 20,000 partitions makes a new
// image in microseconds, and readers on other shards keep the old one without a lock. The tree
// is an AVL tree, so its shape depends only on the sequence of edits; iteration is in key order.
//
// K and V are copied along the changed path: keep V a pointer where it is larger than a few words.
#pragma once

#include <cstddef>
#include <iterator>
#include <memory>
#include <utility>

#include "millrace/base/assert.h"

namespace millrace {

template <class K, class V>
class PersistentMap {
    struct Node;
    using Link = std::shared_ptr<const Node>;
    struct Node {
        std::pair<K, V> entry;
        Link left;
        Link right;
        int height;
    };

  public:
    using value_type = std::pair<K, V>;

    /// Walks in key order; valid as long as the map value (or a copy of it) it came from lives.
    class Iterator {
      public:
        using iterator_category = std::forward_iterator_tag;
        using value_type = std::pair<K, V>;
        using difference_type = std::ptrdiff_t;
        using pointer = const value_type*;
        using reference = const value_type&;

        Iterator() = default;
        reference operator*() const { return path_[depth_ - 1]->entry; }
        pointer operator->() const { return &path_[depth_ - 1]->entry; }
        Iterator& operator++() {
            const Node* at = path_[--depth_];
            push_left(at->right.get());
            return *this;
        }
        Iterator operator++(int) {
            Iterator before = *this;
            ++*this;
            return before;
        }
        friend bool operator==(const Iterator& a, const Iterator& b) {
            if (a.depth_ == 0 || b.depth_ == 0) return a.depth_ == b.depth_;
            return a.path_[a.depth_ - 1] == b.path_[b.depth_ - 1];
        }

      private:
        friend class PersistentMap;
        void push(const Node* node) {
            MILLRACE_ASSERT(depth_ < kHeightMax, "AVL height within its bound");
            path_[depth_++] = node;
        }
        void push_left(const Node* node) {
            for (; node != nullptr; node = node->left.get())
                push(node);
        }
        static constexpr int kHeightMax = 64;  // 1.44 log2(n): enough for 2^44 entries
        const Node* path_[kHeightMax];
        int depth_ = 0;
    };

    size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }

    /// The value of `key`, or nullptr. Valid as long as this map value or a copy of it lives.
    template <class Q>
    const V* find(const Q& key) const {
        const Node* node = root_.get();
        while (node != nullptr) {
            if (key < node->entry.first) {
                node = node->left.get();
            } else if (node->entry.first < key) {
                node = node->right.get();
            } else {
                return &node->entry.second;
            }
        }
        return nullptr;
    }
    template <class Q>
    bool contains(const Q& key) const {
        return find(key) != nullptr;
    }

    /// Inserts or replaces.
    void set(const K& key, V value) {
        bool added = false;
        root_ = with(root_, key, std::move(value), added);
        if (added) ++size_;
    }
    /// True when `key` was there.
    bool erase(const K& key) {
        if (find(key) == nullptr) return false;
        root_ = without(root_, key);
        --size_;
        return true;
    }
    void clear() {
        root_ = nullptr;
        size_ = 0;
    }

    Iterator begin() const {
        Iterator it;
        it.push_left(root_.get());
        return it;
    }
    Iterator end() const { return {}; }
    /// The first entry whose key is not less than `key`.
    template <class Q>
    Iterator lower_bound(const Q& key) const {
        Iterator it;
        const Node* node = root_.get();
        while (node != nullptr) {
            if (node->entry.first < key) {
                node = node->right.get();
            } else {
                it.push(node);
                node = node->left.get();
            }
        }
        return it;
    }

    /// True when both are the same version (not merely equal): O(1).
    bool same_version(const PersistentMap& other) const { return root_ == other.root_; }
    friend bool operator==(const PersistentMap& a, const PersistentMap& b) {
        if (a.root_ == b.root_) return true;
        if (a.size_ != b.size_) return false;
        for (Iterator x = a.begin(), y = b.begin(); x != a.end(); ++x, ++y) {
            if (!(*x == *y)) return false;
        }
        return true;
    }

  private:
    static int height(const Link& node) { return node ? node->height : 0; }
    static Link make(std::pair<K, V> entry, Link left, Link right) {
        const int tall = height(left) > height(right) ? height(left) : height(right);
        return std::make_shared<const Node>(
            Node{std::move(entry), std::move(left), std::move(right), tall + 1});
    }
    /// A node over `left` and `right`, whose heights differ by two at most.
    static Link balanced(std::pair<K, V> entry, Link left, Link right) {
        const int lean = height(left) - height(right);
        if (lean > 1) {
            if (height(left->left) >= height(left->right)) {
                return make(left->entry, left->left,
                            make(std::move(entry), left->right, std::move(right)));
            }
            const Link& pivot = left->right;
            return make(pivot->entry, make(left->entry, left->left, pivot->left),
                        make(std::move(entry), pivot->right, std::move(right)));
        }
        if (lean < -1) {
            if (height(right->right) >= height(right->left)) {
                return make(right->entry, make(std::move(entry), std::move(left), right->left),
                            right->right);
            }
            const Link& pivot = right->left;
            return make(pivot->entry, make(std::move(entry), std::move(left), pivot->left),
                        make(right->entry, pivot->right, right->right));
        }
        return make(std::move(entry), std::move(left), std::move(right));
    }
    static Link with(const Link& node, const K& key, V value, bool& added) {
        if (!node) {
            added = true;
            return make({key, std::move(value)}, nullptr, nullptr);
        }
        if (key < node->entry.first) {
            return balanced(node->entry, with(node->left, key, std::move(value), added),
                            node->right);
        }
        if (node->entry.first < key) {
            return balanced(node->entry, node->left,
                            with(node->right, key, std::move(value), added));
        }
        return make({key, std::move(value)}, node->left, node->right);
    }
    static Link without_least(const Link& node) {
        if (!node->left) return node->right;
        return balanced(node->entry, without_least(node->left), node->right);
    }
    static Link without(const Link& node, const K& key) {
        if (key < node->entry.first) {
            return balanced(node->entry, without(node->left, key), node->right);
        }
        if (node->entry.first < key) {
            return balanced(node->entry, node->left, without(node->right, key));
        }
        if (!node->left) return node->right;
        if (!node->right) return node->left;
        const Node* least = node->right.get();
        while (least->left)
            least = least->left.get();
        return balanced(least->entry, node->left, without_least(node->right));
    }

    Link root_;
    size_t size_ = 0;
};

}  // namespace millrace
