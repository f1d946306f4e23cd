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
      await page.setViewportSize({ width: 390, height: 844 });
      await page.waitForTimeout(500);
      await page.evaluate(() => scrollTo(0, 0));
      await page.screenshot({ path: join(folder, "dashboard-phone.png") });
    }
    await page.context().close();
  });
}

test("pictures of the tuner", { skip: demo && folder ? false : "only for the docs", timeout: 2_400_000 }, async () => {
  await ask("tuner.set", { aim: { watts: 950 } });
  const page = await open(browser, { colorScheme: "light", viewport: { width: 1280, height: 2400 } });
  await page.goto(`${demo}/`);
  // All have learned what they need, and the live chart shows the way there.
  await page.waitForFunction(() => document.querySelectorAll("#tuner .pill.good").length === 2, undefined, { timeout: 2_000_000 });
  await page.locator("#tuner select").selectOption("1");
  await page.waitForSelector("#tuner .chart canvas");
  await page.waitForTimeout(3000);
  await page.locator("#tuner").screenshot({ path: join(folder, "dashboard-tuner.png") });
  await page.locator("#chips .choice").getByText("Quality").click();
  await page.locator(".map").last().locator(".cell").nth(20).click();
  await page.waitForSelector(".why dl");
  await page.locator("#chips").screenshot({ path: join(folder, "dashboard-chips.png") });
  await page.context().close();
});

async function ask(method, params = {}) {
  const reply = await fetch(`${demo}/rpc`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }) });
  return reply.json();
}
