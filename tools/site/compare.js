// Two pictures of the same photo become one, with a border between them that a slider moves.
// Without JavaScript they stand side by side. `<div data-tool="compare"><img …><img …></div>`
"use strict";
const compareTool = {
  start(tool) {
    const [before, after] = tool.querySelectorAll("img");
    const stage = document.createElement("div");
    const slider = document.createElement("input");
    const label = document.createElement("label");
    slider.type = "range";
    slider.min = 0;
    slider.max = 100;
    slider.value = 50;
    stage.className = "compare-stage";
    stage.append(before, after);
    label.append(tool.dataset.label || "Move the border", slider);
    tool.replaceChildren(stage, label);

    function move() {
      after.style.clipPath = `inset(0 0 0 ${slider.value}%)`;
      stage.style.setProperty("--border", `${slider.value}%`);
      slider.setAttribute("aria-valuetext", `${100 - slider.value} % in colour`);
    }
    // a finger or a mouse on the picture moves the border too
    function follow(event) {
      if (event.type === "pointermove" && !event.buttons) return;
      const box = stage.getBoundingClientRect();
      slider.value = 100*(event.clientX - box.left)/box.width;
      move();
    }
    slider.addEventListener("input", move);
    stage.addEventListener("pointerdown", follow);
    stage.addEventListener("pointermove", follow);
    move();
  },
};
for (const tool of document.querySelectorAll("[data-tool=compare]")) compareTool.start(tool);
