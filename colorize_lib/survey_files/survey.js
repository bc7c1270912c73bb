"use strict";
const survey = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const all = selector => [...document.querySelectorAll(selector)];

// ---- chance, the same on every device: in Python, `survey_page` has the same functions ----

function mulberry32(seed) { // draw(n): a whole number from 0 to n - 1
  return n => {
    let t = seed = (seed + 0x6D2B79F5) | 0;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor(((t ^ (t >>> 14)) >>> 0) / 4294967296 * n);
  };
}

function shuffled(items, draw) {
  const list = [...items];
  for (let i = list.length - 1; i > 0; i--) {
    const j = draw(i + 1);
    [list[i], list[j]] = [list[j], list[i]];
  }
  return list;
}

function ratingOrder(photos, draw) { // in every round each photo comes once, in a version not yet seen
  const versions = photos.map(ids => shuffled(ids, draw)), order = [];
  let last = -1;
  for (let round = 0; round < photos[0].length; round++) {
    const turn = shuffled(photos.keys(), draw);
    if (turn[0] === last) {
      const j = 1 + draw(turn.length - 1);
      [turn[0], turn[j]] = [turn[j], turn[0]];
    }
    for (const photo of turn) order.push(versions[photo][round]);
    last = turn[turn.length - 1];
  }
  return order;
}

function pairList(photos, draw) { // one pair of each photo, two of its versions in random places
  return shuffled(photos.keys(), draw).map(photo => shuffled(photos[photo], draw).slice(0, 2));
}

// ---- what a person has answered so far ----

const place = `colorize-survey-${survey.id}`;
let keeps = true; // may the page keep answers on this device?

function newState() {
  const [high, low, seed] = crypto.getRandomValues(new Uint32Array(3));
  const rater = [high, low].map(n => n.toString(16).padStart(8, "0")).join("");
  const language = (navigator.language || "en").startsWith("vi") ? "vi" : "en";
  return { rater, seed, language, at: 0, consent: false, grades: {}, choices: {}, times: {} };
}

function load() {
  try {
    const state = JSON.parse(localStorage.getItem(place));
    if (state && /^[0-9a-f]{16}$/.test(state.rater) && Number.isInteger(state.seed) && survey.text[state.language]
        && Number.isInteger(state.at) && state.grades && state.choices && state.times) return state;
  } catch (error) { /* damaged, or not allowed: begin anew */ }
  return newState();
}

function keep() {
  try { localStorage.setItem(place, JSON.stringify(state)); }
  catch (error) { keeps = false; }
}

let state, order, pairs, steps, shownAt;

function begin(from) {
  state = from;
  const draw = mulberry32(state.seed);
  order = ratingOrder(survey.photos, draw);
  pairs = survey.pairs ? pairList(survey.photos, draw) : [];
  steps = [{ screen: "intro" }, ...order.map((id, i) => ({ screen: "rate", id, i })),
           ...(pairs.length ? [{ screen: "pairs" }] : []), ...pairs.map((two, i) => ({ screen: "pair", two, i })), { screen: "end" }];
  state.at = Math.min(Math.max(state.at, 0), steps.length - 1);
  keep();
}

const step = () => steps[state.at];
const done = s => s.screen === "rate" ? state.grades[s.i] !== undefined : s.screen === "pair" ? state.choices[s.i] !== undefined : true;
const timeKey = s => `${s.screen}${s.i}`;

// ---- words ----

const counts = () => ({ pictures: order.length, pairs: pairs.length, minutes: Math.max(1, Math.round((order.length * 7 + pairs.length * 6) / 60)) });

function words(key, values) {
  return survey.text[state.language][key].replace(/\{(\w+)\}/g, (_, name) => ({ ...counts(), ...values })[name]);
}

// ---- showing a step ----

function show(focus) {
  const s = step(), question = s.screen === "rate" || s.screen === "pair", number = s.i + 1;
  document.documentElement.lang = state.language;
  document.title = words("title");
  for (const element of all("[data-text]")) element.textContent = words(element.dataset.text);
  for (const button of all("[data-language]")) button.setAttribute("aria-pressed", button.dataset.language === state.language);
  for (const section of all("main > section")) section.hidden = section.id !== s.screen;
  if (s.screen === "intro") showIntro();
  if (s.screen === "rate") showPicture(s, number);
  if (s.screen === "pair") showPair(s, number);
  if (s.screen === "end") showEnd();
  const of = s.screen === "rate" ? order.length : pairs.length;
  $("progress").textContent = question ? words(s.screen === "rate" ? "at_picture" : "at_pair", { at: number, of }) : "";
  Object.assign($("bar"), { hidden: !question, max: steps.length - 1, value: state.at });
  $("bar").setAttribute("aria-label", words("bar"));
  $("problem").textContent = "";
  $("back").hidden = state.at === 0;
  $("next").hidden = s.screen === "end";
  $("next").textContent = words(s.screen === "intro" ? "start" : "next");
  $("stop").hidden = !question;
  if (focus) {
    document.querySelector(`#${s.screen} h1`).focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
}

function showIntro() {
  $("about-pairs").hidden = !survey.pairs;
  $("contact").hidden = !survey.contact;
  $("contact").textContent = words("contact", { contact: survey.contact });
  $("forgetful").hidden = keeps;
  $("consent").checked = state.consent;
}

function showPicture(s, number) {
  Object.assign($("picture"), { src: survey.pictures[s.id], alt: words("picture_alt", { at: number }) });
  for (const input of all("[name=grade]")) input.checked = state.grades[s.i] === Number(input.value);
}

function showPair(s, number) {
  ["one", "two"].forEach((name, side) =>
    Object.assign($(name), { src: survey.pictures[s.two[side]], alt: words(`${name}_alt`, { at: number }) }));
  for (const input of all("[name=choice]")) input.checked = state.choices[s.i] === Number(input.value);
}

function showEnd() {
  const questions = steps.filter(s => s.screen === "rate" || s.screen === "pair");
  $("answered").textContent = words("answered", { done: questions.filter(done).length, all: questions.length });
  $("saved").textContent = "";
  $("copy").value = answerFile();
}

// ---- moving ----

function clock() { // add the time since the step was shown
  const s = step(), now = performance.now();
  if (s.i !== undefined) state.times[timeKey(s)] = Math.round((state.times[timeKey(s)] || 0) + now - shownAt);
  shownAt = now;
}

function go(to) {
  clock();
  state.at = to;
  keep();
  show(true);
}

function next() {
  const s = step(), missing = { intro: "need_consent", rate: "need_grade", pair: "need_choice" }[s.screen];
  if (s.screen === "intro" ? state.consent : done(s)) go(Math.min(state.at + 1, steps.length - 1));
  else $("problem").textContent = words(missing);
}

function back() { // from the end: to the first question that is still open, if there is one
  const open = step().screen === "end" ? steps.findIndex(s => !done(s)) : -1;
  go(open > 0 ? open : state.at - 1);
}

function choose(value) {
  const s = step();
  if (s.screen === "rate") state.grades[s.i] = value;
  else state.choices[s.i] = value;
  clock();
  keep();
  for (const input of all(`#${s.screen} input`)) input.checked = Number(input.value) === value;
  $("problem").textContent = "";
}

function arrow(direction) {
  const s = step();
  if (s.screen === "pair") return choose(direction > 0 ? 1 : 0);
  const grade = state.grades[s.i];
  choose(grade === undefined ? (direction > 0 ? 1 : 5) : Math.min(5, Math.max(1, grade + direction)));
}

// ---- the file ----

function crc32(text) {
  let crc = -1;
  for (const byte of new TextEncoder().encode(text)) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = (crc >>> 1) ^ (0xEDB88320 & -(crc & 1));
  }
  return (~crc >>> 0).toString(16).padStart(8, "0");
}

function answers() {
  const list = (items, values) => items.map((_, i) => values[i] ?? null);
  const times = (items, screen) => items.map((_, i) => state.times[`${screen}${i}`] ?? null);
  return { format: survey.format, survey: survey.id, rater: state.rater, seed: state.seed, language: state.language,
           order, grades: list(order, state.grades), grade_ms: times(order, "rate"),
           pairs, choices: list(pairs, state.choices), choice_ms: times(pairs, "pair") };
}

function answerFile() {
  const content = answers();
  return JSON.stringify({ checksum: crc32(JSON.stringify(content)), content }, null, 1) + "\n";
}

function save() {
  const file = `survey-${survey.id}-${state.rater}.json`, link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([answerFile()], { type: "application/json" }));
  link.download = file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  $("saved").textContent = words("saved", { file });
}

function forget() {
  if (!confirm(words("forget_sure"))) return;
  const language = state.language;
  try { localStorage.removeItem(place); } catch (error) { /* nothing was kept */ }
  begin({ ...newState(), language });
  show(true);
}

// ---- wiring ----

$("next").onclick = next;
$("back").onclick = back;
$("stop").onclick = () => go(steps.length - 1);
$("save").onclick = save;
$("forget").onclick = forget;
$("consent").onchange = event => { state.consent = event.target.checked; keep(); $("problem").textContent = ""; };
for (const input of all("fieldset input")) input.onchange = () => choose(Number(input.value));
for (const button of all("[data-language]")) button.onclick = () => { state.language = button.dataset.language; keep(); show(false); };

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const { screen } = step(), { key, target } = event;
  if (key === "Enter" && screen !== "end" && !target.closest("button, summary, textarea")) next();
  else if (screen === "rate" && /^[1-5]$/.test(key)) choose(Number(key));
  else if ((screen === "rate" || screen === "pair") && (key === "ArrowLeft" || key === "ArrowRight")) arrow(key === "ArrowRight" ? 1 : -1);
  else return;
  event.preventDefault();
});

begin(load());
shownAt = performance.now();
show(false);
