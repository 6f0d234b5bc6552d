// Everything that is compiled once for each level, inside that level's namespace. The order
// matters: rows, the rules on rows, decisions, and the loop that joins them.
namespace windtunnel::WINDTUNNEL_LEVEL {

#include "windtunnel/kernel/part.hpp"

#include "windtunnel/kernel/row.hpp"

#include "windtunnel/kernel/words.hpp"

#include "windtunnel/kernel/measure.hpp"

#include "windtunnel/kernel/account.hpp"

#include "windtunnel/kernel/orders.hpp"

#include "windtunnel/kernel/decide.hpp"

#include "windtunnel/kernel/stops.hpp"

#include "windtunnel/kernel/advance.hpp"

#include "windtunnel/kernel/by_parts.hpp"

#include "windtunnel/kernel/blocks.hpp"

#include "windtunnel/kernel/flags.hpp"

#include "windtunnel/kernel/watched.hpp"

#include "windtunnel/kernel/alone.hpp"

#include "windtunnel/kernel/returns.hpp"

#include "windtunnel/kernel/walk.hpp"

}  // namespace windtunnel::WINDTUNNEL_LEVEL
