// A photo whose L, a and b can be moved: the formulas of chapter 2.1 on every pixel.
// `<div data-tool="lab" data-photo="data:image/jpeg;base64,…" data-alt="…"></div>`; a photo of one's own never leaves the page.
"use strict";
const labTool = {
  // sRGB 0 to 255 -> L 0 to 100, a and b about -110 to 110 (white point D65)
  toLab(r, g, b) {
    const [R, G, B] = [r, g, b].map(v => v > 10.31475 ? ((v/255 + 0.055)/1.055)**2.4 : v/255/12.92);
    const f = t => t > (6/29)**3 ? Math.cbrt(t) : t*(29/6)**2/3 + 4/29;
    const x = f((0.412453*R + 0.357580*G + 0.180423*B)/0.95047);
    const y = f(0.212671*R + 0.715160*G + 0.072169*B);
    const z = f((0.019334*R + 0.119193*G + 0.950227*B)/1.08883);
    return [116*y - 16, 500*(x - y), 200*(y - z)];
  },
  // and back, below 0 or above 255 where sRGB cannot show it
  toRgb(L, a, b) {
    const g = t => t > 6/29 ? t**3 : 3*(6/29)**2*(t - 4/29);
    const y = (L + 16)/116;
    const [X, Y, Z] = [0.95047*g(y + a/500), g(y), 1.08883*g(y - b/200)];
    const light = [3.240481*X - 1.537152*Y - 0.498536*Z, -0.969255*X + 1.875990*Y + 0.041556*Z,
                   0.055647*X - 0.204041*Y + 1.057311*Z];
    return light.map(v => 255*(v > 0.0031308 ? 1.055*v**(1/2.4) - 0.055 : 12.92*v));
  },
  start(tool) {
    const MOST = 320;  // pixels a side, so that every move of a slider is shown at once
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    const pen = canvas.getContext("2d", {willReadFrequently: true});
    const said = document.createElement("p");
    said.setAttribute("role", "status");
    const controls = document.createElement("div");
    controls.className = "tool-controls";
    let lab = [], alpha, last = 0;

    function control(text, type, properties) {
      const label = document.createElement("label");
      const input = Object.assign(document.createElement("input"), {type, ...properties});
      label.append(text, input);
      controls.append(label);
      return input;
    }
    const range = (text, min, max, value) => control(text, "range", {min, max, defaultValue: value});
    const light = range("L: darker, lighter", -50, 50, 0);
    const red = range("a: toward green, toward red", -80, 80, 0);
    const yellow = range("b: toward blue, toward yellow", -80, 80, 0);
    const chroma = range("Colour, in percent: 0 is gray", 0, 300, 100);
    const file = control("A photo of your own (it stays on this page)", "file", {accept: "image/*"});
    const reset = Object.assign(document.createElement("button"), {type: "button", textContent: "As it was"});
    controls.append(reset);

    function draw() {
      const out = pen.createImageData(canvas.width, canvas.height);
      let lost = 0;
      for (let i = 0; i < lab.length; i++) {
        const [L, a, b] = lab[i];
        const wanted = [L + +light.value, a*chroma.value/100 + +red.value, b*chroma.value/100 + +yellow.value];
        const rgb = labTool.toRgb(...wanted);
        if (rgb.some(v => v < -0.5 || v > 255.5)) lost++;
        out.data.set([...rgb, alpha[i]], 4*i);  // it rounds, and cuts off what is outside
      }
      pen.putImageData(out, 0, 0);
      said.textContent = `L ${light.value}, a ${red.value}, b ${yellow.value}, colour ${chroma.value} %. `
        + `${Math.round(100*lost/lab.length)} % of the pixels have a colour that a screen cannot show.`;
    }
    function take(image) {
      const scale = Math.min(1, MOST/Math.max(image.width, image.height));
      canvas.width = Math.max(1, Math.round(image.width*scale));
      canvas.height = Math.max(1, Math.round(image.height*scale));
      pen.drawImage(image, 0, 0, canvas.width, canvas.height);
      const {data} = pen.getImageData(0, 0, canvas.width, canvas.height);
      alpha = Array.from({length: data.length/4}, (_, i) => data[4*i + 3]);
      lab = Array.from(alpha, (_, i) => labTool.toLab(data[4*i], data[4*i + 1], data[4*i + 2]));
      draw();
    }
    async function read(blob, words) {
      const turn = ++last;
      try {
        const image = await createImageBitmap(blob);
        if (turn === last) {  // nobody has chosen another one meanwhile
          take(image);
          canvas.setAttribute("aria-label", words);
        }
        image.close();
      } catch {
        said.textContent = "This file is not a photo that the browser can read.";
      }
    }
    function sample() {
      const image = new Image();
      image.onload = () => take(image);
      image.src = tool.dataset.photo;
      canvas.setAttribute("aria-label", tool.dataset.alt);
    }
    for (const slider of [light, red, yellow, chroma]) slider.addEventListener("input", draw);
    reset.addEventListener("click", () => {
      for (const slider of [light, red, yellow, chroma]) slider.value = slider.defaultValue;
      draw();
    });
    file.addEventListener("change", () => {
      if (file.files[0]) read(file.files[0], "Your photo");
      file.value = "";  // so that the same file can be chosen again
    });
    tool.addEventListener("dragover", event => event.preventDefault());
    tool.addEventListener("drop", event => {
      event.preventDefault();
      if (event.dataTransfer.files[0]) read(event.dataTransfer.files[0], "Your photo");
    });
    tool.replaceChildren(canvas, controls, said);
    sample();
  },
};
for (const tool of document.querySelectorAll("[data-tool=lab]")) labTool.start(tool);
