#include "windtunnel/signals.hpp"

#include <string>

#include "arrays.hpp"
#include "registrations.hpp"
#include "windtunnel/engine.hpp"

namespace windtunnel::bindings {
namespace {

// Flags (T, N, C) as bool, or (T, N, (C + 7) / 8) as uint8 with eight configurations a byte.
template <class Flag>
py::dict sweep_signals(const Array<double>& open, const Array<double>& close,
                       const Array<bool>& tradable, const Array<Flag>& entries,
                       const Array<Flag>& exits, const Array<double>& size, double fee,
                       double half_spread, double borrow_apr, double financing_apr,
                       double periods_per_year, double initial_cash, double maintenance,
                       const std::string& fill, std::size_t threads, bool want_equity,
                       bool want_trades, bool want_metrics, const py::object& progress,
                       const std::optional<py::dict>& details,
                       const std::optional<py::dict>& stops) {
    constexpr bool kPacked = !std::is_same_v<Flag, bool>;
    PanelView panel = view_panel(open, close, tradable);
    const py::ssize_t count = size.size();
    const py::ssize_t row = kPacked ? (count + 7) / 8 : count;
    require_shape(size, "size", {count});
    require_shape(entries, "entries", {open.shape(0), open.shape(1), row});
    require_shape(exits, "exits", {open.shape(0), open.shape(1), row});
    Terms terms{fee,          half_spread, borrow_apr,      financing_apr, periods_per_year,
                initial_cash, maintenance, parse_fill(fill)};
    read_details(details, terms, panel);
    const Flags flags{reinterpret_cast<const std::uint8_t*>(entries.data()),
                      reinterpret_cast<const std::uint8_t*>(exits.data()), kPacked};
    const Signals door(flags, size.data(), static_cast<std::size_t>(count), terms.trading_rate(),
                       read_stops(stops, count, panel));
    auto* state = progress.is_none() ? nullptr : progress.cast<Progress<Signals>*>();
    Output output(panel.bars, door.count(), {want_equity, want_trades, want_metrics});
    {
        const py::gil_scoped_release others_may_run;
        run(door, panel, terms, output.results(), threads, state);
    }
    return output.arrays();
}

template <class Flag>
void define(py::module_& module) {
    module.def("run_signals", &sweep_signals<Flag>, py::arg("open_price").noconvert(),
               py::arg("close_price").noconvert(), py::arg("tradable").noconvert(),
               py::arg("entries").noconvert(), py::arg("exits").noconvert(),
               py::arg("size").noconvert(), py::kw_only(), py::arg("fee"), py::arg("half_spread"),
               py::arg("borrow_apr"), py::arg("financing_apr"), py::arg("periods_per_year"),
               py::arg("initial_cash"), py::arg("maintenance"), py::arg("fill"), py::arg("threads"),
               py::arg("want_equity"), py::arg("want_trades") = false,
               py::arg("want_metrics") = false, py::arg("progress") = py::none(),
               py::arg("details") = py::none(), py::arg("stops") = py::none(),
               "Equity of every column of entry and exit flags.");
}

}  // namespace

void register_signals(py::module_& module) {
    py::class_<Progress<Signals>>(module, "SignalProgress").def(py::init<>());
    define<bool>(module);
    define<std::uint8_t>(module);
}

}  // namespace windtunnel::bindings
