// The pictures of docs/dashboard.md, of a demo at PICTURES_URL that has been left alone, into the folder SCREENSHOTS.
import { join } from "node:path";
import { after, before, test } from "node:test";
import { launch, open } from "./browser.mjs";

const { PICTURES_URL: demo, SCREENSHOTS: folder } = process.env;
/** By then rates have settled and the live chart is full. */
const SETTLED_S = 600;

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

for (const colorScheme of ["light", "dark"]) {
  test(`pictures in ${colorScheme}`, { skip: demo && folder ? false : "only for the docs" }, async () => {
    const page = await open(browser, { colorScheme, viewport: { width: 1280, height: 860 } });
    await page.goto(`${demo}/`);
    await page.waitForSelector("#shares table");
    const { uptime_s: uptime } = (await ask("system.info")).result;
    await page.waitForTimeout(Math.max(3, SETTLED_S - uptime) * 1000);
    await page.waitForFunction(() => document.querySelector("header.top .pill").innerText === "mining", undefined, { timeout: 300_000 });
    await page.screenshot({ path: join(folder, `dashboard-${colorScheme}.png`) });
    if (colorScheme === "light") {
      await page.locator("#chips").screenshot({ path: join(folder, "dashboard-chips.png") });
      await page.setViewportSize({ width: 390, height: 844 });
      await page.waitForTimeout(500);
      await page.evaluate(() => scrollTo(0, 0));
      await page.screenshot({ path: join(folder, "dashboard-phone.png") });
    }
    await page.context().close();
  });
}

async function ask(method) {
  const reply = await fetch(`${demo}/rpc`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ jsonrpc: "2.0", id: 1, method }) });
  return reply.json();
}
