// The game of chapter 2.3, played here: real notes around 4, a counterfeiter G, the police D, one round at a time.
// `<div data-tool="game"></div>`
"use strict";
const gameTool = {
  // numbers that repeat: the same seed, the same game
  random(seed) {
    const uniform = () => {
      seed = (seed + 0x6D2B79F5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t ^= t + Math.imul(t ^ (t >>> 7), 61 | t);
      return ((t ^ (t >>> 14)) >>> 0)/2**32;
    };
    const normal = () => Math.sqrt(-2*Math.log(1 - uniform()))*Math.cos(2*Math.PI*uniform());
    return {uniform, normal};
  },
  sigmoid: o => 1/(1 + Math.exp(-o)),
  softplus: o => Math.max(o, 0) + Math.log1p(Math.exp(-Math.abs(o))),

  // a network from one number to one number with two hidden layers, its gradients by hand, and Adam
  network(width, {uniform}) {
    const sizes = [[1, width], [width, width], [width, 1]];
    const layers = sizes.map(([n, m]) => {
      const draw = length => Float64Array.from({length}, () => (2*uniform() - 1)/Math.sqrt(n));
      const parameters = [draw(n*m), draw(m)];
      return {n, m, parameters, sums: parameters.map(p => [0, 1, 2].map(() => new Float64Array(p.length)))};
    });
    let steps = 0;
    function forward(x) {
      const seen = [[x]];
      layers.forEach(({n, m, parameters: [w, bias]}, l) => {
        const input = seen[l], output = new Array(m);
        for (let j = 0; j < m; j++) {
          let sum = bias[j];
          for (let i = 0; i < n; i++) sum += w[j*n + i]*input[i];
          output[j] = l < 2 ? Math.tanh(sum) : sum;
        }
        seen.push(output);
      });
      return seen;
    }
    // adds the gradients of one example, returns the slope at its input
    function backward(seen, slope) {
      let back = [slope];
      for (let l = 2; l >= 0; l--) {
        const {n, m, parameters: [w], sums: [[gw], [gb]]} = layers[l];
        const input = seen[l], next = new Array(n).fill(0);
        for (let j = 0; j < m; j++) {
          const d = l < 2 ? back[j]*(1 - seen[l + 1][j]**2) : back[j];
          gb[j] += d;
          for (let i = 0; i < n; i++) {
            gw[j*n + i] += d*input[i];
            next[i] += d*w[j*n + i];
          }
        }
        back = next;
      }
      return back[0];
    }
    const clear = () => layers.forEach(({sums}) => sums.forEach(([g]) => g.fill(0)));
    function step(rate) {
      steps++;
      for (const {parameters, sums} of layers) parameters.forEach((p, k) => {
        const [g, mean, square] = sums[k];
        for (let i = 0; i < p.length; i++) {
          mean[i] = 0.5*mean[i] + 0.5*g[i];
          square[i] = 0.999*square[i] + 0.001*g[i]**2;
          p[i] -= rate*(mean[i]/(1 - 0.5**steps))/(Math.sqrt(square[i]/(1 - 0.999**steps)) + 1e-8);
        }
      });
      clear();
    }
    return {forward, backward, clear, step, answer: x => forward(x)[3][0]};
  },

  game(seed) {
    const chance = gameTool.random(seed);
    const G = gameTool.network(16, chance), D = gameTool.network(24, chance);
    const BATCH = 64;
    let round = 0;
    function moveD(rate) {
      for (let i = 0; i < BATCH; i++) {
        const real = D.forward(4 + 0.5*chance.normal());
        D.backward(real, (gameTool.sigmoid(real[3][0]) - 1)/BATCH);
        const fake = D.forward(G.answer(chance.normal()));
        D.backward(fake, gameTool.sigmoid(fake[3][0])/BATCH);
      }
      D.step(rate);
    }
    function moveG(rate) {
      for (let i = 0; i < BATCH; i++) {
        const note = G.forward(chance.normal());
        const verdict = D.forward(note[3][0]);
        const slope = D.backward(verdict, (gameTool.sigmoid(verdict[3][0]) - 1)/BATCH);
        G.backward(note, slope);
      }
      D.clear();
      G.step(rate);
    }
    function play(rateG, rateD) {
      for (let i = 0; i < 3; i++) moveD(rateD);
      moveG(rateG);
      round++;
    }
    // the same 400 numbers at every look, so that the picture moves only when G does
    const noise = Array.from({length: 400}, gameTool.random(7).normal);
    function state() {
      const notes = noise.map(G.answer);
      const mean = notes.reduce((a, b) => a + b)/notes.length;
      const spread = Math.sqrt(notes.reduce((sum, x) => sum + (x - mean)**2, 0)/notes.length);
      const onFake = notes.reduce((sum, x) => sum + gameTool.softplus(D.answer(x)), 0)/notes.length;
      const onReal = noise.reduce((sum, z) => sum + gameTool.softplus(-D.answer(4 + 0.5*z)), 0)/noise.length;
      return {round, notes, mean, spread, loss: (onFake + onReal)/2};
    }
    return {play, state, belief: x => gameTool.sigmoid(D.answer(x))};
  },

  draw(pen, game, {notes}) {
    const {width, height} = pen.canvas;
    const LOW = -1, HIGH = 7, BINS = 64;
    const across = x => (x - LOW)/(HIGH - LOW)*width;
    const up = y => height - y/1.15*height;
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, width, height);
    const places = Array.from({length: 161}, (_, i) => LOW + i*(HIGH - LOW)/160);
    pen.beginPath();
    pen.moveTo(0, height);
    for (const x of places) pen.lineTo(across(x), up(Math.exp(-2*(x - 4)**2)/Math.sqrt(Math.PI/2)));
    pen.lineTo(width, height);
    pen.fillStyle = "#bbb";
    pen.fill();
    const count = new Array(BINS).fill(0);
    for (const x of notes) count[Math.floor((x - LOW)/(HIGH - LOW)*BINS)]++;
    pen.fillStyle = "rgba(213, 94, 0, .6)";
    for (let i = 0; i < BINS; i++) {
      const density = Math.min(1.1, (count[i] || 0)/notes.length*BINS/(HIGH - LOW));
      pen.fillRect(i*width/BINS, up(density), width/BINS, height - up(density));
    }
    pen.strokeStyle = "#888";
    pen.setLineDash([4, 4]);
    pen.strokeRect(-1, up(0.5), width + 2, 0);
    pen.setLineDash([]);
    pen.strokeStyle = "#0072b2";
    pen.lineWidth = 3;
    pen.beginPath();
    for (const x of places) pen.lineTo(across(x), up(game.belief(x)));
    pen.stroke();
    pen.lineWidth = 1;
    pen.fillStyle = "#222";
    pen.font = "14px sans-serif";
    for (let x = 0; x < HIGH; x += 2) pen.fillText(x, across(x) - 4, height - 4);
  },

  start(tool) {
    const canvas = Object.assign(document.createElement("canvas"), {width: 640, height: 300});
    canvas.setAttribute("role", "img");
    const pen = canvas.getContext("2d");
    const said = document.createElement("p");
    const controls = document.createElement("div");
    controls.className = "tool-controls";
    let game, timer, seed = 42;

    function button(text, press) {
      const made = Object.assign(document.createElement("button"), {type: "button", textContent: text});
      made.addEventListener("click", press);
      controls.append(made);
      return made;
    }
    // rates are powers of ten: the slider moves their exponent
    function rate(text, value) {
      const label = document.createElement("label");
      const input = Object.assign(document.createElement("input"), {type: "range", min: -4, max: -0.5, step: 0.25, value});
      const number = document.createElement("span");
      const tell = () => {
        number.textContent = (10**input.value).toPrecision(2);
        input.setAttribute("aria-valuetext", number.textContent);
      };
      input.addEventListener("input", tell);
      tell();
      label.append(text, input, number);
      controls.append(label);
      return () => 10**input.value;
    }
    function show() {
      const state = game.state();
      gameTool.draw(pen, game, state);
      said.textContent = `Round ${state.round}: G's notes have mean ${state.mean.toFixed(2)} and spread ${state.spread.toFixed(2)} `
        + `(real: 4 and 0.5); D's loss is ${state.loss.toFixed(2)} (a coin: 0.69).`;
      canvas.setAttribute("aria-label", `Real notes as a gray hill at 4, G's notes in orange, D's belief as a blue curve. ${said.textContent}`);
    }
    function round() {
      game.play(rateG(), rateD());
      show();
    }
    function pause() {
      clearInterval(timer);
      timer = undefined;
      run.textContent = "Play";
      said.setAttribute("role", "status");
    }
    const run = button("Play", () => {
      if (timer) return pause();
      said.removeAttribute("role");  // nobody wants ten rounds a second read aloud
      timer = setInterval(round, 100);
      run.textContent = "Pause";
    });
    button("One round", () => {
      pause();
      round();
    });
    button("Start again", () => {
      pause();
      game = gameTool.game(++seed);
      show();
    });
    const rateG = rate("G's learning rate ", -2.25);
    const rateD = rate("D's learning rate ", -2);
    tool.replaceChildren(canvas, controls, said);
    said.setAttribute("role", "status");
    game = gameTool.game(seed);
    show();
  },
};
for (const tool of document.querySelectorAll("[data-tool=game]")) gameTool.start(tool);
