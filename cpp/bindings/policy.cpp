#include <algorithm>
#include <string>

#include "arrays.hpp"
#include "registrations.hpp"
#include "windtunnel/engine.hpp"
#include "windtunnel/policies.hpp"

namespace windtunnel::bindings {
namespace {

py::dict sweep_policies(const Array<double>& open, const Array<double>& close,
                        const Array<bool>& tradable, const Array<float>& scores,
                        const Array<std::int64_t>& column, const Array<double>& enter,
                        const Array<double>& exit, const Array<double>& leverage,
                        const Array<double>& band, bool long_only, double fee, double half_spread,
                        double borrow_apr, double financing_apr, double periods_per_year,
                        double initial_cash, double maintenance, const std::string& fill,
                        std::size_t threads, bool want_equity, bool want_trades, bool want_metrics,
                        const py::object& progress, const std::optional<py::dict>& details,
                        const std::optional<py::dict>& stops, const py::object& volatility_target,
                        const py::object& volatility) {
    PanelView panel = view_panel(open, close, tradable);
    const py::ssize_t columns = scores.ndim() == 3 ? scores.shape(2) : -1;
    require_shape(scores, "scores", {open.shape(0), open.shape(1), columns});
    const py::ssize_t count = column.size();
    require_shape(column, "column", {count});
    require_shape(enter, "enter", {count});
    require_shape(exit, "exit", {count});
    require_shape(leverage, "leverage", {count});
    require_shape(band, "band", {count});
    if (!std::all_of(column.data(), column.data() + count,
                     [columns](std::int64_t c) { return c >= 0 && c < columns; })) {
        throw std::invalid_argument("column: must lie in [0, " + std::to_string(columns) + ")");
    }
    Terms terms{fee,          half_spread, borrow_apr,      financing_apr, periods_per_year,
                initial_cash, maintenance, parse_fill(fill)};
    read_details(details, terms, panel);
    PolicyParameters parameters{column.data(), enter.data(),
                                exit.data(),   leverage.data(),
                                band.data(),   static_cast<std::size_t>(count),
                                long_only,     read_stops(stops, count, panel)};
    parameters.volatility_target = view_vector(volatility_target, "volatility_target", count);
    parameters.volatility = view_optional(volatility, "volatility", panel);
    if ((parameters.volatility == nullptr) != (parameters.volatility_target == nullptr)) {
        throw std::invalid_argument("volatility_target, volatility: give both or neither");
    }
    const Policies policies(scores.data(), static_cast<std::size_t>(columns), parameters);
    auto* state = progress.is_none() ? nullptr : progress.cast<Progress<Policies>*>();
    Output output(panel.bars, policies.count(), {want_equity, want_trades, want_metrics});
    {
        const py::gil_scoped_release others_may_run;
        run(policies, panel, terms, output.results(), threads, state);
    }
    return output.arrays();
}

}  // namespace

void register_policy(py::module_& module) {
    py::class_<Progress<Policies>>(module, "PolicyProgress").def(py::init<>());
    module.def("run_policy", &sweep_policies, py::arg("open_price").noconvert(),
               py::arg("close_price").noconvert(), py::arg("tradable").noconvert(),
               py::arg("scores").noconvert(), py::arg("column").noconvert(),
               py::arg("enter_at").noconvert(), py::arg("exit_at").noconvert(),
               py::arg("leverage").noconvert(), py::arg("band").noconvert(), py::kw_only(),
               py::arg("long_only"), py::arg("fee"), py::arg("half_spread"), py::arg("borrow_apr"),
               py::arg("financing_apr"), py::arg("periods_per_year"), py::arg("initial_cash"),
               py::arg("maintenance"), py::arg("fill"), py::arg("threads"), py::arg("want_equity"),
               py::arg("want_trades") = false, py::arg("want_metrics") = false,
               py::arg("progress") = py::none(), py::arg("details") = py::none(),
               py::arg("stops") = py::none(), py::arg("volatility_target") = py::none(),
               py::arg("volatility") = py::none(),
               "Equity of every policy over its column of scores.");
}

}  // namespace windtunnel::bindings
