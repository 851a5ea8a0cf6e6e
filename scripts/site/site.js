/**
 * What a page does beside what TypeDoc's own script does. It loads nothing.
 */
"use strict";

/** The versions that there are: a list that opens. */
function showVersions() {
  const place = document.getElementById("versions");
  const base = document.documentElement.dataset.base;
  const current = globalThis.versions.find(({ isThis }) => isThis);
  const details = place.appendChild(document.createElement("details"));
  details.appendChild(document.createElement("summary")).textContent = current.name;
  const list = details.appendChild(document.createElement("ul"));
  for (const { name, href, isThis } of globalThis.versions) {
    const link = list.appendChild(document.createElement("li")).appendChild(
      document.createElement("a"),
    );
    link.href = base + href;
    link.textContent = name;
    if (isThis) link.ariaCurrent = "true";
  }
  addEventListener("keydown", ({ key }) => {
    if (key !== "Escape" || !details.open) return;
    details.open = false;
    details.firstChild.focus();
  });
  addEventListener("click", ({ target }) => {
    if (!details.contains(target)) details.open = false;
  });
}

/** What scrolls within itself can be scrolled by the keyboard; what does not is no stop. */
function stopAtScrollers() {
  for (const one of document.querySelectorAll("div.table, .tsd-typography pre, .tsd-signature")) {
    if (one.scrollWidth > one.clientWidth) one.tabIndex = 0;
    else one.removeAttribute("tabindex");
  }
}

/** A branch of the menu is a button, and the page of the branch itself the first of its leaves. */
function plantLinks(menu) {
  for (const link of menu.querySelectorAll("summary > a")) {
    const label = document.createElement("span");
    label.append(...link.childNodes);
    link.replaceWith(label);
    link.textContent = `About ${label.textContent}`;
    const list = label.closest("details").querySelector("ul");
    list.insertBefore(document.createElement("li"), list.firstChild).append(link);
  }
}

showVersions();
// When the page is shown first, too: nothing has a width before.
new ResizeObserver(stopAtScrollers).observe(document.getElementById("content"));
const menu = document.getElementById("tsd-nav-container");
plantLinks(menu);
// TypeDoc fills it when its own data have come.
new MutationObserver(() => plantLinks(menu)).observe(menu, { childList: true });
// TypeDoc's menu hears the mouse alone.
const toggle = document.getElementById("tsd-toolbar-menu-trigger");
toggle.addEventListener("click", ({ detail }) => {
  if (detail !== 0) return;
  toggle.dispatchEvent(new MouseEvent("mouseup"));
  document.querySelector(".col-sidebar summary").focus();
});
toggle.addEventListener("keydown", (event) => {
  if (event.key !== " ") return; // as any button
  event.preventDefault();
  toggle.click();
});
addEventListener("keydown", ({ key }) => {
  if (key !== "Escape" || !document.documentElement.classList.contains("has-menu")) return;
  document.body.dispatchEvent(new MouseEvent("mousedown", { bubbles: true }));
  document.body.dispatchEvent(new MouseEvent("mouseup", { bubbles: true }));
  toggle.focus();
});
