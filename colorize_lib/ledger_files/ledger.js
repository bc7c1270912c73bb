(function () {
  var table = document.getElementById("ledger");
  var tools = document.getElementById("ledger-tools");
  var body = table.tBodies[0];
  var rows = Array.from(body.rows);
  var heads = Array.from(table.tHead.rows[0].cells);
  var status = tools.querySelector("select");
  var words = tools.querySelector("input");
  var told = tools.querySelector("[role=status]");

  rows.forEach(function (row, place) { row.dataset.place = place; });

  function filter() {
    var text = words.value.toLowerCase();
    rows.forEach(function (row) {
      var other = status.value && row.dataset.status !== status.value;
      row.hidden = other || row.textContent.toLowerCase().indexOf(text) < 0;
    });
    var seen = rows.filter(function (row) { return !row.hidden; }).length;
    told.textContent = seen + " of " + rows.length + " claims";
  }

  // the first heading puts the rows in the order of the thesis again, the others sort by what they show
  function sort(head, column) {
    var down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach(function (h) { h.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    var text = function (row) { return column ? row.cells[column].textContent.trim() : row.dataset.place; };
    var compare = function (a, b) { return (down ? -1 : 1) * text(a).localeCompare(text(b), "en", {numeric: true}); };
    rows.slice().sort(compare).forEach(function (row) { body.appendChild(row); });
  }

  heads.forEach(function (head, column) {
    var button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.textContent = "";
    head.appendChild(button);
    button.addEventListener("click", function () { sort(head, column); });
  });
  status.addEventListener("change", filter);
  words.addEventListener("input", filter);
  tools.hidden = false;
  filter();
})();
