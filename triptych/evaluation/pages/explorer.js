// The map's controls: pointer, wheel, touch and keys; the card, the selected image, the legend.
"use strict";

(() => {
  const REACH = 14; // pixels from a point at which it is still meant
  const KEY_ZOOM = 1.5;
  const data = JSON.parse(document.getElementById("map-data").textContent);
  const box = document.getElementById("map");
  const card = box.querySelector(".card");
  const pinboard = document.getElementById("pinboard");
  const map = createMap(box, data);
  const canvas = map.canvas;
  const middle = () => [canvas.clientWidth / 2, canvas.clientHeight / 2];

  // ---------------------------------------------------------------- the card, and the pinned image

  function make(tag, text = "", className = "") {
    return Object.assign(document.createElement(tag), { textContent: text, className });
  }

  function words(point) {
    const [label, predicted] = [data.classes[data.label[point]], data.classes[data.predicted[point]]];
    const sure = data.confidence[point] / 100;
    const named = `predicted ${predicted}, confidence ${sure.toFixed(sure > 99 ? 1 : 0)}%`;
    const text = make("div");
    text.append(make("strong", label));
    text.append(make("span", named, map.isRight(point) ? "right" : "wrong"));
    text.append(make("span", data.files[point], "file"));
    return text;
  }

  function lookAt(point) {
    if (point === map.looked) return;
    map.looked = point;
    if (point >= 0) card.replaceChildren(map.thumbnail(point, 96), words(point));
    map.draw();
  }

  map.onDrawn = () => {
    const [x, y] = map.looked >= 0 ? map.place(map.looked) : [-1, -1];
    card.hidden = x < 0 || y < 0 || x > canvas.clientWidth || y > canvas.clientHeight || !map.isShown(map.looked);
    const [wide, high] = [card.offsetWidth, card.offsetHeight];
    let [left, top] = [x + 34, y - high / 2];
    if (left + wide > canvas.clientWidth) left = x - 34 - wide;
    if (left < 0) [left, top] = [x - wide / 2, y + 34 + high > canvas.clientHeight ? y - 34 - high : y + 34];
    card.style.left = `${clamp(left, 4, Math.max(4, canvas.clientWidth - wide - 4))}px`;
    card.style.top = `${clamp(top, 4, Math.max(4, canvas.clientHeight - high - 4))}px`;
  };

  function pin(point) {
    map.pinned = point;
    pinboard.hidden = point < 0;
    if (point >= 0) {
      const chosen = make("div", "", "chosen");
      chosen.append(map.thumbnail(point, 96), words(point));
      const list = make("ol");
      list.append(...data.neighbours[point].map((neighbour) => neighbourOf(point, neighbour)));
      pinboard.querySelector(".content").replaceChildren(chosen, list);
    }
    map.draw();
  }

  function neighbourOf(point, neighbour) {
    const button = make("button", "", data.label[neighbour] === data.label[point] ? "same" : "other");
    button.type = "button";
    button.title = data.files[neighbour];
    button.append(map.thumbnail(neighbour, 56), make("span", data.classes[data.label[neighbour]]));
    button.addEventListener("pointerenter", () => lookAt(neighbour));
    button.addEventListener("click", () => {
      lookAt(neighbour);
      pin(neighbour);
    });
    const item = make("li");
    item.append(button);
    return item;
  }

  // ---------------------------------------------------------------- pointer, fingers and wheel

  const under = (x, y) => map.nearest(x, y, (dx, dy) => Math.hypot(dx, dy) < (map.showsPictures ? 2 * REACH : REACH));
  const fingers = new Map();
  let travelled = 0;

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.offsetX, event.offsetY]);
    if (fingers.size === 1) travelled = 0;
  });

  canvas.addEventListener("pointermove", (event) => {
    const [place, before] = [[event.offsetX, event.offsetY], fingers.get(event.pointerId)];
    if (!before) return lookAt(under(...place));
    fingers.set(event.pointerId, place);
    const [dx, dy] = [place[0] - before[0], place[1] - before[1]];
    travelled += Math.hypot(dx, dy);
    if (fingers.size === 1) return map.pan(dx, dy);
    const [, still] = [...fingers].find(([id]) => id !== event.pointerId);
    const apart = (finger) => Math.max(1, Math.hypot(finger[0] - still[0], finger[1] - still[1]));
    map.pan(dx / 2, dy / 2);
    map.zoom(apart(place) / apart(before), (place[0] + still[0]) / 2, (place[1] + still[1]) / 2);
  });

  function lift(event) {
    const isClick = event.type === "pointerup" && fingers.size === 1 && travelled < 5;
    fingers.delete(event.pointerId);
    if (!isClick) return;
    const point = under(event.offsetX, event.offsetY);
    lookAt(point);
    pin(point);
  }
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && lookAt(-1));

  // A wheel that was scrolling the page goes on scrolling it when the map comes by.
  let lastScroll = -Infinity;
  addEventListener("scroll", () => (lastScroll = performance.now()), { passive: true });
  function roll(event) {
    const isScrolling = performance.now() - lastScroll < 250 || (event.deltaY > 0 && map.isWhole());
    if (isScrolling && !event.ctrlKey) return;
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1);
    map.zoom(Math.exp(-clamp(pixels, -120, 120) * (event.ctrlKey ? 0.01 : 0.003)), event.offsetX, event.offsetY);
  }
  canvas.addEventListener("wheel", roll, { passive: false });

  // ---------------------------------------------------------------- keys

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  function step([right, down]) {
    const ahead = (dx, dy) => dx * right + dy * down;
    const aside = (dx, dy) => Math.abs(dx * down) + Math.abs(dy * right);
    const isAhead = (dx, dy) => ahead(dx, dy) > 0.5 && ahead(dx, dy) >= aside(dx, dy);
    const cost = (dx, dy) => ahead(dx, dy) + 2 * aside(dx, dy);
    const next = map.looked < 0 ? map.nearest(...middle()) : map.nearest(...map.place(map.looked), isAhead, cost);
    if (next < 0) return;
    lookAt(next);
    const [[x, y], [halfWidth, halfHeight]] = [map.place(next), middle()];
    if (x < 20 || x > 2 * halfWidth - 20) map.pan(halfWidth - x, 0);
    if (y < 20 || y > 2 * halfHeight - 20) map.pan(0, halfHeight - y);
  }

  canvas.addEventListener("keydown", (event) => {
    const centre = map.looked < 0 ? middle() : map.place(map.looked);
    if (event.key in ARROWS) step(ARROWS[event.key]);
    else if (event.key === "+" || event.key === "=") map.zoom(KEY_ZOOM, ...centre);
    else if (event.key === "-") map.zoom(1 / KEY_ZOOM, ...centre);
    else if (event.key === "0") map.showAll();
    else if (event.key === "Enter" && map.looked >= 0) pin(map.looked);
    else if (event.key === "Escape") pin(-1);
    else return;
    event.preventDefault();
  });

  // ---------------------------------------------------------------- buttons

  const onClick = (id, act) => document.getElementById(id).addEventListener("click", act);
  onClick("nearer", () => map.zoom(KEY_ZOOM, ...middle()));
  onClick("farther", () => map.zoom(1 / KEY_ZOOM, ...middle()));
  onClick("whole-map", map.showAll);
  pinboard.querySelector(".close").addEventListener("click", () => pin(-1));

  for (const radio of document.querySelectorAll("input[name=colouring]")) {
    radio.addEventListener("change", () => {
      map.colouring = document.getElementById("map-controls").dataset.colouring = radio.value;
      map.draw();
    });
  }

  const toggles = [...document.querySelectorAll("#legend button[data-label]")];
  function show(button, isOn) {
    button.setAttribute("aria-pressed", isOn);
    if (isOn) map.hidden.delete(Number(button.dataset.label));
    else map.hidden.add(Number(button.dataset.label));
    map.draw();
  }
  for (const button of toggles) {
    button.addEventListener("click", () => show(button, button.getAttribute("aria-pressed") === "false"));
  }
  onClick("all-classes", () => toggles.forEach((button) => show(button, true)));
  onClick("no-classes", () => toggles.forEach((button) => show(button, false)));

  // ---------------------------------------------------------------- the window

  let width = 0;
  new ResizeObserver(() => {
    if (canvas.clientWidth === width) return;
    width = canvas.clientWidth;
    map.showAll();
  }).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", map.readColours);
})();
