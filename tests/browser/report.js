// Opens an HTML report as a file, in headless Chromium: it loads nothing, needs
// no script, passes axe in light and dark, and can be printed.
//
// node report.js FILE SCREENSHOT_PREFIX
"use strict";

const assert = require("node:assert/strict");
const { pathToFileURL } = require("node:url");
const axe = require("axe-core");
const { open } = require("./browser");

const [file, prefix] = process.argv.slice(2);

(async () => {
  const url = pathToFileURL(file).href;
  const { page, requests, complaints, close } = await open(url);
  try {
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await page.evaluate(axe.source);
      const { violations } = await page.evaluate(() => axe.run({ resultTypes: ["violations"] }));
      assert.deepEqual(violations.map((found) => `${found.id}: ${found.nodes[0].html}`), []);
      await page.screenshot({ path: `${prefix}-${colorScheme}.png`, clip: { x: 0, y: 0, width: 1280, height: 2000 }, fullPage: true });
    }
    await page.emulateMedia({ media: "print" });
    assert.ok((await page.pdf()).length > 1_000);
    const folded = page.locator("details").first();
    await folded.locator("summary").click();
    assert.ok(await folded.locator("td").first().isVisible());
    assert.deepEqual([complaints, requests.filter((one) => one !== url && !one.startsWith("data:"))], [[], []]);
    console.log(JSON.stringify({ bars: await page.locator("svg.bar").count(), rows: await page.locator("tr").count() }));
  } finally {
    await close();
  }
})().catch((error) => { console.error(error.stack); process.exitCode = 1; });
