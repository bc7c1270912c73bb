// Colours photos beside the page, so that the page does not freeze. Photos come as files and go back as files;
// nothing is sent anywhere. What is fetched comes from the folder of this script: ONNX Runtime and the network.
import * as ort from "../ort/ort.wasm.min.mjs";
import {exifOf, kindOf, lostOf, withNotes} from "./notes.js";
import {Joiner, networkInput, Shrinker} from "./pixels.js";
import {zipped} from "./zip.js";

const STRIP = 1 << 20;    // pixels at work at once: a strip and its copies are a few megabytes
const HEAD = 1 << 18;     // bytes in which EXIF notes are looked for
const PREVIEW = 900;      // pixels of the longer side of what the page shows
const JPEG_QUALITY = 0.95;
const RUNTIME = new URL("../ort/", import.meta.url).href;

// ---- what has to be fetched

async function fetched(address, said, signal) {
  const answer = await fetch(address, {signal});
  if (!answer.ok) throw new Error(`${address} could not be fetched (${answer.status}).`);
  const parts = [];
  for (const reader = answer.body.getReader(); ;) {
    const {done, value} = await reader.read();
    if (done) return new Uint8Array(await new Blob(parts).arrayBuffer());
    parts.push(value);
    said(value.length);
  }
}

async function load() {
  const facts = JSON.parse(new TextDecoder().decode(await fetched(new URL("network.json", import.meta.url), () => {})));
  const stop = new AbortController();
  let come = 0;
  const said = bytes => postMessage({loading: Math.min(1, (come += bytes)/(facts.bytes + facts.runtimeBytes))});
  const both = [`${RUNTIME}ort-wasm-simd-threaded.wasm`, new URL("network.onnx", import.meta.url)];
  const [wasm, network] = await Promise.all(both.map(address => fetched(address, said, stop.signal))).catch(error => {
    stop.abort();  // one without the other is of no use
    throw error;
  });
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.wasmPaths = RUNTIME;
  ort.env.wasm.numThreads = 1;  // more would need headers that a plain server does not send
  const session = await ort.InferenceSession.create(network, {graphOptimizationLevel: "all"}).catch(error => {
    error.broken = true;  // the runtime does not forget a start that failed: only another worker can try again
    throw error;
  });
  postMessage({ready: true});
  return {session, facts};
}

let loaded;  // a promise: everything is fetched once, when it is asked for first
function network() {
  loaded ??= load().catch(error => {
    loaded = undefined;  // the next request tries again
    throw error;
  });
  return loaded;
}

// ---- the photo

const HELP = {
  TIFF: "Browsers do not read TIFF. Save it as PNG, or use the command colorize, which reads it with all its bits.",
  HEIC: "This browser does not read HEIC. Let the phone send it as JPEG, or use the command colorize with the extra [heic].",
};

async function decoded(file, kind) {
  try {
    return await createImageBitmap(file);  // upright and in sRGB: the browser reads orientation and profile
  } catch {
    throw new Error(HELP[kind] ?? "This file is not a photo that the browser can read.");
  }
}

// A canvas that is too large for the browser is blank, and nobody says so: a pixel is written and read back.
function canvasFor(width, height) {
  try {
    const canvas = new OffscreenCanvas(width, height);
    const pen = canvas.getContext("2d", {alpha: false, willReadFrequently: true});
    pen.fillStyle = "#fff";  // what is transparent becomes white, not black
    pen.fillRect(0, 0, width, height);
    if (pen.getImageData(width - 1, height - 1, 1, 1).data[0] === 255) return {canvas, pen};
  } catch { /* too large, in a browser that does say so */ }
  throw new Error(`${width} × ${height} pixels are too many for a canvas of this browser. The command colorize has no canvas.`);
}

// Is anything transparent? Looked at small.
function isClear(bitmap) {
  const {width, height} = bitmap;
  const scale = Math.min(1, 512/Math.max(width, height));
  const small = new OffscreenCanvas(Math.max(1, Math.round(width*scale)), Math.max(1, Math.round(height*scale)));
  const pen = small.getContext("2d", {willReadFrequently: true});
  pen.drawImage(bitmap, 0, 0, small.width, small.height);
  return pen.getImageData(0, 0, small.width, small.height).data.some((value, i) => i%4 === 3 && value < 250);
}

async function onCanvas(file, kind) {
  const bitmap = await decoded(file, kind);
  try {
    const {canvas, pen} = canvasFor(bitmap.width, bitmap.height);
    pen.drawImage(bitmap, 0, 0);
    return {canvas, pen, clear: isClear(bitmap)};
  } finally {
    bitmap.close();
  }
}

// calls work(rgba, top, image) for strips of whole rows
function inStrips(pen, {width, height}, said, work) {
  const rows = Math.max(1, Math.floor(STRIP/width));
  for (let top = 0; top < height; top += rows) {
    const image = pen.getImageData(0, top, width, Math.min(rows, height - top));
    work(image.data, top, image);
    said(Math.min(1, (top + rows)/height));
  }
}

function preview(canvas) {
  const scale = Math.min(1, PREVIEW/Math.max(canvas.width, canvas.height));
  const small = new OffscreenCanvas(Math.max(1, Math.round(canvas.width*scale)), Math.max(1, Math.round(canvas.height*scale)));
  const pen = small.getContext("2d", {alpha: false});
  pen.imageSmoothingQuality = "high";
  pen.drawImage(canvas, 0, 0, small.width, small.height);
  return small.convertToBlob({type: "image/jpeg", quality: 0.85});
}

async function answer(session, rgb, [width, height]) {
  const x = new ort.Tensor("float32", networkInput(rgb), [1, 1, height, width]);
  const {ab} = await session.run({x});
  return {data: ab.data, width: ab.dims[3], height: ab.dims[2]};
}

async function coloured(file, said) {
  const head = new Uint8Array(await file.slice(0, HEAD).arrayBuffer().catch(() => {
    throw new Error("This cannot be read: it is a folder, or no longer there.");
  }));
  const kind = kindOf(head);
  const {canvas, pen, clear} = await onCanvas(file, kind);
  const {session, facts} = await network();
  const before = await preview(canvas);
  const shrinker = new Shrinker(canvas.width, canvas.height);
  inStrips(pen, canvas, share => said("shrinking", 0.1 + 0.2*share), (rgba, top) => shrinker.add(rgba, top));
  said("colouring", 0.3);
  const ab = await answer(session, shrinker.finish(), shrinker.size);
  const joiner = new Joiner(ab.data, ab.width, ab.height, canvas.width, canvas.height);
  inStrips(pen, canvas, share => said("joining", 0.5 + 0.4*share), (rgba, top, image) => {
    joiner.colour(rgba, top);
    pen.putImageData(image, 0, top);
  });
  said("writing", 0.9);
  const plain = await canvas.convertToBlob(kind === "JPEG" ? {type: "image/jpeg", quality: JPEG_QUALITY} : {type: "image/png"});
  const {blob, words} = await withNotes(plain, exifOf(head, kind), facts, canvas.width, canvas.height);
  const size = [canvas.width, canvas.height];
  const lost = [...clear ? ["what was transparent is white"] : [], ...lostOf(head, kind)];
  return {blob, before, after: await preview(canvas), size, words: [...words, ...lost]};
}

// ---- one request after the other

const REQUESTS = {
  load: () => network().then(() => ({})),
  colour: ({file}, said) => coloured(file, said),
  zip: ({files}) => zipped(files).then(blob => ({blob})),
};

async function served({id, what, ...request}) {
  try {
    const said = (step, share) => postMessage({id, step, share});
    postMessage({id, done: await REQUESTS[what](request, said)});
  } catch (error) {
    postMessage({id, failed: error.message, broken: Boolean(error.broken)});
  }
}

let queue = Promise.resolve();
addEventListener("message", event => { queue = queue.then(() => served(event.data)); });
