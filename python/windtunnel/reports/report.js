"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: false, // drag to zoom, double click to go back
  };
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const touch = window.matchMedia("(pointer: coarse)");

  // Colours are names of CSS variables, with an optional opacity: "champion/26".
  const palette = () => {
    const style = getComputedStyle(document.documentElement);
    return (name) => {
      const [colour, opacity = ""] = name.split("/");
      const found = style.getPropertyValue("--" + colour).trim();
      return found ? found + opacity : name; // a user's figure may bring its own colours
    };
  };
  const coloured = (value, look, key = "") => {
    if (typeof value === "string") return /color(way)?$/.test(key) ? look(value) : value;
    if (Array.isArray(value)) return value.map((item) => coloured(item, look, key));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, coloured(item, look, name)]));
  };

  const drawOne = async ([name, figure], look, family) => {
    const { data, layout } = coloured(figure, look);
    layout.font.family = family;
    if (touch.matches) layout.dragmode = false; // a finger scrolls the page
    await Plotly.react(document.getElementById("plot-" + name), data, layout, config);
  };
  // One picture that fails leaves the others alone.
  const draw = async () => {
    try {
      await unpacked;
    } catch (error) {
      complain(String(error));
      document.getElementById("broken").hidden = false;
      return;
    }
    const look = palette();
    const family = getComputedStyle(document.body).fontFamily;
    const results = await Promise.allSettled(
      Object.entries(figures).map((entry) => drawOne(entry, look, family)));
    const failed = results.filter((result) => result.status === "rejected");
    for (const result of failed) complain(String(result.reason));
    document.documentElement.dataset.drawn = results.length - failed.length;
    document.getElementById("broken").hidden = window.reportErrors.length === 0;
    // Whoever takes a picture of the whole page has to know how tall it is.
    document.documentElement.dataset.height = document.documentElement.scrollHeight;
  };

  draw();
  dark.addEventListener("change", draw);

  const printing = (on) => {
    document.documentElement.classList.toggle("printing", on);
    draw();
    if (window.Plotly) for (const place of document.querySelectorAll(".plot")) Plotly.Plots.resize(place);
  };
  window.addEventListener("beforeprint", () => {
    for (const block of document.querySelectorAll("details")) block.open = true;
    printing(true);
  });
  window.addEventListener("afterprint", () => printing(false));
})();
