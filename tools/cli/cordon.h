// tools/cli/cordon.h: a broker takes no new copies, and again what it took before.
//
// Cordoning is Kafka's cordoned.log.dirs=* (KIP-1066). What an operator had cordoned of the
// broker's directories is kept in the plan that drains it, and comes back with undrain.
#pragma once

#include "cli/plan_state.h"

namespace millrace::cli {

inline constexpr const char* kCordoned = "cordoned.log.dirs";
inline constexpr const char* kEveryDir = "*";

/// The broker's own list of cordoned directories; nothing where it has none of its own.
std::optional<std::string> cordoned_dirs(Client& client, int32_t broker);
/// What a plan has to keep before it cordons the whole broker; nothing when it is cordoned already:
/// then it is an earlier plan's to take back, or nobody's.
Cordon cordon_to_note(Client& client, int32_t broker);
void set_cordon(Client& client, int32_t broker);
/// Puts that list in place of the cordon; a list that somebody has changed since stays. True when
/// the broker takes new copies again.
bool take_back_cordon(Client& client, const Cordon& cordon);
/// The plan, of those kept, that cordoned this broker and has not taken it back.
const StoredPlan* plan_of_cordon(const std::map<std::string, StoredPlan>& plans, int32_t broker);

}  // namespace millrace::cli
