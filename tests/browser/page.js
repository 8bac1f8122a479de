// What a person sees on the debug page, held against what the process says of itself as JSON.

const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const http = require("node:http");
const readline = require("node:readline");
const { chromium } = require("playwright-core");

const [alive, here] = process.argv.slice(2);

const OPTIONS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

function ok(what) {
  console.log(`ok ${what}`);
}

/** Starts the process, with two requests on it, and gives the address of its page. */
async function start() {
  const child = spawn(alive, { stdio: ["ignore", "pipe", "inherit"] });
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const says = async (what) => {
    const { value } = await lines.next();
    assert(value?.startsWith(what), `${what}, not ${value}`);
    return value.slice(what.length).trim();
  };
  const api = await says("api");
  const admin = await says("admin");
  for (const path of ["/checkout?token=hush", "/events?token=hush"]) {
    http.get(`http://${api}${path}`, { headers: { "x-secret": "hush" } }).on("error", () => {});
  }
  await says("all is under way");
  return { child, url: `http://${admin}/debug/work` };
}

/** The rows of a table, each as an object by the heads of its columns. */
function rows(page, table) {
  return page.locator(table).evaluate((table) => {
    const heads = [...table.tHead.rows[0].cells].map((cell) => cell.innerText.trim());
    return [...table.tBodies[0].rows].map((row) => {
      const cells = [...row.cells].map((cell) => cell.innerText.trim());
      const link = row.querySelector("a");
      return {
        ...Object.fromEntries(heads.map((head, n) => [head, cells[n]])),
        id: row.id,
        owner: link?.getAttribute("href"),
        color: getComputedStyle(row.cells[0]).backgroundColor,
      };
    });
  });
}

/** A span of time as the page has it, in ms. */
function span(text) {
  const units = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 };
  const parts = [...text.matchAll(/([\d.]+) (ms|s|min|h|d)/g)];
  assert(parts.length > 0, text);
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * units[unit], 0);
}

/** What there is to be seen. The age and the rest of a deadline go on between two looks. */
async function shows(page, url) {
  const json = await (await fetch(`${url}?format=json`)).json();
  // Who looks is seen as well, and is not the same twice.
  json.work = json.work.filter((work) => work.name !== "admin");
  const seen = (await rows(page, "#work")).filter((row) => row.Name !== "admin");
  const named = (work) => `${work.kind} ${work.name}`;
  assert.deepEqual(
    seen.map((row) => `${row.Kind} ${row.Name}`).sort(),
    json.work.map(named).sort(),
  );
  ok(`${seen.length} pieces of work, as in JSON`);
  for (const kind of "connection request task shield detached blocking critical worker job".split(" ")) {
    assert(seen.some((row) => row.Kind === kind), `no ${kind}`);
  }
  ok("one at least of every kind");

  for (const work of json.work) {
    const row = seen.find((row) => row.id === `w${work.id}`);
    assert.equal(row["What stops it"], work.stopped_by);
    assert.equal(row["Started by"], work.owner ? named(work.owner) : "nothing listed");
    assert.equal(row.owner, work.owner ? `#w${work.owner.id}` : undefined);
    assert(Math.abs(span(row.Age) - work.age_ms) < 5_000, `${row.Age}, ${work.age_ms} ms`);
    if (work.remaining_ms === null) {
      assert.equal(row.Deadline, "none");
    } else {
      assert.match(row.Deadline, work.overdue ? /^overdue by / : /^in /);
      assert(Math.abs(span(row.Deadline) - Math.abs(work.remaining_ms)) < 5_000, row.Deadline);
    }
  }
  ok("of each its age, its owner, its deadline, and what stops it");

  const late = seen.filter((row) => row.Deadline.startsWith("overdue"));
  assert.deepEqual(late.map((row) => row.Name).sort(), ["reindex", "thumbnail"]);
  assert.deepEqual(seen.slice(0, late.length), late);
  for (const part of [late, seen.slice(late.length)]) {
    const ages = part.map((row) => span(row.Age));
    // As they are rounded.
    assert(ages.every((age, n) => n === 0 || age <= ages[n - 1] + 1_000), `${ages}`);
  }
  ok("the overdue first, and then the oldest");
  const plain = seen.at(-1).color;
  assert(late.every((row) => row.color !== plain) && seen.slice(late.length).every((row) => row.color === plain));
  ok("the overdue are marked");

  const queues = await rows(page, "#queues");
  assert.deepEqual(
    queues.map((row) => [row.Worker, row.Waiting, row.Running]),
    [
      ["mail", "10 of 16", "2 of 2"],
      ["audit", "0 of 1024", "0 of 4"],
    ],
  );
  ok("the queues");
  assert(!(await page.content()).includes("hush"));
  ok("no path, no header");
}

/** It comes again by itself, and its ages have grown. */
async function refreshes(page) {
  const before = (await rows(page, "#work")).map((row) => [row.id, span(row.Age)]);
  for (let times = 0; times < 2; times++) {
    await page.waitForEvent("load", { timeout: 20_000 });
  }
  const after = new Map((await rows(page, "#work")).map((row) => [row.id, span(row.Age)]));
  for (const [id, age] of before) {
    const grown = after.get(id);
    assert(grown === undefined || grown >= age, id);
  }
  const [oldest, age] = before[0];
  assert(after.get(oldest) > age);
  ok("it refreshes itself");
}

/** The contrast of all text with what is behind it: WCAG 2.2, 1.4.3 wants 4.5. */
function contrasts(page) {
  return page.evaluate(() => {
    const parse = (color) => {
      const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
      return { rgb: [r, g, b], a };
    };
    const luminance = ({ rgb }) => {
      const [r, g, b] = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
      for (let at = element; at; at = at.parentElement) {
        const color = parse(getComputedStyle(at).backgroundColor);
        if (color.a === 1) return color;
      }
      return { rgb: [255, 255, 255] };
    };
    const low = [];
    for (const element of document.body.querySelectorAll("*")) {
      const says = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
      if (!says) continue;
      const [text, ground] = [luminance(parse(getComputedStyle(element).color)), luminance(behind(element))];
      const contrast = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
      if (contrast < 4.5) low.push(`${element.innerText.trim()}: ${contrast.toFixed(2)}`);
    }
    return low;
  });
}

async function looks(browser, url) {
  for (const colorScheme of ["light", "dark"]) {
    for (const [name, width] of [["wide", 1280], ["narrow", 390]]) {
      const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } });
      await page.goto(url);
      assert.deepEqual(await contrasts(page), []);
      const room = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert(room[0] <= room[1], `${name}: ${room}`);
      await page.screenshot({ path: `${here}/${colorScheme}-${name}.png`, fullPage: true });
      await page.close();
    }
    ok(`readable, ${colorScheme}: ${here}/${colorScheme}-{wide,narrow}.png`);
  }
}

async function main() {
  const { child, url } = await start();
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: OPTIONS });
  try {
    const page = await browser.newPage();
    const loaded = new Set();
    page.on("request", (request) => loaded.add(request.url()));
    const complaints = [];
    page.on("console", (message) => complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(url);
    assert.equal(await page.title(), "What stops this work?");
    await shows(page, url);
    await refreshes(page);
    await looks(browser, url);
    loaded.delete(new URL("/favicon.ico", url).href);
    assert.deepEqual([...loaded], [url]);
    assert.deepEqual(complaints.filter((text) => !text.includes("favicon")), []);
    ok("it loads nothing else, and complains of nothing");
  } finally {
    await browser.close();
    child.kill("SIGKILL");
  }
}

main().catch((error) => {
  console.error(`FAILED ${error.stack}`);
  process.exit(1);
});
