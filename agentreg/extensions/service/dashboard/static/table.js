// A table of any length: rows have one height, and only those that can be seen are in the document.

import { el, setAttribute, setText } from "./dom.js";

const BEYOND = 6; // rows kept above and below what can be seen

/**
 * A grid of rows that have an `id`. The table itself has the focus, and an active row that the keys move.
 *
 * columns: {name, title, fill(cell) -> update(row), live}; a live one shows more than the row, such as the time that
 * has passed, and is drawn anew even if the row is the same. open(row) is called for Enter and clicks.
 */
export class Table {
  #columns;
  #open;
  #onsort;
  #rows = [];
  #index = new Map();
  #slots = [];
  #first = 0;
  #live;
  #active = null;
  #height = 40;
  #planned = false;

  constructor({ label, columns, open, sort }) {
    this.#columns = columns;
    this.#live = columns.flatMap(({ live }, index) => (live ? [index] : []));
    this.#open = open;
    this.#onsort = sort;
    this.#build(label);
    this.element.addEventListener("scroll", () => this.plan(), { passive: true });
    this.table.addEventListener("keydown", (event) => this.#key(event));
    this.body.addEventListener("click", (event) => this.#click(event));
    new ResizeObserver(() => this.#measure()).observe(this.element);
  }

  #build(label) {
    this.heads = this.#columns.map(({ name, title }) =>
      el("th", { scope: "col", role: "columnheader", "data-column": name, "aria-sort": "none" }, el("button", { type: "button", click: () => this.#onsort(name) }, el("span", {}, title), el("span", { class: "arrow", "aria-hidden": "true" }))),
    );
    this.above = spacer();
    this.below = spacer();
    this.body = el("tbody", { role: "rowgroup" }, this.above, this.below);
    const head = el("thead", { role: "rowgroup" }, el("tr", { role: "row", "aria-rowindex": 1 }, this.heads));
    this.table = el("table", { role: "grid", tabindex: 0, "aria-label": label, "aria-colcount": this.#columns.length, "aria-readonly": "true" }, head, this.body);
    this.element = el("div", { class: "table", tabindex: -1 }, this.table);
  }

  /** Show these rows, in this order. */
  show(rows, sorted) {
    this.#rows = rows;
    this.#index = new Map(rows.map((row, index) => [row.id, index]));
    setAttribute(this.table, "aria-rowcount", rows.length + 1);
    for (const head of this.heads) {
      const isSorted = head.dataset.column === sorted.column;
      setAttribute(head, "aria-sort", isSorted ? (sorted.down ? "descending" : "ascending") : "none");
    }
    this.plan();
  }

  focus() {
    this.table.focus({ preventScroll: true });
  }

  /** Make this one the active row. */
  activate(id) {
    this.#active = id;
    this.plan();
  }

  /** Draw with the next frame; however often it is called, once. */
  plan() {
    if (this.#planned) return;
    this.#planned = true;
    requestAnimationFrame(() => {
      this.#planned = false;
      this.#draw();
    });
  }

  // -- drawing ----------------------------------------------------------------

  #measure() {
    this.#height = parseFloat(getComputedStyle(this.element).getPropertyValue("--row")) || 40;
    this.plan();
  }

  #draw() {
    const height = this.#height;
    const seen = Math.ceil(this.element.clientHeight / height) + 2 * BEYOND;
    const first = Math.max(0, Math.min(Math.floor(this.element.scrollTop / height) - BEYOND, this.#rows.length - seen));
    const last = Math.min(first + seen, this.#rows.length);
    this.#resize(last - first);
    this.#turn(first);
    this.above.firstChild.style.height = `${first * height}px`;
    this.below.firstChild.style.height = `${(this.#rows.length - last) * height}px`;
    this.above.hidden = first === 0;
    this.below.hidden = last === this.#rows.length;
    for (let index = first; index < last; index += 1) this.#fill(this.#slots[index - first], this.#rows[index], index);
    const active = this.#index.get(this.#active);
    setAttribute(this.table, "aria-activedescendant", active >= first && active < last ? `row-${active}` : null);
  }

  #resize(count) {
    while (this.#slots.length < count) {
      const slot = this.#slot();
      this.#slots.push(slot);
      this.below.before(slot.element);
    }
    while (this.#slots.length > count) this.#slots.pop().element.remove();
  }

  /** What has been scrolled out on one side comes in on the other; the rest stays as it is. */
  #turn(first) {
    const by = first - this.#first;
    this.#first = first;
    if (by > 0 && by < this.#slots.length) this.#slots.push(...this.#slots.splice(0, by));
    else if (by < 0 && -by < this.#slots.length) this.#slots.unshift(...this.#slots.splice(by));
    else return;
    const moved = by > 0 ? this.#slots.slice(-by) : this.#slots.slice(0, -by);
    (by > 0 ? this.below : this.#slots[-by].element).before(...moved.map((slot) => slot.element));
  }

  #slot() {
    const cells = this.#columns.map(({ name }, index) => el("td", { role: "gridcell", "data-column": name, "aria-colindex": index + 1 }));
    const updates = this.#columns.map(({ fill }, index) => fill(cells[index]));
    return { element: el("tr", { role: "row", class: "row" }, cells), updates, id: null, row: null };
  }

  #fill(slot, row, index) {
    if (slot.element.id !== `row-${index}`) slot.element.id = `row-${index}`;
    setAttribute(slot.element, "aria-rowindex", index + 2);
    setAttribute(slot.element, "aria-selected", row.id === this.#active);
    if (slot.id !== row.id) {
      slot.id = row.id;
      slot.element.dataset.id = row.id;
      slot.element.classList.toggle("new", Boolean(row.isNew));
      row.isNew = false;
    }
    if (slot.row !== row) for (const update of slot.updates) update(row);
    else for (const at of this.#live) slot.updates[at](row);
    slot.row = row;
  }

  // -- keys and clicks --------------------------------------------------------

  #key(event) {
    if (event.target !== this.table || event.altKey || event.metaKey) return;
    const at = this.#index.get(this.#active) ?? -1;
    const page = Math.max(1, Math.floor((this.element.clientHeight - this.#height) / this.#height) - 1);
    const targets = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.#rows.length - 1 };
    if (event.key in targets) this.#go(targets[event.key]);
    else if ((event.key === "Enter" || event.key === " ") && at >= 0) this.#open(this.#rows[at]);
    else return;
    event.preventDefault();
  }

  #go(index) {
    if (this.#rows.length === 0) return;
    const target = Math.max(0, Math.min(index, this.#rows.length - 1));
    this.#active = this.#rows[target].id;
    this.#reveal(target);
    this.plan();
  }

  #reveal(index) {
    const head = this.table.tHead.offsetHeight;
    const top = index * this.#height;
    const seen = this.element.clientHeight - head;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top + this.#height > this.element.scrollTop + seen) this.element.scrollTop = top + this.#height - seen;
  }

  #click(event) {
    if (event.target.closest("a") || event.button !== 0 || String(getSelection())) return;
    const index = this.#index.get(event.target.closest("tr")?.dataset.id);
    if (index === undefined) return;
    this.#active = this.#rows[index].id;
    this.#open(this.#rows[index]);
  }
}

// One cell, whatever the number of columns: where some are hidden, more would make room for them.
function spacer() {
  return el("tr", { class: "spacer", role: "presentation", "aria-hidden": "true", hidden: true }, el("td", { role: "presentation" }));
}

/** A column's `fill` for plain text. */
export function textual(of) {
  return (cell) => {
    const shown = el("bdi", { dir: "auto" });
    cell.append(shown);
    return (row) => {
      const text = of(row);
      setText(shown, text);
      setAttribute(cell, "title", text || null);
    };
  };
}
