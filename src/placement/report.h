// src/placement/report.h: the finished draft as a Plan: rows, reasons, sums, hash.
#pragma once

#include "placement/draft.h"

namespace millrace::placement {

Plan make_report(Draft& draft);

}  // namespace millrace::placement
