// After a control, puts the page and the control that was used back in their places.
"use strict";

const KEY = "place";
const strip = document.getElementById("controls");
const topOf = (element) => element.getBoundingClientRect().top;

const place = JSON.parse(sessionStorage.getItem(KEY));
sessionStorage.removeItem(KEY);
const used = strip.querySelector("[autofocus]");
if (place && used) {
  used.focus({ preventScroll: true });
  // Another page, such as that of an expired license, begins at its top.
  if (place.path === location.pathname) scrollTo(0, place.page);
  // In a wide window the strip scrolls by itself.
  const isColumn = getComputedStyle(strip).position === "sticky";
  const scroller = isColumn ? strip : document.scrollingElement;
  const moved = () => topOf(used) - place.tops[used.id];
  scroller.scrollTop += moved();
  if (moved() > 0) {
    // It was at the end, and a notice above that is gone.
    strip.style.setProperty("--room", `${moved()}px`);
    scroller.scrollTop += moved();
  }
  document.getElementById("notice")?.scrollIntoView({ block: "nearest" });
}

strip.addEventListener("submit", () => {
  const controls = [...strip.querySelectorAll("[id]")];
  const tops = Object.fromEntries(controls.map((each) => [each.id, topOf(each)]));
  sessionStorage.setItem(KEY, JSON.stringify({ path: location.pathname, page: scrollY, tops }));
});
