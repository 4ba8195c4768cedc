"use strict";
// All sums are of whole numbers of one unit, 10^-decimals of the score, so what is printed adds up digit by digit.
(() => {
  const { decimals, terms, boxes, places, low, high, threshold } = JSON.parse(document.getElementById("sums").textContent);
  const SIDE_PX = 112, NUM_PARTNERS = 5, num = boxes.length;
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const term = (side, own, other) => (side === "a" ? terms[own][other] : terms[other][own]);
  const adds = { a: boxes.map((_, i) => sum(terms[i])), b: boxes.map((_, j) => sum(terms.map((row) => row[j]))) };
  const total = sum(adds.a);
  const printed = (units) => (units < 0 ? "-" : "+") + (Math.abs(units) / 10 ** decimals).toFixed(decimals);
  const percent = (units) => (100 * (units - low)) / (high - low || 1) + "%";
  const byId = (id) => document.getElementById(id);
  const faces = { a: byId("face-a"), b: byId("face-b") };
  const patches = { a: [], b: [] }, circles = { a: [], b: [] };
  const rows = [...document.querySelectorAll("tr[data-patches]")];
  const patchesOf = (row) => row.dataset.patches.split(",").map(Number);

  let chosen = { side: "a", patches: new Set() };
  let preview = null;

  function make(name, className, parent) {
    const element = document.createElement(name);
    element.className = className;
    parent.append(element);
    return element;
  }

  function setChosen(side, which) {
    chosen = { side, patches: new Set(which) };
    show();
  }

  function toggle(side, which) {
    const now = new Set(chosen.side === side ? chosen.patches : []);
    const allIn = which.every((i) => now.has(i));
    for (const i of which) allIn ? now.delete(i) : now.add(i);
    setChosen(side, now);
  }

  function look(next) {
    if (String(next && [next.side, next.patches]) === String(preview && [preview.side, preview.patches])) return;
    preview = next;
    show();
  }

  function nearest(side, event) {
    const frame = faces[side].getBoundingClientRect();
    const x = ((event.clientX - frame.left) / frame.width) * SIDE_PX, y = ((event.clientY - frame.top) / frame.height) * SIDE_PX;
    let best = null, least = Infinity;
    boxes.forEach(([left, top, width, height], i) => {
      if (x < left || y < top || x > left + width || y > top + height) return;
      const away = (x - left - width / 2) ** 2 + (y - top - height / 2) ** 2;
      if (away < least) [best, least] = [i, away];
    });
    return best;
  }

  function towards(from, key) {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key] || [0, 0];
    const centre = ([x, y, w, h]) => [x + w / 2, y + h / 2];
    const [x0, y0] = centre(boxes[from]);
    let best = from, least = Infinity;
    boxes.forEach((box, i) => {
      const [x, y] = centre(box), ahead = (x - x0) * dx + (y - y0) * dy, aside = Math.abs((x - x0) * dy) + Math.abs((y - y0) * dx);
      if (ahead > 0 && ahead + 2 * aside < least) [best, least] = [i, ahead + 2 * aside];
    });
    return best;
  }

  function partnerRow(body, text, units, largest) {
    const row = make("tr", "", body), head = make("th", "", row), figure = make("td", "figure", row), run = make("td", "run", row);
    head.scope = "row";
    head.textContent = text;
    figure.textContent = printed(units);
    run.setAttribute("aria-hidden", "true");
    const bar = make("span", units < 0 ? "bar against" : "bar", run);
    bar.style.left = "0";
    bar.style.width = (100 * Math.abs(units)) / (largest || 1) + "%";
  }

  function showPartners(side, own, value) {
    const other = side === "a" ? "b" : "a", holder = byId("partners");
    holder.replaceChildren();
    const found = boxes.map((_, j) => sum(own.map((i) => term(side, i, j))));
    const largest = Math.max(...found.map(Math.abs));
    const reach = Math.min(...boxes.map((box) => box[2])) / SIDE_PX;
    circles[other].forEach((circle, j) => {
      circle.hidden = !own.length;
      circle.classList.toggle("against", found[j] < 0);
      circle.style.width = circle.style.height = 100 * reach * 0.6 * Math.sqrt(Math.abs(found[j]) / (largest || 1)) + "%";
    });
    circles[side].forEach((circle) => (circle.hidden = true));
    faces[other].classList.toggle("partner", own.length > 0);
    faces[side].classList.remove("partner");
    if (!own.length) return;
    const order = found.map((_, j) => j).sort((one, two) => Math.abs(found[two]) - Math.abs(found[one]));
    const shown = order.slice(0, NUM_PARTNERS), rest = order.slice(NUM_PARTNERS);
    const table = make("table", "", holder), body = make("tbody", "", table);
    const caption = make("caption", "", table);
    caption.textContent = `Compared with the ${num} patches of ${other.toUpperCase()}: the products`;
    const others = sum(rest.map((j) => found[j])), widest = Math.max(largest, Math.abs(others));
    for (const j of shown) partnerRow(body, `${j + 1}: ${places[j]}`, found[j], widest);
    if (rest.length) partnerRow(body, `the other ${rest.length}`, others, widest);
    const foot = make("tr", "", make("tfoot", "", table)), head = make("th", "", foot);
    head.scope = "row";
    head.textContent = "together";
    make("td", "figure", foot).textContent = printed(value);
    make("td", "", foot);
  }

  function show() {
    const side = preview ? preview.side : chosen.side;
    const own = preview ? preview.patches : [...chosen.patches].sort((one, two) => one - two);
    const value = sum(own.map((i) => adds[side][i])), name = side.toUpperCase();
    for (const each of ["a", "b"])
      patches[each].forEach((patch, i) => {
        patch.classList.toggle("on", each === side && own.includes(i));
        patch.setAttribute("aria-pressed", String(each === chosen.side && chosen.patches.has(i)));
      });
    for (const row of rows) row.classList.toggle("on", row.dataset.side === side && patchesOf(row).every((i) => own.includes(i)));
    byId("sum").textContent =
      own.length === 0 ? "No patch is chosen."
      : own.length === 1 ? `${name}, patch ${own[0] + 1} (${places[own[0]]}) adds ${printed(value)} of ${printed(total)}.`
      : `${name}, ${own.length} of ${num} patches together add ${printed(value)} of ${printed(total)}${own.length === num ? ": the whole" : ""}.`;
    const filled = byId("filled");
    filled.classList.toggle("against", value < 0);
    filled.style.left = percent(Math.min(0, value));
    filled.style.width = `calc(${percent(Math.max(0, value))} - ${percent(Math.min(0, value))})`;
    showPartners(side, own, value);
  }

  for (const side of ["a", "b"]) {
    const face = faces[side];
    face.classList.add("choosable");
    face.setAttribute("role", "group");
    face.setAttribute("aria-label", `Patches of photograph ${side.toUpperCase()}`);
    boxes.forEach(([x, y, w, h], i) => {
      const patch = make("button", "patch", face), circle = make("span", "circle", face);
      patch.type = "button";
      patch.tabIndex = i === 0 ? 0 : -1;
      patch.setAttribute("aria-label", `${side.toUpperCase()}, patch ${i + 1}, ${places[i]}: adds ${printed(adds[side][i])}`);
      patch.style.left = (100 * x) / SIDE_PX + "%";
      patch.style.top = (100 * y) / SIDE_PX + "%";
      patch.style.width = (100 * w) / SIDE_PX + "%";
      patch.style.height = (100 * h) / SIDE_PX + "%";
      patch.addEventListener("focus", () => look({ side, patches: [i] }));
      patch.addEventListener("blur", () => look(null));
      circle.style.left = (100 * (x + w / 2)) / SIDE_PX + "%";
      circle.style.top = (100 * (y + h / 2)) / SIDE_PX + "%";
      patches[side].push(patch);
      circles[side].push(circle);
    });
    face.addEventListener("pointermove", (event) => {
      const found = event.pointerType === "mouse" ? nearest(side, event) : null;
      look(found === null ? null : { side, patches: [found] });
    });
    face.addEventListener("pointerleave", () => look(null));
    face.addEventListener("click", (event) => {
      const button = patches[side].indexOf(event.target), found = button >= 0 ? button : nearest(side, event);
      if (found === null) return;
      preview = null;
      toggle(side, [found]);
    });
    face.addEventListener("keydown", (event) => {
      const from = patches[side].indexOf(event.target);
      if (from < 0 || !event.key.startsWith("Arrow")) return;
      event.preventDefault();
      const to = towards(from, event.key);
      patches[side][from].tabIndex = -1;
      patches[side][to].tabIndex = 0;
      patches[side][to].focus();
    });
  }
  for (const row of rows) {
    const head = row.querySelector("th"), button = document.createElement("button"), which = { side: row.dataset.side, patches: patchesOf(row) };
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      preview = null;
      toggle(which.side, which.patches);
    });
    button.addEventListener("focus", () => button.matches(":focus-visible") && look(which));
    button.addEventListener("blur", () => look(null));
    row.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && look(which));
    row.addEventListener("pointerleave", () => look(null));
  }
  for (const button of document.querySelectorAll("[data-all]"))
    button.addEventListener("click", () => setChosen(button.dataset.all || "a", button.dataset.all ? boxes.keys() : []));
  byId("at-zero").style.left = percent(0);
  byId("at-score").style.left = percent(total);
  byId("at-threshold").hidden = threshold === null;
  if (threshold !== null) byId("at-threshold").style.left = percent(threshold);
  for (const part of document.querySelectorAll(".live")) part.hidden = false;
  show();
})();
