#include "windtunnel/exposures.hpp"

#include <string>

#include "arrays.hpp"
#include "registrations.hpp"
#include "windtunnel/engine.hpp"

namespace windtunnel::bindings {
namespace {

template <class Number>
py::dict sweep_exposures(const Array<double>& open, const Array<double>& close,
                         const Array<bool>& tradable, const Array<Number>& exposures,
                         const Array<double>& band, double fee, double half_spread,
                         double borrow_apr, double financing_apr, double periods_per_year,
                         double initial_cash, double maintenance, const std::string& fill,
                         std::size_t threads, bool want_equity, bool want_trades, bool want_metrics,
                         const py::object& progress, const std::optional<py::dict>& details,
                         bool by_returns) {
    PanelView panel = view_panel(open, close, tradable);
    const py::ssize_t configurations = exposures.ndim() == 3 ? exposures.shape(2) : -1;
    require_shape(exposures, "exposures", {open.shape(0), open.shape(1), configurations});
    require_shape(band, "band", {configurations});
    Terms terms{fee,          half_spread, borrow_apr,      financing_apr, periods_per_year,
                initial_cash, maintenance, parse_fill(fill)};
    read_details(details, terms, panel);
    terms.by_returns = by_returns;
    const Exposures<Number> source{exposures.data(), band.data(),
                                   static_cast<std::size_t>(configurations)};
    auto* state = progress.is_none() ? nullptr : progress.cast<Progress<Exposures<Number>>*>();
    Output output(panel.bars, source.configurations, {want_equity, want_trades, want_metrics});
    {
        const py::gil_scoped_release others_may_run;
        run(source, panel, terms, output.results(), threads, state);
    }
    return output.arrays();
}

template <class Number>
void define(py::module_& module) {
    module.def("run_exposures", &sweep_exposures<Number>, py::arg("open_price").noconvert(),
               py::arg("close_price").noconvert(), py::arg("tradable").noconvert(),
               py::arg("exposures").noconvert(), py::arg("band").noconvert(), py::kw_only(),
               py::arg("fee"), py::arg("half_spread"), py::arg("borrow_apr"),
               py::arg("financing_apr"), py::arg("periods_per_year"), py::arg("initial_cash"),
               py::arg("maintenance"), py::arg("fill"), py::arg("threads"), py::arg("want_equity"),
               py::arg("want_trades") = false, py::arg("want_metrics") = false,
               py::arg("progress") = py::none(), py::arg("details") = py::none(),
               py::arg("by_returns") = false, "Equity of every column of target exposures.");
}

}  // namespace

void register_exposures(py::module_& module) {
    py::class_<Progress<Exposures<float>>>(module, "ExposureProgress32").def(py::init<>());
    py::class_<Progress<Exposures<double>>>(module, "ExposureProgress64").def(py::init<>());
    define<float>(module);
    define<double>(module);
}

}  // namespace windtunnel::bindings
