// Opens a comment in the pane of an incident, 480 pixels wide: nothing is wider, and
// nothing is loaded.
//
// node comment.js FILE SCREENSHOT
"use strict";

const assert = require("node:assert/strict");
const { readFileSync, writeFileSync } = require("node:fs");
const { pathToFileURL } = require("node:url");
const { open } = require("./browser");

const [file, screenshot] = process.argv.slice(2);

(async () => {
  const comment = readFileSync(file, "utf8");
  writeFileSync(file, `<!doctype html><html lang="en"><meta charset="utf-8"><title>Incident</title>
    <div id="pane" style="width:480px;font:14px Segoe UI,sans-serif">${comment}</div>`);
  const { page, requests, complaints, close } = await open(pathToFileURL(file).href);
  try {
    const widths = await page.evaluate(() => {
      const pane = document.getElementById("pane");
      return { pane: pane.clientWidth, content: pane.scrollWidth, bold: pane.querySelector("p > b").textContent };
    });
    await page.screenshot({ path: screenshot });
    assert.ok(widths.content <= widths.pane, JSON.stringify(widths));
    assert.deepEqual([complaints, requests.length], [[], 1]);
    console.log(JSON.stringify(widths));
  } finally {
    await close();
  }
})().catch((error) => { console.error(error.stack); process.exitCode = 1; });
