"use strict";
(() => {
  const root = document.documentElement;
  const wide = matchMedia("(min-width: 961px)"), contents = document.querySelector(".contents");
  const unfold = () => { contents.open = wide.matches; };
  wide.addEventListener("change", unfold); unfold();
  contents.addEventListener("click", (event) => { if (event.target.closest("a") && !wide.matches) contents.open = false; });

  const links = new Map([...contents.querySelectorAll("a")].map((a) => [a.hash.slice(1), a]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) {
      for (const a of links.values()) a.removeAttribute("aria-current");
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-10% 0px -75% 0px" });
  for (const id of links.keys()) { const target = document.getElementById(id); if (target) seen.observe(target); }

  if (!window.Plotly) { root.dataset.drawn = "0"; return; }
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("figures"), palettes = read("palettes");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const plots = [...document.querySelectorAll(".plot")];

  // "$blue/20" → the palette's blue at 20 % opacity.
  function resolve(value, palette) {
    if (Array.isArray(value)) return value.map((item) => resolve(item, palette));
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolve(v, palette)]));
    if (typeof value !== "string" || value[0] !== "$") return value;
    const [name, percent] = value.slice(1).split("/"), color = palette[name];
    if (!percent) return color ?? value;
    const [r, g, b] = [1, 3, 5].map((i) => parseInt(color.slice(i, i + 2), 16));
    return `rgba(${r},${g},${b},${percent / 100})`;
  }
  function draw(plot, palette, width) {
    const figure = figures[plot.dataset.figure], layout = resolve(figure.layout, palette);
    layout.height = figure.height; layout.width = width; layout.autosize = width === undefined;
    if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false;   // a finger scrolls the page
    return Plotly.react(plot, resolve(figure.data, palette), layout, {
      responsive: width === undefined, displaylogo: false, scrollZoom: false,
      showSendToCloud: false, plotlyServerURL: "",                // the page sends nothing anywhere
      modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
      toImageButtonOptions: { format: "svg", filename: `adiabat-${plot.dataset.figure}` },
    });
  }
  const onScreen = () => palettes[dark.matches ? "dark" : "light"];

  async function drawAll() {
    root.dataset.drawn = "";
    for (const plot of plots) {
      try { await draw(plot, onScreen()); }
      catch (error) { plot.textContent = `This plot could not be drawn: ${error.message}`; console.error(error); }
      await new Promise((next) => setTimeout(next));
    }
    root.dataset.drawn = String(plots.length);
  }
  const paper = () => {                                           // A4 less its margins, in CSS pixels
    for (const plot of plots) draw(plot, palettes.light, plot.closest("figure").classList.contains("wide") ? 680 : 330);
  };
  addEventListener("beforeprint", paper);
  addEventListener("afterprint", drawAll);
  dark.addEventListener("change", drawAll);
  if (matchMedia("print").matches) paper(); else drawAll();
})();
