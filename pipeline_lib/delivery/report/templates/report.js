"use strict";
// Tables are sorted by a click on a column's name, charts saved as the SVG that the page shows. Without this the page is whole.
function valueOf(cell) {
  const text = cell.firstChild ? cell.firstChild.textContent.trim() : "";
  const number = Number.parseFloat(text.replace("\u2212", "-").replace(/,/g, ""));
  return cell.classList.contains("figure") && !Number.isNaN(number) ? number : text;
}

function compare(a, b) {
  if (typeof a === typeof b) return typeof a === "number" ? a - b : a.localeCompare(b);
  return typeof a === "number" ? -1 : 1; // a dash stands below the figures
}

for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], heads = table.tHead ? [...table.tHead.rows[0].cells] : [];
  if (!body || body.rows.length < 3) continue;
  const original = [...body.rows];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Sort by this column; a third time: as it was";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const order = { none: "descending", descending: "ascending", ascending: "none" }[head.ariaSort || "none"];
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (order !== "none") head.setAttribute("aria-sort", order);
      const sign = order === "descending" ? -1 : 1, rows = [...original];
      if (order !== "none") rows.sort((a, b) => sign * compare(valueOf(a.cells[column]), valueOf(b.cells[column])));
      body.append(...rows);
      table.classList.toggle("sorted", order !== "none");
    });
  });
}

for (const image of document.querySelectorAll('figure img[src^="data:image/svg+xml"]')) {
  const link = document.createElement("a");
  link.className = "save";
  link.textContent = "Save as SVG";
  link.href = "#";
  link.download = image.alt.replace(/[^A-Za-z0-9]+/g, "-").replace(/^-|-$/g, "").toLowerCase().slice(0, 80) + ".svg";
  link.addEventListener("click", () => { link.href = image.src; });
  image.closest("figure").append(link);
}
