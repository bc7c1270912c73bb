// What a result says beside its pixels: the photo's EXIF notes, made true, and the two marks that `colorize` writes
// ("coloured" in EXIF's Software, and IPTC's word in XMP). A canvas writes none of them, so they are put into its file.
import {crc32} from "./zip.js";

const ascii = text => new TextEncoder().encode(text);

function joined(...parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function bigEndian(number, bytes) {
  return Uint8Array.from({length: bytes}, (_, i) => number >>> 8*(bytes - 1 - i));
}

const startsWith = (bytes, text, at = 0) => ascii(text).every((c, i) => bytes[at + i] === c);

// ---- what kind of file it is, by its first bytes: names may lie

export function kindOf(head) {
  if (head[0] === 0xff && head[1] === 0xd8) return "JPEG";
  if (startsWith(head, "PNG\r\n", 1)) return "PNG";
  if (["II*\0", "MM\0*", "II+\0", "MM\0+"].some(text => startsWith(head, text))) return "TIFF";
  const isHeic = ["heic", "heix", "hevc", "heim", "heis", "mif1", "msf1"].some(text => startsWith(head, text, 8));
  return startsWith(head, "ftyp", 4) && isHeic ? "HEIC" : "";
}

// Words about what a file has that neither a canvas nor the notes below keep, as far as its head tells
export function lostOf(head, kind) {
  if (kind !== "JPEG" && kind !== "PNG") return ["it is a PNG now, and its notes are left out"];
  const found = new Set();
  const say = word => found.add(word);
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  try {
    if (kind === "JPEG") notesOfJpeg(head, view, say);
    else notesOfPng(head, view, say);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;  // the head ends before the notes do
  }
  const bits = kind === "PNG" && head[24] === 16 ? ["its 16 bits became 8"] : [];
  return found.size ? [...bits, `left out: ${[...found].join(", ")}`] : bits;
}

function notesOfJpeg(head, view, say) {
  const at = {0xe1: ["http://ns.adobe.com/x", "XMP"], 0xed: ["Photoshop 3.0", "IPTC"], 0xfe: ["", "comment"]};
  for (const [marker, place] of segmentsOf(view)) {
    const [begin, word] = at[marker] ?? ["-", ""];
    if (word && startsWith(head, begin, place + 4)) say(word);
  }
}

function notesOfPng(head, view, say) {
  const words = {tEXt: "texts", zTXt: "texts", iTXt: "texts", pHYs: "dots per inch"};
  for (const [kind] of chunksOf(head, view)) if (words[kind]) say(words[kind]);
}

// [marker, place] of the parts of a JPEG, and [kind, place] of a PNG's, up to the picture
function* segmentsOf(view) {
  for (let at = 2; view.getUint8(at) === 0xff && view.getUint8(at + 1) !== 0xda; at += 2 + view.getUint16(at + 2))
    yield [view.getUint8(at + 1), at];
}

function* chunksOf(head, view) {
  for (let at = 8; ; at += 12 + view.getUint32(at)) {
    const kind = String.fromCharCode(...head.subarray(at + 4, at + 8));
    if (kind === "IDAT") return;
    yield [kind, at];
  }
}

// ---- the EXIF notes of a file's head: the block that begins with II or MM, or null

export function exifOf(head, kind) {
  if (kind !== "JPEG" && kind !== "PNG") return null;
  const view = new DataView(head.buffer, head.byteOffset, head.length);
  try {
    return kind === "JPEG" ? exifOfJpeg(head, view) : exifOfPng(head, view);
  } catch (error) {
    if (error instanceof RangeError) return null;  // the head ends before the notes do
    throw error;
  }
}

function exifOfJpeg(head, view) {
  for (const [marker, at] of segmentsOf(view))
    if (marker === 0xe1 && startsWith(head, "Exif\0\0", at + 4)) return head.slice(at + 10, at + 2 + view.getUint16(at + 2));
  return null;
}

function exifOfPng(head, view) {
  for (const [kind, at] of chunksOf(head, view)) if (kind === "eXIf") return head.slice(at + 8, at + 8 + view.getUint32(at));
  return null;
}

// ---- the notes, made true

const ORIENTATION = 0x112, SOFTWARE = 0x131, CAMERA = 0x8769;
// size, bits, packing, meaning and number of the gray values, planes: they were of the old pixels
const OF_PIXELS = [0x100, 0x101, 0x102, 0x103, 0x106, 0x115, 0x11c];
const TRUE_OF_CAMERA = (width, height) => ({0xa001: 1, 0xa002: width, 0xa003: height});  // sRGB, and the size
const TEXT = 2, SHORT = 3, LONG = 4;
const NO_NOTES = Uint8Array.from([0x49, 0x49, 42, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0]);  // a list of none

function entriesAt(view, at, little) {
  return Array.from({length: view.getUint16(at, little)}, (_, i) => {
    const place = at + 2 + 12*i;
    return {place, tag: view.getUint16(place, little), bytes: new Uint8Array(view.buffer, view.byteOffset + place, 12)};
  });
}

// The block with a new first list at its end: upright, coloured by us, and no link to the gray thumbnail.
// Everything else keeps its place, so that what the lists point at is still there. RangeError: the block is broken.
export function trueNotes(block, width, height, note) {
  const padded = joined(block, new Uint8Array(block.length % 2));
  const view = new DataView(padded.buffer);
  const little = padded[0] === 0x49;
  const entries = entriesAt(view, view.getUint32(4, little), little);
  const camera = entries.find(entry => entry.tag === CAMERA);
  if (camera) makeTrue(view, entriesAt(view, view.getUint32(camera.place + 8, little), little), little, width, height);
  const text = ascii(note + "\0".repeat(2 - note.length % 2));
  const ours = [entry(ORIENTATION, SHORT, 1, 1, little), entry(SOFTWARE, TEXT, note.length + 1, padded.length, little)];
  const kept = entries.filter(({tag}) => ![...OF_PIXELS, ORIENTATION, SOFTWARE].includes(tag)).map(({bytes}) => bytes);
  const tagOf = bytes => new DataView(bytes.buffer, bytes.byteOffset).getUint16(0, little);
  const list = [...kept, ...ours].sort((one, other) => tagOf(one) - tagOf(other));
  view.setUint32(4, padded.length + text.length, little);
  const count = new Uint8Array(2);
  new DataView(count.buffer).setUint16(0, list.length, little);
  return joined(padded, text, count, ...list, new Uint8Array(4));
}

function entry(tag, type, count, value, little) {
  const bytes = new Uint8Array(12), view = new DataView(bytes.buffer);
  view.setUint16(0, tag, little);
  view.setUint16(2, type, little);
  view.setUint32(4, count, little);
  if (type === SHORT) view.setUint16(8, value, little);
  else view.setUint32(8, value, little);
  return bytes;
}

function makeTrue(view, entries, little, width, height) {
  const values = TRUE_OF_CAMERA(width, height);
  for (const {place, tag} of entries) {
    if (!(tag in values)) continue;
    const isSpace = tag === 0xa001;
    view.setUint16(place + 2, isSpace ? SHORT : LONG, little);
    view.setUint32(place + 4, 1, little);
    view.setUint32(place + 8, 0, little);
    if (isSpace) view.setUint16(place + 8, values[tag], little);
    else view.setUint32(place + 8, values[tag], little);
  }
}

// ---- into the file

const ROOM = 65533;  // bytes of one note in a JPEG

function segment(name, data) {
  const body = joined(ascii(name), data);
  return joined([0xff, 0xe1], bigEndian(body.length + 2, 2), body);
}

function chunk(kind, data) {
  const body = joined(ascii(kind), data);
  return joined(bigEndian(data.length, 4), body, bigEndian(crc32(body), 4));
}

// the file that a canvas wrote (JPEG or PNG), with notes: {blob, words about what is missing}
export async function withNotes(file, exif, {note, xmp}, width, height) {
  const words = [];
  const bare = trueNotes(NO_NOTES, width, height, note);
  let notes = bare;
  try {
    if (exif) notes = trueNotes(exif, width, height, note);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    words.push("its EXIF notes are broken and are left out");
  }
  if (file.type === "image/png") return {blob: inserted(file, 33, [chunk("eXIf", notes), chunk("iTXt", xmpText(xmp))]), words};
  if (notes.length + 6 > ROOM) {
    notes = bare;
    words.push("a JPEG has no room for its EXIF notes");
  }
  const segments = [segment("Exif\0\0", notes), segment("http://ns.adobe.com/xap/1.0/\0", ascii(xmp))];
  const head = new DataView(await file.slice(0, 6).arrayBuffer());
  const afterJfif = head.getUint16(2) === 0xffe0 ? 4 + head.getUint16(4) : 2;
  return {blob: inserted(file, afterJfif, segments), words};
}

const xmpText = xmp => joined(ascii("XML:com.adobe.xmp\0\0\0\0\0"), ascii(xmp));

function inserted(file, at, parts) {
  return new Blob([file.slice(0, at), ...parts, file.slice(at)], {type: file.type});
}
