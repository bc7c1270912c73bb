// Several files as one download: a ZIP that stores them as they are, since pictures do not get smaller.
// The format is PKWARE's, in its first form: one header before each file, the list of all at the end.

const TABLE = Uint32Array.from({length: 256}, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ n >>> 1 : n >>> 1;
  return n;
});

export function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 255] ^ crc >>> 8;
  return (crc ^ 0xffffffff) >>> 0;
}

// numbers of 2 or 4 bytes, the low byte first: [[2, 20], [4, 0x04034b50]]
function record(...fields) {
  const bytes = new Uint8Array(fields.reduce((sum, [size]) => sum + size, 0));
  let at = 0;
  for (const [size, value] of fields) {
    for (let i = 0; i < size; i++) bytes[at + i] = value >>> 8*i;
    at += size;
  }
  return bytes;
}

const MOST = 0xffffffff, NAMES_ARE_UTF8 = 0x800, MIDNIGHT = 0, FIRST_DAY = 0x21;  // 1 January 1980

export async function zipped(files) {  // [{name, blob}]
  const parts = [], list = [];
  let offset = 0;
  for (const {name, blob} of files) {
    const path = new TextEncoder().encode(name);
    const crc = crc32(new Uint8Array(await blob.arrayBuffer()));
    const facts = [[2, 20], [2, NAMES_ARE_UTF8], [2, 0], [2, MIDNIGHT], [2, FIRST_DAY],
                   [4, crc], [4, blob.size], [4, blob.size], [2, path.length], [2, 0]];
    parts.push(record([4, 0x04034b50], ...facts), path, blob);
    list.push(record([4, 0x02014b50], [2, 20], ...facts, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]), path);
    offset += 30 + path.length + blob.size;
    if (offset > MOST) throw new Error("Together they are more than a ZIP can hold: download them one by one.");
  }
  const length = list.reduce((sum, part) => sum + part.length, 0);
  const end = record([4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, length], [4, offset], [2, 0]);
  return new Blob([...parts, ...list, end], {type: "application/zip"});
}
