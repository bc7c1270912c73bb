// Pictures that were made beforehand, one for each position of a slider. Without JavaScript they stand one below the other.
// `<div data-tool="series" data-label="Temperature" data-start="2"><figure data-step="0.38"><img …><figcaption>…</figcaption></figure>…</div>`
"use strict";
for (const tool of document.querySelectorAll("[data-tool=series]")) {
  const figures = Array.from(tool.querySelectorAll("figure"));
  const label = document.createElement("label");
  const slider = Object.assign(document.createElement("input"), {type: "range", min: 0, max: figures.length - 1});
  const step = document.createElement("strong");
  slider.value = tool.dataset.start || 0;
  label.append(`${tool.dataset.label}: `, step, slider);
  tool.append(label);
  for (const caption of tool.querySelectorAll("figcaption")) caption.setAttribute("aria-live", "polite");

  function show() {
    const chosen = figures[slider.value];
    for (const figure of figures) figure.hidden = figure !== chosen;
    step.textContent = chosen.dataset.step;
    slider.setAttribute("aria-valuetext", chosen.dataset.step);
  }
  slider.addEventListener("input", show);
  show();
}
