// NumPy arrays in and out: shapes are checked here again, so that no call, however wrong, makes
// the core read beyond an array. Messages for people come from windtunnel.backtest.engine.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "windtunnel/market.hpp"
#include "windtunnel/results.hpp"
#include "windtunnel/stops.hpp"
#include "windtunnel/terms.hpp"

namespace windtunnel::bindings {

namespace py = pybind11;

template <class Number>
using Array = py::array_t<Number, py::array::c_style>;

inline void require_shape(const py::array& array, const char* argument,
                          std::initializer_list<py::ssize_t> shape) {
    bool same = array.ndim() == static_cast<py::ssize_t>(shape.size());
    py::ssize_t axis = 0;
    std::string wanted;
    for (const py::ssize_t length : shape) {
        same = same && array.shape(axis) == length;
        if (axis++ > 0) wanted += ", ";
        wanted += std::to_string(length);
    }
    if (!same)
        throw std::invalid_argument(std::string(argument) + ": must have shape (" + wanted + ")");
}

// (T, N) of the panel, after checking that its three arrays agree.
inline PanelView view_panel(const Array<double>& open, const Array<double>& close,
                            const Array<bool>& tradable) {
    if (close.ndim() != 2 || close.size() == 0) {
        throw std::invalid_argument("close: must have shape (T, N), neither of them zero");
    }
    require_shape(open, "open", {close.shape(0), close.shape(1)});
    require_shape(tradable, "tradable", {close.shape(0), close.shape(1)});
    return {open.data(), close.data(), reinterpret_cast<const std::uint8_t*>(tradable.data()),
            static_cast<std::size_t>(close.shape(0)), static_cast<std::size_t>(close.shape(1))};
}

// An array of that shape, or null for None.
inline const double* view_shaped(const py::object& given, const char* argument,
                                 std::initializer_list<py::ssize_t> shape) {
    if (given.is_none()) return nullptr;
    if (!Array<double>::check_(given)) {
        throw std::invalid_argument(std::string(argument) + ": must be C-contiguous float64");
    }
    const auto array = py::reinterpret_borrow<Array<double>>(given);
    require_shape(array, argument, shape);
    return array.data();
}

// An array of the panel's shape, or null for None.
inline const double* view_optional(const py::object& given, const char* argument,
                                   const PanelView& panel) {
    return view_shaped(
        given, argument,
        {static_cast<py::ssize_t>(panel.bars), static_cast<py::ssize_t>(panel.instruments)});
}

// An array of one entry a configuration, or null for None.
inline const double* view_vector(const py::object& given, const char* argument, py::ssize_t count) {
    return view_shaped(given, argument, {count});
}

inline Fill parse_fill(const std::string& text) {
    if (text == "next_open") return Fill::next_open;
    if (text == "next_close") return Fill::next_close;
    if (text == "same_close") return Fill::same_close;
    throw std::invalid_argument("fill: must be next_open, next_close or same_close, got " + text);
}

// The terms that most sweeps leave out, by the names of Terms, with the optional arrays of the
// panel that they need; null for none of them.
inline void read_details(const std::optional<py::dict>& given, Terms& terms, PanelView& panel) {
    if (!given) return;
    const auto number = [&](const char* name) { return (*given)[name].cast<double>(); };
    terms.fee_per_unit = number("fee_per_unit");
    terms.minimum_fee = number("minimum_fee");
    terms.impact = number("impact");
    terms.participation = number("participation");
    terms.lot_size = number("lot_size");
    panel.volume = view_optional((*given)["volume"], "volume", panel);
    panel.half_spread = view_optional((*given)["half_spread"], "half_spread", panel);
}

// The stops of `count` policies by the names of StopParameters, each an array or None, with the
// highs and lows that they watch.
inline StopParameters read_stops(const std::optional<py::dict>& given, py::ssize_t count,
                                 PanelView& panel) {
    StopParameters stops;
    if (!given) return stops;
    const auto array = [&](const char* name) { return view_vector((*given)[name], name, count); };
    stops.loss = array("loss");
    stops.profit = array("profit");
    stops.trailing = array("trailing");
    stops.bars = array("bars");
    panel.high = view_optional((*given)["high"], "high", panel);
    panel.low = view_optional((*given)["low"], "low", panel);
    return stops;
}

// What a caller wants besides the totals.
struct Wanted {
    bool equity;
    bool trades;
    bool metrics;
};

// The arrays that a sweep fills, by the names of Results.
class Output {
  public:
    Output(std::size_t bars, std::size_t configurations, const Wanted& wanted)
        : equity_({wanted.equity ? bars : std::size_t{0}, configurations}),
          metrics_(wanted.metrics ? configurations : std::size_t{0}),
          configurations_(configurations) {
        results_.equity = wanted.equity ? equity_.mutable_data() : nullptr;
        results_.metrics = wanted.metrics ? metrics_.data() : nullptr;
        arrays_["equity"] = equity_;
        if (wanted.trades) {
            py::array_t<double> cash({bars, configurations});
            results_.cash = cash.mutable_data();
            results_.trades = &log_;
            arrays_["cash"] = cash;
        }
        results_.final_equity = add<double>("final_equity");
        results_.turnover = add<double>("turnover");
        results_.costs = add<double>("costs");
        results_.financing = add<double>("financing");
        results_.exposure = add<double>("exposure");
        results_.peak_input = add<double>("peak_input");
        results_.fills = add<std::int64_t>("fills");
        results_.dropped = add<std::int64_t>("dropped");
        results_.capped = add<std::int64_t>("capped");
        results_.ambiguous = add<std::int64_t>("ambiguous");
        results_.liquidated = add<std::int64_t>("liquidated");
    }

    const Results& results() const { return results_; }
    const py::dict& arrays() {
        if (results_.trades != nullptr) arrays_["trades"] = columns_of_trades();
        if (results_.metrics != nullptr) arrays_["metrics"] = columns_of_metrics();
        return arrays_;
    }

  private:
    template <class Number>
    Number* add(const char* name) {
        py::array_t<Number> array(static_cast<py::ssize_t>(configurations_));
        arrays_[name] = array;
        return array.mutable_data();
    }

    template <class Number, class Field>
    py::array_t<Number> column(const std::vector<Trade>& trades, const Field& field) const {
        py::array_t<Number> array(static_cast<py::ssize_t>(trades.size()));
        std::transform(trades.begin(), trades.end(), array.mutable_data(), field);
        return array;
    }

    py::dict columns_of_trades() {
        const std::vector<Trade>& all = log_.sorted();
        py::dict to;
        using Whole = std::int64_t;
        to["configuration"] = column<Whole>(all, [](const Trade& t) { return t.configuration; });
        to["bar"] = column<Whole>(all, [](const Trade& t) { return t.bar; });
        to["instrument"] = column<Whole>(all, [](const Trade& t) { return t.instrument; });
        to["reason"] =
            column<Whole>(all, [](const Trade& t) { return static_cast<Whole>(t.reason); });
        to["change"] = column<double>(all, [](const Trade& t) { return t.change; });
        to["units"] = column<double>(all, [](const Trade& t) { return t.units; });
        to["price"] = column<double>(all, [](const Trade& t) { return t.price; });
        to["cost"] = column<double>(all, [](const Trade& t) { return t.cost; });
        return to;
    }

    py::dict columns_of_metrics() {
        constexpr std::size_t kCount = std::size(kMetricNames);
        static_assert(sizeof(Metrics) == kCount * sizeof(double));
        py::dict to;
        for (std::size_t k = 0; k < kCount; ++k) {
            py::array_t<double> array(static_cast<py::ssize_t>(configurations_));
            double* at = array.mutable_data();
            for (const Metrics& each : metrics_) {
                std::memcpy(at++, reinterpret_cast<const double*>(&each) + k, sizeof(double));
            }
            to[kMetricNames[k]] = array;
        }
        return to;
    }

    py::array_t<double> equity_;
    TradeLog log_;
    std::vector<Metrics> metrics_;
    std::size_t configurations_;
    py::dict arrays_;
    Results results_;
};

}  // namespace windtunnel::bindings
