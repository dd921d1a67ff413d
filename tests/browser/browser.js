// Headless Chromium, as installed on the machine.
"use strict";

const { execFileSync } = require("node:child_process");
const { chromium } = require("playwright-core");

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"];

function installed() {
  for (const name of NAMES) {
    try { return execFileSync("which", [name], { encoding: "utf8" }).trim(); } catch { /* the next one */ }
  }
  throw new Error(`none of ${NAMES.join(", ")} is installed`);
}

/** Opens a page; returns it with its requests and complaints. */
async function open(url) {
  const browser = await chromium.launch({ executablePath: installed(), args: FLAGS });
  const context = await browser.newContext({ permissions: ["clipboard-read", "clipboard-write"], viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  const requests = [];
  const complaints = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) complaints.push(message.text()); });
  await page.goto(url);
  return { page, requests, complaints, close: () => browser.close() };
}

module.exports = { open };
