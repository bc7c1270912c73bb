// The convolution of chapter 1.2b: a 3 × 3 kernel of the reader's own, slid over a gray photo.
// `<div data-tool="kernel" data-photo="data:image/jpeg;base64,…" data-alt="…"></div>`
"use strict";
const kernelTool = {
  presets: {
    "upright edges": [-1, 0, 1, -2, 0, 2, -1, 0, 1],
    "level edges": [-1, -2, -1, 0, 0, 0, 1, 2, 1],
    "identity": [0, 0, 0, 0, 1, 0, 0, 0, 0],
    "blur": [1, 2, 1, 2, 4, 2, 1, 2, 1].map(w => w/16),
    "sharpen": [0, -1, 0, -1, 5, -1, 0, -1, 0],
    "fine detail": [-1, -1, -1, -1, 8, -1, -1, -1, -1],
  },
  // grays (row by row) and nine weights -> the sums, two rows and two columns fewer
  convolve(grays, width, height, weights) {
    const sums = new Float64Array((width - 2)*(height - 2));
    for (let y = 0; y < height - 2; y++)
      for (let x = 0; x < width - 2; x++)
        sums[y*(width - 2) + x] = kernelTool.sum(grays, width, x, y, weights);
    return sums;
  },
  sum(grays, width, x, y, weights) {
    let sum = 0;
    for (let k = 0; k < 9; k++) sum += weights[k]*grays[(y + Math.floor(k/3))*width + x + k%3];
    return sum;
  },
  // sums to grays: where the weights add up to 0 a flat place gives 0, and that is shown as middle gray
  shown: (sum, weights) => sum + (Math.abs(weights.reduce((a, b) => a + b)) < 1e-6 ? 128 : 0),

  start(tool) {
    const ZOOM = 2;  // screen pixels for a pixel of the photo
    const stage = document.createElement("div");
    const before = document.createElement("canvas"), after = document.createElement("canvas");
    const grid = document.createElement("div"), controls = document.createElement("div");
    const said = document.createElement("p");
    stage.className = "kernel-stage";
    grid.className = "kernel-grid";
    controls.className = "tool-controls";
    grid.setAttribute("role", "group");
    grid.setAttribute("aria-label", "The nine numbers of the kernel");
    said.setAttribute("role", "status");
    for (const canvas of [before, after]) canvas.setAttribute("role", "img");
    before.setAttribute("aria-label", tool.dataset.alt);
    let grays, width, height, timer, done = Infinity;  // done: how many sums are shown

    const labelled = (text, input) => {
      const label = document.createElement("label");
      label.append(text, input);
      controls.append(label);
      return input;
    };
    const range = text => labelled(text, Object.assign(document.createElement("input"), {type: "range", min: 0, value: 0}));
    const preset = labelled("Start from", document.createElement("select"));
    for (const name of [...Object.keys(kernelTool.presets), "my own"]) preset.append(new Option(name));
    const row = range("Row of the kernel"), column = range("Column of the kernel");
    const run = Object.assign(document.createElement("button"), {type: "button", textContent: "Slide it over the photo"});
    controls.append(run);
    const boxes = Array.from({length: 9}, (_, k) => {
      const box = Object.assign(document.createElement("input"), {type: "number", step: "any"});
      box.setAttribute("aria-label", `Row ${Math.floor(k/3) + 1}, column ${k%3 + 1}`);
      box.addEventListener("input", () => {
        preset.value = "my own";
        draw();
      });
      grid.append(box);
      return box;
    });
    const weights = () => boxes.map(box => Number(box.value) || 0);

    // one canvas: grays, and the red square of a kernel or of its answer
    function paint(canvas, values, w, h, x, y, side) {
      canvas.width = w*ZOOM;
      canvas.height = h*ZOOM;
      const pen = canvas.getContext("2d"), small = pen.createImageData(w, h);
      values.forEach((v, i) => small.data.set([v, v, v, 255], 4*i));
      const copy = Object.assign(document.createElement("canvas"), {width: w, height: h});
      copy.getContext("2d").putImageData(small, 0, 0);
      pen.imageSmoothingEnabled = false;
      pen.drawImage(copy, 0, 0, canvas.width, canvas.height);
      pen.strokeStyle = "#e00";
      pen.lineWidth = 2;
      pen.strokeRect(x*ZOOM - 1, y*ZOOM - 1, side*ZOOM + 2, side*ZOOM + 2);
    }
    function draw() {
      if (!grays) return;
      const w = weights(), x = Number(column.value), y = Number(row.value);
      const sums = kernelTool.convolve(grays, width, height, w);
      const answer = Array.from(sums, (sum, i) => i < done ? kernelTool.shown(sum, w) : 255);
      paint(before, grays, width, height, x, y, 3);
      paint(after, answer, width - 2, height - 2, x, y, 1);
      after.setAttribute("aria-label", `What ${preset.value === "my own" ? "your own kernel" : `the kernel ${preset.value}`} makes of the photo`);
      const terms = w.map((weight, k) => `${+weight.toFixed(4)} × ${grays[(y + Math.floor(k/3))*width + x + k%3]}`);
      said.textContent = `Row ${y}, column ${x}: ${terms.join(" + ")} = ${kernelTool.sum(grays, width, x, y, w).toFixed(1)}`;
    }
    function choose() {
      const numbers = kernelTool.presets[preset.value];
      if (numbers) boxes.forEach((box, k) => { box.value = numbers[k]; });
      draw();
    }
    function stop() {
      clearInterval(timer);
      timer = undefined;
      done = Infinity;
      said.setAttribute("role", "status");
      run.textContent = "Slide it over the photo";
      draw();
    }
    // a row of the answer at a time; at once for those who asked for less motion
    function slide() {
      if (timer) return stop();
      if (matchMedia("(prefers-reduced-motion: reduce)").matches) return stop();
      done = 0;
      said.removeAttribute("role");
      run.textContent = "Stop";
      timer = setInterval(() => {
        if (done >= (width - 2)*(height - 2)) return stop();
        row.value = done/(width - 2);
        column.value = width - 3;
        done += width - 2;
        draw();
      }, 40);
    }
    function follow(event) {
      if (timer) return;
      const box = before.getBoundingClientRect();
      column.value = Math.floor((event.clientX - box.left)/box.width*width) - 1;
      row.value = Math.floor((event.clientY - box.top)/box.height*height) - 1;
      draw();
    }
    const image = new Image();
    image.onload = () => {
      ({width, height} = image);
      const pen = Object.assign(document.createElement("canvas"), {width, height}).getContext("2d", {willReadFrequently: true});
      pen.drawImage(image, 0, 0);
      const {data} = pen.getImageData(0, 0, width, height);
      grays = Array.from({length: width*height}, (_, i) => data[4*i]);
      row.max = height - 3;
      column.max = width - 3;
      row.value = Math.floor(height/3);
      column.value = Math.floor(width/2);
      choose();
    };
    image.src = tool.dataset.photo;
    preset.addEventListener("change", choose);
    run.addEventListener("click", slide);
    for (const input of [row, column]) input.addEventListener("input", draw);
    before.addEventListener("pointermove", follow);
    before.addEventListener("pointerdown", follow);
    stage.append(before, after, grid);
    tool.replaceChildren(stage, controls, said);
  },
};
for (const tool of document.querySelectorAll("[data-tool=kernel]")) kernelTool.start(tool);
