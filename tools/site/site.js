// What the pages do in the browser, whoever rendered them: everything by keyboard, pictures that enlarge,
// films that wait, and a search that finds prose before the names of functions. Loaded with `defer`.
"use strict";
{
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const main = document.querySelector("main");
const assets = new URL(".", document.currentScript.src).href;

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// ---- everything by keyboard

const isPress = event => event.key === "Enter" || event.key === " ";

function asButton(element, press) {
  element.setAttribute("role", "button");
  element.tabIndex = 0;
  element.addEventListener("keydown", event => {
    if (!isPress(event) || event.target !== element) return;
    event.preventDefault();
    press();
  });
}

// both renderers fold with elements that only a mouse reaches
for (const fold of all("[data-bs-toggle=collapse]:not(button)")) {
  if (fold.classList.contains("sidebar-item-toggle")) {  // the words beside it do the same
    fold.removeAttribute("role");
    fold.removeAttribute("aria-expanded");
    fold.setAttribute("aria-hidden", "true");
  } else if (!fold.hasAttribute("href") || fold.getAttribute("href") === "#") asButton(fold, () => fold.click());
}
for (const icon of all("i.bi[role=img]:not([aria-label])")) {
  icon.removeAttribute("role");
  icon.setAttribute("aria-hidden", "true");
}

// what scrolls sideways scrolls with the arrow keys too
const SCROLLS = "main pre, main [id^=fig-], main .equation, main .cell-output-display, main .sd-table, main math[display=block], .wide-math, nav, #quarto-sidebar";

// a formula in a line that is wider than the window scrolls by itself
function boxWideFormulas() {
  const edge = main.getBoundingClientRect().right + 1;
  const wide = all("main math:not([display=block])").filter(math => math.getBoundingClientRect().right > edge);
  for (const math of wide) {
    if (math.closest(".wide-math, .equation")) continue;
    const box = make("span", {className: "wide-math"});
    math.replaceWith(box);
    box.append(math);
  }
}

function reachScrolled() {
  boxWideFormulas();
  for (const area of all(SCROLLS)) {
    const overflow = getComputedStyle(area);
    const wide = area.scrollWidth > area.clientWidth + 1 && /auto|scroll/.test(overflow.overflowX);
    const high = area.scrollHeight > area.clientHeight + 1 && /auto|scroll/.test(overflow.overflowY);
    if ((wide || high) && !area.hasAttribute("tabindex")) area.tabIndex = 0;
  }
}
reachScrolled();
addEventListener("load", reachScrolled);
addEventListener("resize", reachScrolled);
document.addEventListener("toggle", reachScrolled, true);
document.addEventListener("shown.bs.collapse", reachScrolled);

// ---- pictures that enlarge: click or Enter, Escape closes

const large = make("img");
const frame = make("div", {className: "enlarged-frame"}, large);
const enlarged = make("dialog", {className: "enlarged", ariaLabel: "The picture enlarged"},
                      make("form", {method: "dialog"}, make("button", {textContent: "Close"})), frame);
enlarged.addEventListener("click", event => { if (event.target !== large) enlarged.close(); });
document.body.append(enlarged);

function enlarge(picture) {
  large.src = picture.currentSrc || picture.src;
  large.alt = picture.alt;
  // a picture that the column shows whole grows, too
  const width = Math.max(picture.naturalWidth, 1.5*picture.clientWidth);
  large.style.minWidth = `min(96vw, ${width}px)`;
  enlarged.showModal();
  frame.tabIndex = 0;
}

for (const picture of all("main img")) {
  if (picture.closest("a, button, [data-tool], #explorer")) continue;
  picture.classList.add("enlarges");
  picture.setAttribute("aria-haspopup", "dialog");
  picture.title = "Enlarge";
  asButton(picture, () => enlarge(picture));
  picture.addEventListener("click", () => enlarge(picture));
}

// ---- films wait until they are asked to play, so that nobody who wants less motion sees any

for (const film of all("img[data-moving]")) {
  const still = film.getAttribute("src");
  const button = make("button", {type: "button", className: "film-button", textContent: "Play"});
  button.addEventListener("click", () => {
    const play = film.getAttribute("src") === still;
    film.src = play ? film.dataset.moving : still;
    button.textContent = play ? "Stop" : "Play";
  });
  film.after(button);
}

// ---- the search

const prompt = make("input", {type: "search", placeholder: "Search the course", ariaLabel: "Search the course"});
const hits = make("ul", {className: "search-hits"});
const count = make("p", {className: "search-count", role: "status"});
const search = make("dialog", {className: "search", ariaLabel: "Search"},
                    make("form", {method: "dialog"}, prompt, make("button", {textContent: "Close"})), count, hits);
document.body.append(search);

// how well a section answers: all words must be there, and in a heading they count most
function score([, title, , heading, text], words) {
  let sum = 0;
  for (const word of words) {
    const inHeading = heading.toLowerCase().includes(word);
    const inTitle = title.toLowerCase().includes(word);
    const often = text.toLowerCase().split(word).length - 1;
    if (!inHeading && !inTitle && !often) return 0;
    sum += 8*inHeading + 4*inTitle + Math.min(often, 5);
  }
  return sum;
}

function found(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return [];
  const scored = searchIndex.map(entry => [score(entry, words), entry]).filter(([points]) => points);
  scored.sort(([p, a], [q, b]) => a[5] - b[5] || q - p);  // prose, then the documentation of functions
  return scored.map(([, entry]) => entry);
}

function excerpt(text, query) {
  const at = Math.max(0, text.toLowerCase().indexOf(query.toLowerCase().split(/\s+/)[0]) - 50);
  return (at ? "…" : "") + text.slice(at, at + 160);
}

function hit([page, title, place, heading, text]) {
  const link = make("a", {href: `${assets}../${page}${place && "#" + place}`}, heading ? `${title} · ${heading}` : title);
  link.addEventListener("click", () => search.close());
  return make("li", {}, link, make("p", {textContent: excerpt(text, prompt.value.trim())}));
}

function show() {
  const entries = found(prompt.value);
  const many = entries.length > 40 ? ", the first 40 are here" : "";
  count.textContent = prompt.value.trim() ? `${entries.length} found${many}` : "";
  hits.replaceChildren(...entries.slice(0, 40).map(hit));
}

function openSearch() {
  if (search.open) return;
  search.showModal();
  prompt.focus();
  if (typeof searchIndex !== "undefined" || document.getElementById("search-index")) return;
  const index = make("script", {id: "search-index", src: assets + "search-index.js", onload: show});
  index.onerror = () => {
    index.remove();  // to be tried again when the search is opened again
    count.textContent = "The index of the search did not come.";
  };
  document.head.append(index);
}

prompt.addEventListener("input", () => { if (typeof searchIndex !== "undefined") show(); });
prompt.addEventListener("keydown", event => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  hits.querySelector("a")?.click();
});
document.addEventListener("keydown", event => {
  const typing = event.target.closest("input, textarea, select, [contenteditable]");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  openSearch();
});
const searchButton = make("button", {type: "button", className: "search-button", title: "Search: the key /"}, "Search");
searchButton.addEventListener("click", openSearch);
document.querySelector("#quarto-header .navbar-toggler, #quarto-header .navbar-collapse")?.before(searchButton);
}
