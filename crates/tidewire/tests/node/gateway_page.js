// Opens the gateway's page in a browser and does what a person does.
"use strict";
const assert = require("node:assert");
const { chromium } = require("playwright-core");

async function main() {
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox"] });
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(60000);
    const foreign = [];
    page.on("request", (request) => { if (!request.url().startsWith(process.env.PAGE)) foreign.push(request.url()); });
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    await page.goto(process.env.PAGE);
    await page.waitForFunction(() => document.querySelector("#uplinks tbody .good"));
    assert.strictEqual(await page.textContent("#gateway"), "page-test");
    assert.match(await page.textContent("#uplinks"), /up.*mqtt:.*connected/s);
    assert.match(await page.textContent("#store"), /Data log: .* of 1.0 GiB/);
    // Names of devices are text, whatever is in them.
    await page.fill("#search", "pump");
    await page.waitForFunction(() => document.querySelectorAll("#devices details").length === 1);
    assert.match(await page.textContent("#devices summary"), /<b>pump<\/b> \(thermo\)/);
    assert.match(await page.textContent("#devices tr[data-input=t]"), /21.5 C.*good/s);
    assert.match(await page.textContent("#events"), /error.*DEV.*too <i>hot<\/i>/s);
    // A simulated value changes before the eyes.
    await page.fill("#search", "simulator-1");
    const value = () => page.textContent("#devices tr[data-input=input1] td.number");
    await page.waitForSelector("#devices tr[data-input=input1]");
    const before = await value();
    await page.waitForFunction((old) => {
      const cell = document.querySelector("#devices tr[data-input=input1] td.number");
      return cell && cell.textContent !== old;
    }, before);
    // The app is stopped and started.
    await page.click("#apps button:has-text('stop')");
    await page.waitForFunction(() => /stopped/.test(document.querySelector("#apps").textContent));
    await page.click("#apps button:has-text('start')");
    await page.waitForFunction(() => /running/.test(document.querySelector("#apps").textContent));
    assert.deepStrictEqual(foreign, []);
    assert.deepStrictEqual(errors, []);
  } finally {
    await browser.close();
  }
}

main().catch((error) => { console.error(error); process.exit(1); });
