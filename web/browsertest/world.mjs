// What specs start beside the browser: viewers of their own, and runs that go on.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder that is gone after the test. */
export const folder = async (use) => {
  const dir = mkdtempSync(join(tmpdir(), "mlgym-view-"));
  try {
    return await use(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
};

/** Waits until a question is answered by something true, and returns that. */
export const until = async (what, question, seconds = 60) => {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > end) assert.fail(`in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

/** Runs the program to its end; what it printed is returned. */
export const mlgym = async (...args) => {
  const child = spawn(process.env.MLGYM_PROGRAM, args, { stdio: ["ignore", "pipe", "pipe"] });
  let out = "", err = "";
  child.stdout.on("data", (d) => (out += d));
  child.stderr.on("data", (d) => (err += d));
  const [code] = await once(child, "close");
  assert.equal(code, 0, `mlgym ${args.join(" ")}: ${err}`);
  return out;
};

/** Starts the program without waiting for it. */
export const start = (...args) => {
  const child = spawn(process.env.MLGYM_PROGRAM, args, { stdio: ["pipe", "pipe", "pipe"] });
  const one = { child, said: "", code: null, ended: once(child, "close").then(([code]) => (one.code = code)) };
  child.stdout.on("data", (d) => (one.said += d));
  child.stderr.on("data", (d) => (one.said += d));
  child.stdin.on("error", () => {}); // it ended first
  one.stop = async (signal = "SIGINT") => {
    if (one.code === null) child.kill(signal);
    await one.ended;
  };
  return one;
};

/** Serves a folder; address is where. Given an address, there again. */
export const viewer = async (root, dir, ...more) => {
  const ready = join(dir, `ready-${Math.random()}`);
  const one = start("view", root, "--ready-file", ready, ...(more.includes("--addr") ? [] : ["--addr", "127.0.0.1:0"]), ...more);
  one.url = await until("the viewer answers", () => {
    assert.equal(one.code, null, one.said);
    try {
      return readFileSync(ready, "utf8").trim();
    } catch {
      return "";
    }
  });
  return one;
};
