// How much of the rules a sweep needs; a loop that leaves out what is turned off is shorter.
#pragma once

namespace windtunnel {

enum class Rules {
    plain,     // orders cost a rate and fill whole
    stops,     // and positions have stops
    detailed,  // every rule, and the trade log
    returns    // no units and no cash: exposure x return minus cost x turnover
};

}  // namespace windtunnel
