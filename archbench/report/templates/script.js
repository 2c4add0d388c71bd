// Comfort only: without it everything can be read, and commands are copied by hand.
"use strict";

// A link into a closed <details> opens it; browsers that do so by themselves lose nothing.
function reveal() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  let opened = false;
  for (let at = target; at; at = at.parentElement) {
    if (at.tagName === "DETAILS" && !at.open) opened = at.open = true;
  }
  if (opened) target.scrollIntoView();
}

function selectAll(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
}

// Where no clipboard is to be had, the command is left selected for the keyboard.
async function copy(button) {
  const command = button.parentElement.querySelector("code");
  let said = "copied";
  try {
    await navigator.clipboard.writeText(command.textContent);
  } catch {
    selectAll(command);
    said = document.execCommand("copy") ? "copied" : "selected: press Ctrl+C";
  }
  button.textContent = said;
  document.getElementById("said").textContent = said;
  setTimeout(() => { button.textContent = "copy"; }, 2000);
}

for (const button of document.querySelectorAll(".command button")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}
addEventListener("hashchange", reveal);
reveal();
