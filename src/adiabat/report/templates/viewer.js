"use strict";
(() => {
  const root = document.documentElement, stages = [...document.querySelectorAll(".stage")];
  const told = (() => { try { return !!document.createElement("canvas").getContext("webgl2"); } catch { return false; } })();
  root.dataset.viewers = "0";
  if (!told || !window.$3Dmol) return;                            // the still pictures stay
  const views = JSON.parse(document.getElementById("views").textContent);
  const style = { stick: { radius: 0.11, colorscheme: "Jmol" }, sphere: { scale: 0.27, colorscheme: "Jmol" } };
  const element = (name, attributes, ...inside) => {
    const made = Object.assign(document.createElement(name), attributes);
    made.append(...inside);
    return made;
  };

  function show(stage) {
    const view = views[stage.dataset.view], moving = view.frames.length > 1;
    const screen = element("div", { className: "screen-3d", tabIndex: 0 });
    screen.setAttribute("role", "application");
    screen.setAttribute("aria-label", `${view.name}, in three dimensions. Arrow keys turn it, plus and minus zoom, Home puts it back.`);
    stage.append(screen);
    const viewer = $3Dmol.createViewer(screen, { backgroundAlpha: 0, antialias: true });
    const lines = view.frames.map((f) => [f.symbols.length, f.label.replace(/\s+/g, " "), ...f.positions.map((p, k) => [f.symbols[k], ...p].join(" "))].join("\n"));
    viewer.addModelsAsFrames(lines.join("\n") + "\n", "xyz");
    viewer.setStyle({}, style);
    const xyz = ([x, y, z]) => ({ x, y, z });
    let edges = [];
    const box = (frame) => {
      for (const edge of edges) viewer.removeShape(edge);
      edges = !frame.box.length ? [] : view.edges.map(([a, b]) => viewer.addLine({ start: xyz(frame.box[a]), end: xyz(frame.box[b]), color: "gray" }));
    };
    box(view.frames[0]);
    const first = [...view.frames[0].positions, ...view.frames[0].box], middle = [0, 1, 2].map((k) => first.reduce((sum, p) => sum + p[k], 0) / first.length);
    const radius = Math.max(...first.map((p) => Math.hypot(...p.map((x, k) => x - middle[k]))));
    viewer.zoomTo(); viewer.zoom(Math.min(1.8, Math.max(0.9, 4.5 / (radius + 1)))); viewer.render();   // the viewer shows no less than 5 Å
    const start = viewer.getView();
    const back = () => { viewer.setView(start); viewer.render(); };

    const turns = { ArrowLeft: [-10, "y"], ArrowRight: [10, "y"], ArrowUp: [-10, "x"], ArrowDown: [10, "x"] };
    screen.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      if (turns[event.key]) viewer.rotate(...turns[event.key]);
      else if (event.key === "+" || event.key === "=") viewer.zoom(1.15);
      else if (event.key === "-") viewer.zoom(1 / 1.15);
      else if (event.key === "Home") back();
      else return;
      event.preventDefault();
    });
    // A wheel that only passes by scrolls the page, and so does one finger; the viewer has them once it was chosen, or two fingers.
    stage.addEventListener("wheel", (event) => { if (document.activeElement !== screen) event.stopPropagation(); }, true);
    for (const name of ["touchstart", "touchmove"])
      stage.addEventListener(name, (event) => { if (event.touches.length < 2) event.stopPropagation(); }, true);
    screen.addEventListener("pointerdown", () => screen.focus({ preventScroll: true }));

    const said = element("output", { className: "which" });
    const controls = element("div", { className: "controls" });
    const button = (text, work) => { const made = element("button", { type: "button", onclick: work }, text); controls.append(made); return made; };
    if (moving) {
      const slider = element("input", { type: "range", min: 0, max: view.frames.length - 1, step: 1, value: 0 });
      slider.setAttribute("aria-label", `${view.name}: frame`);
      let timer = null, asked = Promise.resolve();
      const go = (k) => {
        slider.value = k;
        said.textContent = view.frames[k].label || `frame ${k + 1} of ${view.frames.length}`;
        slider.setAttribute("aria-valuetext", said.textContent);
        asked = asked.then(() => viewer.setFrame(k)).then(() => { box(view.frames[k]); viewer.render(); screen.dataset.frame = k; });
      };
      const play = button("Play", () => {
        if (timer !== null) { clearInterval(timer); timer = null; play.textContent = "Play"; return; }
        play.textContent = "Pause";
        timer = setInterval(() => go((Number(slider.value) + 1) % view.frames.length), 120);
      });
      slider.addEventListener("input", () => go(Number(slider.value)));
      controls.append(slider);
      go(0);
    } else said.textContent = view.frames[0].label;
    button("Reset view", back);
    controls.append(said);
    stage.after(controls);
    stage.classList.add("live");
  }
  let shown = 0;
  for (const stage of stages) {
    try { show(stage); shown += 1; }
    catch (error) { stage.querySelector(".screen-3d")?.remove(); console.error(error); }
  }
  root.dataset.viewers = String(shown);
})();
