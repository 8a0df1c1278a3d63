// tools/cli/group_commands.h: what the files of `group` commands share.
#pragma once

#include "cli/group_client.h"

namespace millrace::cli {

void add_group_describe(CLI::App& group, Context& context);
void add_group_lag(CLI::App& group, Context& context);
void add_group_reset(CLI::App& group, Context& context);
void add_group_delete(CLI::App& group, Context& context);

/// Groups whose offsets mean something: no Connect, share or streams groups.
bool is_consumer_group(const GroupListing& listing);
/// Describes, or fails with did-you-mean when there is no such group.
GroupDescription describe_known(GroupClient& groups, const std::string& name);

}  // namespace millrace::cli
