// A reader's own photos, coloured in the page: this script is what they see, colour/worker.js does the work.
// `<div data-tool="colour"></div>`, on a page that has a [data-tool=compare] too: its slider is used here.
// Nothing is fetched before a photo is chosen or the button pressed.
"use strict";
const colourTool = {
  assets: new URL("colour/", document.currentScript.src).href,

  // why it cannot run here, or "": `place` is where it would run
  refusal({protocol} = location, place = window) {
    if (protocol === "file:") return "A page opened as a file may not fetch the network. Serve the folder of the site "
      + "instead: python -m http.server --directory _docs, then open http://localhost:8000.";
    if (!place.Worker || !place.OffscreenCanvas) return "This browser is too old: it cannot compute beside the page. "
      + "Take a newer one, or the command colorize.";
    // the smallest program with a SIMD instruction (many numbers at once), without which there is no ONNX Runtime
    const simd = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0,
                               10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11);
    if (!place.WebAssembly?.validate(simd)) return "This browser has no WebAssembly with SIMD, or it is switched off. "
      + "Take a newer one, or the command colorize.";
    return "";
  },

  // photo.jpg -> photo_color.jpg, photo.gif -> photo.gif_color.png, as colorize names its results; never one name twice
  resultName(name, type, taken) {
    const [, stem, suffix] = name.match(/^(.*?)(\.[^.]*)?$/s);
    const kept = {"image/jpeg": /^\.(jpe?g|jfif)$/i, "image/png": /^\.png$/i}[type].test(suffix ?? "");
    const [base, ending] = kept ? [stem, suffix] : [name, type === "image/png" ? ".png" : ".jpg"];
    for (let i = 1; ; i++) {
      const result = `${base}_color${i === 1 ? "" : ` (${i})`}${ending}`;
      if (!taken.has(result.toLowerCase())) return result;  // nor do two names differ by capitals alone
    }
  },

  make(tag, properties = {}, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  },

  // the worker as a function: ask(request, said) -> promise of its answer. `loading` hears how much of the network
  // has come, `lost` that the worker has died and another one is needed.
  connect(loading, lost) {
    const worker = new Worker(`${colourTool.assets}worker.js`, {type: "module"});
    const waiting = new Map();
    let last = 0;
    worker.addEventListener("message", ({data}) => {
      if ("loading" in data || data.ready) return loading(data.ready ? 1 : 0.95*data.loading, data.ready);
      const {resolve, reject, said} = waiting.get(data.id);
      if (data.step) return said(data.step, data.share);
      waiting.delete(data.id);
      if (data.done) return resolve(data.done);
      reject(new Error(data.failed));
      if (data.broken) end(data.failed);
    });
    function end(why) {
      worker.terminate();
      lost();
      for (const {reject} of waiting.values()) reject(new Error(why));
      waiting.clear();
    }
    worker.addEventListener("error", event => {  // its script did not load, or a memory of the browser is full
      event.preventDefault();
      end("The program beside the page did not start, or it has stopped: too old a browser, or too large a photo.");
    });
    return (request, said = () => {}) => new Promise((resolve, reject) => {
      waiting.set(++last, {resolve, reject, said});
      worker.postMessage({...request, id: last});
    });
  },

  start(tool) {
    const {make} = colourTool;
    const said = make("p", {role: "status"});
    const refusal = colourTool.refusal();
    if (refusal) {
      said.textContent = refusal;
      tool.replaceChildren(said);
      return;
    }
    const file = make("input", {type: "file", accept: "image/*", multiple: true});
    const load = make("button", {type: "button", textContent: "Only load the network (23 MB)"});
    const all = make("button", {type: "button", textContent: "Download all", hidden: true});
    const clear = make("button", {type: "button", textContent: "Clear the list", hidden: true});
    const bar = make("progress", {max: 1, value: 0, hidden: true, ariaLabel: "Loading the network"});
    const list = make("ol", {className: "coloured-photos"});
    const controls = make("div", {className: "tool-controls"},
                          make("label", {}, "Photos of yours (choose or drop; they stay on this machine)", file),
                          make("div", {className: "tool-buttons"}, load, all, clear));
    tool.replaceChildren(controls, bar, said, list);
    let results = [];  // {name, blob, addresses}
    let asked = 0, answered = 0, refused = 0, ask;

    function loading(share, ready) {
      bar.value = share;
      bar.hidden = Boolean(ready);
      if (!ready) return;
      if (document.activeElement === load) file.focus();
      load.hidden = true;
      if (asked === answered) said.textContent = "The network is here.";
    }
    function request(...what) {
      ask ??= colourTool.connect(loading, () => { ask = undefined; });
      return ask(...what);
    }
    function loadFirst() {
      if (load.hidden) return;
      bar.hidden = false;
      said.textContent = "Loading the network …";
    }

    function addressOf(result, blob) {
      const address = URL.createObjectURL(blob);
      result.addresses.push(address);
      return address;
    }
    function show(item, source, {blob, before, after, size, words}) {
      const name = colourTool.resultName(source.name, blob.type, new Set(results.map(result => result.name.toLowerCase())));
      const result = {name, blob, addresses: []};
      results.push(result);
      const pictures = [["before", before], ["in colour", after]].map(([word, picture]) =>
        make("img", {src: addressOf(result, picture), alt: `${source.name}, ${word}`}));
      const compare = make("div", {}, ...pictures);
      compare.dataset.label = `Border between before and after: ${source.name}`;
      const link = make("a", {href: addressOf(result, blob), download: name}, `Download ${name}`);
      const facts = [`${size.join(" × ")} pixels, ${(blob.size/1e6).toFixed(1)} MB`, ...words];
      item.replaceChildren(compare, make("p", {}, link, `: ${facts.join("; ")}.`));
      compareTool.start(compare);
    }
    async function colour(source) {
      const progress = make("progress", {max: 1, value: 0, ariaLabel: `Progress of ${source.name}`});
      const step = make("span", {}, "waiting");
      const item = make("li", {}, make("p", {}, `${source.name}: `, step, " ", progress));
      list.append(item);
      try {
        show(item, source, await request({what: "colour", file: source}, (word, share) => {
          step.textContent = word;
          progress.value = share;
        }));
      } catch (error) {
        item.replaceChildren(make("p", {className: "refused"}, `${source.name}: ${error.message}`));
        refused++;
        bar.hidden = true;  // it may have been the network that did not come
      }
      answered++;
      count();
    }
    function count() {
      const waiting = asked > answered;
      const done = `Done: ${answered - refused} in colour, ${refused} refused.`;
      said.textContent = waiting ? `${answered} of ${asked} done …` : done;
      all.hidden = waiting || results.length < 2;
      clear.hidden = waiting;
    }
    function take(files) {
      const sources = [...files];
      if (!sources.length) return;
      if (asked === answered) asked = answered = refused = 0;
      asked += sources.length;
      count();
      loadFirst();
      sources.forEach(colour);
    }

    file.addEventListener("change", () => {
      take(file.files);
      file.value = "";  // so that the same file can be chosen again
    });
    load.addEventListener("click", () => {
      loadFirst();
      request({what: "load"}).catch(error => {
        bar.hidden = true;
        said.textContent = error.message;
      });
    });
    all.addEventListener("click", async () => {
      all.disabled = true;  // one archive is enough
      try {
        const {blob} = await request({what: "zip", files: results.map(({name, blob}) => ({name, blob}))});
        const address = URL.createObjectURL(blob);
        make("a", {href: address, download: "coloured.zip"}).click();
        setTimeout(() => URL.revokeObjectURL(address), 60_000);  // the browser has begun to save it by then
      } catch (error) {
        said.textContent = error.message;
      }
      all.disabled = false;
    });
    clear.addEventListener("click", () => {
      results.flatMap(({addresses}) => addresses).forEach(URL.revokeObjectURL);
      results = [];
      list.replaceChildren();
      all.hidden = clear.hidden = true;
      said.textContent = "The list is empty.";
      file.focus();
    });
    // a photo that is dropped beside the tool would replace the page, and all results with it
    const brings = event => event.dataTransfer.types.includes("Files");  // else it is a text, for another field
    document.addEventListener("dragover", event => { if (brings(event)) event.preventDefault(); });
    document.addEventListener("drop", event => {
      if (!brings(event)) return;
      event.preventDefault();
      take(event.dataTransfer.files);
    });
  },
};
for (const tool of document.querySelectorAll("[data-tool=colour]")) colourTool.start(tool);
