// Rectangles for values: each as large as its value, and as square as that allows (Bruls, Huizing and van Wijk).

/** Places for [{value, ...}] within {x, y, width, height}, the largest first: [[item, place], ...]. */
export function treemap(items, area) {
  const sum = items.reduce((total, { value }) => total + value, 0);
  if (!(sum > 0) || area.width <= 0 || area.height <= 0) return [];
  const scale = (area.width * area.height) / sum;
  const waiting = items.filter(({ value }) => value > 0).toSorted((one, other) => other.value - one.value);
  const placed = [];
  let room = { ...area };
  while (waiting.length) {
    const side = Math.min(room.width, room.height);
    const row = [waiting.shift()];
    while (waiting.length && worst([...row, waiting[0]], side, scale) <= worst(row, side, scale)) row.push(waiting.shift());
    room = laid(row, room, scale, placed);
  }
  return placed;
}

/** How far from square the worst of a row is. */
function worst(row, side, scale) {
  const sizes = row.map(({ value }) => value * scale);
  const depth = sizes.reduce((total, size) => total + size, 0) / side;
  return Math.max(...sizes.map((size) => Math.max(depth ** 2 / size, size / depth ** 2)));
}

/** Put a row along the shorter side; the room that is left. */
function laid(row, { x, y, width, height }, scale, placed) {
  const isColumn = width >= height;
  const depth = (row.reduce((total, { value }) => total + value, 0) * scale) / (isColumn ? height : width);
  let at = 0;
  for (const item of row) {
    const length = (item.value * scale) / depth;
    placed.push([item, isColumn ? { x, y: y + at, width: depth, height: length } : { x: x + at, y, width: length, height: depth }]);
    at += length;
  }
  return isColumn ? { x: x + depth, y, width: width - depth, height } : { x, y: y + depth, width, height: height - depth };
}
