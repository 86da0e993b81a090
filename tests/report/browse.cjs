// node browse.cjs CHROMIUM FOLDER PAGE...: opens pages in a browser of its own, and prints as JSON what went wrong in each.
"use strict";
const path = require("path");
const { chromium } = require("playwright-core");
const axe = require("fs").readFileSync(require.resolve("axe-core/axe.min.js"), "utf-8");

const VIEWS = [[1200, "light"], [1200, "dark"], [375, "light"], [375, "dark"]];

async function look(browser, file, folder, [width, scheme]) {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: scheme, bypassCSP: false });
  const page = await context.newPage();
  const found = { width, scheme, console: [], requests: [], dialogs: 0, axe: [] };
  page.on("console", (message) => found.console.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => found.console.push(`error: ${error}`));
  page.on("dialog", (dialog) => { found.dialogs += 1; dialog.dismiss(); });
  page.on("request", (request) => {
    if (!/^(file|data):/.test(request.url())) found.requests.push(request.url());
  });
  await page.goto("file://" + path.resolve(file));
  await page.waitForTimeout(100);
  found.wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  found.choices = await page.evaluate(() => {
    return Array.from(document.querySelectorAll(".case")).map((box) => {
      const seen = Array.from(box.querySelectorAll("button[data-choose]")).map((button) => {
        button.click();
        return Array.from(box.querySelectorAll(".map, .words, .scroll[data-rank]"))
          .filter((part) => part.offsetParent !== null).length;
      });
      const first = box.querySelector("button[data-choose]");
      if (first) first.click();
      return seen;
    });
  });
  await page.evaluate(axe);
  const result = await page.evaluate(() => window.axe.run({ resultTypes: ["violations"] }));
  found.axe = result.violations
    .map((v) => ({ id: v.id, impact: v.impact, nodes: v.nodes.map((n) => n.html.slice(0, 160)).slice(0, 3) }));
  if (folder !== "-") {
    const name = `${path.basename(file, ".html")}_${width}_${scheme}.png`;
    await page.screenshot({ path: path.join(folder, name), fullPage: true });
  }
  await context.close();
  return found;
}

(async () => {
  const [executablePath, folder, ...files] = process.argv.slice(2);
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const all = {};
  for (const file of files) {
    all[file] = [];
    for (const view of VIEWS) all[file].push(await look(browser, file, folder, view));
  }
  await browser.close();
  console.log(JSON.stringify(all));
})().catch((error) => { console.error(String(error)); process.exit(1); });
