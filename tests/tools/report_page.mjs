// Opens a build report in a real browser and uses it: with and without a program, in the dark, on a phone, with the keyboard.
//
//   node tests/tools/report_page.mjs PAGE.report.html FOLDER            every check; pictures of the page go into FOLDER
//   node tests/tools/report_page.mjs PAGE.report.html FOLDER --readme   only the two pictures of the README
//
// Needs the packages playwright-core, axe-core and html-validate in $TRANSOM_NODE (a folder with node_modules; target/ci/node by default), a Chromium
// ($TRANSOM_CHROMIUM, /usr/bin/chromium by default), and, when Java is there, the package vnu-jar. Ends with 1 when something is wrong, and says what.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const [page_argument, folder_argument, mode] = process.argv.slice(2);
if (!page_argument || !folder_argument) {
  console.error("usage: report_page.mjs PAGE.report.html FOLDER [--readme]");
  process.exit(2);
}
const file = resolve(page_argument);
const folder = resolve(folder_argument);
mkdirSync(folder, { recursive: true });
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const modules = process.env.TRANSOM_NODE ?? join(root, "target/ci/node");
const require = createRequire(join(modules, "package.json"));
const { chromium } = require("playwright-core");

const flags = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const problems = [];
let checks = 0;
const expect = (fine, what) => {
  checks += 1;
  if (!fine) {
    problems.push(what);
    console.error(`WRONG: ${what}`);
  }
};

const address = pathToFileURL(file).href;
const browser = await chromium.launch({
  executablePath: process.env.TRANSOM_CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: flags,
});

// Opens the page in a browser of its own and gives it to `use`; whatever it asks of a network or complains of is a problem.
async function open(name, options, use) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  try {
    await context.grantPermissions(["clipboard-read", "clipboard-write"]).catch(() => {});
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    page.on("request", (request) => {
      const url = request.url();
      expect(url.split("#")[0] === address || url.startsWith("data:"), `${name}: asks for ${url.slice(0, 200)}`);
    });
    page.on("console", (message) => expect(!["error", "warning"].includes(message.type()), `${name}: console: ${message.text()}`));
    page.on("pageerror", (error) => expect(false, `${name}: ${error.message}`));
    page.on("dialog", (dialog) => {
      expect(false, `${name}: a dialog: ${dialog.message()}`);
      dialog.dismiss();
    });
    await page.goto(address);
    await use(page);
  } finally {
    await context.close();
  }
}

// Of a big page only what the window shows is drawn, and only one theme is looked into by axe-core: its tens of thousands of elements are of the same few kinds.
const big = statSync(file).size > 1_000_000;
const picture = (page, name) => page.screenshot({ path: join(folder, `${name}.png`), fullPage: !big, animations: "disabled" });

// Nothing may be wider than the window.
async function fits(page, name) {
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(wide <= 0, `${name}: the page is ${wide} pixels wider than the window`);
  const cut = await page.evaluate(() => Array.from(document.querySelectorAll("main p, main dd, main summary, h1, h2, h3"))
    .filter((element) => element.checkVisibility() && !element.classList.contains("unseen") && element.getBoundingClientRect().right > innerWidth + 1)
    .filter((element) => !element.closest(".scroller, .graph"))
    .map((element) => element.textContent.slice(0, 60)));
  expect(cut.length === 0, `${name}: reaches out of the window: ${cut.slice(0, 3).join(" | ")}`);
}

async function axe(page, name) {
  await page.evaluate(readFileSync(require.resolve("axe-core/axe.min.js"), "utf8"));
  const violations = await page.evaluate(async () => {
    const result = await globalThis.axe.run(document, { resultTypes: ["violations"] });
    return result.violations.map((violation) => `${violation.id}: ${violation.help}: ${violation.nodes.length} times, ${violation.nodes[0].html.slice(0, 200)}: ${violation.nodes[0].failureSummary}`);
  });
  checks += 1;
  for (const violation of violations) expect(false, `${name}: ${violation}`);
}

// What axe-core knows, and what it does not: texts in drawings.
async function accessible(page, name) {
  await axe(page, name);
  const result = await page.evaluate(() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgb = (color) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
      return canvas.getImageData(0, 0, 1, 1).data;
    };
    const light = (color) => {
      const [red, green, blue] = Array.from(rgb(color)).slice(0, 3).map((part) => {
        const value = part / 255;
        return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
      });
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const contrast = (one, other) => {
      const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
      return (high + 0.05) / (low + 0.05);
    };
    const fill = (element) => getComputedStyle(element).fill;
    const poor = new Set();
    let texts = 0;
    for (const text of document.querySelectorAll("svg text")) {
      const group = text.closest(".node, .stage, .step, .treemap g");
      let ground = group?.querySelector(text.classList.contains("number") ? "circle" : "rect");
      if (!ground && text.closest("svg.plan")) ground = text.closest("g.then") ? null : document.querySelector(".band");
      const behind = ground ? fill(ground) : getComputedStyle(document.querySelector(".graph, .scroller")).backgroundColor;
      texts += 1;
      const ratio = contrast(fill(text), behind);
      if (ratio < 4.5) poor.add(`${text.getAttribute("class") ?? ""} in ${group?.getAttribute("class") ?? "the drawing"}: ${ratio.toFixed(2)} (${fill(text)} on ${behind})`);
    }
    // Marks that mean something must be told from what is behind them.
    const surface = getComputedStyle(document.querySelector(".graph, .scroller")).backgroundColor;
    for (const rectangle of document.querySelectorAll(".node rect")) {
      const ratio = contrast(getComputedStyle(rectangle).stroke, surface);
      if (ratio < 3) poor.add(`outline of ${rectangle.parentElement.getAttribute("class")}: ${ratio.toFixed(2)}`);
    }
    return { texts, poor: Array.from(poor) };
  });
  for (const poor of result.poor) expect(false, `${name}: contrast: ${poor}`);
  expect(result.texts > 0, `${name}: no drawing has a text`);
  const structure = await page.evaluate(() => {
    const levels = Array.from(document.querySelectorAll("h1, h2, h3, h4, h5, h6")).map((heading) => Number(heading.tagName[1]));
    const jumps = levels.filter((level, place) => (place === 0 ? level !== 1 : level > levels[place - 1] + 1)).length;
    const nameless = Array.from(document.querySelectorAll("button, input, a[href], summary"))
      .filter((control) => !(control.getAttribute("aria-label") || control.textContent.trim() || control.labels?.length)).length;
    const ids = Array.from(document.querySelectorAll("[id]")).map((element) => element.id);
    const lost = Array.from(document.querySelectorAll("a[href^='#']")).filter((link) => !document.getElementById(link.getAttribute("href").slice(1))).length;
    return { jumps, nameless, twice: ids.length - new Set(ids).size, lost, first: levels.filter((level) => level === 1).length };
  });
  expect(structure.jumps === 0, `${name}: ${structure.jumps} headings skip a level`);
  expect(structure.first === 1, `${name}: ${structure.first} headings of the first level`);
  expect(structure.nameless === 0, `${name}: ${structure.nameless} controls without a name`);
  expect(structure.twice === 0, `${name}: ${structure.twice} ids stand twice`);
  expect(structure.lost === 0, `${name}: ${structure.lost} links lead nowhere`);
}

// A person at work.
async function use(page) {
  const steps = page.locator("li.step:not(.inner li)");
  const count = await steps.count();
  if (count === 0) return;
  const first = steps.first();
  await first.locator("summary").first().click();
  expect(await first.locator("details").first().evaluate((details) => details.open), "a click opens a step");
  expect(await first.getByText("Why it stands here").first().isVisible(), "an open step says why it stands where it stands");
  await first.locator("summary").first().press("Enter");
  expect(!(await first.locator("details").first().evaluate((details) => details.open)), "Enter closes it again");

  // Find.
  const shown = () => page.locator(".steps").first().evaluate((list) => Array.from(list.children).filter((item) => !item.hidden).length);
  const listed = await page.locator(".steps").first().evaluate((list) => list.children.length);
  await page.keyboard.press("/");
  const field = page.locator(".filter input").first();
  expect(await field.evaluate((input) => document.activeElement === input), "the key / goes to the filter");
  const name = await first.locator(".what code").first().textContent();
  await field.fill(name.slice(0, 60));
  expect(await shown() >= 1 && await shown() <= listed, "a step is found by its name");
  await field.fill("no step is called like this");
  expect(await shown() === 0 && await page.locator(".none").first().isVisible(), "what is not there is not found, and that is said");
  await field.press("Escape");
  expect(await shown() === listed, "Escape shows all again");
  for (const kind of ["ran", "cached", "no-effect", "deferred"]) {
    const button = page.locator(`.filter [data-kind="${kind}"]`).first();
    if (await button.count() === 0) continue;
    await button.click();
    const wanted = await page.locator(".steps").first().evaluate((list, kind) => Array.from(list.children).filter((item) => item.classList.contains(kind)).length, kind);
    expect(await shown() === wanted && wanted > 0, `the filter ${kind} shows ${wanted} steps`);
  }
  // A link to a step that is filtered out shows it.
  await page.locator('.filter [data-kind="all"]').first().click();

  // The plan.
  const box = page.locator(".graph").first();
  const frame = () => box.locator("svg").getAttribute("viewBox");
  await box.scrollIntoViewIfNeeded();
  let before = await frame();
  const changed = async (what) => {
    const now = await frame();
    expect(now !== before, what);
    before = now;
  };
  for (const [label, text] of [["Zoom in", "zooms in"], ["Show all", "shows all"], ["Zoom out", "zooms out"], ["Fit the width", "fits the width"]]) {
    await page.getByRole("button", { name: label }).first().click();
    await changed(`the button ${text}`);
  }
  await box.focus();
  await box.press("+");
  await changed("the key + zooms in");
  await box.press("ArrowRight");
  await changed("an arrow moves the plan");
  const place = await box.boundingBox();
  const [x, y] = [place.x + place.width / 2, place.y + Math.min(place.height, 300) / 2];
  await page.mouse.move(x, y);
  await page.mouse.wheel(0, -200);
  await page.waitForTimeout(100);
  await changed("the wheel zooms");
  const address_before = page.url();
  await page.mouse.down();
  await page.mouse.move(x - 70, y - 20, { steps: 4 });
  await page.mouse.up();
  await changed("dragging moves the plan");
  expect(page.url() === address_before, "dragging is no click");
  await page.getByRole("button", { name: "Fit the width" }).first().click();

  // From the plan to a step, that the filter hides.
  const node = page.locator(".node").nth(count > 1 ? 1 : 0);
  const target = (await node.getAttribute("href")).slice(1);
  await field.fill("no step is called like this");
  await node.scrollIntoViewIfNeeded();
  await node.click();
  await page.waitForTimeout(700);
  const details = page.locator(`#${target}`);
  expect(await details.evaluate((element) => element.open && !element.closest("li").hidden), "a click on the plan opens the step");
  expect(await details.locator("summary").first().evaluate((summary) => {
    const frame = summary.getBoundingClientRect();
    return frame.top >= -1 && frame.bottom <= innerHeight;
  }), "and the step is in sight");
  const keyed = page.locator(".node").first();
  await keyed.focus();
  await keyed.press("Enter");
  await page.waitForTimeout(700);
  const other = (await keyed.getAttribute("href")).slice(1);
  expect(await page.locator(`#${other}`).evaluate((element) => element.open), "Enter on a step of the plan opens it");

  // Copy.
  const copy = page.locator("button.copy:visible").first();
  await copy.scrollIntoViewIfNeeded();
  await copy.click();
  await page.waitForTimeout(100);
  expect((await copy.textContent()) === "Copied", "the button says that it copied");
  const text = await page.evaluate(() => navigator.clipboard.readText()).catch(() => null);
  if (text !== null) expect(text === await copy.getAttribute("data-copy"), "the clipboard has the digest");

  await page.getByRole("button", { name: "Open all" }).first().click();
  expect(await page.locator(".steps").first().evaluate((list) => Array.from(list.children).every((item) => item.querySelector("details").open)), "all steps open");
  await fits(page, "all steps open");
  await page.getByRole("button", { name: "Close all" }).first().click();
  // The list of contents follows.
  await page.evaluate(() => scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" }));
  await page.waitForTimeout(200);
  expect(await page.locator(".toc a[aria-current]").count() === 1, "the contents say where one is");
}

async function keyboard(page) {
  await page.keyboard.press("Tab");
  expect(await page.evaluate(() => document.activeElement.classList.contains("skip")), "the first stop leads over the contents");
  let invisible = 0;
  for (let stop = 0; stop < 30; stop += 1) {
    await page.keyboard.press("Tab");
    const ring = await page.evaluate(() => {
      const style = getComputedStyle(document.activeElement);
      const inner = document.activeElement.querySelector?.("rect");
      return style.outlineStyle !== "none" || Boolean(inner);
    });
    if (!ring) invisible += 1;
  }
  expect(invisible === 0, `${invisible} stops of the keyboard are not seen`);
}

async function without(page) {
  const text = await page.evaluate(() => document.body.innerText);
  for (const word of ["Output and proof", "Made from", "Steps", "transom verify"]) {
    expect(text.includes(word), `without a program: "${word}" is shown`);
  }
  expect(await page.locator("button:visible").count() === 0, "without a program there are no buttons that do nothing");
  expect(await page.locator("input:visible").count() === 0, "without a program there is no filter that does nothing");
  const nodes = page.locator(".node");
  if (await nodes.count() > 0) {
    expect(await nodes.first().isVisible(), "without a program the plan is drawn");
    const target = (await nodes.first().getAttribute("href")).slice(1);
    const details = page.locator(`#${target}`);
    await details.locator("summary").first().click();
    expect(await details.locator(".body").isVisible(), "without a program a step opens");
  }
}

async function validators() {
  const { HtmlValidate } = require("html-validate");
  const validator = new HtmlValidate({
    root: true,
    extends: ["html-validate:standard", "html-validate:a11y"],
    rules: {
      // A program of the same page, which its security policy names by digest.
      "require-sri": "off",
      "no-inline-style": "error",
      "long-title": "off",
      // Digests and names of packages have no place to break.
      "prefer-native-element": ["error", { exclude: ["group", "region", "search"] }],
      "no-raw-characters": "error",
    },
  });
  const report = await validator.validateString(readFileSync(file, "utf8"));
  for (const result of report.results) {
    for (const message of result.messages.slice(0, 20)) {
      expect(false, `html-validate: ${message.ruleId}: ${message.message} (${message.line}:${message.column}) ${message.selector ?? ""}`);
    }
  }
  checks += 1;
  const jar = join(modules, "node_modules/vnu-jar/build/dist/vnu.jar");
  try {
    if (!existsSync(jar)) throw new Error("no jar");
    execFileSync("java", ["-version"], { stdio: "ignore" });
  } catch {
    console.error("not asked: the Nu HTML checker (needs Java and the package vnu-jar)");
    return;
  }
  const output = execFileSync("sh", ["-c", 'java -Xmx512m -jar "$0" --exit-zero-always --format json "$1" 2>&1', jar, file], { encoding: "utf8", maxBuffer: 1 << 26 });
  const messages = JSON.parse(output).messages;
  checks += 1;
  for (const message of messages.filter((message) => message.type === "error").slice(0, 20)) {
    // Its list of CSS properties is older than the browsers' (text-wrap, text-size-adjust, content-visibility).
    if (message.message.startsWith("CSS:")) continue;
    expect(false, `Nu HTML checker: ${message.message} (${message.lastLine}:${message.lastColumn}) ${message.extract ?? ""}`);
  }
}

const light = { colorScheme: "light" };
const dark = { colorScheme: "dark" };
const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };

// The top of the page by day, the plan by night.
async function readme() {
  const wide = { viewport: { width: 1200, height: 1060 }, reducedMotion: "reduce" };
  await open("light", { ...light, ...wide }, (page) => page.screenshot({ path: join(folder, "report-light.png"), animations: "disabled" }));
  await open("dark", { ...dark, ...wide }, async (page) => {
    await page.evaluate(() => document.getElementById("plan").scrollIntoView({ behavior: "instant" }));
    await page.waitForTimeout(300);
    await page.screenshot({ path: join(folder, "report-dark.png"), animations: "disabled" });
  });
}

try {
  if (mode === "--readme") {
    await readme();
  } else {
    await validators();
    for (const [name, scheme] of [["light", light], ["dark", dark]]) {
      await open(name, scheme, async (page) => {
        await picture(page, `${name}-desktop`);
        await fits(page, `${name} desktop`);
        if (big && name === "dark") return;
        await accessible(page, name);
        if (big) return;
        // The same with everything open.
        await page.evaluate(() => document.querySelectorAll("details").forEach((details, place) => { details.open = place < 40; }));
        await accessible(page, `${name}, opened`);
      });
      await open(`${name} phone`, { ...scheme, ...phone }, async (page) => {
        await picture(page, `${name}-phone`);
        await fits(page, `${name} phone`);
      });
    }
    for (const width of [320, 768, 1099, 1100, 1920, 2560]) {
      await open(`${width} pixels`, { viewport: { width, height: 900 } }, (page) => fits(page, `${width} pixels`));
    }
    await open("use", { ...light, reducedMotion: "reduce" }, use);
    await open("keyboard", light, keyboard);
    await open("no program", { ...light, javaScriptEnabled: false }, async (page) => {
      await without(page);
      await picture(page, "no-program");
    });
    await open("paper", light, async (page) => {
      await page.emulateMedia({ media: "print" });
      await page.pdf({ path: join(folder, "paper.pdf"), format: "A4" });
    });
  }
} finally {
  await browser.close();
}
if (mode !== "--readme") console.log(`${checks} checks, ${problems.length} problems`);
process.exit(problems.length === 0 ? 0 : 1);
