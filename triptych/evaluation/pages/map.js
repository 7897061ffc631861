// The map of embeddings on a canvas: dots from afar, images from near. Plain JavaScript without a library.
// explorer.js handles the events and decides what the map shows.
"use strict";

const MOST_NAMES = 30; // classes whose names have room on the map
const PICTURES_FROM = 20; // pixels that an image must have for it to be drawn instead of its dot
const LARGEST_PICTURE = 56;
const FARTHEST_ZOOM = 40;

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

function blend(from, to, share) {
  const part = (colour, index) => parseInt(colour.slice(1 + 2 * index, 3 + 2 * index), 16);
  return `rgb(${[0, 1, 2].map((index) => Math.round(part(from, index) * (1 - share) + part(to, index) * share))})`;
}

// data: as encoder.py collects it. A point is known by its number there.
function createMap(box, data) {
  const canvas = box.querySelector("canvas");
  const paper = canvas.getContext("2d");
  const count = data.x.length;
  const map = { canvas, colouring: "class", hidden: new Set(), looked: -1, pinned: -1, showsPictures: false, onDrawn() {} };
  const view = { x: 0, y: 0, scale: 1, whole: 1 }; // the place in the middle, and pixels to a unit of the map
  const colours = {};
  const sprite = new Image();
  const spacing = 2 * usualDistance();

  // The median distance from a point to the next one, over some of the points.
  function usualDistance() {
    const distances = [];
    for (let point = 0; point < count; point += Math.ceil(count / 300)) {
      let least = Infinity;
      for (let other = 0; other < count; other++) {
        const distance = Math.hypot(data.x[point] - data.x[other], data.y[point] - data.y[other]);
        if (other !== point) least = Math.min(least, distance);
      }
      distances.push(least);
    }
    return distances.sort((a, b) => a - b)[distances.length >> 1];
  }

  // ---------------------------------------------------------------- the view

  const across = (x) => (x - view.x) * view.scale + canvas.clientWidth / 2;
  const down = (y) => (y - view.y) * view.scale + canvas.clientHeight / 2;
  map.place = (point) => [across(data.x[point]), down(data.y[point])];
  map.isShown = (point) => !map.hidden.has(data.label[point]);
  map.isRight = (point) => data.label[point] === data.predicted[point];
  map.isWhole = () => view.scale <= view.whole;

  map.showAll = () => {
    const [wide, high] = [Math.max(...data.x, 1), Math.max(...data.y, 1)];
    [view.x, view.y] = [wide / 2, high / 2];
    view.whole = Math.min((canvas.clientWidth - 40) / wide, (canvas.clientHeight - 40) / high);
    view.scale = view.whole;
    moved();
  };

  map.zoom = (factor, x, y) => {
    const scale = clamp(view.scale * factor, view.whole, view.whole * FARTHEST_ZOOM);
    view.x += (x - canvas.clientWidth / 2) * (1 / view.scale - 1 / scale);
    view.y += (y - canvas.clientHeight / 2) * (1 / view.scale - 1 / scale);
    view.scale = scale;
    moved();
  };

  map.pan = (x, y) => {
    view.x -= x / view.scale;
    view.y -= y / view.scale;
    moved();
  };

  function moved() {
    // While all is in view a finger that goes up or down scrolls the page; later it moves the map.
    canvas.style.touchAction = view.scale > view.whole * 1.05 ? "none" : "pan-y";
    map.draw();
  }

  // The shown point of the least cost among those that `isMeant` accepts; both get its distance from a place.
  map.nearest = (x, y, isMeant = () => true, cost = Math.hypot) => {
    let [best, least] = [-1, Infinity];
    for (let point = 0; point < count; point++) {
      const [left, top] = map.place(point);
      const [dx, dy] = [left - x, top - y];
      if (map.isShown(point) && isMeant(dx, dy) && cost(dx, dy) < least) [best, least] = [point, cost(dx, dy)];
    }
    return best;
  };

  // ---------------------------------------------------------------- drawing

  let isDue = false;
  map.draw = () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      drawNow();
      map.onDrawn();
    });
  };

  function drawNow() {
    const [width, height, ratio] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio || 1];
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    paper.setTransform(ratio, 0, 0, ratio, 0, 0);
    paper.imageSmoothingEnabled = false;
    const visible = [];
    for (let point = 0; point < count; point++) {
      const [x, y] = map.place(point);
      if (map.isShown(point) && x > -30 && x < width + 30 && y > -30 && y < height + 30) visible.push(point);
    }
    // What matters most is drawn last: misclassified images, or those with a low confidence.
    if (map.colouring === "verdict") visible.sort((a, b) => map.isRight(b) - map.isRight(a));
    if (map.colouring === "confidence") visible.sort((a, b) => data.confidence[b] - data.confidence[a]);

    const room = spacing * view.scale;
    const size = room >= PICTURES_FROM && sprite.complete ? Math.min(room, LARGEST_PICTURE) : 0;
    const radius = clamp(1.9 * (view.scale / view.whole) ** 0.3 * (count < 600 ? 1.5 : 1), 1.9, 6);
    for (const point of visible) drawPoint(point, size, radius);
    if (map.colouring === "class" && !size && data.classes.length <= MOST_NAMES) drawNames();
    if (map.pinned >= 0) drawTies(size, radius);
    if (map.looked >= 0 && map.isShown(map.looked)) drawFramed(map.looked, 2, size, radius);
    map.showsPictures = size > 0;
    box.dataset.zoom = (view.scale / view.whole).toFixed(2);
  }

  function colourOf(point) {
    if (map.colouring === "class") return colours.classes[data.label[point]];
    if (map.colouring === "verdict") return map.isRight(point) ? colours.right : colours.wrong;
    const guess = 1 / data.classes.length;
    return blend(colours.unsure, colours.sure, clamp((data.confidence[point] / 10000 - guess) / (1 - guess), 0, 1));
  }

  // An image, where there is a size for it, or a dot.
  function drawPoint(point, size, radius) {
    const [x, y] = map.place(point);
    paper.fillStyle = colourOf(point);
    if (size) {
      const { width, height } = data.sprite;
      const [wide, high] = [(size * width) / Math.max(width, height), (size * height) / Math.max(width, height)];
      paper.fillRect(x - wide / 2 - 2, y - high / 2 - 2, wide + 4, high + 4);
      drawThumbnail(paper, point, x - wide / 2, y - high / 2, wide, high);
      return;
    }
    paper.globalAlpha = map.colouring === "verdict" && map.isRight(point) ? 0.45 : 0.85;
    paper.beginPath();
    paper.arc(x, y, radius, 0, 2 * Math.PI);
    paper.fill();
    paper.globalAlpha = 1;
  }

  function drawThumbnail(context, point, left, top, wide, high) {
    const { columns, width, height } = data.sprite;
    const [column, row] = [point % columns, Math.floor(point / columns)];
    context.drawImage(sprite, column * width, row * height, width, height, left, top, wide, high);
  }

  function drawNames() {
    paper.font = `600 14px ${getComputedStyle(box).fontFamily}`;
    [paper.textAlign, paper.textBaseline, paper.lineJoin, paper.lineWidth] = ["center", "middle", "round", 4];
    [paper.strokeStyle, paper.fillStyle] = [colours.paper, colours.ink];
    data.medoids.forEach((medoid, label) => {
      if (!medoid || map.hidden.has(label)) return;
      paper.strokeText(data.classes[label], across(medoid[0]), down(medoid[1]));
      paper.fillText(data.classes[label], across(medoid[0]), down(medoid[1]));
    });
  }

  function drawTies(size, radius) {
    const neighbours = data.neighbours[map.pinned];
    [paper.strokeStyle, paper.lineWidth, paper.globalAlpha] = [colours.ink, 1, 0.5];
    for (const neighbour of neighbours) {
      paper.beginPath();
      paper.moveTo(...map.place(map.pinned));
      paper.lineTo(...map.place(neighbour));
      paper.stroke();
    }
    paper.globalAlpha = 1;
    for (const neighbour of neighbours) drawFramed(neighbour, 1, size, radius);
    drawFramed(map.pinned, 3, size, radius);
  }

  function drawFramed(point, width, size, radius) {
    const [x, y] = map.place(point);
    drawPoint(point, size, radius);
    [paper.strokeStyle, paper.lineWidth] = [colours.ink, width];
    paper.beginPath();
    if (size) paper.rect(x - size / 2 - 3, y - size / 2 - 3, size + 6, size + 6);
    else paper.arc(x, y, radius + 2 + width, 0, 2 * Math.PI);
    paper.stroke();
  }

  // ---------------------------------------------------------------- thumbnails and colours for others

  map.thumbnail = (point, side) => {
    const picture = document.createElement("canvas");
    const { width, height } = data.sprite;
    const factor = side / Math.max(width, height);
    [picture.width, picture.height, picture.className] = [width, height, "thumbnail"];
    [picture.style.width, picture.style.height] = [`${width * factor}px`, `${height * factor}px`];
    const paint = () => drawThumbnail(picture.getContext("2d"), point, 0, 0, width, height);
    if (sprite.complete) paint();
    else sprite.addEventListener("load", paint);
    return picture;
  };

  map.readColours = () => {
    const style = getComputedStyle(box);
    for (const name of ["ink", "paper", "right", "wrong", "sure", "unsure"]) {
      colours[name] = style.getPropertyValue(`--${name}`).trim();
    }
    const lift = parseFloat(style.getPropertyValue("--lift")) / 100;
    colours.classes = data.colours.map((colour) => blend(colour, "#ffffff", lift));
    map.draw();
  };

  sprite.addEventListener("load", map.draw);
  sprite.src = data.sprite.picture;
  map.readColours();
  return map;
}
