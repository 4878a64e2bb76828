// Makes every table.live of the page sortable, searchable and filterable, and keeps what is shown in the URL.
// The name DataTable is given before this. Whatever comes from a record is written as text.
const LENGTH = 25;
DataTable.ext.errMode = "throw";

const element = (tag, properties, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};

// The rows of a table that comes as JSON (see tables.py); answers what DataTables asks, so that rows appear as needed.
class Rows {
  constructor(groups, heads) {
    this.groups = groups;
    for (const group of groups) if (group.steps) group.codes = codesOf(group.steps);
    this.columns = groups.flatMap((group) => group.values.map((values) => ({ group, values })));
    this.columns.forEach((column, i) => {
      column.kind = heads[i].dataset.kind;
      column.numeric = heads[i].classList.contains("n");
      if (column.numeric) column.values = column.values.map((value) => (typeof value === "string" ? SAID[value] : value));
    });
    // What is searched, by group, so that what repeats is looked at once.
    this.texts = groups
      .map((group) => [group, this.columns.filter((column) => column.group === group && !column.numeric)])
      .filter(([, columns]) => columns.length);
    const { values, codes } = groups[0];
    this.all = Uint32Array.from({ length: (codes ?? values[0]).length }, (_, row) => row);
    this.sortedBy = "[]";
    this.sorted = this.all;
  }
  entry = (group, row) => (group.codes ? group.codes[row] : row);
  value = ({ group, values }, row) => values[this.entry(group, row)];
  choices = (i) => this.columns[i].values.map((value) => String(value ?? "-"));
  names = (row) => this.groups.filter((g) => g.names).map((g) => g.names[this.entry(g, row)]);
  name = (row) => this.names(row).join("/");

  link(row) {
    const on = this.groups.find((group) => group.pages);
    if (!on) return `#${encodeURIComponent(this.name(row))}`;
    const page = on.pages[this.entry(on, row)];
    const rest = this.groups.filter((g) => g.names && g !== on).map((g) => g.names[this.entry(g, row)]);
    return page && `${page}#${encodeURIComponent(rest.join("/"))}`;
  }

  sort(order) {
    const asked = JSON.stringify(order.map(({ column, dir }) => [column, dir]));
    if (asked === this.sortedBy) return;
    const keys = order.map(({ column, dir }) => {
      const { group, values, kind, numeric } = this.columns[column];
      const ranks = numeric ? values.map(rank) : ranked(values, kind === "status" ? compareStatuses : compareTexts);
      const sign = dir === "desc" ? -1 : 1;
      return Float64Array.from(this.all, (row) => sign * ranks[this.entry(group, row)]);
    });
    this.sorted = this.all.slice().sort((a, b) => {
      for (const key of keys) if (key[a] !== key[b]) return key[a] - key[b];
      return a - b;
    });
    this.sortedBy = asked;
  }

  filter(search, columns) {
    let rows = this.sorted;
    columns.forEach(({ search: { value } }, i) => {
      if (!value) return;
      const fits = this.choices(i).map((choice) => choice === value);
      rows = rows.filter((row) => fits[this.entry(this.columns[i].group, row)]);
    });
    for (const word of search.value.toLowerCase().split(/\s+/).filter(Boolean)) {
      const fits = (value) => String(value ?? "").toLowerCase().includes(word);
      const has = this.texts.map(([group, columns]) => [group, columns[0].values.map((_, i) => columns.some(({ values }) => fits(values[i])))]);
      rows = rows.filter((row) => has.some(([group, found]) => found[this.entry(group, row)]));
    }
    return rows;
  }

  answer = (asked, done) => {
    this.sort(asked.order);
    this.seen = this.filter(asked.search, asked.columns);
    const shown = this.seen.slice(asked.start, asked.length < 0 ? undefined : asked.start + asked.length);
    const counts = { recordsTotal: this.all.length, recordsFiltered: this.seen.length };
    done({ draw: asked.draw, data: Array.from(shown, (row) => ({ row })), ...counts });
  };

  cell(column, row) {
    const { kind } = column;
    const value = this.value(column, row);
    if (kind === "status") return element("span", { className: String(value).split(" ").pop() }, value);
    const said = column.numeric && value !== null ? digits(value) : String(value ?? "-");
    const shown = kind === "code" || kind === "link" ? element("code", {}, said) : document.createTextNode(said);
    const href = kind === "link" && this.link(row);
    return href ? element("a", { href }, shown) : shown;
  }
}

// As the rest of the page has numbers, see numbers.py.
const SAID = { inf: Infinity, "-inf": -Infinity, nan: NaN };
function digits(value) {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "-∞";
  if (!value) return "0";
  const [, power] = value.toExponential(2).split("e").map(Number);
  if (power < -3 || power > 5) return value.toExponential(2).replace(/e(.)(\d)$/, (_, sign, digit) => `e${sign}0${digit}`);
  const places = Math.max(0, 2 - power);
  return Number(value.toPrecision(3)).toLocaleString("en", { minimumFractionDigits: places, maximumFractionDigits: places });
}

// What a number is sorted by, as in numbers.py.
function rank(value) {
  if (value === null) return -1e308;
  return Number.isNaN(value) ? 1e308 : Math.min(Math.max(value, -1e307), 1e307);
}

// The places of values in their order, the same for what is equal.
function ranked(values, by) {
  const ranks = new Float64Array(values.length);
  const sorted = [...values.keys()].sort((a, b) => by(values[a], values[b]));
  sorted.forEach((at, i) => (ranks[at] = i && !by(values[sorted[i - 1]], values[at]) ? ranks[sorted[i - 1]] : i));
  return ranks;
}

// Texts as people sort them: the numbers in them by their size.
const collator = new Intl.Collator("en", { numeric: true });
const compareTexts = (a, b) => collator.compare(a ?? "", b ?? "");

// What is not in order first.
const fine = (status) => /^[✓◇⚒]/u.test(status);
const compareStatuses = (a, b) => fine(a) - fine(b) || compareTexts(a, b);

function codesOf(steps) {
  const codes = [];
  for (let i = 0, code = 0; i < steps.length; i += 2) {
    for (let taken = 0; taken < steps[i + 1]; taken++) codes.push((code += steps[i]));
  }
  return codes;
}

const textOf = (cell) => cell.dataset.search ?? cell.textContent.trim();
const titleOf = (head) => head.dataset.name ?? head.textContent.trim();

function enhance(table) {
  const heads = [...table.querySelectorAll("thead th")];
  const label = table.caption?.textContent.trim() ?? table.id;
  const json = document.getElementById(`${table.id}-data`);
  const rows = json && new Rows(JSON.parse(json.textContent), heads);
  const filters = heads.flatMap((head, i) => (head.dataset.filter === "choice" ? [choice(table, rows, head, i)] : []));
  const tools = element("div", { className: "tools" }, ...filters.map(({ shown }) => shown));
  if (rows) table.tBodies[0].replaceChildren();

  // Where the table scrolled by itself, the part of the widget that holds it does.
  const outer = table.closest(".scroll");
  outer?.classList.remove("scroll");
  for (const name of ["role", "tabindex", "aria-label"]) outer?.removeAttribute(name);

  const api = new DataTable(table, {
    autoWidth: false,
    deferRender: true,
    order: orderOf(table.dataset.first ?? "", heads),
    pageLength: LENGTH,
    columnDefs: [{ targets: "_all", orderSequence: ["asc", "desc"] }],
    lengthMenu: [LENGTH, 100, 500],
    searchDelay: 1,
    layout: { top2Start: filters.length ? tools : null, topStart: "search", topEnd: "info", bottomStart: "pageLength" },
    language: { search: "Search", lengthMenu: "_MENU_ rows at a time", info: "_START_ to _END_ of _TOTAL_",
                infoEmpty: "none", infoFiltered: "(all: _MAX_)", zeroRecords: "No row fits the search and the filters." },
    ...(rows && {
      serverSide: true,
      ajax: rows.answer,
      columns: rows.columns.map((column, i) => ({
        data: ({ row }, type) => (type === "display" ? rows.cell(column, row) : ""),
        className: heads[i].className,
        ...(column.kind === "link" && { cellType: "th", createdCell: (cell) => (cell.scope = "row") }),
      })),
      createdRow: (tr, { row }) => (tr.id = rows.name(row)),
    }),
  });
  const holder = table.parentElement;
  holder.classList.add("scroll");
  Object.assign(holder, { tabIndex: 0, role: "region", ariaLabel: label });
  api.table().container().querySelector(".dt-paging nav").ariaLabel = `Pages: ${label}`;
  for (const { select, i } of filters) {
    select.onchange = () => api.column(i).search(select.value, { exact: true }).draw();
  }
  return { id: table.id, first: table.dataset.first ?? "", api, heads, filters, rows };
}

// A choice among the values of a column.
function choice(table, rows, head, i) {
  const found = rows ? rows.choices(i) : [...table.tBodies].flatMap((body) => [...body.rows].map((row) => textOf(row.cells[i])));
  const options = [...new Set(found)].sort(compareTexts).map((value) => element("option", { value }, value));
  const id = `${table.id}-choice-${i}`;
  const select = element("select", { id }, element("option", { value: "" }, "all"), ...options);
  return { i, select, shown: element("span", {}, element("label", { htmlFor: id }, titleOf(head)), select) };
}

// What is shown of a table, as entries of the URL: its search, filters and order where they are not as at first.
function stateOf({ id, first, api, heads, filters }) {
  const entries = filters.map(({ i }) => [titleOf(heads[i]), api.column(i).search()]);
  const order = api.order().map(([i, way]) => `${titleOf(heads[i])}:${way}`).join(";");
  return [["search", api.search()], ...entries, ["order", order === first ? "" : order]]
    .filter(([, value]) => value)
    .map(([name, value]) => [`${id}.${name}`, value]);
}

function apply({ id, first, api, heads, filters }, wanted) {
  const get = (name) => wanted.get(`${id}.${name}`) ?? "";
  api.search(get("search"));
  for (const { i, select } of filters) {
    select.value = get(titleOf(heads[i]));
    api.column(i).search(select.value, { exact: true });
  }
  api.order(orderOf(get("order") || first, heads)).draw();
}

// An order such as "status:asc;score:desc" as DataTables has it.
function orderOf(text, heads) {
  return text.split(";").flatMap((part) => {
    const at = part.lastIndexOf(":");
    const i = heads.findIndex((head) => titleOf(head) === part.slice(0, at));
    return i < 0 ? [] : [[i, part.slice(at + 1) === "desc" ? "desc" : "asc"]];
  });
}

const VIEW = "#?";
const live = [...document.querySelectorAll("table.live")].flatMap((table) => {
  try {
    return [enhance(table)];
  } catch (error) {
    console.error(error);
    return [];
  }
});
const view = () => new URLSearchParams(live.flatMap(stateOf)).toString();
let written = view();
let following = false;

function remember() {
  const now = view();
  if (following || now === written) return;
  written = now;
  history.replaceState(null, "", now ? VIEW + now : "#");
}

// Shows what the URL names: a view of the tables, a row, wherever it is, or a part of the page.
function follow() {
  const { hash } = location;
  following = true;
  try {
    if (!hash || hash.startsWith(VIEW)) {
      const wanted = new URLSearchParams(hash.slice(VIEW.length));
      live.forEach((table) => apply(table, wanted));
    } else {
      const name = decoded(hash.slice(1));
      if (!live.some((table) => showRow(table, name))) document.getElementById(name)?.scrollIntoView();
    }
  } finally {
    following = false;
    written = view();
  }
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function showRow(table, name) {
  const { api, rows } = table;
  const find = () => (rows
    ? rows.seen.findIndex((row) => rows.name(row) === name)
    : api.rows({ search: "applied", order: "applied" }).nodes().toArray().findIndex((tr) => tr.id === name));
  const there = rows
    ? rows.all.some((row) => rows.name(row) === name)
    : api.rows().nodes().toArray().some((tr) => tr.id === name);
  if (!there) return false;
  if (find() < 0) apply(table, new URLSearchParams());
  api.page(Math.floor(find() / api.page.len())).draw("page");
  document.querySelector("tr.here")?.classList.remove("here");
  const tr = document.getElementById(name);
  tr.classList.add("here");
  tr.closest("details")?.setAttribute("open", "");
  tr.scrollIntoView({ block: "center" });
  return true;
}

// On paper nothing is folded, and a table has no pages, but for one with more rows than anyone would print.
let toScreen = null;
function onPaper(printed) {
  if (!printed) return toScreen?.();
  if (toScreen) return;
  const folded = [...document.querySelectorAll("details:not([open])")];
  const paged = live.filter(({ rows }) => !rows).map(({ api }) => [api, api.page.len(), api.page()]);
  folded.forEach((part) => (part.open = true));
  for (const [api] of paged) api.page.len(-1).draw();
  toScreen = () => {
    toScreen = null;
    folded.forEach((part) => (part.open = false));
    for (const [api, length, page] of paged) api.page.len(length).page(page).draw("page");
  };
}
addEventListener("beforeprint", () => onPaper(true));
addEventListener("afterprint", () => onPaper(false));
matchMedia("print").addEventListener("change", ({ matches }) => onPaper(matches));

for (const block of document.querySelectorAll("pre.copy")) {
  const button = element("button", { type: "button", className: "copy" }, "Copy");
  button.onclick = async () => {
    try {
      await navigator.clipboard.writeText(block.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(block);
      button.textContent = "Selected: now copy it";
    }
  };
  button.onblur = () => (button.textContent = "Copy");
  button.ariaLive = "polite";
  block.before(button);
}

for (const { api } of live) api.on("draw", remember);
addEventListener("hashchange", follow);
// A link to what the URL names already changes nothing there.
addEventListener("click", ({ target }) => {
  const link = target.closest("a[href^='#']");
  if (link && link.hash === location.hash) follow();
});
if (location.hash) follow();
document.documentElement.dataset.ready = Math.round(performance.now());
