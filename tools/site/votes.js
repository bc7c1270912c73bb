// The votes of a survey as bars: a button for each question takes it in or leaves it out, a bar tells its count.
// It reads the table inside: `<div data-tool="votes"><table>…</table></div>`; the first column names a question, the others are the grades.
"use strict";
for (const tool of document.querySelectorAll("[data-tool=votes]")) {
  const table = tool.querySelector("table");
  const cells = row => Array.from(row.cells, cell => cell.textContent.trim());
  const [heads, ...rows] = Array.from(table.rows, cells);
  const grades = heads.slice(1);
  const make = (name, properties) => Object.assign(document.createElement(name), properties);
  const choice = make("div", {className: "votes-choice"});
  const chart = make("div", {className: "votes-chart"});
  const said = make("p");
  choice.setAttribute("role", "group");
  choice.setAttribute("aria-label", "Which questions are counted");
  chart.setAttribute("role", "group");
  chart.setAttribute("aria-label", "Votes for each grade");
  said.setAttribute("role", "status");

  function button(text, press) {
    const made = make("button", {type: "button", textContent: text});
    made.addEventListener("click", press);
    choice.append(made);
    return made;
  }
  const pressed = toggle => toggle.getAttribute("aria-pressed") === "true";
  function set(toggles, on) {
    for (const toggle of toggles) toggle.setAttribute("aria-pressed", on);
    draw();
  }
  const bars = grades.map(grade => {
    const bar = make("button", {type: "button", className: "votes-bar"});
    const tell = () => { said.textContent = `${bar.getAttribute("aria-label")}. ${summary()}`; };
    bar.append(make("span"), make("b", {textContent: grade}));
    for (const kind of ["focus", "pointerenter", "click"]) bar.addEventListener(kind, tell);
    chart.append(bar);
    return bar;
  });
  button("all", () => set(questions, true));
  button("none", () => set(questions, false));
  const questions = rows.map(([name]) => {
    const toggle = button(name, () => set([toggle], !pressed(toggle)));
    toggle.setAttribute("aria-label", `Photo ${name}`);
    return toggle;
  });

  function counted() {
    const chosen = rows.filter((_, i) => pressed(questions[i]));
    return {chosen, counts: grades.map((_, g) => chosen.reduce((sum, row) => sum + Number(row[g + 1]), 0))};
  }
  function summary() {
    const {chosen, counts} = counted(), votes = counts.reduce((a, b) => a + b, 0);
    if (!votes) return "No photo is chosen.";
    const mean = counts.reduce((sum, count, g) => sum + count*(g + 1), 0)/votes;
    return `${chosen.length} of ${rows.length} photos, ${votes} votes, mean ${mean.toFixed(2)}.`;
  }
  function draw() {
    const {counts} = counted(), votes = counts.reduce((a, b) => a + b, 0), most = Math.max(...counts, 1);
    bars.forEach((bar, g) => {
      const share = votes ? Math.round(100*counts[g]/votes) : 0;
      bar.setAttribute("aria-label", `Grade ${grades[g]}: ${counts[g]} vote${counts[g] === 1 ? "" : "s"}, ${share} %`);
      bar.firstChild.style.height = `${9*counts[g]/most}em`;
    });
    said.textContent = summary();
  }
  const folded = make("details");
  folded.append(make("summary", {textContent: "The numbers as a table"}), table);
  tool.replaceChildren(choice, chart, said, folded);
  set(questions, true);
}
