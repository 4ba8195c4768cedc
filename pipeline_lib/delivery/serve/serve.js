"use strict";
// Adds to forms that work without it: dropping, previews, a size check before a long upload, and boxes that can be clicked.
for (const drop of document.querySelectorAll(".drop")) {
  const input = drop.querySelector("input"), told = drop.querySelector(".told"), preview = drop.querySelector("img");
  const most = Number(drop.closest("form").dataset.maxBytes);
  drop.querySelector(".live").hidden = false;
  const show = () => {
    const file = input.files[0], isLong = file && file.size > most;
    input.setCustomValidity(isLong ? "This photograph is too large." : "");
    told.textContent = isLong ? `${(file.size / 1e6).toFixed(1)} MB; at most ${(most / 1e6).toFixed(1)} MB` : "";
    if (preview.src) URL.revokeObjectURL(preview.src);
    preview.hidden = !file || isLong;
    if (!preview.hidden) preview.src = URL.createObjectURL(file); else preview.removeAttribute("src");
  };
  preview.addEventListener("error", () => { preview.hidden = true; });
  input.addEventListener("change", show);
  for (const name of ["dragover", "dragleave", "drop"])
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.toggle("over", name === "dragover"); });
  drop.addEventListener("drop", (event) => {
    if (!event.dataTransfer.files.length) return;
    const one = new DataTransfer();
    one.items.add(event.dataTransfer.files[0]);
    input.files = one.files;
    show();
  });
  show();
}
for (const box of document.querySelectorAll("[data-face]")) {
  const radio = document.getElementById(box.dataset.face);
  if (!radio) continue;
  box.addEventListener("click", () => { radio.checked = true; mark(); });
  radio.addEventListener("change", mark);
}
function mark() {
  for (const box of document.querySelectorAll("[data-face]")) {
    const radio = document.getElementById(box.dataset.face);
    box.classList.toggle("on", !radio || radio.checked);
  }
}
mark();
for (const form of document.forms) {
  const button = form.querySelector("button"), status = form.querySelector("[role=status]");
  form.addEventListener("submit", () => { button.disabled = true; status.textContent = "Comparing …"; });
  // A page that comes back from the browser's history must not keep its button disabled.
  window.addEventListener("pageshow", () => { button.disabled = false; status.textContent = ""; });
}
