// What all configurations see alike: prices with gaps closed, and where orders can fill.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "windtunnel/terms.hpp"

namespace windtunnel {

// Bars of N instruments on T timestamps as the caller holds them: row-major (T, N) arrays, NaN
// where an instrument has no bar. Prices are finite and positive wherever there is a bar.
struct PanelView {
    const double* open = nullptr;
    const double* close = nullptr;
    const std::uint8_t* tradable = nullptr;
    std::size_t bars = 0;
    std::size_t instruments = 0;
    // Only what the terms ask for; null otherwise.
    const double* volume = nullptr;       // positive where tradable
    const double* half_spread = nullptr;  // in place of the constant, where there is a bar
    const double* high = nullptr;
    const double* low = nullptr;
};

// Where an earlier piece of the same history ended, a value an instrument; empty at its beginning.
struct LastKnown {
    std::vector<double> mark, volume, half_spread;
};

// The panel as the engine reads it, each array (T, N) row-major or (T,).
class Market {
  public:
    // Prices alone, for plain terms.
    Market(const PanelView& panel, Fill fill) : Market(panel, plain_terms(fill)) {}

    Market(const PanelView& panel, const Terms& terms, bool in_detail = false,
           const LastKnown& before = {})
        : view(panel),
          fee(terms.fee),
          plain_rate(terms.trading_rate()),
          bars(panel.bars),
          instruments(panel.instruments),
          fill_price(bars * instruments),
          mark(bars * instruments),
          listed(bars * instruments),
          tradable(bars * instruments),
          listed_count(bars, 0) {
        // Before its first bar an instrument has no units, so that any finite mark will do.
        std::vector<double> last =
            before.mark.empty() ? std::vector<double>(instruments, 1.0) : before.mark;
        for (std::size_t t = 0; t < bars; ++t) {
            for (std::size_t n = 0; n < instruments; ++n) {
                const std::size_t at = t * instruments + n;
                const bool here = !std::isnan(panel.close[at]);
                const double at_open = here ? panel.open[at] : last[n];
                if (here) last[n] = panel.close[at];
                mark[at] = last[n];
                fill_price[at] = terms.fill == Fill::next_open ? at_open : last[n];
                listed[at] = here ? 1 : 0;
                tradable[at] = here && panel.tradable[at] != 0 ? 1 : 0;
                listed_count[t] += here ? 1U : 0U;
            }
        }
        if (terms.plain() && panel.half_spread == nullptr && panel.high == nullptr && !in_detail) {
            return;
        }
        carry(volume, panel.volume, tradable, 1.0, before.volume);
        carry(half_spread, panel.half_spread, listed, terms.half_spread, before.half_spread);
    }

    // What a piece that begins with this one's last bar has to know.
    LastKnown at_end() const {
        const auto tail = [&](const std::vector<double>& of) {
            return std::vector<double>(
                of.empty() ? of.end() : of.end() - static_cast<std::ptrdiff_t>(instruments),
                of.end());
        };
        return {tail(mark), tail(volume), tail(half_spread)};
    }

    // Whether orders need more than a price and a rate.
    bool detailed() const { return !half_spread.empty(); }

    // What trading costs in proportion to the value.
    double trading_rate(std::size_t t, std::size_t n) const {
        return detailed() ? fee + half_spread[t * instruments + n] : plain_rate;
    }

    PanelView view;
    double fee;
    double plain_rate;  // fee and the constant half-spread
    std::size_t bars;
    std::size_t instruments;
    std::vector<double> fill_price;  // where listed the price of a fill, elsewhere the last close
    std::vector<double> mark;        // last known close
    std::vector<std::uint8_t> listed;
    std::vector<std::uint8_t> tradable;
    std::vector<std::uint32_t> listed_count;
    std::vector<double> volume;       // of the last bar with trade; empty when nobody asks
    std::vector<double> half_spread;  // of the last bar; empty when nobody asks

  private:
    static Terms plain_terms(Fill fill) {
        Terms terms;
        terms.fill = fill;
        return terms;
    }

    // Values where `here`, elsewhere the last of them; `otherwise` without any.
    void carry(std::vector<double>& to, const double* from, const std::vector<std::uint8_t>& here,
               double otherwise, const std::vector<double>& before) const {
        to.assign(bars * instruments, otherwise);
        if (from == nullptr) return;
        for (std::size_t at = 0; at < to.size(); ++at) {
            if (here[at]) {
                to[at] = from[at];
            } else if (at >= instruments) {
                to[at] = to[at - instruments];
            } else if (!before.empty()) {
                to[at] = before[at];
            }
        }
    }
};

}  // namespace windtunnel
