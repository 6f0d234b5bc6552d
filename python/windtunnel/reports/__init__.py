"""The page that says what a study found: `html.render` and `html.write` of a `ReportData`."""
