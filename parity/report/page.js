// Make every table.live of the page sortable, searchable and filterable, and keep the view in the URL.
// The name DataTable is defined before this. Texts from a record are never parsed as HTML.
const LENGTH = 25;
const VIEW = "#?";
DataTable.ext.errMode = "throw";

const element = (tag, properties, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
};
const collator = new Intl.Collator("en", { numeric: true });
const titleOf = (head) => head.dataset.name ?? head.textContent.trim();

// A table whose rows are JSON, see tables.py: texts[i][code] is shown in column i, and codes sort as the texts do.
class Rows {
  constructor({ texts, rows, names, groups }, heads) {
    Object.assign(this, { texts, names, groups });
    this.options = {
      data: rows,
      columns: heads.map((head, i) => ({
        type: "num",
        className: head.className,
        searchable: !head.classList.contains("n"),
        data: (row, type) => {
          if (type === "display") return this.cell(head.dataset.kind, texts[i][row[i]], row);
          return type === "filter" ? DataTable.util.escapeHtml(texts[i][row[i]]) : row[i];
        },
        ...(head.dataset.kind === "link" && { cellType: "th", createdCell: (cell) => (cell.scope = "row") }),
      })),
      createdRow: (tr, row) => (tr.id = this.id(row)),
    };
  }
  name = (row) => this.names[row.at(-1)];
  id = (row) => `${this.groups[row[0]].id}/${this.name(row)}`;

  cell(kind, text, row) {
    if (kind === "status") return element("span", { className: text.split(" ").pop() }, text);
    const shown = kind === "code" || kind === "link" ? element("code", {}, text) : document.createTextNode(text);
    const { page } = this.groups[row[0]];
    return kind === "link" && page ? element("a", { href: `${page}#${encodeURIComponent(this.name(row))}` }, shown) : shown;
  }
}

function enhance(table) {
  const heads = [...table.querySelectorAll("thead th")];
  const label = table.caption?.textContent.trim() ?? table.id;
  const json = document.getElementById(`${table.id}-data`);
  const rows = json && new Rows(JSON.parse(json.textContent), heads);
  const filters = heads.flatMap((head, i) => (head.dataset.filter === "choice" ? [choice(table, rows, head, i)] : []));
  const tools = element("div", { className: "tools" }, ...filters.map(({ shown }) => shown));
  if (rows) table.tBodies[0].replaceChildren();

  // The wrapper of the table scrolls from now on, in the part that DataTables puts around the table.
  const outer = table.closest(".scroll");
  outer?.classList.remove("scroll");
  for (const name of ["role", "tabindex", "aria-label"]) outer?.removeAttribute(name);

  const api = new DataTable(table, {
    autoWidth: false,
    order: orderOf(table.dataset.first ?? "", heads),
    pageLength: LENGTH,
    columnDefs: [{ targets: "_all", orderSequence: ["asc", "desc"] }],
    lengthMenu: [LENGTH, 100, 500],
    searchDelay: 1,
    layout: { top2Start: filters.length ? tools : null, topStart: "search", topEnd: "info", bottomStart: "pageLength" },
    language: { search: "Search", lengthMenu: "_MENU_ rows at a time", info: "_START_ to _END_ of _TOTAL_",
                infoEmpty: "none", infoFiltered: "(all: _MAX_)", zeroRecords: "No row fits the search and the filters." },
    ...rows?.options,
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
  const cells = () => [...table.tBodies].flatMap((body) => [...body.rows].map((row) => row.cells[i]));
  const texts = () => cells().map((cell) => cell.dataset.search ?? cell.textContent.trim()).sort(collator.compare);
  const options = [...new Set(rows ? rows.texts[i] : texts())].map((value) => element("option", { value }, value));
  const id = `${table.id}-choice-${i}`;
  const select = element("select", { id }, element("option", { value: "" }, "all"), ...options);
  return { i, select, shown: element("span", {}, element("label", { htmlFor: id }, titleOf(head)), select) };
}

// The view of a table as entries of the URL: its search, filters and order where they differ from the first view.
function stateOf({ id, first, api, heads, filters }) {
  const entries = filters.map(({ i }) => [titleOf(heads[i]), api.column(i).search()]);
  const order = api.order().map(([i, direction]) => `${titleOf(heads[i])}:${direction}`).join(";");
  return [["search", api.search()], ...entries, ["order", order === first ? "" : order]]
    .filter(([, value]) => value)
    .map(([name, value]) => [`${id}.${name}`, value]);
}

function apply({ id, first, api, heads, filters }, view) {
  const get = (name) => view.get(`${id}.${name}`) ?? "";
  api.search(get("search"));
  for (const { i, select } of filters) {
    select.value = get(titleOf(heads[i]));
    api.column(i).search(select.value, { exact: true });
  }
  api.order(orderOf(get("order") || first, heads)).draw();
}

// An order such as "status:asc;score:desc" in the form of DataTables.
function orderOf(text, heads) {
  return text.split(";").flatMap((part) => {
    const at = part.lastIndexOf(":");
    const i = heads.findIndex((head) => titleOf(head) === part.slice(0, at));
    return i < 0 ? [] : [[i, part.slice(at + 1) === "desc" ? "desc" : "asc"]];
  });
}

const live = [...document.querySelectorAll("table.live")].flatMap((table) => {
  try {
    return [enhance(table)];
  } catch (error) {
    console.error(error);
    return [];
  }
});
const currentView = () => new URLSearchParams(live.flatMap(stateOf)).toString();
let written = currentView();
let following = false;

function writeView() {
  const now = currentView();
  if (following || now === written) return;
  written = now;
  history.replaceState(null, "", now ? VIEW + now : "#");
}

// Show what the URL names: a view of the tables, a row, or a part of the page.
function follow() {
  const { hash } = location;
  following = true;
  try {
    if (!hash || hash.startsWith(VIEW)) {
      const view = new URLSearchParams(hash.slice(VIEW.length));
      live.forEach((table) => apply(table, view));
    } else {
      const name = decoded(hash.slice(1));
      if (!live.some((table) => showRow(table, name))) document.getElementById(name)?.scrollIntoView();
    }
  } finally {
    following = false;
    written = currentView();
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
  const [row] = api.rows((i, data, node) => (rows ? rows.id(data) : node.id) === name).indexes().toArray();
  if (row === undefined) return false;
  const place = () => api.rows({ search: "applied", order: "applied" }).indexes().indexOf(row);
  if (place() < 0) apply(table, new URLSearchParams());
  api.page(Math.floor(place() / api.page.len())).draw("page");
  document.querySelector("tr.here")?.classList.remove("here");
  const tr = api.row(row).node();
  tr.classList.add("here");
  tr.closest("details")?.setAttribute("open", "");
  tr.scrollIntoView({ block: "center" });
  return true;
}

// On paper nothing is folded, and a table has all its rows, except one whose rows are JSON: it has too many to print.
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
  const button = element("button", { type: "button", className: "copy", ariaLive: "polite" }, "Copy");
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
  block.before(button);
}

for (const { api } of live) api.on("draw", writeView);
addEventListener("hashchange", follow);
// A click on a link to the current address changes nothing in the URL, so it is followed here.
addEventListener("click", ({ target }) => {
  const link = target.closest("a[href^='#']");
  if (link && link.hash === location.hash) follow();
});
if (location.hash) follow();
document.documentElement.dataset.ready = Math.round(performance.now());
