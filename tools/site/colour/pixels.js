// The arithmetic around the network, the same as colorize_lib's: shrink as Pillow does, L of a pixel, and back to RGB.
// The canvas could shrink, too, but every browser does it in its own way, and the network would see another photo.

// ---- the size at which the network looks at a photo (Python: inference.network_size)

const STRIDE = 32;  // the encoder halves its input five times
const SIDE = 256;

// Python rounds a half to the even number, JavaScript rounds it up
function roundHalfEven(x) {
  const low = Math.floor(x), rest = x - low;
  return rest > 0.5 || rest === 0.5 && low % 2 ? low + 1 : low;
}

export function networkSize(width, height) {
  const scale = SIDE/Math.sqrt(width*height);
  const side = n => Math.min(SIDE*SIDE/STRIDE, Math.max(STRIDE, n*scale));
  return [width, height].map(n => Math.max(1, roundHalfEven(side(n)/STRIDE))*STRIDE);
}

// ---- shrink: blocks of whole pixels first, while the photo goes by in strips, then a bicubic filter
// (Pillow: Image.resize with BICUBIC and reducing_gap=2; for very tall photos it filters columns first, which nobody sees)

export class Shrinker {
  constructor(width, height) {
    this.photo = [width, height];
    this.size = networkSize(width, height);
    this.block = this.photo.map((n, i) => Math.max(1, Math.trunc(n/this.size[i]/2)));
    this.reduced = this.photo.map((n, i) => Math.ceil(n/this.block[i]));
    this.sums = new Uint32Array(3*this.reduced[0]*this.reduced[1]);
  }

  // rgba: whole rows of the photo, the first of which is row `top`
  add(rgba, top) {
    const [width] = this.photo, [across, down] = this.block, columns = this.reduced[0];
    for (let y = 0, at = 0; 4*width*y < rgba.length; y++) {
      const row = 3*columns*Math.floor((top + y)/down);
      for (let x = 0; x < width; x++, at += 4) {
        const to = row + 3*((x/across) | 0);
        this.sums[to] += rgba[at];
        this.sums[to + 1] += rgba[at + 1];
        this.sums[to + 2] += rgba[at + 2];
      }
    }
  }

  // R, G, B of the small photo, one after the other, in `size`
  finish() {
    const [columns, rows] = this.reduced, [across, down] = this.block, [width, height] = this.photo;
    const means = new Uint8Array(this.sums.length);
    for (let y = 0, at = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) {
        // the last block of a row may be narrower
        const n = Math.min(across, width - x*across)*Math.min(down, height - y*down);
        const part = Math.trunc(2**24/n);  // Pillow multiplies by a whole number instead of dividing
        for (let k = 0; k < 3; k++, at++) means[at] = Math.floor((this.sums[at] + (n >> 1))*part/2**24);
      }
    }
    const wide = filtered(means, rows, columns, width/across, this.size[0], 3*columns, 3);
    return filtered(wide, this.size[0], rows, height/down, this.size[1], 3, 3*this.size[0]);
  }
}

function cubic(x) {
  const t = Math.abs(x);
  if (t < 1) return (1.5*t - 2.5)*t*t + 1;
  return t < 2 ? ((-0.5*t + 2.5)*t - 4)*t + 2 : 0;
}

// for each of `wanted` pixels: where its neighbours begin among `there`, and the share of each.
// `length` is how long the `there` pixels are: the last one may be a part of one
function shares(there, length, wanted) {
  const scale = Math.fround(length)/wanted, stretch = Math.max(1, scale), reach = 2*stretch;
  return Array.from({length: wanted}, (_, i) => {
    const centre = (i + 0.5)*scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const last = Math.min(there, Math.trunc(centre + reach + 0.5));
    const weights = Array.from({length: last - first}, (_, k) => cubic((first + k - centre + 0.5)/stretch));
    const sum = weights.reduce((a, b) => a + b, 0);
    return {first, weights: weights.map(w => w/sum)};
  });
}

// one pass of the filter, along lines whose pixels are `step` numbers apart; the lines begin `apart` numbers apart.
// Rows: apart = 3*columns, step = 3. Columns: apart = 3, step = 3*columns.
function filtered(from, lines, there, length, wanted, apart, step) {
  const alongRow = step === 3;
  const newApart = alongRow ? 3*wanted : apart;
  const to = new Uint8ClampedArray(3*lines*wanted);
  shares(there, length, wanted).forEach(({first, weights}, i) => {
    for (let line = 0; line < lines; line++) {
      for (let k = 0; k < 3; k++) {
        let sum = 0, at = line*apart + first*step + k;
        for (const weight of weights) {
          sum += weight*from[at];
          at += step;
        }
        to[line*newApart + i*step + k] = Math.floor(sum + 0.5);  // 8 bits after each pass, as Pillow has them
      }
    }
  });
  return to;
}

// ---- L (Python: photo_lab.lightness)

const XYZ_FROM_RGB = [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]];
const WHITE = [0.95047, 1, 1.08883];
const FROM_RGB = XYZ_FROM_RGB.map((row, i) => row.map(v => v/WHITE[i]));
const DELTA = 6/29;

const f = t => t > DELTA**3 ? Math.cbrt(t) : DELTA + (t - DELTA**3)/(3*DELTA**2);
const LIGHT = Float64Array.from({length: 256}, (_, i) => i/255 > 0.04045 ? ((i/255 + 0.055)/1.055)**2.4 : i/255/12.92);
const GRAY_L = LIGHT.map(y => Math.min(100, Math.max(0, 116*f(y) - 16)));

export function lightness(r, g, b) {
  if (r === g && g === b) return GRAY_L[r];
  const [red, green, blue] = FROM_RGB[1];
  return Math.min(100, Math.max(0, 116*f(red*LIGHT[r] + green*LIGHT[g] + blue*LIGHT[b]) - 16));
}

// the network's input, L/50 - 1, of a small photo
export function networkInput(rgb) {
  return Float32Array.from({length: rgb.length/3}, (_, i) => lightness(rgb[3*i], rgb[3*i + 1], rgb[3*i + 2])/50 - 1);
}

// ---- back to RGB (Python: photo_lab.lab_to_photo)

function inverse([[a, b, c], [d, e, f], [g, h, i]]) {
  const cofactors = [[e*i - f*h, c*h - b*i, b*f - c*e], [f*g - d*i, a*i - c*g, c*d - a*f], [d*h - e*g, b*g - a*h, a*e - b*d]];
  const size = a*cofactors[0][0] + b*cofactors[1][0] + c*cofactors[2][0];
  return cofactors.map(row => row.map(v => v/size));
}

const [TO_R, TO_G, TO_B] = inverse(FROM_RGB);
const PLACES = 65536;  // light -> 8-bit level; each place stands for its middle
const ENCODE = Uint8Array.from({length: PLACES}, (_, i) => {
  const v = (i + 0.5)/PLACES;
  return roundHalfEven(255*(v > 0.0031308 ? 1.055*v**(1/2.4) - 0.055 : v*12.92));
});
const SLACK = 1e-4;  // what counts as inside the gamut, in linear light
const light = new Float64Array(3);  // linear R, G, B of the pixel at work

function intoLight(L, a, b) {
  const y = (L + 16)/116, x = y + a/500, z = y - b/200;
  const X = x > DELTA ? x*x*x : (x - DELTA)*3*DELTA**2 + DELTA**3;
  const Y = y > DELTA ? y*y*y : (y - DELTA)*3*DELTA**2 + DELTA**3;
  const Z = z > DELTA ? z*z*z : (z - DELTA)*3*DELTA**2 + DELTA**3;
  light[0] = TO_R[0]*X + TO_R[1]*Y + TO_R[2]*Z;
  light[1] = TO_G[0]*X + TO_G[1]*Y + TO_G[2]*Z;
  light[2] = TO_B[0]*X + TO_B[1]*Y + TO_B[2]*Z;
}

const isInside = (room = 0) =>
  Math.min(light[0], light[1], light[2]) >= -SLACK && Math.max(light[0] - room, light[1], light[2]) <= 1 + SLACK;

// how far above 1 red may lie at bright yellow, where the gamut has a dent (Python: photo_lab.red_room)
function redRoom(L, a, b) {
  const hue = Math.atan2(b, a)*180/Math.PI;  // 102 degrees are yellow
  return Math.max(0, Math.min(0.06, 0.015*(L - 91), 0.006*(15 - Math.abs(hue - 102))));
}

// a colour that sRGB lacks moves toward gray: the largest part of its chroma that fits, by halving
function intoGamut(L, a, b) {
  const room = redRoom(L, a, b);
  let scale = 0;
  for (let step = 0.5; step > 1/2048; step /= 2) {
    intoLight(L, a*(scale + step), b*(scale + step));
    if (isInside(Math.min(room, 0.3*light[2]))) scale += step;
  }
  intoLight(L, a*scale, b*scale);
}

const encoded = v => ENCODE[Math.min(PLACES - 1, Math.max(0, v*PLACES)) | 0];

// where each of `large` pixels lies between two of `small` ones: the lower one, and the share of the upper one
function neighbours(small, large) {
  const low = new Int32Array(large), share = new Float32Array(large);
  for (let i = 0; i < large; i++) {
    const at = Math.min(small - 1, Math.max(0, (i + 0.5)*small/large - 0.5));
    low[i] = Math.trunc(at);
    share[i] = at - low[i];
  }
  return {low, share};
}

export class Joiner {
  // ab: the network's answer, a then b, in units of 110, w x h
  constructor(ab, w, h, width, height) {
    const columns = neighbours(w, width);
    this.width = width;
    this.last = h - 1;
    this.rows = neighbours(h, height);
    // a and b as wide as the photo; few rows still
    [this.a, this.b] = [0, 1].map(k => {
      const wide = new Float32Array(h*width);
      for (let y = 0; y < h; y++) {
        const row = (k*h + y)*w;
        for (let x = 0; x < width; x++) {
          const low = ab[row + columns.low[x]], high = ab[row + Math.min(columns.low[x] + 1, w - 1)];
          wide[y*width + x] = 110*(low + (high - low)*columns.share[x]);
        }
      }
      return wide;
    });
  }

  // gives whole rows of the photo their colours, in place; the first is row `top`
  colour(rgba, top) {
    const {width, a, b} = this;
    for (let y = 0, at = 0; 4*width*y < rgba.length; y++) {
      const low = this.rows.low[top + y], share = this.rows.share[top + y];
      const above = low*width, below = Math.min(low + 1, this.last)*width;
      for (let x = 0; x < width; x++, at += 4) {
        const L = lightness(rgba[at], rgba[at + 1], rgba[at + 2]);
        const itsA = a[above + x] + (a[below + x] - a[above + x])*share;
        const itsB = b[above + x] + (b[below + x] - b[above + x])*share;
        intoLight(L, itsA, itsB);
        if (!isInside()) intoGamut(L, itsA, itsB);
        rgba[at] = encoded(light[0]);
        rgba[at + 1] = encoded(light[1]);
        rgba[at + 2] = encoded(light[2]);
      }
    }
  }
}
